//! One pass over many monitors: every conversation in one poll loop, each with the same deadline.
//!
//! ```text
//! waiting ── lease ── connect ── ask ──┬── done    everything was answered
//!    │                                 ├── broken  the monitor failed
//!    └────────────── deadline ─────────┴── late    the answers come too late
//! ```

mod connecting;

use std::{
    os::fd::AsFd,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use crate::{
    driver::qemu::{
        guest::{Guest, Lease},
        monitor::{
            copies::may_copy,
            image_files::is_of_fd_set,
            kept::Sight,
            memory::{Account, Memory, Purse},
            nics,
            query::{Answer, BlockNode, ObjectPath, Query, Replies},
            session::{Effort, Monitor, Progress},
        },
    },
    host::{procfs::Proc, queues::Queues, sock_diag::Socket},
    model::report::{Missing, MissingReason},
};

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

/// Where a balloon is looked for: among the devices with an id, then among those without.
const FOLDERS: [&str; 2] = ["/machine/peripheral", "/machine/peripheral-anon"];

/// How a pass treats monitors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules<'a> {
    pub(crate) deadline: Instant,
    /// Give up at once on monitors that another call has.
    pub(crate) nowait: bool,
    /// Keep the connections for the next pass.
    pub(crate) hold: bool,
    /// What the answers may take.
    pub(crate) memory: &'a Memory<'a>,
}

/// The questions to one guest, and what became of them.
#[derive(Debug)]
pub(crate) struct Conversation<'a> {
    guest: &'a Guest,
    queries: Vec<Query>,
    /// What the host shows of the guest, if answers shall be kept.
    sight: Option<Sight<'a>>,
    lease: Option<Lease<'a>>,
    account: Account,
    /// Which of the guest's monitors the connection is to, and the socket that listens there.
    socket: Option<(usize, Socket)>,
    /// Why monitors are not used, by their numbers.
    unused: Vec<Option<Missing>>,
    /// Why no connection was tried yet.
    why_later: Option<Missing>,
    search: Search,
    /// The search for the NICs, if they are wanted.
    nic_search: Option<nics::Search>,
    /// Whether to ask for the images that jobs copy disks to.
    wants_copies: bool,
    /// Whether to search for the NICs if the monitor told of a change.
    watches_nics: bool,
    asked: bool,
    retried: bool,
    over: bool,
    pub(crate) replies: Replies,
    /// What came of the search for the NICs, if there was one.
    pub(crate) nics: Option<Result<nics::Told, Missing>>,
    /// Why the answers that are not in `replies` never came.
    pub(crate) missing: Option<Missing>,
}

/// The search for the balloon's place.
#[derive(Debug)]
struct Search {
    /// Whether the guest's statistics are asked for at all.
    wants: bool,
    /// Whether a place was known, which may be an old one.
    knew: bool,
    /// The folders that were not looked at.
    left: &'static [&'static str],
    /// The folder whose devices were asked for.
    asked: Option<&'static str>,
}

impl Search {
    /// Takes the question for the balloon's place out of the questions: it is only worth asking
    /// when there is a balloon.
    fn of(queries: &mut Vec<Query>) -> Self {
        let wants = queries.contains(&Query::Balloon);
        let before = queries.len();
        queries.retain(|query| !(wants && matches!(query, Query::Devices(_))));
        let left: &[_] = if queries.len() < before { &FOLDERS } else { &[] };
        let knew = queries.iter().any(|query| matches!(query, Query::GuestStats(_)));
        Self { wants: knew || !left.is_empty(), knew, left, asked: None }
    }

    /// Begins again on another connection.
    fn restart(&mut self) {
        self.asked = None;
        self.left = if self.wants && !self.knew { &FOLDERS } else { &[] };
    }
}

impl<'a> Conversation<'a> {
    pub(crate) fn new(guest: &'a Guest, mut queries: Vec<Query>, sight: Option<Sight<'a>>) -> Self {
        let search = Search::of(&mut queries);
        let over = queries.is_empty();
        Self {
            guest,
            queries,
            sight,
            lease: None,
            account: Account::new(guest.process),
            socket: None,
            why_later: None,
            unused: vec![None; guest.monitors.as_ref().map_or(0, Vec::len)],
            search,
            nic_search: None,
            wants_copies: false,
            watches_nics: false,
            asked: false,
            retried: false,
            over,
            replies: Replies::default(),
            nics: None,
            missing: None,
        }
    }

    /// Asks for the images that running jobs copy disks to.
    pub(crate) fn find_copies(mut self) -> Self {
        self.wants_copies = true;
        self
    }

    /// Asks for the NICs too, and perhaps for their addresses.
    pub(crate) fn find_nics(mut self, with_addresses: bool) -> Self {
        self.nic_search = Some(nics::Search::new(&self.guest.line, with_addresses));
        self.over = false;
        self
    }

    /// Asks for the NICs if a held monitor told of a change since they were asked for.
    pub(crate) fn watch_nics(mut self) -> Self {
        self.watches_nics = true;
        self.over = false;
        self
    }

