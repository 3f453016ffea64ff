//! Connections: how many there are, and how long each may take.
//!
//! A client has the same time for each step: the TLS handshake, sending a request, reading the response. One that
//! takes longer, or is silent between two requests, loses its connection, and no other client does.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::{Sleep, sleep},
};
use tokio_rustls::TlsAcceptor;

use super::App;
use crate::net::{
    listen::refused,
    source::{Counted, PerSource, Source},
    strangers::Strangers,
};

/// The limits of clients, at all addresses together.
#[derive(Clone)]
pub(super) struct Limits {
    /// A permit for each connection.
    connections: Arc<Semaphore>,
    /// One source may have a quarter of them.
    of_one: Arc<PerSource>,
    /// As many again may be in the TLS handshake.
    strangers: Arc<Strangers>,
    /// The time for each step.
    patience: Duration,
}

impl Limits {
    pub(super) fn new(connections: usize, patience: Duration) -> Self {
        let connections = connections.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            connections: Arc::new(Semaphore::new(connections)),
            of_one: PerSource::new(connections / 4),
            strangers: Strangers::new(connections),
            patience,
        }
    }

    /// Waits for a place.
    async fn place(&self) -> io::Result<OwnedSemaphorePermit> {
        let place = Arc::clone(&self.connections).acquire_owned().await;
        place.map_err(io::Error::other)
    }
}

/// The client of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Client {
    pub(super) source: Source,
    /// Whether it has a certificate of a trusted authority.
    pub(super) has_certificate: bool,
}

/// Accepts connections until it is told to stop, then waits for the responses in flight.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    app: Arc<App>,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        let tls = app.access.current().tls.clone();
        let accepted = async {
            // Others wait in the kernel's queue until one ends. With TLS, a client gets its place after the
            // handshake.
            let place = match &tls {
                None => Some(limits.place().await?),
                Some(_) => None,
            };
            Ok((place, listener.accept().await?))
        };
        let accepted = tokio::select! {
            accepted = accepted => accepted,
            Some(_) = connections.join_next() => continue,
            () = stopped(&mut stop) => break,
        };
        match accepted {
            Ok((place, (stream, client))) => {
                let server = stream.local_addr().unwrap_or(client);
                let source = Source::of(client, server);
                // A source with its share is disconnected without a response, as the kernel does.
                let Some(counted) = limits.of_one.enter(source) else { continue };
                let connection = Connection {
                    router: router.clone(),
                    limits: limits.clone(),
                    stop: stop.clone(),
                    client: Client { source, has_certificate: false },
                    _counted: counted,
                };
                app.own.connected();
                connections.spawn(connection.serve((stream, client), tls, place));
            }
            Err(error) => refused(&error).await,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Returns when the daemon is to stop.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

struct Connection {
    router: Router,
    limits: Limits,
    stop: watch::Receiver<bool>,
    client: Client,
    _counted: Counted,
}

impl Connection {
    async fn serve(
        mut self,
        (stream, address): (TcpStream, SocketAddr),
        tls: Option<TlsAcceptor>,
        place: Option<OwnedSemaphorePermit>,
    ) {
        // Responses are written at once: there is nothing to gather.
        let _ = stream.set_nodelay(true);
        let patience = self.limits.patience;
        let stream = Patient::new(stream, patience);
        let Some(tls) = tls else {
            self.http(stream).await;
            return drop(place);
        };
        let limits = self.limits.clone();
        let greeting = async {
            let stream = tls.accept(stream).await?;
            Ok((stream, limits.place().await?))
        };
        let client = (address, self.client.source);
        if let Some((stream, _place)) = limits.strangers.greet(client, patience, greeting).await {
            self.client.has_certificate = stream.get_ref().1.peer_certificates().is_some();
            self.http(stream).await;
        }
    }

    async fn http(mut self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let service = TowerToHyperService::new(self.router.layer(Extension(self.client)));
        let mut connection = std::pin::pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(self.limits.patience)
                .max_headers(64)
                .max_buf_size(32 * 1024)
                .serve_connection(TokioIo::new(stream), service)
        );
        let result = tokio::select! {
            result = connection.as_mut() => result,
            () = stopped(&mut self.stop) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = result {
            tracing::debug!(%error, "a connection ended early");
        }
    }
}

/// A connection whose peer has this much time to read what was written.
struct Patient<S> {
    stream: S,
    patience: Duration,
    /// Runs from the first write that blocked until all is written.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    fn new(stream: S, patience: Duration) -> Self {
        Self { stream, patience, waiting: None }
    }

    /// Returns the result of a write, or an error if the peer's time is over.
    fn wait<T>(
        &mut self,
        context: &mut Context<'_>,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if result.is_pending() {
            let patience = self.patience;
            let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(patience)));
            ready!(waiting.as_mut().poll(context));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        result
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wait(context, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, buffers);
        self.wait(context, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(context);
        if result.is_ready() {
            self.waiting = None;
        }
        self.wait(context, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
