//! `schemas/domainstats.schema.json`: JSON Schema, draft 2020-12.
//!
//! Open: keys that a newer version adds are allowed everywhere. What is known has its type.

use serde_json::{Map, Value as Json, json};

use super::{Node, tree};
use crate::model::{
    report::MissingReason,
    stats::{Field, GROUPS, KeyKind, Row, Schema, Unit, ValueType},
};

/// Returns the JSON Schema of the document that [`to_json`](crate::StatsReport::to_json) writes.
#[must_use]
pub fn json_schema() -> String {
    let mut definitions = Map::new();
    let mut domain = Map::new();
    who("name", &mut domain);
    let oldest = "When the oldest value of the domain was asked for, if later than the call began.";
    domain.insert("time".to_owned(), time(oldest));
    for group in GROUPS {
        define(group.schema, None, &mut definitions);
        domain.insert(group.element.to_owned(), reference(group.schema));
    }
    domain.insert("missing".to_owned(), missing("group", &mut Map::new()));
    let mut absent = Map::new();
    who("domain", &mut absent);
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Bulk statistics of virtual machines",
        "description": "Generated from the catalogue of domstats. A value that was not read is \
                        absent. Keys that are not named here may come with newer versions.",
        "type": "object",
        "properties": {
            "time": time("When the call began: RFC 3339, UTC."),
            "elapsed": {
                "description": "How long the call took. Unit: ns.",
                "type": "integer",
                "minimum": 0,
            },
            "domains": {
                "type": "array",
                "items": {"type": "object", "properties": domain, "required": ["name"]},
            },
            "missing": missing("domain", &mut absent),
        },
        "required": ["domains"],
        "$defs": definitions,
    });
    format!("{schema:#}\n")
}

fn time(description: &str) -> Json {
    json!({
        "description": description,
        "type": "string",
        "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{9}Z$",
    })
}

/// Adds the members that say who a domain is.
fn who(name: &str, members: &mut Map<String, Json>) {
    members.insert(name.to_owned(), json!({"type": "string"}));
    let uuid = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$";
    members.insert("uuid".to_owned(), json!({"type": "string", "pattern": uuid}));
    members.insert("id".to_owned(), json!({"type": "integer", "minimum": 0}));
    members.insert("persistent".to_owned(), json!({"type": "boolean"}));
    let uid = "The user that the domain's QEMU belongs to, from the kernel.";
    members.insert("uid".to_owned(), json!({"description": uid, "type": "integer", "minimum": 0}));
    let untrusted =
        "Whether that user is not trusted: name and UUID may be those of another domain.";
    members.insert("untrusted".to_owned(), json!({"description": untrusted, "type": "boolean"}));
    let conflict =
        "What of its name and UUID another domain has too: words, with spaces between them.";
    members.insert("conflict".to_owned(), json!({"description": conflict, "type": "string"}));
}

/// Returns the list of what is missing, where `who` names the group or domain.
fn missing(who: &str, members: &mut Map<String, Json>) -> Json {
    members.insert(who.to_owned(), json!({"type": "string"}));
    let words = MissingReason::WORDS.join(", ");
    let reason = json!({
        "description": format!("Why: {words}, or a word of a newer version."),
        "type": "string",
    });
    members.insert("reason".to_owned(), reason);
    let text = json!({"description": "The sentence for people.", "type": "string"});
    members.insert("text".to_owned(), text);
    json!({
        "type": "array",
        "items": {"type": "object", "properties": members, "required": [who, "reason"]},
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
