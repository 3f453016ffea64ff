//! The group `balloon`: the size of the guest's memory, and the guest's own statistics of it.

use crate::{
    driver::qemu::{
        groups::{GroupReader, QueryList, Sources, pressure},
        monitor::query::{Query, Reported},
    },
    model::{
        report::{DomainStats, Missing, MissingReason},
        request::StatsGroups,
        stats::Balloon,
    },
};

pub(super) const READER: GroupReader = GroupReader { group: StatsGroups::BALLOON, ask, fill };

fn ask(queries: &mut QueryList<'_>) {
    queries.ask(Query::Balloon);
    if queries.request.wants_whole(StatsGroups::BALLOON) {
        queries.ask(match queries.guest.learned(|learned| learned.balloon.clone()) {
            Some(path) => Query::GuestStats(path),
            None => Query::Devices("/machine/peripheral".to_owned()),
        });
    }
    if queries.guest.line.memory_hotplug || queries.guest.line.memory_kib.is_none() {
        queries.ask(Query::MemorySize);
    }
}

fn fill(sources: &Sources<'_>, stats: &mut DomainStats) -> Option<Missing> {
    let replies = sources.replies;
    let plugged = replies
        .memory_size
        .got()
        .map(|size| size.base_memory.saturating_add(size.plugged_memory) / 1024);
    // With memory hotplug, the command line gives a lower bound, not the size.
    let at_start = sources.guest.line.memory_kib.filter(|_| !sources.guest.line.memory_hotplug);
    let maximum = plugged.or(at_start);
    let actual = replies.balloon.got().map(|balloon| balloon.actual / 1024);
    let has_none = |answer: Option<&Missing>| {
        answer.is_some_and(|missing| missing.reason == MissingReason::Unsupported)
    };
    let no_balloon = has_none(replies.balloon.missing());
    let mut balloon = Balloon {
        current: actual.or(maximum.filter(|_| no_balloon)),
        maximum,
        rss: Some(sources.host.stat.rss_kib),
        actual,
        pressure: sources.host.account.memory_waits.map(pressure),
        ..Balloon::default()
    };
    if let Some(guest) = replies.guest_stats.got() {
        let count = |Reported(value)| value;
        let kib = |Reported(bytes)| bytes.map(|bytes| bytes / 1024);
        let memory = &guest.stats;
        balloon.swap_in = kib(memory.stat_swap_in);
        balloon.swap_out = kib(memory.stat_swap_out);
        balloon.major_fault = count(memory.stat_major_faults);
        balloon.minor_fault = count(memory.stat_minor_faults);
        balloon.unused = kib(memory.stat_free_memory);
        balloon.available = kib(memory.stat_total_memory);
        balloon.usable = kib(memory.stat_available_memory);
        balloon.last_update = count(guest.last_update);
        balloon.disk_caches = kib(memory.stat_disk_caches);
        balloon.hugetlb_pgalloc = count(memory.stat_htlb_pgalloc);
        balloon.hugetlb_pgfail = count(memory.stat_htlb_pgfail);
        balloon.oom_kills = count(memory.stat_oom_kills);
        balloon.alloc_stalls = count(memory.stat_alloc_stalls);
        balloon.async_scans = kib(memory.stat_async_scans);
        balloon.direct_scans = kib(memory.stat_direct_scans);
        balloon.async_reclaims = kib(memory.stat_async_reclaims);
        balloon.direct_reclaims = kib(memory.stat_direct_reclaims);
    }
    stats.balloon = Some(balloon);
    // For a guest without a balloon device nothing is missing.
    let lacks = if no_balloon { None } else { sources.lacks(&replies.balloon) };
    lacks
        .or_else(|| {
            let missing = replies.guest_stats.missing();
            missing.filter(|it| !no_balloon && !has_none(Some(it))).cloned()
        })
        .or_else(|| replies.memory_size.missing().cloned())
}
