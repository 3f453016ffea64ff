//! How many calls that may query a monitor are in flight at a time.
//!
//! One at first, and one more for each answer. A daemon has few threads, and starts more only for a
//! call that arrives while no thread is free and no call is queued (seen in libvirt 9.0). If
//! several calls hit stuck monitors at once, the rest would stay in its queue, with every other
//! client's calls behind them, until a monitor answers.

use std::time::{Duration, Instant};

use super::pool::SHARE;

/// After this long without an answer, the window opens for one more call.
const PACE: Duration = Duration::from_millis(10);

#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    size: usize,
    in_flight: usize,
    /// When a call was last answered, or the window opened for lack of answers.
    progress: Instant,
}

impl Window {
    /// Returns a window for one call, for a daemon that nothing is known about.
    pub(super) fn narrow() -> Self {
        Self::of_size(1)
    }

    /// Returns a window as large as the last one became.
    pub(super) fn of_size(size: usize) -> Self {
        Self { size, in_flight: 0, progress: Instant::now() }
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    pub(super) fn is_open(&self) -> bool {
        self.in_flight < self.size
    }

    pub(super) fn asked(&mut self) {
        self.in_flight += 1;
    }

    pub(super) fn answered(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.grow();
    }

    fn grow(&mut self) {
        self.size = (self.size + 1).min(SHARE);
        self.progress = Instant::now();
    }

    /// Returns when a closed window opens even without an answer.
    pub(super) fn opens(&self) -> Instant {
        self.progress + PACE
    }

    /// Opens the window if its time has come.
    pub(super) fn on_time(&mut self, now: Instant) {
        if !self.is_open() && now >= self.opens() {
            self.grow();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_open_the_window_up_to_the_share() {
        let mut window = Window::narrow();
        for size in 1..=SHARE + 3 {
            assert!(window.is_open());
            while window.is_open() {
                window.asked();
            }
            assert_eq!(window.size(), size.min(SHARE));
            window.in_flight = 1;
            window.answered();
        }
    }

    #[test]
    fn without_answers_the_window_opens_slowly() {
        let mut window = Window::narrow();
        window.asked();
        assert!(!window.is_open());
        window.on_time(Instant::now());
        assert!(!window.is_open(), "too early");
        window.on_time(window.opens());
        assert!(window.is_open());
        window.on_time(window.opens());
        assert_eq!(window.size(), 2, "an open window does not grow");
    }
}
