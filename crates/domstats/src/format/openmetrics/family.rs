//! Metric families: names, types, units, and samples in base units.
//!
//! A counter's samples end in `_total`, which OpenMetrics and the older text format announce in
//! different ways: `# TYPE x counter` there, `# TYPE x_total counter` here, each wrong for the
//! other. A counter therefore has a help line and no type line, which both read; its name and
//! `docs/fields.md` tell its kind. Types that only one of them knows (`info`) are gauges.

use std::fmt::Write;

use super::super::append::{push_integer, push_number};
use crate::stats::{Field, Kind, Unit, Value};

/// All samples of one name, which OpenMetrics wants side by side.
pub(super) struct Family {
    /// The name of its samples.
    name: String,
    kind: Kind,
    help: &'static str,
    samples: String,
}

impl Family {
    pub(super) fn new(name: &str, kind: Kind, help: &'static str) -> Self {
        let suffix = if kind == Kind::Counter { "_total" } else { "" };
        Self { name: format!("libvirt_{name}{suffix}"), kind, help, samples: String::new() }
    }

    /// Adds a sample with these labels: `domain="vm1",vcpu="0"`.
    pub(super) fn push(&mut self, labels: &str, unit: Unit, value: &Value<'_>) {
        let length = self.samples.len();
        self.samples.push_str(&self.name);
        if !labels.is_empty() {
            self.samples.push('{');
            self.samples.push_str(labels);
            self.samples.push('}');
        }
        self.samples.push(' ');
        if push_in_base_unit(&mut self.samples, unit, value) {
            self.samples.push('\n');
        } else {
            // A text is no sample.
            self.samples.truncate(length);
        }
    }

    /// Appends the family, unless it has no samples.
    pub(super) fn write(&self, out: &mut String) {
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
        out.push_str(&self.samples);
    }
}

/// Returns the metric name of a row below `libvirt_`, if its values are samples.
pub(super) fn sample_name(field: &Field) -> Option<String> {
    let metric = field.metric.filter(|_| field.kind != Kind::Info)?;
    Some(format!("domain_{metric}"))
}

/// Appends a value in the base unit, exactly. False, and nothing appended, for a text.
fn push_in_base_unit(out: &mut String, unit: Unit, value: &Value<'_>) -> bool {
    let whole = match value {
        Value::Int(number) | Value::Word { code: number, .. } => i128::from(*number),
        Value::UInt(number) => i128::from(*number),
        Value::LLong(number) => i128::from(*number),
        Value::ULLong(number) => i128::from(*number),
        Value::Boolean(truth) => i128::from(*truth),
        Value::Double(number) => {
            match number {
                number if number.is_nan() => out.push_str("NaN"),
                number if number.is_infinite() && *number > 0.0 => out.push_str("+Inf"),
                number if number.is_infinite() => out.push_str("-Inf"),
                _ => return push_number(out, value),
            }
            return true;
        }
        Value::String(_) => return false,
    };
    match unit {
        Unit::Nanoseconds => push_billionths(out, whole),
        Unit::Kibibytes => push_whole(out, whole * 1024),
        Unit::MebibytesPerSecond => push_whole(out, whole * 1_048_576),
        Unit::None | Unit::Count | Unit::Seconds | Unit::Bytes | Unit::Joules | Unit::Farads => {
            push_whole(out, whole);
        }
    }
    true
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
