//! NICs and monitors of a domain: what is not a statistic.

use crate::model::{name::Name, report::Missing};

/// A network interface of a domain, beyond its statistics.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct Nic {
    /// The network device on the host; its statistics have the same name.
    pub device: Name,
    /// The MAC address that the guest was given, as `52:54:00:12:34:56`.
    pub mac: Name,
    /// The model, in libvirt's words: `virtio`, `e1000`.
    pub model: Name,
}

/// A monitor of a QEMU process, and whether the last call for statistics used it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Monitor {
    /// Its address: the path or name of a socket, else as on QEMU's command line.
    pub address: Name,
    /// Whether the last call used it.
    pub is_used: bool,
    /// Why it was not used; `None` if another one answered first.
    pub unused: Option<Missing>,
}
