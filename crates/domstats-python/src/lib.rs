//! The Python module `domstats`: the API of libvirt-python, and typed reports.
//!
//! ```text
//! virConnect ─┬─ getAllDomainStats ──→ [(virDomain, dict)]     the flat keys of libvirt
//!             └─ stats ─→ StatsReport ─→ DomainStats, Block…   section: one walk over the catalogue
//! ```
//!
//! What needs no Rust is in Python, in `python/domstats`: the constants, the exception, the classes of
//! the sections. Every call that may wait releases the interpreter's lock.

mod connect;
mod domain;
mod error;
mod report;
mod request;
mod section;

use pyo3::prelude::*;

/// The part of the package `domstats` that is written in Rust.
#[pymodule(name = "_domstats", gil_used = false)]
mod module {
    #[pymodule_export]
    use crate::{
        connect::{Connect, open, open_read_only},
        domain::Domain,
        report::StatsReport,
    };
}
