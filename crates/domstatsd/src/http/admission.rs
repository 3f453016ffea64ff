//! Which queries HTTP may have in flight: bounded in number, for all clients and for each, and in time.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use domstats::sync::lock;

use crate::{
    hypervisors::{Hypervisors, LONGEST_KEPT, Snapshot, StatsQuery},
    net::source::Source,
};

/// How many different queries may be in flight, besides the daemon's own. Each takes a few passes at most,
/// however many clients send it.
const MOST_QUERIES: usize = 8;
/// How many of them one source may have: a user of this host, or another host.
const MOST_OF_ONE: usize = 3;
/// How long a snapshot may be late before the client is answered without it.
const GRACE: Duration = Duration::from_millis(500);
/// The greatest age of a snapshot.
pub(super) const OLDEST: Duration = LONGEST_KEPT;

/// Why a client gets no snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoSnapshot {
    /// Too many other queries are in flight.
    Busy,
    /// The pass did not end in time.
    Late,
}

impl fmt::Display for NoSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => write!(
                f,
                "too many different questions are in flight, of which a client may have {MOST_OF_ONE} and all \
                 clients {MOST_QUERIES}: retry in a moment, or ask the same as others"
            ),
            Self::Late => f.write_str("the hypervisors did not answer in time"),
        }
    }
}

#[derive(Default)]
pub(super) struct Counters {
    /// Snapshots that were given, each to one client.
    pub(super) answers: AtomicU64,
    /// Queries without a snapshot.
    pub(super) refused: AtomicU64,
}

/// The hypervisors, for clients of HTTP.
pub(super) struct Admission {
    pub(super) hypervisors: Hypervisors,
    in_flight: Arc<InFlight>,
    pub(super) counters: Counters,
}

/// The queries in flight.
#[derive(Default)]
struct InFlight(Mutex<HashMap<StatsQuery, Holders>>);

/// How many clients and passes hold a query in flight, and whose query it was first.
struct Holders {
    count: usize,
    first: Source,
}

/// Holds a query in flight until dropped.
struct Held {
    in_flight: Arc<InFlight>,
    query: StatsQuery,
}

impl InFlight {
    /// Adds a query if there is room. There always is for the daemon's own.
    fn enter(self: &Arc<Self>, query: StatsQuery, source: Source) -> Result<Held, NoSnapshot> {
        let mut all = lock(&self.0);
        if source != Source::Daemon && !all.contains_key(&query) {
            let clients = || all.values().filter(|holders| holders.first != Source::Daemon);
            let its = clients().filter(|holders| holders.first == source).count();
            if clients().count() >= MOST_QUERIES || (source.is_limited() && its >= MOST_OF_ONE) {
                return Err(NoSnapshot::Busy);
            }
        }
        all.entry(query).or_insert(Holders { count: 0, first: source }).count += 1;
        Ok(Held { in_flight: Arc::clone(self), query })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut all = lock(&self.in_flight.0);
        if let Some(holders) = all.get_mut(&self.query) {
            holders.count -= 1;
            if holders.count == 0 {
                all.remove(&self.query);
            }
        }
    }
}

impl Admission {
    pub(super) fn new(hypervisors: Hypervisors) -> Self {
        Self { hypervisors, in_flight: Arc::default(), counters: Counters::default() }
    }

    /// Returns how many different queries are in flight.
    pub(super) fn in_flight(&self) -> usize {
        lock(&self.in_flight.0).len()
    }

