//! `python/domstats/_catalogue.py` is generated from the catalogue: a class for every struct, with
//! every field, its type, unit and help. `DOMSTATS_BLESS=1` regenerates it.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::{env, fmt::Write, fs};

use domstats::{
    DomainInfo, DomainStats, Missing,
    stats::{Attribute, AttributeType, Field, GROUPS, KeyKind, Kind, Row, Schema, Unit, ValueType},
};

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

const INTRODUCTION: &str = r#""""The statistics: a class for every part of a record, and the bits of the groups.

Generated from the catalogue in `crates/domstats/src/model/`; regenerate it with
`DOMSTATS_BLESS=1 cargo test -p domstats-python`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

from ._section import Section
"#;

/// The attributes of a domain's identity that a record always has: as `None` or `False` if absent.
const ALWAYS: [&str; 4] = ["name", "uuid", "id", "persistent"];

fn catalogue() -> String {
    let mut classes: Vec<(&'static str, String)> = Vec::new();
    let mut record = record();
    for group in GROUPS {
        let help = format!("{}.", group.help);
        attribute(&mut record, group.field, group.schema.name, " | None = None", &help);
        class(group.schema, None, group.help, &mut classes);
    }
    classes.push(("MissingGroup", missing_group()));
    classes.push(("MissingDomain", missing_domain()));
    classes.push(("DomainStats", record));
    let constants = GROUPS.iter().map(|group| group.constant).chain(["VIR_DOMAIN_STATS_CPU"]);
    let names = constants.chain(classes.iter().map(|(name, _)| *name));
    let names = names.map(|name| format!("    \"{name}\",\n")).collect::<String>();
    let classes = classes.iter().map(|(_, text)| text.as_str()).collect::<String>();
    format!("{INTRODUCTION}\n__all__ = [\n{names}]\n\n{}{classes}", constants_text())
}

/// Returns the bits of the groups by the names that C has for them.
fn constants_text() -> String {
    let mut text = "# Groups: virDomainStatsTypes, and those that libvirt lacks.\n".to_owned();
    for group in GROUPS {
        let _ = writeln!(text, "{} = {}", group.constant, group.bit.bits());
    }
    text + "# The RFC's group of both kinds of CPU time.\n\
            VIR_DOMAIN_STATS_CPU = VIR_DOMAIN_STATS_CPU_TOTAL | VIR_DOMAIN_STATS_VCPU\n"
}

fn record() -> String {
    let mut text = "\n\nclass DomainStats(Section):\n    \
        \"\"\"The statistics of one domain. A group that was not requested, or not read, is `None`.\"\"\"\n\n"
        .to_owned();
    for row in DomainInfo::ATTRIBUTES {
        record_attribute(&mut text, row);
    }
    for row in DomainStats::ATTRIBUTES {
        record_attribute(&mut text, row);
    }
    let help = "The groups that were requested and are missing in whole or in part.";
    attribute(&mut text, "missing", "tuple[MissingGroup, ...]", " = ()", help);
    text
}

fn missing_group() -> String {
    let mut text = "\n\nclass MissingGroup(NamedTuple):\n    \
        \"\"\"A group of a domain that is missing in whole or in part, and why.\"\"\"\n\n"
        .to_owned();
    attribute(&mut text, "group", "str", "", "The name of the group, such as `cpu-total`.");
    for row in Missing::ATTRIBUTES {
        record_attribute(&mut text, row);
    }
    text
}

fn missing_domain() -> String {
    let mut text = "\n\nclass MissingDomain(NamedTuple):\n    \
        \"\"\"A domain that matches the request and has no record, and why.\"\"\"\n\n"
        .to_owned();
    let is_first = |row: &&Attribute<DomainInfo>| ALWAYS.contains(&row.name);
    // A tuple keeps its order: what came later stands at the end.
    for row in DomainInfo::ATTRIBUTES.iter().filter(is_first) {
        record_attribute(&mut text, row);
    }
    for row in Missing::ATTRIBUTES {
        record_attribute(&mut text, row);
    }
    for row in DomainInfo::ATTRIBUTES.iter().filter(|row| !is_first(row)) {
        record_attribute(&mut text, row);
    }
    text
}

/// Adds an attribute of a record, of its domain, or of what is missing.
fn record_attribute<T>(text: &mut String, row: &Attribute<T>) {
    let (kind, default) = match row.value_type {
        AttributeType::Text => ("str", ""),
        AttributeType::Uuid => ("UUID | None", " = None"),
        AttributeType::Number => ("int | None", " = None"),
        AttributeType::Flag => ("bool", " = False"),
        AttributeType::Words => ("tuple[str, ...]", " = ()"),
        AttributeType::Time => ("datetime | None", " = None"),
        AttributeType::Duration => ("float | None", " = None"),
        _ => unreachable!("an attribute of another type"),
    };
    let default = if ALWAYS.contains(&row.name) { "" } else { default };
    let mut help = row.help().to_owned();
    if !row.words.is_empty() {
        help = format!("{help} Words: {}.", row.words.join(", "));
    }
    attribute(text, row.name, kind, default, &help);
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
