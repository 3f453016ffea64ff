//! libvirt's protocol, for its unmodified clients: everything that reads.
//!
//! ```text
//! listen.rs ── connection.rs ── procedures.rs ── connect.rs   the session: open, features, events
//!   tls.rs     packets in,      the table        events.rs    event registrations
//!              replies out                       domains.rs   lists and look-ups of domains
//!                                                stats.rs     the bulk call
//!                                                device.rs    one domain, one device
//!                                                interface.rs one network interface
//!                                                node.rs      the host
//!                                                xml.rs       descriptions of domains
//! ```
//!
//! Each handler takes the arguments of a procedure and returns its result, or an error of [`refuse`].

mod connect;
mod connection;
mod counters;
mod device;
mod domains;
mod events;
pub(crate) mod fuzz;
mod interface;
mod listen;
mod memory;
mod node;
mod procedures;
mod refuse;
mod stats;
#[cfg(test)]
mod tests;
mod tls;
mod writes;
mod xml;

use std::{
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use memory::Memory;
use rustix::process::{Resource, getrlimit};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{OwnedSemaphorePermit, Semaphore},
};

use counters::Counters;
pub(crate) use listen::{serve_tls, serve_unix};
pub(crate) use tls::Tls;

use crate::{
    config,
    hypervisors::Hypervisors,
    net::source::{Counted, PerSource, Source},
};

/// The state that all clients share.
pub(crate) struct Server {
    hypervisors: Hypervisors,
    pub(crate) counters: Counters,
    /// A permit for each client that may be connected.
    clients: Arc<Semaphore>,
    max_clients: usize,
    /// The clients of each source.
    sources: Arc<PerSource>,
    memory: Arc<Memory>,
    /// Whether the last client that connected was turned away.
    is_full: AtomicBool,
    max_client_requests: usize,
    /// A permit for each large reply that may be built at a time.
    building: Semaphore,
    /// The silence after which a client is pinged; never if zero.
    keepalive: Duration,
}

impl Server {
    pub(crate) fn new(hypervisors: Hypervisors, config: &config::Rpc) -> Self {
        let max_clients = config.max_clients.min(descriptors() / 2).min(Semaphore::MAX_PERMITS);
        if max_clients < config.max_clients {
            tracing::warn!(
                "only {max_clients} clients of libvirt's protocol can connect, half as many as this \
                 process may have files open: raise its limit, which is LimitNOFILE for systemd"
            );
        }
        Self {
            hypervisors,
            counters: Counters::default(),
            clients: Arc::new(Semaphore::new(max_clients)),
            sources: PerSource::new(max_clients / 2),
            memory: Memory::new(),
            max_clients,
            is_full: AtomicBool::new(false),
            building: Semaphore::new(thread::available_parallelism().map_or(1, NonZero::get)),
            max_client_requests: config.max_client_requests.max(1),
            keepalive: config.keepalive,
        }
    }

    /// Admits a client, unless there are as many as there may be, or half as many of one source. libvirtd lets
    /// others wait in silence; here their connection ends at once.
    pub(crate) fn admit(&self, source: Source) -> Option<Place> {
        let place = self.sources.enter(source);
        let place = place.and_then(|source| {
            let permit = Arc::clone(&self.clients).try_acquire_owned().ok()?;
            Some(Place { _permit: permit, _source: source })
        });
        self.counters.admitted(place.is_some());
        let was_full = self.is_full.swap(place.is_none(), Ordering::Relaxed);
        // Once, however many are turned away.
        if place.is_none() && !was_full {
            tracing::warn!(
                "there are {} clients, as many as there may be: others are turned away",
                self.max_clients
            );
        }
        place
    }

    /// Returns how many clients are connected.
    pub(crate) fn clients(&self) -> usize {
        self.max_clients - self.clients.available_permits()
    }

    /// Serves a client until it disconnects.
    pub(crate) async fn serve<S>(self: Arc<Self>, stream: S, source: Source)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        match connection::serve(self, stream, source, true).await {
            Ok(()) => tracing::debug!("a client left"),
            Err(error) => tracing::debug!(%error, "a client was disconnected"),
        }
    }
}

/// The place of a client, until this drops.
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
    _source: Counted,
}

/// Returns how many files this process may have open. A client takes one; hypervisors and HTTP take some too.
fn descriptors() -> usize {
    let most = getrlimit(Resource::Nofile).current;
    most.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX)
}
