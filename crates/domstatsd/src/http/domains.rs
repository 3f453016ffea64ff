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
use domstats::{DomainInfo, ErrorKind, ErrorOrigin, StatsReport, Uuid};

use super::{
    Shared,
    answers::Pass,
    form::{self, Form},
    listen::Client,
    refusal::Refusal,
};

const FORMS: [Form; 2] = [Form::Json, Form::Xml];

/// The document of all domains.
pub(super) async fn all(
    State(shared): State<Arc<Shared>>,
    Extension(client): Extension<Client>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let (form, pass) = ask(&shared, client, query.as_deref(), &headers).await?;
    let all = move |pass: &Pass| Ok(pass.text(form, || text(form, &pass.answer.of_all)));
    answer(&shared, form, &headers, pass, all).await
}

/// The document of one domain, by its name, UUID or id.
pub(super) async fn one(
    State(shared): State<Arc<Shared>>,
    Extension(client): Extension<Client>,
    domain: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let Path(domain) = domain.map_err(Refusal::bad_path)?;
    let (form, pass) = ask(&shared, client, query.as_deref(), &headers).await?;
    let one = move |pass: &Pass| {
        let report = only(&pass.answer.of_all, &domain)?;
        Ok(text(form, &report).into())
    };
    answer(&shared, form, &headers, pass, one).await
}

/// Asks the hypervisors. Returns the client's form, and the answer.
async fn ask(
    shared: &Shared,
    client: Client,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Result<(Form, Arc<Pass>), Refusal> {
    let (query, form) = form::read(query, headers, FORMS)?;
    let form = form.ok_or_else(|| {
        let types = FORMS.map(Form::media_type).join(" or ");
        let sentence = format!("the document is {types}: accept one of them");
        Refusal::new(StatusCode::NOT_ACCEPTABLE, sentence)
    })?;
    let max_age = query.max_age.unwrap_or(shared.max_age);
    let question = shared.answers.question(query.of_domains(), query.timeout);
    let pass = shared.answers.ask(question, max_age, client.source).await?;
    if pass.is_down() {
        return Err(Refusal::unreachable(&pass.answer.failures));
    }
    Ok((form, pass))
}

/// Returns the report of one domain, by its name or UUID, else by its number.
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

fn text(form: Form, report: &StatsReport) -> String {
    match form {
        Form::Xml => report.to_xml(),
        _ => report.to_json(),
    }
}

/// Sends the document, unless the client has it.
async fn answer(
    shared: &Shared,
    form: Form,
    headers: &HeaderMap,
    pass: Arc<Pass>,
    document: impl FnOnce(&Pass) -> Result<Bytes, Refusal> + Send + 'static,
) -> Result<Response, Refusal> {
    let known = headers.get(header::IF_NONE_MATCH).cloned();
    let write = move || -> Result<_, Refusal> {
        let text = document(&pass)?;
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        // Weak: the same document may be sent with and without gzip.
        let tag = format!("W/\"{:016x}\"", hasher.finish());
        let unreachable: Vec<&str> =
            pass.answer.failures.iter().map(|failure| failure.uri.as_str()).collect();
        Ok((text, tag, unreachable.join(" ")))
    };
    let (text, tag, unreachable) = shared.write(write).await??;
    let is_known = known
        .as_ref()
        .and_then(|known| known.to_str().ok())
        .is_some_and(|known| known.split(',').any(|one| one.trim() == tag || one.trim() == "*"));
    let mut response = match is_known {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => Body::from(text).into_response(),
    };
    let content_type = HeaderValue::from_static(form.content_type());
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
