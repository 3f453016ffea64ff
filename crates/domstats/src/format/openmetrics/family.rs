//! Metric families: names, types, units, and samples in base units.
//!
//! A counter's samples end in `_total`. OpenMetrics announces the counter without that ending, the
//! older text form with it. Types that only OpenMetrics knows (`info`) are gauges.

use std::{fmt::Write, io};

use super::{
    super::{
        Flush,
        append::{has_any, push_double, push_integer},
    },
    labels::{Kept, Store, TextLabels},
    samples::Number,
};
use crate::model::{
    name::is_deceptive,
    stats::{Field, Kind, Unit, Value},
};

/// Samples that are written before they are handed on.
const PIECE: usize = 512;

/// The two forms of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    OpenMetrics,
    /// The text form that is older than OpenMetrics.
    Prometheus,
}

/// All samples of one name, which OpenMetrics wants side by side.
pub(super) struct Family {
    /// Its name, without the ending of a counter's samples.
    pub(super) name: String,
    /// The name of its samples.
    sample_name: String,
    pub(super) kind: Kind,
    pub(super) help: &'static str,
    pub(super) samples: Vec<Sample>,
}

/// A sample before it is text, which takes six times the memory.
pub(super) struct Sample {
    /// What [`Form`] says.
    bits: u64,
    form: Form,
    unit: Unit,
    pub(super) labels: Kept,
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

impl Family {
    pub(super) fn new(name: &str, kind: Kind, help: &'static str) -> Self {
        let ending = if kind == Kind::Counter { "_total" } else { "" };
        let sample_name = format!("{name}{ending}");
        Self { name: name.to_owned(), sample_name, kind, help, samples: Vec::new() }
    }

    /// Adds a sample with these labels; a text is no sample, nor are many numbers.
    pub(super) fn push(&mut self, labels: Kept, unit: Unit, value: &Value<'_>) {
        if let Some((form, bits)) = Form::of(value) {
            self.samples.push(Sample { bits, form, unit, labels });
        }
    }

    /// Returns the word for the base unit with which the name ends.
    pub(super) fn unit(&self) -> Option<&'static str> {
        let last = self.name.rsplit('_').next();
        ["seconds", "bytes", "joules", "farads"].into_iter().find(|unit| last == Some(unit))
    }

    /// Writes the family, unless it has no samples.
    pub(super) fn write(
        &self,
        dialect: Dialect,
        labels: &Store<TextLabels>,
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
        if let Some(unit) = self.unit().filter(|_| dialect == Dialect::OpenMetrics) {
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

/// A number in the base unit, exactly.
enum InBaseUnit {
    Whole(i128),
    Billionths(i128),
    Double(f64),
}

impl Sample {
    fn in_base_unit(&self) -> InBaseUnit {
        let whole = match self.form {
            Form::Unsigned => i128::from(self.bits),
            Form::Signed => i128::from(self.bits.cast_signed()),
            Form::Double => return InBaseUnit::Double(f64::from_bits(self.bits)),
        };
        match self.unit {
            Unit::Nanoseconds => InBaseUnit::Billionths(whole),
            Unit::Kibibytes => InBaseUnit::Whole(whole * 1024),
            Unit::MebibytesPerSecond => InBaseUnit::Whole(whole * 1_048_576),
            Unit::None
            | Unit::Count
            | Unit::Seconds
            | Unit::Bytes
            | Unit::Joules
            | Unit::Farads => InBaseUnit::Whole(whole),
        }
    }

    /// Returns the number in the base unit, as exactly as a machine's number is.
    #[expect(clippy::cast_precision_loss, reason = "a floating point number has 53 bits")]
    pub(super) fn number(&self) -> Number {
        match self.in_base_unit() {
            InBaseUnit::Whole(whole) => {
                i64::try_from(whole).map_or(Number::Double(whole as f64), Number::Integer)
            }
            InBaseUnit::Billionths(number) => Number::Double(number as f64 / 1e9),
            InBaseUnit::Double(number) => Number::Double(number),
        }
    }
}

fn push_in_base_unit(out: &mut String, sample: &Sample) {
    match sample.in_base_unit() {
        InBaseUnit::Whole(whole) => push_whole(out, whole),
        InBaseUnit::Billionths(number) => push_billionths(out, number),
        InBaseUnit::Double(number) if number.is_nan() => out.push_str("NaN"),
        InBaseUnit::Double(f64::INFINITY) => out.push_str("+Inf"),
        InBaseUnit::Double(f64::NEG_INFINITY) => out.push_str("-Inf"),
        InBaseUnit::Double(number) => push_double(out, number),
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
        out.push('.');
        // The digit before them keeps the zeros that they begin with.
        out.push_str(itoa::Buffer::new().format(BILLION + fraction)[1..].trim_end_matches('0'));
    }
}

/// Appends a text with escapes for special characters and U+FFFD for deceptive ones; only labels are
/// quoted.
pub(super) fn push_escaped(out: &mut String, text: &str, quoted: bool) {
    if !has_any(text, |byte| matches!(byte, b'\\' | b'"') | !matches!(byte, b' '..=b'~')) {
        return out.push_str(text);
    }
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quoted => out.push_str("\\\""),
            _ if is_deceptive(character) => out.push(char::REPLACEMENT_CHARACTER),
            _ => out.push(character),
        }
    }
}
