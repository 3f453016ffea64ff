//! Connections: how many there are, and how long each may take for its part.
//!
//! A client has the same time for each step: to greet with TLS, to send its question, to take the
//! answer. One that needs longer, or stays silent between two questions, loses its connection and
//! nobody else's.

use std::{
    io,
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
    time::{Sleep, sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::Shared;
use crate::listen::refused;

/// What clients may take, at all addresses together.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    /// A permit for each connection that there may be at a time.
    connections: Arc<Semaphore>,
    /// The time for each step.
    patience: Duration,
}

impl Limits {
    pub(super) fn new(connections: usize, patience: Duration) -> Self {
        let connections = connections.clamp(1, Semaphore::MAX_PERMITS);
        Self { connections: Arc::new(Semaphore::new(connections)), patience }
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Client {
    /// Whether it has shown a certificate of a trusted authority.
    pub(super) has_certificate: bool,
}

/// Accepts connections until it is told to stop, then waits for the answers under way.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    shared: Arc<Shared>,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = async {
            // The others wait in the kernel's queue until one goes.
            let place = Arc::clone(&limits.connections).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            accepted = accepted => accepted,
            Some(_) = connections.join_next() => continue,
            () = stopped(&mut stop) => break,
        };
        // Nobody closes the places.
        let Ok(place) = place else { break };
        match accepted {
            Ok((stream, _)) => {
                let connection = Connection {
                    router: router.clone(),
                    patience: limits.patience,
                    stop: stop.clone(),
                    place,
                };
                shared.own.connected();
                connections.spawn(connection.serve(stream, shared.access.current().tls.clone()));
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
    patience: Duration,
    stop: watch::Receiver<bool>,
    place: OwnedSemaphorePermit,
}

impl Connection {
    async fn serve(self, stream: TcpStream, tls: Option<TlsAcceptor>) {
        // Answers are written at once: there is nothing to gather.
        let _ = stream.set_nodelay(true);
        let stream = Patient::new(stream, self.patience);
        let Some(tls) = tls else { return self.http(stream, Client::default()).await };
        match timeout(self.patience, tls.accept(stream)).await {
            Ok(Ok(stream)) => {
                let has_certificate = stream.get_ref().1.peer_certificates().is_some();
                self.http(stream, Client { has_certificate }).await;
            }
            Ok(Err(error)) => tracing::debug!(%error, "TLS failed"),
            Err(_) => tracing::debug!("TLS took too long"),
        }
    }

    async fn http(mut self, stream: impl AsyncRead + AsyncWrite + Unpin, client: Client) {
        let service = TowerToHyperService::new(self.router.layer(Extension(client)));
        let mut connection = std::pin::pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(self.patience)
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
        drop(self.place);
    }
}

/// A connection whose other end has so much time to take what was written.
struct Patient<S> {
    stream: S,
    patience: Duration,
    /// Runs from the first write that had to wait until all is written.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    fn new(stream: S, patience: Duration) -> Self {
        Self { stream, patience, waiting: None }
    }

    /// Passes on what a write came to, unless the other end had its time.
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
