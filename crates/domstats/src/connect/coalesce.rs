//! Many callers at once share a pass over the domains.
//!
//! ```text
//! first caller   ──── pass ────┐
//! second caller     gathers ── departs ──── pass ────> its report
//! third caller        joins ─────────────────────────> the same report
//! ```
//!
//! A pass under way has read already: its numbers are older than a call that comes now. So the
//! callers that come meanwhile with the same request gather for the next pass. It departs when the
//! one under way is over, or after [`DEPARTURE`]: one that is held up holds up nobody else. Who
//! came first makes it, with what is left of its own time, and so all are back in theirs.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    time::{Duration, Instant},
};

use crate::model::{
    error::Result, identity::DomainInfo, report::StatsReport, request::StatsRequest,
};

/// How long callers gather while a pass is under way.
const DEPARTURE: Duration = Duration::from_millis(20);

/// How late a pass may be on a busy machine before those who wait for it take what needs no waiting.
const LATENESS: Duration = Duration::from_millis(100);

/// The passes of a connection: a lane for each request that somebody has.
#[derive(Debug, Default)]
pub(crate) struct Coalescer(Mutex<Vec<Weak<Lane>>>);

impl Coalescer {
    /// Returns the report of a pass that begins after this call: one that it makes by `read`, or
    /// that of another call.
    pub(crate) fn report(
        &self,
        of: Option<&[DomainInfo]>,
        request: &StatsRequest,
        read: impl Fn(&StatsRequest) -> Result<StatsReport>,
    ) -> Result<StatsReport> {
        let start = Instant::now();
        let left = || request.clone().timeout(request.timeout.saturating_sub(start.elapsed()));
        match self.lane(of, request).board(start) {
            Seat::Alone(flight) => flight.land(read(request)),
            Seat::First(flight) => flight.land(read(&left())),
            Seat::Shared(Some(result)) => result,
            Seat::Shared(None) => read(&left()),
        }
    }

    fn lane(&self, of: Option<&[DomainInfo]>, request: &StatsRequest) -> Arc<Lane> {
        let mut lanes = lock(&self.0);
        let same = |lane: &Arc<Lane>| lane.of.as_deref() == of && lane.request == *request;
        if let Some(lane) = lanes.iter().filter_map(Weak::upgrade).find(same) {
            return lane;
        }
        let (of, request) = (of.map(Box::from), request.clone());
        let lane = Arc::new(Lane { of, request, state: Mutex::default(), landed: Condvar::new() });
        lanes.retain(|lane| lane.strong_count() > 0);
        lanes.push(Arc::downgrade(&lane));
        lane
    }
}

/// The passes with one request.
#[derive(Debug)]
struct Lane {
    of: Option<Box<[DomainInfo]>>,
    request: StatsRequest,
    state: Mutex<State>,
    /// Notified when a pass is over.
    landed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    under_way: usize,
    gathering: Option<Arc<Pass>>,
}

/// What came of a pass that others wait for: `None` if it was not finished.
type Pass = OnceLock<Option<Result<StatsReport>>>;

enum Seat {
    /// The caller is to make a pass at once.
    Alone(Flight),
    /// The caller has gathered others and is to make a pass with what is left of its time.
    First(Flight),
    /// Another caller made it; `None` if it was not finished in time.
    Shared(Option<Result<StatsReport>>),
}

impl Lane {
    fn board(self: Arc<Self>, start: Instant) -> Seat {
        let timeout = self.request.timeout;
        let mut state = lock(&self.state);
        if let Some(pass) = &state.gathering {
            let pass = Arc::clone(pass);
            // It left earlier than this call will have to be back. If it is late all the same, so
            // would a pass of one's own have been.
            let until = start + timeout + LATENESS.min(timeout / 2);
            drop(self.wait(state, until, |_| pass.get().is_some()));
            return Seat::Shared(pass.get().cloned().flatten());
        }
        let pass = Arc::new(Pass::new());
        let is_first = state.under_way > 0;
        if is_first {
            state.gathering = Some(Arc::clone(&pass));
            let departure = start + DEPARTURE.min(timeout / 4);
            state = self.wait(state, departure, |state| state.under_way == 0);
            state.gathering = None;
        }
        state.under_way += 1;
        drop(state);
        let flight = Flight { lane: self, pass };
        if is_first { Seat::First(flight) } else { Seat::Alone(flight) }
    }

    /// Waits until passes are over as they should be, or until then at most.
    fn wait<'a>(
        &self,
        state: MutexGuard<'a, State>,
        until: Instant,
        is_over: impl Fn(&State) -> bool,
    ) -> MutexGuard<'a, State> {
        let time = until.saturating_duration_since(Instant::now());
        let wait = self.landed.wait_timeout_while(state, time, |state| !is_over(state));
        wait.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// A pass under way. It is over when this drops, also by a panic of its caller.
struct Flight {
    lane: Arc<Lane>,
    pass: Arc<Pass>,
}

impl Flight {
    /// Gives a report to all that wait for it.
    fn land(self, result: Result<StatsReport>) -> Result<StatsReport> {
        // Nobody but this call has a pass for which nobody waits.
        if Arc::strong_count(&self.pass) > 1 {
            let _ = self.pass.set(Some(result.clone()));
        }
        result
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let _ = self.pass.set(None);
        lock(&self.lane.state).under_way -= 1;
        self.lane.landed.notify_all();
    }
}

