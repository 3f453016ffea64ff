//! The passes that HTTP asks for: shared by all who ask the same, and bounded in number and time.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::body::Bytes;
use domstats::StatsReport;

use super::form::Form;
use crate::{
    client::Source,
    host::{Answer, Host},
    pass::{self, Of, Passes, Taken},
    shared::Shared,
};

/// How many different questions may be in flight, besides the daemon's own. Each has a few passes at most,
/// however many clients ask it.
const MOST_QUESTIONS: usize = 8;
/// How many of them one source may have: a user of this host, or another host.
const MOST_OF_ONE: usize = 3;
/// What an answer may take beyond its timeout, before it is given up.
const GRACE: Duration = Duration::from_millis(500);
/// How old an answer may be, at most.
pub(super) const KEPT: Duration = Shared::<Of<Question>, Pass>::LONGEST;

/// What is asked, and how long the answer may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Question {
    of_domains: pass::Question,
    timeout: Duration,
}

impl Question {
    /// Makes a question with a timeout. Any but the configured one (`usual`) is rounded down to one significant
    /// digit of milliseconds, so that few differ and similar clients share passes.
    fn new(of_domains: pass::Question, timeout: Duration, usual: Duration) -> Self {
        let round = |timeout: Duration| {
            let milliseconds = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX).max(1);
            let unit = 10u64.pow(milliseconds.ilog10());
            Duration::from_millis(milliseconds / unit * unit)
        };
        Self { of_domains, timeout: if timeout == usual { usual } else { round(timeout) } }
    }
}

/// A pass that is over.
pub(super) struct Pass {
    pub(super) began: Instant,
    pub(super) answer: Answer<StatsReport>,
    /// What was written of the answer, by its form.
    texts: [OnceLock<Bytes>; Form::COUNT],
}

impl Pass {
    /// Returns a pass that came to this.
    #[cfg(test)]
    pub(super) fn of(report: StatsReport) -> Self {
        let answer = Answer { of_all: report, asked: 1, failures: Vec::new() };
        Self { began: Instant::now(), answer, texts: Default::default() }
    }

    /// Returns whether no hypervisor could be asked.
    pub(super) fn is_down(&self) -> bool {
        !self.answer.failures.is_empty() && self.answer.failures.len() == self.answer.asked
    }

    /// Returns the text in a form, which is written once for all clients.
    pub(super) fn text(&self, form: Form, write: impl FnOnce() -> String) -> Bytes {
        self.texts[form as usize].get_or_init(|| write().into()).clone()
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// Too many other questions are being asked.
    Busy,
    /// The pass did not end in time.
    Late,
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => write!(
                f,
                "as many other questions are being asked as there may be, {MOST_OF_ONE} by one client and \
                 {MOST_QUESTIONS} in all: ask again in a moment, or ask the same as others"
            ),
            Self::Late => f.write_str("the hypervisors did not answer in time"),
        }
    }
}

/// What was done so far.
#[derive(Default)]
pub(super) struct Counters {
    /// Answers that were given, each to one client.
    pub(super) answers: AtomicU64,
    /// Questions without an answer.
    pub(super) refused: AtomicU64,
}

/// The hypervisors, for all who ask by HTTP.
pub(super) struct Answers {
    passes: Passes,
    shared: Shared<Of<Question>, Pass>,
    asked: Arc<Asked>,
    pub(super) counters: Counters,
}

/// The questions that are asked.
#[derive(Default)]
struct Asked(Mutex<HashMap<Question, Askers>>);

/// The number of those who ask a question and of its passes, and who asked it first.
struct Askers {
    count: usize,
    first: Source,
}

/// That a question is asked, for as long as this lives.
struct Asking {
    asked: Arc<Asked>,
    question: Question,
}

impl Asked {
    /// Registers a question if there is room. There always is for the daemon's own.
    fn enter(self: &Arc<Self>, question: Question, source: Source) -> Result<Asking, NoAnswer> {
        let mut all = self.all();
        if source != Source::Daemon && !all.contains_key(&question) {
            let clients = || all.values().filter(|askers| askers.first != Source::Daemon);
            let its = clients().filter(|askers| askers.first == source).count();
            if clients().count() >= MOST_QUESTIONS || (source.is_limited() && its >= MOST_OF_ONE) {
                return Err(NoAnswer::Busy);
            }
        }
        all.entry(question).or_insert(Askers { count: 0, first: source }).count += 1;
        Ok(Asking { asked: Arc::clone(self), question })
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Question, Askers>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let mut all = self.asked.all();
        if let Some(askers) = all.get_mut(&self.question) {
            askers.count -= 1;
            if askers.count == 0 {
                all.remove(&self.question);
            }
        }
    }
}

