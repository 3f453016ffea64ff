//! `schemas/domainstats.schema.json`: JSON Schema, draft 2020-12.
//!
//! Open: keys that a newer version adds are allowed everywhere. What is known has its type.

use serde_json::{Map, Value as Json, json};

use super::{Node, tree};
use crate::model::{
    identity::DomainInfo,
    report::{DomainStats, Missing, StatsReport},
    stats::{Attribute, AttributeType, Field, GROUPS, KeyKind, Row, Schema, Unit, ValueType},
};

/// Returns the JSON Schema of the document that [`to_json`](crate::StatsReport::to_json) writes.
#[must_use]
pub fn json_schema() -> String {
    let mut definitions = Map::new();
    let mut domain = Map::new();
    attributes(DomainInfo::ATTRIBUTES, &mut domain);
    attributes(DomainStats::ATTRIBUTES, &mut domain);
    for group in GROUPS {
        define(group.schema, None, &mut definitions);
        domain.insert(group.element.to_owned(), reference(group.schema));
    }
    domain.insert("missing".to_owned(), missing("group", &mut Map::new()));
    let mut absent = Map::new();
    let (name, others) = DomainInfo::NAME_AND_OTHERS;
    absent.insert("domain".to_owned(), attribute(name));
    attributes(others, &mut absent);
    let mut report = Map::new();
    attributes(StatsReport::ATTRIBUTES, &mut report);
    let domains = json!({
        "type": "array",
        "items": {
            "type": "object",
            "properties": domain,
            "required": required(DomainInfo::ATTRIBUTES),
        },
    });
    report.insert("domains".to_owned(), domains);
    report.insert("missing".to_owned(), missing("domain", &mut absent));
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Bulk statistics of virtual machines",
        "description": "Generated from the catalogue of domstats. A value that was not read is \
                        absent. Keys that are not named here may come with newer versions.",
        "type": "object",
        "properties": report,
        "required": ["domains"],
        "$defs": definitions,
    });
    format!("{schema:#}\n")
}

/// Adds members for attributes of a record.
fn attributes<T>(rows: &[Attribute<T>], members: &mut Map<String, Json>) {
    members.extend(rows.iter().map(|row| (row.name.to_owned(), attribute(row))));
}

fn required<T>(rows: &[Attribute<T>]) -> Vec<&'static str> {
    rows.iter().filter(|row| row.is_required).map(|row| row.name).collect()
}

fn attribute<T>(row: &Attribute<T>) -> Json {
    let mut help = row.help().to_owned();
    if !row.words.is_empty() {
        help = format!("{help} Words: {}; a newer version may have more.", row.words.join(", "));
    }
    match row.value_type {
        AttributeType::Text | AttributeType::Words => {
            json!({"description": help, "type": "string"})
        }
        AttributeType::Uuid => json!({
            "description": help,
            "type": "string",
            "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
        }),
        AttributeType::Number => json!({"description": help, "type": "integer", "minimum": 0}),
        AttributeType::Flag => json!({"description": help, "type": "boolean"}),
        AttributeType::Time => json!({
            "description": format!("{help} RFC 3339, UTC."),
            "type": "string",
            "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{9}Z$",
        }),
        AttributeType::Duration => json!({
            "description": format!("{help} Unit: ns."),
            "type": "integer",
            "minimum": 0,
        }),
    }
}

/// Returns the list of what is missing, where `what` names the group or domain.
fn missing(what: &str, members: &mut Map<String, Json>) -> Json {
    members.entry(what).or_insert_with(|| json!({"type": "string"}));
    attributes(Missing::ATTRIBUTES, members);
    let required = [&[what][..], &required(Missing::ATTRIBUTES)].concat();
    json!({
        "type": "array",
        "items": {"type": "object", "properties": members, "required": required},
    })
}

fn reference(schema: &Schema) -> Json {
    json!({"$ref": format!("#/$defs/{}", schema.name)})
}

/// Adds the definition of a section, and of those inside it.
fn define(schema: &'static Schema, key: Option<KeyKind>, definitions: &mut Map<String, Json>) {
    if definitions.contains_key(schema.name) {
        return;
    }
    definitions.insert(schema.name.to_owned(), Json::Null);
    let mut members = Map::new();
    let mut required = Vec::new();
    if let Some(key) = key {
        let value = match key {
            KeyKind::Index => json!({
                "description": "The position, where it is not that of the item.",
                "type": "integer",
                "minimum": 0,
            }),
            KeyKind::Id => json!({"type": "integer", "minimum": 0}),
            KeyKind::Name => json!({"type": "string"}),
        };
        members.insert(key.attribute().to_owned(), value);
        if key != KeyKind::Index {
            required.push(key.attribute());
        }
    }
    insert(tree(schema), &mut members, definitions);
    let mut definition = json!({"type": "object", "properties": members});
    if !required.is_empty() {
        definition["required"] = json!(required);
    }
    definitions[schema.name] = definition;
}

fn insert(nodes: Vec<Node>, members: &mut Map<String, Json>, definitions: &mut Map<String, Json>) {
    for node in nodes {
        let (name, value) = match node {
            Node::Row(name, Row::Field(field)) => (name, value(field)),
            Node::Row(name, Row::List(row)) => {
                define(row.schema, Some(row.key), definitions);
                (name, json!({"type": "array", "items": reference(row.schema)}))
            }
            Node::Row(name, Row::Part(row)) => {
                define(row.schema, None, definitions);
                (name, reference(row.schema))
            }
            Node::Wrapper(name, inside) => {
                let mut members = Map::new();
                insert(inside, &mut members, definitions);
                (name, json!({"type": "object", "properties": members}))
            }
        };
        members.insert(name.to_owned(), value);
    }
}

fn value(field: &Field) -> Json {
    let mut help = field.help().to_owned();
    if !matches!(field.unit, Unit::None | Unit::Count) {
        help = format!("{help} Unit: {}.", field.unit.symbol());
    }
    if !field.words.is_empty() {
        // Any other number is a member that this version has no word for.
        return json!({
            "description": help,
            "anyOf": [{"enum": field.words}, {"type": "integer"}],
        });
    }
    let types = match field.value_type {
        // The words depend on another field.
        ValueType::Int if field.unit == Unit::None => json!(["string", "integer"]),
        ValueType::Int | ValueType::LLong => json!("integer"),
        // Whatever the hypervisor defines.
        ValueType::ULLong if field.unit == Unit::None => json!(["integer", "boolean"]),
        ValueType::UInt | ValueType::ULLong => {
            return json!({"description": help, "type": "integer", "minimum": 0});
        }
        ValueType::Double => {
            return json!({
                "description": help,
                "anyOf": [{"type": "number"}, {"enum": ["NaN", "inf", "-inf"]}],
            });
        }
        ValueType::Boolean => json!("boolean"),
        ValueType::Numbers => {
            let items = json!({"type": "integer", "minimum": 0});
            return json!({"description": help, "type": "array", "items": items});
        }
        ValueType::String => json!("string"),
    };
    json!({"description": help, "type": types})
}
