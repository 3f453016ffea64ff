//! XDR, as libvirt uses it: big-endian, everything a multiple of four bytes.

use std::{borrow::Cow, fmt};

use crate::limits;

/// What can stand in a message.
pub trait Xdr<'a>: Sized {
    /// The fewest bytes that a value takes: no list of `n` of them is shorter than `n` times that.
    const MIN_SIZE: usize;

    /// Writes the value.
    fn encode(&self, out: &mut Encoder);

    /// Reads a value.
    ///
    /// # Errors
    ///
    /// [`Fault`] if the bytes end early or a limit is exceeded.
    fn decode(input: &mut Decoder<'a>) -> Result<Self, Fault>;
}

/// Why bytes are not a message, or a message not to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The bytes end in the middle of a value.
    Short {
        /// How many bytes the value needs.
        needed: usize,
        /// How many there are.
        left: usize,
    },
    /// A string or list is longer than its limit.
    TooLong {
        /// Its length, in bytes or items.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// A typed parameter has a type that does not exist: where it ends cannot be known.
    UnknownType(i32),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short { needed, left } => {
                write!(f, "the message ends early: {needed} bytes are needed, {left} are left")
            }
            Self::TooLong { length, limit } => {
                write!(f, "a string or list of {length} is over the limit of {limit}")
            }
            Self::UnknownType(number) => write!(f, "no typed parameter has the type {number}"),
        }
    }
}

impl std::error::Error for Fault {}

/// Writes values. A limit that is exceeded is remembered, and makes [`finish`](Self::finish) fail.
#[derive(Debug, Default)]
pub struct Encoder {
    bytes: Vec<u8>,
    fault: Option<Fault>,
}

impl Encoder {
    /// Returns what was written.
    ///
    /// # Errors
    ///
    /// [`Fault::TooLong`] if a value exceeded its limit.
    pub fn finish(self) -> Result<Vec<u8>, Fault> {
        match self.fault {
            None => Ok(self.bytes),
            Some(fault) => Err(fault),
        }
    }

    /// Writes bytes as they are, filled up to a multiple of four.
    pub fn fixed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// Writes the length of a string or list.
    pub fn length(&mut self, length: usize, limit: usize) {
        match u32::try_from(length) {
            Ok(word) if length <= limit => word.encode(self),
            _ => self.fault = Some(Fault::TooLong { length, limit }),
        }
    }
}

/// Reads values from bytes, and lends strings out of them.
#[derive(Debug, Clone)]
pub struct Decoder<'a> {
    bytes: &'a [u8],
}

impl<'a> Decoder<'a> {
    /// Returns a reader of these bytes.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Returns the bytes that were not read yet.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    /// Reads bytes as they are, and what fills them up to a multiple of four.
    ///
    /// # Errors
    ///
    /// [`Fault::Short`] if there are fewer.
    pub fn fixed(&mut self, length: usize) -> Result<&'a [u8], Fault> {
        let short = Fault::Short { needed: length, left: self.bytes.len() };
        let padded = length.checked_next_multiple_of(4).ok_or(short)?;
        let (bytes, rest) = self.bytes.split_at_checked(padded).ok_or(short)?;
        self.bytes = rest;
        Ok(&bytes[..length])
    }

    fn word<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let short = Fault::Short { needed: N, left: self.bytes.len() };
        let (word, rest) = self.bytes.split_first_chunk::<N>().ok_or(short)?;
        self.bytes = rest;
        Ok(*word)
    }

    /// Reads the length of a string or list.
    ///
    /// # Errors
    ///
    /// [`Fault::TooLong`] if it exceeds the limit.
    pub fn length(&mut self, limit: usize) -> Result<usize, Fault> {
        let length = u32::decode(self)? as usize;
        if length > limit {
            return Err(Fault::TooLong { length, limit });
        }
        Ok(length)
    }
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Xdr<'_> for $number {
            const MIN_SIZE: usize = size_of::<Self>();

            fn encode(&self, out: &mut Encoder) {
                out.bytes.extend_from_slice(&self.to_be_bytes());
            }

            fn decode(input: &mut Decoder<'_>) -> Result<Self, Fault> {
                input.word().map(Self::from_be_bytes)
            }
        }
    )*};
}

numbers!(i32, u32, i64, u64, f64);

/// The result of a procedure that has none.
impl Xdr<'_> for () {
    const MIN_SIZE: usize = 0;

    fn encode(&self, _: &mut Encoder) {}

    fn decode(_: &mut Decoder<'_>) -> Result<Self, Fault> {
        Ok(())
    }
}

/// Four bytes; any number but 0 is true.
impl Xdr<'_> for bool {
    const MIN_SIZE: usize = 4;

    fn encode(&self, out: &mut Encoder) {
        u32::from(*self).encode(out);
    }

    fn decode(input: &mut Decoder<'_>) -> Result<Self, Fault> {
        Ok(u32::decode(input)? != 0)
    }
}

