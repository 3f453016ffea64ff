//! Tokens and certificates: read when the daemon starts, and again when it is told to.

use std::{
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock},
};

use tokio_rustls::TlsAcceptor;

use super::{HttpError, auth::Auth, tls};
use crate::config;

/// Who may ask, and who we are, as it was read last.
pub(crate) struct Access {
    /// Where it is served, which stays.
    listen: SocketAddr,
    current: RwLock<Arc<Secrets>>,
}

pub(super) struct Secrets {
    pub(super) auth: Auth,
    pub(super) tls: Option<TlsAcceptor>,
}

impl Access {
    /// # Errors
    ///
    /// The sentence that says what is wrong.
    pub(super) fn new(http: &config::Http) -> Result<Self, HttpError> {
        let secrets = Secrets::read(http, http.listen)?;
        Ok(Self { listen: http.listen, current: RwLock::new(Arc::new(secrets)) })
    }

    pub(super) fn current(&self) -> Arc<Secrets> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads everything again. Connections that are there stay as they are; each question is asked
    /// for what is valid when it comes.
    ///
    /// # Errors
    ///
    /// The sentence that says what is wrong: what was valid stays.
    pub(crate) fn reload(&self, http: &config::Http) -> Result<(), HttpError> {
        let secrets = Arc::new(Secrets::read(http, self.listen)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = secrets;
        Ok(())
    }
}

impl Secrets {
    fn read(http: &config::Http, listen: SocketAddr) -> Result<Self, HttpError> {
        let (auth, tls) = (Auth::new(http)?, tls::acceptor(http)?);
        if !listen.ip().is_loopback() && (tls.is_none() || auth.is_open()) {
            return Err(HttpError::Wrong(format!(
                "http.listen is {listen}, which other hosts reach: set http.certificate and \
                 http.key, and http.token_file or http.client_ca, or listen on 127.0.0.1"
            )));
        }
        Ok(Self { auth, tls })
    }
}
