//! Coalescing (single-flight): callers that want the same value at the same time share one run.
//!
//! ```text
//! a ── run 1 ──────────────────┐a
//!    b, c ── wait ─────────────┴── run 2 ── b and c
//! ```
//!
//! A caller never gets a value whose run began longer ago than it accepts. One that accepts no older value
//! waits for the next run, together with all others that arrive meanwhile. The next run begins when the one in
//! flight ends, or after the time that the caller is willing to wait for it.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use domstats::sync::lock;
use tokio::{sync::watch, task, time};

/// Values in flight and kept, by key. A cheap handle.
pub(crate) struct Coalescer<K, T> {
    slots: Arc<Mutex<HashMap<K, Slot<T>>>>,
}

impl<K, T> Clone for Coalescer<K, T> {
    fn clone(&self) -> Self {
        Self { slots: Arc::clone(&self.slots) }
    }
}

impl<K, T> Default for Coalescer<K, T> {
    fn default() -> Self {
        Self { slots: Arc::default() }
    }
}

/// Receives the value of a run when it ends.
type Flight<T> = watch::Receiver<Option<Arc<T>>>;

/// The runs of one key.
struct Slot<T> {
    /// The next run, which has not begun.
    next: Option<Flight<T>>,
    /// The last run that began, until it ends, and when it began.
    in_flight: Option<(Instant, Flight<T>)>,
    /// The newest value, and when its run began.
    newest: Option<(Instant, Arc<T>)>,
    /// The greatest age that a caller accepted: the newest value is kept for that long.
    keep: Duration,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self { next: None, in_flight: None, newest: None, keep: Duration::ZERO }
    }
}

/// The longest time that a value is kept for callers that accept an old one.
pub(crate) const LONGEST_KEPT: Duration = Duration::from_secs(60);

impl<K, T> Coalescer<K, T>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Send + Sync + 'static,
{
    /// Returns the value of a run that began at most `max_age` ago. If that takes a new run, it waits for the
    /// one in flight at most `patience`; `run` gets the time that it waited.
    pub(crate) async fn get(
        &self,
        key: K,
        max_age: Duration,
        patience: Duration,
        run: impl FnOnce(Duration) -> T + Send + 'static,
    ) -> Arc<T> {
        let mut flight = {
            let now = Instant::now();
            let mut slots = lock(&self.slots);
            slots.retain(|_, slot| slot.is_of_use(now));
            let slot = slots.entry(key.clone()).or_default();
            slot.keep = slot.keep.max(max_age.min(LONGEST_KEPT));
            let is_new = |began: &Instant| !max_age.is_zero() && now - *began <= max_age;
            if let Some((_, value)) = slot.newest.as_ref().filter(|(began, _)| is_new(began)) {
                return Arc::clone(value);
            }
            match (&slot.in_flight, &slot.next) {
                (Some((began, flight)), _) if is_new(began) => flight.clone(),
                (_, Some(flight)) => flight.clone(),
                _ => {
                    let (sender, flight) = watch::channel(None);
                    slot.next = Some(flight.clone());
                    tokio::spawn(self.clone().fly(key, patience, sender, flight.clone(), run));
                    flight
                }
            }
        };
        match flight.wait_for(Option::is_some).await.ok().as_deref() {
            Some(Some(value)) => Arc::clone(value),
            _ => panic!("the run that was waited for has panicked"),
        }
    }

    /// Waits for the run in flight, then runs.
    async fn fly(
        self,
        key: K,
        patience: Duration,
        sender: watch::Sender<Option<Arc<T>>>,
        flight: Flight<T>,
        run: impl FnOnce(Duration) -> T + Send + 'static,
    ) {
        let arrived = Instant::now();
        let before = lock(&self.slots).get(&key).and_then(|slot| slot.in_flight.clone());
        if let Some((_, mut before)) = before {
            let _ = time::timeout(patience, before.wait_for(Option::is_some)).await;
        }
        let began = Instant::now();
        if let Some(slot) = lock(&self.slots).get_mut(&key) {
            slot.next = None;
            slot.in_flight = Some((began, flight));
        }
        let value = task::spawn_blocking(move || run(arrived.elapsed())).await.ok().map(Arc::new);
        let mut slots = lock(&self.slots);
        if let Some(slot) = slots.get_mut(&key) {
            slot.in_flight.take_if(|(other, _)| *other == began);
            if let Some(value) = &value
                && slot.newest.as_ref().is_none_or(|(other, _)| *other < began)
                && !slot.keep.is_zero()
            {
                slot.newest = Some((began, Arc::clone(value)));
            }
            if !slot.is_of_use(Instant::now()) {
                slots.remove(&key);
            }
        }
        drop(slots);
        if let Some(value) = value {
            let _ = sender.send(Some(value));
        }
    }
}

impl<T> Slot<T> {
    fn is_of_use(&self, now: Instant) -> bool {
        let is_kept = |(began, _): &(Instant, Arc<T>)| now - *began <= self.keep;
        self.next.is_some() || self.in_flight.is_some() || self.newest.as_ref().is_some_and(is_kept)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicU32, Ordering},
        thread,
    };

    use domstats_patience::Stopwatch;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(9);

    #[derive(Default)]
    struct Counted {
        coalescer: Coalescer<&'static str, u32>,
        runs: Arc<AtomicU32>,
    }

    impl Counted {
        /// Returns the number of the run that the caller shares.
        async fn get(&self, age: u64, patience: Duration) -> u32 {
            let runs = Arc::clone(&self.runs);
            let run = move |_| {
                thread::sleep(Duration::from_millis(200));
                runs.fetch_add(1, Ordering::Relaxed)
            };
            *self.coalescer.get("all", Duration::from_millis(age), patience, run).await
        }
    }

    #[tokio::test]
    async fn callers_at_the_same_time_share_a_run() {
        let counted = Counted::default();
        let first = counted.get(0, PATIENCE);
        let late = async {
            // The first run is in flight: it began before these arrive.
            time::sleep(Duration::from_millis(20)).await;
            tokio::join!(counted.get(0, PATIENCE), counted.get(0, PATIENCE))
        };
        assert_eq!(tokio::join!(first, late), (0, (1, 1)));
        let is_empty = lock(&counted.coalescer.slots).is_empty();
        assert!(is_empty, "no caller accepts an old value: none is kept");
    }

    #[tokio::test]
    async fn callers_that_accept_an_old_value_get_it() {
        let counted = Counted::default();
        assert_eq!(counted.get(60_000, PATIENCE).await, 0);
        assert_eq!(counted.get(60_000, PATIENCE).await, 0);
        assert_eq!(counted.get(10, PATIENCE).await, 1, "the other one is older than that");
        assert_eq!(counted.get(0, PATIENCE).await, 2);
        assert_eq!(counted.get(60_000, PATIENCE).await, 2, "the newest");
    }

    #[tokio::test]
    async fn a_slow_run_is_not_waited_for() {
        let counted = Counted::default();
        let patience = Duration::from_millis(5);
        let second = async {
            time::sleep(Duration::from_millis(5)).await;
            let stopwatch = Stopwatch::start();
            counted.get(0, patience).await;
            stopwatch.time()
        };
        let (_, waited) = tokio::join!(counted.get(0, patience), second);
        // Its own run takes 200 ms; after the first it would be 395.
        waited.assert_within(Duration::from_millis(350));
    }
}
