//! What a pass costs this process: user and system time, QEMU's not counted.

use std::time::Duration;

use domstats::{Connect, StatsGroups, StatsRequest};
use domstats_live::{
    guest::{Spec, boot_all},
    lab::alone,
};
use rustix::time::{ClockId, clock_gettime};

use crate::table::{self, Row};

/// Passes that one figure is the mean of: one pass alone is short for the clock and the caches.
const PASSES: u32 = 10;

/// Measures passes over paused guests with 8 threads and 1 tap each, whose monitors are held.
pub(crate) fn cost(guests: usize, rounds: usize) {
    let _alone = alone();
    eprintln!("starting {guests} guests ...");
    let spec = || Spec::new("cost").vcpus(4, 4).iothreads(2).taps(1).balloon();
    let guests = boot_all((0..guests).map(|_| spec()));
    let connect = Connect::open("qemu+qmp:///system?monitor_policy=hold").unwrap();
    let host_side = StatsGroups::CPU_TOTAL | StatsGroups::VCPU | StatsGroups::INTERFACE;
    let mut rows = [
        ("host's side alone: cpu-total, vcpu, interface", host_side),
        ("host's side and the balloon: one question", host_side | StatsGroups::BALLOON),
        ("all groups", StatsGroups::empty()),
    ]
    .map(|(name, groups)| (Row::new(name), groups));
    // Opens what stays open.
    ask(&connect, StatsGroups::empty(), guests.len());
    for round in 1..=rounds {
        eprint!("\rcost, round {round} of {rounds}");
        for (row, groups) in &mut rows {
            let start = clock_gettime(ClockId::ProcessCPUTime);
            for _ in 0..PASSES {
                ask(&connect, *groups, guests.len());
            }
            let time = clock_gettime(ClockId::ProcessCPUTime) - start;
            let time = Duration::try_from(time).unwrap();
            // Of a guest, scaled up so that the table's milliseconds are microseconds.
            row.add(time * 1000 / PASSES / u32::try_from(guests.len()).unwrap());
        }
    }
    eprintln!();
    let rows = rows.each_ref().map(|(row, _)| row);
    table::print(&format!("{} guests, own CPU time", guests.len()), &rows, &[]);
}

fn ask(connect: &Connect, groups: StatsGroups, guests: usize) {
    let request = StatsRequest::new().groups(groups).timeout(Duration::from_secs(30));
    let report = connect.all_domain_stats(&request).unwrap();
    assert_eq!(report.domains.len(), guests, "{:?}", report.missing);
    assert!(report.is_complete());
}
