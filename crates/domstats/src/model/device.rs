//! What of a domain is no statistic: its NICs and monitors.

use crate::model::{name::Name, report::Missing};

/// What a network interface of a domain is, beside what its statistics say.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct Nic {
    /// The network device on the host, which is the name that its statistics have.
    pub device: Name,
    /// The MAC address that the guest was given, as `52:54:00:12:34:56`.
    pub mac: Name,
    /// The model, in libvirt's words: `virtio`, `e1000`.
    pub model: Name,
}

/// A monitor of a QEMU, and what the last call for statistics made of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Monitor {
    /// Where it is: the path or name of a socket, else in the words of QEMU's command line.
    pub address: Name,
    /// Whether it was the one that was asked.
    pub is_used: bool,
    /// Why it was not asked; nothing if another one answered first.
    pub unused: Option<Missing>,
}
