//! `/metrics`: the metrics of all domains, in the form that the client likes best.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension,
    body::Body,
    extract::{Path, RawQuery, State, rejection::PathRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use domstats::{
    Value,
    format::{LabelSet, Metrics},
    stats::{Kind, Unit},
};

use super::{
    Shared,
    answers::Pass,
    compat::Profile,
    form::{self, Form},
    listen::Client,
    own,
    parts::Parts,
    refusal::Refusal,
};

const FORMS: [Form; 2] = [Form::Prometheus, Form::OpenMetrics];

/// All metrics, and those of the daemon.
pub(super) async fn metrics(
    State(shared): State<Arc<Shared>>,
    Extension(client): Extension<Client>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let (form, pass) = ask(&shared, client, query.as_deref(), &headers).await?;
    let its = Arc::clone(&shared);
    let write = move || {
        let shared = its;
        let text = pass.text(form, || {
            let mut metrics = of_domains(&shared, &pass);
            for profile in &shared.compat {
                profile.push(&pass, &shared.metadata, &mut metrics);
            }
            metrics.to_text(form.format())
        });
        // Ours are new for each client, and stand behind what all have in common.
        let mut ours = Metrics::new();
        push_ours(&shared, &pass, &mut ours);
        let end = text.strip_suffix(b"# EOF\n").map_or(text.len(), <[u8]>::len);
        Parts::new(text.slice(..end), ours.to_text(form.format()).into())
    };
    Ok(response(form, Body::new(shared.write(write).await?)))
}

/// Returns the metrics of the domains, and names in the log what has none.
pub(super) fn of_domains(shared: &Shared, pass: &Pass) -> Metrics {
    shared.own.name_unknown(&pass.answer.of_all);
    let mut metrics = Metrics::new();
    if pass.is_down() {
        let up = metrics.family("libvirt_up", Kind::Gauge, "Whether the hypervisor answered.");
        metrics.push(up, &LabelSet::new(), Unit::None, &Value::Boolean(false));
    } else {
        metrics.push_report(&pass.answer.of_all);
    }
    metrics
}

/// Adds what is to be said of a pass when it is answered with, and of the daemon. What is not known
/// of its domains is fetched for the next one.
pub(super) fn push_ours(shared: &Shared, pass: &Pass, metrics: &mut Metrics) {
    let report = &pass.answer.of_all;
    metrics.push_age(report, pass.began.elapsed());
    shared.metadata.push(report, metrics);
    own::push(shared, pass, metrics);
    shared.metadata.fetch(report, shared.answers.host());
}

/// The metrics of another exporter, alone.
pub(super) async fn compat(
    State(shared): State<Arc<Shared>>,
    Extension(client): Extension<Client>,
    name: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let Path(name) = name.map_err(Refusal::bad_path)?;
    let profile = Profile::named(&name)
        .ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, Profile::unknown(&name)))?;
    let (form, pass) = ask(&shared, client, query.as_deref(), &headers).await?;
    let its = Arc::clone(&shared);
    let write = move || {
        let mut metrics = Metrics::new();
        profile.push(&pass, &its.metadata, &mut metrics);
        its.metadata.fetch(&pass.answer.of_all, its.answers.host());
        metrics.to_text(form.format())
    };
    Ok(response(form, shared.write(write).await?))
}

/// Asks the hypervisors. Returns the client's form, and the answer.
async fn ask(
    shared: &Shared,
    client: Client,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Result<(Form, Arc<Pass>), Refusal> {
    let (query, form) = form::read(query, headers, FORMS)?;
    // A client that likes neither is best served by the one that everybody reads.
    let form = form.unwrap_or(Form::Prometheus);
    let answers = &shared.answers;
    let scrape = || scrape_timeout(headers).map(|most| most.min(answers.timeout()));
    let question = answers.question(query.of_domains(), query.timeout.or_else(scrape));
    let max_age = query.max_age.unwrap_or(shared.max_age);
    Ok((form, answers.ask(question, max_age, client.source).await?))
}

/// The time that Prometheus gives a scrape, less what the way takes.
fn scrape_timeout(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get("x-prometheus-scrape-timeout-seconds")?.to_str().ok()?;
    let seconds = seconds.parse::<f64>().ok().filter(|seconds| *seconds > 0.0)?;
    // To the millisecond: those who ask alike are to share a pass.
    let time = Duration::try_from_secs_f64((seconds * 900.0).round() / 1000.0).ok()?;
    Some(time.max(Duration::from_millis(1)))
}

fn response(form: Form, text: impl IntoResponse) -> Response {
    let content_type = HeaderValue::from_static(form.content_type());
    let mut response = text.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}
