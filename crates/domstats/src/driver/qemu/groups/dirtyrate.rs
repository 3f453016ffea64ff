//! How fast a guest writes to its memory, from `query-dirty-rate`.

use crate::driver::qemu::monitor::query;
use crate::model::{
    catalogue::keep_first_of_each,
    stats::{DirtyRate, DirtyRateStatus, VcpuDirtyRate},
};

/// Returns what the last measurement found.
pub(crate) fn dirty_rate(reply: &query::DirtyRate) -> DirtyRate {
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
