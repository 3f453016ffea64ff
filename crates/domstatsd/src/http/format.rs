//! The formats that HTTP serves, and which of them a client gets.

use axum::http::{HeaderMap, header};
use domstats::Format;

use super::{accept, query::Query, refusal::Refusal};

/// Returns the media type of a format, for the header `Accept`.
pub(super) fn media_type(format: Format) -> &'static str {
    match format {
        Format::OpenMetrics => "application/openmetrics-text",
        Format::Json => "application/json",
        Format::Xml => "application/xml",
        _ => "text/plain",
    }
}

/// Returns the header `Content-Type` of a format.
pub(super) fn content_type(format: Format) -> &'static str {
    match format {
        Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        other => media_type(other),
    }
}

/// Reads the query, and chooses the format that it names or `Accept` prefers. `None` if the client accepts
/// none of the offers.
pub(super) fn read(
    query: Option<&str>,
    headers: &HeaderMap,
    offers: [Format; 2],
) -> Result<(Query, Option<Format>), Refusal> {
    let query = Query::parse(query.unwrap_or_default(), &offers).map_err(Refusal::bad_request)?;
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let preferred = || accept::best(accept.unwrap_or_default(), &offers.map(media_type));
    let format = query.format.or_else(|| preferred().map(|place| offers[place]));
    Ok((query, format))
}
