//! The encoder and the decoder.

use super::{Fault, Xdr};
use crate::{limits, packet::LENGTH};

/// Writes values. After a value exceeds its limit, nothing more is written and
/// [`finish`](Self::finish) fails, so that no message takes more memory than a packet.
#[derive(Debug, Default)]
pub struct Encoder {
    bytes: Vec<u8>,
    fault: Option<Fault>,
}

impl Encoder {
    /// Returns the bytes written.
    ///
    /// # Errors
    ///
    /// [`Fault::TooLong`] for the first value that exceeded its limit.
    pub fn finish(self) -> Result<Vec<u8>, Fault> {
        match self.fault {
            None => Ok(self.bytes),
            Some(fault) => Err(fault),
        }
    }

    /// Writes bytes unchanged, padded with zeros to a multiple of four.
    pub fn fixed(&mut self, bytes: &[u8]) {
        let (length, limit) = (self.bytes.len() + bytes.len(), LENGTH + limits::PACKET);
        if length > limit {
            self.fault
                .get_or_insert(Fault::TooLong { length: length - LENGTH, limit: limits::PACKET });
        }
        if self.fault.is_some() {
            return;
        }
        self.bytes.extend_from_slice(bytes);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// Writes the length of a string or list.
    pub fn length(&mut self, length: usize, limit: usize) {
        match u32::try_from(length) {
            Ok(word) if length <= limit => word.encode(self),
            _ => _ = self.fault.get_or_insert(Fault::TooLong { length, limit }),
        }
    }
}

/// Reads values from bytes; strings borrow from them.
#[derive(Debug, Clone)]
pub struct Decoder<'a> {
    bytes: &'a [u8],
}

impl<'a> Decoder<'a> {
    /// Returns a decoder of these bytes.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Returns the bytes not read yet.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    /// Reads bytes unchanged, and skips their padding to a multiple of four.
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

    /// Reads the length of a string or list.
    ///
    /// # Errors
    ///
    /// [`Fault::TooLong`] if it exceeds the limit, [`Fault::Short`] if there is none.
    pub fn length(&mut self, limit: usize) -> Result<usize, Fault> {
        let length = u32::decode(self)? as usize;
        if length > limit {
            return Err(Fault::TooLong { length, limit });
        }
        Ok(length)
    }
}
