//! `/v1/openapi.json`: the description of all endpoints, made of the table of routes. `openapi.json` has the rest of
//! it: parameters, errors, authentication.

use std::sync::LazyLock;

use axum::{
    http::{HeaderValue, header},
    response::IntoResponse,
};
use domstats::{Format, stats::GROUPS};
use serde_json::{Value, json};

use super::{ROUTES, format::content_type};

/// The description of an endpoint.
pub(super) struct Operation {
    pub(super) summary: &'static str,
    /// The parameter in its path.
    pub(super) in_path: Option<InPath>,
    pub(super) body: Body,
    /// The statuses of its errors, besides 401 and those of its body.
    pub(super) errors: &'static [u16],
    /// Whether it needs no authentication.
    pub(super) is_open: bool,
}

pub(super) struct InPath {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    /// The values; any, if there are none.
    pub(super) values: &'static [&'static str],
}

/// What an endpoint returns.
pub(super) enum Body {
    /// A line of text, with what it means.
    Text(&'static str),
    /// Any JSON, with what it is.
    Json(&'static str),
    /// Metrics of a query.
    Metrics,
    /// The document of a query.
    Document,
}

/// The parameters of a query, but for its format.
const PARAMETERS: [&str; 5] = ["stats", "state", "options", "timeout", "max_age"];

impl Operation {
    pub(super) const fn new(summary: &'static str, body: Body) -> Self {
        Self { summary, in_path: None, body, errors: &[], is_open: false }
    }

    fn describe(&self) -> Value {
        let mut operation = json!({ "summary": self.summary, "responses": self.responses() });
        let parameters = self.parameters();
        if !parameters.is_empty() {
            operation["parameters"] = parameters.into();
        }
        if self.is_open {
            operation["security"] = json!([]);
        }
        json!({ "get": operation })
    }

    fn parameters(&self) -> Vec<Value> {
        let in_path = self.in_path.iter().map(|InPath { name, description, values }| {
            let mut schema = json!({ "type": "string" });
            if !values.is_empty() {
                schema["enum"] = json!(values);
            }
            let (place, required) = ("path", true);
            json!({ "name": name, "in": place, "required": required, "description": description, "schema": schema })
        });
        let format = match self.body {
            Body::Metrics => Some("metrics"),
            Body::Document => Some("document"),
            Body::Text(_) | Body::Json(_) => None,
        };
        let of_query = format.into_iter().flat_map(|format| PARAMETERS.into_iter().chain([format]));
        let references = of_query.map(|name| reference("parameters", name));
        in_path.chain(references).collect()
    }

    fn responses(&self) -> Value {
        let text = json!({ "type": "string" });
        let (ok, errors): (_, &[u16]) = match self.body {
            Body::Text(meaning) => (
                json!({ "description": meaning, "content": { "text/plain": { "schema": text } } }),
                &[],
            ),
            Body::Json(meaning) => {
                let content = json!({ "application/json": { "schema": { "type": "object" } } });
                (json!({ "description": meaning, "content": content }), &[])
            }
            Body::Metrics => {
                let [prometheus, openmetrics] =
                    [Format::Prometheus, Format::OpenMetrics].map(content_type);
                let content =
                    json!({ prometheus: { "schema": text }, openmetrics: { "schema": text } });
                let meaning = "The metrics, in the format that the client prefers.";
                (json!({ "description": meaning, "content": content }), &[400, 503, 504])
            }
            Body::Document => {
                let json = "Valid against schemas/domainstats.schema.json.";
                let xml = "Valid against schemas/domainstats.rng.";
                let etag = "Identifies the document, for If-None-Match.";
                let unreachable =
                    "The URIs of the hypervisors that could not be asked, if others could.";
                let document = json!({
                    "description": "The document.",
                    "headers": {
                        "ETag": { "description": etag, "schema": text },
                        "Domstats-Unreachable": { "description": unreachable, "schema": text },
                    },
                    "content": {
                        "application/json": { "schema": { "type": "object", "description": json } },
                        "application/xml": { "schema": { "type": "string", "description": xml } },
                    },
                });
                (document, &[400, 406, 503, 504])
            }
        };
        let mut responses = json!({ "200": ok });
        if matches!(self.body, Body::Document) {
            responses["304"] = json!({ "description": "The client has this document." });
        }
        let denied: &[u16] = if self.is_open { &[] } else { &[401] };
        for status in denied.iter().chain(errors).chain(self.errors) {
            responses[status.to_string()] = reference("responses", "Error");
        }
        responses
    }
}

fn reference(section: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{section}/{name}") })
}

/// Returns the whole description.
pub(super) fn document() -> Value {
    let mut document: Value =
        serde_json::from_str(include_str!("openapi.json")).unwrap_or_default();
    let groups: Vec<&str> =
        ["cpu"].into_iter().chain(GROUPS.iter().map(|group| group.name)).collect();
    document["components"]["parameters"]["stats"]["schema"]["items"]["enum"] = groups.into();
    for route in ROUTES.iter() {
        if let Some(operation) = &route.operation {
            document["paths"][route.path] = operation.describe();
        }
    }
    document
}

/// The description as text: it never changes.
static TEXT: LazyLock<String> = LazyLock::new(|| format!("{:#}\n", document()));

pub(super) async fn openapi() -> impl IntoResponse {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], TEXT.as_str())
}
