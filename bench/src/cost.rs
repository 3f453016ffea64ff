//! What a pass costs this process: user and system time, QEMU's not counted.

use std::time::Duration;

use domstats::{Connect, StatsGroups, StatsRequest};
use domstats_live::{
    guest::{Spec, boot_all},
    lab::alone,
};

use crate::{
    arguments::number,
    measured::cpu_time,
    table::{self, MICROSECONDS, Row},
};

/// Passes that one figure is the mean of: one pass alone is short for the clock and the caches.
const PASSES: u32 = 10;

/// Measures passes over paused guests with 8 threads and 1 tap each, whose monitors are held.
pub(crate) fn cost() {
    let (count, rounds) = (number("--guests", 100), number("--rounds", 15));
    let _alone = alone();
    eprintln!("starting {count} guests ...");
    let spec = |_| Spec::new("cost").vcpus(4, 4).iothreads(2).taps(1).balloon();
    let guests = boot_all((0..count).map(spec));
    let connect = Connect::open("qemu+qmp:///system?monitor_policy=hold").unwrap();
    let host_side = StatsGroups::CPU_TOTAL | StatsGroups::VCPU | StatsGroups::INTERFACE;
    let mut rows = [
        ("the host's side alone: cpu-total, vcpu, interface", host_side),
        ("and the balloon, whose size is kept", host_side | StatsGroups::BALLOON),
        ("all groups", StatsGroups::empty()),
    ]
    .map(|(name, groups)| (Row::new(name), groups));
    // Opens what stays open.
    ask(&connect, StatsGroups::empty(), guests.len());
    for round in 1..=rounds {
        eprint!("\rcost, round {round} of {rounds}");
        for (row, groups) in &mut rows {
            let start = cpu_time();
            for _ in 0..PASSES {
                ask(&connect, *groups, guests.len());
            }
            row.add((cpu_time() - start) / PASSES / u32::try_from(count).unwrap());
        }
    }
    eprintln!();
    let rows = rows.each_ref().map(|(row, _)| row);
    let head = format!("own CPU time for each of {count} guests with 8 threads and 1 tap");
    table::print(&head, MICROSECONDS, &rows, &[]);
}

fn ask(connect: &Connect, groups: StatsGroups, guests: usize) {
    let request = StatsRequest::new().groups(groups).timeout(Duration::from_secs(30));
    let report = connect.all_domain_stats(&request).unwrap();
    assert_eq!(report.domains.len(), guests, "{:?}", report.missing);
    assert!(report.is_complete());
}
