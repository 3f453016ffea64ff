//! The forms of an answer, and which of them a client gets.

use axum::http::{HeaderMap, header};
use domstats::Format;

use super::{accept, query::Query, refusal::Refusal};

/// A form in which many clients get the same text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Prometheus,
    OpenMetrics,
    Json,
    Xml,
}

impl Form {
    /// How many there are.
    pub(super) const COUNT: usize = 4;

    pub(super) fn format(self) -> Format {
        match self {
            Self::Prometheus => Format::Prometheus,
            Self::OpenMetrics => Format::OpenMetrics,
            Self::Json => Format::Json,
            Self::Xml => Format::Xml,
        }
    }

    /// Returns what it is called where clients and servers agree on one.
    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain",
            Self::OpenMetrics => "application/openmetrics-text",
            Self::Json => "application/json",
            Self::Xml => "application/xml",
        }
    }

    /// Returns what an answer says of itself.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Json | Self::Xml => self.media_type(),
        }
    }
}

/// Reads what a client asks: its query, and the form that it names or likes best. `None` if it takes
/// none of those that are offered.
pub(super) fn read(
    query: Option<&str>,
    headers: &HeaderMap,
    offers: [Form; 2],
) -> Result<(Query, Option<Form>), Refusal> {
    let query = Query::parse(query.unwrap_or_default(), &offers.map(Form::format))
        .map_err(Refusal::bad_request)?;
    let named = offers.into_iter().find(|form| Some(form.format()) == query.format);
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let liked = || accept::best(accept.unwrap_or_default(), &offers.map(Form::media_type));
    let form = named.or_else(|| liked().map(|place| offers[place]));
    Ok((query, form))
}
