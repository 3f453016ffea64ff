//! `/metrics`: the metrics of all domains, in the format that the client prefers.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension,
    body::Body,
    extract::{Path, RawQuery, State, rejection::PathRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use domstats::{
    Format, Value,
    format::{LabelSet, Labels, Metrics},
    stats::{Kind, Unit},
};

use super::{
    App,
    body::TwoParts,
    compat::Profile,
    format::{self, content_type},
    listen::Client,
    own,
    refusal::Refusal,
};
use crate::hypervisors::Snapshot;

const FORMATS: [Format; 2] = [Format::Prometheus, Format::OpenMetrics];

/// The metrics of all domains and of the daemon.
pub(super) async fn metrics(
    State(app): State<Arc<App>>,
    Extension(client): Extension<Client>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let (format, snapshot) = ask(&app, client, query.as_deref(), &headers).await?;
    let its = Arc::clone(&app);
    let encode = move || {
        let text = snapshot.encoded(format, || {
            let mut metrics = Metrics::new();
            push_domains(&its, &snapshot, &mut metrics);
            for profile in &its.compat {
                profile.push(&snapshot, &its.metadata, &mut metrics);
            }
            metrics.to_text(format)
        });
        // Ours are new for each client, and follow the text that all clients share.
        let mut ours = Metrics::new();
        push_ours(&its, &snapshot, &mut ours);
        let end = text.strip_suffix(b"# EOF\n").map_or(text.len(), <[u8]>::len);
        TwoParts::new(text.slice(..end), ours.to_text(format).into())
    };
    Ok(response(format, Body::new(app.encode(encode).await?)))
}

/// Adds the metrics of the domains, and logs values without a metric.
pub(super) fn push_domains<L: Labels>(app: &App, snapshot: &Snapshot, metrics: &mut Metrics<L>) {
    app.own.log_unknown(snapshot.report());
    if snapshot.is_down() {
        let up = metrics.family("libvirt_up", Kind::Gauge, "Whether the hypervisor answered.");
        metrics.push(up, &LabelSet::new(), Unit::None, &Value::Boolean(false));
    } else {
        metrics.push_report(snapshot.report());
    }
}

/// Adds the metrics that are new for each answer: the age of the snapshot, metadata, and the daemon's own.
/// Unknown metadata is fetched for the next answer.
pub(super) fn push_ours<L: Labels>(app: &App, snapshot: &Snapshot, metrics: &mut Metrics<L>) {
    let report = snapshot.report();
    metrics.push_age(report, snapshot.began.elapsed());
    app.metadata.push(report, metrics);
    own::push(app, snapshot, metrics);
    app.metadata.fetch(report, app.admission.hypervisors.host());
}

/// The metrics of another exporter, alone.
pub(super) async fn compat(
    State(app): State<Arc<App>>,
    Extension(client): Extension<Client>,
    name: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let Path(name) = name.map_err(Refusal::bad_path)?;
    let profile = Profile::named(&name)
        .ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, Profile::unknown(&name)))?;
    let (format, snapshot) = ask(&app, client, query.as_deref(), &headers).await?;
    let its = Arc::clone(&app);
    let encode = move || {
        let mut metrics = Metrics::new();
        profile.push(&snapshot, &its.metadata, &mut metrics);
        its.metadata.fetch(snapshot.report(), its.admission.hypervisors.host());
        metrics.to_text(format)
    };
    Ok(response(format, app.encode(encode).await?))
}

/// Returns the client's format, and a snapshot of what it asks for.
async fn ask(
    app: &App,
    client: Client,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Result<(Format, Arc<Snapshot>), Refusal> {
    let (query, format) = format::read(query, headers, FORMATS)?;
    // For a client that accepts neither: every program reads this one.
    let format = format.unwrap_or(Format::Prometheus);
    let configured = app.admission.hypervisors.timeout();
    let scrape = || scrape_timeout(headers).map(|most| most.min(configured));
    let timeout = query.timeout.or_else(scrape).unwrap_or(configured);
    let wanted = query.stats().within(timeout, configured);
    let max_age = query.max_age.unwrap_or(app.max_age);
    Ok((format, app.admission.snapshot(wanted, max_age, client.source).await?))
}

/// Returns the timeout of a Prometheus scrape, less a tenth for the network.
fn scrape_timeout(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get("x-prometheus-scrape-timeout-seconds")?.to_str().ok()?;
    let seconds = seconds.parse::<f64>().ok().filter(|seconds| *seconds > 0.0)?;
    // To the millisecond, so that similar clients share a snapshot.
    let time = Duration::try_from_secs_f64((seconds * 900.0).round() / 1000.0).ok()?;
    Some(time.max(Duration::from_millis(1)))
}

fn response(format: Format, text: impl IntoResponse) -> Response {
    let content_type = HeaderValue::from_static(content_type(format));
    let mut response = text.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}
