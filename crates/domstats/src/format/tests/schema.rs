//! The generated files of the repository are up to date.

use std::collections::HashMap;

use super::assert_file;
use crate::{
    format::schema::{fields_markdown, json_schema, rng},
    model::stats::{Field, GROUPS, Kind, Place, Row, Schema, ValueType},
};

#[test]
fn generated_files_are_up_to_date() {
    assert_file("../../schemas/domainstats.rng", &rng());
    assert_file("../../schemas/domainstats.schema.json", &json_schema());
    assert_file("../../docs/fields.md", &fields_markdown());
}

fn every_schema(test: &mut dyn FnMut(&'static Schema)) {
    fn visit(schema: &'static Schema, test: &mut dyn FnMut(&'static Schema)) {
        test(schema);
        for row in schema.rows {
            match row {
                Row::Field(_) => {}
                Row::List(row) => visit(row.schema, test),
                Row::Part(row) => visit(row.schema, test),
            }
        }
    }
    GROUPS.iter().for_each(|group| visit(group.schema, test));
}

/// The writers open and close wrappers as they go: rows that share one must be neighbours.
#[test]
fn rows_that_share_a_wrapper_are_neighbours() {
    every_schema(&mut |schema| {
        let paths: Vec<&str> = schema.rows.iter().map(super::super::schema::doc_path).collect();
        for (position, path) in paths.iter().enumerate() {
            assert!(!paths[..position].contains(path), "{}: {path} twice", schema.name);
            for (cut, _) in path.match_indices('.') {
                let wrapper = &path[..=cut];
                let rows = paths.iter().enumerate();
                let mut sharing = rows.filter(|(_, path)| path.starts_with(wrapper));
                let (first, _) = sharing.next().unwrap();
                let last = sharing.next_back().map_or(first, |(last, _)| last);
                for path in &paths[first..=last] {
                    assert!(path.starts_with(wrapper), "{}: {path} is in {wrapper}", schema.name);
                }
            }
        }
    });
}

#[test]
fn every_row_fits_the_formats() {
    let mut metrics: HashMap<&str, &Field> = HashMap::new();
    every_schema(&mut |schema| {
        for row in schema.rows {
            let Row::Field(field) = row else { continue };
            let name = format!("{}.{}", schema.name, field.path);
            assert!(!field.help().is_empty(), "{name} has no help");
            assert!(field.source().next().is_some(), "{name} does not say where it comes from");
            assert!(
                field.place == Place::Element || !field.doc_path.contains('.'),
                "{name} is an attribute inside a wrapper"
            );
            let is_sample = field.kind != Kind::Info;
            assert!(!is_sample || field.value_type != ValueType::String, "{name} is no number");
            // Many numbers are not a sample.
            let has_metric = field.metric.is_some();
            assert!(
                !is_sample || has_metric == (field.value_type != ValueType::Numbers),
                "{name} has no metric, or should have none"
            );
            if let Some(metric) = field.metric.filter(|_| is_sample) {
                let first = metrics.entry(metric).or_insert(field);
                assert_eq!((first.kind, first.unit), (field.kind, field.unit), "{metric}");
            }
        }
    });
}
