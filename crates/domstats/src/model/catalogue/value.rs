//! One value of a statistic, and the words of enumerations.

use std::borrow::Cow;

use serde_json::Value as Json;

use crate::model::catalogue::extra::scalar;

/// The type of a statistic, with libvirt's codes (`virTypedParameterType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[doc(alias = "virTypedParameterType")]
pub enum ValueType {
    /// `VIR_TYPED_PARAM_INT`, 1. Enumerations are of this type.
    Int = 1,
    /// `VIR_TYPED_PARAM_UINT`, 2.
    UInt = 2,
    /// `VIR_TYPED_PARAM_LLONG`, 3.
    LLong = 3,
    /// `VIR_TYPED_PARAM_ULLONG`, 4.
    ULLong = 4,
    /// `VIR_TYPED_PARAM_DOUBLE`, 5.
    Double = 5,
    /// `VIR_TYPED_PARAM_BOOLEAN`, 6.
    Boolean = 6,
    /// `VIR_TYPED_PARAM_STRING`, 7.
    String = 7,
    /// Many numbers, for which libvirt has no type.
    Numbers = 0,
}

/// A value on its way from the model to a format.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Value<'a> {
    /// A signed 32-bit number.
    Int(i32),
    /// An unsigned 32-bit number.
    UInt(u32),
    /// A signed 64-bit number.
    LLong(i64),
    /// An unsigned 64-bit number.
    ULLong(u64),
    /// A floating point number.
    Double(f64),
    /// A truth value.
    Boolean(bool),
    /// A text.
    String(Cow<'a, str>),
    /// Many unsigned 64-bit numbers.
    Numbers(Cow<'a, [u64]>),
    /// A member of an enumeration: libvirt's number, and the word if this version knows one.
    Word {
        /// The number that the flat form prints.
        code: i32,
        /// The word that documents print; `None` for a number from a newer peer.
        word: Option<&'static str>,
    },
}

impl Value<'_> {
    /// Returns the text, if it is one.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the value with owned data.
    #[must_use]
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Int(number) => Value::Int(number),
            Self::UInt(number) => Value::UInt(number),
            Self::LLong(number) => Value::LLong(number),
            Self::ULLong(number) => Value::ULLong(number),
            Self::Double(number) => Value::Double(number),
            Self::Boolean(truth) => Value::Boolean(truth),
            Self::String(text) => Value::String(Cow::Owned(text.into_owned())),
            Self::Numbers(numbers) => Value::Numbers(Cow::Owned(numbers.into_owned())),
            Self::Word { code, word } => Value::Word { code, word },
        }
    }
}

/// A Rust type that a row of the catalogue can have.
pub(crate) trait Leaf: Sized {
    const TYPE: ValueType;
    /// The words of an enumeration, for the schemas; empty for every other type.
    const WORDS: &'static [&'static str] = &[];
    fn value(&self) -> Value<'_>;
    /// Takes what a peer or a document says; `None` if it is not of this type.
    ///
    /// XML has only text, so every type also reads its textual form.
    fn from_value(value: &Value<'_>) -> Option<Self>;
    /// Takes what a document says.
    fn read(json: &Json) -> Option<Self> {
        Self::from_value(&leaf(json)?)
    }
}

/// Returns the value of a document's leaf; `None` for a branch and for `null`.
pub(crate) fn leaf(json: &Json) -> Option<Value<'_>> {
    match json {
        Json::Array(numbers) => {
            numbers.iter().map(Json::as_u64).collect::<Option<_>>().map(Value::Numbers)
        }
        Json::Null | Json::Object(_) => None,
        leaf => Some(scalar(leaf)),
    }
}

macro_rules! number_leaf {
    ($($rust:ty: $variant:ident;)*) => {$(
        impl Leaf for $rust {
            const TYPE: ValueType = ValueType::$variant;
            fn value(&self) -> Value<'_> {
                Value::$variant(*self)
            }
            fn from_value(value: &Value<'_>) -> Option<Self> {
                match value {
                    Value::Int(number) | Value::Word { code: number, .. } => {
                        Self::try_from(*number).ok()
                    }
                    Value::UInt(number) => Self::try_from(*number).ok(),
                    Value::LLong(number) => Self::try_from(*number).ok(),
                    Value::ULLong(number) => Self::try_from(*number).ok(),
                    Value::String(text) => text.parse().ok(),
                    Value::Double(_) | Value::Boolean(_) | Value::Numbers(_) => None,
                }
            }
        }
    )*};
}

