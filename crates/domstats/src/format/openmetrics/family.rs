//! Metric families: names, types, units, and samples in base units.
//!
//! A counter's samples end in `_total`. OpenMetrics announces the counter without that ending, the
//! older text form with it. Types that only OpenMetrics knows (`info`) are gauges.

use std::{fmt::Write, io};

use super::super::{
    Flush,
    append::{has_any, push_double, push_integer, push_number, push_numbers},
};
use crate::stats::{Field, Kind, Unit, Value};

/// Samples that are written before they are handed on.
const PIECE: usize = 512;

/// The two forms of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::format) enum Dialect {
    OpenMetrics,
    /// The text form that is older than OpenMetrics.
    Prometheus,
}

/// All samples of one name, which OpenMetrics wants side by side.
pub(super) struct Family {
    /// Its name, without the ending of a counter's samples.
    name: String,
    /// The name of its samples.
    sample_name: String,
    kind: Kind,
    help: &'static str,
    samples: Vec<Sample>,
}

/// A sample before it is text, which takes six times the memory.
struct Sample {
    /// What [`Form`] says.
    bits: u64,
    form: Form,
    unit: Unit,
    kind: u16,
    labels: u32,
}

#[derive(Clone, Copy)]
enum Form {
    Unsigned,
    Signed,
    Double,
}

impl Form {
    /// Returns a value as bits of a form; a text has none, nor have many numbers.
    fn of(value: &Value<'_>) -> Option<(Self, u64)> {
        let signed = |number: i64| (Self::Signed, number.cast_unsigned());
        Some(match value {
            Value::Int(number) | Value::Word { code: number, .. } => signed((*number).into()),
            Value::LLong(number) => signed(*number),
            Value::UInt(number) => (Self::Unsigned, (*number).into()),
            Value::ULLong(number) => (Self::Unsigned, *number),
            Value::Boolean(truth) => (Self::Unsigned, (*truth).into()),
            Value::Double(number) => (Self::Double, number.to_bits()),
            Value::String(_) | Value::Numbers(_) => return None,
        })
    }
}

/// What stands between the names and the numbers of samples: `{domain="vm1",vcpu="0"} `. All the
/// samples of a section share one. Those of one kind of section stand side by side, because they
/// are written one after the other: to find them all over the memory would take longer than all
/// the rest.
#[derive(Default)]
pub(super) struct Labels(Vec<Texts>);

#[derive(Default)]
struct Texts {
    text: String,
    ends: Vec<usize>,
}

/// Labels that were kept.
#[derive(Clone, Copy)]
pub(super) struct Kept {
    kind: u16,
    number: u32,
}

impl Labels {
    /// Returns the number of another kind.
    pub(super) fn new_kind(&mut self) -> u16 {
        self.0.push(Texts::default());
        u16::try_from(self.0.len() - 1).unwrap_or(u16::MAX)
    }

    pub(super) fn keep(&mut self, kind: u16, labels: &str) -> Kept {
        let Texts { text, ends } = &mut self.0[usize::from(kind)];
        if !labels.is_empty() {
            text.push('{');
            text.push_str(labels);
            text.push('}');
        }
        text.push(' ');
        ends.push(text.len());
        Kept { kind, number: u32::try_from(ends.len() - 1).unwrap_or(u32::MAX) }
    }

    fn of(&self, sample: &Sample) -> &str {
        let Texts { text, ends } = &self.0[usize::from(sample.kind)];
        let number = sample.labels as usize;
        let start = number.checked_sub(1).map_or(0, |before| ends[before]);
        &text[start..ends[number]]
    }
}

impl Family {
    pub(super) fn new(name: &str, kind: Kind, help: &'static str) -> Self {
        let ending = if kind == Kind::Counter { "_total" } else { "" };
        let sample_name = format!("{name}{ending}");
        Self { name: name.to_owned(), sample_name, kind, help, samples: Vec::new() }
    }

    /// Adds a sample with these labels; a text is no sample, nor are many numbers.
    pub(super) fn push(&mut self, labels: Kept, unit: Unit, value: &Value<'_>) {
        if let Some((form, bits)) = Form::of(value) {
            let Kept { kind, number: labels } = labels;
            self.samples.push(Sample { bits, form, unit, kind, labels });
        }
    }

