//! The library, used by programs in C, C++ and Python.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod header;
mod install;
mod misuse;
mod page;
mod symbols;
mod threads;
mod visit;
