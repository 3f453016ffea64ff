//! The fuzz target `http_query`: queries and headers of any text.

use domstats::{DomainFilter, Format, StatsGroups};

use super::{accept, query::Query};

/// Any text is a valid query or a short error. As the header `Accept`, it chooses one of the offers or none.
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
