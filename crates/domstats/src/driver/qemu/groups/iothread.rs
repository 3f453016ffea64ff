//! The group `iothread`, from `query-iothreads` and the times of their threads.

use std::collections::HashSet;

use crate::{
    driver::qemu::{
        groups::{GroupReader, QueryList, Sources},
        monitor::query::{self, Query},
        reasons::too_long,
    },
    host::{allowance::Quota, procfs::SchedStat},
    model::{
        report::{DomainStats, Missing},
        request::StatsGroups,
        stats::{Iothread, Iothreads},
    },
};

pub(super) const READER: GroupReader = GroupReader { group: StatsGroups::IOTHREAD, ask, fill };

fn ask(queries: &mut QueryList<'_>) {
    queries.ask(Query::Iothreads);
}

fn fill(sources: &Sources<'_>, stats: &mut DomainStats) -> Option<Missing> {
    let folder = sources.folder();
    let mut quota = Quota::new(&folder);
    if let Some(replies) = sources.replies.iothreads.got() {
        let time = |tid| sources.thread(tid, &folder, &mut quota);
        stats.iothread = Some(iothreads(replies, time));
    }
    let lacks = sources.lacks(&sources.replies.iothreads);
    lacks.or_else(|| quota.is_over().then(|| too_long(sources.guest.process)))
}

/// Returns a guest's iothreads; `time` reads a thread's times.
fn iothreads(
    replies: &[query::Iothread],
    mut time: impl FnMut(u32) -> Option<SchedStat>,
) -> Iothreads {
    let mut iothreads = Iothreads::default();
    let mut numbers = IothreadNumbers::default();
    for (position, reply) in replies.iter().enumerate() {
        let sched = time(reply.thread_id);
        iothreads.iothreads.push(Iothread {
            id: numbers.of(&reply.id, position),
            poll_max_ns: reply.poll_max_ns,
            poll_grow: reply.poll_grow,
            poll_shrink: reply.poll_shrink,
            poll_weight: reply.poll_weight,
            aio_max_batch: reply.aio_max_batch,
            name: Some(reply.id.as_str().into()),
            cpu_time: sched.map(|sched| sched.run_ns),
            cpu_delay: sched.map(|sched| sched.delay_ns),
            ..Iothread::default()
        });
    }
    iothreads.count = u32::try_from(replies.len()).ok();
    iothreads
}

/// Assigns numbers to iothreads.
#[derive(Default)]
struct IothreadNumbers {
    taken: HashSet<u32>,
    /// The lowest number that may be free for the positions still to come.
    free_from: u32,
}

impl IothreadNumbers {
    /// Returns libvirt's number for an iothread: the digits of `iothread2`. Another name gets the
    /// lowest free number, starting at its position.
    fn of(&mut self, name: &str, position: usize) -> u32 {
        let own = name.strip_prefix("iothread").and_then(|digits| digits.parse().ok());
        if let Some(number) = own
            && self.taken.insert(number)
        {
            return number;
        }
        let first = u32::try_from(position).unwrap_or(0) + 1;
        let mut number = first.max(self.free_from);
        while !self.taken.insert(number) {
            number = number.wrapping_add(1);
        }
        self.free_from = number;
        number
    }
}
