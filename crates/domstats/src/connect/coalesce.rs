//! Calls that ask the same at the same time share a pass over the domains (single-flight).
//!
//! ```text
//! first call   ──── pass ────┐
//! second call     gathers ── leads ──── pass ────> its report
//! third call        joins ───────────────────────> the same report
//! ```
//!
//! A pass in flight has read already: its numbers are older than a call that comes now. So calls
//! that come meanwhile with the same question gather for the next pass. It starts when the one in
//! flight ends, or after [`GATHER`]: a slow pass delays no other call. The call that
//! came first leads: it makes the pass.
//!
//! Timeouts may differ. A shared pass ends at the earliest deadline of the calls that share it, so
//! none waits beyond its own. In return a call shares only if that costs it little: at most a
//! quarter of its time, see [`Term`]. Calls that do not suit each other gather separately.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, Weak},
    time::{Duration, Instant},
};

use crate::{
    model::{error::Result, identity::DomainInfo, report::StatsReport, request::StatsRequest},
    sync::{lock, wait_while},
};

/// How long calls gather while a pass is in flight.
const GATHER: Duration = Duration::from_millis(20);

/// How late a shared pass may be on a busy machine before a call that waits for it takes what needs
/// no waiting.
const LATENESS: Duration = Duration::from_millis(100);

/// The passes of a connection, by question.
#[derive(Debug, Default)]
pub(super) struct Coalescer(Mutex<Vec<Weak<Lane>>>);

impl Coalescer {
    /// Returns the report of a pass that starts after this call: one that the call makes by `read`,
    /// or that of another call.
    pub(super) fn report(
        &self,
        listed: Option<&[DomainInfo]>,
        request: &StatsRequest,
        read: impl Fn(&StatsRequest) -> Result<StatsReport>,
    ) -> Result<StatsReport> {
        let term = Term::new(request.timeout);
        let until = |deadline: Instant| {
            request.clone().timeout(deadline.saturating_duration_since(Instant::now()))
        };
        match self.lane(listed, request).join(term) {
            Role::Alone(flight) => flight.land(read(request)),
            Role::Leader(flight) => {
                let deadline = flight.pass.term().end;
                flight.land(read(&until(deadline)))
            }
            Role::Follower(Some(result)) => result,
            Role::Follower(None) => read(&until(term.end)),
        }
    }

    fn lane(&self, listed: Option<&[DomainInfo]>, request: &StatsRequest) -> Arc<Lane> {
        // Deadlines are compared when calls gather.
        let question = request.clone().timeout(Duration::ZERO);
        let mut lanes = lock(&self.0);
        let same = |lane: &Arc<Lane>| lane.listed.as_deref() == listed && lane.question == question;
        if let Some(lane) = lanes.iter().filter_map(Weak::upgrade).find(same) {
            return lane;
        }
        let listed = listed.map(Box::from);
        let lane = Lane { listed, question, state: Mutex::default(), landed: Condvar::new() };
        let lane = Arc::new(lane);
        lanes.retain(|lane| lane.strong_count() > 0);
        lanes.push(Arc::downgrade(&lane));
        lane
    }
}

/// When a pass may end that a call shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Term {
    /// A pass that ends earlier would cost a call too much of its time.
    earliest: Instant,
    /// The deadline.
    end: Instant,
}

impl Term {
    fn new(timeout: Duration) -> Self {
        let now = Instant::now();
        Self { earliest: now + timeout - timeout / 4, end: now + timeout }
    }

    /// Returns the term of a pass for both; `None` if there is none that suits them.
    fn and(self, other: Self) -> Option<Self> {
        let (earliest, end) = (self.earliest.max(other.earliest), self.end.min(other.end));
        (earliest <= end).then_some(Self { earliest, end })
    }

    fn left(self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }
}

