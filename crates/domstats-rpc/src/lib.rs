//! libvirt's wire format: XDR, packets, and the messages that statistics need.
//!
//! The crate is for clients and servers alike, and does no I/O: it decodes messages from bytes, and
//! encodes messages to bytes. Decoding borrows from the bytes. Nothing that a peer sends causes a
//! panic or takes more memory than a small multiple of the bytes sent; every string and list has
//! libvirt's limit.
//!
//! ```
//! use domstats_rpc::{Packet, Program, message, procedure};
//!
//! // A client calls ...
//! let call = procedure::call::<procedure::DomainLookupByName>(7, &"vm1".into())?;
//! // ... a server decodes the call ...
//! let (packet, length) = Packet::split(&call)?.expect("the packet is whole");
//! assert_eq!((length, packet.header.serial), (call.len(), 7));
//! let name: std::borrow::Cow<'_, str> = packet.decode()?;
//! // ... and replies.
//! let domain = message::Domain { name, uuid: [7; 16], id: 1 };
//! let reply = procedure::reply::<procedure::DomainLookupByName>(7, &domain)?;
//! let (packet, _) = Packet::split(&reply)?.expect("the packet is whole");
//! assert_eq!(packet.decode::<message::Domain<'_>>()?.id, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | contents |
//! |---|---|
//! | [`xdr`] | numbers, strings, lists: encoding and decoding, with limits |
//! | [`packet`] | a packet: its length, its header, its payload |
//! | [`message`] | the structures that arguments and results are made of |
//! | [`procedure`] | the procedures: number, arguments, result |
//! | [`limits`] | libvirt's sizes |

pub mod limits;
pub mod message;
pub mod packet;
pub mod procedure;
pub mod xdr;

pub use packet::{Header, Kind, Packet, Program, Status};
pub use xdr::Xdr;
