//! XDR, as libvirt uses it: big-endian, everything a multiple of four bytes.
//!
//! Numbers, booleans, strings, UUIDs (`[u8; 16]`) and values that may be absent are the Rust types
//! of the same name. [`List`] and [`Chars`] are what libvirt writes with angle brackets.

mod bytes;
mod list;
mod values;

use std::fmt;

pub use bytes::{Decoder, Encoder};
pub use list::{Chars, List};
pub(crate) use list::{decode_chars, encode_chars};

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
    /// [`Fault`] if the bytes end early, a limit is exceeded, or a type is unknown.
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
    /// A string, a list or a packet is longer than its [limit](crate::limits).
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
                write!(f, "a string, list or packet of {length} is over the limit of {limit}")
            }
            Self::UnknownType(number) => write!(f, "no typed parameter has the type {number}"),
        }
    }
}

impl std::error::Error for Fault {}

/// Describes a structure: its fields, in the order of the wire. What it borrows lives for `'a`.
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
