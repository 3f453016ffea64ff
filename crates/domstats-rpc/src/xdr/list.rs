//! Lists: a length, then the items.

use std::fmt;

use super::{Decoder, Encoder, Fault, Xdr};

/// A list of at most `MAX` values.
#[derive(Debug, Clone, PartialEq, Eq)]
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
        // A peer that announces more items than it sends causes no allocation for them.
        let (needed, left) = (length.saturating_mul(T::MIN_SIZE), input.rest().len());
        if needed > left {
            return Err(Fault::Short { needed, left });
        }
        let mut items = Vec::with_capacity(length);
        for _ in 0..length {
            items.push(T::decode(input)?);
        }
        Ok(Self(items))
    }
}

/// A list of at most `MAX` C `char`s, each of which takes four bytes.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Chars<const MAX: usize>(pub Vec<u8>);

/// Shows only the length, because SASL data may contain a password.
impl<const MAX: usize> fmt::Debug for Chars<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chars({} bytes)", self.0.len())
    }
}

impl<const MAX: usize> Xdr<'_> for Chars<MAX> {
    const MIN_SIZE: usize = 4;

    fn encode(&self, out: &mut Encoder) {
        out.length(self.0.len(), MAX);
        encode_chars(&self.0, out);
    }

    fn decode(input: &mut Decoder<'_>) -> Result<Self, Fault> {
        let length = input.length(MAX)?;
        Ok(Self(decode_chars(length, input)?.collect()))
    }
}

/// Writes `char`s without their count.
pub(crate) fn encode_chars(chars: &[u8], out: &mut Encoder) {
    // C's `char` is signed on the platforms where libvirt mostly runs.
    chars.iter().for_each(|byte| i32::from(byte.cast_signed()).encode(out));
}

/// Reads `count` `char`s.
pub(crate) fn decode_chars<'a>(
    count: usize,
    input: &mut Decoder<'a>,
) -> Result<impl Iterator<Item = u8> + use<'a>, Fault> {
    let words = input.fixed(count.saturating_mul(4))?;
    Ok(words.iter().skip(3).step_by(4).copied())
}
