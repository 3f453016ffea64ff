//! All hypervisors of the configuration, for every client of the daemon.
//!
//! ```text
//! rpc/ ──┐
//!        ├─ Hypervisors ─ coalesce.rs ─ host.rs ─┬─ hypervisor.rs ── libvirt, QEMU
//! http/ ─┘   snapshot.rs  one pass for           └─ hypervisor.rs ── libvirt, QEMU
//!                         equal queries             merge.rs: their domains as one host's
//! ```
//!
//! A *pass* asks all hypervisors once; what it returns is a [`Snapshot`], which all callers with an equal
//! [`StatsQuery`] share, whichever protocol they come by. Some calls of libvirt's protocol are relayed to a
//! libvirt instead (`relay.rs`).

mod coalesce;
mod conflicts;
mod gathered;
mod host;
mod hypervisor;
mod merge;
mod relay;
mod snapshot;

use std::{
    sync::{Arc, RwLock},
    time::{Duration, Instant},
};

use domstats::{Connect, Domain, DomainFilter, DomainInfo, Nic, sync::unpoisoned};
use tokio::task;

use coalesce::Coalescer;
pub(crate) use coalesce::LONGEST_KEPT;
pub(crate) use gathered::{Failure, Gathered};
pub(crate) use host::Host;
use relay::Relays;
pub(crate) use relay::Scope;
pub(crate) use snapshot::{PassCounters, Snapshot, StatsQuery};

/// The hypervisors, whichever are configured now, for many callers at once. A cheap handle.
#[derive(Clone)]
pub(crate) struct Hypervisors {
    current: Arc<RwLock<Generation>>,
    listings: Coalescer<Key<DomainFilter>, Gathered<Vec<Domain>>>,
    snapshots: Coalescer<Key<Selection>, Snapshot>,
    relays: Relays,
    pub(crate) counters: Arc<PassCounters>,
}

/// A query about all domains, or about these.
type Selection = (StatsQuery, Option<Arc<[DomainInfo]>>);

/// The hypervisors of one version of the configuration.
#[derive(Clone)]
struct Generation {
    host: Arc<Host>,
    /// How long an answer may take.
    timeout: Duration,
    number: u64,
}

/// What callers coalesce by: answers are never shared across generations.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key<K> {
    generation: u64,
    wanted: K,
}

impl Generation {
    fn key<K>(&self, wanted: K) -> Key<K> {
        Key { generation: self.number, wanted }
    }
}

impl Hypervisors {
    pub(crate) fn new(host: Arc<Host>, timeout: Duration) -> Self {
        Self {
            current: Arc::new(RwLock::new(Generation { host, timeout, number: 0 })),
            listings: Coalescer::default(),
            snapshots: Coalescer::default(),
            relays: Relays::default(),
            counters: Arc::default(),
        }
    }

    /// Replaces the hypervisors and the timeout. Passes in flight keep the connections of the generation
    /// before until they end.
    pub(crate) fn replace(&self, host: Arc<Host>, timeout: Duration) {
        let mut current = unpoisoned(self.current.write());
        let number = current.number + 1;
        *current = Generation { host, timeout, number };
    }

    /// Closes the connections.
    pub(crate) fn close(&self) {
        self.host().close();
    }

    fn current(&self) -> Generation {
        unpoisoned(self.current.read()).clone()
    }

    /// Returns the hypervisors that are asked now.
    pub(crate) fn host(&self) -> Arc<Host> {
        self.current().host
    }

    /// Returns the configured timeout.
    pub(crate) fn timeout(&self) -> Duration {
        self.current().timeout
    }

    /// Returns the domains that match, as they are now, of every hypervisor.
    pub(crate) async fn domains(&self, filter: DomainFilter) -> Arc<Gathered<Vec<Domain>>> {
        let current = self.current();
        let (key, patience) = (current.key(filter), current.timeout / 4);
        let list = move |_| current.host.domains(filter);
        self.listings.get(key, Duration::ZERO, patience, list).await
    }

    /// Returns the active domain with this number, if there is one hypervisor and it has it.
    pub(crate) async fn domain_by_id(&self, id: u32) -> Option<Domain> {
        let host = self.host();
        blocking(move || host.domain_by_id(id)).await
    }

    /// Returns the statistics of all domains, by a pass that began at most `max_age` ago. If the caller starts
    /// the pass, `held` is dropped when that ends; otherwise when this returns.
    pub(crate) async fn snapshot(
        &self,
        query: StatsQuery,
        max_age: Duration,
        held: impl Send + 'static,
    ) -> Arc<Snapshot> {
        self.shared_snapshot((query, None), max_age, held).await
    }

    /// Returns the statistics of these domains, as they are now: a record for each that is there.
    pub(crate) async fn snapshot_of(
        &self,
        domains: Vec<DomainInfo>,
        query: StatsQuery,
    ) -> Arc<Snapshot> {
        self.shared_snapshot((query, Some(domains.into())), Duration::ZERO, ()).await
    }

    async fn shared_snapshot(
        &self,
        selection: Selection,
        max_age: Duration,
        held: impl Send + 'static,
    ) -> Arc<Snapshot> {
        let current = self.current();
        let timeout = selection.0.timeout(current.timeout);
        let (key, counters) = (current.key(selection.clone()), Arc::clone(&self.counters));
        let pass = move |waited| {
            let _held = held;
            let (query, domains) = selection;
            let (host, request) = (&current.host, query.request());
            let left = timeout.saturating_sub(waited);
            Snapshot::take(|| {
                counters.count(|| match &domains {
                    None => host.stats(&request, left),
                    Some(domains) => host.stats_of(domains, &request, left),
                })
            })
        };
        // The time that a pass waits for the one in flight is taken from its own.
        self.snapshots.get(key, max_age, timeout / 2, pass).await
    }

    /// Returns what is known of a domain's NICs, within the timeout of an answer that began then.
    pub(crate) async fn nics(&self, domain: DomainInfo, began: Instant) -> Vec<Nic> {
        let Generation { host, timeout, .. } = self.current();
        blocking(move || host.nics(&domain, timeout.saturating_sub(began.elapsed()))).await
    }

    /// Returns the connection to the first hypervisor.
    pub(crate) async fn first(&self) -> Result<Option<Connect>, Failure> {
        let host = self.host();
        blocking(move || host.first()).await
    }
}

/// Runs what blocks on a thread that may.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let done = task::spawn_blocking(work).await;
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}