impl Answers {
    pub(super) fn new(passes: Passes) -> Self {
        let shared = Shared::new(Duration::ZERO);
        Self { passes, shared, asked: Arc::default(), counters: Counters::default() }
    }

    /// Returns the time that an answer may take if the question does not say.
    pub(super) fn timeout(&self) -> Duration {
        self.passes.current().timeout
    }

    /// Returns a question about domains, within the configured time if no other one is given.
    pub(super) fn question(
        &self,
        of_domains: pass::Question,
        timeout: Option<Duration>,
    ) -> Question {
        let usual = self.timeout();
        Question::new(of_domains, timeout.unwrap_or(usual), usual)
    }

    /// Returns the URIs of the hypervisors that are asked.
    pub(super) fn uris(&self) -> Vec<String> {
        self.host().uris().map(str::to_owned).collect()
    }

    /// Returns the hypervisors that are asked.
    pub(super) fn host(&self) -> Arc<Host> {
        self.passes.current().host
    }

    /// Returns the passes so far, those for other clients included.
    pub(super) fn taken(&self) -> &Taken {
        &self.passes.taken
    }

    /// Returns how many questions are being asked.
    pub(super) fn questions(&self) -> usize {
        self.asked.all().len()
    }

    /// Returns an answer that is at most this old, within the timeout of the question.
    pub(super) async fn ask(
        &self,
        question: Question,
        max_age: Duration,
        source: Source,
    ) -> Result<Arc<Pass>, NoAnswer> {
        let result = self.ask_uncounted(question, max_age, source).await;
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
        source: Source,
    ) -> Result<Arc<Pass>, NoAnswer> {
        let current = self.passes.current();
        // There is always room for the default question of `/metrics`, whoever asks it.
        let usual = Question { of_domains: pass::Question::default(), timeout: current.timeout };
        let source = if question == usual { Source::Daemon } else { source };
        let asking = self.asked.enter(question, source)?;
        // A pass goes on when those who asked have gone.
        let its = self.asked.enter(question, source)?;
        let key = current.of(question);
        let taken = Arc::clone(&self.passes.taken);
        let pass = move |waited| {
            let began = Instant::now();
            let left = question.timeout.saturating_sub(waited);
            let answer = taken.count(|| current.host.stats(&question.of_domains.request(), left));
            drop(its);
            Pass { began, answer, texts: Default::default() }
        };
        let answer = self.shared.ask_within(key, max_age, question.timeout / 2, pass);
        let answer = tokio::time::timeout(question.timeout + GRACE, answer).await;
        drop(asking);
        answer.map_err(|_| NoAnswer::Late)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use domstats::{StatsGroups, stats::GROUPS};
    use domstats_patience::{PATIENCE, Stopwatch, Time};

    use super::*;
    use crate::config::Config;

    fn answers(uri: &str) -> Arc<Answers> {
        let config = Config { connect: vec![uri.to_owned()], ..Config::default() };
        let passes = Passes::new(Arc::new(Host::new(&config)), config.timeout);
        Arc::new(Answers::new(passes))
    }

    fn question(timeout: Duration) -> Question {
        Question { of_domains: pass::Question::default(), timeout }
    }

    /// Has many ask at once, and returns which passes they got, and how long the slowest waited.
    async fn crowd(
        answers: &Arc<Answers>,
        count: usize,
        timeout: Duration,
    ) -> (HashSet<Instant>, Time) {
        let stopwatch = Stopwatch::start();
        let one = |_| {
            let answers = Arc::clone(answers);
            tokio::spawn(async move {
                let asked = Instant::now();
                let pass = answers.ask(question(timeout), Duration::ZERO, Source::Daemon).await;
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
        (began, stopwatch.time())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn many_that_ask_at_once_share_passes() {
        let answers = answers("test:///default?slow=vm1:200ms");
        let (began, _) = crowd(&answers, 200, PATIENCE).await;
        // Two or three, or some more where tasks start late.
        assert!(began.len() <= 20, "{} passes for 200 questions", began.len());
        let counted = answers.taken().passes.load(Ordering::Relaxed);
        assert_eq!(counted, began.len() as u64);
        assert_eq!(answers.counters.answers.load(Ordering::Relaxed), 200);
        assert_eq!(answers.questions(), 0);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn answers_are_in_time_while_a_domain_is_stuck() {
        let answers = answers("test:///default?hang=vm1");
        let (began, took) = crowd(&answers, 50, Duration::from_secs(1)).await;
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
        let passes = Passes::new(Arc::new(Host::new(&config)), config.timeout);
        let answers = Arc::new(Answers::new(passes));
        // The first one begins to open it, the second one finds it being opened.
        for _ in 0..2 {
            let stopwatch = Stopwatch::start();
            let asked =
                answers.ask(question(Duration::from_secs(1)), Duration::ZERO, Source::Daemon).await;
            let pass = asked.unwrap_or_else(|why| panic!("{why}"));
            stopwatch.assert_within(Duration::from_millis(1_400));
            assert!(!pass.answer.of_all.domains.is_empty());
            let failed = pass.answer.failures.iter().map(|failure| failure.uri.as_str());
            assert_eq!(failed.collect::<Vec<_>>(), [uri.as_str()]);
        }
        drop(silent);
        std::fs::remove_file(dir).unwrap();
    }

    #[tokio::test]
    async fn an_old_answer_is_for_those_who_take_it() {
        let answers = answers("test:///default");
        let question = question(PATIENCE);
        let ask = |age| answers.ask(question, age, Source::Daemon);
        let first = ask(PATIENCE).await.ok().unwrap();
        let again = ask(PATIENCE).await.ok().unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        let fresh = ask(Duration::ZERO).await.ok().unwrap();
        assert!(fresh.began > first.began);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn too_many_different_questions_are_refused_and_the_usual_one_never() {
        let answers = answers("test:///default?hang=vm1");
        let usual = answers.timeout();
        let ask = |groups, timeout, source| {
            let answers = Arc::clone(&answers);
            let of_domains = pass::Question::new(groups);
            let question = Question::new(of_domains, timeout, usual);
            tokio::spawn(async move { answers.ask(question, Duration::ZERO, source).await.err() })
        };
        // Each user tries as many questions as there are groups, and as many timeouts.
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
        while answers.questions() < MOST_QUESTIONS {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let scrape = ask(StatsGroups::default(), usual, Source::User(1));
        assert_eq!(scrape.await.unwrap(), None, "the place of /metrics is taken");
        let mut refused = 0;
        for one in asked {
            match one.await.unwrap() {
                None => {}
                Some(NoAnswer::Busy) => refused += 1,
                Some(NoAnswer::Late) => panic!("late"),
            }
        }
        assert!(refused > 0);
        assert_eq!(answers.questions(), 0);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn one_client_leaves_places_to_others() {
        let answers = answers("test:///default?hang=vm1");
        let usual = answers.timeout();
        let ask = |group: usize, source| {
            let answers = Arc::clone(&answers);
            let groups = GROUPS[group].bit | StatsGroups::BLOCK;
            let question = Question::new(pass::Question::new(groups), usual, usual);
            tokio::spawn(async move { answers.ask(question, Duration::ZERO, source).await.err() })
        };
        let host = Source::Host([192, 0, 2, 7].into());
        let greedy: Vec<_> = (0..GROUPS.len()).map(|group| ask(group, host)).collect();
        while answers.questions() < MOST_OF_ONE {
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
        assert!(refused > 0, "one client asked {} questions at once", GROUPS.len());
    }

    #[test]
    fn a_timeout_is_no_new_question() {
        let usual = Duration::from_millis(1_234);
        let ask = |ms| Question::new(pass::Question::default(), Duration::from_millis(ms), usual);
        assert_eq!(ask(1_234).timeout, usual);
        assert_eq!(ask(5_901), ask(5_999));
        assert_eq!(ask(5_901).timeout, Duration::from_secs(5), "never later than the client asked");
        assert_eq!(ask(0).timeout, Duration::from_millis(1));
        let different: HashSet<_> = (1..60_000).map(ask).collect();
        assert!(different.len() < 50, "{} timeouts", different.len());
    }
}
