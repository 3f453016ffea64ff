//! `/v1/domains`: the document, in XML or JSON.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use axum::{
    Extension,
    body::{Body, Bytes},
    extract::{Path, RawQuery, State, rejection::PathRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use domstats::{DomainInfo, ErrorKind, ErrorOrigin, Format, StatsReport, Uuid};

use super::{
    App,
    format::{self, content_type, media_type},
    listen::Client,
    refusal::Refusal,
};
use crate::hypervisors::Snapshot;

const FORMATS: [Format; 2] = [Format::Json, Format::Xml];

/// The document of all domains.
pub(super) async fn all(
    State(app): State<Arc<App>>,
    Extension(client): Extension<Client>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let (format, snapshot) = ask(&app, client, query.as_deref(), &headers).await?;
    let all =
        move |snapshot: &Snapshot| Ok(snapshot.encoded(format, || text(format, snapshot.report())));
    answer(&app, format, &headers, snapshot, all).await
}

/// The document of one domain, by its name, UUID or id.
pub(super) async fn one(
    State(app): State<Arc<App>>,
    Extension(client): Extension<Client>,
    domain: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let Path(domain) = domain.map_err(Refusal::bad_path)?;
    let (format, snapshot) = ask(&app, client, query.as_deref(), &headers).await?;
    let one = move |snapshot: &Snapshot| {
        let report = only(snapshot.report(), &domain)?;
        Ok(text(format, &report).into())
    };
    answer(&app, format, &headers, snapshot, one).await
}

/// Returns the client's format, and a snapshot of what it asks for.
async fn ask(
    app: &App,
    client: Client,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Result<(Format, Arc<Snapshot>), Refusal> {
    let (query, format) = format::read(query, headers, FORMATS)?;
    let format = format.ok_or_else(|| {
        let types = FORMATS.map(media_type).join(" or ");
        let sentence = format!("the document is {types}: accept one of them");
        Refusal::new(StatusCode::NOT_ACCEPTABLE, sentence)
    })?;
    let max_age = query.max_age.unwrap_or(app.max_age);
    let configured = app.admission.hypervisors.timeout();
    let wanted = query.stats().within(query.timeout.unwrap_or(configured), configured);
    let snapshot = app.admission.snapshot(wanted, max_age, client.source).await?;
    match snapshot.gathered.unreachable() {
        Some(failures) => Err(Refusal::unreachable(failures)),
        None => Ok((format, snapshot)),
    }
}

/// Returns the report of one domain, by its name or UUID, else by its id.
fn only(report: &StatsReport, word: &str) -> Result<StatsReport, Refusal> {
    let domains = report.domains.iter().map(|stats| &stats.domain);
    let all = || domains.clone().chain(report.missing.iter().map(|missing| &missing.domain));
    let (uuid, id) = (word.parse::<Uuid>().ok(), word.parse::<u32>().ok());
    let is = |info: &&DomainInfo| info.name == word || (uuid.is_some() && info.uuid == uuid);
    let shown: String = word.chars().take(60).collect();
    let what = format!("the name or UUID '{shown}'");
    let meant = DomainInfo::meant(all().filter(is), &what, ErrorOrigin::Library);
    let number = || all().find(|info| id.is_some() && info.id == id);
    let meant = match meant {
        Err(error) if error.kind() == ErrorKind::NoDomain => number().ok_or(error),
        meant => meant,
    };
    let is_claimed = all().any(|info| is(&info));
    let meant = meant.map_err(|error| {
        if !is_claimed {
            let sentence = format!("no domain that matches has the name or UUID '{shown}'");
            return Refusal::new(StatusCode::NOT_FOUND, sentence);
        }
        let is_ambiguous = error.kind() == ErrorKind::Ambiguous;
        let status = if is_ambiguous { StatusCode::CONFLICT } else { StatusCode::NOT_FOUND };
        Refusal::new(status, error.to_string())
    })?;
    let mut one = StatsReport::new(report.taken_at);
    one.elapsed = report.elapsed;
    one.domains = report.domains.iter().filter(|stats| stats.domain == *meant).cloned().collect();
    one.missing = report.missing.iter().filter(|gone| gone.domain == *meant).cloned().collect();
    Ok(one)
}

fn text(format: Format, report: &StatsReport) -> String {
    match format {
        Format::Xml => report.to_xml(),
        _ => report.to_json(),
    }
}

/// Sends the document, unless the client has it already.
async fn answer(
    app: &App,
    format: Format,
    headers: &HeaderMap,
    snapshot: Arc<Snapshot>,
    document: impl FnOnce(&Snapshot) -> Result<Bytes, Refusal> + Send + 'static,
) -> Result<Response, Refusal> {
    let known = headers.get(header::IF_NONE_MATCH).cloned();
    let encode = move || -> Result<_, Refusal> {
        let text = document(&snapshot)?;
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        // Weak: the same document may be sent with and without gzip.
        let tag = format!("W/\"{:016x}\"", hasher.finish());
        let failures = &snapshot.gathered.failures;
        let unreachable: Vec<&str> = failures.iter().map(|failure| failure.uri.as_str()).collect();
        Ok((text, tag, unreachable.join(" ")))
    };
    let (text, tag, unreachable) = app.encode(encode).await??;
    let is_known = known
        .as_ref()
        .and_then(|known| known.to_str().ok())
        .is_some_and(|known| known.split(',').any(|one| one.trim() == tag || one.trim() == "*"));
    let mut response = match is_known {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => Body::from(text).into_response(),
    };
    let content_type = HeaderValue::from_static(content_type(format));
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    let mut insert = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    };
    insert("etag", &tag);
    if !unreachable.is_empty() {
        insert("domstats-unreachable", &unreachable);
    }
    Ok(response)
}
