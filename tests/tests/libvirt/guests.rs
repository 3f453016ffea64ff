//! Guests of a real libvirtd: the same statistics as `virsh domstats`, without ever using its
//! monitor.

use std::{
    collections::HashSet,
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use domstats::{
    Connect, DomainStats, MissingReason, StatsGroups, StatsOptions, StatsReport, StatsRequest,
};
use domstats_live::{
    alone,
    compare::{lacks, params, wrong_values},
    lab::lab,
    libvirt::{Libvirt, LibvirtGuest, version},
    oracle::Params,
    patience::{self, PATIENCE, wait_until},
};
use serde_json::Value;

/// A libvirtd with one guest that has a second monitor, and one that does not.
struct Host {
    with_second: LibvirtGuest,
    without: LibvirtGuest,
    libvirt: Libvirt,
}

fn host() -> Host {
    let libvirt = Libvirt::start();
    let with_second = libvirt.create("parity", true);
    let without = libvirt.create("alone", false);
    Host { with_second, without, libvirt }
}

fn ask(connect: &Connect, options: StatsOptions) -> StatsReport {
    let request = StatsRequest::new().timeout(PATIENCE).options(options);
    connect.all_domain_stats(&request).unwrap()
}

fn record<'a>(report: &'a StatsReport, guest: &LibvirtGuest) -> &'a DomainStats {
    let record = report.domain(&guest.name);
    record.unwrap_or_else(|| panic!("{} has no record: {:?}", guest.name, report.missing))
}

/// libvirt's statistics of a guest. Old versions swap what a tap of type `ethernet` received and
/// sent.
fn virsh(libvirt: &Libvirt, guest: &LibvirtGuest, options: &[&str]) -> Params {
    let params = libvirt.domstats(guest, options);
    if version() >= [9, 0] {
        return params;
    }
    let swapped = |key: String| match key.strip_prefix("net.0.") {
        Some(rest) if rest.starts_with("rx.") => key.replace(".rx.", ".tx."),
        Some(_) => key.replace(".tx.", ".rx."),
        None => key,
    };
    params.into_iter().map(|(key, value)| (swapped(key), value)).collect()
}

/// Returns whether libvirt's value must not be repeated, and why.
pub(crate) fn is_invented(key: &str, value: &Value) -> bool {
    let is_zero = value.as_i64() == Some(0);
    match key {
        // Only KVM has it: under TCG there is no such time, and no zero either.
        "cpu.haltpoll.success.time" | "cpu.haltpoll.fail.time" => is_zero,
        // Needs resctrl monitors in libvirt's XML, which the process does not know.
        "cpu.cache.monitor.count" => is_zero,
        // For raw images libvirt examines the wrong node.
        key if key.ends_with("allocation") => is_zero && version() >= [11, 3],
        // A kernel without schedstats does not measure it; libvirt reports 0.
        key if key.starts_with("vcpu.") && key.ends_with(".wait") => {
            is_zero && !fs::exists("/proc/sys/kernel/sched_schedstats").unwrap()
        }
        _ => false,
    }
}

/// The suffixes of our keys that libvirt 9.0 lacks.
const MORE_THAN_LIBVIRT: &[&str] = &[
    ".failed",
    ".invalid",
    ".merged",
    ".idle_time",
    "unmap.reqs",
    "unmap.bytes",
    "unmap.times",
    "discard.reqs",
    "discard.bytes",
    ".aio-max-batch",
    "zone_append.reqs",
    "zone_append.bytes",
    "zone_append.times",
    "balloon.actual",
    ".name",
    ".cpu.time",
    ".cpu.delay",
    ".some.time",
    ".full.time",
];

/// Returns whether libvirt 9.0 has a key that an older one lacks.
fn is_of_libvirt_9(key: &str) -> bool {
    key.starts_with("cpu.") || key.starts_with("dirtyrate.") || key.ends_with(".delay")
}

