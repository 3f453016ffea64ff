//! The library, through its public API.
#![allow(clippy::unwrap_used, reason = "tests")]

mod api;
mod corpus;
mod floors;
#[cfg(feature = "qemu")]
mod monitor_reader;
mod replay;
mod security;
mod test_driver;
mod tools;
