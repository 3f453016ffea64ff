//! The group `dirtyrate`, from `query-dirty-rate`: how fast the guest writes to its memory.

use crate::{
    driver::qemu::{
        groups::{GroupReader, QueryList, Sources},
        monitor::query::{self, Query},
    },
    model::{
        catalogue::keep_first_of_each,
        report::{DomainStats, Missing},
        request::StatsGroups,
        stats::{DirtyRate, DirtyRateStatus, VcpuDirtyRate},
    },
};

pub(super) const READER: GroupReader = GroupReader { group: StatsGroups::DIRTYRATE, ask, fill };

fn ask(queries: &mut QueryList<'_>) {
    queries.ask(Query::DirtyRate);
}

fn fill(sources: &Sources<'_>, stats: &mut DomainStats) -> Option<Missing> {
    stats.dirtyrate = sources.replies.dirty_rate.got().map(dirty_rate);
    sources.lacks(&sources.replies.dirty_rate)
}

/// Returns the result of the last measurement.
fn dirty_rate(reply: &query::DirtyRate) -> DirtyRate {
    let measured = reply.status == "measured";
    let period = match reply.calc_time_unit.as_deref() {
        Some("millisecond") => reply.calc_time.map(|time| time / 1000),
        _ => reply.calc_time,
    };
    let rates = reply.vcpu_dirty_rate.iter().filter(|_| measured).map(|vcpu| VcpuDirtyRate {
        id: vcpu.id,
        megabytes_per_second: Some(vcpu.dirty_rate),
        ..VcpuDirtyRate::default()
    });
    let mut rates = rates.collect();
    keep_first_of_each(&mut rates);
    DirtyRate {
        status: match reply.status.as_str() {
            "unstarted" => Some(DirtyRateStatus::Unstarted),
            "measuring" => Some(DirtyRateStatus::Measuring),
            "measured" => Some(DirtyRateStatus::Measured),
            _ => None,
        },
        start_time: reply.start_time,
        period: period.and_then(|period| i32::try_from(period).ok()),
        mode: reply.mode.clone(),
        megabytes_per_second: reply.dirty_rate.filter(|_| measured),
        vcpus: rates,
        ..DirtyRate::default()
    }
}
