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
pub(crate) mod section;
pub(crate) mod value;
pub(crate) mod walk;

use std::{collections::HashSet, fmt};

use crate::model::{
    catalogue::value::Leaf,
    stats::{Extra, Value, ValueType},
};

/// What kind of number a statistic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Only grows while the domain runs; starts again from 0 with a new process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A text or setting that identifies or describes.
    Info,
}

/// The unit of a statistic, in every format but the metrics, which have base units only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// No unit: an enumeration, a text, a truth value, or whatever the hypervisor defines.
    None,
    /// A number of things or events.
    Count,
    /// 10⁻⁹ seconds.
    Nanoseconds,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// 1,024 bytes.
    Kibibytes,
    /// 1,048,576 bytes a second.
    MebibytesPerSecond,
    /// Joules.
    Joules,
    /// Farads, as the kernel reports the activity of a package.
    Farads,
}

impl Unit {
    /// Returns the unit as people write it, empty for none.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Count => "count",
            Self::Nanoseconds => "ns",
            Self::Seconds => "s",
            Self::Bytes => "B",
            Self::Kibibytes => "KiB",
            Self::MebibytesPerSecond => "MiB/s",
            Self::Joules => "J",
            Self::Farads => "F",
        }
    }

    /// Returns the unit of a symbol in the catalogue's tables.
    pub(crate) const fn from_symbol(symbol: &str) -> Self {
        match symbol.as_bytes() {
            b"" => Self::None,
            b"count" => Self::Count,
            b"ns" => Self::Nanoseconds,
            b"s" => Self::Seconds,
            b"B" => Self::Bytes,
            b"KiB" => Self::Kibibytes,
            b"MiB/s" => Self::MebibytesPerSecond,
            b"J" => Self::Joules,
            b"F" => Self::Farads,
            _ => panic!("no unit has this symbol"),
        }
    }
}

/// Where a document puts a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// An element of its own in XML.
    Element,
    /// An attribute of the section's element in XML.
    Attribute,
    /// The text of the section's element in XML.
    Text,
}

/// One statistic.
#[derive(Debug)]
#[non_exhaustive]
pub struct Field {
    /// Its name in Rust and Python: `rd_reqs`.
    pub name: &'static str,
    /// The words below the section, joined by dots: `rd.reqs`. The last part of the flat key, and
    /// the nested names in documents.
    pub path: &'static str,
    /// The words in documents; nearly always those of `path`.
    pub doc_path: &'static str,
    /// The type of its values.
    pub value_type: ValueType,
    /// What kind of number it is.
    pub kind: Kind,
    /// Its unit.
    pub unit: Unit,
    /// Where XML puts it.
    pub place: Place,
    /// The metric name below `libvirt_domain_`, without unit conversion or suffix to be added;
    /// for [`Kind::Info`], the label of the section's info metric. `None` if it is not exported.
    pub metric: Option<&'static str>,
    /// The words of an enumeration.
    pub words: &'static [&'static str],
    /// The lines of help: what it is, then where it comes from.
    pub docs: &'static [&'static str],
}

impl Field {
    /// Returns what the statistic is, in one line.
    #[must_use]
    pub fn help(&self) -> &'static str {
        self.docs.first().map_or("", |line| line.trim())
    }

    /// Returns where the value comes from: the QMP command, the file, the libvirt field.
    pub fn source(&self) -> impl Iterator<Item = &'static str> {
        self.docs.iter().skip(1).map(|line| line.trim())
    }
}

/// How the items of a list are identified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// By position; a missing entry leaves a gap.
    Index,
    /// By a number of their own, such as a vCPU's.
    Id,
    /// By name.
    Name,
}

impl KeyKind {
    /// Returns the word that documents use for the key of an item.
    #[must_use]
    pub fn attribute(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Id => "id",
            Self::Name => "name",
        }
    }
}

/// The identity of one item of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key<'a> {
    /// The position.
    Index(u32),
    /// The item's own number.
    Id(u32),
    /// The item's name.
    Name(&'a str),
}

impl Key<'_> {
    /// Returns the number; 0 for a name, which no list of numbers has.
    pub(crate) fn number(self) -> u32 {
        match self {
            Self::Index(number) | Self::Id(number) => number,
            Self::Name(_) => 0,
        }
    }
}

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(number) | Self::Id(number) => number.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// A list of sections.
#[derive(Debug)]
#[non_exhaustive]
pub struct ListRow {
    /// Its name in Rust and Python: `timed_groups`.
    pub name: &'static str,
    /// The words between the section's flat key and the item's: `cache.monitor`, often empty.
    pub path: &'static str,
    /// The words in documents; the last one is the item's element.
    pub doc_path: &'static str,
    /// How the items are identified.
    pub key: KeyKind,
    /// The metric label that names an item.
    pub label: &'static str,
    /// The metric name below `libvirt_domain_` that carries the texts of an item as labels.
    pub info: Option<&'static str>,
    /// What an item has.
    pub schema: &'static Schema,
    /// The lines of help.
    pub docs: &'static [&'static str],
}

/// A section inside a section.
#[derive(Debug)]
#[non_exhaustive]
pub struct PartRow {
    /// Its name in Rust and Python: `read_histogram`.
    pub name: &'static str,
    /// The words between the section's flat key and the part's.
    pub path: &'static str,
    /// A metric label and its value, which tell parts of one type apart.
    pub label: (&'static str, &'static str),
    /// What the part has.
    pub schema: &'static Schema,
    /// The lines of help.
    pub docs: &'static [&'static str],
}

/// One row of the catalogue.
#[derive(Debug)]
#[non_exhaustive]
pub enum Row {
    /// One value.
    Field(Field),
    /// Many sections.
    List(ListRow),
    /// One section.
    Part(PartRow),
}

/// The rows of one struct, in the order in which libvirt prints them.
#[derive(Debug)]
#[non_exhaustive]
pub struct Schema {
    /// The struct's name.
    pub name: &'static str,
    /// The rows.
    pub rows: &'static [Row],
}

/// What a section has in one row.
pub enum Cell<'a> {
    /// The value of a [`Row::Field`], if it was read.
    Field(Option<Value<'a>>),
    /// The items of a [`Row::List`].
    List(&'a dyn List),
    /// The section of a [`Row::Part`], if it was read.
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
