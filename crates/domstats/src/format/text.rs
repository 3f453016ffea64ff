//! Text: what `virsh domstats` prints, byte for byte.
//!
//! Texts are printed as they are, as virsh does: a line break in a path is a line break here.
//! What is missing has no place in this format.

use std::{fmt::Write, io};

use super::{Flush, append::push_number};
use crate::{
    report::StatsReport,
    stats::{Value, params::for_each_param},
};

pub(super) fn write(report: &StatsReport, buffer: &mut String, flush: Flush<'_>) -> io::Result<()> {
    for domain in &report.domains {
        buffer.push_str("Domain: '");
        buffer.push_str(&domain.domain.name);
        buffer.push_str("'\n");
        for_each_param(domain, |prefix, name, _, value| {
            buffer.push_str("  ");
            buffer.push_str(prefix);
            buffer.push_str(name);
            buffer.push('=');
            push_value(buffer, value);
            buffer.push('\n');
        });
        buffer.push('\n');
        flush(buffer)?;
    }
    Ok(())
}

/// Appends a value as virsh does: enumerations are numbers, doubles have six digits.
fn push_value(out: &mut String, value: &Value<'_>) {
    match value {
        Value::Boolean(truth) => out.push_str(if *truth { "yes" } else { "no" }),
        Value::String(text) => out.push_str(text),
        Value::Double(number) if number.is_nan() => out.push_str("nan"),
        // Writing to a string cannot fail.
        Value::Double(number) => drop(write!(out, "{number:.6}")),
        Value::Word { code, .. } => drop(push_number(out, &Value::Int(*code))),
        number => drop(push_number(out, number)),
    }
}
