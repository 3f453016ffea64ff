//! The attributes of records and reports, described once: the identity of a domain, times, reasons.
//!
//! A row names an attribute, says what it is, and gives access to it. Documents, their readers and
//! schemas, `docs/fields.md`, metrics and the Python classes walk the rows.

use std::{
    borrow::Cow,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use uuid::Uuid;

use crate::model::{
    catalogue::row::Place,
    identity::Conflict,
    missing::MissingReason,
    name::{Name, printable},
};

/// The type of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AttributeType {
    /// A text.
    Text,
    /// A UUID.
    Uuid,
    /// An unsigned 32-bit number.
    Number,
    /// True, or absent.
    Flag,
    /// Words, with spaces between them.
    Words,
    /// A point in time, by the host's clock.
    Time,
    /// A period of time.
    Duration,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AttributeValue<'a> {
    /// An [`AttributeType::Text`].
    Text(&'a str),
    /// An [`AttributeType::Uuid`].
    Uuid(Uuid),
    /// An [`AttributeType::Number`].
    Number(u32),
    /// An [`AttributeType::Flag`].
    Flag(bool),
    /// An [`AttributeType::Words`].
    Words(Cow<'a, str>),
    /// An [`AttributeType::Time`].
    Time(SystemTime),
    /// An [`AttributeType::Duration`].
    Duration(Duration),
}

/// One attribute of a `T`: of a domain's identity, a record, a report, or of something missing.
#[derive(Debug)]
#[non_exhaustive]
pub struct Attribute<T: 'static> {
    /// Its name in documents and Python.
    pub name: &'static str,
    /// The type of its value.
    pub value_type: AttributeType,
    /// Whether every `T` has it.
    pub is_required: bool,
    /// Where XML writes it.
    pub place: Place,
    /// Whether it is a label of `libvirt_domain_info`, and of the series of domains that share a name.
    pub is_label: bool,
    /// The words that this version knows, if its value is one or several of them.
    pub words: &'static [&'static str],
    /// The lines of help.
    pub docs: &'static [&'static str],
    get: fn(&T) -> Option<AttributeValue<'_>>,
    set: fn(&mut T, AttributeValue<'_>) -> bool,
}

impl<T> Attribute<T> {
    /// Returns the row of a field of type `F`.
    pub(crate) const fn new<F: AttributeField>(
        name: &'static str,
        docs: &'static [&'static str],
        get: fn(&T) -> Option<AttributeValue<'_>>,
        set: fn(&mut T, AttributeValue<'_>) -> bool,
    ) -> Self {
        Self {
            name,
            value_type: F::TYPE,
            is_required: F::IS_REQUIRED,
            place: Place::Attribute,
            is_label: false,
            words: F::WORDS,
            docs,
            get,
            set,
        }
    }

    /// Makes it a label of metrics.
    pub(crate) const fn label(self) -> Self {
        Self { is_label: true, ..self }
    }

    /// Makes it the text of its element.
    pub(crate) const fn text(self) -> Self {
        Self { place: Place::Text, ..self }
    }

    /// Returns what `of` has of it; `None` if nothing.
    #[must_use]
    pub fn get<'a>(&self, of: &'a T) -> Option<AttributeValue<'a>> {
        (self.get)(of)
    }

    /// Sets it; false if the value is not one of this attribute's.
    pub(crate) fn set(&self, of: &mut T, value: AttributeValue<'_>) -> bool {
        (self.set)(of, value)
    }

    /// Returns what it is, in one line.
    #[must_use]
    pub fn help(&self) -> &'static str {
        self.docs.first().map_or("", |line| line.trim())
    }
}

/// A type that the field of an attribute can have.
pub(crate) trait AttributeField {
    const TYPE: AttributeType;
    const IS_REQUIRED: bool = false;
    const WORDS: &'static [&'static str] = &[];
    /// Returns the value; `None` for one that documents do not have.
    fn get(&self) -> Option<AttributeValue<'_>>;
    /// Sets the value; false if it is of another type.
    fn set(&mut self, value: AttributeValue<'_>) -> bool;
}

impl AttributeField for Name {
    const TYPE: AttributeType = AttributeType::Text;
    const IS_REQUIRED: bool = true;

    fn get(&self) -> Option<AttributeValue<'_>> {
        Some(AttributeValue::Text(self))
    }

    fn set(&mut self, value: AttributeValue<'_>) -> bool {
        match value {
            AttributeValue::Text(text) => *self = text.into(),
            _ => return false,
        }
        true
    }
}

