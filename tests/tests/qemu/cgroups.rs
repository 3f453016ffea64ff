//! CPU times of guests that have a cgroup of their own, and of those that share one.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use domstats::{Connect, StatsGroups, StatsReport, StatsRequest};
use domstats_live::{
    alone,
    cgroup::{Group, Version, mounts, mounts_of},
    guest::{Guest, Spec, boot_all},
    lab::lab,
    patience::{PATIENCE, wait_until},
    procfs::{self, TICK},
};
use serde_json::json;

/// The groups of a guest; removed in this order.
struct Place {
    _below: Vec<Group>,
    group: Group,
    _above: Vec<Group>,
}

/// Moves a guest into one group for its process and others for its threads, as libvirt does.
fn as_libvirt(version: Version, mount: &Path, guest: &Guest) -> Place {
    let name = format!("qemu-1-{}.libvirt-qemu", lab().name_on_host("guest"));
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

/// Moves a guest into a scope below a slice of all guests, as Proxmox does.
fn as_proxmox(version: Version, mount: &Path, guest: &Guest) -> Place {
    // An existing one belongs to another program.
    let above = Group::make(version, mount.join(lab().name_on_host("proxmox")));
    let slice = Group::make(version, above.path().join("qemu.slice"));
    let scope = Group::make(version, slice.path().join("100.scope"));
    scope.take(guest.pid);
    Place { _below: Vec::new(), group: scope, _above: vec![slice, above] }
}

fn ask(connect: &Connect) -> StatsReport {
    let request = StatsRequest::new().groups(StatsGroups::CPU_TOTAL).timeout(PATIENCE);
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
fn a_guests_own_group_gives_its_cpu_time() {
    alone!();
    assert_ne!(mounts(), [], "this host has no cgroups with CPU times");
    let apart = u64::try_from(10 * TICK.as_nanos()).unwrap();
    for (version, mount) in mounts() {
        for place in [as_libvirt, as_proxmox] {
            let guest = Spec::full("grouped").running().boot();
            let connect = Connect::open("qemu+qmp:///system").unwrap();
            wait_until(PATIENCE, "the guest does not run", || of_process(&guest)[0] >= 2 * apart);
            assert_between(
                of_process(&guest),
                cpu_times(&ask(&connect), &guest),
                of_process(&guest),
                "no group yet",
            );
            let place = place(version, &mount, &guest);
            let group = &place.group;
            for _ in 0..3 {
                let last = group.cpu_times()[0];
                wait_until(PATIENCE, "the guest does not run", || group.cpu_times()[0] > last);
                let before = group.cpu_times();
                let ours = cpu_times(&ask(&connect), &guest);
                let after = group.cpu_times();
                assert_between(before, ours, after, &format!("{:?}", group.path()));
                assert!(ours[0] > 0, "the guest runs");
                // Time before the move is not in the group: that distinguishes the sources.
                let whole = of_process(&guest)[0];
                assert!(ours[0] + apart < whole, "{ours:?} of {whole}");
            }
            drop(guest);
        }
    }
}

#[test]
fn a_shared_group_gives_no_guests_time() {
    alone!();
    for (version, mount) in mounts() {
        for name in ["shared.libvirt-qemu", "qemu.slice/100.scope", "session-3.scope"] {
            let above = Group::make(version, mount.join(lab().name_on_host("shared")));
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

/// Reads simply how long the tasks of a group waited, in nanoseconds: some, and all.
fn waits(group: &Group, resource: &str) -> [u64; 2] {
    let text = fs::read_to_string(group.path().join(format!("{resource}.pressure"))).unwrap();
    let totals = text.lines().map(|line| line.split_once("total=").unwrap().1.parse::<u64>());
    let totals: Vec<u64> = totals.map(|total| total.unwrap() * 1000).collect();
    totals.try_into().unwrap()
}

#[test]
fn a_guests_own_group_gives_its_waits() {
    alone!();
    let guest = Spec::full("waits").running().boot();
    let (version, mount) = mounts_of("").remove(0);
    assert_eq!(version, Version::V2, "this host has no cgroups of version 2");
    let place = as_libvirt(version, &mount, &guest);
    // One CPU for all its threads: they wait for each other.
    lab().run(lab().command("taskset").args(["-acp", "0", &guest.pid.to_string()]));
    let connect = Connect::open("qemu+qmp:///system").unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let before = ["cpu", "memory", "io"].map(|resource| waits(&place.group, resource));
        let report = connect.all_domain_stats(&StatsRequest::new().timeout(PATIENCE)).unwrap();
        let after = ["cpu", "memory", "io"].map(|resource| waits(&place.group, resource));
        let record = report.domain(guest.name()).unwrap();
        let ours = [
            &record.cpu.as_ref().unwrap().pressure,
            &record.balloon.as_ref().unwrap().pressure,
            &record.block.as_ref().unwrap().pressure,
        ];
        for (number, ours) in ours.into_iter().enumerate() {
            let ours = ours.as_ref().unwrap();
            for (kind, ours) in [ours.some, ours.full].into_iter().enumerate() {
                let range = before[number][kind]..=after[number][kind];
                assert!(range.contains(&ours.unwrap()), "{ours:?} is not in {range:?}");
            }
        }
        assert!(record.block.as_ref().unwrap().count > Some(0), "the disks are there as well");
        if before[0][0] > 0 {
            break;
        }
        assert!(Instant::now() < deadline, "the guest never waits");
        thread::sleep(Duration::from_millis(200));
    }
    drop(guest);
}

/// Returns the number of the disk that contains a file, `8:0`.
fn disk_of(file: &Path) -> String {
    let device = fs::metadata(file).unwrap().dev();
    let number = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    let block = Path::new("/sys/dev/block").join(&number);
    if block.join("partition").exists() {
        return fs::read_to_string(block.join("../dev")).unwrap().trim().to_owned();
    }
    number
}

#[test]
fn a_guests_own_group_gives_what_it_wrote() {
    alone!();
    let guest = Spec::new("writes").boot();
    let name = format!("qemu-1-{}.libvirt-qemu", lab().name_on_host("writes"));
    let file = guest.dir.join("direct");
    fs::File::create(&file).unwrap().set_len(1 << 20).unwrap();
    let number = disk_of(&file);
    let group = |(version, mount): (Version, PathBuf)| {
        if version == Version::V2 {
            // A host may have the controller there, or in version 1.
            let _ = fs::write(mount.join("cgroup.subtree_control"), "+io");
        }
        let group = Group::make(version, mount.join(&name));
        if version == Version::V1 {
            // It counts only if there is a limit: one far above what a disk can do.
            let limit = group.path().join("blkio.throttle.write_bps_device");
            fs::write(limit, format!("{number} 100000000000")).unwrap();
        }
        group.take(guest.pid);
        group
    };
    let groups: Vec<_> = mounts_of("blkio").into_iter().map(group).collect();
    // Past the page cache, since its writes come later and from the kernel.
    let mut side = guest.side();
    side.ask_with(
        "blockdev-add",
        json!({
            "driver": "file", "node-name": "direct", "filename": file,
            "cache": { "direct": true }, "aio": "threads",
        }),
    );
    let mut write = |offset: u64| {
        let line = format!("qemu-io direct \"write {offset} 128k\"");
        let said = side.ask_with("human-monitor-command", json!({ "command-line": line }));
        assert_eq!(said, "", "it prints nothing on success");
    };
    let connect = Connect::open("qemu+qmp:///system").unwrap();
    let request = StatsRequest::new().groups(StatsGroups::BLOCK).timeout(PATIENCE);
    let written = || {
        let report = connect.all_domain_stats(&request).unwrap();
        let block = report.domain(guest.name()).unwrap().block.clone().unwrap();
        let mut all = block.devices.into_iter();
        let of = all.find(|device| device.number.as_ref() == Some(&number));
        of.map_or((0, 0), |device| (device.wr_bytes.unwrap(), device.wr_reqs.unwrap()))
    };
    write(0);
    let (bytes, reqs) = written();
    write(1 << 19);
    let (more_bytes, more_reqs) = written();
    assert!(bytes >= 128 << 10 && reqs > 0, "{bytes} bytes in {reqs} requests");
    // The file system may also write metadata.
    let grown = more_bytes - bytes;
    assert!((128 << 10..1 << 20).contains(&grown) && more_reqs > reqs, "{grown}, {more_reqs}");
    drop(guest);
    drop(groups);
}
