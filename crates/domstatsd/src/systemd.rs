//! What systemd and the daemon tell each other. Without systemd, nothing happens here.

use std::{
    io,
    net::TcpListener,
    os::{
        fd::{FromRawFd, OwnedFd},
        unix::net::UnixListener,
    },
    time::Duration,
};

use sd_notify::NotifyState;

/// Sockets that systemd made, by the `FileDescriptorName=` of their units.
#[derive(Default)]
pub(crate) struct Sockets {
    /// `rpc`: the Unix socket.
    pub(crate) rpc: Option<UnixListener>,
    /// `rpc-tls`.
    pub(crate) rpc_tls: Option<TcpListener>,
    /// `http`.
    pub(crate) http: Option<TcpListener>,
}

impl Sockets {
    /// Takes them; to be called once.
    #[expect(unsafe_code, reason = "systemd passes sockets by the numbers of their descriptors")]
    pub(crate) fn take() -> Self {
        let mut sockets = Self::default();
        let given = match sd_notify::listen_fds_with_names() {
            Ok(given) => given,
            Err(error) => {
                tracing::warn!(%error, "cannot take the sockets of systemd");
                return sockets;
            }
        };
        for (fd, name) in given {
            // SAFETY: the service manager opened the descriptor for this process, which takes it
            // here, once, and nowhere else.
            let fd = unsafe { OwnedFd::from_raw_fd(fd) };
            match name.as_str() {
                "rpc" => sockets.rpc = Some(fd.into()),
                "rpc-tls" => sockets.rpc_tls = Some(fd.into()),
                "http" => sockets.http = Some(fd.into()),
                name => tracing::warn!(name, "systemd gave a socket that nobody serves"),
            }
        }
        sockets
    }
}

pub(crate) fn ready() {
    tell(&[NotifyState::Ready]);
}

pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// `Type=notify-reload` wants to know when it began.
pub(crate) fn reloading() {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let now = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
    tell(&[NotifyState::Reloading, NotifyState::MonotonicUsec(now)]);
}

pub(crate) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// Returns how often systemd wants to hear that the daemon is alive: twice as often, to be safe.
pub(crate) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|interval| interval / 2)
}

fn tell(state: &[NotifyState<'_>]) {
    let result: io::Result<()> = sd_notify::notify(state);
    if let Err(error) = result {
        tracing::warn!(%error, "cannot tell systemd");
    }
}
