//! TLS with libvirt's certificates, and its confirmation: when a client is let in, it gets one byte
//! before anything else.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// What a client that was let in reads first.
const LET_IN: &[u8] = &[1];

/// The daemon's certificate, and those of the authority whose clients may come.
pub(crate) struct Tls {
    config: RwLock<Arc<ServerConfig>>,
}

/// What is wrong with a file.
pub(crate) struct BadFile {
    path: PathBuf,
    what: String,
}

impl fmt::Display for BadFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.what)
    }
}

impl Tls {
    /// Reads the files of a folder.
    ///
    /// | file | or | what |
    /// |---|---|---|
    /// | `CA/cacert.pem` | `cacert.pem` | the authority |
    /// | `CA/cacrl.pem` | `cacrl.pem` | what it took back; may be missing |
    /// | `libvirt/servercert.pem` | `servercert.pem` | the daemon's certificate |
    /// | `libvirt/private/serverkey.pem` | `serverkey.pem` | its key |
    ///
    /// # Errors
    ///
    /// The file that is missing or makes no sense, and why.
    pub(crate) fn load(pki: &Path) -> Result<Self, BadFile> {
        Ok(Self { config: RwLock::new(Arc::new(config(pki)?)) })
    }

    /// Reads them again, for the clients to come.
    ///
    /// # Errors
    ///
    /// Those of [`Tls::load`]: then everything stays as it was.
    pub(crate) fn reload(&self, pki: &Path) -> Result<(), BadFile> {
        let config = Arc::new(config(pki)?);
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    /// Finds out who a client is.
    ///
    /// # Errors
    ///
    /// It speaks no TLS, has no certificate of the authority, or has gone.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        // A host that vanished without a word is noticed: not every client is pinged.
        rustix::net::sockopt::set_socket_keepalive(&stream, true)?;
        stream.set_nodelay(true)?;
        let config = Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner));
        TlsAcceptor::from(config).accept(stream).await
    }
}

/// Tells a client that it was let in.
///
/// # Errors
///
/// It has gone.
pub(super) async fn let_in(stream: &mut TlsStream<TcpStream>) -> io::Result<()> {
    stream.write_all(LET_IN).await?;
    stream.flush().await
}

fn config(pki: &Path) -> Result<ServerConfig, BadFile> {
    let is_flat = pki.join("servercert.pem").exists();
    let file = |folder: &str, name: &str| match is_flat {
        true => pki.join(name),
        false => pki.join(folder).join(name),
    };
    let authority = file("CA", "cacert.pem");
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&authority)? {
        roots.add(certificate).map_err(bad(&authority))?;
    }
    let revoked = file("CA", "cacrl.pem");
    let revocations = match revoked.exists() {
        true => CertificateRevocationListDer::pem_file_iter(&revoked)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(bad(&revoked))?,
        false => Vec::new(),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let clients =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .with_crls(revocations)
            // An authority without a list for its own certificate is libvirt's usual case.
            .only_check_end_entity_revocation()
            .allow_unknown_revocation_status()
            .build()
            .map_err(bad(&authority))?;
    let certificate = file("libvirt", "servercert.pem");
    let key = file("libvirt/private", "serverkey.pem");
    let private = PrivateKeyDer::from_pem_file(&key).map_err(bad(&key))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(bad(&certificate))?
        .with_client_cert_verifier(clients)
        .with_single_cert(certificates(&certificate)?, private)
        .map_err(bad(&certificate))?;
    // libvirt's client waits for one record after the handshake, and takes a ticket for the byte
    // that lets it in.
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, BadFile> {
    let found: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<_, _>>)
        .map_err(bad(path))?;
    match found.is_empty() {
        true => Err(BadFile { path: path.to_owned(), what: "has no certificate".to_owned() }),
        false => Ok(found),
    }
}

fn bad<E: fmt::Display>(path: &Path) -> impl FnOnce(E) -> BadFile {
    let path = path.to_owned();
    move |error| BadFile { path, what: error.to_string() }
}
