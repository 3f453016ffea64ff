//! TLS with libvirt's certificates, and its confirmation: a client that is admitted gets one byte before anything
//! else.

use std::{
    io,
    path::Path,
    sync::{Arc, RwLock},
};

use domstats::sync::unpoisoned;
use rustls::ServerConfig;
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{
    config::BadFile,
    net::tls::{self, Clients},
};

/// The first byte for a client that is admitted.
const ADMITTED: &[u8] = &[1];

/// The daemon's certificate, and the authority of its clients.
pub(crate) struct Tls {
    config: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    /// Reads the files of a folder.
    ///
    /// | file | or | what |
    /// |---|---|---|
    /// | `CA/cacert.pem` | `cacert.pem` | the authority |
    /// | `CA/cacrl.pem` | `cacrl.pem` | its revocation list; may be missing |
    /// | `libvirt/servercert.pem` | `servercert.pem` | the daemon's certificate |
    /// | `libvirt/private/serverkey.pem` | `serverkey.pem` | its key |
    ///
    /// # Errors
    ///
    /// Which file is missing or malformed, and why.
    pub(crate) fn load(pki: &Path) -> Result<Self, BadFile> {
        Ok(Self { config: RwLock::new(Arc::new(config(pki)?)) })
    }

    /// Reads them again, for new clients.
    ///
    /// # Errors
    ///
    /// Those of [`Tls::load`]: then nothing changes.
    pub(crate) fn reload(&self, pki: &Path) -> Result<(), BadFile> {
        let config = Arc::new(config(pki)?);
        *unpoisoned(self.config.write()) = config;
        Ok(())
    }

    /// Authenticates a client.
    ///
    /// # Errors
    ///
    /// It speaks no TLS, has no certificate of the authority, or has disconnected.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        // To notice a host that vanished: not every client is pinged.
        rustix::net::sockopt::set_socket_keepalive(&stream, true)?;
        stream.set_nodelay(true)?;
        let config = Arc::clone(&*unpoisoned(self.config.read()));
        TlsAcceptor::from(config).accept(stream).await
    }
}

/// Confirms that a client is admitted.
///
/// # Errors
///
/// It has disconnected.
pub(super) async fn confirm(stream: &mut TlsStream<TcpStream>) -> io::Result<()> {
    stream.write_all(ADMITTED).await?;
    stream.flush().await
}

fn config(pki: &Path) -> Result<ServerConfig, BadFile> {
    let is_flat = pki.join("servercert.pem").exists();
    let file = |folder: &str, name: &str| match is_flat {
        true => pki.join(name),
        false => pki.join(folder).join(name),
    };
    let (authority, revoked) = (file("CA", "cacert.pem"), file("CA", "cacrl.pem"));
    let clients = Clients {
        authority: &authority,
        revoked: Some(revoked.as_path()).filter(|revoked| revoked.exists()),
        or_others: false,
    };
    let certificate = file("libvirt", "servercert.pem");
    let key = file("libvirt/private", "serverkey.pem");
    let mut config = tls::server(&certificate, &key, Some(clients))?;
    // libvirt's client waits for one record after the handshake, and would take a ticket for the confirmation.
    config.send_tls13_tickets = 0;
    Ok(config)
}
