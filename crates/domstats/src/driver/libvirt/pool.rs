//! The connections to one daemon, and what is known of it from call to call.
//!
//! A daemon works on calls with a few threads. A call that asks a stuck monitor keeps one of them
//! until the monitor answers, whether its caller still waits or not. Hence the share: only so many
//! questions that may ask a monitor are in flight at a time, the abandoned ones counted.

use std::{
    mem,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use domstats_rpc::procedure::ConnectClose;
use uuid::Uuid;

use super::{
    address::Address,
    health::Health,
    hello,
    link::{self, wait},
    pass::Purpose,
};
use crate::{model::error::Result, sync::lock};

/// The questions in flight that may ask a monitor: 8 of the 20 calls that a daemon works on by
/// default.
pub(super) const SHARE: usize = 8;

/// The questions in flight on one connection. With 5, a daemon stops reading it, and could not
/// answer a sign of life.
const IN_FLIGHT: usize = 4;

/// The connections for questions that may ask a monitor. One more is for the others, so that a
/// stuck monitor never delays them.
const MONITOR_LINKS: usize = SHARE.div_ceil(IN_FLIGHT);

/// How long a daemon is waited for at the end of a connection.
const GOODBYE: Duration = Duration::from_millis(100);

/// A connection that did not answer a sign of life for so long is given up.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

pub(super) type Link = link::Link<InFlight>;

/// A question in flight.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    /// The call that asked it. Later calls drop the answer.
    pub(super) call: u64,
    pub(super) purpose: Purpose,
    /// The domains whose monitors it may ask.
    pub(super) domains: Vec<Uuid>,
    /// Its part of the share.
    #[expect(dead_code, reason = "held, and given back when dropped")]
    pub(super) permit: Option<Permit>,
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.close();
    }
}

/// The right to one question that may ask a monitor, until it is answered.
#[derive(Debug)]
pub(super) struct Permit(Arc<AtomicUsize>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

pub(super) struct Pool {
    address: Address,
    idle: Mutex<Idle>,
    calls: AtomicU64,
    /// How many permits are out.
    asking: Arc<AtomicUsize>,
    /// How many questions at a time the last call came to.
    window: AtomicUsize,
    pub(super) health: Health,
}

/// The connections that no call uses.
#[derive(Default)]
struct Idle {
    front: Vec<Link>,
    monitor: Vec<Link>,
}

impl Pool {
    /// Opens the first connection, and learns what is behind it.
    pub(super) fn open(address: Address, deadline: Instant) -> Result<(Self, hello::Peer)> {
        let mut link = hello::open(&address, deadline)?;
        let peer = hello::peer(&mut link, deadline)?;
        let pool = Self {
            address,
            idle: Mutex::new(Idle { front: vec![link], monitor: Vec::new() }),
            calls: AtomicU64::new(0),
            asking: Arc::default(),
            window: AtomicUsize::new(1),
            health: Health::default(),
        };
        Ok((pool, peer))
    }

    /// Returns a number for a call.
    pub(super) fn next_call(&self) -> u64 {
        // 0 is the calls that open a connection.
        self.calls.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Returns a permit if the share allows it.
    pub(super) fn permit(&self) -> Option<Permit> {
        self.permit_below(SHARE)
    }

    /// Returns a permit if so many are not out yet.
    pub(super) fn permit_below(&self, most: usize) -> Option<Permit> {
        let more = |asking| (asking < most).then_some(asking + 1);
        self.asking.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).ok()?;
        Some(Permit(Arc::clone(&self.asking)))
    }

    /// Returns whether no call was answered by the daemon yet.
    pub(super) fn is_new(&self) -> bool {
        self.window() == 1
    }

    /// Returns how many questions that may ask a monitor the daemon was seen to work on at a time.
    pub(super) fn window(&self) -> usize {
        self.window.load(Ordering::Relaxed)
    }

    pub(super) fn remember_window(&self, window: usize) {
        self.window.store(window, Ordering::Relaxed);
    }

    /// Returns whether a connection is there that the daemon did not close.
    pub(super) fn is_alive(&self) -> bool {
        self.tidy();
        !lock(&self.idle).front.is_empty()
    }

    /// Ends all connections that no call uses, as libvirt's clients do: a daemon logs an error for
    /// each that ends without a word.
    pub(super) fn close(&self) {
        let Idle { front, monitor } = mem::take(&mut *lock(&self.idle));
        let mut links: Vec<_> = front.into_iter().chain(monitor).collect();
        let goodbye = |link: &mut Link| {
            link.ask::<ConnectClose>(&(), InFlight::default()).and_then(|()| link.send()).is_ok()
        };
        links.retain_mut(goodbye);
        let deadline = Instant::now() + GOODBYE;
        while !links.is_empty()
            && wait(&links.iter().collect::<Vec<_>>(), deadline).unwrap_or(false)
        {
            // The daemon closes its end when it has answered.
            links.retain_mut(|link| link.pump(|_, _| {}).is_ok());
        }
    }

    /// Takes in what came since the last call, and lets go of connections that are broken.
    pub(super) fn tidy(&self) {
        let mut idle = lock(&self.idle);
        let Idle { front, monitor } = &mut *idle;
        for links in [front, monitor] {
            for mut link in mem::take(links) {
                match self.is_sound(&mut link) {
                    true => links.push(link),
                    false => self.forget(link),
                }
            }
        }
    }

    fn is_sound(&self, link: &mut Link) -> bool {
        if link.pump(|question, _| self.health.note_answered(&question.domains)).is_err() {
            return false;
        }
        match link.pinged.filter(|pinged| *pinged > link.heard) {
            // Nothing since it was asked: nobody is there any more.
            Some(pinged) => pinged.elapsed() < SIGN_OF_LIFE,
            None if link.heard.elapsed() < SIGN_OF_LIFE => true,
            None => {
                link.ping();
                link.send().is_ok()
            }
        }
    }

    /// Lets go of a broken connection. What was asked on it will not be answered.
    pub(super) fn forget(&self, link: Link) {
        // The daemon may have started anew, with few threads.
        self.remember_window(1);
        for question in link.into_waiting() {
            self.health.note_answered(&question.domains);
        }
    }

    /// Takes a connection for questions that no monitor delays.
    pub(super) fn lease(&self, deadline: Instant) -> Result<Lease<'_>> {
        self.tidy();
        let idle = lock(&self.idle).front.pop();
        let front = idle.map_or_else(|| hello::open(&self.address, deadline), Ok)?;
        Ok(Lease { pool: self, front: vec![front], monitor: Vec::new() })
    }

    /// Takes a connection for one question that may ask a monitor.
    pub(super) fn lease_for_monitor(&self, deadline: Instant) -> Result<Lease<'_>> {
        let mut lease = Lease { pool: self, front: Vec::new(), monitor: Vec::new() };
        lease.add_monitor_links(1, deadline)?;
        Ok(lease)
    }
}

