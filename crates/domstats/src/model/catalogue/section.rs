//! The macro behind the catalogue: a struct with a row of the catalogue above each field.

use crate::model::catalogue::{
    Item,
    row::{Field, Kind, ListRow, PartRow, Place, Row, Schema, Unit},
    value::Leaf,
};

/// Defines a struct and its [`Section`](crate::model::stats::Section). The attribute above each field
/// is the field's row; its options are named and may come in any order.
///
/// ```text
/// section!(
///     /// What the struct is.
///     #[item(index)]                 // only for the items of a list: `index`, `id` or `name`
///     pub struct Block {
///         /// What the value is.
///         /// Where it comes from.
///         #[counter(path = "rd.bytes", unit = "B", metric = "block_stats_read_bytes")]
///         pub rd_bytes: Option<u64>,
///         /// What the items are.
///         /// Where they come from.
///         #[list(path = "timed_group", doc_path = "timed_group", label = "interval")]
///         pub timed_groups: Vec<TimedGroup>,
///         /// What the part is.
///         /// Where it comes from.
///         #[part(path = "latency_histogram.read", label = "operation", value = "read")]
///         pub read_histogram: Option<LatencyHistogram>,
///     }
/// );
/// ```
///
/// | row | options |
/// |---|---|
/// | `counter`, `gauge`, `info` | those of [`FieldOptions`] |
/// | `list` | those of [`ListOptions`] |
/// | `part` | those of [`PartOptions`] |
///
/// The macro adds the field that holds an item's key, and `extra`.
macro_rules! section {
    (
        $(#[doc = $about:literal])*
        $(#[item($key:ident)])?
        pub struct $name:ident {
            $(
                $(#[doc = $doc:literal])*
                $(#[counter $counter:tt])?
                $(#[gauge $gauge:tt])?
                $(#[info $info:tt])?
                $(#[list $list:tt])?
                $(#[part $part:tt])?
                pub $field:ident: $outer:ident<$inner:ident>,
            )*
        }
    ) => {
        section!(@struct [$($key)?] [$(#[doc = $about])*] $name
            $([$($doc)*] $field $outer $inner)*);

        impl $name {
            /// The rows of the catalogue that describe this struct.
            #[allow(clippy::needless_update, reason = "a row may give every option")]
            pub const SCHEMA: &'static $crate::model::stats::Schema = &$crate::model::stats::Schema {
                name: stringify!($name),
                rows: &[$(
                    section!(@row $field $inner [$($doc),*] $(Counter $counter)? $(Gauge $gauge)?
                        $(Info $info)? $(list $list)? $(part $part)?)
                ),*],
            };
        }

        impl $crate::model::stats::Section for $name {
            fn schema(&self) -> &'static $crate::model::stats::Schema {
                Self::SCHEMA
            }

            fn extra(&self) -> &$crate::model::stats::Extra {
                &self.extra
            }

            fn extra_mut(&mut self) -> &mut $crate::model::stats::Extra {
                &mut self.extra
            }

            section!(@by_row cell [&] [$crate::model::stats::Cell<'_>] $([
                $field $(field $counter)? $(field $gauge)? $(field $info)? $(list $list)? $(part $part)?
            ])*);
            section!(@by_row slot [&mut] [$crate::model::catalogue::Slot<'_>] $([
                $field $(field $counter)? $(field $gauge)? $(field $info)? $(list $list)? $(part $part)?
            ])*);
        }

        $(section!(@item $key $name);)?
    };

    // The struct, with the key of an item.
    (@struct [] $about:tt $name:ident $($row:tt)*) => {
        section!(@fields $about $name [] $($row)*);
    };
    (@struct [index] $about:tt $name:ident $($row:tt)*) => {
        section!(@fields $about $name [#[doc = "The position in the list."] pub index: u32,] $($row)*);
    };
    (@struct [id] $about:tt $name:ident $($row:tt)*) => {
        section!(@fields $about $name [#[doc = "The number of its own."] pub id: u32,] $($row)*);
    };
    (@struct [name] $about:tt $name:ident $($row:tt)*) => {
        section!(@fields $about $name [#[doc = "The name."] pub name: $crate::model::name::Name,] $($row)*);
    };
    (@fields [$($about:tt)*] $name:ident [$($key:tt)*]
        $([$($doc:literal)*] $field:ident $outer:ident $inner:ident)*
    ) => {
        $($about)*
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct $name {
            $($key)*
            $($(#[doc = $doc])* pub $field: $outer<$inner>,)*
            /// What no row describes: the words of a newer peer, kept as they came.
            pub extra: $crate::model::stats::Extra,
        }
    };

    // The key of an item.
    (@item index $name:ident) => { section!(@number Index index $name); };
    (@item id $name:ident) => { section!(@number Id id $name); };
    (@number $kind:ident $field:ident $name:ident) => {
        impl $crate::model::catalogue::Item for $name {
            const KEY: $crate::model::stats::KeyKind = $crate::model::stats::KeyKind::$kind;
            fn key(&self) -> $crate::model::stats::Key<'_> {
                $crate::model::stats::Key::$kind(self.$field)
            }
            fn with_key(key: $crate::model::stats::Key<'_>) -> Self {
                Self { $field: key.number(), ..Self::default() }
            }
        }
    };
    (@item name $name:ident) => {
        impl $crate::model::catalogue::Item for $name {
            const KEY: $crate::model::stats::KeyKind = $crate::model::stats::KeyKind::Name;
            fn key(&self) -> $crate::model::stats::Key<'_> {
                $crate::model::stats::Key::Name(&self.name)
            }
            fn with_key(key: $crate::model::stats::Key<'_>) -> Self {
                Self { name: key.to_string().into(), ..Self::default() }
            }
        }
    };

    // The row of a field.
    (@row $field:ident $inner:ident $docs:tt list ($($option:ident = $value:literal),* $(,)?)) => {
        $crate::model::catalogue::section::ListOptions {
            $($option: $value,)*
            ..$crate::model::catalogue::section::ListOptions::DEFAULT
        }
        .row::<$inner>(stringify!($field), $inner::SCHEMA, &$docs)
    };
    (@row $field:ident $inner:ident $docs:tt part ($($option:ident = $value:literal),* $(,)?)) => {
        $crate::model::catalogue::section::PartOptions {
            $($option: $value,)*
            ..$crate::model::catalogue::section::PartOptions::DEFAULT
        }
        .row(stringify!($field), $inner::SCHEMA, &$docs)
    };
    (@row $field:ident $inner:ident $docs:tt $kind:ident ($($option:ident = $value:literal),* $(,)?)) => {
        $crate::model::catalogue::section::FieldOptions {
            $($option: $value,)*
            ..$crate::model::catalogue::section::FieldOptions::DEFAULT
        }
        .row::<$inner>(stringify!($field), $crate::model::stats::Kind::$kind, &$docs)
    };

    // Access by row: both functions count and compare, the compiler makes a jump table of it.
    (@by_row $function:ident [$($borrow:tt)*] [$result:ty]
        $([$field:ident $shape:ident $options:tt])*
    ) => {
        #[allow(unused_assignments, reason = "the count after the last row")]
        fn $function($($borrow)* self, row: usize) -> $result {
            let mut number = 0;
            $(
                if row == number {
                    return section!(@$function $shape self.$field);
                }
                number += 1;
            )*
            unreachable!("row {row} of {number}")
        }
    };
    (@cell list $place:expr) => { $crate::model::stats::Cell::List(&$place) };
    (@cell part $place:expr) => {
        $crate::model::stats::Cell::Part($place.as_ref().map(|part| part as _))
    };
    (@cell field $place:expr) => {
        $crate::model::stats::Cell::Field($place.as_ref().map($crate::model::catalogue::value::Leaf::value))
    };
    (@slot list $place:expr) => { $crate::model::catalogue::Slot::List(&mut $place) };
    (@slot part $place:expr) => {
        $crate::model::catalogue::Slot::Part($place.get_or_insert_default())
    };
    (@slot field $place:expr) => { $crate::model::catalogue::Slot::Field(&mut $place) };
}
pub(crate) use section;

/// The options of a value's row. An empty option is one that was not given.
pub(crate) struct FieldOptions {
    /// The words below the section in flat keys and documents; the field's name by default.
    pub(crate) path: &'static str,
    /// The words in documents, if they are not those of `path`.
    pub(crate) doc_path: &'static str,
    /// The unit's [symbol](Unit::symbol); none by default.
    pub(crate) unit: &'static str,
    /// The metric name of a counter or gauge below `libvirt_domain_`, in base units, without `_total`.
    pub(crate) metric: &'static str,
    /// The label of an `info` on the section's info metric.
    pub(crate) label: &'static str,
    /// `attribute` if XML writes it as one; an element by default.
    pub(crate) place: &'static str,
}

impl FieldOptions {
    pub(crate) const DEFAULT: Self =
        Self { path: "", doc_path: "", unit: "", metric: "", label: "", place: "" };

    /// Returns the row of a value of type `T`. A wrong option does not compile.
    pub(crate) const fn row<T: Leaf>(
        self,
        name: &'static str,
        kind: Kind,
        docs: &'static [&'static str],
    ) -> Row {
        let path = or(self.path, name);
        assert!(self.label.is_empty() || matches!(kind, Kind::Info), "only an info has a label");
        assert!(self.metric.is_empty() || !matches!(kind, Kind::Info), "an info has no metric");
        Row::Field(Field {
            name,
            path,
            doc_path: or(self.doc_path, path),
            value_type: T::TYPE,
            kind,
            unit: Unit::from_symbol(self.unit),
            place: match self.place.as_bytes() {
                b"" => Place::Element,
                b"attribute" => Place::Attribute,
                _ => panic!("no place has this name"),
            },
            metric: some(or(self.metric, self.label)),
            words: T::WORDS,
            docs,
        })
    }
}

/// The options of a list's row.
pub(crate) struct ListOptions {
    /// The words between the section's flat key and the item's; none by default.
    pub(crate) path: &'static str,
    /// The words in documents; the last one is the item's element.
    pub(crate) doc_path: &'static str,
    /// The metric label that names an item.
    pub(crate) label: &'static str,
    /// The metric name below `libvirt_domain_` that carries the texts of an item as labels, if any.
    pub(crate) info: &'static str,
}

impl ListOptions {
    pub(crate) const DEFAULT: Self = Self { path: "", doc_path: "", label: "", info: "" };

    pub(crate) const fn row<T: Item>(
        self,
        name: &'static str,
        schema: &'static Schema,
        docs: &'static [&'static str],
    ) -> Row {
        assert!(!self.doc_path.is_empty() && !self.label.is_empty(), "a list needs both");
        Row::List(ListRow {
            name,
            path: self.path,
            doc_path: self.doc_path,
            key: T::KEY,
            label: self.label,
            info: some(self.info),
            schema,
            docs,
        })
    }
}

/// The options of a part's row.
pub(crate) struct PartOptions {
    /// The words between the section's flat key and the part's; the field's name by default.
    pub(crate) path: &'static str,
    /// A metric label that tells parts of one type apart.
    pub(crate) label: &'static str,
    /// The value of that label.
    pub(crate) value: &'static str,
}

impl PartOptions {
    pub(crate) const DEFAULT: Self = Self { path: "", label: "", value: "" };

    pub(crate) const fn row(
        self,
        name: &'static str,
        schema: &'static Schema,
        docs: &'static [&'static str],
    ) -> Row {
        assert!(!self.label.is_empty() && !self.value.is_empty(), "a part needs both");
        let label = (self.label, self.value);
        Row::Part(PartRow { name, path: or(self.path, name), label, schema, docs })
    }
}

const fn or(text: &'static str, default: &'static str) -> &'static str {
    if text.is_empty() { default } else { text }
}

pub(crate) const fn some(text: &'static str) -> Option<&'static str> {
    if text.is_empty() { None } else { Some(text) }
}