/// Bytes without a length: a UUID.
impl<const N: usize> Xdr<'_> for [u8; N] {
    const MIN_SIZE: usize = N.next_multiple_of(4);

    fn encode(&self, out: &mut Encoder) {
        out.fixed(self);
    }

    fn decode(input: &mut Decoder<'_>) -> Result<Self, Fault> {
        let bytes = input.fixed(N)?;
        bytes.try_into().map_err(|_| Fault::Short { needed: N, left: bytes.len() })
    }
}

/// A string. libvirt checks no encoding; bytes that are not UTF-8 are replaced when read.
impl<'a> Xdr<'a> for Cow<'a, str> {
    const MIN_SIZE: usize = 4;

    fn encode(&self, out: &mut Encoder) {
        out.length(self.len(), limits::STRING);
        out.fixed(self.as_bytes());
    }

    fn decode(input: &mut Decoder<'a>) -> Result<Self, Fault> {
        let length = input.length(limits::STRING)?;
        Ok(String::from_utf8_lossy(input.fixed(length)?))
    }
}

/// A value that may be absent. Some clients send other flags than 1 for one that is there.
impl<'a, T: Xdr<'a>> Xdr<'a> for Option<T> {
    const MIN_SIZE: usize = 4;

    fn encode(&self, out: &mut Encoder) {
        self.is_some().encode(out);
        if let Some(value) = self {
            value.encode(out);
        }
    }

    fn decode(input: &mut Decoder<'a>) -> Result<Self, Fault> {
        bool::decode(input)?.then(|| T::decode(input)).transpose()
    }
}

/// A list of at most `MAX` values.
#[derive(Debug, Clone, PartialEq)]
pub struct List<T, const MAX: usize>(pub Vec<T>);

impl<T, const MAX: usize> Default for List<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'a, T: Xdr<'a>, const MAX: usize> Xdr<'a> for List<T, MAX> {
    const MIN_SIZE: usize = 4;

    fn encode(&self, out: &mut Encoder) {
        out.length(self.0.len(), MAX);
        self.0.iter().for_each(|item| item.encode(out));
    }

    fn decode(input: &mut Decoder<'a>) -> Result<Self, Fault> {
        let length = input.length(MAX)?;
        // A peer that announces more than it sends gets no memory for it.
        let needed = length.saturating_mul(T::MIN_SIZE);
        let left = input.rest().len();
        if needed > left {
            return Err(Fault::Short { needed, left });
        }
        (0..length).map(|_| T::decode(input)).collect::<Result<_, _>>().map(Self)
    }
}

/// A list of at most `MAX` C `char`s: each takes four bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chars<const MAX: usize>(pub Vec<u8>);

impl<const MAX: usize> Xdr<'_> for Chars<MAX> {
    const MIN_SIZE: usize = 4;

    fn encode(&self, out: &mut Encoder) {
        out.length(self.0.len(), MAX);
        // C's `char` is signed where libvirt runs most.
        self.0.iter().for_each(|byte| i32::from(byte.cast_signed()).encode(out));
    }

    fn decode(input: &mut Decoder<'_>) -> Result<Self, Fault> {
        let length = input.length(MAX)?;
        let words = input.fixed(length * 4)?;
        Ok(Self(words.iter().skip(3).step_by(4).copied().collect()))
    }
}

/// Describes a structure: its fields, in the order of the wire.
macro_rules! xdr_struct {
    ($(#[$meta:meta])* $name:ident<$life:lifetime> {
        $($(#[$about:meta])* $field:ident: $kind:ty,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name<$life> { $($(#[$about])* pub $field: $kind,)* }
        $crate::xdr::xdr_struct!(@impl $life, $name<$life>, $($field: $kind,)*);
    };
    ($(#[$meta:meta])* $name:ident {
        $($(#[$about:meta])* $field:ident: $kind:ty,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name { $($(#[$about])* pub $field: $kind,)* }
        $crate::xdr::xdr_struct!(@impl 'a, $name, $($field: $kind,)*);
    };
    (@impl $life:lifetime, $name:ty, $($field:ident: $kind:ty,)*) => {
        impl<$life> $crate::xdr::Xdr<$life> for $name {
            const MIN_SIZE: usize = 0 $(+ <$kind as $crate::xdr::Xdr<$life>>::MIN_SIZE)*;

            fn encode(&self, out: &mut $crate::xdr::Encoder) {
                $(self.$field.encode(out);)*
            }

            fn decode(
                input: &mut $crate::xdr::Decoder<$life>,
            ) -> Result<Self, $crate::xdr::Fault> {
                Ok(Self { $($field: $crate::xdr::Xdr::decode(input)?,)* })
            }
        }
    };
}
pub(crate) use xdr_struct;
