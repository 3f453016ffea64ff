//! HTTP: metrics, documents, health.
//!
//! | file | what it does |
//! |---|---|
//! | `listen.rs` | connections, and the time that each may take |
//! | `access.rs`, `auth.rs`, `site.rs` | which clients get an answer |
//! | `admission.rs` | the queries in flight: how many, and for how long |
//! | `query.rs`, `accept.rs`, `format.rs` | what a client asks for, and in which format |
//! | `metrics.rs`, `body.rs`, `own.rs`, `compat/` | `/metrics` |
//! | `metadata.rs`, `description.rs` | what management layers store in the domains' descriptions |
//! | `domains.rs` | `/v1/domains` |
//! | `otlp/` | the metrics pushed to a collector |
//! | `health.rs` | `/healthz`, `/readyz` |
//! | `openapi.rs`, `openapi.json` | the description of all of it, for programs |

mod accept;
mod access;
mod admission;
mod auth;
mod body;
pub(crate) mod compat;
mod description;
mod domains;
mod format;
pub(crate) mod fuzz;
mod health;
mod listen;
mod metadata;
mod metrics;
mod openapi;
mod otlp;
mod own;
pub(crate) mod query;
mod refusal;
mod site;

use std::{fmt, net::SocketAddr, sync::Arc, thread, time::Duration};

use axum::{
    Router,
    extract::Request,
    http::StatusCode,
    middleware,
    response::IntoResponse,
    routing::{MethodRouter, get},
};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
    task::JoinSet,
};
use tower_http::compression::CompressionLayer;

use crate::{
    config::{self, BadFile, Config},
    hypervisors::Hypervisors,
    rpc,
};
use access::Access;
use admission::{Admission, OLDEST};
use compat::Profile;
use openapi::{Body, InPath, Operation};
pub(crate) use otlp::Pusher;
use refusal::Refusal;

/// The state of the server, which every handler needs.
pub(crate) struct App {
    admission: Admission,
    max_age: Duration,
    /// The exporters whose names `/metrics` has beside ours.
    compat: Vec<&'static Profile>,
    access: Access,
    own: own::Own,
    metadata: Arc<metadata::Metadata>,
    /// The other server, for metrics of its clients.
    rpc: Arc<rpc::Server>,
    /// A permit for each CPU: more answers encoded at a time would only take more memory.
    encoders: Semaphore,
}

impl App {
    /// Encodes an answer on a thread that may block.
    async fn encode<T: Send + 'static>(
        &self,
        encode: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let _permit = self.encoders.acquire().await;
        tokio::task::spawn_blocking(encode).await.map_err(|_| {
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the answer could not be encoded")
        })
    }
}

/// The server, before it serves.
pub(crate) struct Http {
    app: Arc<App>,
    limits: listen::Limits,
}

/// Why HTTP cannot be served as configured.
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
    /// Reads secrets and certificates, and checks that the settings fit together and fit the addresses.
    ///
    /// # Errors
    ///
    /// A sentence about the setting or file that is wrong.
    pub(crate) fn new(
        config: &Config,
        addresses: Vec<SocketAddr>,
        hypervisors: Hypervisors,
        rpc: Arc<rpc::Server>,
    ) -> Result<Self, HttpError> {
        let http = &config.http;
        let access = Access::new(http, addresses)?;
        let compat = http.compat.iter().map(|name| Profile::beside(name).map_err(HttpError::Wrong));
        let app = App {
            admission: Admission::new(hypervisors),
            max_age: http.max_age.min(OLDEST),
            compat: compat.collect::<Result<_, _>>()?,
            access,
            own: own::Own::default(),
            metadata: Arc::default(),
            rpc,
            encoders: Semaphore::new(thread::available_parallelism().map_or(1, usize::from)),
        };
        let limits = listen::Limits::new(http.max_connections, http.client_timeout);
        Ok(Self { app: Arc::new(app), limits })
    }

    /// Returns the handle that changes settings while it serves.
    pub(crate) fn control(&self) -> Control {
        Control(Arc::clone(&self.app))
    }

    /// Serves until it is told to stop, then finishes the answers in flight.
    pub(crate) async fn serve(self, listeners: Vec<TcpListener>, stop: watch::Receiver<bool>) {
        let router = router(Arc::clone(&self.app));
        let serve = |listener| {
            let (router, app) = (router.clone(), Arc::clone(&self.app));
            listen::serve(listener, router, app, self.limits.clone(), stop.clone())
        };
        listeners.into_iter().map(serve).collect::<JoinSet<()>>().join_all().await;
    }
}

