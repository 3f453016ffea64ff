//! Connects a pass to each guest's first available monitor, without shutting out the VM's manager.

use std::time::Duration;

use crate::{
    driver::qemu::{
        discovery::socket::MonitorSocket,
        monitor::{
            first_client::Stage,
            session::{Effort, Session},
            sockets::Unreachable,
        },
        pass::{Conversation, Rules},
    },
    host::{queue_locks::QueueLocks, queues::Queues, sock_diag::Socket},
    model::report::{Missing, MissingReason},
};

/// How many monitors a pass connects to per snapshot of the queues: meanwhile, locks take as many
/// descriptors as connections do.
const AT_ONCE: usize = 128;

/// Why a monitor with a connection in its queue is not used.
const QUEUED: &str = "the monitor does not answer, and a connection waits in its queue already: another \
                      one would shut out the VM's manager";

fn taken(socket: &MonitorSocket) -> Missing {
    Missing::new(MissingReason::Busy, format!("another client uses the monitor {socket}"))
}

/// The outcome of an attempt to connect.
enum Attempt {
    Connected(Socket, Box<Session>),
    /// A later round may succeed.
    Later(Missing),
    Never(Missing),
}

impl From<Unreachable> for Attempt {
    fn from(why: Unreachable) -> Self {
        match why {
            Unreachable::Never(missing) => Self::Never(missing),
            Unreachable::Blocked(missing) => Self::Later(missing),
        }
    }
}

