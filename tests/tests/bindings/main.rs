//! The C library and the Python module, as their users build and install them.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod c_programs;
mod python;
