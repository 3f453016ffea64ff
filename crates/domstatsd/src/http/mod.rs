//! HTTP: metrics, documents, health.
//!
//! | file | what it does |
//! |---|---|
//! | `listen.rs` | connections, and what a client may take of time |
//! | `access.rs`, `auth.rs`, `site.rs` | who may ask |
//! | `answers.rs` | what is asked of the hypervisors, and for how many at once |
//! | `query.rs`, `accept.rs`, `form.rs` | what a client says, and the form that it gets |
//! | `metrics.rs`, `parts.rs`, `own.rs`, `compat/` | `/metrics` |
//! | `metadata.rs`, `description.rs` | what management layers say of the domains |
//! | `domains.rs` | `/v1/domains` |
//! | `otlp/` | the metrics pushed to a collector |
//! | `health.rs` | `/healthz`, `/readyz` |
//! | `openapi.json` | what all of that is, for programs |

mod accept;
mod access;
mod answers;
mod auth;
pub(crate) mod compat;
mod description;
mod domains;
mod form;
pub(crate) mod fuzz;
mod health;
mod listen;
mod metadata;
mod metrics;
mod otlp;
mod own;
mod parts;
pub(crate) mod query;
mod refusal;
mod site;

use std::{fmt, net::SocketAddr, sync::Arc, thread, time::Duration};

use axum::{
    Router,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    middleware,
    response::IntoResponse,
    routing::get,
};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
    task::JoinSet,
};
use tower_http::compression::CompressionLayer;

use crate::{
    config::{self, BadFile, Config},
    pass::Passes,
    rpc,
};
use access::Access;
use answers::{Answers, KEPT};
use compat::Profile;
pub(crate) use otlp::Pusher;
use refusal::Refusal;

/// What every answer needs.
pub(crate) struct Shared {
    answers: Answers,
    max_age: Duration,
    /// Whose names `/metrics` has beside the usual ones.
    compat: Vec<&'static Profile>,
    access: Access,
    own: own::Own,
    metadata: Arc<metadata::Metadata>,
    /// The other server, whose clients are counted here too.
    rpc: Arc<rpc::Server>,
    /// As many answers are written at a time as there are CPUs: more would only take more memory.
    writers: Semaphore,
}

impl Shared {
    /// Runs what writes an answer on a thread that may take its time.
    async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let _writer = self.writers.acquire().await;
        tokio::task::spawn_blocking(write).await.map_err(|_| {
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the answer could not be written")
        })
    }
}

/// The server, before it serves.
pub(crate) struct Http {
    shared: Arc<Shared>,
    limits: listen::Limits,
}

/// What is wrong with the configuration of HTTP.
#[derive(Debug)]
pub(crate) enum HttpError {
    Unreadable(BadFile),
    Wrong(String),
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(file) => file.fmt(f),
            Self::Wrong(sentence) => f.write_str(sentence),
        }
    }
}

impl std::error::Error for HttpError {}

impl From<BadFile> for HttpError {
    fn from(file: BadFile) -> Self {
        Self::Unreadable(file)
    }
}

impl Http {
    /// Reads secrets and certificates, and checks that the settings go together, and with the
    /// addresses where it is to be served.
    ///
    /// # Errors
    ///
    /// The sentence that says what is wrong.
    pub(crate) fn new(
        config: &Config,
        addresses: Vec<SocketAddr>,
        passes: Passes,
        rpc: Arc<rpc::Server>,
    ) -> Result<Self, HttpError> {
        let http = &config.http;
        let access = Access::new(http, addresses)?;
        let compat = http.compat.iter().map(|name| Profile::beside(name).map_err(HttpError::Wrong));
        let shared = Shared {
            answers: Answers::new(passes),
            max_age: http.max_age.min(KEPT),
            compat: compat.collect::<Result<_, _>>()?,
            access,
            own: own::Own::default(),
            metadata: Arc::default(),
            rpc,
            writers: Semaphore::new(thread::available_parallelism().map_or(1, usize::from)),
        };
        let limits = listen::Limits::new(http.max_connections, http.client_timeout);
        Ok(Self { shared: Arc::new(shared), limits })
    }

    /// Returns what can change while it serves.
    pub(crate) fn control(&self) -> Control {
        Control(Arc::clone(&self.shared))
    }

    /// Serves until it is told to stop, then ends what it has begun.
    pub(crate) async fn serve(self, listeners: Vec<TcpListener>, stop: watch::Receiver<bool>) {
        let router = router(Arc::clone(&self.shared));
        let serve = |listener| {
            let (router, shared) = (router.clone(), Arc::clone(&self.shared));
            listen::serve(listener, router, shared, self.limits.clone(), stop.clone())
        };
        listeners.into_iter().map(serve).collect::<JoinSet<()>>().join_all().await;
    }
}