    /// Writes the family, unless it has no samples.
    pub(super) fn write(
        &self,
        dialect: Dialect,
        labels: &Labels,
        out: &mut String,
        flush: Flush<'_>,
    ) -> io::Result<()> {
        if self.samples.is_empty() {
            return Ok(());
        }
        let Self { name, sample_name, help, .. } = self;
        let announced = if dialect == Dialect::Prometheus { sample_name } else { name };
        let word = if self.kind == Kind::Counter { "counter" } else { "gauge" };
        // Writing to a string cannot fail.
        let _ = write!(out, "# HELP {announced} ");
        push_escaped(out, help, dialect == Dialect::OpenMetrics);
        let _ = writeln!(out, "\n# TYPE {announced} {word}");
        let unit = ["seconds", "bytes", "joules", "farads"]
            .into_iter()
            .find(|unit| name.rsplit('_').next() == Some(unit));
        if let Some(unit) = unit.filter(|_| dialect == Dialect::OpenMetrics) {
            let _ = writeln!(out, "# UNIT {name} {unit}");
        }
        for some in self.samples.chunks(PIECE) {
            for sample in some {
                out.push_str(sample_name);
                out.push_str(labels.of(sample));
                push_in_base_unit(out, sample);
                out.push('\n');
            }
            flush(out)?;
        }
        Ok(())
    }
}

/// Returns the metric name of a row, if its values are samples.
pub(super) fn sample_name(field: &Field) -> Option<String> {
    let metric = field.metric.filter(|_| field.kind != Kind::Info)?;
    Some(format!("libvirt_domain_{metric}"))
}

/// Appends the number of a sample in the base unit, exactly.
fn push_in_base_unit(out: &mut String, sample: &Sample) {
    match sample.form {
        Form::Unsigned => push_unsigned(out, sample.unit, sample.bits),
        Form::Signed => {
            let number = sample.bits.cast_signed();
            if number < 0 {
                out.push('-');
            }
            push_unsigned(out, sample.unit, number.unsigned_abs());
        }
        Form::Double => match f64::from_bits(sample.bits) {
            number if number.is_nan() => out.push_str("NaN"),
            f64::INFINITY => out.push_str("+Inf"),
            f64::NEG_INFINITY => out.push_str("-Inf"),
            number => push_double(out, number),
        },
    }
}

fn push_unsigned(out: &mut String, unit: Unit, number: u64) {
    match unit {
        Unit::Nanoseconds => push_billionths(out, number),
        Unit::Kibibytes => push_product(out, number, 1024),
        Unit::MebibytesPerSecond => push_product(out, number, 1_048_576),
        Unit::None | Unit::Count | Unit::Seconds | Unit::Bytes | Unit::Joules | Unit::Farads => {
            push_integer(out, number);
        }
    }
}

fn push_product(out: &mut String, number: u64, times: u64) {
    match number.checked_mul(times) {
        Some(number) => push_integer(out, number),
        None => push_integer(out, u128::from(number) * u128::from(times)),
    }
}

/// Appends a number divided by 10⁹, without rounding: `1.000000001`, `0.5`, `7`.
fn push_billionths(out: &mut String, number: u64) {
    const BILLION: u64 = 1_000_000_000;
    push_integer(out, number / BILLION);
    let fraction = number % BILLION;
    if fraction > 0 {
        out.push('.');
        // The digit before them keeps the zeros that they begin with.
        out.push_str(itoa::Buffer::new().format(BILLION + fraction)[1..].trim_end_matches('0'));
    }
}

/// Appends a label, after a comma if it is not the first.
pub(super) fn push_label(labels: &mut String, name: &str, value: &str) {
    push_label_of(labels, name, &Value::String(value.into()));
}

/// Appends a label whose value is one of a statistic.
pub(super) fn push_label_of(labels: &mut String, name: &str, value: &Value<'_>) {
    if !labels.is_empty() {
        labels.push(',');
    }
    labels.push_str(name);
    labels.push_str("=\"");
    match value {
        Value::String(text) => push_escaped(labels, text, true),
        Value::Word { word: Some(word), .. } => labels.push_str(word),
        Value::Boolean(truth) => labels.push_str(if *truth { "true" } else { "false" }),
        Value::Numbers(numbers) => push_numbers(labels, numbers, " "),
        // What is not finite.
        Value::Double(number) if !number.is_finite() => push_double(labels, *number),
        number => drop(push_number(labels, number)),
    }
    labels.push('"');
}

/// Appends a text with what could end it as escapes; only labels have quotes around them.
fn push_escaped(out: &mut String, text: &str, quoted: bool) {
    if !has_any(text, |byte| matches!(byte, b'\\' | b'\n' | b'"')) {
        return out.push_str(text);
    }
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quoted => out.push_str("\\\""),
            _ => out.push(character),
        }
    }
}
