//! Work that the kernel may never end, such as the look at a path that leads to dead storage: each piece is done on a
//! thread of its own, which can be left behind.
//!
//! Who waits for a thread in vain leaves it, and the same work is not begun again before it has come back. So a path
//! costs one thread, however often it is asked for.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

/// The threads that there may be at a time. One that waits takes some 30 KiB, and a process number.
const MOST: usize = 256;

/// Those that may work for one user: nobody can have others left without. On a host whose storage is dead every
/// QEMU of a user may be stuck.
const OF_USER: usize = 64;

/// Work that was begun later than this ago is likely to come back.
const NEW: Duration = Duration::from_secs(1);

/// What is to be done, and for whom.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct BlockingCall {
    /// The user whose process is looked at; `None` for what the caller named itself.
    pub(crate) user: Option<u32>,
    /// What for; the same work has the same.
    pub(crate) path: PathBuf,
}

/// It has not come back, or there is no thread to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Blocked;

impl BlockingCall {
    /// Does the work on a thread, and passes its result to `tell`.
    ///
    /// # Errors
    ///
    /// If it is under way already, or there are too many threads.
    pub(crate) fn begin<T>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
        tell: impl FnOnce(T) + Send + 'static,
    ) -> Result<(), Blocked> {
        let running = Running::new(self).ok_or(Blocked)?;
        let run = move || {
            let result = work();
            // Who hears of it may begin again.
            drop(running);
            tell(result);
        };
        let thread = thread::Builder::new().name("call".to_owned()).spawn(run);
        thread.map(drop).map_err(|_| Blocked)
    }

    /// Does the work, whose result can be waited for. If another call has just begun the same, it comes after it, or
    /// not at all if that takes so long.
    ///
    /// # Errors
    ///
    /// As for [`BlockingCall::begin`].
    pub(crate) fn start<T: Send + 'static>(
        self,
        time: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Started<T>, Blocked> {
        let until = Instant::now() + time;
        while self.was_just_begun() && Instant::now() < until {
            thread::sleep(Duration::from_millis(1));
        }
        let (sender, receiver) = mpsc::sync_channel(1);
        self.begin(work, move |result| drop(sender.send(result)))?;
        Ok(Started(receiver))
    }

    fn was_just_begun(&self) -> bool {
        Running::all().get(self).is_some_and(|since| since.elapsed() < NEW)
    }

    /// Does the work, and waits for it so long.
    ///
    /// # Errors
    ///
    /// As for [`BlockingCall::begin`], and if it takes longer.
    pub(crate) fn run<T: Send + 'static>(
        self,
        time: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Blocked> {
        let until = Instant::now() + time;
        let started = self.start(time, work)?;
        started.wait(until.saturating_duration_since(Instant::now()))
    }
}

/// Work that was begun. Dropped, it is left behind.
#[derive(Debug)]
pub(crate) struct Started<T>(mpsc::Receiver<T>);

impl<T> Started<T> {
    /// Waits so long.
    ///
    /// # Errors
    ///
    /// If it takes longer.
    pub(crate) fn wait(self, time: Duration) -> Result<T, Blocked> {
        self.0.recv_timeout(time).map_err(|_| Blocked)
    }
}

/// The work that is under way, and since when.
static RUNNING: LazyLock<Mutex<HashMap<BlockingCall, Instant>>> = LazyLock::new(Mutex::default);

/// An errand that is under way until this is dropped.
struct Running(BlockingCall);

impl Running {
    fn new(call: BlockingCall) -> Option<Self> {
        let mut all = Self::all();
        let of_user = all.keys().filter(|other| other.user == call.user).count();
        if all.len() >= MOST || of_user >= OF_USER || all.contains_key(&call) {
            return None;
        }
        all.insert(call.clone(), Instant::now());
        Some(Self(call))
    }

    fn all() -> MutexGuard<'static, HashMap<BlockingCall, Instant>> {
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        Self::all().remove(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use domstats_patience::{PATIENCE, wait_until};

    use super::*;

    fn call(user: u32, path: &str) -> BlockingCall {
        BlockingCall { user: Some(user), path: path.into() }
    }

    #[test]
    fn what_does_not_come_back_costs_one_thread_and_a_user_has_so_many() {
        // Users that no other test has.
        let (user, other) = (4_000_000_001, 4_000_000_002);
        assert_eq!(call(user, "quick").run(PATIENCE, || 7), Ok(7));
        assert_eq!(call(user, "quick").run(PATIENCE, || 8), Ok(8), "as soon as it is heard of");
        let block = |call: BlockingCall| {
            let (sender, receiver) = mpsc::channel::<()>();
            call.begin(move || receiver.recv().is_ok(), |_| {}).map(|()| sender)
        };
        let first = block(call(user, "blocked")).unwrap();
        let again = || call(user, "blocked").run(Duration::ZERO, || ());
        assert_eq!(again(), Err(Blocked), "it is under way");
        let held: Vec<_> =
            (1..OF_USER).map(|number| block(call(user, &number.to_string())).unwrap()).collect();
        assert!(block(call(user, "one more")).is_err());
        assert_eq!(call(other, "blocked").run(PATIENCE, || 7), Ok(7), "another user's");
        drop(first);
        wait_until(PATIENCE, "it came back", || call(user, "blocked").run(PATIENCE, || ()).is_ok());
        drop(held);
        let slow =
            || call(other, "both").run(PATIENCE, || thread::sleep(Duration::from_millis(50)));
        thread::scope(|scope| {
            let both = [scope.spawn(slow), scope.spawn(slow)];
            assert!(both.into_iter().all(|one| one.join().unwrap().is_ok()), "one after the other");
        });
        assert_eq!(
            call(other, "slow").run(Duration::ZERO, || thread::sleep(Duration::from_millis(50))),
            Err(Blocked)
        );
    }

    #[test]
    fn a_panic_is_no_result_and_leaves_nothing_behind() {
        let call = || call(4_000_000_003, "panic");
        let wrong = || assert!(blocking().is_empty(), "as it must");
        fn blocking() -> Vec<u8> {
            vec![1]
        }
        assert_eq!(call().run(PATIENCE, wrong), Err(Blocked));
        wait_until(PATIENCE, "it is gone", || call().run(PATIENCE, || ()).is_ok());
    }
}
