//! XDR, as libvirt uses it: big-endian, with every size a multiple of four bytes.
//!
//! Numbers, booleans, strings, UUIDs (`[u8; 16]`) and optional values are the corresponding Rust
//! types. [`List`] and [`Chars`] are what libvirt declares with angle brackets.

mod bytes;
mod list;
mod values;

use std::fmt;

pub use bytes::{Decoder, Encoder};
pub use list::{Chars, List};
pub(crate) use list::{decode_chars, encode_chars};

/// A value that can be part of a message.
pub trait Xdr<'a>: Sized {
    /// The fewest bytes that a value takes: a list of `n` values takes at least `n` times as many.
    const MIN_SIZE: usize;

    /// Writes the value.
    fn encode(&self, out: &mut Encoder);

    /// Reads a value.
    ///
    /// # Errors
    ///
    /// [`Fault`] if the bytes end early, a limit is exceeded, or a type is unknown.
    fn decode(input: &mut Decoder<'a>) -> Result<Self, Fault>;
}

/// Why bytes are not a message, or why a message cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The bytes end in the middle of a value.
    Short {
        /// How many bytes the value needs.
        needed: usize,
        /// How many bytes are left.
        left: usize,
    },
    /// A string, a list or a packet is longer than its [limit](crate::limits).
    TooLong {
        /// Its length, in bytes or items.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// A typed parameter has a type that does not exist: where its value ends is unknown.
    UnknownType(i32),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short { needed, left } => {
                write!(f, "the message ends early: {needed} bytes are needed, {left} are left")
            }
            Self::TooLong { length, limit } => {
                write!(f, "a string, list or packet of {length} is over the limit of {limit}")
            }
            Self::UnknownType(number) => write!(f, "no typed parameter has the type {number}"),
        }
    }
}

impl std::error::Error for Fault {}

/// Defines a structure by its fields, in wire order. What it borrows lives for `'a`.
macro_rules! xdr_struct {
    ($(#[$meta:meta])* $name:ident $(<$life:lifetime>)? {
        $($(#[$about:meta])* $field:ident: $kind:ty,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name $(<$life>)? { $($(#[$about])* pub $field: $kind,)* }

        impl<'a> $crate::xdr::Xdr<'a> for $name $(<$life>)? {
            const MIN_SIZE: usize = 0 $(+ <$kind as $crate::xdr::Xdr<'a>>::MIN_SIZE)*;

            fn encode(&self, out: &mut $crate::xdr::Encoder) {
                $(self.$field.encode(out);)*
            }

            fn decode(
                input: &mut $crate::xdr::Decoder<'a>,
            ) -> Result<Self, $crate::xdr::Fault> {
                Ok(Self { $($field: $crate::xdr::Xdr::decode(input)?,)* })
            }
        }
    };
}
pub(crate) use xdr_struct;
