//! The rows of the catalogue: what describes a value, a list or a part of a section.

use std::fmt;

use crate::model::catalogue::value::ValueType;

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
