//! Tests the wire format with libvirt's own bytes, and with arbitrary ones.
#![allow(clippy::unwrap_used, reason = "tests")]

mod again;
mod captures;
mod corpus;
mod errors;
mod limits;
mod properties;
mod recorded;
