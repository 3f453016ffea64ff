//! libvirt's protocol, for its unmodified clients: everything that reads.
//!
//! ```text
//! listener ── connection.rs ── procedures.rs ── connect.rs  who is there: open, features, events
//!   tls.rs    packets in,      the table         domains.rs  which domains there are
//!             replies out                        stats.rs    the bulk call
//!                                                device.rs   one domain, one device
//!                                                node.rs     the host
//!                                                xml.rs      what a domain consists of
//! ```
//!
//! Each handler takes the arguments of a procedure and returns its result, or a [`refuse`]d call.

mod connect;
mod connection;
mod counters;
mod device;
mod domains;
mod node;
mod procedures;
mod refuse;
mod stats;
mod tls;
mod writes;
mod xml;

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{OwnedSemaphorePermit, Semaphore},
};

use counters::Counters;
pub(crate) use tls::Tls;

use crate::{config, pass::Passes};

/// What all clients share.
pub(crate) struct Server {
    passes: Passes,
    pub(crate) counters: Counters,
    /// A permit for each client that may be connected.
    clients: Arc<Semaphore>,
    max_clients: usize,
    max_client_requests: usize,
    /// The silence after which a client is pinged; never if zero.
    keepalive: Duration,
}

impl Server {
    pub(crate) fn new(passes: Passes, config: &config::Rpc) -> Self {
        let max_clients = config.max_clients.min(Semaphore::MAX_PERMITS);
        Self {
            passes,
            counters: Counters::default(),
            clients: Arc::new(Semaphore::new(max_clients)),
            max_clients,
            max_client_requests: config.max_client_requests.max(1),
            keepalive: config.keepalive,
        }
    }

    /// Returns the right to be a client: none if there are as many as there may be.
    pub(crate) fn admit(&self) -> Option<OwnedSemaphorePermit> {
        let place = Arc::clone(&self.clients).try_acquire_owned().ok();
        self.counters.admitted(place.is_some());
        if place.is_none() {
            tracing::warn!("there are as many clients as there may be: one was let go");
        }
        place
    }

    /// Returns how many clients are connected.
    pub(crate) fn clients(&self) -> usize {
        self.max_clients - self.clients.available_permits()
    }

    /// Serves a client until it goes.
    pub(crate) async fn serve<S>(self: Arc<Self>, stream: S, is_secure: bool)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        match connection::serve(self, stream, is_secure).await {
            Ok(()) => tracing::debug!("a client left"),
            Err(error) => tracing::debug!(%error, "a client was let go"),
        }
    }
}