    /// Returns a snapshot that is at most this old, within the timeout of the query.
    pub(super) async fn snapshot(
        &self,
        query: StatsQuery,
        max_age: Duration,
        source: Source,
    ) -> Result<Arc<Snapshot>, NoSnapshot> {
        let result = self.admit(query, max_age, source).await;
        let counter = match result {
            Ok(_) => &self.counters.answers,
            Err(_) => &self.counters.refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        result
    }

    async fn admit(
        &self,
        query: StatsQuery,
        max_age: Duration,
        source: Source,
    ) -> Result<Arc<Snapshot>, NoSnapshot> {
        // The default query of `/metrics` is always admitted.
        let source = if query == StatsQuery::default() { Source::Daemon } else { source };
        let _its = self.in_flight.enter(query, source)?;
        // A pass goes on when its clients have gone.
        let of_pass = self.in_flight.enter(query, source)?;
        let most = query.timeout(self.hypervisors.timeout()) + GRACE;
        let snapshot = self.hypervisors.snapshot(query, max_age, of_pass);
        tokio::time::timeout(most, snapshot).await.map_err(|_| NoSnapshot::Late)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, time::Instant};

    use domstats::{StatsGroups, stats::GROUPS};
    use domstats_patience::{PATIENCE, Stopwatch, Time};

    use super::*;
    use crate::{config::Config, hypervisors::Host};

    fn admission(config: &Config) -> Arc<Admission> {
        let hypervisors = Hypervisors::new(Arc::new(Host::new(config)), config.timeout);
        Arc::new(Admission::new(hypervisors))
    }

    fn admission_to(uri: &str) -> Arc<Admission> {
        admission(&Config { connect: vec![uri.to_owned()], ..Config::default() })
    }

    fn query(timeout: Duration) -> StatsQuery {
        StatsQuery::default().within(timeout, Config::default().timeout)
    }

    /// Sends many queries at once, and returns the passes that answered, and how long the slowest answer took.
    async fn crowd(
        admission: &Arc<Admission>,
        count: usize,
        timeout: Duration,
    ) -> (HashSet<Instant>, Time) {
        let stopwatch = Stopwatch::start();
        let one = |_| {
            let admission = Arc::clone(admission);
            tokio::spawn(async move {
                let asked = Instant::now();
                let snapshot =
                    admission.snapshot(query(timeout), Duration::ZERO, Source::Daemon).await;
                let began = snapshot.unwrap_or_else(|why| panic!("{why}")).began;
                assert!(began >= asked, "an answer from before the question");
                began
            })
        };
        let asked: Vec<_> = (0..count).map(one).collect();
        let mut began = HashSet::new();
        for one in asked {
            began.insert(one.await.unwrap());
        }
        (began, stopwatch.time())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn many_clients_at_once_share_passes() {
        let admission = admission_to("test:///default?slow=vm1:200ms");
        let (began, _) = crowd(&admission, 200, PATIENCE).await;
        // Two or three, or some more where tasks start late.
        assert!(began.len() <= 20, "{} passes for 200 queries", began.len());
        let counted = admission.hypervisors.counters.passes.load(Ordering::Relaxed);
        assert_eq!(counted, began.len() as u64);
        assert_eq!(admission.counters.answers.load(Ordering::Relaxed), 200);
        assert_eq!(admission.in_flight(), 0);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn answers_are_in_time_while_a_domain_is_stuck() {
        let admission = admission_to("test:///default?hang=vm1");
        let (began, took) = crowd(&admission, 50, Duration::from_secs(1)).await;
        assert!(began.len() <= 10, "{} passes", began.len());
        took.assert_within(Duration::from_millis(1_250));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_hypervisor_that_never_greets_costs_the_others_nothing() {
        let dir = std::env::temp_dir().join(format!("domstatsd-{}", std::process::id()));
        let silent = std::os::unix::net::UnixListener::bind(&dir).unwrap();
        let uri = format!("qemu+unix:///system?socket={}", dir.display());
        let config = Config {
            connect: vec![uri.clone(), "test:///default".to_owned()],
            timeout: Duration::from_secs(20),
            ..Config::default()
        };
        let admission = admission(&config);
        // The first query begins to open it, the second one finds it being opened.
        for _ in 0..2 {
            let stopwatch = Stopwatch::start();
            let query = StatsQuery::default().within(Duration::from_secs(1), config.timeout);
            let snapshot = admission.snapshot(query, Duration::ZERO, Source::Daemon).await;
            let snapshot = snapshot.unwrap_or_else(|why| panic!("{why}"));
            stopwatch.assert_within(Duration::from_millis(1_400));
            assert!(!snapshot.report().domains.is_empty());
            let failed = snapshot.gathered.failures.iter().map(|failure| failure.uri.as_str());
            assert_eq!(failed.collect::<Vec<_>>(), [uri.as_str()]);
        }
        drop(silent);
        std::fs::remove_file(dir).unwrap();
    }

    #[tokio::test]
    async fn an_old_snapshot_is_for_clients_that_accept_it() {
        let admission = admission_to("test:///default");
        let query = query(PATIENCE);
        let get = |age| admission.snapshot(query, age, Source::Daemon);
        let first = get(PATIENCE).await.ok().unwrap();
        let again = get(PATIENCE).await.ok().unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        let fresh = get(Duration::ZERO).await.ok().unwrap();
        assert!(fresh.began > first.began);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn too_many_different_queries_are_refused_and_the_default_one_never() {
        let admission = admission_to("test:///default?hang=vm1");
        let usual = admission.hypervisors.timeout();
        let ask = |groups, timeout, source| {
            let admission = Arc::clone(&admission);
            let query = StatsQuery::new(groups).within(timeout, usual);
            let refused =
                async move { admission.snapshot(query, Duration::ZERO, source).await.err() };
            tokio::spawn(refused)
        };
        // Each user tries a query for each group, and many timeouts.
        let mut asked = Vec::new();
        for uid in 1..=4 {
            for group in GROUPS {
                asked.push(ask(group.bit | StatsGroups::BLOCK, usual, Source::User(uid)));
            }
            for number in 0..50 {
                let timeout = Duration::from_millis(900 + number);
                asked.push(ask(StatsGroups::default(), timeout, Source::User(uid)));
            }
        }
        while admission.in_flight() < MOST_QUERIES {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let scrape = ask(StatsGroups::default(), usual, Source::User(1));
        assert_eq!(scrape.await.unwrap(), None, "the place of /metrics is taken");
        let mut refused = 0;
        for one in asked {
            match one.await.unwrap() {
                None => {}
                Some(NoSnapshot::Busy) => refused += 1,
                Some(NoSnapshot::Late) => panic!("late"),
            }
        }
        assert!(refused > 0);
        assert_eq!(admission.in_flight(), 0);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn one_client_leaves_places_to_others() {
        let admission = admission_to("test:///default?hang=vm1");
        let ask = |group: usize, source| {
            let admission = Arc::clone(&admission);
            let query = StatsQuery::new(GROUPS[group].bit | StatsGroups::BLOCK);
            let refused =
                async move { admission.snapshot(query, Duration::ZERO, source).await.err() };
            tokio::spawn(refused)
        };
        let host = Source::Host([192, 0, 2, 7].into());
        let greedy: Vec<_> = (0..GROUPS.len()).map(|group| ask(group, host)).collect();
        while admission.in_flight() < MOST_OF_ONE {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let others: Vec<_> = (6..10).map(|group| ask(group, Source::User(group as u32))).collect();
        for other in others {
            assert_eq!(other.await.unwrap(), None);
        }
        let mut refused = 0;
        for one in greedy {
            refused += usize::from(one.await.unwrap().is_some());
        }
        assert!(refused > 0, "one client had {} queries in flight", GROUPS.len());
    }
}
