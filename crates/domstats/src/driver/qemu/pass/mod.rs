//! One pass over many monitors: every conversation in one poll loop, each with the same deadline.
//!
//! ```text
//! waiting ── lease ── connect ── ask ──┬── done    everything was answered
//!    │                                 ├── broken  the monitor failed
//!    └────────────── deadline ─────────┴── late    the answers come too late
//! ```

mod connecting;
mod conversation;
mod follow_up;

use std::{
    os::fd::AsFd,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use crate::{
    driver::qemu::monitor::{budget::MemoryBudget, session::Effort},
    host::{procfs::Proc, queues::Queues},
    model::report::{Missing, MissingReason},
};
pub(crate) use conversation::Conversation;

/// After this time a monitor that has not greeted is checked for another client. Long enough for
/// another poller like this one to be done, short enough for a call to go on without a monitor
/// that somebody keeps.
const GREETING: Duration = Duration::from_millis(250);

/// The same for a call that waits for nobody.
const GREETING_NOWAIT: Duration = Duration::from_millis(50);

/// How long a pass waits for stuck monitors when only they are left. An earlier pass awaited them
/// in vain, for at least half as long as this one would: that a hasty call had no answer is no
/// reason for a patient one to have none.
const STUCK_GRACE: Duration = Duration::from_millis(20);

/// How often a pass looks whether another call has released a monitor.
const LEASE_CHECK: Duration = Duration::from_millis(2);

/// How often a pass looks whether a queue has a place.
const QUEUE_CHECK: Duration = Duration::from_millis(10);

/// How a pass treats monitors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules<'a> {
    pub(crate) deadline: Instant,
    /// Give up at once on monitors that another call has.
    pub(crate) nowait: bool,
    /// Keep the connections for the next pass.
    pub(crate) hold: bool,
    /// What the answers may take.
    pub(crate) memory: &'a MemoryBudget<'a>,
}

/// Holds the conversations until all are over or the time is up.
///
/// `meanwhile` runs once, after the first questions are out: what it does costs no extra time.
pub(crate) fn converse(
    conversations: &mut [Conversation<'_>],
    rules: &Rules<'_>,
    proc: &Proc,
    meanwhile: impl FnOnce(),
) {
    let start = Instant::now();
    let patience = rules.deadline.saturating_duration_since(start);
    let mut meanwhile = Some(meanwhile);
    let mut queues = Queues::new(proc);
    let patience_of_greeting = if rules.nowait { GREETING_NOWAIT } else { GREETING };
    let mut greeting = Some(start + patience_of_greeting);
    loop {
        let mut waiting = false;
        for conversation in conversations.iter_mut().filter(|it| !it.over && it.lease.is_none()) {
            conversation.begin(rules);
            waiting |= !conversation.over && conversation.lease.is_none();
        }
        connecting::connect(conversations, rules, &mut queues);
        let queued = conversations.iter().any(Conversation::wants_connection);
        if let Some(meanwhile) = meanwhile.take() {
            meanwhile();
        }
        let now = Instant::now();
        if greeting.is_some_and(|at| at <= now) {
            greeting = None;
            queues.look_again();
            for conversation in conversations.iter_mut().filter(|it| !it.over) {
                if conversation.check_busy(rules, &mut queues) {
                    greeting = Some(now + patience_of_greeting);
                }
            }
            connecting::connect(conversations, rules, &mut queues);
        }
        let mut open: Vec<_> = conversations.iter_mut().filter(|it| it.lease.is_some()).collect();
        if now >= rules.deadline || (open.is_empty() && !waiting) {
            break;
        }
        let mut until = greeting.map_or(rules.deadline, |at| at.min(rules.deadline));
        if queued {
            until = until.min(now + QUEUE_CHECK);
        }
        if waiting {
            until = until.min(now + LEASE_CHECK);
        } else if open.iter().all(|conversation| conversation.is_stuck(patience)) {
            until = until.min(start + STUCK_GRACE);
            if now >= start + STUCK_GRACE {
                break;
            }
        }
        wait(&mut open, until.saturating_duration_since(now), rules);
    }
    // What came while something else was done did not come late.
    for conversation in conversations.iter_mut().filter(|it| !it.over) {
        conversation.advance(rules, Effort::Last);
    }
    queues.look_again();
    for conversation in conversations.iter_mut().filter(|it| !it.over) {
        conversation.check_busy(rules, &mut queues);
        if conversation.over {
            continue;
        }
        let is_queued = conversation.session().is_none() && conversation.lease.is_some();
        let text = if is_queued {
            let why = conversation.why_later.take();
            why.map_or("another program is about to ask the monitor".to_owned(), |it| it.text)
        } else if conversation.is_stuck(patience) {
            "the monitor still does not answer".to_owned()
        } else {
            format!("the monitor did not answer within {} ms", start.elapsed().as_millis())
        };
        conversation.give_up(rules, start.elapsed(), Missing::new(MissingReason::Timeout, text));
    }
}

/// Waits until a monitor has something to say, and listens to those that have.
fn wait(open: &mut [&mut Conversation<'_>], time: Duration, rules: &Rules<'_>) {
    let ready: Vec<bool> = {
        let mut fds: Vec<PollFd<'_>> = open
            .iter()
            .filter_map(|conversation| conversation.lease.as_ref()?.session.as_ref())
            .map(|monitor| {
                let mut flags = PollFlags::IN;
                flags.set(PollFlags::OUT, monitor.wants_to_write());
                PollFd::from_borrowed_fd(monitor.as_fd(), flags)
            })
            .collect();
        let time = Timespec::try_from(time).ok();
        match poll(&mut fds, time.as_ref()) {
            Ok(_) => fds.iter().map(|fd| !fd.revents().is_empty()).collect(),
            // A signal: look at the clock and wait again.
            Err(Errno::INTR) => return,
            // Out of memory for the wait: read all without waiting instead.
            Err(_) => vec![true; fds.len()],
        }
    };
    let with_monitor =
        open.iter_mut().filter(|it| it.lease.as_ref().is_some_and(|lease| lease.session.is_some()));
    for (conversation, _) in with_monitor.zip(ready).filter(|(_, ready)| *ready) {
        if Instant::now() >= rules.deadline {
            return;
        }
        conversation.advance(rules, Effort::Slice);
    }
}