number_leaf! {
    i32: Int;
    u32: UInt;
    i64: LLong;
    u64: ULLong;
}

impl Leaf for f64 {
    const TYPE: ValueType = ValueType::Double;
    fn value(&self) -> Value<'_> {
        Value::Double(*self)
    }
    fn from_value(value: &Value<'_>) -> Option<Self> {
        Some(match value {
            Value::Double(number) => *number,
            Value::Int(number) | Value::Word { code: number, .. } => (*number).into(),
            Value::UInt(number) => (*number).into(),
            // The nearest one, as for a text.
            Value::LLong(number) => *number as Self,
            Value::ULLong(number) => *number as Self,
            Value::String(text) => text.parse().ok()?,
            Value::Boolean(_) | Value::Numbers(_) => return None,
        })
    }
}

impl Leaf for bool {
    const TYPE: ValueType = ValueType::Boolean;
    fn value(&self) -> Value<'_> {
        Value::Boolean(*self)
    }
    fn from_value(value: &Value<'_>) -> Option<Self> {
        match value {
            Value::Boolean(truth) => Some(*truth),
            Value::String(text) => match text.as_ref() {
                "true" | "yes" | "1" => Some(true),
                "false" | "no" | "0" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }
}

impl Leaf for String {
    const TYPE: ValueType = ValueType::String;
    fn value(&self) -> Value<'_> {
        Value::String(Cow::Borrowed(self))
    }
    fn from_value(value: &Value<'_>) -> Option<Self> {
        value.as_str().map(str::to_owned)
    }
}

/// Many numbers: in JSON an array, elsewhere a text with spaces.
pub(crate) type Numbers = Vec<u64>;

impl Leaf for Numbers {
    const TYPE: ValueType = ValueType::Numbers;
    fn value(&self) -> Value<'_> {
        Value::Numbers(Cow::Borrowed(self))
    }
    fn from_value(value: &Value<'_>) -> Option<Self> {
        match value {
            Value::String(text) => text.split_whitespace().map(|word| word.parse().ok()).collect(),
            Value::Numbers(numbers) => Some(numbers.to_vec()),
            _ => None,
        }
    }
}

/// Defines an enumeration of libvirt: numbers in the flat form, words in documents, and an
/// `Unknown` member that carries the numbers of newer peers.
macro_rules! words {
    (
        $(#[$attr:meta])*
        pub enum $name:ident {
            $($(#[doc = $doc:literal])* #[word($word:literal)] $variant:ident = $code:literal,)*
        }
    ) => {
        $(#[$attr])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[doc = $doc])* $variant,)*
            /// A number that this version has no word for.
            Unknown(i32),
        }

        impl $name {
            /// Returns libvirt's number.
            #[must_use]
            pub fn code(self) -> i32 {
                match self {
                    $(Self::$variant => $code,)*
                    Self::Unknown(code) => code,
                }
            }

            /// Returns the member with libvirt's number.
            #[must_use]
            pub fn from_code(code: i32) -> Self {
                match code {
                    $($code => Self::$variant,)*
                    code => Self::Unknown(code),
                }
            }

            /// Returns the word that documents use, or `None` for a number without one.
            #[must_use]
            pub fn word(self) -> Option<&'static str> {
                match self {
                    $(Self::$variant => Some($word),)*
                    Self::Unknown(_) => None,
                }
            }
        }

        impl $crate::model::catalogue::value::Leaf for $name {
            const TYPE: $crate::model::stats::ValueType = $crate::model::stats::ValueType::Int;
            const WORDS: &'static [&'static str] = &[$($word),*];
            fn value(&self) -> $crate::model::stats::Value<'_> {
                $crate::model::stats::Value::Word { code: self.code(), word: self.word() }
            }
            fn from_value(value: &$crate::model::stats::Value<'_>) -> Option<Self> {
                match value.as_str() {
                    $(Some($word) => Some(Self::$variant),)*
                    _ => i32::from_value(value).map(Self::from_code),
                }
            }
        }
    };
}
pub(crate) use words;
