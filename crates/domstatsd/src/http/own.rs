//! Metrics of the daemon itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Instant, SystemTime},
};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};
use domstats::{
    DomainStats, MissingReason, StatsReport, Value,
    format::{LabelSet, Labels, Metrics},
    stats::{Kind, Unit},
    sync::lock,
};

use super::{App, otlp};
use crate::hypervisors::Snapshot;

/// The most unknown values that are logged.
const MOST_LOGGED: usize = 100;

/// Counts since the daemon started.
pub(crate) struct Own {
    started: Instant,
    connections: AtomicU64,
    pub(super) otlp: otlp::Counters,
    /// Values without a metric that were logged.
    unknown: Mutex<BTreeSet<String>>,
    /// Requests by path and status. Paths are those of the routes, so their number is bounded.
    requests: Mutex<BTreeMap<(String, u16), u64>>,
}

impl Default for Own {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            connections: AtomicU64::default(),
            otlp: otlp::Counters::default(),
            unknown: Mutex::default(),
            requests: Mutex::default(),
        }
    }
}

impl Own {
    /// Returns when it began to count.
    pub(super) fn started(&self) -> SystemTime {
        let now = SystemTime::now();
        now.checked_sub(self.started.elapsed()).unwrap_or(now)
    }

    /// Logs the values of a report that have no metric, once each.
    pub(super) fn log_unknown(&self, report: &StatsReport) {
        let keys = report.domains.iter().flat_map(DomainStats::unknown_keys);
        let mut logged = lock(&self.unknown);
        let mut new = Vec::new();
        for key in keys.map(|key| without_numbers(&key)) {
            // A peer can make up any number of them.
            if logged.len() < MOST_LOGGED && logged.insert(key.clone()) {
                new.push(key);
            }
        }
        if !new.is_empty() {
            tracing::warn!(
                "a newer hypervisor reports values without a metric here; only the documents and libvirt's \
                 clients get it: {}",
                new.join(", ")
            );
        }
    }

    pub(super) fn connected(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }
}

/// Returns a key that all items of a list share: `block.N.rd.retries`.
fn without_numbers(key: &str) -> String {
    let is_number = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    let words = key.split('.').map(|word| if is_number(word) { "N" } else { word });
    words.collect::<Vec<_>>().join(".").escape_debug().to_string()
}

/// Counts a request by the status of its response.
pub(super) async fn count(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str);
    let path = path.to_owned();
    let response = next.run(request).await;
    let mut requests = lock(&app.own.requests);
    *requests.entry((path, response.status().as_u16())).or_default() += 1;
    response
}

/// Adds the daemon's metrics, some of them about the snapshot of this answer.
pub(super) fn push<L: Labels>(app: &App, snapshot: &Snapshot, metrics: &mut Metrics<L>) {
    let hypervisors = &app.admission.hypervisors;
    let counters = &app.admission.counters;
    let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let uptime = u64::try_from(app.own.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let (passes, rpc) = (&hypervisors.counters, &app.rpc.counters);
    let counted = [
        ("domstatsd_passes", "Passes over all hypervisors.", &passes.passes),
        (
            "domstatsd_answers",
            "Answers from a pass; more than passes where clients share them.",
            &counters.answers,
        ),
        (
            "domstatsd_refused",
            "Queries without an answer: too many in flight, or none in time.",
            &counters.refused,
        ),
        (
            "domstatsd_http_connections",
            "HTTP connections that were accepted.",
            &app.own.connections,
        ),
        (
            "domstatsd_rpc_connections",
            "Clients of libvirt's protocol that were admitted.",
            &rpc.connections,
        ),
        (
            "domstatsd_rpc_turned_away",
            "Clients of libvirt's protocol that were turned away because there were enough.",
            &rpc.turned_away,
        ),
        (
            "domstatsd_otlp_retries",
            "Times that metrics were sent to the collector again.",
            &app.own.otlp.retries,
        ),
    ];
    let now = [
        ("domstatsd_questions", "Different queries in flight.", app.admission.in_flight()),
        (
            "domstatsd_stuck_domains",
            "Domains whose monitor was late or busy.",
            stuck(snapshot.report()),
        ),
        (
            "domstatsd_rpc_clients",
            "Clients of libvirt's protocol that are connected.",
            app.rpc.clients(),
        ),
    ];
    let mut push = |name, kind, help, unit, value| {
        let family = metrics.family(name, kind, help);
        metrics.push(family, &LabelSet::new(), unit, &Value::ULLong(value));
    };
    let help = "Time since the daemon began to serve HTTP.";
    push("domstatsd_uptime_seconds", Kind::Gauge, help, Unit::Nanoseconds, uptime);
    let help = "Time that passes took.";
    let took = load(&passes.nanoseconds);
    push("domstatsd_pass_seconds", Kind::Counter, help, Unit::Nanoseconds, took);
    for (name, help, counter) in counted {
        push(name, Kind::Counter, help, Unit::Count, load(counter));
    }
    for (name, help, count) in now {
        push(name, Kind::Gauge, help, Unit::Count, count as u64);
    }
    let family = metrics.family(
        "domstatsd_otlp_points",
        Kind::Counter,
        "Data points for the collector: accepted, or dropped.",
    );
    let otlp = &app.own.otlp;
    for (result, count) in [("sent", &otlp.sent), ("dropped", &otlp.dropped)] {
        let labels = LabelSet::new().with("result", result);
        metrics.push(family, &labels, Unit::Count, &Value::ULLong(load(count)));
    }
    let family = metrics.family(
        "domstatsd_rpc_calls",
        Kind::Counter,
        "Calls of libvirt's protocol: served, or refused with an error.",
    );
    for (procedure, calls) in app.rpc.counters.calls() {
        for (result, count) in [("served", calls.served), ("refused", calls.refused)] {
            let labels = LabelSet::new().with("procedure", procedure).with("result", result);
            metrics.push(family, &labels, Unit::Count, &Value::ULLong(count));
        }
    }
    let requests = lock(&app.own.requests);
    let family = metrics.family(
        "domstatsd_http_requests",
        Kind::Counter,
        "HTTP requests that were answered.",
    );
    for ((path, status), count) in requests.iter() {
        let labels = LabelSet::new().with("path", path).with("status", &status.to_string());
        metrics.push(family, &labels, Unit::Count, &Value::ULLong(*count));
    }
    let family =
        metrics.family("domstatsd_source_up", Kind::Gauge, "Whether a hypervisor could be asked.");
    for uri in hypervisors.host().uris() {
        let is_up = snapshot.gathered.failures.iter().all(|failure| failure.uri != *uri);
        let labels = LabelSet::new().with("uri", uri);
        metrics.push(family, &labels, Unit::None, &Value::Boolean(is_up));
    }
}

/// Returns how many domains have groups that were late, or a monitor that another client holds.
fn stuck(report: &StatsReport) -> usize {
    let is =
        |reason: &MissingReason| matches!(reason, MissingReason::Timeout | MissingReason::Busy);
    let domains = report.domains.iter();
    domains.filter(|domain| domain.missing.iter().any(|group| is(&group.missing.reason))).count()
        + report.missing.iter().filter(|domain| is(&domain.missing.reason)).count()
}