/// The passes with one question.
#[derive(Debug)]
struct Lane {
    listed: Option<Box<[DomainInfo]>>,
    question: StatsRequest,
    state: Mutex<State>,
    /// Notified when a pass ends.
    landed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    in_flight: usize,
    /// The passes that did not start yet.
    gathering: Vec<Arc<Pass>>,
}

/// A pass that several calls may share.
#[derive(Debug)]
struct Pass {
    /// Fixed when the pass starts.
    term: Mutex<Term>,
    /// `None` if the pass broke off.
    outcome: OnceLock<Option<Result<StatsReport>>>,
}

impl Pass {
    fn term(&self) -> Term {
        *lock(&self.term)
    }

    /// Adds a call, if the pass suits it.
    fn admit(&self, call: Term) -> bool {
        let mut term = lock(&self.term);
        let both = term.and(call);
        *term = both.unwrap_or(*term);
        both.is_some()
    }
}

/// What a call does about its pass.
enum Role {
    /// It makes a pass at once.
    Alone(Flight),
    /// It has gathered others, and makes a pass for all.
    Leader(Flight),
    /// Another call made it; `None` if that one did not finish in time.
    Follower(Option<Result<StatsReport>>),
}

impl Lane {
    fn join(self: Arc<Self>, call: Term) -> Role {
        let timeout = call.left();
        let mut state = lock(&self.state);
        if let Some(pass) = state.gathering.iter().find(|pass| pass.admit(call)) {
            let pass = Arc::clone(pass);
            // It ends by this call's deadline. If it is late all the same, so would a pass of the
            // call's own have been.
            let until = call.end + LATENESS.min(timeout / 2);
            drop(self.wait(state, until, |_| pass.outcome.get().is_some()));
            return Role::Follower(pass.outcome.get().cloned().flatten());
        }
        let pass = Arc::new(Pass { term: Mutex::new(call), outcome: OnceLock::new() });
        let leads = state.in_flight > 0;
        if leads {
            state.gathering.push(Arc::clone(&pass));
            let start = Instant::now() + GATHER.min(timeout / 4);
            state = self.wait(state, start, |state| state.in_flight == 0);
            state.gathering.retain(|other| !Arc::ptr_eq(other, &pass));
        }
        state.in_flight += 1;
        drop(state);
        let flight = Flight { lane: self, pass };
        if leads { Role::Leader(flight) } else { Role::Alone(flight) }
    }

    /// Waits until the passes are as they should be, or until then at most.
    fn wait<'a>(
        &self,
        state: MutexGuard<'a, State>,
        until: Instant,
        is_over: impl Fn(&State) -> bool,
    ) -> MutexGuard<'a, State> {
        let time = until.saturating_duration_since(Instant::now());
        wait_while(&self.landed, state, time, |state| !is_over(state))
    }
}

/// A pass in flight. It ends when this drops, also by a panic of its call.
struct Flight {
    lane: Arc<Lane>,
    pass: Arc<Pass>,
}

