//! The wire format against libvirt's own bytes, and against any.
#![allow(clippy::unwrap_used, reason = "tests")]

mod again;
mod captures;
mod corpus;
mod errors;
mod limits;
mod properties;
mod recorded;