/// Implements [`AttributeField`] for an optional value.
macro_rules! optional {
    ($($inner:ident is $variant:ident;)*) => {$(
        impl AttributeField for Option<$inner> {
            const TYPE: AttributeType = AttributeType::$variant;

            fn get(&self) -> Option<AttributeValue<'_>> {
                self.map(AttributeValue::$variant)
            }

            fn set(&mut self, value: AttributeValue<'_>) -> bool {
                match value {
                    AttributeValue::$variant(value) => *self = Some(value),
                    _ => return false,
                }
                true
            }
        }
    )*};
}

optional! {
    Uuid is Uuid;
    u32 is Number;
    SystemTime is Time;
}

impl AttributeField for bool {
    const TYPE: AttributeType = AttributeType::Flag;

    fn get(&self) -> Option<AttributeValue<'_>> {
        self.then_some(AttributeValue::Flag(true))
    }

    fn set(&mut self, value: AttributeValue<'_>) -> bool {
        match value {
            AttributeValue::Flag(flag) => *self = flag,
            _ => return false,
        }
        true
    }
}

impl AttributeField for Conflict {
    const TYPE: AttributeType = AttributeType::Words;
    const WORDS: &'static [&'static str] = &Conflict::WORDS;

    fn get(&self) -> Option<AttributeValue<'_>> {
        (!self.is_empty()).then(|| AttributeValue::Words(self.to_string().into()))
    }

    fn set(&mut self, value: AttributeValue<'_>) -> bool {
        match value {
            AttributeValue::Words(words) => match Self::from_words(&words) {
                Some(conflict) => *self = conflict,
                None => return false,
            },
            _ => return false,
        }
        true
    }
}

impl AttributeField for SystemTime {
    const TYPE: AttributeType = AttributeType::Time;

    fn get(&self) -> Option<AttributeValue<'_>> {
        // A document that does not say when it was taken reads as 1970, and is written as it came.
        (*self != UNIX_EPOCH).then_some(AttributeValue::Time(*self))
    }

    fn set(&mut self, value: AttributeValue<'_>) -> bool {
        match value {
            AttributeValue::Time(time) => *self = time,
            _ => return false,
        }
        true
    }
}

impl AttributeField for Duration {
    const TYPE: AttributeType = AttributeType::Duration;

    fn get(&self) -> Option<AttributeValue<'_>> {
        (!self.is_zero()).then_some(AttributeValue::Duration(*self))
    }

    fn set(&mut self, value: AttributeValue<'_>) -> bool {
        match value {
            AttributeValue::Duration(duration) => *self = duration,
            _ => return false,
        }
        true
    }
}

impl AttributeField for MissingReason {
    const TYPE: AttributeType = AttributeType::Text;
    const WORDS: &'static [&'static str] = MissingReason::WORDS;
    const IS_REQUIRED: bool = true;

    fn get(&self) -> Option<AttributeValue<'_>> {
        Some(AttributeValue::Text(self.word()))
    }

    fn set(&mut self, value: AttributeValue<'_>) -> bool {
        match value {
            AttributeValue::Text(word) => *self = Self::from_word(word),
            _ => return false,
        }
        true
    }
}

impl AttributeField for String {
    const TYPE: AttributeType = AttributeType::Text;

    fn get(&self) -> Option<AttributeValue<'_>> {
        (!self.is_empty()).then_some(AttributeValue::Text(self))
    }

    fn set(&mut self, value: AttributeValue<'_>) -> bool {
        match value {
            AttributeValue::Text(text) => *self = printable(text),
            _ => return false,
        }
        true
    }
}

/// Defines a struct whose fields are attributes, each with its documentation as the help.
///
/// ```text
/// attributes!(
///     /// What the struct is.
///     pub struct DomainInfo {
///         /// What the attribute is.
///         #[attribute(label)]
///         pub uid: Option<u32>,
///     }
/// );
/// ```
macro_rules! attributes {
    (
        $(#[$about:meta])*
        pub struct $name:ident {
            $(
                $(#[doc = $doc:literal])*
                $(#[attribute($option:ident)])?
                pub $field:ident: $type:ty,
            )*
        }
    ) => {
        $(#[$about])*
        pub struct $name {
            $($(#[doc = $doc])* pub $field: $type,)*
        }

        impl $name {
            /// The rows of the catalogue that describe this struct.
            pub const ATTRIBUTES: &'static [$crate::model::catalogue::attribute::Attribute<Self>] = &[$(
                $crate::model::catalogue::attribute::Attribute::new::<$type>(
                    stringify!($field),
                    &[$($doc),*],
                    |of: &Self| $crate::model::catalogue::attribute::AttributeField::get(&of.$field),
                    |of: &mut Self, value| {
                        $crate::model::catalogue::attribute::AttributeField::set(&mut of.$field, value)
                    },
                )
                $(.$option())?
            ),*];
        }
    };
}
pub(crate) use attributes;
