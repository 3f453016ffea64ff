//! `python/domstats/_catalogue.py` is generated from the catalogue: a class for every struct, with
//! every field, its type, unit and help. `DOMSTATS_BLESS=1` writes it anew.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::{env, fmt::Write, fs};

use domstats::stats::{Field, GROUPS, KeyKind, Kind, Row, Schema, Unit, ValueType};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python/domstats/_catalogue.py");

#[test]
fn the_classes_are_fresh() {
    let text = catalogue();
    if env::var_os("DOMSTATS_BLESS").is_some() {
        fs::write(PATH, &text).unwrap();
    }
    assert!(
        fs::read_to_string(PATH).unwrap_or_default() == text,
        "{PATH} is stale: DOMSTATS_BLESS=1 cargo test -p domstats-python --test generated"
    );
}

const INTRODUCTION: &str = r#""""The statistics, a class for every part of a record.

Generated from the catalogue in `crates/domstats/src/model/stats/`;
`DOMSTATS_BLESS=1 cargo test -p domstats-python` writes it anew.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from ._section import MissingGroup, Section
"#;

const RECORD: &str = r#"

class DomainStats(Section):
    """The statistics of one domain. A group that was not asked for, or not read, is `None`."""

    name: str
    """Its name."""
    uuid: UUID | None
    """Its UUID, where it has one: a QEMU started by hand may have none."""
    id: int | None
    """Its number while it is active: libvirt's id, or the process id of a QEMU without libvirt."""
    persistent: bool
    """Whether it stays defined when it stops."""
    uid: int | None = None
    """The user that its QEMU belongs to, from the kernel; `None` where nobody says, as with libvirt."""
    untrusted: bool = False
    """Whether that user is not trusted: its name and UUID may be those of another domain."""
    conflict: tuple[str, ...] = ()
    """What of "name" and "uuid" another domain has too."""
    time: datetime | None = None
    """When the oldest of its values was asked for, in UTC; `None` if that was when the call began."""
    missing: tuple[MissingGroup, ...] = ()
    """The groups that were asked for and are missing in whole or in part."""
"#;

fn catalogue() -> String {
    let mut classes: Vec<(&'static str, String)> = Vec::new();
    let mut record = RECORD.to_owned();
    for group in GROUPS {
        let help = format!("{}.", group.help);
        attribute(&mut record, group.field, group.schema.name, " | None = None", &help);
        class(group.schema, None, group.help, &mut classes);
    }
    classes.push(("DomainStats", record));
    let names = classes.iter().map(|(name, _)| format!("    \"{name}\",\n"));
    let names = names.collect::<String>();
    let classes = classes.iter().map(|(_, text)| text.as_str());
    format!("{INTRODUCTION}\n__all__ = [\n{names}]\n{}", classes.collect::<String>())
}

/// Adds the class of a struct, and those of the structs in it. The items of a list have a `key`.
fn class(
    schema: &'static Schema,
    key: Option<KeyKind>,
    help: &str,
    classes: &mut Vec<(&'static str, String)>,
) {
    if classes.iter().any(|(name, _)| *name == schema.name) {
        return;
    }
    let place = classes.len();
    classes.push((schema.name, String::new()));
    let mut text = format!(
        "\n\nclass {}(Section):\n    \"\"\"{}.\n\n{}    \"\"\"\n\n",
        schema.name,
        help.trim_end_matches('.'),
        schema.rows.iter().map(summary).collect::<String>()
    );
    match key {
        Some(KeyKind::Index) => attribute(&mut text, "index", "int", "", "The position."),
        Some(KeyKind::Id) => attribute(&mut text, "id", "int", "", "The number of its own."),
        Some(KeyKind::Name) => attribute(&mut text, "name", "str", "", "The name."),
        None => {}
    }
    for row in schema.rows {
        match row {
            Row::Field(field) => {
                let kind = format!("{} | None = None", python_type(field));
                attribute(&mut text, field.name, &kind, "", &description(field));
            }
            Row::List(row) => {
                let kind = format!("tuple[{}, ...] = ()", row.schema.name);
                attribute(&mut text, row.name, &kind, "", &row.docs.join("\n"));
                class(row.schema, Some(row.key), row.docs[0].trim(), classes);
            }
            Row::Part(row) => {
                attribute(
                    &mut text,
                    row.name,
                    row.schema.name,
                    " | None = None",
                    &row.docs.join("\n"),
                );
                class(row.schema, None, row.docs[0].trim(), classes);
            }
            _ => unreachable!("a row of another kind"),
        }
    }
    classes[place].1 = text;
}

/// Returns the line of an attribute for `help()`, which does not see what stands below attributes.
fn summary(row: &Row) -> String {
    let (name, unit, help) = match row {
        Row::Field(field) => (field.name, field.unit, field.help()),
        Row::List(row) => (row.name, Unit::None, row.docs[0].trim()),
        Row::Part(row) => (row.name, Unit::None, row.docs[0].trim()),
        _ => unreachable!("a row of another kind"),
    };
    match unit {
        Unit::None | Unit::Count => format!("    {name}: {help}\n"),
        unit => format!("    {name} ({}): {help}\n", unit.symbol()),
    }
}

/// Adds an annotated attribute, and its lines of help: the first is what it is.
fn attribute(text: &mut String, name: &str, kind: &str, default: &str, help: &str) {
    assert!(!help.contains(['\\', '"']), "{name}: {help}");
    let _ = write!(text, "    {name}: {kind}{default}\n    \"\"\"");
    let mut lines = help.lines().map(str::trim);
    text.push_str(lines.next().unwrap_or_default());
    let source: Vec<_> = lines.collect();
    match source.as_slice() {
        [] => text.push_str("\"\"\"\n"),
        source => {
            let _ = write!(text, "\n\n    {}\n    \"\"\"\n", source.join("\n    "));
        }
    }
}

fn description(field: &Field) -> String {
    let kind = match field.kind {
        Kind::Counter => "A counter",
        Kind::Gauge => "A gauge",
        Kind::Info => "A description",
    };
    let unit = match field.unit {
        Unit::None | Unit::Count => String::new(),
        unit => format!(", in {}", unit.symbol()),
    };
    let source = field.source().collect::<Vec<_>>().join("\n");
    format!("{}\n{kind}{unit}. {source}", field.help())
}

fn python_type(field: &Field) -> String {
    match field.value_type {
        ValueType::Boolean => "bool".to_owned(),
        ValueType::String => "str".to_owned(),
        ValueType::Double => "float".to_owned(),
        ValueType::Numbers => "tuple[int, ...]".to_owned(),
        // An enumeration is a word; a number of a newer hypervisor stays one.
        ValueType::Int if !field.words.is_empty() => {
            format!("Literal{:?} | int", field.words)
        }
        // The words of a reason depend on the state.
        ValueType::Int if field.unit == Unit::None => "str | int".to_owned(),
        _ => "int".to_owned(),
    }
}

/// Mappings have methods, Python has keywords: no field may hide behind one.
#[test]
fn every_name_can_be_an_attribute() {
    let text = catalogue();
    for taken in ["extra", "get", "items", "keys", "values", "class", "from", "in", "is", "missing"]
    {
        let attribute = format!("\n    {taken}: ");
        let count = text.matches(&attribute).count();
        assert_eq!(count, usize::from(taken == "missing"), "{taken}");
    }
}
