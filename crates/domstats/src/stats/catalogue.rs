//! The catalogue: every statistic described once.
//!
//! A group file (`block.rs`, `vcpu.rs`, ...) holds one [`section!`] table per struct. A row gives
//! the Rust field, its type, its words in the flat key and in documents, what kind of number it
//! is, its unit and metric name; its doc comment is the help text. The macro makes the struct and
//! a [`Section`] implementation of it; everything else (formats, readers, schemas, docs) walks
//! the rows.
//!
//! ```text
//! Section ─ schema() ─ rows: Field  one value      "rd.reqs"
//!                            List   many sections  "timed_group.<n>"
//!                            Part   one section    "latency_histogram.read"
//! ```

use std::{collections::HashSet, fmt};

use super::{Extra, Value, ValueType, value::Leaf};

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

/// How the items of a list are told apart.
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
    /// How the items are told apart.
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
    /// Returns what a document or a peer said and no row describes.
    fn extra(&self) -> &Extra;
    #[doc(hidden)]
    fn extra_mut(&mut self) -> &mut Extra;
    #[doc(hidden)]
    fn slot(&mut self, row: usize) -> Slot<'_>;
}

/// The place of one row, for a reader to fill. A part comes into being when its slot is taken.
#[doc(hidden)]
pub enum Slot<'a> {
    Field(&'a mut dyn FieldSlot),
    List(&'a mut dyn List),
    Part(&'a mut dyn Section),
}

/// The place of one value.
#[doc(hidden)]
pub trait FieldSlot {
    /// Sets the value from a document or a peer; false if it is not of the field's type.
    fn set(&mut self, value: &serde_json::Value) -> bool;
}

impl<T: Leaf> FieldSlot for Option<T> {
    fn set(&mut self, value: &serde_json::Value) -> bool {
        *self = T::read(value);
        self.is_some()
    }
}

/// The items of a list, whatever their type.
pub trait List: Send + Sync {
    /// Returns the number of items.
    fn len(&self) -> usize;
    /// Returns whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Returns an item by position.
    fn get(&self, position: usize) -> Option<(Key<'_>, &dyn Section)>;
    /// Returns the item of this key, made on first use.
    #[doc(hidden)]
    fn entry(&mut self, key: Key<'_>) -> &mut dyn Section;
    /// Makes the item of a key that the list does not have.
    #[doc(hidden)]
    fn push(&mut self, key: Key<'_>) -> &mut dyn Section;
}

/// A section that is an item of a list.
pub(crate) trait Item: Section + Default {
    const KEY: KeyKind;
    fn key(&self) -> Key<'_>;
    fn with_key(key: Key<'_>) -> Self;
}

/// Drops the items that repeat a key: a peer that says something twice has said it.
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
            None => List::push(self, key),
        }
    }

    fn push(&mut self, key: Key<'_>) -> &mut dyn Section {
        self.push(T::with_key(key));
        let last = self.len() - 1;
        &mut self[last]
    }
}

/// Makes a struct and its [`Section`] from a table of rows.
///
/// ```text
/// section! {
///     /// What the struct is.
///     pub struct Name[Key] {           // [Index], [Id] or [Name] for the items of a list, else []
///         /// What the value is.
///         /// Where it comes from.
///         field: type = ("flat.path", Kind, Unit, metric "name", place Attribute, doc "path");
///         /// What the items are.
///         list: [Item] = ("flat.path", "doc.path", label "label", info "name");
///         /// What the part is.
///         part: {Part} = ("flat.path", label "name" "value");
///     }
/// }
/// ```
///
/// `metric`, `place`, `doc` and `info` may be left out, in this order.
macro_rules! section {
    (
        $(#[$attr:meta])*
        pub struct $name:ident[$($key:ident)?] {
            $($(#[doc = $doc:literal])* $field:ident: $shape:tt = $row:tt;)*
        }
    ) => {
        section!(@struct [$($key)?] [$(#[$attr])*] $name $([$($doc)*] $field $shape)*);

        impl $name {
            /// The rows of the catalogue that describe this struct.
            pub const SCHEMA: &'static $crate::stats::Schema = &$crate::stats::Schema {
                name: stringify!($name),
                rows: &[$(section!(@row $field [$($doc),*] $shape $row)),*],
            };
        }

        impl $crate::stats::Section for $name {
            fn schema(&self) -> &'static $crate::stats::Schema {
                Self::SCHEMA
            }

            fn extra(&self) -> &$crate::stats::Extra {
                &self.extra
            }

            fn extra_mut(&mut self) -> &mut $crate::stats::Extra {
                &mut self.extra
            }

            section!(@by_row cell [&] [$crate::stats::Cell<'_>] $($field $shape)*);
            section!(@by_row slot [&mut] [$crate::stats::catalogue::Slot<'_>] $($field $shape)*);
        }

        $(section!(@item $key $name);)?
    };

    // The struct, with the key that an item has.
    (@struct [] $attr:tt $name:ident $($row:tt)*) => {
        section!(@fields $attr $name [] $($row)*);
    };
    (@struct [Index] $attr:tt $name:ident $($row:tt)*) => {
        section!(@fields $attr $name [#[doc = "The position in the list."] pub index: u32,] $($row)*);
    };
    (@struct [Id] $attr:tt $name:ident $($row:tt)*) => {
        section!(@fields $attr $name [#[doc = "The number of its own."] pub id: u32,] $($row)*);
    };
    (@struct [Name] $attr:tt $name:ident $($row:tt)*) => {
        section!(@fields $attr $name [#[doc = "The name."] pub name: String,] $($row)*);
    };
    (@fields [$($attr:tt)*] $name:ident [$($key:tt)*]
        $([$($doc:literal)*] $field:ident $shape:tt)*
    ) => {
        $($attr)*
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct $name {
            $($key)*
            $($(#[doc = $doc])* pub $field: section!(@type $shape),)*
            /// What no row describes: the words of a newer peer, kept as they came.
            pub extra: $crate::stats::Extra,
        }
    };
    (@type [$item:ident]) => { Vec<$item> };
    (@type {$part:ident}) => { Option<$part> };
    (@type $leaf:ident) => { Option<$leaf> };

    // Its identity in a list.
    (@item Index $name:ident) => { section!(@number Index index $name); };
    (@item Id $name:ident) => { section!(@number Id id $name); };
    (@number $kind:ident $field:ident $name:ident) => {
        impl $crate::stats::catalogue::Item for $name {
            const KEY: $crate::stats::KeyKind = $crate::stats::KeyKind::$kind;
            fn key(&self) -> $crate::stats::Key<'_> {
                $crate::stats::Key::$kind(self.$field)
            }
            fn with_key(key: $crate::stats::Key<'_>) -> Self {
                Self { $field: key.number(), ..Self::default() }
            }
        }
    };
    (@item Name $name:ident) => {
        impl $crate::stats::catalogue::Item for $name {
            const KEY: $crate::stats::KeyKind = $crate::stats::KeyKind::Name;
            fn key(&self) -> $crate::stats::Key<'_> {
                $crate::stats::Key::Name(&self.name)
            }
            fn with_key(key: $crate::stats::Key<'_>) -> Self {
                Self { name: key.to_string(), ..Self::default() }
            }
        }
    };

    // The descriptor of a row.
    (@row $field:ident $docs:tt [$item:ident]
        ($path:literal, $doc_path:literal, label $label:literal $(, info $info:literal)?)
    ) => {
        $crate::stats::Row::List($crate::stats::ListRow {
            name: stringify!($field),
            path: $path,
            doc_path: $doc_path,
            key: <$item as $crate::stats::catalogue::Item>::KEY,
            label: $label,
            info: section!(@option $($info)?),
            schema: $item::SCHEMA,
            docs: &$docs,
        })
    };
    (@row $field:ident $docs:tt {$part:ident} ($path:literal, label $label:literal $value:literal)) => {
        $crate::stats::Row::Part($crate::stats::PartRow {
            name: stringify!($field),
            path: $path,
            label: ($label, $value),
            schema: $part::SCHEMA,
            docs: &$docs,
        })
    };
    (@row $field:ident $docs:tt $leaf:ident
        ($path:literal, $kind:ident, $unit:ident
            $(, metric $metric:literal)? $(, place $place:ident)? $(, doc $doc_path:literal)?)
    ) => {
        $crate::stats::Row::Field($crate::stats::Field {
            name: stringify!($field),
            path: $path,
            doc_path: section!(@or $path $(, $doc_path)?),
            value_type: <$leaf as $crate::stats::value::Leaf>::TYPE,
            kind: $crate::stats::Kind::$kind,
            unit: $crate::stats::Unit::$unit,
            place: section!(@place $($place)?),
            metric: section!(@option $($metric)?),
            words: <$leaf as $crate::stats::value::Leaf>::WORDS,
            docs: &$docs,
        })
    };
    (@option) => { None };
    (@option $value:literal) => { Some($value) };
    (@or $default:literal) => { $default };
    (@or $default:literal, $value:literal) => { $value };
    (@place) => { $crate::stats::Place::Element };
    (@place $place:ident) => { $crate::stats::Place::$place };

    // Access by row: both functions count and compare, the compiler makes a jump table of it.
    (@by_row $function:ident [$($borrow:tt)*] [$result:ty] $($field:ident $shape:tt)*) => {
        #[allow(unused_assignments, reason = "the count after the last row")]
        fn $function($($borrow)* self, row: usize) -> $result {
            let mut number = 0;
            $(
                if row == number {
                    return section!(@$function self.$field, $shape);
                }
                number += 1;
            )*
            unreachable!("row {row} of {number}")
        }
    };
    (@cell $place:expr, [$item:ident]) => { $crate::stats::Cell::List(&$place) };
    (@cell $place:expr, {$part:ident}) => {
        $crate::stats::Cell::Part($place.as_ref().map(|part| part as _))
    };
    (@cell $place:expr, $leaf:ident) => {
        $crate::stats::Cell::Field($place.as_ref().map($crate::stats::value::Leaf::value))
    };
    (@slot $place:expr, [$item:ident]) => { $crate::stats::catalogue::Slot::List(&mut $place) };
    (@slot $place:expr, {$part:ident}) => {
        $crate::stats::catalogue::Slot::Part($place.get_or_insert_default())
    };
    (@slot $place:expr, $leaf:ident) => { $crate::stats::catalogue::Slot::Field(&mut $place) };
}
pub(crate) use section;