/// The connections that a call uses. The sound ones are given back at the end.
pub(super) struct Lease<'a> {
    pool: &'a Pool,
    /// For questions that no monitor delays: one, if there are any.
    pub(super) front: Vec<Link>,
    /// For questions that may ask a monitor.
    pub(super) monitor: Vec<Link>,
}

impl Lease<'_> {
    /// Takes connections for this many questions that may ask a monitor, as far as there may be.
    ///
    /// # Errors
    ///
    /// There is none to be had.
    pub(super) fn add_monitor_links(&mut self, questions: usize, deadline: Instant) -> Result<()> {
        let wanted = questions.div_ceil(IN_FLIGHT).min(MONITOR_LINKS);
        {
            let mut idle = lock(&self.pool.idle);
            while self.monitor.len() < wanted
                && let Some(place) = idle.monitor.iter().position(|link| free_slots(link) > 0)
            {
                self.monitor.push(idle.monitor.swap_remove(place));
            }
        }
        let open = || hello::open(&self.pool.address, deadline);
        let mut error = None;
        // Side by side: the way can be long.
        thread::scope(|scope| {
            let opening: Vec<_> = (self.monitor.len()..wanted).map(|_| scope.spawn(open)).collect();
            for thread in opening {
                match thread.join() {
                    Ok(Ok(link)) => self.monitor.push(link),
                    Ok(Err(refused)) => error = Some(refused),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
        });
        match error {
            // The daemon may have no room for more: the call goes on with fewer.
            Some(error) if self.monitor.is_empty() => Err(error),
            _ => Ok(()),
        }
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let mut idle = lock(&self.pool.idle);
        for link in self.front.drain(..) {
            // One that owes an answer that needs no monitor has nobody on its other side.
            if idle.front.is_empty() && !link.is_broken() && link.waiting() == 0 {
                idle.front.push(link);
            }
        }
        for link in self.monitor.drain(..) {
            let spare = |link: &&Link| link.waiting() == 0;
            if link.is_broken() {
                self.pool.forget(link);
            } else if !spare(&&link) || idle.monitor.iter().filter(spare).count() < MONITOR_LINKS {
                // A question that was abandoned keeps its connection: closing it would not end the
                // daemon's work. Of the others, as many as one call needs are kept.
                idle.monitor.push(link);
            }
        }
    }
}

/// Returns how many more questions a connection takes.
pub(super) fn free_slots(link: &Link) -> usize {
    IN_FLIGHT.saturating_sub(link.waiting())
}
