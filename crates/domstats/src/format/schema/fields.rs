//! `docs/fields.md`: every field, for people.

use std::fmt::Write;

use crate::model::{
    identity::DomainInfo,
    report::{DomainStats, Missing, StatsReport},
    stats::{Attribute, Field, GROUPS, Group, KeyKind, Kind, Place, Row, Schema, Unit, ValueType},
};

/// Returns the table of every field: key, type, kind, unit, XML path, metric, help and source.
#[must_use]
pub fn fields_markdown() -> String {
    let mut out = String::from(INTRODUCTION);
    out.push_str(RECORD_HEADER);
    attributes("domain/@", DomainInfo::ATTRIBUTES, &mut out);
    attributes("domain/@", DomainStats::ATTRIBUTES, &mut out);
    attributes("@", StatsReport::ATTRIBUTES, &mut out);
    attributes("missing/@", Missing::ATTRIBUTES, &mut out);
    for group in GROUPS {
        // Writing to a string cannot fail.
        let _ = write!(
            out,
            "\n## {}\n\nBit {}, element `<{}>`.\n\n{HEADER}",
            group.name,
            group.bit.bits(),
            group.element
        );
        let at = At { group, key: format!("{}.", group.flat), xml: group.element.to_owned() };
        rows(group.schema, &at, &mut out);
    }
    out
}

const INTRODUCTION: &str = "\
# Fields

Every statistic that domstats knows, by group. Generated from the catalogue in
`crates/domstats/src/model/`; regenerate it with `DOMSTATS_BLESS=1 cargo test -p domstats`.

- The **key** is the flat one, in text and typed parameters. `<n>` is a position, `<id>` the item's
  own number, `<name>` its name.
- **Units** apply to every format except the metrics, which use seconds and bytes throughout.
- **XML** is the path below `<domain>`; `@` is an attribute. JSON has the same words.
- **Metrics** begin with `libvirt_domain_`. A *label* is on the info series of its section
  (`…_info`), or on all series of the section if it has none.
- A value that was not read is absent, in every format.
";

const HEADER: &str = "\
| key | type | kind | unit | XML | metric | meaning | source |
|---|---|---|---|---|---|---|---|
";

const RECORD_HEADER: &str = "
## Records

What a document says of the report, of each domain, and of what is missing. XML is the path below
`<domainstats>`; `<missing>` stands below it for a domain, below `<domain>` for a group. A domain
without a record has its identity there too, with `domain` in place of `name`.

| XML | type | meaning |
|---|---|---|
";

fn attributes<T>(path: &str, rows: &[Attribute<T>], out: &mut String) {
    for row in rows {
        let path = match row.place {
            Place::Text => path.trim_end_matches("/@").to_owned(),
            Place::Attribute | Place::Element => format!("{path}{}", row.name),
        };
        let value_type = format!("{:?}", row.value_type).to_lowercase();
        let words = match row.words {
            [] => String::new(),
            words => format!(" Words: `{}`.", words.join("`, `")),
        };
        let _ = writeln!(out, "| `{path}` | {value_type} | {}{words} |", cell(row.help()));
    }
}

/// The position of a section.
struct At {
    group: &'static Group,
    key: String,
    xml: String,
}

impl At {
    fn below(&self, key: &str, xml: &str) -> Self {
        Self {
            group: self.group,
            key: format!("{}{key}", self.key),
            xml: format!("{}/{}", self.xml, xml.replace('.', "/")),
        }
    }
}

fn rows(schema: &Schema, at: &At, out: &mut String) {
    // A section without samples has no series, and so no labels.
    let is_exported = schema.rows.iter().any(|row| match row {
        Row::Field(field) => field.kind != Kind::Info && field.metric.is_some(),
        _ => true,
    });
    for row in schema.rows {
        match row {
            Row::Field(field) => push_field(field, is_exported, at, out),
            Row::List(row) => {
                let item = match row.key {
                    KeyKind::Index => "<n>.",
                    KeyKind::Id => "<id>.",
                    KeyKind::Name => "<name>.",
                };
                let dot = if row.path.is_empty() { "" } else { "." };
                let key = format!("{}{dot}{item}", row.path);
                rows(row.schema, &at.below(&key, row.doc_path), out);
            }
            Row::Part(row) => {
                let key = format!("{}.", row.path);
                rows(row.schema, &at.below(&key, row.path), out);
            }
        }
    }
}

fn push_field(field: &Field, is_exported: bool, at: &At, out: &mut String) {
    let xml = match field.place {
        Place::Element => format!("{}/{}", at.xml, field.doc_path.replace('.', "/")),
        Place::Attribute => format!("{}/@{}", at.xml, field.doc_path),
        Place::Text => at.xml.clone(),
    };
    let kind = match field.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Info => "info",
    };
    let metric = match (field.metric, field.kind) {
        _ if !is_exported => "none".to_owned(),
        (Some(metric), Kind::Counter) => format!("`{metric}_total`"),
        (Some(metric), Kind::Gauge) => format!("`{metric}`"),
        (Some(label), Kind::Info) => format!("label `{label}`"),
        // A text without a label of its own is what the item's label shows.
        (None, _) => "the label of all its series".to_owned(),
    };
    let source: Vec<_> = field.source().collect();
    let _ = writeln!(
        out,
        "| `{}{}` | {} | {kind} | {} | `{xml}` | {metric} | {} | {} |",
        at.key,
        field.path,
        type_name(field),
        unit(field.unit),
        cell(field.help()),
        cell(&source.join(" ")),
    );
}

fn type_name(field: &Field) -> &'static str {
    match field.value_type {
        _ if !field.words.is_empty() => "enum",
        ValueType::Int => "int",
        ValueType::UInt => "uint",
        ValueType::LLong => "llong",
        ValueType::ULLong => "ullong",
        ValueType::Double => "double",
        ValueType::Boolean => "boolean",
        ValueType::String => "string",
        ValueType::Numbers => "numbers",
    }
}

fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Count => "",
        unit => unit.symbol(),
    }
}

/// Escapes a text for a cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
