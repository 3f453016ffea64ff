//! Accepts clients on the Unix socket, and over TLS with a certificate.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream, UnixStream},
};
use tokio_rustls::server::TlsStream;

use super::{Place, Server, Tls, tls};
use crate::net::{
    listen::{self, UnixSocket},
    source::Source,
    strangers::Strangers,
};

/// How long a client may take to authenticate.
const PATIENCE: Duration = Duration::from_secs(10);

/// The clients that may be authenticating at a time.
const STRANGERS: usize = 256;

/// Serves a Unix socket; its permissions decide who may connect.
pub(crate) async fn serve_unix(socket: UnixSocket, server: Arc<Server>) {
    loop {
        match socket.listener.accept().await {
            Ok((stream, _)) => {
                // A client that has disconnected already has none.
                let Ok(client) = stream.peer_cred() else { continue };
                let source = Source::User(client.uid());
                let Some(place) = server.admit(source) else { continue };
                let server = Arc::clone(&server);
                tokio::spawn(async move {
                    server.serve(Socket(stream), source).await;
                    drop(place);
                });
            }
            Err(error) => listen::refused(&error).await,
        }
    }
}

/// Serves TLS.
pub(crate) async fn serve_tls(listener: TcpListener, tls: Arc<Tls>, server: Arc<Server>) {
    let strangers = Strangers::new(STRANGERS);
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                let (server, tls) = (Arc::clone(&server), Arc::clone(&tls));
                let strangers = Arc::clone(&strangers);
                tokio::spawn(async move {
                    let local = stream.local_addr().unwrap_or(address);
                    let source = Source::of(address, local);
                    let client = (address, source);
                    let greeting = greet(stream, source, &tls, &server);
                    if let Some((stream, _place)) =
                        strangers.greet(client, PATIENCE, greeting).await
                    {
                        server.serve(stream, source).await;
                    }
                });
            }
            Err(error) => listen::refused(&error).await,
        }
    }
}

/// Authenticates and admits a client.
async fn greet(
    stream: TcpStream,
    source: Source,
    tls: &Tls,
    server: &Server,
) -> io::Result<(TlsStream<TcpStream>, Place)> {
    let mut stream = tls.accept(stream).await?;
    let place = server.admit(source).ok_or_else(|| io::Error::other("there is no place for it"))?;
    tls::confirm(&mut stream).await?;
    Ok((stream, place))
}

/// A Unix socket. A read ends at passed descriptors; tokio's own takes a short read for an empty socket.
struct Socket(UnixStream);

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.poll_read_ready(context))?;
            match self.0.try_read(buffer.initialize_unfilled()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read.map(|length| buffer.advance(length))),
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
