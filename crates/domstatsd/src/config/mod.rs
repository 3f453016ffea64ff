//! The configuration: a TOML file, then the environment, then the command line; the later one wins.

pub(crate) mod check;

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use domstats::{Connect, ConnectOptions, StatsRequest, error_chain};
use serde::{Deserialize, Deserializer, de};

/// All settings. `docs/domstatsd.toml` explains every key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// The URIs of the hypervisors. If two have the same domain, the first one's record is kept.
    #[serde(deserialize_with = "hypervisors")]
    pub(crate) connect: Vec<String>,
    /// The timeout of an answer, whatever the domains do.
    #[serde(deserialize_with = "duration")]
    pub(crate) timeout: Duration,
    pub(crate) rpc: Rpc,
    pub(crate) http: Http,
    pub(crate) otlp: Otlp,
    pub(crate) log: Log,
}

/// libvirt's protocol.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Rpc {
    /// The path of the Unix socket, if there is one.
    pub(crate) socket: Option<PathBuf>,
    /// The group that may use the socket, besides root.
    pub(crate) group: Option<String>,
    /// The address for TLS, if it is served.
    #[serde(deserialize_with = "some_address")]
    pub(crate) tls: Option<SocketAddr>,
    /// The folder with libvirt's files for TLS: `CA/cacert.pem`, `libvirt/servercert.pem`,
    /// `libvirt/private/serverkey.pem`.
    pub(crate) pki: PathBuf,
    /// The most clients at a time.
    pub(crate) max_clients: usize,
    /// The most calls of a client in flight.
    pub(crate) max_client_requests: usize,
    /// The silence after which a client that answers pings is pinged; off if 0.
    #[serde(deserialize_with = "duration")]
    pub(crate) keepalive: Duration,
}

/// HTTP: metrics and documents.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Http {
    /// The address.
    #[serde(deserialize_with = "address")]
    pub(crate) listen: SocketAddr,
    /// The names by which clients reach it, beside `localhost` and addresses.
    pub(crate) hosts: Vec<String>,
    /// The greatest age of an answer, if the query does not set `max_age`.
    #[serde(deserialize_with = "duration")]
    pub(crate) max_age: Duration,
    /// Other exporters whose metrics `/metrics` has beside ours.
    pub(crate) compat: Vec<String>,
    /// Our certificate, in PEM, with those of its authorities; without it, there is no TLS.
    pub(crate) certificate: Option<PathBuf>,
    /// Its private key, in PEM.
    pub(crate) key: Option<PathBuf>,
    /// The authority of client certificates, in PEM.
    pub(crate) client_ca: Option<PathBuf>,
    /// A file with the token of clients.
    pub(crate) token_file: Option<PathBuf>,
    /// The most connections at a time; more wait.
    pub(crate) max_connections: usize,
    /// How long a client may take to send its request, or to read the response.
    #[serde(deserialize_with = "duration")]
    pub(crate) client_timeout: Duration,
}

/// OTLP: the metrics pushed to a collector.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Otlp {
    /// The collector, if there is one.
    #[serde(deserialize_with = "some_collector")]
    pub(crate) endpoint: Option<Uri>,
    /// The interval of pushes.
    #[serde(deserialize_with = "duration")]
    pub(crate) interval: Duration,
    /// The timeout of one attempt.
    #[serde(deserialize_with = "duration")]
    pub(crate) timeout: Duration,
    /// More headers, for collectors of several tenants.
    #[serde(deserialize_with = "headers")]
    pub(crate) headers: HeaderMap,
    /// A file with the token for the collector.
    pub(crate) token_file: Option<PathBuf>,
    /// The authority of the collector's certificate, in PEM; by default the system's.
    pub(crate) ca: Option<PathBuf>,
}

/// The log, on standard error.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    /// `text` or `json`.
    pub(crate) format: LogFormat,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub(crate) level: LogLevel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// The least severe level that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connect: Vec::new(),
            timeout: StatsRequest::DEFAULT_TIMEOUT,
            rpc: Rpc::default(),
            http: Http::default(),
            otlp: Otlp::default(),
            log: Log::default(),
        }
    }
}

