//! Snapshots of one report with everything in it, in every format, and a proof that no format drops a
//! field.

use super::assert_file;
use crate::{
    DomainStats, Format,
    format::sample,
    model::stats::{Cell, Field, GROUPS, Kind, Place, Row, Section},
};

fn snapshot(format: Format) -> String {
    let mut bytes = Vec::new();
    format.write(&sample::canonical(), &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn every_format_writes_its_snapshot() {
    for format in Format::ALL {
        assert_file(&format!("tests/snapshots/canonical.{format}"), &snapshot(format));
    }
}

#[test]
fn writing_in_pieces_gives_the_same_text() {
    let report = sample::canonical();
    for format in Format::ALL {
        assert_eq!(snapshot(format), format.write_to_string(&report), "{format}");
    }
    let whole = [
        (Format::Xml, report.to_xml()),
        (Format::Json, report.to_json()),
        (Format::Text, report.to_text()),
        (Format::Table, report.to_table()),
        (Format::OpenMetrics, report.to_openmetrics()),
        (Format::Prometheus, report.to_prometheus()),
    ];
    for (format, text) in whole {
        assert_eq!(snapshot(format), text, "{format}");
    }
}

/// Calls a test with every row that holds a value.
fn every_field(section: &dyn Section, path: &str, test: &mut dyn FnMut(&'static Field, &str)) {
    for (number, row) in section.schema().rows.iter().enumerate() {
        match (row, section.cell(number)) {
            (Row::Field(field), Cell::Field(value)) => {
                assert!(value.is_some(), "the canonical report lacks {path}{}", field.path);
                test(field, path);
            }
            (Row::List(row), Cell::List(list)) => {
                let (key, item) = list.get(1).unwrap();
                every_field(item, &format!("{path}{}{key}.", dotted(row.path)), test);
            }
            (Row::Part(row), Cell::Part(part)) => {
                every_field(part.unwrap(), &format!("{path}{}", dotted(row.path)), test);
            }
            _ => unreachable!("a row and its cell are of one shape"),
        }
    }
}

fn dotted(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("{path}.") }
}

fn canonical_domain() -> DomainStats {
    sample::canonical().domains.swap_remove(0)
}

/// The rows of the hypervisor's histograms, which OpenMetrics leaves out.
const NO_SERIES: [&str; 6] = ["unit", "base", "exponent", "bucket_size", "linear", "log2"];

/// Removes one value at a time, and checks that the output of each format changes: that of a format
/// that drops the field does not.
#[test]
fn no_format_drops_a_field() {
    let report = sample::canonical();
    let full = [Format::Xml, Format::Json, Format::Text, Format::OpenMetrics]
        .map(|format| (format, format.write_to_string(&report)));
    let params = canonical_domain().params();
    let mut fields = 0;
    for without in 0..params.len() {
        let mut less = report.clone();
        let mut domain = DomainStats::new(report.domains[0].domain.clone());
        domain.missing.clone_from(&report.domains[0].missing);
        for (number, (key, value)) in params.iter().enumerate() {
            if number != without {
                domain.set_param(key, value);
            }
        }
        less.domains[0] = domain;
        fields += 1;
        for (format, full) in &full {
            let key = &params[without].0;
            let row = key.rsplit('.').next().unwrap();
            assert!(
                (*format == Format::OpenMetrics && NO_SERIES.contains(&row))
                    || format.write_to_string(&less).len() < full.len(),
                "{format} says nothing of {key}"
            );
        }
    }
    assert!(fields > 300, "only {fields} values in the canonical report");
}

#[test]
fn every_row_has_its_words_in_every_format() {
    let [xml, json, text, openmetrics] =
        [Format::Xml, Format::Json, Format::Text, Format::OpenMetrics].map(snapshot);
    let domain = canonical_domain();
    for group in GROUPS {
        every_field(group.of(&domain).unwrap(), "", &mut |field, path| {
            let name = field.doc_path.rsplit('.').next().unwrap();
            let in_xml = match field.place {
                Place::Element => format!("<{name}>"),
                Place::Attribute => format!(" {name}='"),
                Place::Text => format!("<{name} "),
            };
            assert!(xml.contains(&in_xml), "{in_xml} of {path}{} is not in XML", field.path);
            assert!(json.contains(&format!("\"{name}\": ")), "{name} is not in JSON");
            let key = format!("\n  {}.{path}{}=", group.flat, field.path);
            assert!(text.contains(&key), "{key} is not in the text");
            if NO_SERIES.contains(&field.path) {
                return;
            }
            // The name of a disk or interface is the label of all its series.
            if let Some(metric) = field.metric {
                let found = match field.kind {
                    Kind::Counter => format!("\nlibvirt_domain_{metric}_total{{"),
                    Kind::Gauge => format!("\nlibvirt_domain_{metric}{{"),
                    Kind::Info => format!(",{metric}=\""),
                };
                assert!(openmetrics.contains(&found), "{found} is not in OpenMetrics");
            } else {
                assert_eq!((field.path, field.kind), ("name", Kind::Info));
            }
        });
    }
}