fn parity(backing: bool) {
    let host = host();
    let guest = &host.with_second;
    let options: &[&str] = if backing { &["--backing"] } else { &[] };
    let connect = Connect::open("qemu+qmp:///system").unwrap();
    // More than zeros: the boot sector changes the counters, also during the readings.
    guest.qmp().ask("cont");
    wait_until(PATIENCE, "the boot sector does not work", || {
        let stats = virsh(&host.libvirt, guest, options);
        stats["block.0.wr.reqs"].as_i64() > Some(0) && stats["net.0.tx.pkts"] == 3
    });
    let mut before = virsh(&host.libvirt, guest, options);
    let flag = if backing { StatsOptions::BACKING } else { StatsOptions::empty() };
    let report = ask(&connect, flag);
    let mut after = virsh(&host.libvirt, guest, options);
    guest.qmp().ask("stop");
    assert!(before["block.0.wr.reqs"].as_i64() > Some(0), "{before:?}");
    assert_eq!([&before["net.0.tx.pkts"], &before["net.0.tx.bytes"]], [3, 180]);

    let record = record(&report, guest);
    assert_eq!(lacks(record), [""; 0]);
    let mut ours = params(record);
    let theirs: HashSet<_> = before.keys().cloned().collect();
    before.retain(|key, value| !is_invented(key, value));
    after.retain(|key, value| !is_invented(key, value));
    in_ticks(&mut ours, &mut before, &mut after);
    // libvirt remembers that it started the guest; the monitor only reports that it runs.
    for reading in [&mut before, &mut after, &mut ours] {
        reading.remove("state.reason");
    }
    assert_eq!(wrong_values(&before, &ours, &after), [""; 0]);
    let more: Vec<_> = ours
        .keys()
        .filter(|key| !theirs.contains(*key))
        .filter(|key| !MORE_THAN_LIBVIRT.iter().any(|end| key.ends_with(end)))
        .filter(|key| !key.starts_with("block.device."))
        .filter(|key| version() >= [9, 0] || !is_of_libvirt_9(key))
        .collect();
    assert_eq!(more, [""; 0], "keys that are not libvirt's and not meant to be");
}

/// libvirt adds up user and system time of a vCPU, each rounded down to ticks of 10 ms; we read
/// nanoseconds: makes a window of its readings.
fn in_ticks(ours: &mut Params, before: &mut Params, after: &mut Params) {
    const TICK: i64 = 10_000_000;
    let is_time = |key: &str| key.starts_with("vcpu.") && key.ends_with(".time");
    let widen = |params: &mut Params, by: i64| {
        for (_, value) in params.iter_mut().filter(|(key, _)| is_time(key)) {
            *value = (value.as_i64().unwrap() + by).into();
        }
    };
    widen(before, -TICK);
    widen(after, 2 * TICK);
    assert!(ours.keys().any(|key| is_time(key)));
}

#[test]
fn every_field_of_virsh_domstats_agrees() {
    alone!();
    parity(false);
}

#[test]
fn every_field_of_virsh_domstats_agrees_with_backing_chains() {
    alone!();
    parity(true);
}

#[test]
fn keys_come_in_libvirts_order() {
    alone!();
    let host = host();
    let guest = &host.with_second;
    let text = lab().run(&mut host.libvirt.virsh(&["domstats", &guest.name]));
    let virsh: Vec<_> = text.lines().filter_map(|line| line.trim().split_once('=')).collect();
    let connect = Connect::open("qemu+qmp:///system").unwrap();
    let report = ask(&connect, StatsOptions::empty());
    let ours: Vec<_> = record(&report, guest).params().into_iter().map(|(key, _)| key).collect();
    let theirs: Vec<_> =
        virsh.iter().map(|(key, _)| *key).filter(|key| ours.iter().any(|our| our == key)).collect();
    let shared: Vec<_> = ours.iter().filter(|key| theirs.contains(&key.as_str())).collect();
    assert!(theirs.len() > 50, "{theirs:?}");
    assert_eq!(shared, theirs);
}

#[test]
fn a_paused_guest_agrees_in_its_state_and_reason_too() {
    alone!();
    let host = host();
    let guest = &host.with_second;
    let before = host.libvirt.domstats(guest, &["--state"]);
    let connect = Connect::open("qemu+qmp:///system").unwrap();
    let report = ask(&connect, StatsOptions::empty());
    let ours = params(record(&report, guest));
    assert_eq!(wrong_values(&before, &ours, &before), [""; 0]);
}

