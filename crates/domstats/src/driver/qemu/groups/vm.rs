//! The group `vm`: what KVM counts for the guest as a whole, from `query-stats`.

use crate::{
    driver::qemu::{
        groups::{
            GroupReader, QueryList, Sources,
            hypervisor::{self, Counts},
        },
        monitor::query::Query,
    },
    model::{
        catalogue::keep_first_of_each,
        report::{DomainStats, Missing, MissingReason},
        request::StatsGroups,
    },
};

pub(super) const READER: GroupReader = GroupReader { group: StatsGroups::VM, ask, fill };

// A request for the basic part of the group needs the same query: there is no other part.
fn ask(queries: &mut QueryList<'_>) {
    // The first call sends the query without knowing whether anything is counted: that saves a
    // round trip.
    if hypervisor::may_count(queries, |counted| &counted.vm) {
        queries.ask(Query::VmStats);
    }
}

fn fill(sources: &Sources<'_>, stats: &mut DomainStats) -> Option<Missing> {
    let Some(counted) = sources.counted() else {
        return sources.lacks(&sources.replies.stats_schemas);
    };
    if counted.vm.is_empty() {
        return Some(Missing::new(
            MissingReason::Unsupported,
            "QEMU reports no hypervisor statistics: that takes KVM, and QEMU 7.1 or later",
        ));
    }
    if let Some(replies) = sources.replies.vm_stats.got() {
        let vm = stats.vm.get_or_insert_default();
        for of in replies {
            let counts = Counts::new(&counted.vm, of);
            vm.stats.extend(counts.stats);
            vm.histograms.extend(counts.histograms);
        }
        keep_first_of_each(&mut vm.stats);
        keep_first_of_each(&mut vm.histograms);
    }
    sources.lacks(&sources.replies.vm_stats)
}