/// Changes settings while HTTP is served.
pub(crate) struct Control(Arc<App>);

impl Control {
    /// Reads tokens and certificates again.
    ///
    /// # Errors
    ///
    /// A sentence about the file that is wrong: those read before stay valid.
    pub(crate) fn reload(&self, http: &config::Http) -> Result<(), HttpError> {
        self.0.access.reload(http)
    }

    /// Returns the pusher of metrics to the collector, if one is configured.
    ///
    /// # Errors
    ///
    /// A sentence about the setting or file that is wrong.
    pub(crate) fn pusher(&self, otlp: &config::Otlp) -> Result<Option<Pusher>, HttpError> {
        Pusher::new(Arc::clone(&self.0), otlp)
    }
}

/// An endpoint: its path, its handler, and what `/v1/openapi.json` says about it.
struct Route {
    path: &'static str,
    handler: fn() -> MethodRouter<Arc<App>>,
    operation: Option<Operation>,
}

impl Route {
    const fn new(
        path: &'static str,
        handler: fn() -> MethodRouter<Arc<App>>,
        operation: Operation,
    ) -> Self {
        Self { path, handler, operation: Some(operation) }
    }
}

/// All endpoints.
const ROUTES: [Route; 8] = [
    Route { path: "/", handler: || get(index), operation: None },
    Route::new(
        "/healthz",
        || get(health::healthz),
        Operation {
            is_open: true,
            ..Operation::new("Whether the daemon is alive", Body::Text("It is."))
        },
    ),
    Route::new(
        "/readyz",
        || get(health::readyz),
        Operation {
            errors: &[503, 504],
            ..Operation::new("Whether at least one hypervisor can be asked", Body::Text("One can."))
        },
    ),
    Route::new(
        "/metrics",
        || get(metrics::metrics),
        Operation::new("Metrics of all domains and of the daemon, for Prometheus", Body::Metrics),
    ),
    Route::new(
        "/metrics/compat/{profile}",
        || get(metrics::compat),
        Operation {
            in_path: Some(InPath {
                name: "profile",
                description: "The exporter.",
                values: &compat::NAMES,
            }),
            errors: &[404],
            ..Operation::new("The metrics of another exporter, alone", Body::Metrics)
        },
    ),
    Route::new(
        "/v1/domains",
        || get(domains::all),
        Operation::new("The document of all domains", Body::Document),
    ),
    Route::new(
        "/v1/domains/{domain}",
        || get(domains::one),
        Operation {
            in_path: Some(InPath {
                name: "domain",
                description: "A name or a UUID, else an id.",
                values: &[],
            }),
            errors: &[404, 409],
            ..Operation::new("The document of one domain", Body::Document)
        },
    ),
    Route::new(
        "/v1/openapi.json",
        || get(openapi::openapi),
        Operation::new("This description", Body::Json("OpenAPI 3.1.")),
    ),
];

fn router(app: Arc<App>) -> Router {
    ROUTES
        .iter()
        .fold(Router::new(), |router, route| router.route(route.path, (route.handler)()))
        .fallback(not_found)
        .method_not_allowed_fallback(only_get)
        .layer(middleware::from_fn_with_state(Arc::clone(&app), auth::check))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), site::check))
        .layer(CompressionLayer::new())
        .layer(middleware::from_fn_with_state(Arc::clone(&app), own::count))
        .with_state(app)
}

async fn index() -> impl IntoResponse {
    const TEXT: &str = "domstatsd: /metrics, /v1/domains, /v1/openapi.json, /healthz, /readyz\n";
    TEXT
}

async fn not_found(request: Request) -> Refusal {
    let path: String = request.uri().path().chars().take(60).collect();
    let known = ROUTES[1..].iter().map(|route| route.path).collect::<Vec<_>>();
    let sentence = format!("there is nothing at '{path}': {}", known.join(", "));
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

    #[test]
    fn openapi_describes_every_route_and_refers_to_what_it_has() {
        let document = openapi::document();
        let mut described: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
        described.sort_unstable();
        let mut routes: Vec<&str> = ROUTES[1..].iter().map(|route| route.path).collect();
        routes.sort_unstable();
        assert_eq!(described, routes);
        let text = document.to_string();
        let references: Vec<&str> = text
            .split("\"$ref\":\"#")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap())
            .collect();
        assert!(references.len() > 40, "{}", references.len());
        for reference in references {
            assert!(document.pointer(reference).is_some(), "{reference}");
        }
    }

    #[test]
    fn openapi_has_the_words_that_are_read() {
        let document = openapi::document();
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
