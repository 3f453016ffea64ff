//! One pass for all that ask at the same time.
//!
//! Who asks takes the pass that began last, if it is new enough for him: under way or over. Else he
//! waits for the one that is under way to end, and begins the next one, which all share that wait
//! with him. Nobody waits longer than half his time: then he begins one beside it. So there are at
//! most a few passes for one request at a time, however many ask, and each answer is in time.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::body::Bytes;
use domstats::{DomainFilter, StatsGroups, StatsOptions, StatsReport, StatsRequest};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, timeout_at},
};

use crate::host::{Answer, Host};

/// The passes under way at a time, for all requests together.
const MOST_PASSES: usize = 8;
/// How long the answer to a request is kept, for those who take an old one.
pub(crate) const KEPT: Duration = Duration::from_secs(60);
/// What an answer may take beyond its timeout, before it is given up: hypervisors that are not
/// connected yet are connected first.
const GRACE: Duration = Duration::from_millis(500);

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    pub(crate) groups: StatsGroups,
    pub(crate) filter: DomainFilter,
    pub(crate) options: StatsOptions,
    pub(crate) timeout: Duration,
}

/// A pass that is over.
pub(crate) struct Pass {
    pub(crate) began: Instant,
    pub(crate) answer: Answer<StatsReport>,
    /// What was written of the answer, by its form.
    texts: [OnceLock<Bytes>; 4],
}

/// A form in which many clients get the same text.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Form {
    Prometheus,
    OpenMetrics,
    Json,
    Xml,
}

impl Pass {
    /// Returns the text in a form, which is written once for all clients.
    pub(crate) fn text(&self, form: Form, write: impl FnOnce() -> String) -> Bytes {
        self.texts[form as usize].get_or_init(|| write().into()).clone()
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// Too many passes are under way.
    Busy,
    /// The pass did not end in time.
    Late,
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => write!(
                f,
                "{MOST_PASSES} other questions are being asked: ask again in a moment, or ask the \
                 same as others"
            ),
            Self::Late => f.write_str("the hypervisors did not answer in time"),
        }
    }
}

/// What was done so far.
#[derive(Default)]
pub(crate) struct Counters {
    /// Passes that began.
    pub(crate) passes: AtomicU64,
    /// Nanoseconds that passes took.
    pub(crate) nanoseconds: AtomicU64,
    /// Answers that were given, each to one client.
    pub(crate) answers: AtomicU64,
    /// Questions without an answer.
    pub(crate) refused: AtomicU64,
}

/// All hypervisors, asked once for all that ask at the same time.
pub(crate) struct Passes {
    host: Arc<Host>,
    runs: Mutex<HashMap<Question, Run>>,
    free: Arc<Semaphore>,
    pub(crate) counters: Arc<Counters>,
}

/// The last pass that began for a question.
#[derive(Clone)]
struct Run {
    began: Instant,
    result: watch::Receiver<Option<Arc<Pass>>>,
}

/// What somebody who asks does next.
enum Next {
    /// Takes what this pass gives.
    Take(Run),
    /// Waits for the end of this pass.
    After(Run),
    /// Waits until another pass may begin.
    WhenFree,
}

impl Run {
    fn is_over(&self) -> bool {
        self.result.borrow().is_some() || self.result.has_changed().is_err()
    }

    /// Waits for the end of the pass; `None` if it failed.
    async fn end(mut self) -> Option<Arc<Pass>> {
        self.result.wait_for(Option::is_some).await.ok()?.clone()
    }
}

impl Passes {
    pub(crate) fn new(host: Arc<Host>) -> Self {
        Self {
            host,
            runs: Mutex::default(),
            free: Arc::new(Semaphore::new(MOST_PASSES)),
            counters: Arc::default(),
        }
    }

