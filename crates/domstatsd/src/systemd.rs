//! systemd: its sockets, and notifications to it. Does nothing without systemd.

use std::{
    net::TcpListener,
    os::{
        fd::{FromRawFd, OwnedFd},
        unix::net::UnixListener,
    },
    time::Duration,
};

use sd_notify::NotifyState;

/// systemd's sockets, by the `FileDescriptorName=` of their units. Several can have the same name.
#[derive(Default)]
pub(crate) struct Sockets {
    /// `rpc`: Unix sockets.
    pub(crate) rpc: Vec<UnixListener>,
    /// `rpc-tls`.
    pub(crate) rpc_tls: Vec<TcpListener>,
    /// `http`.
    pub(crate) http: Vec<TcpListener>,
}

impl Sockets {
    /// Takes them. Call it once.
    ///
    /// # Errors
    ///
    /// Which socket is of another kind than its name says: clients of a Unix socket are trusted, those of a network are
    /// not.
    #[expect(unsafe_code, reason = "systemd passes sockets by the numbers of their descriptors")]
    pub(crate) fn take() -> Result<Self, String> {
        let mut sockets = Self::default();
        let given = sd_notify::listen_fds_with_names()
            .map_err(|error| format!("cannot take the sockets of systemd: {error}"))?;
        for (fd, name) in given {
            // SAFETY: the service manager opened the descriptor for this process, which takes it
            // here, once, and nowhere else.
            let fd = unsafe { OwnedFd::from_raw_fd(fd) };
            match name.as_str() {
                "rpc" => sockets.rpc.push(unix(fd)?),
                "rpc-tls" => sockets.rpc_tls.push(tcp(fd, &name)?),
                "http" => sockets.http.push(tcp(fd, &name)?),
                name => tracing::warn!(
                    name,
                    "an unknown socket from systemd is not served: \
                     set FileDescriptorName= to rpc, rpc-tls or http"
                ),
            }
        }
        Ok(sockets)
    }
}

fn unix(fd: OwnedFd) -> Result<UnixListener, String> {
    let listener = UnixListener::from(fd);
    match listener.local_addr() {
        Ok(_) => Ok(listener),
        Err(_) => Err("systemd's socket 'rpc' is no Unix socket: set ListenStream= to a path, or \
                       FileDescriptorName= to rpc-tls"
            .to_owned()),
    }
}

fn tcp(fd: OwnedFd, name: &str) -> Result<TcpListener, String> {
    let listener = TcpListener::from(fd);
    match listener.local_addr() {
        Ok(_) => Ok(listener),
        Err(_) => Err(format!(
            "systemd's socket '{name}' is no TCP socket: set ListenStream= to an address with a port"
        )),
    }
}

pub(crate) fn ready() {
    tell(&[NotifyState::Ready]);
}

pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// `Type=notify-reload` needs the time at which it began.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "cannot tell systemd"),
    }
}

pub(crate) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// Returns the interval of watchdog notifications: half of systemd's timeout.
pub(crate) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|interval| interval / 2)
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "cannot tell systemd");
    }
}