impl Default for Rpc {
    fn default() -> Self {
        Self {
            socket: None,
            group: None,
            tls: None,
            pki: "/etc/pki".into(),
            // libvirt's own defaults.
            max_clients: 5000,
            max_client_requests: 5,
            keepalive: Duration::from_secs(5),
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        // The port of the exporters with the same metric names. Only this host, unless the configuration sets an
        // address and how clients authenticate.
        Self {
            listen: ([127, 0, 0, 1], 9177).into(),
            hosts: Vec::new(),
            max_age: Duration::ZERO,
            compat: Vec::new(),
            certificate: None,
            key: None,
            client_ca: None,
            token_file: None,
            max_connections: 512,
            client_timeout: Duration::from_secs(10),
        }
    }
}

impl Default for Otlp {
    fn default() -> Self {
        // OpenTelemetry's own defaults.
        Self {
            endpoint: None,
            interval: Duration::from_secs(60),
            timeout: Duration::from_secs(10),
            headers: HeaderMap::new(),
            token_file: None,
            ca: None,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: LogLevel::Info }
    }
}

/// An error in a configuration.
#[derive(Debug)]
pub(crate) enum ConfigError {
    Unreadable(PathBuf, io::Error),
    Wrong {
        path: PathBuf,
        line: usize,
        key: String,
        what: String,
    },
    /// In the combination of the file, the environment and the options.
    Unusable(String),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(path, error) => {
                write!(f, "cannot read the configuration {}: {error}", path.display())
            }
            Self::Unusable(sentence) => f.write_str(sentence),
            Self::Wrong { path, line, key, what } => {
                write!(f, "{}:{line}: ", path.display())?;
                match key.as_str() {
                    "" | "." => f.write_str(what),
                    key => write!(f, "{key}: {what}"),
                }
            }
        }
    }
}

impl std::error::Error for ConfigError {}

/// A file of the configuration that is unusable.
#[derive(Debug)]
pub(crate) struct BadFile {
    pub(crate) path: PathBuf,
    /// What it should be.
    pub(crate) what: &'static str,
    pub(crate) why: String,
}

impl fmt::Display for BadFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot read {} from {}: {}", self.what, self.path.display(), self.why)
    }
}

impl Config {
    /// Reads a file, and takes the defaults for missing keys.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or the line and key that are wrong.
    pub(crate) fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path)
            .map_err(|error| ConfigError::Unreadable(path.to_owned(), error))?;
        Self::parse(&text).map_err(|wrong| ConfigError::Wrong {
            path: path.to_owned(),
            line: wrong.line,
            key: wrong.key,
            what: wrong.what,
        })
    }

    fn parse(text: &str) -> Result<Self, Wrong> {
        let wrong = |key: String, error: &toml::de::Error| {
            let start = error.span().map_or(0, |span| span.start);
            let line = text.get(..start).unwrap_or_default().matches('\n').count() + 1;
            Wrong { line, key, what: error.message().replace('\n', ", ") }
        };
        let file = toml::Deserializer::parse(text).map_err(|error| wrong(String::new(), &error))?;
        serde_path_to_error::deserialize(file)
            .map_err(|error| wrong(error.path().to_string(), error.inner()))
    }
}

struct Wrong {
    line: usize,
    key: String,
    what: String,
}

/// Checks the URI of a hypervisor, without asking it.
///
/// # Errors
///
/// A sentence about what is wrong.
pub(crate) fn hypervisor(uri: &str) -> Result<String, String> {
    let checked = Connect::check(uri, &ConnectOptions::from_env());
    checked.map(|()| uri.to_owned()).map_err(|error| error_chain(&error))
}

fn hypervisors<'de, D: Deserializer<'de>>(value: D) -> Result<Vec<String>, D::Error> {
    struct Hypervisor(String);

    impl<'de> Deserialize<'de> for Hypervisor {
        fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
            value.deserialize_str(Uri)
        }
    }

    /// Only a visitor's error has the line of the item; others have the line of the list.
    struct Uri;

    impl de::Visitor<'_> for Uri {
        type Value = Hypervisor;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the URI of a hypervisor")
        }

        fn visit_str<E: de::Error>(self, uri: &str) -> Result<Hypervisor, E> {
            hypervisor(uri).map(Hypervisor).map_err(E::custom)
        }
    }
    let all = Vec::<Hypervisor>::deserialize(value)?;
    Ok(all.into_iter().map(|Hypervisor(uri)| uri).collect())
}

/// Reads a duration such as `500ms`.
fn duration<'de, D: Deserializer<'de>>(value: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(value)?;
    humantime::parse_duration(&text).map_err(|error| {
        de::Error::custom(format!("'{text}' is no duration, such as 500ms or 2s: {error}"))
    })
}

/// Reads the address of a listener.
fn address<'de, D: Deserializer<'de>>(value: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(value)?;
    text.parse().map_err(|_| {
        de::Error::custom(format!("'{text}' is no address, such as 127.0.0.1:9177 or [::]:9177"))
    })
}

