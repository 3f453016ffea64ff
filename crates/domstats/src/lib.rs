//! Bulk statistics of virtual machines: one call, every domain, all the stats, and never a hang.
//!
//! This is the API of libvirt's RFC "Introduce API for retrieving bulk domain stats" (2014): one
//! call returns the statistics of many or all domains, groups are chosen with a bit mask, and the
//! answer is one hierarchical document, XML or JSON.
//!
//! ```
//! use domstats::{Connect, StatsGroups, StatsRequest};
//!
//! let connect = Connect::open("test:///default")?;
//! let report = connect.all_domain_stats(&StatsRequest::new().groups(StatsGroups::CPU))?;
//! println!("{}", report.to_xml());
//! # Ok::<(), domstats::Error>(())
//! ```
//!
//! | RFC | here |
//! |---|---|
//! | `virConnectGetAllDomainStats(conn, stats, flags)` | [`Connect::all_domain_stats`] |
//! | `virDomainListGetStats(doms, stats, flags)` | [`Domain::list_stats`] |
//! | `virDomainGetStats(dom, stats, flags)` | [`Domain::stats`] |
//! | `VIR_DOMAIN_STATS_CPU`, `_BLOCK`, `_INTERFACE`, ... | [`StatsGroups`] |
//! | the document | [`StatsReport::to_xml`], [`StatsReport::to_json`] |
//!
//! # Features
//!
//! All are on by default. A program that names the drivers that it needs compiles no others.
//!
//! | feature | what it adds | what it compiles |
//! |---|---|---|
//! | `qemu` | `qemu+qmp:///system`: QEMU processes of this host | |
//! | `libvirt` | `qemu:///system` and the rest of libvirt's URIs | `rustls`, `rsasl`, libvirt's wire format |
//! | `perf` | `?perf=` of the QEMU driver, and that driver | `perf-event-open-sys` |
//!
//! The test driver and all formats are always there.
//!
//! # Conduct
//!
//! A value that was not read is absent, never zero; a [`StatsReport`] says what is missing and
//! why. The library is synchronous, prints nothing, installs no signal handler, and reads
//! environment variables only in [`ConnectOptions::from_env`] and [`default_uri`].

mod connect;
pub mod driver;
pub mod format;
#[doc(hidden)]
pub mod fuzz;
#[cfg(feature = "qemu")]
#[doc(hidden)]
pub mod host;
#[cfg_attr(
    not(all(feature = "qemu", feature = "libvirt")),
    allow(dead_code, reason = "the model serves all drivers")
)]
mod model;
#[doc(hidden)]
pub mod sync;

#[cfg(feature = "libvirt")]
#[doc(hidden)]
pub use connect::wire;
pub use connect::{Connect, default_uri, domain::Domain};
pub use driver::options::ConnectOptions;
pub use format::Format;
pub use model::{
    device::{Monitor, Nic},
    error::{Error, ErrorKind, ErrorOrigin, Result, error_chain},
    groups::{DomainStats, StatsGroups},
    identity::{Conflict, DomainInfo},
    missing::{Missing, MissingDomain, MissingGroup, MissingReason},
    name::{Name, is_deceptive, printable},
    report::{Phase, StatsReport},
    request::{DomainFilter, StatsOptions, StatsRequest},
    stats::{self, DomainState, StateReason, Value},
};
pub use uuid::Uuid;

/// The example of the README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
