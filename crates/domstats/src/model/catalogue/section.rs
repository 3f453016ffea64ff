//! The macro behind the catalogue: a table of rows becomes a struct that knows its rows.

/// Makes a struct and its [`Section`](crate::model::stats::Section) from a table of rows.
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
            pub const SCHEMA: &'static $crate::model::stats::Schema = &$crate::model::stats::Schema {
                name: stringify!($name),
                rows: &[$(section!(@row $field [$($doc),*] $shape $row)),*],
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

            section!(@by_row cell [&] [$crate::model::stats::Cell<'_>] $($field $shape)*);
            section!(@by_row slot [&mut] [$crate::model::catalogue::Slot<'_>] $($field $shape)*);
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
        section!(@fields $attr $name [#[doc = "The name."] pub name: $crate::model::name::Name,] $($row)*);
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
            pub extra: $crate::model::stats::Extra,
        }
    };
    (@type [$item:ident]) => { Vec<$item> };
    (@type {$part:ident}) => { Option<$part> };
    (@type $leaf:ident) => { Option<$leaf> };

    // Its identity in a list.
    (@item Index $name:ident) => { section!(@number Index index $name); };
    (@item Id $name:ident) => { section!(@number Id id $name); };
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
    (@item Name $name:ident) => {
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

    // The descriptor of a row.
    (@row $field:ident $docs:tt [$item:ident]
        ($path:literal, $doc_path:literal, label $label:literal $(, info $info:literal)?)
    ) => {
        $crate::model::stats::Row::List($crate::model::stats::ListRow {
            name: stringify!($field),
            path: $path,
            doc_path: $doc_path,
            key: <$item as $crate::model::catalogue::Item>::KEY,
            label: $label,
            info: section!(@option $($info)?),
            schema: $item::SCHEMA,
            docs: &$docs,
        })
    };
    (@row $field:ident $docs:tt {$part:ident} ($path:literal, label $label:literal $value:literal)) => {
        $crate::model::stats::Row::Part($crate::model::stats::PartRow {
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
        $crate::model::stats::Row::Field($crate::model::stats::Field {
            name: stringify!($field),
            path: $path,
            doc_path: section!(@or $path $(, $doc_path)?),
            value_type: <$leaf as $crate::model::catalogue::value::Leaf>::TYPE,
            kind: $crate::model::stats::Kind::$kind,
            unit: $crate::model::stats::Unit::$unit,
            place: section!(@place $($place)?),
            metric: section!(@option $($metric)?),
            words: <$leaf as $crate::model::catalogue::value::Leaf>::WORDS,
            docs: &$docs,
        })
    };
    (@option) => { None };
    (@option $value:literal) => { Some($value) };
    (@or $default:literal) => { $default };
    (@or $default:literal, $value:literal) => { $value };
    (@place) => { $crate::model::stats::Place::Element };
    (@place $place:ident) => { $crate::model::stats::Place::$place };

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
    (@cell $place:expr, [$item:ident]) => { $crate::model::stats::Cell::List(&$place) };
    (@cell $place:expr, {$part:ident}) => {
        $crate::model::stats::Cell::Part($place.as_ref().map(|part| part as _))
    };
    (@cell $place:expr, $leaf:ident) => {
        $crate::model::stats::Cell::Field($place.as_ref().map($crate::model::catalogue::value::Leaf::value))
    };
    (@slot $place:expr, [$item:ident]) => { $crate::model::catalogue::Slot::List(&mut $place) };
    (@slot $place:expr, {$part:ident}) => {
        $crate::model::catalogue::Slot::Part($place.get_or_insert_default())
    };
    (@slot $place:expr, $leaf:ident) => { $crate::model::catalogue::Slot::Field(&mut $place) };
}
pub(crate) use section;
