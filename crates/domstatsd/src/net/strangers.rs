//! Connections whose client has not yet authenticated. They have a pool of their own: however many of them stay
//! silent, clients with a certificate still get in.

use std::{
    future::Future,
    hash::{BuildHasher, RandomState},
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use domstats::sync::lock;
use tokio::{sync::oneshot, time};

use super::source::Source;

/// The strangers of one listener.
pub(crate) struct Strangers {
    /// The size of the pool.
    most: usize,
    all: Mutex<Vec<Stranger>>,
    /// When a failure was last logged, and how many have been suppressed since.
    log: Mutex<Option<(Instant, u64)>>,
}

struct Stranger {
    source: Source,
    /// Dropping it ends the greeting.
    _place: oneshot::Sender<()>,
    number: u64,
}

impl Strangers {
    /// One source may hold this fraction of the pool.
    const PART: usize = 8;
    /// The shortest time between two logged failures.
    const LOG: Duration = Duration::from_secs(10);

    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, all: Mutex::default(), log: Mutex::default() })
    }

    /// Waits for a client to authenticate. `None` if it failed, took too long, or was evicted for a newer one: a
    /// full pool evicts at random, so that neither coming first nor coming often secures a place.
    pub(crate) async fn greet<T>(
        &self,
        (client, source): (SocketAddr, Source),
        patience: Duration,
        greeting: impl Future<Output = io::Result<T>>,
    ) -> Option<T> {
        let (number, goes) = self.enter(source);
        let result = tokio::select! {
            result = time::timeout(patience, greeting) => match result {
                Ok(result) => result,
                Err(_) => Err(io::Error::other("it took too long")),
            },
            _ = goes => Err(io::Error::other("it made place for others")),
        };
        lock(&self.all).retain(|stranger| stranger.number != number);
        result.map_err(|error| self.log(client, &error)).ok()
    }

    fn enter(&self, source: Source) -> (u64, oneshot::Receiver<()>) {
        let (_place, goes) = oneshot::channel();
        // One that no client can foresee.
        let number = RandomState::new().hash_one(());
        let mut all = lock(&self.all);
        let mut of_source = (0..all.len()).filter(|place| all[*place].source == source);
        let most_of_one = self.most.div_ceil(Self::PART);
        let leaves = if of_source.clone().count() >= most_of_one && source.is_limited() {
            of_source.nth(number as usize % most_of_one)
        } else {
            (all.len() >= self.most).then(|| number as usize % self.most)
        };
        if let Some(place) = leaves {
            all.swap_remove(place);
        }
        all.push(Stranger { source, _place, number });
        (number, goes)
    }

    /// Logs a failed greeting, at a limited rate.
    fn log(&self, client: SocketAddr, error: &io::Error) {
        let mut log = lock(&self.log);
        match &mut *log {
            Some((last, more)) if last.elapsed() < Self::LOG => *more += 1,
            last => {
                let more = last.map_or(0, |(_, more)| more);
                *last = Some((Instant::now(), 0));
                tracing::info!(%client, %error, more, "TLS failed");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);
    const CLIENT: &str = "192.0.2.7:1000";

    fn silent(strangers: &Arc<Strangers>, source: Source) -> tokio::task::JoinHandle<Option<()>> {
        let (strangers, client) = (Arc::clone(strangers), CLIENT.parse().unwrap());
        tokio::spawn(async move { strangers.greet((client, source), PATIENCE, pending()).await })
    }

    #[tokio::test]
    async fn silent_strangers_do_not_block_others() {
        let strangers = Strangers::new(16);
        for uid in 1..100 {
            silent(&strangers, Source::User(uid));
            tokio::task::yield_now().await;
        }
        assert_eq!(lock(&strangers.all).len(), 16);
        let client = (CLIENT.parse().unwrap(), Source::User(1000));
        let known = strangers.greet(client, PATIENCE, async { Ok(7) }).await;
        assert_eq!(known, Some(7));
    }

    #[tokio::test]
    async fn one_source_drives_out_only_itself() {
        let strangers = Strangers::new(16);
        let other = silent(&strangers, Source::User(2));
        tokio::task::yield_now().await;
        for _ in 0..100 {
            silent(&strangers, Source::User(1));
            tokio::task::yield_now().await;
        }
        assert_eq!(lock(&strangers.all).len(), 1 + 16 / Strangers::PART);
        assert!(!other.is_finished(), "another source's connection was evicted");
    }
}
