//! Error responses: a status, and one sentence in JSON.

use axum::{
    extract::rejection::PathRejection,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::admission::NoSnapshot;
use crate::hypervisors::Failure;

/// Why a client gets no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    status: StatusCode,
    sentence: String,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, sentence: impl Into<String>) -> Self {
        Self { status, sentence: sentence.into() }
    }

    pub(crate) fn bad_path(_: PathRejection) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "the path is not UTF-8")
    }

    pub(crate) fn bad_request(sentence: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, sentence)
    }

    /// No hypervisor could be asked.
    pub(crate) fn unreachable(failures: &[Failure]) -> Self {
        let each = failures.iter().map(|failure| format!("{}: {}", failure.uri, failure.error));
        let all = each.collect::<Vec<_>>().join("; ");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, format!("no hypervisor can be asked: {all}"))
    }
}

impl From<NoSnapshot> for Refusal {
    fn from(why: NoSnapshot) -> Self {
        let status = match why {
            NoSnapshot::Busy => StatusCode::SERVICE_UNAVAILABLE,
            NoSnapshot::Late => StatusCode::GATEWAY_TIMEOUT,
        };
        Self::new(status, why.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = format!("{}\n", json!({ "error": self.sentence }));
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        match self.status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}
