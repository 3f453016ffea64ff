//! TLS: who we are, and whose clients we trust.

use std::{path::Path, sync::Arc};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    server::WebPkiClientVerifier,
};
use tokio_rustls::TlsAcceptor;

use super::HttpError;
use crate::config;

/// Returns what answers TLS; nothing without a certificate.
pub(super) fn acceptor(http: &config::Http) -> Result<Option<TlsAcceptor>, HttpError> {
    let (certificate, key) = match (&http.certificate, &http.key) {
        (Some(certificate), Some(key)) => (certificate, key),
        (None, None) if http.client_ca.is_none() => return Ok(None),
        _ => {
            let sentence = "http.certificate and http.key belong together, and http.client_ca \
                            needs both";
            return Err(HttpError::Wrong(sentence.to_owned()));
        }
    };
    let chain = certificates(certificate, "our certificate")?;
    let secret = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| unreadable(key, "our private key", &error))?;
    let provider = Arc::new(ring::default_provider());
    let unusable = |path: &Path, what, why: &dyn std::fmt::Display| HttpError::Unreadable {
        path: path.to_owned(),
        what,
        why: why.to_string(),
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| HttpError::Wrong(format!("TLS cannot be set up: {error}")))?;
    let builder = match &http.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            const WHAT: &str = "the authority of clients";
            let mut roots = RootCertStore::empty();
            for authority in certificates(path, WHAT)? {
                roots.add(authority).map_err(|error| unusable(path, WHAT, &error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            // With a token, a client may show that instead.
            let verifier = match http.token_file {
                Some(_) => verifier.allow_unauthenticated(),
                None => verifier,
            };
            let verifier = verifier.build().map_err(|error| unusable(path, WHAT, &error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder
        .with_single_cert(chain, secret)
        .map_err(|error| unusable(certificate, "our certificate", &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}

pub(super) fn certificates(
    path: &Path,
    what: &'static str,
) -> Result<Vec<CertificateDer<'static>>, HttpError> {
    let read = || {
        let all = CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>()?;
        if all.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(all) }
    };
    read().map_err(|error| unreadable(path, what, &error))
}

fn unreadable(path: &Path, what: &'static str, error: &pem::Error) -> HttpError {
    let why = match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => "it has none".to_owned(),
        other => format!("it is damaged: {other}"),
    };
    HttpError::Unreadable { path: path.to_owned(), what, why }
}
