//! What a driver is: one trait, and a folder for each driver.
//!
//! What only some drivers can do has a trait of its own (`capability.rs`), which `Driver` hands
//! out. The table of drivers is `connect/drivers.rs`.

pub(crate) mod capability;
#[cfg(feature = "libvirt")]
pub mod libvirt;
pub(crate) mod options;
#[cfg(feature = "qemu")]
pub mod qemu;
pub mod test;
pub(crate) mod uri;

use std::time::Instant;

#[cfg(feature = "libvirt")]
use crate::driver::capability::Relay;
use crate::{
    driver::capability::{Descriptions, Nics, Processes},
    model::{
        error::{ErrorOrigin, Result},
        identity::DomainInfo,
        report::StatsReport,
        request::{StatsGroups, StatsRequest},
    },
};

/// A hypervisor. Everything a driver returns is typed; names and formats are not its business.
pub(crate) trait Driver: Send + Sync {
    /// libvirt's spelling: `QEMU`, `TEST`.
    fn name(&self) -> &str;

    /// Who reports this driver's errors.
    fn origin(&self) -> ErrorOrigin;

    /// The groups that it can give for at least some domains.
    fn supported(&self) -> StatsGroups;

    /// True if a peer decides domain by domain which groups there are. Requests then reach the
    /// driver as they came; other drivers get only what they support.
    fn leaves_groups_to_peer(&self) -> bool {
        false
    }

    /// The host that the domains run on: every document and metric of theirs can name it.
    fn hostname(&self) -> String;

    /// False if the hypervisor went away. One that cannot, such as this host, is always alive.
    fn is_alive(&self) -> bool {
        true
    }

    /// Releases what the driver holds, such as monitors that others need: the connection was
    /// closed, and its handles may live on.
    fn close(&self) {}

    /// Every domain, in any order. Returns by the deadline.
    fn domains(&self, deadline: Instant) -> Result<Vec<DomainInfo>>;

    /// The RFC's one callback: the statistics of all domains that match the request's filter, or
    /// of the listed ones, a record for each occurrence in the list's order. The caller has checked
    /// the request's groups, filter and options. Returns by the request's timeout.
    fn domain_list_stats(
        &self,
        listed: Option<&[DomainInfo]>,
        request: &StatsRequest,
    ) -> Result<StatsReport>;

    /// Domain descriptions, if the driver has them.
    fn as_descriptions(&self) -> Option<&dyn Descriptions> {
        None
    }

    /// What NICs are, if the driver knows more than their statistics.
    fn as_nics(&self) -> Option<&dyn Nics> {
        None
    }

    /// The processes behind the domains, if the driver reads them itself.
    fn as_processes(&self) -> Option<&dyn Processes> {
        None
    }

    /// The way to a libvirt daemon, if the driver asks one.
    #[cfg(feature = "libvirt")]
    fn as_relay(&self) -> Option<&dyn Relay> {
        None
    }
}