    /// Returns an answer that is at most this old, within the timeout of the question.
    pub(crate) async fn ask(
        &self,
        question: Question,
        max_age: Duration,
    ) -> Result<Arc<Pass>, NoAnswer> {
        let result = self.ask_uncounted(question, max_age).await;
        let counter = match result {
            Ok(_) => &self.counters.answers,
            Err(_) => &self.counters.refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        result
    }

    async fn ask_uncounted(
        &self,
        question: Question,
        max_age: Duration,
    ) -> Result<Arc<Pass>, NoAnswer> {
        let arrived = Instant::now();
        let oldest = arrived.checked_sub(max_age).unwrap_or(arrived);
        let patience = arrived + question.timeout / 2;
        let deadline = arrived + question.timeout;
        loop {
            match self.next(question, oldest, patience, deadline)? {
                Next::Take(run) => return finish(run, deadline).await,
                Next::After(run) => drop(timeout_at(patience, run.end()).await),
                Next::WhenFree => drop(timeout_at(patience, self.free.acquire()).await),
            }
        }
    }

    /// Decides what to do, and begins a pass if that is it.
    fn next(
        &self,
        question: Question,
        oldest: Instant,
        patience: Instant,
        deadline: Instant,
    ) -> Result<Next, NoAnswer> {
        let mut runs = self.runs();
        let is_patient = Instant::now() < patience;
        match runs.get(&question) {
            Some(run) if run.began >= oldest => return Ok(Next::Take(run.clone())),
            Some(run) if is_patient && !run.is_over() => return Ok(Next::After(run.clone())),
            _ => {}
        }
        match Arc::clone(&self.free).try_acquire_owned() {
            Ok(permit) => {
                let run = self.begin(question, deadline, permit);
                runs.retain(|_, run| !run.is_over() || run.began.elapsed() < KEPT);
                runs.insert(question, run.clone());
                Ok(Next::Take(run))
            }
            Err(_) if is_patient => Ok(Next::WhenFree),
            Err(_) => Err(NoAnswer::Busy),
        }
    }

    fn begin(&self, question: Question, deadline: Instant, permit: OwnedSemaphorePermit) -> Run {
        let began = Instant::now();
        let (sender, result) = watch::channel(None);
        let (host, counters) = (Arc::clone(&self.host), Arc::clone(&self.counters));
        counters.passes.fetch_add(1, Ordering::Relaxed);
        tokio::task::spawn_blocking(move || {
            let request = StatsRequest::new()
                .groups(question.groups)
                .filter(question.filter)
                .options(question.options)
                .timeout(deadline.saturating_duration_since(Instant::now()));
            let answer = host.stats(&request);
            let took = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
            counters.nanoseconds.fetch_add(took, Ordering::Relaxed);
            sender.send_replace(Some(Arc::new(Pass { began, answer, texts: Default::default() })));
            drop(permit);
        });
        Run { began, result }
    }

    /// The URIs of the hypervisors that are asked.
    pub(crate) fn uris(&self) -> impl Iterator<Item = &str> {
        self.host.uris()
    }

    /// Passes under way.
    pub(crate) fn under_way(&self) -> usize {
        MOST_PASSES - self.free.available_permits()
    }

    fn runs(&self) -> MutexGuard<'_, HashMap<Question, Run>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn finish(run: Run, deadline: Instant) -> Result<Arc<Pass>, NoAnswer> {
    match timeout_at(deadline + GRACE, run.end()).await {
        Ok(Some(pass)) => Ok(pass),
        Ok(None) | Err(_) => Err(NoAnswer::Late),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::config::Config;

    fn passes(uri: &str) -> Arc<Passes> {
        let config = Config { connect: vec![uri.to_owned()], ..Config::default() };
        Arc::new(Passes::new(Arc::new(Host::new(&config))))
    }

    fn question(timeout: Duration) -> Question {
        Question {
            groups: StatsGroups::empty(),
            filter: DomainFilter::empty(),
            options: StatsOptions::empty(),
            timeout,
        }
    }

    /// Has many ask at once, and returns which passes they got, and how long the slowest waited.
    async fn crowd(passes: &Arc<Passes>, count: usize) -> (HashSet<Instant>, Duration) {
        let start = Instant::now();
        let one = |_| {
            let passes = Arc::clone(passes);
            tokio::spawn(async move {
                let asked = Instant::now();
                let pass = passes.ask(question(Duration::from_secs(1)), Duration::ZERO).await;
                let began = pass.unwrap_or_else(|why| panic!("{why}")).began;
                assert!(began >= asked, "an answer from before the question");
                began
            })
        };
        let asked: Vec<_> = (0..count).map(one).collect();
        let mut began = HashSet::new();
        for one in asked {
            began.insert(one.await.unwrap());
        }
        (began, start.elapsed())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn many_that_ask_at_once_share_passes() {
        let passes = passes("test:///default?slow=vm1:200ms");
        let (began, _) = crowd(&passes, 200).await;
        assert!(began.len() <= 3, "{} passes for 200 questions", began.len());
        let counted = passes.counters.passes.load(Ordering::Relaxed);
        assert_eq!(counted, began.len() as u64);
        assert_eq!(passes.counters.answers.load(Ordering::Relaxed), 200);
        assert_eq!(passes.under_way(), 0);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn answers_are_in_time_while_a_domain_is_stuck() {
        let passes = passes("test:///default?hang=vm1");
        let (began, took) = crowd(&passes, 50).await;
        assert!(began.len() <= 3, "{} passes", began.len());
        assert!(took < Duration::from_millis(1_250), "{took:?}");
    }

    #[tokio::test]
    async fn an_old_answer_is_for_those_who_take_it() {
        let passes = passes("test:///default");
        let question = question(Duration::from_secs(1));
        let first = passes.ask(question, Duration::ZERO).await.ok().unwrap();
        let again = passes.ask(question, Duration::from_secs(5)).await.ok().unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        let fresh = passes.ask(question, Duration::ZERO).await.ok().unwrap();
        assert!(fresh.began > first.began);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn too_many_different_questions_are_refused_in_time() {
        let passes = passes("test:///default?hang=vm1");
        let start = Instant::now();
        let ask = |number: u64| {
            let passes = Arc::clone(&passes);
            let question = question(Duration::from_millis(1_000 + number));
            tokio::spawn(async move { passes.ask(question, Duration::ZERO).await.err() })
        };
        let asked: Vec<_> = (0..20).map(ask).collect();
        let mut refused = 0;
        for one in asked {
            match one.await.unwrap() {
                None => {}
                Some(NoAnswer::Busy) => refused += 1,
                Some(NoAnswer::Late) => panic!("late"),
            }
        }
        assert_eq!(refused, 20 - MOST_PASSES);
        assert!(start.elapsed() < Duration::from_millis(1_250), "{:?}", start.elapsed());
    }
}
