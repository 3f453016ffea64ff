//! `libdomstats`: the functions of libvirt's RFC for C, and through it for every language.
//!
//! ```text
//! program ─→ connect, domain, stats, visit ─→ call ─→ domstats
//!                    │                          └ error: the last one of each thread
//!                    ├ handles: pointers to connections and domains
//!                    └ memory: pointers to texts and arrays
//! ```
//!
//! Names, signatures, semantics and error codes are libvirt's. The public items are those of
//! `include/domstats.h`, which `cbindgen` generates from these files.
#![expect(
    unsafe_code,
    reason = "functions are exported to C, and some of their arguments are pointers of the caller"
)]
#![expect(non_camel_case_types, reason = "libvirt's names")]
#![expect(
    clippy::missing_safety_doc,
    reason = "the docs are for C, and say what to pass without that word"
)]

mod call;
mod connect;
mod domain;
mod error;
mod groups;
mod handles;
mod memory;
mod stats;
mod visit;

pub use connect::*;
pub use domain::*;
pub use error::*;
pub use groups::*;
pub use stats::*;
pub use visit::*;
