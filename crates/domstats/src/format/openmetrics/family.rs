//! Metric families: names, types, units, and samples in base units.
//!
//! A counter's samples end in `_total`, which OpenMetrics and the older text format announce in
//! different ways: `# TYPE x counter` there, `# TYPE x_total counter` here, each wrong for the
//! other. A counter therefore has a help line and no type line, which both read; its name and
//! `docs/fields.md` tell its kind. Types that only one of them knows (`info`) are gauges.

use std::{fmt::Write, ops::Range};

use super::super::append::{push_integer, push_number};
use crate::stats::{Field, Kind, Unit, Value};

/// All samples of one name, which OpenMetrics wants side by side.
pub(super) struct Family {
    /// The name of its samples.
    name: String,
    kind: Kind,
    help: &'static str,
    samples: Vec<Sample>,
}

/// A sample before it is text, which takes three times the memory.
struct Sample {
    labels: Range<usize>,
    unit: Unit,
    value: Value<'static>,
}

/// The texts of labels: `domain="vm1",vcpu="0"`. The samples of a section share one.
#[derive(Default)]
pub(super) struct Labels {
    text: String,
    last: Range<usize>,
}

impl Labels {
    fn keep(&mut self, labels: &str) -> Range<usize> {
        if self.text.get(self.last.clone()) != Some(labels) {
            let start = self.text.len();
            self.text.push_str(labels);
            self.last = start..self.text.len();
        }
        self.last.clone()
    }
}

impl Family {
    pub(super) fn new(name: &str, kind: Kind, help: &'static str) -> Self {
        let suffix = if kind == Kind::Counter { "_total" } else { "" };
        Self { name: format!("libvirt_{name}{suffix}"), kind, help, samples: Vec::new() }
    }

    /// Adds a sample with these labels; a text is no sample, nor are many numbers.
    pub(super) fn push(&mut self, kept: &mut Labels, labels: &str, unit: Unit, value: &Value<'_>) {
        let value = match value {
            Value::String(_) | Value::Numbers(_) => return,
            value => value.clone().into_owned(),
        };
        self.samples.push(Sample { labels: kept.keep(labels), unit, value });
    }

    /// Appends the family, unless it has no samples.
    pub(super) fn write(&self, kept: &Labels, out: &mut String) {
        if self.samples.is_empty() {
            return;
        }
        let Self { name, help, .. } = self;
        // Writing to a string cannot fail.
        let _ = write!(out, "# HELP {name} ");
        push_escaped(out, help, false);
        out.push('\n');
        if self.kind != Kind::Counter {
            let _ = writeln!(out, "# TYPE {name} gauge");
            let unit = ["seconds", "bytes", "joules", "farads"]
                .into_iter()
                .find(|unit| name.rsplit('_').next() == Some(unit));
            if let Some(unit) = unit {
                let _ = writeln!(out, "# UNIT {name} {unit}");
            }
        }
        for sample in &self.samples {
            out.push_str(name);
            match kept.text.get(sample.labels.clone()) {
                None | Some("") => {}
                Some(labels) => {
                    out.push('{');
                    out.push_str(labels);
                    out.push('}');
                }
            }
            out.push(' ');
            push_in_base_unit(out, sample.unit, &sample.value);
            out.push('\n');
        }
    }
}

/// Returns the metric name of a row below `libvirt_`, if its values are samples.
pub(super) fn sample_name(field: &Field) -> Option<String> {
    let metric = field.metric.filter(|_| field.kind != Kind::Info)?;
    Some(format!("domain_{metric}"))
}

/// Appends a value in the base unit, exactly.
fn push_in_base_unit(out: &mut String, unit: Unit, value: &Value<'_>) {
    let whole = match value {
        Value::Int(number) | Value::Word { code: number, .. } => i128::from(*number),
        Value::UInt(number) => i128::from(*number),
        Value::LLong(number) => i128::from(*number),
        Value::ULLong(number) => i128::from(*number),
        Value::Boolean(truth) => i128::from(*truth),
        Value::Double(number) if number.is_nan() => return out.push_str("NaN"),
        Value::Double(number) if number.is_infinite() => {
            return out.push_str(if *number > 0.0 { "+Inf" } else { "-Inf" });
        }
        value => {
            push_number(out, value);
            return;
        }
    };
    match unit {
        Unit::Nanoseconds => push_billionths(out, whole),
        Unit::Kibibytes => push_whole(out, whole * 1024),
        Unit::MebibytesPerSecond => push_whole(out, whole * 1_048_576),
        Unit::None | Unit::Count | Unit::Seconds | Unit::Bytes | Unit::Joules | Unit::Farads => {
            push_whole(out, whole);
        }
    }
}

fn push_whole(out: &mut String, number: i128) {
    // 128 bits are for what overflows and what is negative: dividing them is slow.
    match u64::try_from(number) {
        Ok(number) => push_integer(out, number),
        Err(_) => push_integer(out, number),
    }
}

/// Appends a number divided by 10⁹, without rounding: `1.000000001`, `0.5`, `7`.
fn push_billionths(out: &mut String, number: i128) {
    const BILLION: u64 = 1_000_000_000;
    if number < 0 {
        out.push('-');
    }
    // No type of a value is wider.
    let number = u64::try_from(number.unsigned_abs()).unwrap_or(u64::MAX);
    push_integer(out, number / BILLION);
    let fraction = number % BILLION;
    if fraction > 0 {
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(fraction);
        out.push('.');
        out.push_str(&"000000000"[digits.len()..]);
        out.push_str(digits.trim_end_matches('0'));
    }
}

/// Appends a label, after a comma if it is not the first.
pub(super) fn push_label(labels: &mut String, name: &str, value: &str) {
    if !labels.is_empty() {
        labels.push(',');
    }
    labels.push_str(name);
    labels.push_str("=\"");
    push_escaped(labels, value, true);
    labels.push('"');
}

/// Appends a text with what could end it as escapes; only labels have quotes around them.
fn push_escaped(out: &mut String, text: &str, quoted: bool) {
    for (position, piece) in text.split('\\').enumerate() {
        if position > 0 {
            out.push_str("\\\\");
        }
        if !piece.contains(['\n', '"']) {
            out.push_str(piece);
            continue;
        }
        for character in piece.chars() {
            match character {
                '\n' => out.push_str("\\n"),
                '"' if quoted => out.push_str("\\\""),
                _ => out.push(character),
            }
        }
    }
}
