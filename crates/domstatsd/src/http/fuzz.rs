//! What clients say, as the fuzz target `http_query` and its corpus say it.

use domstats::{DomainFilter, Format, StatsGroups};

use super::{accept, query::Query};

/// Any text is a query that asks for what exists, or a sentence that is not long. Any text is a
/// header too, by which one of the offers is chosen or none.
pub fn http_query(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    match Query::parse(text, &Format::ALL) {
        Ok(query) => {
            assert!(StatsGroups::all_known().contains(query.groups));
            assert!(DomainFilter::all_known().contains(query.filter));
            let timeout = query.timeout.unwrap_or(Query::MAX_TIMEOUT);
            assert!(!timeout.is_zero() && timeout <= Query::MAX_TIMEOUT);
        }
        Err(sentence) => assert!(sentence.len() < 1_000, "{sentence}"),
    }
    let offers = ["text/plain", "application/openmetrics-text", "application/json"];
    if let Some(place) = accept::best(text, &offers) {
        assert!(place < offers.len());
    }
}
