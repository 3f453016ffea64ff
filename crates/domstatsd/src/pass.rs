//! One pass over all hypervisors for everybody who asks at the same time.
//!
//! ```text
//! a asks ── pass 1 ────────────┐answers a
//!    b, c ask ── wait ─────────┴── pass 2 ── answers b and c
//! ```
//!
//! Nobody gets an answer that began to be taken longer ago than they accept. Who accepts none that
//! began before they asked waits for the next pass, together with all others that came meanwhile.
//! It begins when the running one ends, or after a quarter of the time that an answer may take; the
//! time that was waited is taken from that of the pass.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use domstats::{
    Connect, Domain, DomainFilter, DomainInfo, Nic, StatsGroups, StatsOptions, StatsReport,
    StatsRequest, Uuid, driver::Relayed,
};
use domstats_rpc::procedure::ProcedureId;
use tokio::{
    sync::{Semaphore, watch},
    task, time,
};

use crate::host::{About, Answer, Failure, Host};

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
type OfDomains = (Question, Option<Vec<Uuid>>);

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
    pub(crate) filter: DomainFilter,
    pub(crate) options: StatsOptions,
}

impl Question {
    pub(crate) fn new(groups: StatsGroups) -> Self {
        Self { groups, ..Self::default() }
    }

    pub(crate) fn request(self) -> StatsRequest {
        let Self { groups, filter, options } = self;
        StatsRequest::new().groups(groups).filter(filter).options(options)
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

    /// Returns the statistics of all domains; those of a pass that began at most so long ago.
    pub(crate) async fn report(
        &self,
        question: Question,
        max_age: Duration,
    ) -> Arc<Answer<StatsReport>> {
        let current = self.current();
        let key = current.of((question, None));
        let taken = Arc::clone(&self.taken);
        let pass = move |waited| {
            let left = current.timeout.saturating_sub(waited);
            taken.count(|| current.host.stats(&question.request(), left))
        };
        self.reports.ask(key, max_age, pass).await
    }

    /// Returns the statistics of these domains, as they are now: a record for each that is there.
    pub(crate) async fn report_of(
        &self,
        domains: Vec<DomainInfo>,
        question: Question,
    ) -> Arc<Answer<StatsReport>> {
        let current = self.current();
        let uuids: Option<Vec<Uuid>> = domains.iter().map(|domain| domain.uuid).collect();
        let key = uuids.map(|uuids| current.of((question, Some(uuids))));
        let taken = Arc::clone(&self.taken);
        let pass = move |waited| {
            let left = current.timeout.saturating_sub(waited);
            taken.count(|| current.host.stats_of(&domains, &question.request(), left))
        };
        match key {
            Some(key) => self.reports.ask(key, Duration::ZERO, pass).await,
            // Without a UUID two domains cannot be told apart: nothing to share.
            None => Arc::new(blocking(move || pass(Duration::ZERO)).await),
        }
    }

    /// Returns what the NICs of a domain are, as far as that is known: in the time that an answer
    /// may take which began then.
    pub(crate) async fn nics(&self, domain: DomainInfo, began: Instant) -> Vec<Nic> {
        let Current { host, timeout, .. } = self.current();
        blocking(move || host.nics(&domain, timeout.saturating_sub(began.elapsed()))).await
    }

    /// Hands a call of libvirt's protocol on; `None` if there is no libvirt to ask, or none that
    /// has the domain.
    pub(crate) async fn relay(
        &self,
        about: About,
        procedure: ProcedureId,
        arguments: Vec<u8>,
    ) -> Option<Result<Relayed, Failure>> {
        let Current { host, timeout, .. } = self.current();
        let arrived = Instant::now();
        let places = &self.relays[usize::from(about == About::Monitor)];
        let place = Arc::clone(places).acquire_owned();
        let Ok(place) = time::timeout(timeout, place).await else {
            return Some(Err(host.overloaded()));
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

/// Answers under way and at hand, by their questions. A cheap handle.
pub(crate) struct Shared<K, T> {
    slots: Arc<Mutex<HashMap<K, Slot<T>>>>,
    /// How long the next pass waits for the running one, at most.
    patience: Duration,
}

impl<K, T> Clone for Shared<K, T> {
    fn clone(&self) -> Self {
        Self { slots: Arc::clone(&self.slots), patience: self.patience }
    }
}

type Flight<T> = watch::Receiver<Option<Arc<T>>>;

/// The passes of one question.
struct Slot<T> {
    /// The next one, which has not begun.
    next: Option<Flight<T>>,
    /// The last one that began.
    running: Option<(Instant, Flight<T>)>,
    /// The last one that ended, and when it began.
    last: Option<(Instant, Arc<T>)>,
    /// The greatest age that somebody accepted: as long is the last one kept.
    keep: Duration,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self { next: None, running: None, last: None, keep: Duration::ZERO }
    }
}

impl<K, T> Shared<K, T>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Send + Sync + 'static,
{
    /// The longest time that an answer is kept for somebody who accepts an old one.
    pub(crate) const LONGEST: Duration = Duration::from_secs(60);

    pub(crate) fn new(patience: Duration) -> Self {
        Self { slots: Arc::default(), patience }
    }

    /// Returns the answer of a pass that began at most so long ago. A pass is told how long it had
    /// to wait.
    async fn ask(
        &self,
        key: K,
        max_age: Duration,
        pass: impl FnOnce(Duration) -> T + Send + 'static,
    ) -> Arc<T> {
        self.ask_within(key, max_age, self.patience, pass).await
    }

    /// The same, with another time that the pass waits for the running one, at most.
    pub(crate) async fn ask_within(
        &self,
        key: K,
        max_age: Duration,
        patience: Duration,
        pass: impl FnOnce(Duration) -> T + Send + 'static,
    ) -> Arc<T> {
        let flight = {
            let now = Instant::now();
            let mut slots = self.slots();
            slots.retain(|_, slot| slot.is_of_use(now));
            let slot = slots.entry(key.clone()).or_default();
            slot.keep = slot.keep.max(max_age.min(Self::LONGEST));
            let is_new = |began: &Instant| !max_age.is_zero() && now - *began <= max_age;
            if let Some((_, answer)) = slot.last.as_ref().filter(|(began, _)| is_new(began)) {
                return Arc::clone(answer);
            }
            match (&slot.running, &slot.next) {
                (Some((began, flight)), _) if is_new(began) => flight.clone(),
                (_, Some(flight)) => flight.clone(),
                _ => {
                    let (sender, flight) = watch::channel(None);
                    slot.next = Some(flight.clone());
                    tokio::spawn(self.clone().fly(key, patience, sender, flight.clone(), pass));
                    flight
                }
            }
        };
        let mut flight = flight;
        match flight.wait_for(Option::is_some).await.ok().as_deref() {
            Some(Some(answer)) => Arc::clone(answer),
            _ => panic!("the pass that was waited for has panicked"),
        }
    }

    /// Waits for the pass before, and takes this one.
    async fn fly(
        self,
        key: K,
        patience: Duration,
        sender: watch::Sender<Option<Arc<T>>>,
        flight: Flight<T>,
        pass: impl FnOnce(Duration) -> T + Send + 'static,
    ) {
        let asked = Instant::now();
        let before = self.slots().get(&key).and_then(|slot| slot.running.clone());
        if let Some((_, mut before)) = before {
            let _ = time::timeout(patience, before.wait_for(Option::is_some)).await;
        }
        let began = Instant::now();
        if let Some(slot) = self.slots().get_mut(&key) {
            slot.next = None;
            slot.running = Some((began, flight));
        }
        let answer = task::spawn_blocking(move || pass(asked.elapsed())).await.ok().map(Arc::new);
        let mut slots = self.slots();
        if let Some(slot) = slots.get_mut(&key) {
            slot.running.take_if(|(other, _)| *other == began);
            if let Some(answer) = &answer
                && slot.last.as_ref().is_none_or(|(other, _)| *other < began)
                && !slot.keep.is_zero()
            {
                slot.last = Some((began, Arc::clone(answer)));
            }
            if !slot.is_of_use(Instant::now()) {
                slots.remove(&key);
            }
        }
        drop(slots);
        if let Some(answer) = answer {
            let _ = sender.send(Some(answer));
        }
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<K, Slot<T>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Slot<T> {
    fn is_of_use(&self, now: Instant) -> bool {
        let is_kept = |(began, _): &(Instant, Arc<T>)| now - *began <= self.keep;
        self.next.is_some() || self.running.is_some() || self.last.as_ref().is_some_and(is_kept)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicU32, Ordering},
        thread,
    };

    use super::*;

    /// Asks so many at once, and returns their answers: the numbers of the passes.
    async fn ask(shared: &Shared<&'static str, u32>, passes: &Arc<AtomicU32>, age: u64) -> u32 {
        let passes = Arc::clone(passes);
        let pass = move |_| {
            thread::sleep(Duration::from_millis(50));
            passes.fetch_add(1, Ordering::Relaxed)
        };
        *shared.ask("all", Duration::from_millis(age), pass).await
    }

    #[tokio::test]
    async fn who_asks_at_the_same_time_shares_a_pass() {
        let (shared, passes) = (Shared::new(Duration::from_secs(9)), Arc::default());
        let first = ask(&shared, &passes, 0);
        let late = async {
            // The first pass runs: it began before these ask.
            time::sleep(Duration::from_millis(20)).await;
            tokio::join!(ask(&shared, &passes, 0), ask(&shared, &passes, 0))
        };
        assert_eq!(tokio::join!(first, late), (0, (1, 1)));
        assert!(shared.slots().is_empty(), "nobody accepts an old answer: none is kept");
    }

    #[tokio::test]
    async fn who_accepts_an_old_answer_gets_it() {
        let (shared, passes) = (Shared::new(Duration::from_secs(9)), Arc::default());
        assert_eq!(ask(&shared, &passes, 5_000).await, 0);
        assert_eq!(ask(&shared, &passes, 5_000).await, 0);
        assert_eq!(ask(&shared, &passes, 10).await, 1, "the other one is older than that");
        assert_eq!(ask(&shared, &passes, 0).await, 2);
        assert_eq!(ask(&shared, &passes, 5_000).await, 2, "the newest");
    }

    #[tokio::test]
    async fn a_pass_that_takes_long_is_not_waited_for() {
        let (shared, passes) = (Shared::new(Duration::from_millis(5)), Arc::default());
        let second = async {
            time::sleep(Duration::from_millis(5)).await;
            let began = Instant::now();
            ask(&shared, &passes, 0).await;
            began.elapsed()
        };
        let (_, waited) = tokio::join!(ask(&shared, &passes, 0), second);
        assert!(waited < Duration::from_millis(85), "{waited:?}");
    }
}
