//! What clients of libvirt's protocol came for, and what they got.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use domstats::sync::lock;

/// Counts since the daemon started.
#[derive(Default)]
pub(crate) struct Counters {
    /// Clients that were let in.
    pub(crate) connections: AtomicU64,
    /// Clients that found as many there as there may be.
    pub(crate) turned_away: AtomicU64,
    /// The names are those of a table, so there are only so many.
    calls: Mutex<BTreeMap<&'static str, Calls>>,
}

/// The calls of one procedure.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Calls {
    /// Those that got their result.
    pub(crate) served: u64,
    /// Those that got an error.
    pub(crate) refused: u64,
}

impl Counters {
    pub(super) fn admitted(&self, is_admitted: bool) {
        let counter = if is_admitted { &self.connections } else { &self.turned_away };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn called(&self, procedure: &'static str, is_served: bool) {
        let mut calls = lock(&self.calls);
        let its = calls.entry(procedure).or_default();
        *if is_served { &mut its.served } else { &mut its.refused } += 1;
    }

    /// Returns the calls by procedure.
    pub(crate) fn calls(&self) -> BTreeMap<&'static str, Calls> {
        lock(&self.calls).clone()
    }
}