impl Flight {
    /// Gives a report to all calls that wait for it.
    fn land(self, result: Result<StatsReport>) -> Result<StatsReport> {
        // Only this call has a pass that nobody waits for.
        if Arc::strong_count(&self.pass) > 1 {
            let _ = self.pass.outcome.set(Some(result.clone()));
        }
        result
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let _ = self.pass.outcome.set(None);
        lock(&self.lane.state).in_flight -= 1;
        self.lane.landed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Barrier,
            atomic::{AtomicBool, AtomicUsize, Ordering},
        },
        thread,
        time::SystemTime,
    };

    use domstats_patience::{PATIENCE, Stopwatch, wait_until};

    use super::*;

    fn report() -> Result<StatsReport> {
        Ok(StatsReport::new(SystemTime::now()))
    }

    /// Returns how many passes gather calls, and how many are in flight.
    fn passes_of(coalescer: &Coalescer) -> (usize, usize) {
        let lane = lock(&coalescer.0).iter().find_map(Weak::upgrade);
        lane.map_or((0, 0), |lane| {
            let state = lock(&lane.state);
            (state.gathering.len(), state.in_flight)
        })
    }

    /// True when a second call gathers others, or has started already.
    fn has_second(coalescer: &Coalescer) -> bool {
        let (gathering, in_flight) = passes_of(coalescer);
        gathering > 0 || in_flight == 2
    }

    /// Makes a call with each timeout at the same moment, while one call is in flight; each pass
    /// takes so long. Returns how many passes there were.
    fn passes(timeouts: &[Duration], pass: Duration) -> usize {
        let (coalescer, made) = (Coalescer::default(), AtomicUsize::new(0));
        let barrier = Barrier::new(timeouts.len());
        let call = |timeout: Duration| {
            let (called, deadline) = (SystemTime::now(), Instant::now() + timeout);
            let request = StatsRequest::new().timeout(timeout);
            let report = coalescer.report(None, &request, |request| {
                made.fetch_add(1, Ordering::Relaxed);
                assert!(Instant::now() + request.timeout <= deadline + Duration::from_millis(50));
                let report = report();
                thread::sleep(pass);
                report
            });
            assert!(report.unwrap().taken_at >= called, "older than the call");
        };
        thread::scope(|scope| {
            scope.spawn(|| call(PATIENCE));
            wait_until(PATIENCE, "the first pass", || made.load(Ordering::Relaxed) > 0);
            for timeout in timeouts {
                scope.spawn(|| {
                    barrier.wait();
                    call(*timeout);
                });
            }
        });
        assert_eq!(lock(&coalescer.0).iter().filter_map(Weak::upgrade).count(), 0);
        made.into_inner()
    }

    #[test]
    fn calls_that_come_during_a_pass_share_the_next() {
        let passes = passes(&[PATIENCE; 50], Duration::from_millis(300));
        // One that the others found in flight, and one for them, or some if threads start slowly.
        assert!((2..=25).contains(&passes), "{passes}");
    }

    #[test]
    fn calls_share_a_pass_though_their_timeouts_differ() {
        let timeouts: Vec<_> = (0..50).map(|n| PATIENCE + PATIENCE / 1_000 * n).collect();
        let passes = passes(&timeouts, Duration::from_millis(300));
        assert!((2..=25).contains(&passes), "{passes}");
    }

    #[test]
    fn a_call_shares_no_pass_that_costs_it_much_of_its_time() {
        let term = |timeout| Term::new(Duration::from_secs(timeout));
        let whole = |a: Term, b: Term| a.and(b).map(|both| both.end);
        let (short, middle, long) = (term(70), term(80), term(100));
        assert_eq!(whole(middle, long), Some(middle.end));
        assert_eq!(whole(short, middle), Some(short.end));
        assert_eq!(whole(short, long), None);
        // Nor does one that joins later shorten what those before agreed to.
        assert_eq!(middle.and(long).and_then(|both| both.and(short)), None);
    }

    #[test]
    fn a_shared_pass_ends_by_the_earliest_deadline() {
        let coalescer = Coalescer::default();
        let lane = coalescer.lane(None, &StatsRequest::new());
        let agreed = Term::new(PATIENCE);
        let pass = Arc::new(Pass { term: Mutex::new(agreed), outcome: OnceLock::new() });
        lock(&lane.state).gathering.push(Arc::clone(&pass));
        let request = StatsRequest::new().timeout(PATIENCE * 8 / 10);
        thread::scope(|scope| {
            let follower = scope.spawn(|| {
                coalescer.report(None, &request, |_| panic!("it does not share the pass"))
            });
            wait_until(PATIENCE, "the follower", || pass.term() != agreed);
            assert!(pass.term().left() <= request.timeout, "{:?}", pass.term());
            lock(&lane.state).in_flight += 1;
            Flight { lane: Arc::clone(&lane), pass }.land(report()).unwrap();
            assert!(follower.join().is_ok_and(|report| report.is_ok()));
        });
    }

    #[test]
    fn nobody_waits_long_for_a_pass_that_is_held_up() {
        let coalescer = Coalescer::default();
        let request = StatsRequest::new().timeout(PATIENCE);
        let (began, done) = (AtomicBool::new(false), AtomicUsize::new(0));
        thread::scope(|scope| {
            scope.spawn(|| {
                coalescer.report(None, &request, |_| {
                    began.store(true, Ordering::Release);
                    while done.load(Ordering::Acquire) < 20 {
                        thread::sleep(Duration::from_millis(1));
                    }
                    report()
                })
            });
            wait_until(PATIENCE, "the first pass", || began.load(Ordering::Acquire));
            let stopwatch = Stopwatch::start();
            for _ in 0..20 {
                coalescer.report(None, &request, |_| report()).unwrap();
                done.fetch_add(1, Ordering::Release);
            }
            stopwatch.assert_within(Duration::from_secs(5));
        });
    }

    #[test]
    fn a_call_returns_in_its_time_whatever_the_others_do() {
        let coalescer = Coalescer::default();
        let call = |timeout: u64, time: Duration| {
            let timeout = Duration::from_millis(timeout);
            let request = StatsRequest::new().timeout(timeout);
            let read = |request: &StatsRequest| {
                assert!(request.timeout <= timeout);
                thread::sleep(time);
                report()
            };
            coalescer.report(None, &request, read).unwrap();
        };
        thread::scope(|scope| {
            // The second makes a pass for the third, and does not come back. A fourth has much more
            // time than they, and lengthens nobody's wait.
            for timeout in [200, 200, 60_000] {
                scope.spawn(move || call(timeout, Duration::from_secs(2)));
            }
            wait_until(PATIENCE, "two calls", || has_second(&coalescer));
            let stopwatch = Stopwatch::start();
            call(200, Duration::ZERO);
            stopwatch.assert_within(Duration::from_secs(1));
        });
    }

    #[test]
    fn a_panic_of_one_leaves_no_other_waiting() {
        let coalescer = Coalescer::default();
        let request = StatsRequest::new().timeout(PATIENCE);
        let stopwatch = Stopwatch::start();
        let began = AtomicBool::new(false);
        let call = |panics: bool| {
            coalescer.report(None, &request, |_| {
                began.store(true, Ordering::Release);
                thread::sleep(GATHER * 2);
                assert!(!panics, "as the test wants");
                report()
            })
        };
        thread::scope(|scope| {
            // The second makes a pass for the third.
            let first = scope.spawn(|| call(false));
            wait_until(PATIENCE, "the first pass", || began.load(Ordering::Acquire));
            let second = scope.spawn(|| call(true));
            let gathers = || has_second(&coalescer) || second.is_finished();
            wait_until(PATIENCE, "a second call", gathers);
            call(false).unwrap();
            assert!(first.join().is_ok() && second.join().is_err());
        });
        stopwatch.assert_within(PATIENCE / 2);
    }

    #[test]
    fn different_questions_share_nothing() {
        let coalescer = Coalescer::default();
        let requests = [1, 2].map(|bits| StatsRequest::from_flags(bits, 0));
        let domains =
            ["a", "b"].map(|name| [DomainInfo { name: name.into(), ..Default::default() }]);
        let lists = [None, Some(&domains[0][..]), Some(&domains[1][..])];
        let lanes = || {
            lists.iter().flat_map(|list| requests.each_ref().map(|it| coalescer.lane(*list, it)))
        };
        let (first, second): (Vec<_>, Vec<_>) = (lanes().collect(), lanes().collect());
        assert!(first.iter().zip(&second).all(|(one, other)| Arc::ptr_eq(one, other)));
        assert_eq!(lock(&coalescer.0).len(), 6);
        // A timeout is no part of a question.
        let later = requests[0].clone().timeout(PATIENCE);
        assert!(Arc::ptr_eq(&coalescer.lane(None, &later), &first[0]));
    }
}