/// Connects to the monitors that are to be queried and have no session. Among several programs like
/// this one, only the one that holds a QEMU's lock examines its queue and connects.
pub(super) fn connect(
    conversations: &mut [Conversation<'_>],
    rules: &Rules<'_>,
    queues: &mut Queues<'_>,
) {
    let mut open: Vec<_> =
        conversations.iter_mut().filter(|conversation| conversation.wants_connection()).collect();
    for some in open.chunks_mut(AT_ONCE) {
        let mut locks = QueueLocks::new(queues.proc());
        some.iter().for_each(|conversation| locks.take(conversation.guest.process));
        queues.look_again();
        for conversation in some.iter_mut() {
            if locks.has(conversation.guest.process) {
                conversation.connect(rules, queues);
            }
        }
    }
}

impl Conversation<'_> {
    /// Returns whether this conversation has a lease and still needs a session.
    pub(super) fn wants_connection(&self) -> bool {
        !self.over && self.lease.as_ref().is_some_and(|lease| lease.session.is_none())
    }

    /// Connects to the first available monitor. If one may become available, a later round tries
    /// again.
    fn connect(&mut self, rules: &Rules<'_>, queues: &mut Queues<'_>) {
        let Ok(sockets) = &self.guest.monitors else { return };
        let count = sockets.len();
        let mut later = Vec::new();
        for number in (0..count).map(|number| (number + self.guest.preferred()) % count) {
            if self.unused[number].is_some() {
                continue;
            }
            match self.try_socket(&sockets[number], queues) {
                Attempt::Connected(socket, monitor) => {
                    self.socket = Some((number, socket));
                    for (number, missing) in later {
                        self.unused[number] = Some(missing);
                    }
                    if let Some(lease) = &mut self.lease {
                        lease.session = Some(*monitor);
                    }
                    return self.advance(rules, Effort::Slice);
                }
                Attempt::Later(missing) => later.push((number, missing)),
                Attempt::Never(missing) => self.unused[number] = Some(missing),
            }
        }
        match later.into_iter().next() {
            Some((_, missing)) => self.why_later = Some(missing),
            None => self.end(Some(self.why_none()), rules),
        }
    }

    /// Connects to a monitor, unless there is a reason not to. A connection stays in a queue after
    /// its client has closed it, and a queue has two places: if one is taken, the other is for the
    /// VM's manager.
    fn try_socket(&self, socket: &MonitorSocket, queues: &mut Queues<'_>) -> Attempt {
        match self.guest.stage(queues.proc(), socket) {
            Stage::Begun => {}
            Stage::Unclear => {
                let text = "QEMU is starting, or busy with something else";
                return Attempt::Later(Missing::new(MissingReason::Timeout, text));
            }
            Stage::Waits => {
                return Attempt::Never(Missing::new(
                    MissingReason::Busy,
                    format!(
                        "QEMU waits for the first client of a monitor before it starts the guest: \
                         to connect to {socket} would start it"
                    ),
                ));
            }
        }
        let endpoint = match self.guest.endpoint(socket, queues) {
            Ok(endpoint) => endpoint,
            Err(why) => return why.into(),
        };
        if endpoint.listener.waiting > 0 {
            return Attempt::Later(Missing::new(MissingReason::Timeout, QUEUED));
        }
        // If there is a choice, wastes no time on a monitor that another client uses.
        let has_choice = self.unused.iter().filter(|why| why.is_none()).count() > 1;
        if has_choice && self.serves(&endpoint.listener, None, queues) {
            return Attempt::Later(taken(socket));
        }
        let monitor = match Session::connect(&endpoint, queues, socket) {
            Ok(monitor) => monitor,
            Err(why) => return why.into(),
        };
        match (monitor.peer(), endpoint.is_sure) {
            (Some(peer), _) if peer == self.guest.pid() => {}
            // A process of another pid namespace that nevertheless holds the socket.
            (None, true) => {}
            (peer, _) => {
                let peer = peer.map_or("one that cannot be seen".to_owned(), |pid| pid.to_string());
                let text = format!(
                    "the monitor's socket belongs to process {peer}, not to {}",
                    self.guest.pid()
                );
                return Attempt::Never(Missing::new(MissingReason::Failed, text));
            }
        }
        Attempt::Connected(endpoint.listener, Box::new(monitor))
    }

    /// Returns whether QEMU serves a client other than `ours` on one of its sockets.
    fn serves(&self, listener: &Socket, ours: Option<u64>, queues: &mut Queues<'_>) -> bool {
        queues.serves(self.guest.holder(queues.proc()), listener, ours)
    }

    /// Returns why no monitor can be used: what is wrong with each.
    fn why_none(&self) -> Missing {
        let preferred = self.guest.preferred();
        let mut reasons: Vec<&Missing> = self.unused.iter().flatten().collect();
        let first =
            self.unused.get(preferred).and_then(Option::as_ref).or(reasons.first().copied());
        let Some(first) = first else {
            return Missing::new(MissingReason::Failed, "no monitor could be tried");
        };
        reasons.dedup();
        let texts: Vec<&str> = reasons.iter().map(|missing| missing.text.as_str()).collect();
        Missing::new(first.reason.clone(), texts.join("; "))
    }

    /// Gives up a monitor that another client uses: QEMU serves one client at a time and greets no
    /// other. Returns true if there is another monitor, to be tried next.
    pub(super) fn check_busy(&mut self, rules: &Rules<'_>, queues: &mut Queues<'_>) -> bool {
        let Ok(sockets) = &self.guest.monitors else { return false };
        if self.session().is_some_and(|monitor| monitor.is_greeted()) {
            return false;
        }
        for (number, socket) in sockets.iter().enumerate() {
            let is_ours = self.socket.as_ref().is_some_and(|(ours, _)| *ours == number);
            if self.unused[number].is_some() || !(is_ours || self.wants_connection()) {
                continue;
            }
            let Ok(endpoint) = self.guest.endpoint(socket, queues) else { continue };
            // If our connection still waits in the queue, QEMU serves another client. QEMU may have
            // accepted us meanwhile.
            let ours = self.session().filter(|_| is_ours).and_then(|monitor| monitor.inode());
            let is_busy = (!is_ours || endpoint.listener.waiting > 0)
                && self.serves(&endpoint.listener, ours, queues);
            if is_busy {
                self.unused[number] = Some(taken(socket));
            }
        }
        let is_ours = |(number, _): &(usize, Socket)| self.unused[*number].is_some();
        if self.unused.iter().all(Option::is_some) {
            let missing = self.why_none();
            // The next call does not wait for the other client.
            self.give_up(rules, Duration::MAX, missing);
        } else if self.socket.as_ref().is_some_and(is_ours)
            && let Some(lease) = &mut self.lease
        {
            lease.session = None;
            self.socket = None;
            self.asked = false;
            self.search.restart();
            return true;
        }
        false
    }
}
