//! Shared by the formats: numbers as text without the cost of `format!`, and indentation.

use std::fmt::Write;

use crate::model::stats::Value;

/// Appends a whole number.
pub(super) fn push_integer(out: &mut String, number: impl itoa::Integer) {
    out.push_str(itoa::Buffer::new().format(number));
}

/// Appends a floating point number with as many digits as it takes to read the same one back.
pub(super) fn push_double(out: &mut String, number: f64) {
    // Writing to a string cannot fail.
    let _ = write!(out, "{number}");
}

/// Appends a number, which needs no quotes in any format. Returns false, and appends nothing, for
/// any other value.
#[inline]
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

/// Returns whether a text has a special byte. A fold checks many bytes at a time; a search would
/// check one after the other.
pub(super) fn has_any(text: &str, special: impl Fn(u8) -> bool) -> bool {
    text.bytes().fold(false, |found, byte| found | special(byte))
}

/// Appends many numbers, with a text between them.
pub(crate) fn push_numbers(out: &mut String, numbers: &[u64], between: &str) {
    for (position, number) in numbers.iter().enumerate() {
        if position > 0 {
            out.push_str(between);
        }
        push_integer(out, *number);
    }
}

/// Begins a line at a depth, with two spaces per level.
pub(super) fn push_new_line(out: &mut String, depth: usize) {
    const DEEPEST: usize = 12;
    const LINE: &str = "\n                        ";
    // Of constant length and cut: that takes a tenth of the instructions of a copy of any length.
    let end = out.len() + 1 + 2 * depth;
    out.push_str(LINE);
    (DEEPEST..depth).for_each(|_| out.push_str("  "));
    out.truncate(end);
}
