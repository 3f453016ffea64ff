//! Work that may block in the kernel forever, such as looking up a path on dead storage. Each piece
//! runs on a thread of its own, which can be left behind.
//!
//! A caller whose wait ends without a result abandons the thread, and the same work does not start
//! again before that thread returns. So a path costs one thread, however often it is requested.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{LazyLock, Mutex, MutexGuard, mpsc},
    thread,
    time::{Duration, Instant},
};

use crate::sync::lock;

/// The most threads at a time. Each waiting thread takes some 30 KiB and one process number.
const MOST: usize = 256;

/// The most threads at a time for one user, so that no user can use up the threads of others. On a
/// host with dead storage, every QEMU of a user may be stuck.
const OF_USER: usize = 64;

/// Work that started more recently than this is likely to return.
const NEW: Duration = Duration::from_secs(1);

/// Identifies a piece of work, and the user it is done for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct BlockingCall {
    /// The user whose process is examined; `None` for what the caller named itself.
    pub(crate) user: Option<u32>,
    /// The subject of the work; equal paths mean the same work.
    pub(crate) path: PathBuf,
}

/// The work has not returned, or no thread is available.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Blocked;

impl BlockingCall {
    /// Does the work on a thread, and passes its result to `tell`.
    ///
    /// # Errors
    ///
    /// If the same work is in flight already, or there are too many threads.
    pub(crate) fn begin<T>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
        tell: impl FnOnce(T) + Send + 'static,
    ) -> Result<(), Blocked> {
        Running::new(&self).map_err(|_| Blocked)?.begin(work, tell)
    }

    /// Starts the work, so that its result can be awaited. If another call has just started the
    /// same work, waits for that to end first, and fails if that takes longer than `time`.
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
        let running = loop {
            match Running::new(&self) {
                Ok(running) => break running,
                Err(Some(since)) if since.elapsed() < NEW && Instant::now() < until => {
                    thread::sleep(Duration::from_millis(1));
                }
                Err(_) => return Err(Blocked),
            }
        };
        let (sender, receiver) = mpsc::sync_channel(1);
        running.begin(work, move |result| drop(sender.send(result)))?;
        Ok(Started(receiver))
    }

    /// Does the work, and waits for its result for at most `time`.
    ///
    /// # Errors
    ///
    /// Those of [`BlockingCall::begin`], and if the work takes longer.
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

/// Work in flight. Dropping this abandons it.
#[derive(Debug)]
pub(crate) struct Started<T>(mpsc::Receiver<T>);

impl<T> Started<T> {
    /// Waits for the result for at most `time`.
    ///
    /// # Errors
    ///
    /// If the work takes longer.
    pub(crate) fn wait(self, time: Duration) -> Result<T, Blocked> {
        self.0.recv_timeout(time).map_err(|_| Blocked)
    }
}

/// The work in flight, and when it started.
static RUNNING: LazyLock<Mutex<HashMap<BlockingCall, Instant>>> = LazyLock::new(Mutex::default);

/// Marks a blocking call as in flight until dropped.
struct Running(BlockingCall);

impl Running {
    /// Marks the work as in flight.
    ///
    /// # Errors
    ///
    /// When the same work started, if it is in flight; `None` if there are too many threads.
    fn new(call: &BlockingCall) -> Result<Self, Option<Instant>> {
        let mut all = Self::all();
        if let Some(since) = all.get(call) {
            return Err(Some(*since));
        }
        let of_user = all.keys().filter(|other| other.user == call.user).count();
        if all.len() >= MOST || of_user >= OF_USER {
            return Err(None);
        }
        all.insert(call.clone(), Instant::now());
        Ok(Self(call.clone()))
    }

    /// Does the work on a thread, and passes its result to `tell`.
    fn begin<T>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
        tell: impl FnOnce(T) + Send + 'static,
    ) -> Result<(), Blocked> {
        let run = move || {
            let result = work();
            // Whoever receives the result may start the work again.
            drop(self);
            tell(result);
        };
        let thread = thread::Builder::new().name("call".to_owned()).spawn(run);
        thread.map(drop).map_err(|_| Blocked)
    }

    fn all() -> MutexGuard<'static, HashMap<BlockingCall, Instant>> {
        lock(&RUNNING)
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
    fn blocked_work_costs_one_thread_and_threads_are_bounded_per_user() {
        // Users that no other test uses.
        let (user, other) = (4_000_000_001, 4_000_000_002);
        assert_eq!(call(user, "quick").run(PATIENCE, || 7), Ok(7));
        assert_eq!(
            call(user, "quick").run(PATIENCE, || 8),
            Ok(8),
            "as soon as the result is received"
        );
        let block = |call: BlockingCall| {
            let (sender, receiver) = mpsc::channel::<()>();
            call.begin(move || receiver.recv().is_ok(), |_| {}).map(|()| sender)
        };
        let first = block(call(user, "blocked")).unwrap();
        let again = || call(user, "blocked").run(Duration::ZERO, || ());
        assert_eq!(again(), Err(Blocked), "it is in flight");
        let held: Vec<_> =
            (1..OF_USER).map(|number| block(call(user, &number.to_string())).unwrap()).collect();
        assert!(block(call(user, "one more")).is_err());
        assert_eq!(call(other, "blocked").run(PATIENCE, || 7), Ok(7), "another user's");
        drop(first);
        wait_until(PATIENCE, "it returned", || call(user, "blocked").run(PATIENCE, || ()).is_ok());
        drop(held);
        let quick =
            || call(other, "both").run(PATIENCE, || thread::sleep(Duration::from_millis(1)));
        thread::scope(|scope| {
            // At the same moment, again and again: neither may find the other's work and give up.
            let both = || (0..20).all(|_| quick().is_ok());
            let both = [scope.spawn(both), scope.spawn(both)];
            assert!(both.into_iter().all(|one| one.join().unwrap()), "one after the other");
        });
        assert_eq!(
            call(other, "slow").run(Duration::ZERO, || thread::sleep(Duration::from_millis(50))),
            Err(Blocked)
        );
    }

    #[test]
    fn a_panic_gives_no_result_and_leaves_nothing_behind() {
        let call = || call(4_000_000_003, "panic");
        let wrong = || assert!(blocking().is_empty(), "as it must");
        fn blocking() -> Vec<u8> {
            vec![1]
        }
        assert_eq!(call().run(PATIENCE, wrong), Err(Blocked));
        wait_until(PATIENCE, "it is gone", || call().run(PATIENCE, || ()).is_ok());
    }
}