#[test]
fn a_guest_with_only_libvirts_monitor_yields_what_the_host_knows() {
    alone!();
    let host = host();
    let report = ask(&Connect::open("qemu+qmp:///system").unwrap(), StatsOptions::empty());
    let record = record(&report, &host.without);
    for group in [StatsGroups::STATE, StatsGroups::BLOCK, StatsGroups::IOTHREAD] {
        let missing = record.why_missing(group).unwrap();
        assert_eq!(missing.reason, MissingReason::Busy);
        assert!(missing.text.contains("libvirt"), "{missing}");
    }
    let virsh = virsh(&host.libvirt, &host.without, &["--interface"]);
    let ours = params(record);
    assert_eq!(wrong_values(&virsh, &ours, &virsh), [""; 0]);
    assert!(record.cpu.as_ref().unwrap().time.is_some());
    assert!(record.balloon.as_ref().unwrap().rss.is_some());
}

/// Returns the number of sockets of libvirt's monitor of a guest: the listening one, and one for
/// each client, in the queue or served.
fn sockets_of_libvirts_monitor(guest: &LibvirtGuest) -> usize {
    let end = format!("-{}/monitor.sock", guest.name);
    let sockets = fs::read_to_string("/proc/net/unix").unwrap();
    // The kernel may list a socket twice, or not at all, while others come and go: counts their
    // addresses.
    let of_monitor = sockets.lines().filter(|line| line.ends_with(&end));
    let addresses: HashSet<_> = of_monitor.map(|line| line.split(':').next()).collect();
    addresses.len()
}

/// The listening socket and libvirtd's own connection.
const LIBVIRTD_ALONE: usize = 2;

#[test]
fn libvirts_monitor_is_never_connected_to() {
    alone!();
    let host = host();
    let guests = [&host.with_second, &host.without];
    let count = || guests.map(sockets_of_libvirts_monitor);
    // A single reading may miss a socket.
    assert!((0..10).any(|_| count() == [LIBVIRTD_ALONE; 2]));

    // The path can be named by mistake, and is refused all the same.
    let pattern = host.libvirt.dir.join("config/libvirt/qemu/lib/*/monitor.sock");
    assert!(glob_matches(&pattern.display().to_string()) >= 2);
    let uri = format!("qemu+qmp:///system?monitor={}", pattern.display());
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut looks = 0;
            while !over.load(Ordering::Relaxed) {
                assert!(count().iter().all(|sockets| *sockets <= LIBVIRTD_ALONE));
                looks += 1;
            }
            looks
        });
        for uri in ["qemu+qmp:///system", "qemu+qmp:///system?monitor_policy=hold", &uri] {
            let connect = Connect::open(uri).unwrap();
            for _ in 0..5 {
                ask(&connect, StatsOptions::empty());
            }
        }
        over.store(true, Ordering::Relaxed);
        let report = ask(&Connect::open(&uri).unwrap(), StatsOptions::empty());
        let refused = report.missing.iter().map(|missing| &missing.missing);
        let refused = refused.filter(|missing| missing.text.contains("libvirtd")).count();
        assert!(refused >= 2, "{:?}", report.missing);
        assert!(watch.join().unwrap() > 20);
    });
}

fn glob_matches(pattern: &str) -> usize {
    let (before, after) = pattern.split_once('*').unwrap();
    let entries = fs::read_dir(before).unwrap().flatten();
    entries
        .filter(|entry| fs::exists(format!("{}{after}", entry.path().display())).unwrap())
        .count()
}

/// A connection in the queue of libvirt's monitor would be served instead of libvirtd when libvirtd
/// restarts.
#[test]
fn a_stopped_libvirtd_changes_nothing() {
    alone!();
    let host = host();
    host.libvirt.freeze();
    let connect = Connect::open("qemu+qmp:///system").unwrap();
    let (report, took) = patience::time(|| ask(&connect, StatsOptions::empty()));
    let sockets = [&host.with_second, &host.without].map(sockets_of_libvirts_monitor);
    host.libvirt.thaw();
    took.assert_within(Duration::from_secs(1));
    assert!(sockets.iter().all(|sockets| *sockets <= LIBVIRTD_ALONE));
    assert_eq!(lacks(record(&report, &host.with_second)), [""; 0]);
}
