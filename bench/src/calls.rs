//! The bulk call against libvirt's, and against the least that it could cost.
//!
//! Boots paused guests of a private libvirtd, each with a second monitor, so that libvirt and this
//! library read the very same guests: 2 vCPUs, 2 disks (one above a backing image), 1 tap, 1
//! iothread, a balloon. Every round makes every call once, in turn, each after one call that is not
//! counted: a held session sends few queries if that was within the last second, and almost all
//! otherwise.

use std::{
    thread,
    time::{Duration, Instant},
};

use domstats::{Connect, StatsGroups};
use domstats_live::{
    floor::{FIRST, Floor, STEADY},
    libvirt::{Libvirt, LibvirtGuest},
};

use crate::{
    arguments::number,
    clients::{Python, virsh},
    measured::{self, LATER},
    table::{self, MILLISECONDS, Row},
};

pub(crate) fn calls() {
    let (guests, rounds) = (number("--guests", 100), number("--rounds", 15));
    let start = Instant::now();
    eprintln!("starting libvirtd and {guests} guests ...");
    let libvirt = Libvirt::start();
    let guests = libvirt.create_many("bench", guests, true);
    eprintln!("started in {:.1} s", start.elapsed().as_secs_f64());
    directly(&libvirt, &guests, rounds);
    through_libvirt(&libvirt, &guests, rounds);
}

/// QEMU's monitors against libvirt, for the groups that the monitors provide.
fn directly(libvirt: &Libvirt, guests: &[LibvirtGuest], rounds: usize) {
    let shared = Connect::open("qemu+qmp:///system").unwrap();
    let groups = shared.supported_groups();
    let mut python = Python::start(&libvirt.uri(), groups);
    let mut rows = [
        "domstats, monitors shared (the default)",
        "domstats, sessions held, right after another call",
        "domstats, sessions held, a second after another call",
        "the floor: minimal pipelined QMP, nothing parsed, all queries",
        "the floor of a held session: one query",
        "libvirt, bulk call (Python, in-process)",
        "libvirt, bulk call (`virsh domstats`, whole process)",
        "libvirt, split calls (Python, in-process)",
    ]
    .map(Row::new);
    for round in 1..=rounds {
        eprint!("\rmonitors, round {round} of {rounds}");
        let [by_shared, by_held, by_later, by_floor, by_steady, by_bulk, by_virsh, by_split] =
            &mut rows;
        ask(&shared, guests);
        by_shared.add(ask(&shared, guests));
        let held = Connect::open("qemu+qmp:///system?monitor_policy=hold").unwrap();
        ask(&held, guests);
        by_held.add(ask(&held, guests));
        thread::sleep(LATER);
        by_later.add(ask(&held, guests));
        held.close();
        by_floor.add(floor(guests, FIRST));
        by_steady.add(floor(guests, STEADY));
        python.call("bulk", guests.len());
        by_bulk.add(python.call("bulk", guests.len()));
        by_virsh.add(virsh(&libvirt.uri(), groups, guests.len()));
        by_split.add(python.call("split", guests.len()));
    }
    eprintln!();
    let references = [
        ("to libvirt's bulk call", &rows[5]),
        ("to the floor of all queries", &rows[3]),
        ("to the floor of one", &rows[4]),
    ];
    table::print(&head(guests, "one call for all"), MILLISECONDS, &rows.each_ref(), &references);
}

/// One libvirtd, queried for all groups by three clients.
fn through_libvirt(libvirt: &Libvirt, guests: &[LibvirtGuest], rounds: usize) {
    let connect = Connect::open(&libvirt.uri()).unwrap();
    let groups = StatsGroups::empty();
    let mut python = Python::start(&libvirt.uri(), groups);
    let mut rows =
        ["domstats", "libvirt-python, `getAllDomainStats()`", "`virsh domstats`, whole process"]
            .map(Row::new);
    for round in 1..=rounds {
        eprint!("\rlibvirt, round {round} of {rounds}");
        let [by_domstats, by_python, by_virsh] = &mut rows;
        ask(&connect, guests);
        by_domstats.add(ask(&connect, guests));
        python.call("bulk", guests.len());
        by_python.add(python.call("bulk", guests.len()));
        by_virsh.add(virsh(&libvirt.uri(), groups, guests.len()));
    }
    eprintln!();
    let references = [("to libvirt-python", &rows[1]), ("to virsh", &rows[2])];
    let head = head(guests, "all groups through one libvirtd");
    table::print(&head, MILLISECONDS, &rows.each_ref(), &references);
}

fn head(guests: &[LibvirtGuest], what: &str) -> String {
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    format!("{} paused guests on {cpus} CPUs, {what}", guests.len())
}

/// Makes the bulk call, checks that it is complete, and returns how long it took.
fn ask(connect: &Connect, guests: &[LibvirtGuest]) -> Duration {
    let start = Instant::now();
    let report = measured::ask(connect);
    let time = start.elapsed();
    measured::complete(&report);
    guests.iter().for_each(|guest| assert!(report.domain(&guest.name).is_some(), "{guest:?}"));
    time
}

fn floor(guests: &[LibvirtGuest], queries: &str) -> Duration {
    let mut floor = Floor::connect(guests.iter().map(|guest| guest.monitor.clone())).unwrap();
    floor.pass(queries).unwrap();
    let start = Instant::now();
    floor.pass(queries).unwrap();
    start.elapsed()
}
