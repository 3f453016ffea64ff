//! Tokens and certificates, read at the start and on reload.

use std::{
    net::SocketAddr,
    sync::{Arc, RwLock},
};

use domstats::sync::unpoisoned;
use rustix::system::uname;
use tokio_rustls::TlsAcceptor;

use super::{HttpError, auth::Auth};
use crate::{
    config,
    net::tls::{self, Clients},
};

/// The secrets that were read last.
pub(crate) struct Access {
    /// The addresses that HTTP listens on, which a reload does not change.
    addresses: Vec<SocketAddr>,
    current: RwLock<Arc<Secrets>>,
}

pub(super) struct Secrets {
    pub(super) auth: Auth,
    pub(super) tls: Option<TlsAcceptor>,
    /// Names of this host, beside its addresses.
    pub(super) hosts: Vec<String>,
}

impl Access {
    /// # Errors
    ///
    /// A sentence about the setting or file that is wrong.
    pub(super) fn new(http: &config::Http, addresses: Vec<SocketAddr>) -> Result<Self, HttpError> {
        let secrets = Secrets::read(http, &addresses)?;
        Ok(Self { addresses, current: RwLock::new(Arc::new(secrets)) })
    }

    pub(super) fn current(&self) -> Arc<Secrets> {
        Arc::clone(&*unpoisoned(self.current.read()))
    }

    /// Reads everything again. Existing connections stay; each request is checked against the secrets that are
    /// valid when it arrives.
    ///
    /// # Errors
    ///
    /// A sentence about the setting or file that is wrong: then nothing changes.
    pub(crate) fn reload(&self, http: &config::Http) -> Result<(), HttpError> {
        let secrets = Arc::new(Secrets::read(http, &self.addresses)?);
        *unpoisoned(self.current.write()) = secrets;
        Ok(())
    }
}

impl Secrets {
    fn read(http: &config::Http, addresses: &[SocketAddr]) -> Result<Self, HttpError> {
        let (auth, tls) = (Auth::new(http)?, acceptor(http)?);
        let mut hosts = http.hosts.clone();
        hosts.push(uname().nodename().to_string_lossy().into_owned());
        let is_open = tls.is_none() || auth.is_open();
        let is_far = |address: &&SocketAddr| !address.ip().to_canonical().is_loopback();
        if let Some(address) = addresses.iter().find(is_far).filter(|_| is_open) {
            return Err(HttpError::Wrong(format!(
                "HTTP listens on {address}, which other hosts reach: set http.certificate and \
                 http.key, and http.token_file or http.client_ca, or listen on 127.0.0.1"
            )));
        }
        Ok(Self { auth, tls, hosts })
    }
}

/// Returns the TLS acceptor; none without a certificate.
fn acceptor(http: &config::Http) -> Result<Option<TlsAcceptor>, HttpError> {
    let (certificate, key) = match (&http.certificate, &http.key) {
        (Some(certificate), Some(key)) => (certificate, key),
        (None, None) if http.client_ca.is_none() => return Ok(None),
        _ => {
            let sentence = "http.certificate and http.key belong together, and http.client_ca \
                            needs both";
            return Err(HttpError::Wrong(sentence.to_owned()));
        }
    };
    let clients = http.client_ca.as_ref().map(|authority| Clients {
        authority,
        revoked: None,
        // With a token, a client may send that instead.
        or_others: http.token_file.is_some(),
    });
    let mut config = tls::server(certificate, key, clients)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}
