//! The conversation of one pass with one guest's monitor.

use std::time::Duration;

use crate::{
    driver::qemu::{
        guest::{Guest, Lease},
        monitor::{
            budget::{AnswerBudget, Reservation},
            cache::HostView,
            nics,
            query::{Query, Replies},
            session::{Effort, Progress, Session},
        },
        pass::{Rules, follow_up::Search},
    },
    host::sock_diag::Socket,
    model::report::{Missing, MissingReason},
};

/// The queries to one guest, and their outcome.
#[derive(Debug)]
pub(crate) struct Conversation<'a> {
    pub(crate) guest: &'a Guest,
    pub(super) queries: Vec<Query>,
    /// What the host shows of the guest, if replies are to be cached.
    pub(super) view: Option<HostView<'a>>,
    pub(super) lease: Option<Lease<'a>>,
    pub(super) reservation: Reservation,
    /// Which of the guest's monitors the session is connected to, and the socket that listens
    /// there.
    pub(super) socket: Option<(usize, Socket)>,
    /// Why monitors are not used, by number.
    pub(super) unused: Vec<Option<Missing>>,
    /// Why no connection has been attempted yet.
    pub(super) why_later: Option<Missing>,
    pub(super) search: Search,
    /// The search for the NICs, if they are requested.
    pub(super) nic_search: Option<nics::Search>,
    /// Whether to query the images that jobs copy disks to.
    pub(super) wants_copies: bool,
    /// Whether to search for the NICs if an event reports a change.
    pub(super) watches_nics: bool,
    pub(super) asked: bool,
    pub(super) retried: bool,
    pub(super) over: bool,
    pub(crate) replies: Replies,
    /// The result of the search for the NICs, if there was one.
    pub(crate) nics: Option<Result<nics::NicSnapshot, Missing>>,
    /// Why the answers that are not in `replies` never came.
    pub(crate) missing: Option<Missing>,
}

impl<'a> Conversation<'a> {
    pub(crate) fn new(
        guest: &'a Guest,
        mut queries: Vec<Query>,
        view: Option<HostView<'a>>,
    ) -> Self {
        let search = Search::of(&mut queries);
        let over = queries.is_empty();
        Self {
            guest,
            queries,
            view,
            lease: None,
            reservation: Reservation::new(guest.process),
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

    /// Also finds the images that running jobs copy disks to.
    pub(crate) fn find_copies(mut self) -> Self {
        self.wants_copies = true;
        self
    }

    /// Also finds the NICs, and optionally their addresses.
    pub(crate) fn find_nics(mut self, with_addresses: bool) -> Self {
        self.nic_search = Some(nics::Search::new(&self.guest.line, with_addresses));
        self.over = false;
        self
    }

    /// Finds the NICs if a held session received an event about devices since they were last found.
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

    pub(super) fn session(&mut self) -> Option<&mut Session> {
        self.lease.as_mut()?.session.as_mut()
    }

    /// Returns whether an answer within `patience` is unlikely.
    pub(super) fn is_stuck(&self, patience: Duration) -> bool {
        self.lease
            .as_ref()
            .and_then(|lease| lease.stuck)
            .is_some_and(|waited| waited >= patience / 2)
    }

    /// Tries to get the lease and to send the queries.
    pub(super) fn begin(&mut self, rules: &Rules<'_>) {
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
        if self.session().is_some() {
            self.socket = None;
            self.advance(rules, Effort::Slice);
        }
    }

    /// Reads what has arrived and sends what is due, unless this is the last round.
    pub(super) fn advance(&mut self, rules: &Rules<'_>, effort: Effort) {
        loop {
            let is_new = !self.asked;
            let Some(lease) = &mut self.lease else { return };
            let Some(monitor) = &mut lease.session else {
                return;
            };
            // A monitor that owes replies to an earlier call gets no queries until it has sent
            // them; a new session accepts queries before its greeting.
            let is_last = effort == Effort::Last;
            let is_late = lease.stuck.is_some() && monitor.is_greeted() && monitor.is_owing();
            let may_ask = !is_late && !is_last;
            let (replies, view) = (&mut self.replies, self.view.as_ref());
            let (reservation, memory) = (&mut self.reservation, &rules.memory);
            let budget = &mut AnswerBudget { reservation, memory, deadline: rules.deadline };
            let progress = if is_new && may_ask {
                self.asked = true;
                monitor.begin(&self.queries, replies, view, budget)
            } else {
                monitor.advance(replies, view, effort, budget)
            };
            // The monitor answers again, and may use all of the remaining time.
            lease.stuck = lease.stuck.filter(|_| !monitor.is_working());
            match progress {
                Ok(Progress::Waiting) => return,
                Ok(Progress::Done) if !self.asked => {}
                Ok(Progress::Done) => {
                    let queries = self.follow_up();
                    if is_last && !queries.is_empty() {
                        return;
                    }
                    match self.session() {
                        Some(monitor) if !queries.is_empty() => monitor.ask(&queries),
                        _ => return self.end(None, rules),
                    }
                }
                Err(missing) => {
                    // A held session may have broken since the last call: tries a new one, once.
                    lease.session = None;
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

    /// Marks the conversation as over, and records the outcome for each of the guest's monitors.
    pub(super) fn close(&mut self, missing: Option<Missing>) {
        let number = self.socket.as_ref().map_or(self.guest.preferred(), |(number, _)| *number);
        if let (Some(missing), Some(why)) = (&missing, self.unused.get_mut(number)) {
            *why = Some(missing.clone());
        }
        let served = missing.is_none().then_some(number);
        self.guest.note_monitors(served, std::mem::take(&mut self.unused));
        self.missing = missing;
        self.over = true;
    }

    pub(super) fn end(&mut self, missing: Option<Missing>, rules: &Rules<'_>) {
        self.close(missing);
        if let Some(mut lease) = self.lease.take() {
            lease.stuck = None;
            if !rules.hold || self.missing.is_some() {
                lease.session = None;
            }
        }
    }

    /// Ends the conversation without the remaining replies, after waiting for `waited`.
    pub(super) fn give_up(&mut self, rules: &Rules<'_>, waited: Duration, missing: Missing) {
        // In a busy monitor's queue, the connection would be served next, wanted or not.
        let keep = rules.hold && missing.reason != MissingReason::Busy;
        self.close(Some(missing));
        if let Some(mut lease) = self.lease.take() {
            lease.stuck = lease.stuck.max(Some(waited));
            match &mut lease.session {
                Some(monitor) if keep && !monitor.is_full() => monitor.abandon(),
                monitor => *monitor = None,
            }
        }
    }
}
