//! The metrics pushed to a collector, by OTLP over HTTP.
//!
//! ```text
//! every interval ── pass, shared with who asks ── encode.rs ── collector.rs ── again, or dropped
//! ```
//!
//! What a collector does not take by the next interval is dropped and counted: so no more than one
//! pass is ever kept for it, and scrapes wait for nothing here.

mod collector;
mod encode;

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

use super::{HttpError, Shared, metrics, query::Query};
use crate::{client::Source, config};
use collector::{Collector, Failure};
use encode::Export;

/// The pause before a second attempt, which doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The longest that a collector can ask to be left alone.
const LONGEST_REST: Duration = Duration::from_secs(3600);
/// The shortest interval.
const SHORTEST: Duration = Duration::from_secs(1);

/// What was pushed so far, in data points.
#[derive(Default)]
pub(super) struct Counters {
    /// Those that a collector took.
    pub(super) sent: AtomicU64,
    /// Those that it did not, and that are lost.
    pub(super) dropped: AtomicU64,
    /// The times that something was sent again.
    pub(super) retries: AtomicU64,
}

/// The points that nobody took yet: dropped with it, also if pushing is aborted.
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

/// What pushes.
pub(crate) struct Pusher {
    shared: Arc<Shared>,
    collector: Collector,
    interval: Duration,
    /// Until when the collector wants to be left alone.
    rest: Option<Instant>,
    is_failing: bool,
}

impl Pusher {
    /// Reads what the configuration names; `None` without a collector.
    ///
    /// # Errors
    ///
    /// The sentence that says what is wrong.
    pub(super) fn new(
        shared: Arc<Shared>,
        config: &config::Otlp,
    ) -> Result<Option<Self>, HttpError> {
        let Some(endpoint) = &config.endpoint else { return Ok(None) };
        if config.interval < SHORTEST {
            let interval = humantime::format_duration(config.interval);
            let sentence = format!("otlp.interval is {interval}: use 1s or more");
            return Err(HttpError::Wrong(sentence));
        }
        let collector = Collector::new(endpoint, config)?;
        Ok(Some(Self {
            shared,
            collector,
            interval: config.interval,
            rest: None,
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
            if let Some(rest) = self.rest.take() {
                sleep_until(rest).await;
            }
            self.push().await;
        }
    }

    /// Takes a pass and delivers it, as long as there is time.
    async fn push(&mut self) {
        let until = Instant::now() + self.interval;
        let exports = match self.exports().await {
            Ok(exports) => exports,
            Err(sentence) => return tracing::warn!("nothing to push: {sentence}"),
        };
        let shared = Arc::clone(&self.shared);
        let counters = &shared.own.otlp;
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
        if let Err(Failure { rest: Some(rest), .. }) = &result {
            self.rest = Some(Instant::now() + *rest);
        }
        self.note(result.err());
    }

    /// Returns what is to be sent of a pass that is taken now: the metrics of `/metrics`.
    async fn exports(&self) -> Result<Vec<Export>, String> {
        let answers = &self.shared.answers;
        let question = answers.question(Query::default().of_domains(), None);
        let pass = answers.ask(question, Duration::ZERO, Source::Daemon).await;
        let pass = pass.map_err(|why| why.to_string())?;
        let shared = Arc::clone(&self.shared);
        let write = move || {
            let mut ours = Metrics::new();
            metrics::push_ours(&shared, &pass, &mut ours);
            encode::exports(
                &pass,
                &metrics::of_domains(&shared, &pass),
                &ours,
                shared.own.started(),
            )
        };
        self.shared.write(write).await.map_err(|_| "it could not be written".to_owned())
    }

    /// Logs when pushing begins to fail, and when that is over.
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
    /// Sends until it is taken, and returns how many points the collector rejected.
    ///
    /// # Errors
    ///
    /// The collector refuses it, or there is no time for another attempt.
    async fn deliver(
        &mut self,
        export: &Export,
        until: Instant,
        counters: &Counters,
    ) -> Result<u64, Failure> {
        let mut pause = FIRST_PAUSE;
        loop {
            let failure = match self.post(export).await {
                Ok(rejected) => return Ok(rejected),
                Err(failure) => failure,
            };
            self.disconnect();
            let rest = failure.rest.map(|rest| rest.min(LONGEST_REST));
            let wait = rest.unwrap_or_default().max(scattered(pause));
            if !failure.is_passing || Instant::now() + wait >= until {
                return Err(Failure { rest, ..failure });
            }
            counters.retries.fetch_add(1, Ordering::Relaxed);
            sleep(wait).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Returns a time between the half and the whole: hosts that failed together come back one by one.
fn scattered(time: Duration) -> Duration {
    let thousandths = RandomState::new().hash_one(()) % 500 + 500;
    time * u32::try_from(thousandths).unwrap_or(1000) / 1000
}
