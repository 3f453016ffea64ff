//! Counts clients and calls of libvirt's protocol.

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
    /// Clients that were admitted.
    pub(crate) connections: AtomicU64,
    /// Clients that were turned away because there were enough.
    pub(crate) turned_away: AtomicU64,
    /// By names of a table, so their number is bounded.
    calls: Mutex<BTreeMap<&'static str, Calls>>,
}

/// The calls of one procedure.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Calls {
    /// Calls that got a result.
    pub(crate) served: u64,
    /// Calls that got an error.
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
