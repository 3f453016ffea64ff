//! What TLS needs from libvirt's files: the trusted authorities, and the client's certificate.

use std::{fmt, path::Path, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{
        CertificateDer, CertificateRevocationListDer, PrivateKeyDer, ServerName, UnixTime,
        pem::{self, PemObject},
    },
};

use super::error;
use crate::{
    driver::libvirt::address::Pki,
    model::error::{Error, ErrorKind, Result},
};

/// Reads the files. Without `verify`, any server is accepted.
pub(super) fn load(pki: &Pki, verify: bool) -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match verify {
        true => authorities(pki, &provider)?,
        false => Arc::new(Anybody(Arc::clone(&provider))),
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|cause| error(ErrorKind::Internal, "TLS cannot be set up").because(cause))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let Some((certificate, key)) = &pki.client else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates(certificate)?;
    let secret = PrivateKeyDer::from_pem_file(key)
        .map_err(|cause| unreadable("the private key", key, cause))?;
    builder.with_client_auth_cert(chain, secret).map_err(|cause| {
        let (certificate, key) = (certificate.display(), key.display());
        let what = match &cause {
            rustls::Error::InconsistentKeys(_) => {
                format!("the private key {key} does not belong to the certificate {certificate}")
            }
            _ => format!("the private key {key} or the certificate {certificate} is unusable"),
        };
        error(ErrorKind::Tls, what).because(cause)
    })
}

/// Returns the verifier of the server's host name and certificate; it trusts libvirt's authorities
/// alone.
fn authorities(pki: &Pki, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>> {
    let mut roots = RootCertStore::empty();
    let useless = |path: &Path, what: &str, cause: &dyn fmt::Display| {
        error(ErrorKind::Tls, format!("{} contains {what} that is unusable", path.display()))
            .because(cause.to_string())
    };
    for certificate in certificates(&pki.ca)? {
        roots
            .add(certificate)
            .map_err(|cause| useless(&pki.ca, "an authority's certificate", &cause))?;
    }
    let builder =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let Some(path) = &pki.crl else {
        return builder.build().map_err(|cause| useless(&pki.ca, "a certificate", &cause));
    };
    let lists: Vec<_> = items::<CertificateRevocationListDer<'_>>("a revocation list", path)?;
    builder
        .with_crls(lists)
        // An authority need not have a revocation list.
        .allow_unknown_revocation_status()
        .enforce_revocation_expiration()
        .build()
        .map_err(|cause| useless(path, "a revocation list", &cause))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    items("a certificate", path)
}

/// Reads all items of a kind from a file, which must have at least one.
fn items<T: PemObject>(what: &str, path: &Path) -> Result<Vec<T>> {
    let read = || {
        let items = T::pem_file_iter(path)?.collect::<std::result::Result<Vec<_>, _>>()?;
        if items.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(items) }
    };
    read().map_err(|cause| unreadable(what, path, cause))
}

fn unreadable(what: &str, path: &Path, cause: pem::Error) -> Error {
    let path = path.display();
    let (says, cause) = match cause {
        pem::Error::Io(cause) => {
            return error(
                ErrorKind::Tls,
                format!("cannot read {path}, which must contain {what} for TLS"),
            )
            .because(cause);
        }
        pem::Error::NoItemsFound => ("contains none", None),
        cause => ("is damaged", Some(cause)),
    };
    let error = error(ErrorKind::Tls, format!("{path} must contain {what} for TLS, but {says}"));
    match cause {
        Some(cause) => error.because(cause),
        None => error,
    }
}

/// Explains what is wrong with a server's certificate, and how to fix it.
pub(super) fn why_distrusted(pki: &Pki, host: &str, cause: &CertificateError) -> String {
    use CertificateError as Fault;
    let ca = pki.ca.display();
    match cause {
        Fault::UnknownIssuer | Fault::BadSignature => {
            format!("it is not signed by an authority in {ca}: is that the server's authority?")
        }
        Fault::Expired | Fault::ExpiredContext { .. } => {
            "it or its authority's certificate has expired: renew it, or set the clock".to_owned()
        }
        Fault::NotValidYet | Fault::NotValidYetContext { .. } => {
            "it or its authority's certificate is not valid yet: set the clock".to_owned()
        }
        Fault::NotValidForNameContext { presented, .. } if presented.is_empty() => {
            format!("it has no subjectAltName: issue one that names '{host}' there, not in its CN")
        }
        Fault::NotValidForNameContext { presented, .. } => {
            let presented = presented.join(", ");
            format!("it is valid for {presented}: use such a name in the URI, or no_verify=1")
        }
        Fault::Revoked => "it was revoked".to_owned(),
        Fault::ExpiredRevocationList | Fault::ExpiredRevocationListContext { .. } => {
            "the list of revoked certificates has expired: renew cacrl.pem".to_owned()
        }
        Fault::InvalidPurpose | Fault::InvalidPurposeContext { .. } => {
            "it is not for servers: issue one with the purpose tls_www_server".to_owned()
        }
        Fault::UnsupportedSignatureAlgorithmContext { .. }
        | Fault::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "its signature algorithm is weak or uncommon: sign it with RSA of 2048 bits or more, \
             ECDSA on P-256 or P-384, or Ed25519"
                .to_owned()
        }
        other => other.to_string(),
    }
}

/// Accepts every server's certificate, but still verifies that the server holds its key.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
