//! Authentication: a token, or a certificate of a trusted authority.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::{
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use subtle::ConstantTimeEq;

use super::{App, HttpError, listen::Client, refusal::Refusal};
use crate::{
    config::{self, BadFile},
    net::secret,
};

/// What authenticates a client.
pub(crate) struct Auth {
    token: Option<String>,
    certificate: bool,
}

impl Auth {
    pub(super) fn new(http: &config::Http) -> Result<Self, HttpError> {
        const SHORTEST: usize = 16;
        let read = |path: &PathBuf| token(path, "the token that clients show", SHORTEST);
        let token = http.token_file.as_ref().map(read).transpose()?;
        Ok(Self { token, certificate: http.client_ca.is_some() })
    }

    /// Returns whether no authentication is needed.
    pub(super) fn is_open(&self) -> bool {
        self.token.is_none() && !self.certificate
    }

    fn allows(&self, has_certificate: bool, shown: Option<&str>) -> bool {
        let has_token = match (&self.token, shown) {
            (Some(token), Some(shown)) => bool::from(token.as_bytes().ct_eq(shown.as_bytes())),
            _ => false,
        };
        self.is_open() || has_token || (self.certificate && has_certificate)
    }
}

/// Reads a token of at least so many characters.
pub(super) fn token(path: &Path, what: &'static str, shortest: usize) -> Result<String, BadFile> {
    let wrong = |why: String| BadFile { path: path.to_owned(), what, why };
    let text = secret::read(path, what)?;
    match text.trim() {
        "" => Err(wrong("it is empty".to_owned())),
        token if token.len() < shortest => {
            Err(wrong(format!("it is shorter than {shortest} characters")))
        }
        token => Ok(token.to_owned()),
    }
}

/// Refuses clients that are not authenticated, except at `/healthz`.
pub(super) async fn check(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let shown = request.headers().get(header::AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let has_certificate =
        request.extensions().get::<Client>().is_some_and(|client| client.has_certificate);
    let auth = &app.access.current().auth;
    if request.uri().path() == "/healthz" || auth.allows(has_certificate, shown) {
        return next.run(request).await;
    }
    let sentence = "show who you are: 'Authorization: Bearer TOKEN', or a client certificate, \
                    whichever the configuration asks for";
    Refusal::new(StatusCode::UNAUTHORIZED, sentence).into_response()
}
