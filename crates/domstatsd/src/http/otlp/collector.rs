//! A client of one collector: a POST, and its result.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header},
};
use domstats::is_deceptive;
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use prost::Message;
use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::{
    super::{HttpError, auth},
    encode::Export,
    messages::ExportResponse,
};
use crate::{
    config::{self, BadFile},
    net::tls,
};

/// The longest response that is read.
const LONGEST_RESPONSE: usize = 64 * 1024;
/// The path by the specification, where the endpoint names none.
const PATH: &str = "/v1/metrics";

/// A collector, connected or not.
pub(super) struct Collector {
    /// As configured, for messages.
    endpoint: String,
    host: String,
    port: u16,
    tls: Option<TlsConnector>,
    /// The path and headers of every request.
    path: String,
    headers: HeaderMap,
    /// How long one attempt may take.
    timeout: Duration,
    connection: Option<Connection>,
}

struct Connection {
    sender: SendRequest<Body>,
    /// The task that moves the bytes; ends with the connection.
    _driver: JoinSet<()>,
}

/// Why a request was not accepted.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) sentence: String,
    /// Whether the same request may succeed later.
    pub(super) is_transient: bool,
    /// The backoff that the collector asks for.
    pub(super) backoff: Option<Duration>,
}

impl Failure {
    fn transient(sentence: String) -> Self {
        Self { sentence, is_transient: true, backoff: None }
    }
}

impl Collector {
    /// Reads the files that the configuration names.
    pub(super) fn new(endpoint: &Uri, config: &config::Otlp) -> Result<Self, HttpError> {
        let is_secure = endpoint.scheme_str() == Some("https");
        let host = endpoint.host().unwrap_or_default();
        let port = endpoint.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        let path = match endpoint.path_and_query().map(|path| path.as_str()) {
            None | Some("" | "/") => PATH,
            Some(path) => path,
        };
        Ok(Self {
            endpoint: endpoint.to_string(),
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            tls: is_secure.then(|| connector(config)).transpose()?,
            path: path.to_owned(),
            headers: headers(endpoint, config)?,
            timeout: config.timeout,
            connection: None,
        })
    }

    /// Returns its address, for messages.
    pub(super) fn address(&self) -> &str {
        &self.endpoint
    }

    /// Closes the connection: the next attempt opens a new one.
    pub(super) fn disconnect(&mut self) {
        self.connection = None;
    }

    /// Makes one attempt. Returns how many points of an accepted request the collector rejected.
    pub(super) async fn post(&mut self, export: &Export) -> Result<u64, Failure> {
        let time = self.timeout;
        let late = || {
            let time = humantime::format_duration(time);
            Failure::transient(format!("it did not answer within {time}"))
        };
        timeout(time, self.attempt(export)).await.unwrap_or_else(|_| Err(late()))
    }

    async fn attempt(&mut self, export: &Export) -> Result<u64, Failure> {
        let mut request = Request::post(&self.path)
            .body(Body::from(export.body.clone()))
            .map_err(|error| Failure::transient(error.to_string()))?;
        request.headers_mut().clone_from(&self.headers);
        if self.connection.is_none() {
            self.connection = Some(self.connect().await.map_err(Failure::transient)?);
        }
        let Some(connection) = &mut self.connection else { return Ok(0) };
        let broken =
            |error: hyper::Error| Failure::transient(format!("the connection broke: {error}"));
        connection.sender.ready().await.map_err(broken)?;
        let response = connection.sender.send_request(request).await.map_err(broken)?;
        judge(response).await
    }

    async fn connect(&self) -> Result<Connection, String> {
        let failed = |error: std::io::Error| format!("no connection: {error}");
        let address = (self.host.as_str(), self.port);
        let stream = TcpStream::connect(address).await.map_err(failed)?;
        let Some(tls) = &self.tls else { return Connection::new(stream).await };
        let name = ServerName::try_from(self.host.clone()).map_err(|error| error.to_string())?;
        let failed = |error| format!("no TLS: {error}");
        Connection::new(tls.connect(name, stream).await.map_err(failed)?).await
    }
}

impl Connection {
    async fn new(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<Self, String> {
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            let _ = connection.await;
        });
        Ok(Self { sender, _driver: driver })
    }
}

