//! A monitor's socket, as a command line or the URI names it: an unverified claim.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use crate::driver::qemu::discovery::monitor_option::{Address, MonitorOption, Role};

/// The socket of a monitor.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct MonitorSocket {
    pub(crate) address: Address,
    /// Whether the path is the caller's, not QEMU's.
    pub(crate) is_named: bool,
    /// Whether QEMU may wait for its first client.
    pub(crate) waits: bool,
    /// Where QEMU was started, according to its environment.
    pub(crate) started_in: Option<PathBuf>,
}

impl MonitorSocket {
    /// Returns the socket that an option describes, if it accepts connections.
    pub(super) fn of(option: &MonitorOption, started_in: Option<&PathBuf>) -> Option<Self> {
        let Role::Server { waits } = option.role else { return None };
        let is_unix = matches!(
            option.address,
            Address::Unix(_) | Address::Abstract { .. } | Address::Descriptor(_)
        );
        (is_unix && !option.is_libvirts()).then(|| Self {
            address: option.address.clone(),
            is_named: false,
            waits,
            started_in: started_in.cloned(),
        })
    }

    /// Returns the socket that the URI names.
    pub(crate) fn named(path: PathBuf, waits: bool) -> Self {
        Self { address: Address::Unix(path), is_named: true, waits, started_in: None }
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        match &self.address {
            Address::Unix(path) => Some(path),
            _ => None,
        }
    }
}

impl fmt::Display for MonitorSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match &self.address {
            Address::Unix(path) => path.to_string_lossy().into_owned(),
            Address::Abstract { name, .. } => format!("@{name}"),
            Address::Descriptor(fd) => format!("fd={fd}"),
            Address::Tcp { host, port } => format!("tcp:{host}:{port}"),
            Address::Other(text) => text.clone(),
        };
        f.write_str(&text)
    }
}
