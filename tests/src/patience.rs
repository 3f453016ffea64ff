//! Waiting for what is to come, for so long.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Waits until something is so, and fails if it takes longer than this.
#[track_caller]
pub fn wait_until(time: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + time;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Measures how long something takes on a machine that may be busy, beside a yardstick: a thread that
/// sleeps for 5 ms again and again, and finds out how much later than that it goes on.
#[derive(Debug)]
pub struct Stopwatch {
    start: Instant,
    /// What the yardstick came late in all, in nanoseconds.
    late: Arc<AtomicU64>,
}

impl Stopwatch {
    /// Starts to measure.
    #[must_use]
    pub fn start() -> Self {
        const STEP: Duration = Duration::from_millis(5);
        let late = Arc::new(AtomicU64::new(0));
        let yardstick = Arc::clone(&late);
        thread::spawn(move || {
            // It ends when nobody looks at it any more.
            while Arc::strong_count(&yardstick) > 1 {
                let start = Instant::now();
                thread::sleep(STEP);
                let over = start.elapsed().saturating_sub(STEP).as_nanos();
                yardstick.fetch_add(u64::try_from(over).unwrap_or(u64::MAX), Ordering::Relaxed);
            }
        });
        Self { start: Instant::now(), late }
    }

    /// Fails if more than the limit has passed, and what the yardstick came late.
    #[track_caller]
    pub fn assert_within(&self, limit: Duration) {
        let elapsed = self.start.elapsed();
        let late = Duration::from_nanos(self.late.load(Ordering::Relaxed));
        assert!(
            elapsed < limit + late,
            "took {elapsed:?}, at most {limit:?} expected and {late:?} for the busy machine"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_is_late_on_a_quiet_machine_is_found() {
        let stopwatch = Stopwatch::start();
        stopwatch.assert_within(Duration::from_millis(500));
        thread::sleep(Duration::from_secs(1));
        let late = std::panic::catch_unwind(|| stopwatch.assert_within(Duration::from_millis(20)));
        assert!(late.is_err());
    }
}
