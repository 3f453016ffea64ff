//! Generated from the catalogue: the schemas of the document and the table of fields.
//!
//! The repository has them as `schemas/domainstats.rng`, `schemas/domainstats.schema.json` and
//! `docs/fields.md`; a test fails when they are stale.

mod fields;
mod json;
mod rng;

pub use fields::fields_markdown;
pub use json::json_schema;
pub use rng::rng;

use crate::model::stats::{Row, Schema};

/// A part of a schema with the words of its documents: a value or section, or the neighbours that
/// share a wrapper.
enum Node {
    Row(&'static str, &'static Row),
    Wrapper(&'static str, Vec<Node>),
}

/// Returns the rows of a section as the tree that documents make of their dotted words.
fn tree(schema: &'static Schema) -> Vec<Node> {
    let mut nodes = Vec::new();
    for row in schema.rows {
        insert(&mut nodes, doc_path(row), row);
    }
    nodes
}

fn insert(nodes: &mut Vec<Node>, path: &'static str, row: &'static Row) {
    let Some((wrapper, rest)) = path.split_once('.') else {
        return nodes.push(Node::Row(path, row));
    };
    // Neighbours share a wrapper, as in the documents.
    if let Some(Node::Wrapper(name, inside)) = nodes.last_mut()
        && *name == wrapper
    {
        return insert(inside, rest, row);
    }
    let mut inside = Vec::new();
    insert(&mut inside, rest, row);
    nodes.push(Node::Wrapper(wrapper, inside));
}

/// Returns the words of a row in documents.
pub(super) fn doc_path(row: &Row) -> &'static str {
    match row {
        Row::Field(field) => field.doc_path,
        Row::List(list) => list.doc_path,
        Row::Part(part) => part.path,
    }
}
