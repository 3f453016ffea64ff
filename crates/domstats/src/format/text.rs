//! Text: what `virsh domstats` prints, byte for byte.
//!
//! Only a character that would forge a line or deceive is escaped (`\n`, `\u{1b}`): anybody can choose the
//! name of a file. Missing groups and domains have no place in this format.

use std::{fmt::Write, io};

use super::{Flush, append::push_number};
use crate::{
    format::flat::for_each_param,
    model::{
        name::{is_deceptive, may_deceive},
        report::StatsReport,
        stats::Value,
    },
};

pub(super) fn write(report: &StatsReport, buffer: &mut String, flush: Flush<'_>) -> io::Result<()> {
    for domain in &report.domains {
        buffer.push_str("Domain: '");
        push_text(buffer, &domain.domain.name);
        buffer.push_str("'\n");
        for_each_param(domain, |prefix, name, _, value| {
            buffer.push_str("  ");
            // A peer chose it.
            push_text(buffer, prefix);
            push_text(buffer, name);
            buffer.push('=');
            push_value(buffer, value);
            buffer.push('\n');
        });
        buffer.push('\n');
        flush(buffer)?;
    }
    Ok(())
}

fn push_text(out: &mut String, text: &str) {
    if !may_deceive(text) {
        return out.push_str(text);
    }
    for character in text.chars() {
        match is_deceptive(character) {
            true => out.extend(character.escape_default()),
            false => out.push(character),
        }
    }
}

/// Appends a value as virsh does: enumerations are numbers, doubles have six digits.
fn push_value(out: &mut String, value: &Value<'_>) {
    match value {
        Value::Boolean(truth) => out.push_str(if *truth { "yes" } else { "no" }),
        Value::String(text) => push_text(out, text),
        Value::Double(number) if number.is_nan() => out.push_str("nan"),
        // Writing to a string cannot fail.
        Value::Double(number) => drop(write!(out, "{number:.6}")),
        Value::Word { code, .. } => drop(push_number(out, &Value::Int(*code))),
        number => drop(push_number(out, number)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use crate::{
        DomainInfo, DomainStats, Format, StatsReport,
        model::stats::{Block, Blocks},
    };

    #[test]
    fn no_value_forges_a_record_or_turns_a_line() {
        let mut record =
            DomainStats::new(DomainInfo { name: "a\u{202e}b".into(), ..DomainInfo::default() });
        let path = Some("/x\n\nDomain: 'victim'\n  state.state=5\u{1b}[2J\u{2028}".to_owned());
        let disk = Block { path, ..Block::default() };
        record.block = Some(Blocks { blocks: vec![disk], ..Blocks::default() });
        let mut report = StatsReport::new(SystemTime::UNIX_EPOCH);
        report.domains.push(record);
        let mut text = Vec::new();
        Format::Text.write(&report, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "Domain: 'a\u{fffd}b'",
                "  block.0.path=/x\\n\\nDomain: 'victim'\\n  state.state=5\\u{1b}[2J\\u{2028}",
                "",
            ]
        );
    }
}
