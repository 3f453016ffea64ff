//! Walks a domain's values in libvirt's order.

use crate::model::{
    report::DomainStats,
    stats::{Cell, Extra, Field, GROUPS, Group, Key, ListRow, PartRow, Row, Section, Value},
};

/// What a format does with each step of a [`walk`]. Every step has a default that does nothing,
/// except the value itself.
///
/// ```text
/// group( item( value* part( value* ) extra )* value* extra )*
/// ```
pub trait Visitor {
    /// A group of the domain begins.
    fn enter_group(&mut self, _group: &'static Group, _section: &dyn Section) {}
    /// The group ends.
    fn leave_group(&mut self, _group: &'static Group) {}
    /// A list that has items begins.
    fn enter_list(&mut self, _list: &'static ListRow) {}
    /// The list ends.
    fn leave_list(&mut self, _list: &'static ListRow) {}
    /// An item of the list begins; `position` counts from 0.
    fn enter_item(
        &mut self,
        _list: &'static ListRow,
        _key: Key<'_>,
        _position: usize,
        _section: &dyn Section,
    ) {
    }
    /// The item ends.
    fn leave_item(&mut self, _list: &'static ListRow) {}
    /// A part begins.
    fn enter_part(&mut self, _part: &'static PartRow, _section: &dyn Section) {}
    /// The part ends.
    fn leave_part(&mut self, _part: &'static PartRow) {}
    /// A value. Values that were not read are not visited.
    fn value(&mut self, field: &'static Field, value: &Value<'_>);
    /// What no row describes, at the end of its section. Not visited when empty.
    fn extra(&mut self, _extra: &Extra) {}
}

/// Visits every value of a domain: groups in the order of their bits, rows in libvirt's order.
pub fn walk(domain: &DomainStats, visitor: &mut dyn Visitor) {
    for group in GROUPS {
        if let Some(section) = group.of(domain) {
            visitor.enter_group(group, section);
            walk_section(section, visitor);
            visitor.leave_group(group);
        }
    }
}

fn walk_section(section: &dyn Section, visitor: &mut dyn Visitor) {
    for (number, row) in section.schema().rows.iter().enumerate() {
        match (row, &section.cell(number)) {
            (Row::Field(field), Cell::Field(Some(value))) => visitor.value(field, value),
            (Row::List(row), Cell::List(list)) if !list.is_empty() => {
                visitor.enter_list(row);
                for position in 0..list.len() {
                    if let Some((key, item)) = list.get(position) {
                        visitor.enter_item(row, key, position, item);
                        walk_section(item, visitor);
                        visitor.leave_item(row);
                    }
                }
                visitor.leave_list(row);
            }
            (Row::Part(row), Cell::Part(Some(part))) => {
                visitor.enter_part(row, *part);
                walk_section(*part, visitor);
                visitor.leave_part(row);
            }
            _ => {}
        }
    }
    if !section.extra().is_empty() {
        visitor.extra(section.extra());
    }
}