/// Returns the result of an attempt by the status of its response.
async fn judge(response: Response<Incoming>) -> Result<u64, Failure> {
    let (head, body) = response.into_parts();
    let body = to_bytes(Body::new(body), LONGEST_RESPONSE).await;
    if head.status.is_success() {
        // A response that cannot be decoded rejects nothing.
        let answer = body.ok().and_then(|body| ExportResponse::decode(body).ok());
        let Some(partial) = answer.and_then(|answer| answer.partial_success) else { return Ok(0) };
        if !partial.error_message.is_empty() {
            tracing::warn!("the collector says: {}", shown(partial.error_message.as_bytes()));
        }
        return Ok(u64::try_from(partial.rejected_data_points).unwrap_or(0));
    }
    let said = body.map(|body| shown(&body)).unwrap_or_default();
    Err(Failure {
        sentence: format!("it answered {} {said}", head.status).trim_end().to_owned(),
        is_transient: matches!(
            head.status,
            StatusCode::TOO_MANY_REQUESTS
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT
        ),
        backoff: head.headers.get(header::RETRY_AFTER).and_then(retry_after),
    })
}

/// Reads `Retry-After`: seconds, or a date.
fn retry_after(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

/// Returns the beginning of a collector's words, without characters that are not readable.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let readable = text.chars().filter(|one| !is_deceptive(*one) && *one != '\u{fffd}');
    readable.take(200).collect()
}

/// Returns the headers of every request.
fn headers(endpoint: &Uri, config: &config::Otlp) -> Result<HeaderMap, HttpError> {
    let mut headers = config.headers.clone();
    let host = endpoint.authority().map(|authority| authority.as_str()).unwrap_or_default();
    let wrong = |error: header::InvalidHeaderValue| HttpError::Wrong(error.to_string());
    headers.insert(header::HOST, HeaderValue::from_str(host).map_err(wrong)?);
    let protobuf = HeaderValue::from_static("application/x-protobuf");
    headers.insert(header::CONTENT_TYPE, protobuf);
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    let agent = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(agent));
    if let Some(path) = &config.token_file {
        const WHAT: &str = "the token for the collector";
        let token = auth::token(path, WHAT, 1)?;
        let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
            let why = "it has characters that no header can".to_owned();
            BadFile { path: path.clone(), what: WHAT, why }
        })?;
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
    }
    Ok(headers)
}

/// Returns the TLS connector. It trusts the authorities of a file, or the system's.
fn connector(config: &config::Otlp) -> Result<TlsConnector, HttpError> {
    let mut roots = RootCertStore::empty();
    let authorities = match &config.ca {
        Some(path) => tls::certificates(path, "the authority of the collector")?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    roots.add_parsable_certificates(authorities);
    if roots.is_empty() {
        let sentence = "otlp.endpoint is https, and there is no authority to trust: set otlp.ca, or \
                        install the package ca-certificates";
        return Err(HttpError::Wrong(sentence.to_owned()));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| HttpError::Wrong(format!("TLS cannot be set up: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_says_where_and_how() {
        for (endpoint, host, port, path) in [
            ("http://localhost:4318", "localhost", 4318, "/v1/metrics"),
            ("http://h/", "h", 80, "/v1/metrics"),
            ("https://[::1]/otlp?tenant=a", "::1", 443, "/otlp?tenant=a"),
        ] {
            let config = config::Otlp::default();
            let collector = Collector::new(&config::collector(endpoint).unwrap(), &config).unwrap();
            assert_eq!((collector.host.as_str(), collector.port), (host, port));
            assert_eq!(collector.path, path);
            assert_eq!(collector.tls.is_some(), endpoint.starts_with("https"));
        }
        for endpoint in ["localhost:4318", "http://", "ftp://h/", "http://user@h/", "/path", ""] {
            assert!(config::collector(endpoint).is_err(), "{endpoint}");
        }
    }

    #[test]
    fn a_collector_asks_for_a_backoff() {
        let read = |text: &str| retry_after(&HeaderValue::from_str(text).unwrap());
        assert_eq!(read("120"), Some(Duration::from_secs(120)));
        assert_eq!(read("soon"), None);
        assert_eq!(read("Thu, 01 Jan 1970 00:00:10 GMT"), Some(Duration::ZERO));
        let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(60));
        let later = read(&date).unwrap();
        assert!(later > Duration::from_secs(57) && later <= Duration::from_secs(60), "{later:?}");
    }

    #[test]
    fn only_readable_characters_are_shown() {
        assert_eq!(shown(b"\x08\x03\x12\x04slow\xff\n"), "slow");
        assert_eq!(shown(&[b'x'; 900]).len(), 200);
    }
}
