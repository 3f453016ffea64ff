//! Locks that outlive a panic.
//!
//! Everything behind a lock of this workspace is valid after each step, so a thread that panicked
//! while it held one left nothing half done, and the others go on. Not part of the API: the other
//! crates of the workspace use it too.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Locks a mutex, also one that a panic poisoned.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    unpoisoned(mutex.lock())
}

/// Returns what a lock or a wait gave, also after a panic: for `RwLock` and `Condvar`.
pub fn unpoisoned<G>(result: Result<G, PoisonError<G>>) -> G {
    result.unwrap_or_else(PoisonError::into_inner)
}

/// Waits while the condition holds, at most for this time.
pub fn wait_while<'a, T>(
    condvar: &Condvar,
    guard: MutexGuard<'a, T>,
    time: Duration,
    condition: impl FnMut(&mut T) -> bool,
) -> MutexGuard<'a, T> {
    unpoisoned(condvar.wait_timeout_while(guard, time, condition)).0
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_panic_under_a_lock_stops_nobody_else() {
        let counter = Mutex::new(1);
        let panicked = thread::scope(|scope| {
            let holder = scope.spawn(|| {
                let _held = lock(&counter);
                panic!("as the test wants");
            });
            holder.join().is_err()
        });
        assert!(panicked && counter.is_poisoned());
        *lock(&counter) += 1;
        let guard = wait_while(&Condvar::new(), lock(&counter), Duration::ZERO, |_| true);
        assert_eq!(*guard, 2);
    }
}
