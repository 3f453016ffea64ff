//! What callers ask of all hypervisors, and the snapshot that they share.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::body::Bytes;
use domstats::{DomainFilter, Format, StatsGroups, StatsOptions, StatsReport, StatsRequest};

use super::Gathered;

/// What a snapshot is to hold, and its deadline. Callers with equal queries share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct StatsQuery {
    pub(crate) groups: StatsGroups,
    /// The groups of which the basic values are enough.
    pub(crate) basic: StatsGroups,
    pub(crate) filter: DomainFilter,
    pub(crate) options: StatsOptions,
    /// The deadline class; `None` for the configured timeout.
    pub(crate) deadline: Option<Duration>,
}

impl StatsQuery {
    pub(crate) fn new(groups: StatsGroups) -> Self {
        Self { groups, ..Self::default() }
    }

    /// Sets the timeout. Any but the configured one is rounded down to one significant digit of milliseconds,
    /// so that there are few deadline classes and callers with similar timeouts share snapshots.
    pub(crate) fn within(self, timeout: Duration, configured: Duration) -> Self {
        let milliseconds = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX).max(1);
        let unit = 10u64.pow(milliseconds.ilog10());
        let class = match timeout == configured {
            true => configured,
            false => Duration::from_millis(milliseconds / unit * unit),
        };
        Self { deadline: (class != configured).then_some(class), ..self }
    }

    /// Returns how long the snapshot may take.
    pub(crate) fn timeout(&self, configured: Duration) -> Duration {
        self.deadline.unwrap_or(configured)
    }

    pub(crate) fn request(self) -> StatsRequest {
        let Self { groups, basic, filter, options, .. } = self;
        StatsRequest::new().groups(groups).basic(basic).filter(filter).options(options)
    }
}

/// The statistics that all hypervisors returned at one time, shared by the callers that asked for the same.
pub(crate) struct Snapshot {
    /// When the hypervisors were asked.
    pub(crate) began: Instant,
    pub(crate) gathered: Gathered<StatsReport>,
    /// The encoded forms, by their places in [`Format::ALL`].
    encoded: [OnceLock<Bytes>; Format::ALL.len()],
}

impl Snapshot {
    /// Makes a snapshot of what `pass` gathers.
    pub(super) fn take(pass: impl FnOnce() -> Gathered<StatsReport>) -> Self {
        let began = Instant::now();
        Self { began, gathered: pass(), encoded: Default::default() }
    }

    /// Returns a snapshot of one hypervisor's report.
    #[cfg(test)]
    pub(crate) fn of(report: StatsReport) -> Self {
        Self::take(|| Gathered { value: report, asked: 1, failures: Vec::new() })
    }

    pub(crate) fn report(&self) -> &StatsReport {
        &self.gathered.value
    }

    /// Returns whether no hypervisor could be asked.
    pub(crate) fn is_down(&self) -> bool {
        self.gathered.unreachable().is_some()
    }

    /// Returns the encoded form, which is written once for all clients.
    pub(crate) fn encoded(&self, format: Format, encode: impl FnOnce() -> String) -> Bytes {
        let place = Format::ALL.iter().position(|one| *one == format);
        match place.and_then(|place| self.encoded.get(place)) {
            Some(form) => form.get_or_init(|| encode().into()).clone(),
            None => encode().into(),
        }
    }
}

/// Counts the passes over all hypervisors, whichever protocol asked for them.
#[derive(Default)]
pub(crate) struct PassCounters {
    /// The passes that began.
    pub(crate) passes: AtomicU64,
    /// The time that ended passes took.
    pub(crate) nanoseconds: AtomicU64,
}

impl PassCounters {
    /// Counts a pass.
    pub(super) fn count<T>(&self, pass: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        self.passes.fetch_add(1, Ordering::Relaxed);
        let gathered = pass();
        let took = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(took, Ordering::Relaxed);
        gathered
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn there_are_few_deadline_classes() {
        let configured = Duration::from_millis(1_234);
        let query = |ms| StatsQuery::default().within(Duration::from_millis(ms), configured);
        let timeout = |ms| query(ms).timeout(configured);
        assert_eq!(query(1_234), StatsQuery::default());
        assert_eq!(timeout(1_234), configured);
        assert_eq!(query(5_901), query(5_999));
        assert_eq!(timeout(5_901), Duration::from_secs(5), "never later than the client asked");
        assert_eq!(timeout(0), Duration::from_millis(1));
        let different: HashSet<_> = (1..60_000).map(query).collect();
        assert!(different.len() < 50, "{} timeouts", different.len());
    }

    #[test]
    fn each_form_is_encoded_once() {
        let snapshot = Snapshot::of(StatsReport::new(std::time::SystemTime::now()));
        for format in Format::ALL {
            let name = || format.name().to_owned();
            assert_eq!(snapshot.encoded(format, name), name());
            let again = snapshot.encoded(format, || unreachable!("it was encoded"));
            assert_eq!(again, name());
        }
    }
}
