//! What a pass costs this process: user and system time, without QEMU's.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    time::Duration,
};

use domstats::{Connect, StatsGroups, StatsRequest};
use domstats_live::guest::{Spec, boot_all};

use crate::{
    arguments::number,
    measured::cpu_time,
    table::{self, MICROSECONDS, Row},
};

/// The passes that one figure is the mean of: a single pass is too short for the clock and the
/// caches.
const PASSES: u32 = 10;

/// Measures passes over paused guests with 8 threads and 1 tap each, and held sessions.
pub(crate) fn cost() {
    let (count, rounds) = (number("--guests", 100), number("--rounds", 15));
    eprintln!("starting {count} guests ...");
    let spec = |_| Spec::new("cost").vcpus(4, 4).iothreads(2).taps(1).balloon();
    let guests = boot_all((0..count).map(spec));
    let connect = Connect::open("qemu+qmp:///system?monitor_policy=hold").unwrap();
    let host_side = StatsGroups::CPU_TOTAL | StatsGroups::VCPU | StatsGroups::INTERFACE;
    let mut rows = [
        ("the host's side alone: cpu-total, vcpu, interface", host_side),
        ("and the balloon, whose size is cached", host_side | StatsGroups::BALLOON),
        ("all groups", StatsGroups::empty()),
    ]
    .map(|(name, groups)| (Row::new(name), groups));
    let mut floor = Row::new("the floor: the files of the host's side, nothing parsed");
    let files: Vec<File> = guests.iter().flat_map(|guest| kept(guest.pid)).collect();
    // Opens what stays open.
    ask(&connect, StatsGroups::empty(), guests.len());
    for round in 1..=rounds {
        eprint!("\rcost, round {round} of {rounds}");
        floor.add(cost_of(count, || read(&files)));
        for (row, groups) in &mut rows {
            row.add(cost_of(count, || ask(&connect, *groups, guests.len())));
        }
    }
    eprintln!();
    let [host_side, balloon, all] = rows.each_ref().map(|(row, _)| row);
    let rows = [&floor, host_side, balloon, all];
    let head = format!("own CPU time for each of {count} guests with 8 threads and 1 tap");
    table::print(&head, MICROSECONDS, &rows, &[("to the floor", &floor)]);
}

/// Returns what a pass costs per guest.
fn cost_of(guests: usize, mut pass: impl FnMut()) -> Duration {
    let start = cpu_time();
    for _ in 0..PASSES {
        pass();
    }
    (cpu_time() - start) / PASSES / u32::try_from(guests).unwrap()
}

/// Opens what any reader has to read of a process: its CPU time and state, its cgroup, the time of
/// each thread but the first, its tap.
fn kept(pid: u32) -> Vec<File> {
    let names = |folder: &str| -> Vec<String> {
        let entries = fs::read_dir(format!("/proc/{pid}/{folder}")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let is_tap = |fd: &String| {
        fs::read_link(format!("/proc/{pid}/fd/{fd}")).is_ok_and(|to| to.ends_with("net/tun"))
    };
    let threads = names("task").into_iter().filter(|tid| *tid != pid.to_string());
    let threads = threads.map(|tid| format!("task/{tid}/schedstat"));
    let taps = names("fd").into_iter().filter(is_tap).map(|fd| format!("fdinfo/{fd}"));
    let files = ["stat".to_owned(), "cgroup".to_owned()].into_iter().chain(threads).chain(taps);
    files.map(|name| File::open(format!("/proc/{pid}/{name}")).unwrap()).collect()
}

fn read(files: &[File]) {
    let mut buffer = [0; 1024];
    for file in files {
        assert!(file.read_at(&mut buffer, 0).unwrap() > 0);
    }
}

fn ask(connect: &Connect, groups: StatsGroups, guests: usize) {
    let request = StatsRequest::new().groups(groups).timeout(Duration::from_secs(30));
    let report = connect.all_domain_stats(&request).unwrap();
    assert_eq!(report.domains.len(), guests, "{:?}", report.missing);
    assert!(report.is_complete());
}
