//! Protection from web pages that make a browser on this host send requests.
//!
//! - A page fetches `http://127.0.0.1:9177/…`. Browsers mark such a fetch (`Sec-Fetch-Site`, `Origin`), and it is
//!   refused; following a link is allowed.
//! - A page points its own host name at this host (DNS rebinding), so that the browser takes the daemon for the
//!   page's server. The name is in `Host`: without authentication, only this host's names are accepted.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, Uri, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{App, refusal::Refusal};

/// Refuses requests that another site's page sends.
pub(super) async fn check(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let secrets = app.access.current();
    let (uri, headers) = (request.uri(), request.headers());
    let refused = match secrets.auth.is_open() {
        true => strange_host(uri, headers, &secrets.hosts).or_else(|| strange_page(headers)),
        // A page of another site knows no token, and a certificate is for our name only.
        false => strange_page(headers),
    };
    match refused {
        Some(refusal) => refusal.into_response(),
        None => next.run(request).await,
    }
}

/// Refuses a name that is neither this host's nor configured. A request without one (HTTP/1.0) is not a browser's.
fn strange_host(uri: &Uri, headers: &HeaderMap, hosts: &[String]) -> Option<Refusal> {
    let named =
        headers.get_all(header::HOST).iter().map(|value| value.to_str().unwrap_or_default());
    let mut all = named.chain(uri.authority().map(Authority::as_str));
    let strange = all.find(|authority| !is_ours(authority, hosts))?;
    let shown: String = strange.chars().take(60).collect();
    Some(Refusal::new(
        StatusCode::MISDIRECTED_REQUEST,
        format!(
            "'{shown}' is not a name of this daemon: ask by an IP address or by localhost, or add the name to \
             http.hosts in its configuration"
        ),
    ))
}

/// True for an IP address, `localhost`, and configured names, with any port. No DNS stands between a browser
/// and those.
fn is_ours(authority: &str, hosts: &[String]) -> bool {
    let Ok(authority) = authority.parse::<Authority>() else { return false };
    if authority.as_str().contains('@') {
        return false;
    }
    let host = authority.host().to_ascii_lowercase();
    let host = host.strip_suffix('.').unwrap_or(&host);
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    address.parse::<IpAddr>().is_ok()
        || host == "localhost"
        || host.ends_with(".localhost")
        || hosts.iter().any(|known| known.eq_ignore_ascii_case(host))
}

/// Refuses what a page of another site fetches or embeds.
fn strange_page(headers: &HeaderMap) -> Option<Refusal> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_strange = match text("sec-fetch-site") {
        Some("same-origin" | "none") => false,
        Some(_) => {
            // The user who follows a link sees the answer, the linking page does not.
            text("sec-fetch-mode") != Some("navigate") || text("sec-fetch-dest") != Some("document")
        }
        None => text("origin").is_some_and(|origin| {
            let authority = origin.split_once("://").map(|(_, authority)| authority);
            authority.is_none() || authority != text("host")
        }),
    };
    is_strange.then(|| {
        let sentence = "a web page of another site may not read this: open the address itself, or ask without a \
                        browser";
        Refusal::new(StatusCode::FORBIDDEN, sentence)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_this_host_are_known() {
        let hosts = ["metrics.example.org".to_owned()];
        for ours in [
            "localhost",
            "localhost:9177",
            "LOCALHOST.",
            "a.localhost:1",
            "127.0.0.1",
            "192.0.2.7:9177",
            "[::1]:9177",
            "[2001:db8::1]",
            "metrics.example.org",
            "Metrics.Example.org:443",
        ] {
            assert!(is_ours(ours, &hosts), "{ours}");
        }
        for strange in [
            "",
            "evil",
            "evil:9177",
            "localhost.evil",
            "127.0.0.1.evil",
            "user@localhost",
            "evil@127.0.0.1",
            "sub.metrics.example.org",
            "[::1",
            "::1]",
            "a b",
        ] {
            assert!(!is_ours(strange, &hosts), "{strange}");
        }
    }

    #[test]
    fn fetches_of_other_sites_are_told_from_links_and_programs() {
        let refused = |lines: &[(&'static str, &'static str)]| {
            let lines = lines.iter().map(|(name, value)| {
                (header::HeaderName::from_static(name), header::HeaderValue::from_static(value))
            });
            strange_page(&lines.collect()).is_some()
        };
        assert!(!refused(&[("host", "localhost:9177")]));
        assert!(!refused(&[("sec-fetch-site", "none"), ("sec-fetch-mode", "navigate")]));
        assert!(!refused(&[("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "cors")]));
        assert!(!refused(&[("host", "localhost:9177"), ("origin", "http://localhost:9177")]));
        let link = ("sec-fetch-mode", "navigate");
        assert!(!refused(&[
            ("sec-fetch-site", "cross-site"),
            link,
            ("sec-fetch-dest", "document")
        ]));
        assert!(refused(&[("sec-fetch-site", "cross-site"), link, ("sec-fetch-dest", "iframe")]));
        assert!(refused(&[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")]));
        assert!(refused(&[("sec-fetch-site", "same-site"), ("sec-fetch-mode", "cors")]));
        assert!(refused(&[("host", "localhost:9177"), ("origin", "http://evil")]));
        assert!(refused(&[("host", "localhost:9177"), ("origin", "http://localhost:3000")]));
        assert!(refused(&[("host", "localhost:9177"), ("origin", "null")]));
    }
}
