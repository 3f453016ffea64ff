//! What is asked of the hypervisors, of whichever there are now: one pass for everybody who asks the
//! same at the same time ([`Shared`]), and calls that are handed on.

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use domstats::{
    Connect, Domain, DomainFilter, DomainInfo, Nic, StatsGroups, StatsOptions, StatsReport,
    StatsRequest, wire::Relayed,
};
use domstats_rpc::procedure::ProcedureId;
use tokio::{sync::Semaphore, task, time};

use crate::{
    host::{About, Answer, Failure, Host},
    shared::Shared,
};

/// The hypervisors, for many that ask at once. A cheap handle.
#[derive(Clone)]
pub(crate) struct Passes {
    current: Arc<RwLock<Current>>,
    listings: Shared<Of<DomainFilter>, Answer<Vec<Domain>>>,
    reports: Shared<Of<OfDomains>, Answer<StatsReport>>,
    /// A permit for each call that may be handed on at a time: of those that ask no monitor, and
    /// of those that may.
    relays: [Arc<Semaphore>; 2],
    pub(crate) taken: Arc<Taken>,
}

/// What is asked, of all domains or of these.
type OfDomains = (Question, Option<Arc<[DomainInfo]>>);

/// The calls that are handed on at a time: a libvirt daemon works on 20, and has other clients.
const RELAYS: usize = 4;

/// Who is asked now.
#[derive(Clone)]
pub(crate) struct Current {
    pub(crate) host: Arc<Host>,
    /// The time that an answer may take.
    pub(crate) timeout: Duration,
    /// How often the hypervisors were replaced.
    generation: u64,
}

impl Current {
    /// Returns a question to these hypervisors, whose answer is nobody's who asks others.
    pub(crate) fn of<K>(&self, question: K) -> Of<K> {
        Of { generation: self.generation, question }
    }
}

/// A question to the hypervisors of a generation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Of<K> {
    generation: u64,
    question: K,
}

/// The passes for statistics so far, whoever asked.
#[derive(Default)]
pub(crate) struct Taken {
    /// How many began.
    pub(crate) passes: AtomicU64,
    /// The time that those took that ended.
    pub(crate) nanoseconds: AtomicU64,
}

impl Taken {
    /// Counts a pass.
    pub(crate) fn count<T>(&self, pass: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        self.passes.fetch_add(1, Ordering::Relaxed);
        let answer = pass();
        let took = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(took, Ordering::Relaxed);
        answer
    }
}

/// What is asked of domains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Question {
    pub(crate) groups: StatsGroups,
    /// Those of which the basic values are enough.
    pub(crate) basic: StatsGroups,
    pub(crate) filter: DomainFilter,
    pub(crate) options: StatsOptions,
}

impl Question {
    pub(crate) fn new(groups: StatsGroups) -> Self {
        Self { groups, ..Self::default() }
    }

    pub(crate) fn request(self) -> StatsRequest {
        let Self { groups, basic, filter, options } = self;
        StatsRequest::new().groups(groups).basic(basic).filter(filter).options(options)
    }
}

impl Passes {
    pub(crate) fn new(host: Arc<Host>, timeout: Duration) -> Self {
        let patience = timeout / 4;
        let (listings, reports) = (Shared::new(patience), Shared::new(patience));
        let current = Arc::new(RwLock::new(Current { host, timeout, generation: 0 }));
        let relays = [RELAYS; 2].map(|most| Arc::new(Semaphore::new(most)));
        Self { current, listings, reports, relays, taken: Arc::default() }
    }

    /// Asks other hypervisors from here on, or with another time. The passes under way are the last
    /// that hold the connections to those before.
    pub(crate) fn replace(&self, host: Arc<Host>, timeout: Duration) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let generation = current.generation + 1;
        *current = Current { host, timeout, generation };
    }

    /// Lets go of the hypervisors.
    pub(crate) fn close(&self) {
        self.current().host.close();
    }

    /// Returns who is asked now.
    pub(crate) fn current(&self) -> Current {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the domains that match, of every hypervisor; those of a listing that began at most
    /// so long ago.
    pub(crate) async fn domains(
        &self,
        filter: DomainFilter,
        max_age: Duration,
    ) -> Arc<Answer<Vec<Domain>>> {
        let current = self.current();
        let key = current.of(filter);
        self.listings.ask(key, max_age, move |_| current.host.domains(filter)).await
    }

    /// Returns the active domain with this number, if there is one hypervisor and it has it.
    pub(crate) async fn domain_by_id(&self, id: u32) -> Option<Domain> {
        let host = self.current().host;
        blocking(move || host.domain_by_id(id)).await
    }

    /// Returns the statistics of all domains; those of a pass that began at most so long ago.
    pub(crate) async fn report(
        &self,
        question: Question,
        max_age: Duration,
    ) -> Arc<Answer<StatsReport>> {
        self.shared_report(None, question, max_age).await
    }

    /// Returns the statistics of these domains, as they are now: a record for each that is there.
    pub(crate) async fn report_of(
        &self,
        domains: Vec<DomainInfo>,
        question: Question,
    ) -> Arc<Answer<StatsReport>> {
        self.shared_report(Some(domains.into()), question, Duration::ZERO).await
    }

    async fn shared_report(
        &self,
        domains: Option<Arc<[DomainInfo]>>,
        question: Question,
        max_age: Duration,
    ) -> Arc<Answer<StatsReport>> {
        let current = self.current();
        let key = current.of((question, domains.clone()));
        let taken = Arc::clone(&self.taken);
        let pass = move |waited| {
            let left = current.timeout.saturating_sub(waited);
            let (host, request) = (&current.host, question.request());
            taken.count(|| match &domains {
                None => host.stats(&request, left),
                Some(domains) => host.stats_of(domains, &request, left),
            })
        };
        self.reports.ask(key, max_age, pass).await
    }

    /// Returns what the NICs of a domain are, as far as that is known: in the time that an answer
    /// may take which began then.
    pub(crate) async fn nics(&self, domain: DomainInfo, began: Instant) -> Vec<Nic> {
        let Current { host, timeout, .. } = self.current();
        blocking(move || host.nics(&domain, timeout.saturating_sub(began.elapsed()))).await
    }

    /// Hands a call of libvirt's protocol on; `None` if there is no libvirt to ask, or none that
    /// has the domain, and if a pass is the better answer.
    pub(crate) async fn relay(
        &self,
        about: About,
        procedure: ProcedureId,
        arguments: Vec<u8>,
    ) -> Option<Result<Relayed, Failure>> {
        let Current { host, timeout, .. } = self.current();
        let arrived = Instant::now();
        let places = Arc::clone(&self.relays[usize::from(about.is_monitor())]);
        let place = match about {
            // A pass answers meanwhile.
            About::Counters => places.try_acquire_owned().ok()?,
            _ => match time::timeout(timeout, places.acquire_owned()).await {
                Ok(Ok(place)) => place,
                _ => return Some(Err(host.overloaded())),
            },
        };
        blocking(move || {
            let _place = place;
            host.relay(about, procedure, &arguments, timeout.saturating_sub(arrived.elapsed()))
        })
        .await
    }

    /// Returns the connection to the first hypervisor.
    pub(crate) async fn first(&self) -> Result<Option<Connect>, Failure> {
        let host = self.current().host;
        blocking(move || host.first()).await
    }
}

/// Runs what waits on a thread that may.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let done = task::spawn_blocking(work).await;
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}
