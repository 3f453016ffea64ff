//! CPU times of guests that have a cgroup of their own, and of those that share one.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use domstats::{Connect, StatsGroups, StatsReport, StatsRequest};
use domstats_live::{
    cgroup::{Group, Version, mounts},
    guest::{Guest, Spec, boot_all},
    lab::{alone, lab},
    procfs::{self, TICK},
};

/// Where a guest is; removed in this order.
struct Place {
    _below: Vec<Group>,
    group: Group,
    _above: Vec<Group>,
}

/// Moves a guest into a group for its process and groups for its threads, as libvirt does.
fn as_libvirt(version: Version, mount: &Path, guest: &Guest) -> Place {
    let name = format!("qemu-1-{}.libvirt-qemu", guest.name());
    let group = Group::make(version, mount.join(name));
    let emulator = group.for_threads("emulator");
    let vcpu = group.for_threads("vcpu0");
    group.take(guest.pid);
    for entry in fs::read_dir(format!("/proc/{}/task", guest.pid)).unwrap() {
        let path = entry.unwrap().path();
        let tid = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
        // Threads for I/O end when there is nothing to do.
        let Ok(comm) = fs::read_to_string(path.join("comm")) else { continue };
        let of_thread = if comm.starts_with("CPU 0") { &vcpu } else { &emulator };
        of_thread.take_thread(tid);
    }
    Place { _below: vec![emulator, vcpu], group, _above: Vec::new() }
}

/// Moves a guest into a scope below a slice of all guests.
fn as_proxmox(version: Version, mount: &Path, guest: &Guest) -> Place {
    // One that is there already belongs to somebody.
    let above = Group::make(version, mount.join(format!("{}.test", guest.name())));
    let slice = Group::make(version, above.path().join("qemu.slice"));
    let scope = Group::make(version, slice.path().join("100.scope"));
    scope.take(guest.pid);
    Place { _below: Vec::new(), group: scope, _above: vec![slice, above] }
}

fn ask(connect: &Connect) -> StatsReport {
    let request = StatsRequest::new().groups(StatsGroups::CPU_TOTAL);
    connect.all_domain_stats(&request).unwrap()
}

fn cpu_times(report: &StatsReport, guest: &Guest) -> [u64; 3] {
    let cpu = report.domain(guest.name()).unwrap().cpu.as_ref().unwrap();
    [cpu.time.unwrap(), cpu.user.unwrap(), cpu.system.unwrap()]
}

fn of_process(guest: &Guest) -> [u64; 3] {
    let times = procfs::cpu_times(guest.pid);
    [times.user + times.system, times.user, times.system]
        .map(|time| u64::try_from(time.as_nanos()).unwrap())
}

/// Checks times against readings before and after, within a tick.
fn assert_between(before: [u64; 3], ours: [u64; 3], after: [u64; 3], what: &str) {
    let tick = u64::try_from(TICK.as_nanos()).unwrap();
    for number in 0..3 {
        let range = before[number].saturating_sub(tick)..=after[number] + tick;
        assert!(range.contains(&ours[number]), "{what}: {before:?}, {ours:?}, {after:?}");
    }
}

#[test]
fn a_group_of_its_own_tells_the_time_of_a_guest() {
    let _alone = alone();
    assert_ne!(mounts(), [], "this host has no cgroups with CPU times");
    let apart = u64::try_from(10 * TICK.as_nanos()).unwrap();
    for (version, mount) in mounts() {
        for place in [as_libvirt, as_proxmox] {
            let guest = Spec::full("grouped").running().boot();
            let connect = Connect::open("qemu+qmp:///system").unwrap();
            let deadline = Instant::now() + Duration::from_secs(30);
            while of_process(&guest)[0] < 2 * apart {
                assert!(Instant::now() < deadline, "the guest does not run");
                thread::sleep(Duration::from_millis(10));
            }
            assert_between(
                of_process(&guest),
                cpu_times(&ask(&connect), &guest),
                of_process(&guest),
                "no group yet",
            );
            let place = place(version, &mount, &guest);
            let group = &place.group;
            for _ in 0..3 {
                thread::sleep(Duration::from_millis(300));
                let before = group.cpu_times();
                let ours = cpu_times(&ask(&connect), &guest);
                let after = group.cpu_times();
                assert_between(before, ours, after, &format!("{:?}", group.path()));
                assert!(ours[0] > 0, "the guest runs");
                // What came before is not in the group: it tells the sources apart.
                let whole = of_process(&guest)[0];
                assert!(ours[0] + apart < whole, "{ours:?} of {whole}");
            }
            drop(guest);
        }
    }
}

#[test]
fn a_group_that_guests_share_is_nobodys_time() {
    let _alone = alone();
    for (version, mount) in mounts() {
        for name in ["shared.libvirt-qemu", "qemu.slice/100.scope", "session-3.scope"] {
            let above = Group::make(version, mount.join(lab().name("shared")));
            let guests = boot_all((0..2).map(|_| Spec::new("shared")));
            let mut groups = vec![above];
            for part in name.split('/') {
                let path = groups[0].path().join(part);
                groups.insert(0, Group::make(version, path));
            }
            guests.iter().for_each(|guest| groups[0].take(guest.pid));
            let connect = Connect::open("qemu+qmp:///system").unwrap();
            for guest in &guests {
                let before = of_process(guest);
                let ours = cpu_times(&ask(&connect), guest);
                assert_between(before, ours, of_process(guest), name);
            }
            drop(guests);
        }
    }
}