/// What can change while HTTP is served.
pub(crate) struct Control(Arc<Shared>);

impl Control {
    /// Reads tokens and certificates again.
    ///
    /// # Errors
    ///
    /// The sentence that says what is wrong: what was valid stays.
    pub(crate) fn reload(&self, http: &config::Http) -> Result<(), HttpError> {
        self.0.access.reload(http)
    }

    /// Returns what pushes metrics to the collector, if there is one.
    ///
    /// # Errors
    ///
    /// The sentence that says what is wrong.
    pub(crate) fn pusher(&self, otlp: &config::Otlp) -> Result<Option<Pusher>, HttpError> {
        Pusher::new(Arc::clone(&self.0), otlp)
    }
}

/// Every path, with what answers it. `openapi.json` describes these and no others.
const ROUTES: [&str; 8] = [
    "/",
    "/healthz",
    "/readyz",
    "/metrics",
    "/metrics/compat/{profile}",
    "/v1/domains",
    "/v1/domains/{domain}",
    "/v1/openapi.json",
];

fn router(shared: Arc<Shared>) -> Router {
    let route = |router: Router<Arc<Shared>>, path: &'static str| {
        let method = match path {
            "/" => get(index),
            "/healthz" => get(health::healthz),
            "/readyz" => get(health::readyz),
            "/metrics" => get(metrics::metrics),
            "/metrics/compat/{profile}" => get(metrics::compat),
            "/v1/domains" => get(domains::all),
            "/v1/domains/{domain}" => get(domains::one),
            _ => get(openapi),
        };
        router.route(path, method)
    };
    ROUTES
        .into_iter()
        .fold(Router::new(), route)
        .fallback(nothing_there)
        .method_not_allowed_fallback(only_get)
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), auth::check))
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), site::check))
        .layer(CompressionLayer::new())
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), own::count))
        .with_state(shared)
}

async fn index() -> impl IntoResponse {
    const TEXT: &str = "domstatsd: /metrics, /v1/domains, /v1/openapi.json, /healthz, /readyz\n";
    TEXT
}

async fn openapi() -> impl IntoResponse {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], include_str!("openapi.json"))
}

async fn nothing_there(request: Request) -> Refusal {
    let path: String = request.uri().path().chars().take(60).collect();
    let sentence = format!("there is nothing at '{path}': {}", ROUTES[1..].join(", "));
    Refusal::new(StatusCode::NOT_FOUND, sentence)
}

async fn only_get() -> Refusal {
    let sentence = "everything here is read by GET or HEAD, and nothing is changed";
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, sentence)
}

#[cfg(test)]
mod tests {
    use domstats::stats::GROUPS;
    use serde_json::Value;

    use super::{query::Query, *};

    fn openapi() -> Value {
        serde_json::from_str(include_str!("openapi.json")).unwrap()
    }

    #[test]
    fn openapi_describes_the_routes_that_exist() {
        let document = openapi();
        let mut described: Vec<&str> =
            document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
        let mut routes = ROUTES[1..].to_vec();
        described.sort_unstable();
        routes.sort_unstable();
        assert_eq!(described, routes);
    }

    #[test]
    fn openapi_has_the_words_that_are_read() {
        let document = openapi();
        let words = |schema: &Value| -> Vec<String> {
            let words = schema.get("enum").or(schema["items"].get("enum")).unwrap();
            words.as_array().unwrap().iter().map(|word| word.as_str().unwrap().into()).collect()
        };
        let parameters = &document["components"]["parameters"];
        let mut said = 0;
        for (key, parameter) in parameters.as_object().unwrap() {
            let name = parameter["name"].as_str().unwrap();
            let values = match parameter["schema"]["type"].as_str().unwrap() {
                "string" if parameter["schema"].get("enum").is_none() => vec!["1s".to_owned()],
                _ => words(&parameter["schema"]),
            };
            for value in values {
                let read = Query::parse(&format!("{name}={value}"), &domstats::Format::ALL);
                assert!(read.is_ok(), "{key}: {read:?}");
                said += 1;
            }
        }
        let groups = words(&parameters["stats"]["schema"]);
        assert_eq!(groups.len(), GROUPS.len() + 1);
        assert!(said > 25, "{said}");
        let profiles = &document["paths"]["/metrics/compat/{profile}"]["get"]["parameters"][0];
        for profile in words(&profiles["schema"]) {
            assert!(Profile::named(&profile).is_some(), "{profile}");
        }
    }
}