/// The states are right at every step: a panic elsewhere does not spoil them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Tells whether a second call gathers others, or has left already.
    fn has_second(shared: &Coalescer) -> bool {
        let lane = lock(&shared.0).iter().find_map(Weak::upgrade);
        lane.is_some_and(|lane| {
            let state = lock(&lane.state);
            state.gathering.is_some() || state.under_way == 2
        })
    }

    /// Calls from so many threads at once while one call is under way; each pass takes so long.
    /// Returns how many passes there were.
    fn passes(callers: usize, pass: Duration) -> usize {
        let (shared, made) = (Coalescer::default(), AtomicUsize::new(0));
        let barrier = Barrier::new(callers);
        let call = || {
            let called = SystemTime::now();
            let request = StatsRequest::new().timeout(PATIENCE);
            let report = shared.report(None, &request, |_| {
                made.fetch_add(1, Ordering::Relaxed);
                let report = StatsReport::new(SystemTime::now());
                thread::sleep(pass);
                Ok(report)
            });
            assert!(report.unwrap().taken_at >= called, "older than the call");
        };
        thread::scope(|scope| {
            scope.spawn(call);
            wait_until(PATIENCE, "the first pass", || made.load(Ordering::Relaxed) > 0);
            for _ in 0..callers {
                scope.spawn(|| {
                    barrier.wait();
                    call();
                });
            }
        });
        assert_eq!(lock(&shared.0).iter().filter_map(Weak::upgrade).count(), 0);
        made.into_inner()
    }

    #[test]
    fn callers_that_come_during_a_pass_share_the_next() {
        let passes = passes(50, Duration::from_millis(300));
        // One that the others found under way, and one for them, or some if threads start slowly.
        assert!((2..=25).contains(&passes), "{passes}");
    }

    #[test]
    fn nobody_waits_long_for_a_pass_that_is_held_up() {
        let shared = Coalescer::default();
        let request = StatsRequest::new().timeout(PATIENCE);
        let report = || Ok(StatsReport::new(SystemTime::now()));
        let (began, done) = (AtomicBool::new(false), AtomicUsize::new(0));
        thread::scope(|scope| {
            scope.spawn(|| {
                shared.report(None, &request, |_| {
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
                shared.report(None, &request, |_| report()).unwrap();
                done.fetch_add(1, Ordering::Release);
            }
            stopwatch.assert_within(Duration::from_secs(5));
        });
    }

    #[test]
    fn a_call_is_back_in_its_time_whatever_the_others_do() {
        let shared = Coalescer::default();
        let request = StatsRequest::new().timeout(Duration::from_millis(200));
        let call = |time: Duration| {
            let read = |request: &StatsRequest| {
                assert!(request.timeout <= Duration::from_millis(200));
                thread::sleep(time);
                Ok(StatsReport::new(SystemTime::now()))
            };
            shared.report(None, &request, read).unwrap();
        };
        thread::scope(|scope| {
            // The second makes a pass for the third, and does not come back.
            for _ in 0..2 {
                scope.spawn(|| call(Duration::from_secs(2)));
            }
            wait_until(PATIENCE, "two calls", || has_second(&shared));
            let stopwatch = Stopwatch::start();
            call(Duration::ZERO);
            stopwatch.assert_within(Duration::from_secs(1));
        });
    }

    #[test]
    fn a_panic_of_one_leaves_no_other_waiting() {
        let shared = Coalescer::default();
        let request = StatsRequest::new().timeout(PATIENCE);
        let stopwatch = Stopwatch::start();
        let began = AtomicBool::new(false);
        let call = |panics: bool| {
            shared.report(None, &request, |_| {
                began.store(true, Ordering::Release);
                thread::sleep(DEPARTURE * 2);
                assert!(!panics, "as the test wants");
                Ok(StatsReport::new(SystemTime::now()))
            })
        };
        thread::scope(|scope| {
            // The second makes a pass for the third.
            let first = scope.spawn(|| call(false));
            wait_until(PATIENCE, "the first pass", || began.load(Ordering::Acquire));
            let second = scope.spawn(|| call(true));
            wait_until(PATIENCE, "a second call", || has_second(&shared) || second.is_finished());
            call(false).unwrap();
            assert!(first.join().is_ok() && second.join().is_err());
        });
        stopwatch.assert_within(PATIENCE / 2);
    }

    #[test]
    fn different_requests_share_nothing() {
        let shared = Coalescer::default();
        let requests = [1, 2].map(|bits| StatsRequest::from_flags(bits, 0));
        let domains =
            ["a", "b"].map(|name| [DomainInfo { name: name.into(), ..Default::default() }]);
        let lists = [None, Some(&domains[0][..]), Some(&domains[1][..])];
        let lanes =
            || lists.iter().flat_map(|of| requests.each_ref().map(|it| shared.lane(*of, it)));
        let (first, second): (Vec<_>, Vec<_>) = (lanes().collect(), lanes().collect());
        assert!(first.iter().zip(&second).all(|(one, other)| Arc::ptr_eq(one, other)));
        assert_eq!(lock(&shared.0).len(), 6);
    }
}
