//! The metrics pushed to a collector, by OTLP over HTTP.
//!
//! ```text
//! every interval ── snapshot ── encode.rs ── collector.rs ── retried, or dropped
//! ```
//!
//! What a collector does not take by the next interval is dropped and counted: no more than one snapshot is ever
//! kept for it, and scrapes wait for nothing here.

mod collector;
mod encode;
mod messages;

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use domstats::format::Metrics;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

use super::{App, HttpError, metrics};
use crate::{config, hypervisors::StatsQuery, net::source::Source};
use collector::{Collector, Failure};
use encode::Export;

/// The backoff before a second attempt, which doubles with each further one.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);
/// The longest backoff that a collector can ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(3600);
/// The shortest interval.
const SHORTEST: Duration = Duration::from_secs(1);

/// The data points that were pushed so far.
#[derive(Default)]
pub(super) struct Counters {
    /// Points that a collector took.
    pub(super) sent: AtomicU64,
    /// Points that no collector took, which are lost.
    pub(super) dropped: AtomicU64,
    /// Requests that were sent again.
    pub(super) retries: AtomicU64,
}

/// The points that no collector took yet: dropped with it, also if pushing is aborted.
struct Undelivered<'a> {
    points: u64,
    counters: &'a Counters,
}

impl Undelivered<'_> {
    fn took(&mut self, points: u64) {
        self.points = self.points.saturating_sub(points);
        self.counters.sent.fetch_add(points, Ordering::Relaxed);
    }
}

impl Drop for Undelivered<'_> {
    fn drop(&mut self) {
        self.counters.dropped.fetch_add(self.points, Ordering::Relaxed);
    }
}

/// Pushes metrics to a collector.
pub(crate) struct Pusher {
    app: Arc<App>,
    collector: Collector,
    interval: Duration,
    /// When the backoff ends that the collector asked for.
    backoff: Option<Instant>,
    is_failing: bool,
}

impl Pusher {
    /// Reads the files that the configuration names; `None` without a collector.
    ///
    /// # Errors
    ///
    /// A sentence about the setting or file that is wrong.
    pub(super) fn new(app: Arc<App>, config: &config::Otlp) -> Result<Option<Self>, HttpError> {
        let Some(endpoint) = &config.endpoint else { return Ok(None) };
        if config.interval < SHORTEST {
            let interval = humantime::format_duration(config.interval);
            let sentence = format!("otlp.interval is {interval}: use 1s or more");
            return Err(HttpError::Wrong(sentence));
        }
        let collector = Collector::new(endpoint, config)?;
        Ok(Some(Self {
            app,
            collector,
            interval: config.interval,
            backoff: None,
            is_failing: false,
        }))
    }

    /// Pushes until it is aborted.
    pub(crate) async fn run(mut self) {
        tracing::info!(endpoint = self.collector.address(), "pushing metrics");
        let mut ticks = interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            if let Some(until) = self.backoff.take() {
                sleep_until(until).await;
            }
            self.push().await;
        }
    }

    /// Delivers a snapshot, as long as there is time.
    async fn push(&mut self) {
        let until = Instant::now() + self.interval;
        let exports = match self.exports().await {
            Ok(exports) => exports,
            Err(sentence) => return tracing::warn!("nothing to push: {sentence}"),
        };
        let app = Arc::clone(&self.app);
        let counters = &app.own.otlp;
        let points = exports.iter().map(|export| export.points).sum();
        let mut undelivered = Undelivered { points, counters };
        let mut result = Ok(());
        for export in exports {
            match self.collector.deliver(&export, until, counters).await {
                Ok(rejected) => undelivered.took(export.points.saturating_sub(rejected)),
                Err(failure) => {
                    result = Err(failure);
                    break;
                }
            }
        }
        drop(undelivered);
        self.collector.disconnect();
        if let Err(Failure { backoff: Some(backoff), .. }) = &result {
            self.backoff = Some(Instant::now() + *backoff);
        }
        self.note(result.err());
    }

    /// Returns the requests for a snapshot that is taken now: the metrics of `/metrics`.
    async fn exports(&self) -> Result<Vec<Export>, String> {
        let snapshot =
            self.app.admission.snapshot(StatsQuery::default(), Duration::ZERO, Source::Daemon);
        let snapshot = snapshot.await.map_err(|why| why.to_string())?;
        let app = Arc::clone(&self.app);
        let encode = move || {
            let (mut domains, mut ours) = (Metrics::default(), Metrics::default());
            metrics::push_domains(&app, &snapshot, &mut domains);
            metrics::push_ours(&app, &snapshot, &mut ours);
            encode::exports(snapshot.report().taken_at, &domains, &ours, app.own.started())
        };
        self.app.encode(encode).await.map_err(|_| "it could not be encoded".to_owned())
    }

    /// Logs when pushing begins to fail, and when it recovers.
    fn note(&mut self, failure: Option<Failure>) {
        let endpoint = self.collector.address();
        match failure {
            Some(Failure { sentence, .. }) if !self.is_failing => {
                tracing::warn!(endpoint, "metrics were dropped: {sentence}");
                self.is_failing = true;
            }
            None if self.is_failing => {
                tracing::info!(endpoint, "metrics are taken again");
                self.is_failing = false;
            }
            _ => {}
        }
    }
}

impl Collector {
    /// Sends a request until it is accepted, and returns how many points the collector rejected.
    ///
    /// # Errors
    ///
    /// The collector refuses the request, or there is no time for another attempt.
    async fn deliver(
        &mut self,
        export: &Export,
        until: Instant,
        counters: &Counters,
    ) -> Result<u64, Failure> {
        let mut backoff = FIRST_BACKOFF;
        loop {
            let failure = match self.post(export).await {
                Ok(rejected) => return Ok(rejected),
                Err(failure) => failure,
            };
            self.disconnect();
            let asked = failure.backoff.map(|backoff| backoff.min(LONGEST_ASKED));
            let wait = asked.unwrap_or_default().max(jittered(backoff));
            if !failure.is_transient || Instant::now() + wait >= until {
                return Err(Failure { backoff: asked, ..failure });
            }
            counters.retries.fetch_add(1, Ordering::Relaxed);
            sleep(wait).await;
            backoff = (backoff * 2).min(LONGEST_BACKOFF);
        }
    }
}

/// Returns a random time between the half and the whole, so that hosts that failed together do not come back at
/// once.
fn jittered(time: Duration) -> Duration {
    let thousandths = RandomState::new().hash_one(()) % 500 + 500;
    time * u32::try_from(thousandths).unwrap_or(1000) / 1000
}