    pub(crate) fn guest(&self) -> &'a Guest {
        self.guest
    }

    /// Ends the conversation before it begins.
    pub(crate) fn refuse(&mut self, missing: Missing) {
        self.missing = Some(missing);
        self.over = true;
    }

    fn monitor(&mut self) -> Option<&mut Monitor> {
        self.lease.as_mut()?.monitor.as_mut()
    }

    /// Returns whether waiting so long is likely to be in vain.
    fn is_stuck(&self, patience: Duration) -> bool {
        self.lease
            .as_ref()
            .and_then(|lease| lease.stuck)
            .is_some_and(|waited| waited >= patience / 2)
    }

    /// Tries to get the monitor and to ask.
    fn begin(&mut self, rules: &Rules<'_>) {
        if let Err(missing) = &self.guest.monitors {
            return self.refuse(missing.clone());
        }
        match self.guest.lease() {
            Some(lease) => self.lease = Some(lease),
            None if rules.nowait => {
                return self.refuse(Missing::new(
                    MissingReason::Busy,
                    "another call of this connection is asking the monitor",
                ));
            }
            None => return,
        }
        if self.monitor().is_some() {
            self.socket = None;
            self.advance(rules, Effort::Turn);
        }
    }

    /// Reads what has come and asks what is to be asked, unless it is the last time.
    fn advance(&mut self, rules: &Rules<'_>, effort: Effort) {
        loop {
            let is_new = !self.asked;
            let Some(lease) = &mut self.lease else { return };
            let Some(monitor) = &mut lease.monitor else {
                return;
            };
            // A monitor that owes answers of an earlier call is asked nothing more until it has
            // given them; a new connection takes the questions before its greeting.
            let is_last = effort == Effort::Last;
            let is_late = lease.stuck.is_some() && monitor.is_greeted() && monitor.is_owing();
            let may_ask = !is_late && !is_last;
            let (replies, sight) = (&mut self.replies, self.sight.as_ref());
            let (account, memory) = (&mut self.account, rules.memory);
            let purse = &mut Purse { account, memory, deadline: rules.deadline };
            let progress = if is_new && may_ask {
                self.asked = true;
                monitor.begin(&self.queries, replies, sight, purse)
            } else {
                monitor.advance(replies, sight, effort, purse)
            };
            // It answers again, and may have all the time that there is.
            lease.stuck = lease.stuck.filter(|_| !monitor.is_working());
            match progress {
                Ok(Progress::Waiting) => return,
                Ok(Progress::Done) if !self.asked => {}
                Ok(Progress::Done) => {
                    let queries = self.follow_up();
                    if is_last && !queries.is_empty() {
                        return;
                    }
                    match self.monitor() {
                        Some(monitor) if !queries.is_empty() => monitor.ask(&queries),
                        _ => return self.end(None, rules),
                    }
                }
                Err(missing) => {
                    // A held connection may have ended since the last call: try a new one, once.
                    lease.monitor = None;
                    if missing.reason == MissingReason::Gone && rules.hold && !self.retried {
                        self.retried = true;
                        self.asked = false;
                        self.replies = Replies::default();
                        self.search.restart();
                        let again = |search: nics::Search| search.again(&self.guest.line);
                        self.nic_search = self.nic_search.take().map(again);
                        return;
                    }
                    return self.end(Some(missing), rules);
                }
            }
        }
    }

    /// Returns the questions that an answer raised.
    fn follow_up(&mut self) -> Vec<Query> {
        match self.new_nodes().or_else(|| self.fd_sets()).or_else(|| self.place_of_balloon()) {
            Some(query) => vec![query],
            None if self.lacks_copies() => vec![Query::BlockGraph, Query::NodeStats],
            None => self.next_of_nics(),
        }
    }

    /// Returns whether the images that jobs copy to are wanted, and were not asked for.
    fn lacks_copies(&self) -> bool {
        let is_open = matches!(self.replies.block_graph, Answer::NotAsked);
        self.wants_copies
            && is_open
            && self.replies.block_nodes.got().is_some_and(|nodes| may_copy(nodes))
    }

    /// Goes on with the search for the NICs.
    fn next_of_nics(&mut self) -> Vec<Query> {
        let guest = self.guest;
        let Some(monitor) = self.lease.as_mut().and_then(|lease| lease.monitor.as_mut()) else {
            return Vec::new();
        };
        if self.watches_nics && self.nic_search.is_none() && !monitor.kept().knows_nics() {
            self.nic_search = Some(nics::Search::new(&guest.line, false));
        }
        self.watches_nics = false;
        let Some(mut search) = self.nic_search.take() else { return Vec::new() };
        if search.is_new() {
            // Before they are asked for: an event may come meanwhile.
            monitor.kept_mut().keep_nics();
        }
        match search.go_on(&mut self.replies) {
            Ok(queries) if queries.is_empty() => {
                self.nics = Some(Ok(search.end(&guest.line)));
                Vec::new()
            }
            Ok(queries) => {
                self.nic_search = Some(search);
                queries
            }
            Err(missing) => {
                self.nics = Some(Err(missing));
                Vec::new()
            }
        }
    }

    /// Asks for the block nodes after all, if those that were kept belong to other disks.
    fn new_nodes(&self) -> Option<Query> {
        let is_open = matches!(self.replies.block_nodes, Answer::NotAsked);
        (is_open && self.queries.contains(&Query::BlockNodes)).then_some(Query::BlockNodes)
    }

    /// Asks which descriptors images were handed over by, if some were.
    fn fd_sets(&self) -> Option<Query> {
        let is_handed = |node: &BlockNode| node.image.filename.as_deref().is_some_and(is_of_fd_set);
        let is_open = matches!(self.replies.fd_sets, Answer::NotAsked);
        let nodes = self.replies.block_nodes.got()?;
        (is_open && nodes.iter().any(is_handed)).then_some(Query::FdSets)
    }

    /// Asks where the balloon is, if there is one and its place is not known or no longer right: it
    /// may have been plugged in since.
    fn place_of_balloon(&mut self) -> Option<Query> {
        self.replies.balloon.got()?;
        if let Some(folder) = self.search.asked.take() {
            if let Some(path) = find_balloon(&self.replies, folder) {
                self.search.left = &[];
                self.guest.learn_balloon(Some(path.clone()));
                return Some(Query::GuestStats(path));
            }
            if self.search.left.is_empty() {
                self.keep_unplaced_balloon();
            }
        } else if self.replies.guest_stats.missing().is_some() && self.search.knew {
            self.search = Search { wants: true, knew: false, left: &FOLDERS, asked: None };
            self.replies.guest_stats = Answer::NotAsked;
            self.guest.learn_balloon(None);
        } else if self.is_balloon_unplaced() {
            self.search.left = &[];
        }
        let (folder, left) = self.search.left.split_first()?;
        self.search.left = left;
        self.search.asked = Some(folder);
        Some(Query::Devices((*folder).to_owned()))
    }

    /// Returns whether a call has just looked for the balloon in vain.
    fn is_balloon_unplaced(&self) -> bool {
        let (Some(lease), Some(sight)) = (&self.lease, &self.sight) else { return false };
        lease.monitor.as_ref().is_some_and(|monitor| monitor.kept().is_balloon_unplaced(sight))
    }

    fn keep_unplaced_balloon(&mut self) {
        let (Some(lease), Some(sight)) = (&mut self.lease, &self.sight) else { return };
        if let Some(monitor) = &mut lease.monitor {
            monitor.kept_mut().keep_unplaced_balloon(sight);
        }
    }

    /// Notes that it is over, and what became of the guest's monitors.
    fn close(&mut self, missing: Option<Missing>) {
        let number = self.socket.as_ref().map_or(self.guest.preferred(), |(number, _)| *number);
        if let (Some(missing), Some(why)) = (&missing, self.unused.get_mut(number)) {
            *why = Some(missing.clone());
        }
        let served = missing.is_none().then_some(number);
        self.guest.note_monitors(served, std::mem::take(&mut self.unused));
        self.missing = missing;
        self.over = true;
    }

    fn end(&mut self, missing: Option<Missing>, rules: &Rules<'_>) {
        self.close(missing);
        if let Some(mut lease) = self.lease.take() {
            lease.stuck = None;
            if !rules.hold || self.missing.is_some() {
                lease.monitor = None;
            }
        }
    }

    /// Ends the conversation without the rest of its answers, for which it waited this long.
    fn give_up(&mut self, rules: &Rules<'_>, waited: Duration, missing: Missing) {
        // In the queue of a busy monitor a connection would take the next turn, wanted or not.
        let keep = rules.hold && missing.reason != MissingReason::Busy;
        self.close(Some(missing));
        if let Some(mut lease) = self.lease.take() {
            lease.stuck = lease.stuck.max(Some(waited));
            match &mut lease.monitor {
                Some(monitor) if keep && !monitor.is_full() => monitor.abandon(),
                monitor => *monitor = None,
            }
        }
    }
}

/// Returns the path of the balloon, if it is among the devices of a folder.
fn find_balloon(replies: &Replies, folder: &str) -> Option<ObjectPath> {
    let devices = replies.devices.got()?;
    let balloon = devices.iter().find(|device| device.kind.starts_with("child<virtio-balloon"))?;
    Some(format!("{folder}/{}", balloon.name))
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
        let is_queued = conversation.monitor().is_none() && conversation.lease.is_some();
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
            .filter_map(|conversation| conversation.lease.as_ref()?.monitor.as_ref())
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
        open.iter_mut().filter(|it| it.lease.as_ref().is_some_and(|lease| lease.monitor.is_some()));
    for (conversation, _) in with_monitor.zip(ready).filter(|(_, ready)| *ready) {
        if Instant::now() >= rules.deadline {
            return;
        }
        conversation.advance(rules, Effort::Turn);
    }
}
