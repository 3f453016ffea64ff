//! The groups of statistics: one file per group defines what to query from the monitor, and how to
//! fill the record from the replies and from the host's side.

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
    /// Adds the queries for what the host does not show.
    ask: fn(&mut QueryList<'_>),
    /// Fills the group, and returns why it is incomplete.
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

/// The queries of one call to a guest's monitor.
struct QueryList<'a> {
    guest: &'a Guest,
    host: &'a HostSide,
    request: &'a StatsRequest,
    queries: Vec<Query>,
}

impl QueryList<'_> {
    /// Adds a query, unless another group has added it.
    fn ask(&mut self, query: Query) {
        if !self.queries.contains(&query) {
            self.queries.push(query);
        }
    }
}

/// Returns the queries that a request needs, beyond what the host shows.
pub(super) fn queries(guest: &Guest, host: &HostSide, request: &StatsRequest) -> Vec<Query> {
    let mut queries = QueryList { guest, host, request, queries: guest.identity() };
    if request.filter.needs_state() {
        queries.ask(Query::Status);
    }
    for reader in READERS.iter().filter(|reader| request.groups.contains(reader.group)) {
        (reader.ask)(&mut queries);
    }
    queries.queries
}

/// Returns whether a domain matches the filter; `None` if only its monitor could say so and did
/// not.
pub(super) fn matches(filter: DomainFilter, replies: &Replies) -> Option<bool> {
    if !filter.needs_state() {
        return Some(true);
    }
    let state = state::state(replies)?.state?;
    Some(filter.matches_state(state))
}

/// The sources of a record.
pub(super) struct Sources<'a> {
    pub(super) proc: &'a Proc,
    pub(super) guest: &'a Guest,
    pub(super) host: &'a HostSide,
    /// The network devices in the guest's namespace, if they could be read.
    pub(super) devices: Option<&'a NetDevices>,
    pub(super) replies: &'a Replies,
    /// Why the answers that are not in `replies` never came.
    pub(super) missing: Option<&'a Missing>,
    pub(super) request: &'a StatsRequest,
}

impl Sources<'_> {
    /// Builds the domain's record: the requested groups, and why others are missing.
    pub(super) fn record(&self) -> DomainStats {
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

    /// Returns why an answer is missing.
    fn lacks<T>(&self, answer: &Answer<T>) -> Option<Missing> {
        match answer {
            Answer::Got(_) => None,
            Answer::Missing(missing) => Some(missing.clone()),
            Answer::NotAsked => self.missing.cloned(),
        }
    }

    /// Returns what the hypervisor counts, if known.
    fn counted(&self) -> Option<Arc<Counted>> {
        self.guest.learned(|learned| learned.counted.clone())
    }

    fn folder(&self) -> Folder<'_> {
        Folder::new(self.proc, self.guest.process)
    }

    /// Returns a thread's time; reads it now if the thread started after the others were read.
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
