//! Chooses a format by the header `Accept`.

/// Returns the offer that the client prefers; of equal ones, the first. `None` if it accepts none of them.
/// Parameters other than `q` are ignored.
pub(crate) fn best(accept: &str, offers: &[&str]) -> Option<usize> {
    if accept.trim().is_empty() {
        return Some(0);
    }
    let ranges: Vec<(&str, u16)> = accept.split(',').filter_map(range).collect();
    let quality = |offer: &str| {
        let kind = offer.split('/').next().unwrap_or_default();
        let matches = |range: &str| match range.split_once('/') {
            Some(("*", "*")) => Some(0),
            Some((its, "*")) => its.eq_ignore_ascii_case(kind).then_some(1),
            _ => range.eq_ignore_ascii_case(offer).then_some(2),
        };
        let fitting = ranges.iter().filter_map(|(range, q)| Some((matches(range)?, *q)));
        // The most specific range decides; of equal ones, the better quality.
        fitting.max().map_or(0, |(_, q)| q)
    };
    let qualities = offers.iter().map(|offer| quality(offer)).enumerate();
    qualities
        .filter(|(_, q)| *q > 0)
        .max_by_key(|(place, q)| (*q, usize::MAX - place))
        .map(|(place, _)| place)
}

/// Reads `text/plain;version=0.0.4;q=0.5`: the type, and the quality in thousandths.
fn range(text: &str) -> Option<(&str, u16)> {
    let mut parts = text.split(';').map(str::trim);
    let range = parts.next().filter(|range| !range.is_empty())?;
    let q = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
    let q = match q {
        None => 1.0,
        Some(q) => q.parse::<f32>().ok().filter(|q| (0.0..=1.0).contains(q))?,
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 1")]
    Some((range, (q * 1000.0).round() as u16))
}

#[cfg(test)]
mod tests {

    const METRICS: [&str; 2] = ["text/plain", "application/openmetrics-text"];
    const DOCUMENTS: [&str; 2] = ["application/json", "application/xml"];

    #[test]
    fn clients_get_the_format_that_they_prefer() {
        let prometheus = "application/openmetrics-text;version=1.0.0,\
             application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        for (accept, offers, best) in [
            (prometheus, METRICS, Some(1)),
            ("text/plain;version=0.0.4;q=1,*/*;q=0.1", METRICS, Some(0)),
            ("", METRICS, Some(0)),
            ("*/*", METRICS, Some(0)),
            (browser, DOCUMENTS, Some(1)),
            ("application/*", DOCUMENTS, Some(0)),
            ("application/*;q=0.5, application/json;q=0.1", DOCUMENTS, Some(1)),
            ("application/json;q=0, */*", DOCUMENTS, Some(1)),
            ("APPLICATION/XML", DOCUMENTS, Some(1)),
            ("text/html", DOCUMENTS, None),
            ("application/json;q=0", DOCUMENTS, None),
            ("application/json;q=nan", DOCUMENTS, None),
            (",;;,/,*", DOCUMENTS, None),
        ] {
            assert_eq!(super::best(accept, &offers), best, "{accept}");
        }
    }
}
