//! The Python module `domstats`: libvirt-python's habits, and typed reports beside them.
//!
//! ```text
//! virConnect ─┬─ getAllDomainStats ──→ [(virDomain, dict)]     the flat keys of libvirt
//!             └─ stats ─→ StatsReport ─→ DomainStats, Block…   section: one walk over the catalogue
//! ```
//!
//! What needs no Rust is Python, in `python/domstats`: the constants, the exception, the classes of
//! the sections. The interpreter's lock is let go in every call that asks somebody.

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
