//! What all hypervisors return to one call.

use std::sync::Arc;

use domstats::Error;

/// A value of all hypervisors that could be asked, and why others could not.
pub(crate) struct Gathered<T> {
    pub(crate) value: T,
    /// How many hypervisors there are.
    pub(crate) asked: usize,
    /// The hypervisors that could not be asked.
    pub(crate) failures: Vec<Failure>,
}

/// A hypervisor that could not be asked, and why.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) uri: String,
    pub(crate) error: Arc<Error>,
}

impl<T> Gathered<T> {
    /// Returns the failures if no hypervisor could be asked.
    pub(crate) fn unreachable(&self) -> Option<&[Failure]> {
        let is_down = !self.failures.is_empty() && self.failures.len() == self.asked;
        is_down.then_some(&self.failures)
    }

    pub(super) fn map<U>(self, change: impl FnOnce(T) -> U) -> Gathered<U> {
        let Self { value, asked, failures } = self;
        Gathered { value: change(value), asked, failures }
    }
}
