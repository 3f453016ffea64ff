//! TLS from files: our certificate, and the authority of clients.

use std::{fmt, path::Path, sync::Arc};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{
        CertificateDer, CertificateRevocationListDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    server::WebPkiClientVerifier,
};

use super::secret;
use crate::config::BadFile;

const CERTIFICATE: &str = "our certificate";
const PRIVATE_KEY: &str = "our private key";
const AUTHORITY: &str = "the authority of clients";
const REVOKED: &str = "the revocation list of the authority of clients";

/// The clients that are accepted.
#[derive(Debug)]
pub(crate) struct Clients<'a> {
    pub(crate) authority: &'a Path,
    /// Its revocation list.
    pub(crate) revoked: Option<&'a Path>,
    /// Whether clients without a certificate are accepted too.
    pub(crate) or_others: bool,
}

/// Returns the configuration of a server with this certificate and key, and the authority of its clients.
///
/// # Errors
///
/// Which file is missing or malformed, and why.
pub(crate) fn server(
    certificate: &Path,
    key: &Path,
    clients: Option<Clients<'_>>,
) -> Result<ServerConfig, BadFile> {
    let chain = certificates(certificate, CERTIFICATE)?;
    let secret = secret::read(key, PRIVATE_KEY)?;
    let secret = PrivateKeyDer::from_pem_slice(secret.as_bytes())
        .map_err(|error| unreadable(key, PRIVATE_KEY, &error))?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(unusable(certificate, CERTIFICATE))?;
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            for authority in certificates(clients.authority, AUTHORITY)? {
                roots.add(authority).map_err(unusable(clients.authority, AUTHORITY))?;
            }
            let revoked = clients.revoked.map(|path| items(path, REVOKED)).transpose()?;
            let revoked: Vec<CertificateRevocationListDer<'_>> = revoked.unwrap_or_default();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .with_crls(revoked)
                // libvirt's authorities usually have no list for their own certificate.
                .only_check_end_entity_revocation()
                .allow_unknown_revocation_status();
            let verifier =
                if clients.or_others { verifier.allow_unauthenticated() } else { verifier };
            let verifier = verifier.build().map_err(unusable(clients.authority, AUTHORITY))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    builder.with_single_cert(chain, secret).map_err(unusable(certificate, CERTIFICATE))
}

/// Reads certificates in PEM, at least one. `what` names them in an error.
///
/// # Errors
///
/// Why the file is unusable.
pub(crate) fn certificates(
    path: &Path,
    what: &'static str,
) -> Result<Vec<CertificateDer<'static>>, BadFile> {
    let all = items(path, what)?;
    if all.is_empty() { Err(unreadable(path, what, &pem::Error::NoItemsFound)) } else { Ok(all) }
}

fn items<T: PemObject>(path: &Path, what: &'static str) -> Result<Vec<T>, BadFile> {
    T::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| unreadable(path, what, &error))
}

fn unreadable(path: &Path, what: &'static str, error: &pem::Error) -> BadFile {
    let why = match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => "it has none".to_owned(),
        other => format!("it is damaged: {other}"),
    };
    BadFile { path: path.to_owned(), what, why }
}

fn unusable<E: fmt::Display>(path: &Path, what: &'static str) -> impl FnOnce(E) -> BadFile {
    move |error| BadFile { path: path.to_owned(), what, why: error.to_string() }
}
