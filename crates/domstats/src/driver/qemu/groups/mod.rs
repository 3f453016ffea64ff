//! What each group is made of: a file a group says what to ask the monitor, and how to fill the
//! record from the answers and from what the host tells.

mod balloon;
mod block;
mod cpu;
mod cryptodev;
mod dirtyrate;
mod hypervisor;
mod interface;
mod iothread;
mod memory;
mod perf;
mod resctrl;
mod state;
mod vcpu;
mod vm;

use std::sync::Arc;

use crate::{
    driver::qemu::{
        guest::Guest,
        host::HostSide,
        monitor::{
            counted::Counted,
            query::{Answer, Query, Replies},
        },
    },
    host::{
        allowance::Quota,
        pressure::Waits,
        process::{CachedFile, Folder},
        procfs::{NetDevices, Proc, SchedStat},
    },
    model::{
        report::{DomainStats, Missing, MissingReason},
        request::{DomainFilter, StatsGroups, StatsRequest},
        stats::Pressure,
    },
};
pub(crate) use interface::nics::guest_nics;

/// How this driver reads a group.
struct GroupReader {
    group: StatsGroups,
    /// Adds what to ask the monitor, beyond what the host told.
    ask: fn(&mut QueryList<'_>),
    /// Fills the group, and returns why it is not whole.
    fill: fn(&Sources<'_>, &mut DomainStats) -> Option<Missing>,
}

const READERS: [GroupReader; 12] = [
    state::READER,
    cpu::READER,
    balloon::READER,
    vcpu::READER,
    interface::READER,
    block::READER,
    perf::READER,
    iothread::READER,
    memory::READER,
    dirtyrate::READER,
    vm::READER,
    cryptodev::READER,
];

/// The questions of one call to the monitor of a guest.
struct QueryList<'a> {
    guest: &'a Guest,
    host: &'a HostSide,
    request: &'a StatsRequest,
    queries: Vec<Query>,
}

impl QueryList<'_> {
    /// Adds a question, unless another group has asked it.
    fn ask(&mut self, query: Query) {
        if !self.queries.contains(&query) {
            self.queries.push(query);
        }
    }

    /// Returns whether a group is asked for with all that it has.
    fn wants_whole(&self, group: StatsGroups) -> bool {
        self.request.wants_whole(group)
    }
}

/// Returns what a request has to ask a guest's monitor, beyond what the host told.
pub(crate) fn queries(guest: &Guest, host: &HostSide, request: &StatsRequest) -> Vec<Query> {
    let mut queries = QueryList { guest, host, request, queries: guest.identity() };
    if request.filter.needs_state() {
        queries.ask(Query::Status);
    }
    for reader in READERS.iter().filter(|reader| request.groups.contains(reader.group)) {
        (reader.ask)(&mut queries);
    }
    queries.queries
}

/// Returns whether a domain belongs to the answer; `None` if only its monitor could tell and did
/// not.
pub(crate) fn matches(filter: DomainFilter, replies: &Replies) -> Option<bool> {
    if !filter.needs_state() {
        return Some(true);
    }
    let state = state::state(replies)?.state?;
    Some(filter.matches_state(state))
}

/// What a record is made of.
pub(crate) struct Sources<'a> {
    pub(crate) proc: &'a Proc,
    pub(crate) guest: &'a Guest,
    pub(crate) host: &'a HostSide,
    /// The network devices where the guest is, if they could be read.
    pub(crate) devices: Option<&'a NetDevices>,
    pub(crate) replies: &'a Replies,
    /// Why the answers that are not in `replies` never came.
    pub(crate) missing: Option<&'a Missing>,
    pub(crate) request: &'a StatsRequest,
}

impl Sources<'_> {
    /// Returns the record of the domain: the groups that were asked for, and why others are
    /// missing.
    pub(crate) fn record(&self) -> DomainStats {
        let mut stats = DomainStats::new(self.guest.info());
        for group in self.request.groups & StatsGroups::all_known() {
            let missing = match READERS.iter().find(|reader| reader.group == group) {
                Some(reader) => (reader.fill)(self, &mut stats),
                None => Some(Missing::new(
                    MissingReason::Unsupported,
                    "this driver does not read the group",
                )),
            };
            if let Some(missing) = missing {
                stats.note_missing(group, &missing);
            }
        }
        stats
    }

    /// Returns why an answer is not there.
    fn lacks<T>(&self, answer: &Answer<T>) -> Option<Missing> {
        match answer {
            Answer::Got(_) => None,
            Answer::Missing(missing) => Some(missing.clone()),
            Answer::NotAsked => self.missing.cloned(),
        }
    }

    /// Returns what the hypervisor counts, if that is known.
    fn counted(&self) -> Option<Arc<Counted>> {
        self.guest.learned(|learned| learned.counted.clone())
    }

    fn folder(&self) -> Folder<'_> {
        Folder::new(self.proc, self.guest.process)
    }

    /// Returns the time of a thread, read now if it began after the others were read.
    fn thread(&self, tid: u32, folder: &Folder<'_>, quota: &mut Quota<'_>) -> Option<SchedStat> {
        let threads = self.host.threads.as_deref().unwrap_or_default();
        match threads.binary_search_by_key(&tid, |thread| thread.tid) {
            Ok(place) => Some(threads[place].sched),
            Err(_) => {
                quota.step().ok()?;
                folder.sched_stat(tid, &mut CachedFile::default()).ok()
            }
        }
    }
}

fn pressure(waits: Waits) -> Pressure {
    Pressure { some: waits.some_ns, full: waits.full_ns, ..Pressure::default() }
}
