//! One hypervisor that the daemon asks.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Instant,
};

use domstats::{Connect, ConnectOptions, Error, ErrorKind, ErrorOrigin, error_chain};

use crate::host::Failure;

/// A hypervisor by its URI: opened when it is first asked, and again until that succeeds.
pub(crate) struct Source {
    pub(crate) uri: String,
    options: ConnectOptions,
    door: Arc<Door>,
    is_failing: AtomicBool,
}

/// Opening takes the time that it takes; who asks waits for it no longer than they have time.
#[derive(Default)]
struct Door {
    opening: Mutex<Opening>,
    ended: Condvar,
}

#[derive(Default)]
struct Opening {
    is_under_way: bool,
    connect: Option<Connect>,
    /// How the last attempt ended, if in vain.
    failure: Option<(Instant, Arc<Error>)>,
}

impl Source {
    pub(crate) fn new(uri: String, options: ConnectOptions) -> Self {
        Self { uri, options, door: Arc::default(), is_failing: AtomicBool::new(false) }
    }

    /// Returns the connection.
    ///
    /// # Errors
    ///
    /// Those of [`Connect::open_with`], and [`ErrorKind::Timeout`] if it is not open by then.
    pub(crate) fn connect(&self, deadline: Instant) -> Result<Connect, Arc<Error>> {
        let arrived = Instant::now();
        let mut opening = self.door.lock();
        if opening.connect.is_none() && !opening.is_under_way {
            let (uri, options) = (self.uri.clone(), self.options.clone());
            let door = Arc::clone(&self.door);
            let open = move || door.settle(Connect::open_with(&uri, &options), &uri);
            let started = thread::Builder::new().name("open".to_owned()).spawn(open);
            opening.is_under_way = started.is_ok();
            started.map_err(|error| failed(ErrorKind::System, format!("no thread: {error}")))?;
        }
        // An attempt that ended before is no answer to this question; the one under way is.
        let is_open = |opening: &Opening| {
            opening.connect.is_some()
                || opening.failure.as_ref().is_some_and(|(ended, _)| *ended >= arrived)
        };
        let left = deadline.saturating_duration_since(arrived);
        let (opening, _) = self
            .door
            .ended
            .wait_timeout_while(opening, left, |opening| !is_open(opening))
            .unwrap_or_else(PoisonError::into_inner);
        match (&opening.connect, &opening.failure) {
            (Some(connect), _) => Ok(connect.clone()),
            (None, Some((_, error))) if is_open(&opening) => Err(Arc::clone(error)),
            _ => Err(failed(ErrorKind::Timeout, "it is not open yet")),
        }
    }

    /// Returns that it could not be asked.
    pub(crate) fn failure(&self, error: Arc<Error>) -> Failure {
        Failure { uri: self.uri.clone(), error }
    }

    /// Logs when it begins to fail, and when that is over.
    pub(crate) fn note(&self, failure: Option<&Error>) {
        let was_failing = self.is_failing.swap(failure.is_some(), Ordering::Relaxed);
        match failure {
            Some(error) if !was_failing => {
                tracing::warn!(uri = self.uri, error = error_chain(error), "cannot ask");
            }
            None if was_failing => tracing::info!(uri = self.uri, "can be asked again"),
            _ => {}
        }
    }

    /// Returns whether it could not be asked the last time.
    pub(crate) fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }

    /// Closes the connection, if there is one.
    pub(crate) fn close(&self) {
        if let Some(connect) = &self.door.lock().connect {
            connect.close();
        }
    }
}

impl Door {
    fn lock(&self) -> MutexGuard<'_, Opening> {
        self.opening.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what an attempt came to, and tells those who wait.
    fn settle(&self, result: Result<Connect, Error>, uri: &str) {
        let mut opening = self.lock();
        opening.is_under_way = false;
        match result {
            Ok(connect) => {
                tracing::info!(uri, "connected");
                opening.connect = Some(connect);
            }
            Err(error) => opening.failure = Some((Instant::now(), Arc::new(error))),
        }
        self.ended.notify_all();
    }
}

fn failed(kind: ErrorKind, sentence: impl Into<String>) -> Arc<Error> {
    Arc::new(Error::new(kind, ErrorOrigin::Library, sentence))
}
