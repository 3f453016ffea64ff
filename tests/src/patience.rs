//! Waiting for what is to come, for so long.

use std::{
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
