//! A packet: four bytes of length, themselves included, a header of six words, and the payload.

use std::fmt;

use crate::{
    limits,
    xdr::{Decoder, Encoder, Fault, Xdr, xdr_struct},
};

/// The size of a packet's length word.
pub(crate) const LENGTH: usize = 4;
const HEADER: usize = Header::MIN_SIZE;

/// The version of every program, in each packet's header.
pub const VERSION: u32 = 1;

/// Names numbers on the wire, and keeps numbers without a name.
macro_rules! named_numbers {
    ($(#[$meta:meta])* $name:ident { $($(#[$about:meta])* $word:ident = $number:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$about])* $word,)*
            /// A number without a name here.
            Other(u32),
        }

        impl $name {
            /// Returns the number.
            #[must_use]
            pub fn number(self) -> u32 {
                match self {
                    $(Self::$word => $number,)*
                    Self::Other(number) => number,
                }
            }
        }

        impl Xdr<'_> for $name {
            const MIN_SIZE: usize = 4;

            fn encode(&self, out: &mut Encoder) {
                self.number().encode(out);
            }

            fn decode(input: &mut Decoder<'_>) -> Result<Self, Fault> {
                Ok(match u32::decode(input)? {
                    $($number => Self::$word,)*
                    number => Self::Other(number),
                })
            }
        }
    };
}

named_numbers! {
    /// The program that a packet is for.
    Program {
        /// The hypervisor: every [procedure](crate::procedure) of this crate.
        #[doc(alias = "REMOTE_PROGRAM")]
        Remote = 0x2000_8086,
        /// What only QEMU has: its monitor, and the agent in a guest. All of its procedures change
        /// something, or can.
        #[doc(alias = "QEMU_PROGRAM")]
        Qemu = 0x2000_8087,
        /// [Keepalive](keepalive) messages.
        #[doc(alias = "KEEPALIVE_PROGRAM")]
        Keepalive = 0x6b65_6570,
    }
}

named_numbers! {
    /// The kind of a packet.
    #[doc(alias = "virNetMessageType")]
    Kind {
        /// A call.
        #[doc(alias = "VIR_NET_CALL")]
        Call = 0,
        /// The reply to a call.
        #[doc(alias = "VIR_NET_REPLY")]
        Reply = 1,
        /// An event or a keepalive message, which gets no [`Reply`](Kind::Reply).
        #[doc(alias = "VIR_NET_MESSAGE")]
        Message = 2,
        /// A call with file descriptors: the payload begins with their number, at most
        /// [`limits::DESCRIPTORS`], and each follows the packet on a byte of its own.
        #[doc(alias = "VIR_NET_CALL_WITH_FDS")]
        CallWithDescriptors = 4,
    }
}

named_numbers! {
    /// How a call ended.
    #[doc(alias = "virNetMessageStatus")]
    Status {
        /// The payload is the result. Calls and messages have this status too.
        #[doc(alias = "VIR_NET_OK")]
        Ok = 0,
        /// The payload is an [error](crate::message::RemoteError).
        #[doc(alias = "VIR_NET_ERROR")]
        Error = 1,
    }
}

xdr_struct! {
    /// The six words after the length.
    #[doc(alias = "virNetMessageHeader")]
    #[derive(Copy, Eq)]
    Header {
        /// The program.
        #[doc(alias = "prog")]
        program: Program,
        /// Its version: [`VERSION`].
        #[doc(alias = "vers")]
        version: u32,
        /// The procedure or event: its number in the program, from 1.
        #[doc(alias = "proc")]
        procedure: i32,
        /// Call, reply or message.
        #[doc(alias = "type")]
        kind: Kind,
        /// The number that the caller gave the call; the reply repeats it. It has no meaning in a
        /// message.
        serial: u32,
        /// How the call ended.
        status: Status,
    }
}

/// Why bytes are not a packet. The connection is unusable afterwards: where the next packet begins
/// is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadLength(pub u32);

impl fmt::Display for BadLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = limits::PACKET + LENGTH;
        write!(f, "a packet cannot be {} bytes long, only {} to {most}", self.0, LENGTH + HEADER)
    }
}

impl std::error::Error for BadLength {}

/// A whole packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Its header.
    pub header: Header,
    /// Its arguments, result, error or event.
    pub payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Returns the first packet of a stream and its length in bytes, or `None` if it is not yet
    /// complete.
    ///
    /// # Errors
    ///
    /// [`BadLength`] if no packet has that length.
    pub fn split(stream: &'a [u8]) -> Result<Option<(Self, usize)>, BadLength> {
        let Some((length, rest)) = stream.split_first_chunk::<LENGTH>() else {
            return Ok(None);
        };
        let bad = BadLength(u32::from_be_bytes(*length));
        let length = bad.0 as usize;
        if !(LENGTH + HEADER..=LENGTH + limits::PACKET).contains(&length) {
            return Err(bad);
        }
        let Some(packet) = rest.get(..length - LENGTH) else {
            return Ok(None);
        };
        let mut input = Decoder::new(packet);
        let header = Header::decode(&mut input).map_err(|_| bad)?;
        Ok(Some((Self { header, payload: input.rest() }, length)))
    }

    /// Decodes the payload. Ignores bytes after the value, as libvirt does.
    ///
    /// # Errors
    ///
    /// [`Fault`] if the payload is not such a value.
    pub fn decode<T: Xdr<'a>>(&self) -> Result<T, Fault> {
        T::decode(&mut Decoder::new(self.payload))
    }
}

impl Header {
    /// Returns the packet with this header and payload.
    ///
    /// # Errors
    ///
    /// [`Fault::TooLong`] if a value, or the packet, exceeds its limit.
    pub fn packet<'a>(&self, payload: &impl Xdr<'a>) -> Result<Vec<u8>, Fault> {
        self.around(|out| payload.encode(out))
    }

    /// Returns the packet with this header and a payload that is encoded already, for relaying.
    ///
    /// # Errors
    ///
    /// [`Fault::TooLong`] if the packet exceeds its limit.
    pub fn packet_of(&self, payload: &[u8]) -> Result<Vec<u8>, Fault> {
        self.around(|out| out.fixed(payload))
    }

    fn around(&self, payload: impl FnOnce(&mut Encoder)) -> Result<Vec<u8>, Fault> {
        let mut out = Encoder::default();
        // The length is known only at the end.
        0u32.encode(&mut out);
        self.encode(&mut out);
        payload(&mut out);
        let mut packet = out.finish()?;
        let word = packet.len() as u32;
        packet[..LENGTH].copy_from_slice(&word.to_be_bytes());
        Ok(packet)
    }
}

/// The ping and the pong of the keepalive program: procedures 1 and 2, without a payload.
/// The header's [`packet(&())`](Header::packet) is the whole packet.
pub mod keepalive {
    use super::{Header, Kind, Program, Status, VERSION};

    /// The procedure that asks whether the peer is alive.
    #[doc(alias = "KEEPALIVE_PROC_PING")]
    pub const PING: i32 = 1;
    /// The procedure that answers [`PING`].
    #[doc(alias = "KEEPALIVE_PROC_PONG")]
    pub const PONG: i32 = 2;

    /// Returns the header of [`PING`] or [`PONG`].
    #[must_use]
    pub fn header(procedure: i32) -> Header {
        Header {
            program: Program::Keepalive,
            version: VERSION,
            procedure,
            kind: Kind::Message,
            serial: 0,
            status: Status::Ok,
        }
    }
}
