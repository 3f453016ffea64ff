//! One pass over many monitors: all conversations in one poll loop, with the same deadline.
//!
//! ```text
//! waiting ── lease ── connect ── ask ──┬── done    all queries were answered
//!    │                                 ├── broken  the monitor failed
//!    └────────────── deadline ─────────┴── late    the replies come too late
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

/// How long to wait for a greeting before checking whether the monitor serves another client. Long
/// enough for another poller like this one to finish, short enough for a call to continue without a
/// monitor that another client holds.
const GREETING: Duration = Duration::from_millis(250);

/// The same for a call with `NOWAIT`.
const GREETING_NOWAIT: Duration = Duration::from_millis(50);

/// How long a pass waits for stuck monitors when only they are left: those that an earlier pass
/// awaited in vain, for at least half as long as this one would. A monitor that was too slow for a
/// short deadline may still answer within a longer one.
const STUCK_GRACE: Duration = Duration::from_millis(20);

/// How often a pass checks whether another call has released a lease.
const LEASE_CHECK: Duration = Duration::from_millis(2);

/// How often a pass checks whether a queue has become empty.
const QUEUE_CHECK: Duration = Duration::from_millis(10);

/// The rules of a pass.
#[derive(Debug)]
pub(super) struct Rules<'a> {
    pub(super) deadline: Instant,
    /// Whether to give up at once on monitors that another call has leased.
    pub(super) nowait: bool,
    /// Whether to keep sessions for the next pass.
    pub(super) hold: bool,
    /// The memory that replies may take.
    pub(super) memory: MemoryBudget<'a>,
}

/// Runs the conversations until all are over or the deadline has passed.
///
/// `meanwhile` runs once, after the first queries are sent, so that it costs no extra time.
pub(super) fn converse(
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
    // What arrived while something else was done is not late.
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

/// Waits until a monitor has sent something, and reads from those that have.
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
            // A signal: checks the clock and waits again.
            Err(Errno::INTR) => return,
            // No memory for polling: reads from all without waiting instead.
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