fn some_address<'de, D: Deserializer<'de>>(value: D) -> Result<Option<SocketAddr>, D::Error> {
    address(value).map(Some)
}

/// Reads the URL of a collector.
///
/// # Errors
///
/// A sentence about what is wrong.
pub(crate) fn collector(text: &str) -> Result<Uri, String> {
    let url: Option<Uri> = text.parse().ok().filter(|url: &Uri| {
        let authority = url.authority().map_or("@", |authority| authority.as_str());
        matches!(url.scheme_str(), Some("http" | "https")) && !authority.contains('@')
    });
    url.ok_or_else(|| {
        format!(
            "'{text}' is no collector, such as http://localhost:4318 or https://HOST/v1/metrics"
        )
    })
}

fn some_collector<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Uri>, D::Error> {
    collector(&String::deserialize(value)?).map(Some).map_err(de::Error::custom)
}

/// Reads a table of headers.
fn headers<'de, D: Deserializer<'de>>(value: D) -> Result<HeaderMap, D::Error> {
    let table = BTreeMap::<String, String>::deserialize(value)?;
    let header = |(name, value): (String, String)| {
        let header = (name.parse::<HeaderName>().ok()).zip(value.parse::<HeaderValue>().ok());
        header.ok_or_else(|| de::Error::custom(format!("'{name}' is no header, or its value none")))
    };
    table.into_iter().map(header).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        let path = std::env::temp_dir().join(format!("domstatsd-{}.toml", std::process::id()));
        fs::write(&path, text).unwrap();
        let error = Config::read(&path).unwrap_err().to_string();
        fs::remove_file(&path).unwrap();
        error.rsplit_once(".toml:").unwrap().1.to_owned()
    }

    #[test]
    fn an_empty_file_changes_nothing() {
        assert_eq!(Config::parse("").ok(), Some(Config::default()));
    }

    #[test]
    fn errors_name_the_line_and_the_key() {
        let error = wrong("timeout = \"1s\"\n\n[http]\nlisten = \"everywhere\"\n");
        assert!(
            error.starts_with("4: http.listen: 'everywhere' is no address, such as"),
            "{error}"
        );
        let error = wrong("[rpc]\nsocket = \"/run/x\"\nsokket = 1\n");
        assert!(error.starts_with("3: rpc.sokket: unknown field"), "{error}");
        assert!(error.contains("expected one of `socket`"), "{error}");
        let error = wrong("timeout = \"soon\"\n");
        assert!(error.starts_with("1: timeout: 'soon' is no duration"), "{error}");
        let error = wrong("[otlp]\nendpoint = \"localhost:4318\"\n");
        assert!(error.starts_with("2: otlp.endpoint: 'localhost:4318' is no collector"), "{error}");
        let error = wrong("[otlp]\nheaders = { \"a b\" = \"c\" }\n");
        assert!(error.starts_with("2: otlp.headers: 'a b' is no header"), "{error}");
        let error = wrong("connect = [\n\"test:///default\",\n7]\n");
        assert!(error.starts_with("3: connect[1]: invalid type: integer"), "{error}");
        let error = wrong("connect = [\n\"test:///default\", \"qemu+qmp:///system?hold=1\"]\n");
        assert!(error.starts_with("2: connect[1]: connection URI 'qemu+qmp:///"), "{error}");
        assert!(error.contains("no parameter 'hold'"), "{error}");
        // The line of the bracket that is not closed.
        let error = wrong("\nconnect = [\n");
        assert!(error.starts_with("2: unclosed array, expected `]`"), "{error}");
    }

    #[test]
    fn the_example_has_every_key_and_its_default() {
        let example = include_str!("../../../../docs/domstatsd.toml");
        let read =
            |text: &str| Config::parse(text).unwrap_or_else(|wrong| panic!("{}", wrong.what));
        assert_eq!(read(example), Config::default());
        let all: Vec<_> = example.lines().map(example_of).collect();
        let Config { connect, rpc, http, otlp, .. } = read(&all.join("\n"));
        let keys = all.iter().filter(|line| !line.starts_with('#') && line.contains(" = "));
        assert_eq!(keys.count(), 27);
        assert!(!connect.is_empty() && rpc.socket.and(rpc.group).is_some() && rpc.tls.is_some());
        assert!(http.certificate.and(http.key).and(http.client_ca).and(http.token_file).is_some());
        assert!(otlp.endpoint.is_some() && otlp.token_file.and(otlp.ca).is_some());
        assert_eq!(otlp.headers["x-scope-orgid"], "tenant");
    }

    /// Returns the setting behind a `#`, if there is one: prose has a space there.
    fn example_of(line: &str) -> &str {
        line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line)
    }
}
