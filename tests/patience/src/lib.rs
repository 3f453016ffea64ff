//! How tests wait, and measure time on a machine that may be busy.
//!
//! A crate of its own, for the tests of crates that the kit depends on.

use std::{
    ops::Sub,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// How long a test waits for something that happens at once on a quiet machine. It costs time only
/// if the test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until a condition holds, and fails if that takes longer than `time`.
#[track_caller]
pub fn wait_until(time: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + time;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Measures how long something takes, and how far a yardstick gets meanwhile: a thread that
/// repeatedly sleeps for a step. On a busy machine its steps are late too.
#[derive(Debug)]
pub struct Stopwatch {
    start: Instant,
    /// The steps of the yardstick.
    steps: Arc<AtomicU32>,
}

const STEP: Duration = Duration::from_millis(2);

impl Stopwatch {
    /// Starts to measure.
    #[must_use]
    pub fn start() -> Self {
        let start = Instant::now();
        let steps = Arc::new(AtomicU32::new(0));
        let yardstick = Arc::clone(&steps);
        thread::spawn(move || {
            // Ends when the stopwatch is dropped.
            while Arc::strong_count(&yardstick) > 1 {
                thread::sleep(STEP);
                yardstick.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { start, steps }
    }

    /// Returns the time that has passed.
    #[must_use]
    pub fn time(&self) -> Time {
        let passed = self.start.elapsed();
        Time { passed, steps: STEP * self.steps.load(Ordering::Relaxed) }
    }

    /// Fails unless less than the limit has passed.
    #[track_caller]
    pub fn assert_within(&self, limit: Duration) {
        self.time().assert_within(limit);
    }
}

/// The time that has passed, and how far the yardstick got meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct Time {
    /// By the clock.
    pub passed: Duration,
    /// By the yardstick: the time that would have passed on a quiet machine.
    pub steps: Duration,
}

impl Sub for Time {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self { passed: self.passed - earlier.passed, steps: self.steps - earlier.steps }
    }
}

impl Time {
    /// Fails unless the yardstick got less far than the limit.
    #[track_caller]
    pub fn assert_within(self, limit: Duration) {
        if let Some(late) = self.exceeds(limit) {
            panic!("{late}");
        }
    }

    /// Says how far the yardstick got, unless that is less than the limit.
    #[must_use]
    pub fn exceeds(self, limit: Duration) -> Option<String> {
        let Self { passed, steps } = self;
        (steps >= limit).then(|| {
            format!(
                "took {passed:?}, {steps:?} corrected for the machine's delays; less than {limit:?} expected"
            )
        })
    }
}

/// Measures how long something takes.
pub fn time<T>(what: impl FnOnce() -> T) -> (T, Time) {
    let stopwatch = Stopwatch::start();
    let result = what();
    (result, stopwatch.time())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_is_late_on_a_quiet_machine_is_found() {
        let ((), time) = time(|| thread::sleep(Duration::from_secs(1)));
        assert!(time.passed >= Duration::from_secs(1) && time.steps <= time.passed);
        time.assert_within(Duration::from_millis(1_500));
        // However busy the machine is, the yardstick advances.
        let late = std::panic::catch_unwind(|| time.assert_within(Duration::from_millis(20)));
        assert!(late.is_err());
    }
}
