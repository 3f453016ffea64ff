//! Text: what `virsh domstats` prints, byte for byte.
//!
//! Texts are printed as they are, as virsh does: a line break in a path is a line break here.
//! What is missing has no place in this format.

use std::{fmt::Write, io};

use super::{Flush, append::push_number};
use crate::{
    report::StatsReport,
    stats::{
        Extra, Field, Group, Key, ListRow, PartRow, Section, Value, Visitor, params::FlatKey, walk,
    },
};

pub(super) fn write(report: &StatsReport, buffer: &mut String, flush: Flush<'_>) -> io::Result<()> {
    for domain in &report.domains {
        buffer.push_str("Domain: '");
        buffer.push_str(&domain.domain.name);
        buffer.push_str("'\n");
        let mut text = Text {
            out: buffer,
            key: FlatKey::default(),
        };
        walk(domain, &mut text);
        text.extra(&domain.extra);
        buffer.push('\n');
        flush(buffer)?;
    }
    Ok(())
}

struct Text<'a> {
    out: &'a mut String,
    key: FlatKey,
}

impl Text<'_> {
    fn line(&mut self, name: &str, value: &Value<'_>) {
        self.out.push_str("  ");
        self.out.push_str(self.key.prefix());
        self.out.push_str(name);
        self.out.push('=');
        push_value(self.out, value);
        self.out.push('\n');
    }
}

impl Visitor for Text<'_> {
    fn enter_group(&mut self, group: &'static Group, _: &dyn Section) {
        self.key.enter(group.flat, None);
    }
    fn leave_group(&mut self, _: &'static Group) {
        self.key.leave();
    }
    fn enter_item(&mut self, list: &'static ListRow, key: Key<'_>, _: usize, _: &dyn Section) {
        self.key.enter(list.path, Some(key));
    }
    fn leave_item(&mut self, _: &'static ListRow) {
        self.key.leave();
    }
    fn enter_part(&mut self, part: &'static PartRow, _: &dyn Section) {
        self.key.enter(part.path, None);
    }
    fn leave_part(&mut self, _: &'static PartRow) {
        self.key.leave();
    }
    fn value(&mut self, field: &'static Field, value: Value<'_>) {
        self.line(field.path, &value);
    }
    fn extra(&mut self, extra: &Extra) {
        for (name, value) in extra.params() {
            self.line(&name, &value);
        }
    }
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
