//! What the formats share: numbers as text, without the cost of `format!`, and indentation.

use std::fmt::Write;

use crate::stats::Value;

/// Appends a whole number.
pub(super) fn push_integer(out: &mut String, number: impl itoa::Integer) {
    out.push_str(itoa::Buffer::new().format(number));
}

/// Appends a floating point number with as many digits as it takes to read the same one back.
pub(super) fn push_double(out: &mut String, number: f64) {
    // Writing to a string cannot fail.
    let _ = write!(out, "{number}");
}

/// Appends a value that needs no quotes in any format: a number. False, and nothing appended, for
/// any other type.
pub(super) fn push_number(out: &mut String, value: &Value<'_>) -> bool {
    match value {
        Value::Int(number) => push_integer(out, *number),
        Value::UInt(number) => push_integer(out, *number),
        Value::LLong(number) => push_integer(out, *number),
        Value::ULLong(number) => push_integer(out, *number),
        Value::Double(number) if number.is_finite() => push_double(out, *number),
        Value::Word { code, word: None } => push_integer(out, *code),
        _ => return false,
    }
    true
}

/// Appends many numbers, with a text between them.
pub(super) fn push_numbers(out: &mut String, numbers: &[u64], between: &str) {
    for (position, number) in numbers.iter().enumerate() {
        if position > 0 {
            out.push_str(between);
        }
        push_integer(out, *number);
    }
}

/// Begins a line at a depth, two spaces a step.
pub(super) fn push_new_line(out: &mut String, depth: usize) {
    const LINE: &str = "\n                                ";
    let steps = depth.min(16);
    out.push_str(&LINE[..1 + 2 * steps]);
    (steps..depth).for_each(|_| out.push_str("  "));
}
