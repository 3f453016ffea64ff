//! The catalogue: every statistic described once.
//!
//! A group file (`block.rs`, `vcpu.rs`, ...) has one `section!` table per struct (`section.rs`). The
//! row above a field gives its words in the flat key and in documents, what kind of number it is, its
//! unit and metric name; the doc comment is the help text. The macro defines the struct and implements
//! [`Section`] for it; everything else (formats, readers, schemas, docs) walks the rows. `attribute.rs`
//! does the same for the attributes of records, `group.rs` for the groups themselves.
//!
//! ```text
//! Section ─ schema() ─ rows: Field  one value      "rd.reqs"
//!                            List   many sections  "timed_group.<n>"
//!                            Part   one section    "latency_histogram.read"
//! ```

pub(crate) mod attribute;
pub(crate) mod extra;
pub(crate) mod group;
pub(crate) mod row;
pub(crate) mod section;
pub(crate) mod value;
pub(crate) mod walk;

use std::collections::HashSet;

use crate::model::{
    catalogue::{
        row::{Key, KeyKind, Schema},
        value::Leaf,
    },
    stats::{Extra, Value},
};

/// What a section has in one row.
pub enum Cell<'a> {
    /// The value of a [`Row::Field`](row::Row::Field), if it was read.
    Field(Option<Value<'a>>),
    /// The items of a [`Row::List`](row::Row::List).
    List(&'a dyn List),
    /// The section of a [`Row::Part`](row::Row::Part), if it was read.
    Part(Option<&'a dyn Section>),
}

/// A struct of the catalogue.
pub trait Section: Send + Sync {
    /// Returns the rows.
    fn schema(&self) -> &'static Schema;
    /// Returns what the section has in row number `row` of its schema.
    fn cell(&self, row: usize) -> Cell<'_>;
    /// Returns what a document or a peer said that no row describes.
    fn extra(&self) -> &Extra;
    #[doc(hidden)]
    fn extra_mut(&mut self) -> &mut Extra;
    #[doc(hidden)]
    fn slot(&mut self, row: usize) -> Slot<'_>;
}

/// The slot of one row, for a reader to fill. Taking the slot of a part creates the part.
#[doc(hidden)]
pub enum Slot<'a> {
    Field(&'a mut dyn FieldSlot),
    List(&'a mut dyn List),
    Part(&'a mut dyn Section),
}

/// The slot of one value.
#[doc(hidden)]
pub trait FieldSlot {
    /// Sets the value from a document or a peer; false if it is not of the field's type.
    fn set(&mut self, value: &Value<'_>) -> bool;
}

impl<T: Leaf> FieldSlot for Option<T> {
    fn set(&mut self, value: &Value<'_>) -> bool {
        *self = T::from_value(value);
        self.is_some()
    }
}

/// The items of a list, whatever their type.
pub trait List: Send + Sync {
    /// Returns the number of items.
    fn len(&self) -> usize;
    /// Returns whether the list is empty.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Returns an item by position.
    fn get(&self, position: usize) -> Option<(Key<'_>, &dyn Section)>;
    /// Returns the item with this key, created on first use.
    #[doc(hidden)]
    fn entry(&mut self, key: Key<'_>) -> &mut dyn Section;
    /// Adds an item with a key that the list does not have.
    #[doc(hidden)]
    fn push(&mut self, key: Key<'_>) -> &mut dyn Section;
}

/// A section that is an item of a list.
pub(crate) trait Item: Section + Default {
    const KEY: KeyKind;
    fn key(&self) -> Key<'_>;
    fn with_key(key: Key<'_>) -> Self;
}

/// Drops items that repeat the key of an earlier one.
pub(crate) fn keep_first_of_each<T: Item>(items: &mut Vec<T>) {
    let mut seen = HashSet::new();
    let first: Vec<bool> = items.iter().map(|item| seen.insert(item.key())).collect();
    let mut first = first.into_iter();
    items.retain(|_| first.next().unwrap_or(true));
}

impl<T: Item> List for Vec<T> {
    fn len(&self) -> usize {
        self.len()
    }

    fn get(&self, position: usize) -> Option<(Key<'_>, &dyn Section)> {
        self.as_slice().get(position).map(|item| (item.key(), item as &dyn Section))
    }

    fn entry(&mut self, key: Key<'_>) -> &mut dyn Section {
        // Flat keys come grouped by item, so the item is nearly always the last one.
        match self.iter().rposition(|item| item.key() == key) {
            Some(position) => &mut self[position],
            None => {
                // A deceptive name changes when it becomes a key.
                let new = T::with_key(key);
                let known = self.iter().rposition(|item| item.key() == new.key());
                let position = known.unwrap_or_else(|| {
                    self.push(new);
                    self.len() - 1
                });
                &mut self[position]
            }
        }
    }

    fn push(&mut self, key: Key<'_>) -> &mut dyn Section {
        self.push(T::with_key(key));
        let last = self.len() - 1;
        &mut self[last]
    }
}
