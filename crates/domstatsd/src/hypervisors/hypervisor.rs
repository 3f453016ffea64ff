//! One hypervisor.

use std::{
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Instant,
};

use domstats::{
    Connect, ConnectOptions, Error, ErrorKind, ErrorOrigin, error_chain,
    sync::{lock, wait_while},
};

use super::Failure;

/// A hypervisor by its URI: opened when it is first asked, and again until that succeeds.
pub(super) struct Hypervisor {
    pub(super) uri: String,
    options: ConnectOptions,
    opening: Arc<Opening>,
    is_failing: AtomicBool,
}

/// Opens a connection on a thread of its own: callers wait for it only until their deadlines.
#[derive(Default)]
struct Opening {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    is_in_flight: bool,
    connect: Option<Connect>,
    /// How the last attempt failed.
    failure: Option<(Instant, Arc<Error>)>,
}

impl Hypervisor {
    pub(super) fn new(uri: String, options: ConnectOptions) -> Self {
        Self { uri, options, opening: Arc::default(), is_failing: AtomicBool::new(false) }
    }

    /// Returns the connection.
    ///
    /// # Errors
    ///
    /// Those of [`Connect::open_with`], and [`ErrorKind::Timeout`] if it is not open by then.
    pub(super) fn connect(&self, deadline: Instant) -> Result<Connect, Arc<Error>> {
        let arrived = Instant::now();
        let mut state = lock(&self.opening.state);
        if state.connect.is_none() && !state.is_in_flight {
            let (uri, options) = (self.uri.clone(), self.options.clone());
            let opening = Arc::clone(&self.opening);
            let open = move || opening.settle(Connect::open_with(&uri, &options), &uri);
            let started = thread::Builder::new().name("open".to_owned()).spawn(open);
            state.is_in_flight = started.is_ok();
            started.map_err(|error| failed(ErrorKind::System, format!("no thread: {error}")))?;
        }
        // An attempt that ended before is no answer; the one in flight is.
        let is_settled = |state: &State| {
            state.connect.is_some()
                || state.failure.as_ref().is_some_and(|(ended, _)| *ended >= arrived)
        };
        let left = deadline.saturating_duration_since(arrived);
        let state = wait_while(&self.opening.ended, state, left, |state| !is_settled(state));
        match (&state.connect, &state.failure) {
            (Some(connect), _) => Ok(connect.clone()),
            (None, Some((_, error))) if is_settled(&state) => Err(Arc::clone(error)),
            _ => Err(failed(ErrorKind::Timeout, "it is not open yet")),
        }
    }

    /// Returns a failure of this hypervisor.
    pub(super) fn failure(&self, error: Arc<Error>) -> Failure {
        Failure { uri: self.uri.clone(), error }
    }

    /// Logs when it begins to fail, and when it recovers.
    pub(super) fn note(&self, failure: Option<&Error>) {
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
    pub(super) fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }

    /// Closes the connection, if there is one.
    pub(super) fn close(&self) {
        if let Some(connect) = &lock(&self.opening.state).connect {
            connect.close();
        }
    }
}

impl Opening {
    /// Takes the result of an attempt, and wakes the callers.
    fn settle(&self, result: Result<Connect, Error>, uri: &str) {
        let mut state = lock(&self.state);
        state.is_in_flight = false;
        match result {
            Ok(connect) => {
                tracing::info!(uri, "connected");
                state.connect = Some(connect);
            }
            Err(error) => state.failure = Some((Instant::now(), Arc::new(error))),
        }
        self.ended.notify_all();
    }
}

fn failed(kind: ErrorKind, sentence: impl Into<String>) -> Arc<Error> {
    Arc::new(Error::new(kind, ErrorOrigin::Library, sentence))
}
