//! Single values: numbers, booleans, strings, UUIDs, and optional values.

use std::borrow::Cow;

use super::{Decoder, Encoder, Fault, Xdr};
use crate::limits;

/// Bytes without a length, such as a UUID.
impl<const N: usize> Xdr<'_> for [u8; N] {
    const MIN_SIZE: usize = N.next_multiple_of(4);

    fn encode(&self, out: &mut Encoder) {
        out.fixed(self);
    }

    fn decode(input: &mut Decoder<'_>) -> Result<Self, Fault> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(input.fixed(N)?);
        Ok(bytes)
    }
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Xdr<'_> for $number {
            const MIN_SIZE: usize = size_of::<Self>();

            fn encode(&self, out: &mut Encoder) {
                self.to_be_bytes().encode(out);
            }

            fn decode(input: &mut Decoder<'_>) -> Result<Self, Fault> {
                Xdr::decode(input).map(Self::from_be_bytes)
            }
        }
    )*};
}

numbers!(i32, u32, i64, u64, f64);

/// The arguments of a procedure without arguments, or the result of one without a result.
impl Xdr<'_> for () {
    const MIN_SIZE: usize = 0;

    fn encode(&self, _: &mut Encoder) {}

    fn decode(_: &mut Decoder<'_>) -> Result<Self, Fault> {
        Ok(())
    }
}

/// Four bytes: reads any number but 0 as true, and writes true as 1.
impl Xdr<'_> for bool {
    const MIN_SIZE: usize = 4;

    fn encode(&self, out: &mut Encoder) {
        u32::from(*self).encode(out);
    }

    fn decode(input: &mut Decoder<'_>) -> Result<Self, Fault> {
        Ok(u32::decode(input)? != 0)
    }
}

/// A string of at most [`limits::STRING`] bytes. libvirt does not check the encoding; decoding
/// replaces what is not UTF-8 with U+FFFD.
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

/// An optional value: a flag, then the value. For a value that is present, some clients send flags
/// other than 1.
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
