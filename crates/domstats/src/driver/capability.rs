//! What only some drivers can do.

use std::time::Instant;

#[cfg(feature = "libvirt")]
use domstats_rpc::{message::RemoteError, procedure::ProcedureId};

use crate::model::{
    device::{Monitor, Nic},
    error::Result,
    identity::DomainInfo,
};

/// Describes domains.
pub(crate) trait Descriptions {
    /// A domain's description in libvirt's XML, without secrets. Returns by the deadline.
    fn xml(&self, domain: &DomainInfo, deadline: Instant) -> Result<String>;
}

/// Knows what NICs are.
pub(crate) trait Nics {
    /// The NICs of a domain, beside their statistics. Returns by the deadline.
    fn nics(&self, domain: &DomainInfo, deadline: Instant) -> Result<Vec<Nic>>;
}

/// Reads processes of this host, and remembers what the last call found.
pub(crate) trait Processes {
    /// The domain of a process as it is now, if that is known without a search.
    fn known(&self, id: u32) -> Option<DomainInfo>;

    /// The monitors of a domain.
    fn monitors(&self, domain: &DomainInfo) -> Result<Vec<Monitor>>;
}

/// Relays calls of libvirt's protocol to a daemon. Returns by the deadline.
#[cfg(feature = "libvirt")]
pub(crate) trait Relay {
    /// Relays a call for which the daemon may ask the monitor of this domain, or none.
    fn relay(
        &self,
        monitor: Option<&DomainInfo>,
        call: Call<'_>,
        deadline: Instant,
    ) -> Result<Relayed>;

    /// Relays a call for which the daemon may ask the monitor of this domain. `None`, at once, if
    /// that monitor is stuck or the daemon has enough monitors to wait for.
    fn relay_if_free(
        &self,
        monitor: &DomainInfo,
        call: Call<'_>,
        deadline: Instant,
    ) -> Result<Option<Relayed>>;
}

/// A call of libvirt's protocol. Its procedure can only be one that reads.
#[cfg(feature = "libvirt")]
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// What to call.
    pub procedure: ProcedureId,
    /// The bytes of its arguments.
    pub arguments: &'a [u8],
}

/// The daemon's reply: the bytes of the result, or its error.
#[cfg(feature = "libvirt")]
pub type Relayed = std::result::Result<Vec<u8>, Box<RemoteError<'static>>>;
