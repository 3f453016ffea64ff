//! One hypervisor that the daemon asks.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use domstats::{Connect, ConnectOptions, Error, error_chain};

/// A hypervisor by its URI: opened when it is first asked, and again until that succeeds.
pub(crate) struct Source {
    pub(crate) uri: String,
    options: ConnectOptions,
    opening: Mutex<Opening>,
    is_failing: AtomicBool,
}

/// How the last attempt to open it ended.
#[derive(Default)]
struct Opening {
    connect: Option<Connect>,
    failure: Option<(Instant, Arc<Error>)>,
}

impl Source {
    pub(crate) fn new(uri: String, options: ConnectOptions) -> Self {
        Self { uri, options, opening: Mutex::default(), is_failing: AtomicBool::new(false) }
    }

    /// Returns the connection.
    ///
    /// # Errors
    ///
    /// Those of [`Connect::open_with`].
    pub(crate) fn connect(&self) -> Result<Connect, Arc<Error>> {
        let arrived = Instant::now();
        let mut opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connect) = &opening.connect {
            return Ok(connect.clone());
        }
        // Who waited while somebody else tried in vain does not try, and wait, once more.
        if let Some((ended, error)) = &opening.failure
            && *ended >= arrived
        {
            return Err(Arc::clone(error));
        }
        match Connect::open_with(&self.uri, &self.options) {
            Ok(connect) => {
                tracing::info!(uri = self.uri, "connected");
                opening.connect = Some(connect.clone());
                Ok(connect)
            }
            Err(error) => {
                let error = Arc::new(error);
                opening.failure = Some((Instant::now(), Arc::clone(&error)));
                Err(error)
            }
        }
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

    /// Closes the connection, if there is one.
    pub(crate) fn close(&self) {
        let opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connect) = &opening.connect {
            connect.close();
        }
    }
}
