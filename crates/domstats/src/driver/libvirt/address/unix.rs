//! The Unix sockets of this host's daemons.

use std::path::PathBuf;

use super::parameters::Parameters;
use crate::{
    driver::{options::ConnectOptions, uri::Uri},
    model::error::Result,
};

/// Where system daemons listen.
const SYSTEM: &str = "/var/run/libvirt";

/// Which daemon to connect to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// The driver's own daemon if it is there, else the one for all drivers.
    Auto,
    /// The driver's own daemon: virtqemud for QEMU.
    Direct,
    /// The daemon for all drivers: libvirtd, or virtproxyd in its place.
    Legacy,
}

/// The candidates for the daemon's socket.
pub(super) struct Sockets {
    pub(super) mode: Mode,
    /// Whether the daemon is the user's own, not the system's.
    pub(super) session: bool,
    named: Option<PathBuf>,
    directory: PathBuf,
    driver: String,
}

impl Sockets {
    pub(super) fn of(
        root: bool,
        uri: &Uri,
        options: &ConnectOptions,
        parameters: &Parameters,
    ) -> Result<Self> {
        let modes = [("auto", Mode::Auto), ("direct", Mode::Direct), ("legacy", Mode::Legacy)];
        let session = !root && (uri.path == "/session" || uri.scheme.starts_with("test+"));
        Ok(Self {
            mode: parameters.choice("mode", modes)?.unwrap_or(Mode::Auto),
            session,
            named: parameters.get("socket").map(PathBuf::from),
            directory: match session {
                true => options.runtime_dir.join("libvirt"),
                false => PathBuf::from(SYSTEM),
            },
            driver: uri.driver().to_owned(),
        })
    }

    /// Returns the sockets in order of preference.
    pub(super) fn to_try(&self) -> Vec<PathBuf> {
        if let Some(named) = &self.named {
            return vec![named.clone()];
        }
        let direct = format!("virt{}d-sock", self.driver);
        let legacy = "libvirt-sock".to_owned();
        let names = match self.mode {
            Mode::Auto => vec![direct, legacy],
            Mode::Direct => vec![direct],
            Mode::Legacy => vec![legacy],
        };
        names.iter().flat_map(|name| self.variants(name)).collect()
    }

    /// Returns the socket on a remote host, where this process cannot check which ones exist.
    pub(super) fn of_remote_host(&self) -> PathBuf {
        let named = self.named.clone();
        named.or_else(|| self.variants("libvirt-sock").next()).unwrap_or_default()
    }

    /// Returns the read-only socket, which is sufficient, then the read-write one. A user's own
    /// daemon has only the latter.
    fn variants(&self, name: &str) -> impl Iterator<Item = PathBuf> {
        let read_only = (!self.session).then(|| format!("{name}-ro"));
        read_only.into_iter().chain([name.to_owned()]).map(|name| self.directory.join(name))
    }
}
