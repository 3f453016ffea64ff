//! One answer for everybody who asks the same at the same time.
//!
//! ```text
//! a asks ── pass 1 ────────────┐answers a
//!    b, c ask ── wait ─────────┴── pass 2 ── answers b and c
//! ```
//!
//! Nobody gets an answer that began to be taken longer ago than they accept. Who accepts none that
//! began before they asked waits for the next pass, together with all others that came meanwhile.
//! It begins when the running one ends, or after a quarter of the time that an answer may take; the
//! time that was waited is taken from that of the pass.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{sync::watch, task, time};

/// Answers under way and at hand, by their questions. A cheap handle.
pub(crate) struct Shared<K, T> {
    slots: Arc<Mutex<HashMap<K, Slot<T>>>>,
    /// How long the next pass waits for the running one, at most.
    patience: Duration,
}

impl<K, T> Clone for Shared<K, T> {
    fn clone(&self) -> Self {
        Self { slots: Arc::clone(&self.slots), patience: self.patience }
    }
}

type Flight<T> = watch::Receiver<Option<Arc<T>>>;

/// The passes of one question.
struct Slot<T> {
    /// The next one, which has not begun.
    next: Option<Flight<T>>,
    /// The last one that began.
    running: Option<(Instant, Flight<T>)>,
    /// The last one that ended, and when it began.
    last: Option<(Instant, Arc<T>)>,
    /// The greatest age that somebody accepted: as long is the last one kept.
    keep: Duration,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self { next: None, running: None, last: None, keep: Duration::ZERO }
    }
}

impl<K, T> Shared<K, T>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Send + Sync + 'static,
{
    /// The longest time that an answer is kept for somebody who accepts an old one.
    pub(crate) const LONGEST: Duration = Duration::from_secs(60);

    pub(crate) fn new(patience: Duration) -> Self {
        Self { slots: Arc::default(), patience }
    }

    /// Returns the answer of a pass that began at most so long ago. A pass is told how long it had
    /// to wait.
    pub(crate) async fn ask(
        &self,
        key: K,
        max_age: Duration,
        pass: impl FnOnce(Duration) -> T + Send + 'static,
    ) -> Arc<T> {
        self.ask_within(key, max_age, self.patience, pass).await
    }

    /// The same, with another time that the pass waits for the running one, at most.
    pub(crate) async fn ask_within(
        &self,
        key: K,
        max_age: Duration,
        patience: Duration,
        pass: impl FnOnce(Duration) -> T + Send + 'static,
    ) -> Arc<T> {
        let flight = {
            let now = Instant::now();
            let mut slots = self.slots();
            slots.retain(|_, slot| slot.is_of_use(now));
            let slot = slots.entry(key.clone()).or_default();
            slot.keep = slot.keep.max(max_age.min(Self::LONGEST));
            let is_new = |began: &Instant| !max_age.is_zero() && now - *began <= max_age;
            if let Some((_, answer)) = slot.last.as_ref().filter(|(began, _)| is_new(began)) {
                return Arc::clone(answer);
            }
            match (&slot.running, &slot.next) {
                (Some((began, flight)), _) if is_new(began) => flight.clone(),
                (_, Some(flight)) => flight.clone(),
                _ => {
                    let (sender, flight) = watch::channel(None);
                    slot.next = Some(flight.clone());
                    tokio::spawn(self.clone().fly(key, patience, sender, flight.clone(), pass));
                    flight
                }
            }
        };
        let mut flight = flight;
        match flight.wait_for(Option::is_some).await.ok().as_deref() {
            Some(Some(answer)) => Arc::clone(answer),
            _ => panic!("the pass that was waited for has panicked"),
        }
    }

    /// Waits for the pass before, and takes this one.
    async fn fly(
        self,
        key: K,
        patience: Duration,
        sender: watch::Sender<Option<Arc<T>>>,
        flight: Flight<T>,
        pass: impl FnOnce(Duration) -> T + Send + 'static,
    ) {
        let asked = Instant::now();
        let before = self.slots().get(&key).and_then(|slot| slot.running.clone());
        if let Some((_, mut before)) = before {
            let _ = time::timeout(patience, before.wait_for(Option::is_some)).await;
        }
        let began = Instant::now();
        if let Some(slot) = self.slots().get_mut(&key) {
            slot.next = None;
            slot.running = Some((began, flight));
        }
        let answer = task::spawn_blocking(move || pass(asked.elapsed())).await.ok().map(Arc::new);
        let mut slots = self.slots();
        if let Some(slot) = slots.get_mut(&key) {
            slot.running.take_if(|(other, _)| *other == began);
            if let Some(answer) = &answer
                && slot.last.as_ref().is_none_or(|(other, _)| *other < began)
                && !slot.keep.is_zero()
            {
                slot.last = Some((began, Arc::clone(answer)));
            }
            if !slot.is_of_use(Instant::now()) {
                slots.remove(&key);
            }
        }
        drop(slots);
        if let Some(answer) = answer {
            let _ = sender.send(Some(answer));
        }
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<K, Slot<T>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Slot<T> {
    fn is_of_use(&self, now: Instant) -> bool {
        let is_kept = |(began, _): &(Instant, Arc<T>)| now - *began <= self.keep;
        self.next.is_some() || self.running.is_some() || self.last.as_ref().is_some_and(is_kept)
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

    /// Asks so many at once, and returns their answers: the numbers of the passes.
    async fn ask(shared: &Shared<&'static str, u32>, passes: &Arc<AtomicU32>, age: u64) -> u32 {
        let passes = Arc::clone(passes);
        let pass = move |_| {
            thread::sleep(Duration::from_millis(200));
            passes.fetch_add(1, Ordering::Relaxed)
        };
        *shared.ask("all", Duration::from_millis(age), pass).await
    }

    #[tokio::test]
    async fn who_asks_at_the_same_time_shares_a_pass() {
        let (shared, passes) = (Shared::new(Duration::from_secs(9)), Arc::default());
        let first = ask(&shared, &passes, 0);
        let late = async {
            // The first pass runs: it began before these ask.
            time::sleep(Duration::from_millis(20)).await;
            tokio::join!(ask(&shared, &passes, 0), ask(&shared, &passes, 0))
        };
        assert_eq!(tokio::join!(first, late), (0, (1, 1)));
        assert!(shared.slots().is_empty(), "nobody accepts an old answer: none is kept");
    }

    #[tokio::test]
    async fn who_accepts_an_old_answer_gets_it() {
        let (shared, passes) = (Shared::new(Duration::from_secs(9)), Arc::default());
        assert_eq!(ask(&shared, &passes, 60_000).await, 0);
        assert_eq!(ask(&shared, &passes, 60_000).await, 0);
        assert_eq!(ask(&shared, &passes, 10).await, 1, "the other one is older than that");
        assert_eq!(ask(&shared, &passes, 0).await, 2);
        assert_eq!(ask(&shared, &passes, 60_000).await, 2, "the newest");
    }

    #[tokio::test]
    async fn a_pass_that_takes_long_is_not_waited_for() {
        let (shared, passes) = (Shared::new(Duration::from_millis(5)), Arc::default());
        let second = async {
            time::sleep(Duration::from_millis(5)).await;
            let stopwatch = Stopwatch::start();
            ask(&shared, &passes, 0).await;
            stopwatch.time()
        };
        let (_, waited) = tokio::join!(ask(&shared, &passes, 0), second);
        // Its own pass takes 200 ms; after the first it would be 395.
        waited.assert_within(Duration::from_millis(350));
    }
}
