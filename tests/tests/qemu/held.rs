//! Which queries a held session leaves out, and that every change is seen nevertheless.

use std::{
    collections::BTreeSet,
    fs, thread,
    time::{Duration, Instant},
};

use domstats::{
    Connect, DomainState, DomainStats, StatsReport, StatsRequest, stats::DirtyRateStatus,
};
use domstats_live::{
    alone,
    compare::{differences, lacks, params},
    fake::Fake,
    guest::{Guest, Spec},
    image, oracle,
    patience::{PATIENCE, wait_until},
};
use serde_json::json;

const HOLD: &str = "qemu+qmp:///system?monitor_policy=hold";
const TIMEOUT: Duration = PATIENCE;

fn ask(connect: &Connect) -> StatsReport {
    connect.all_domain_stats(&StatsRequest::new().timeout(TIMEOUT)).unwrap()
}

/// A guest and a held session to its monitor.
struct Held {
    connect: Connect,
    guest: Guest,
}

impl Held {
    fn new(spec: Spec) -> Self {
        let held = Self { connect: Connect::open(HOLD).unwrap(), guest: spec.boot() };
        held.check("at first");
        held
    }

    fn record(&self) -> DomainStats {
        let report = ask(&self.connect);
        let record = report.domain(self.guest.name()).unwrap();
        assert_eq!(lacks(record), [""; 0]);
        record.clone()
    }

    /// Compares with the test's own monitor: at once, and when everything possible is cached.
    fn check(&self, what: &str) -> DomainStats {
        let mut before = oracle::read(&self.guest, false);
        let record = self.record();
        for call in 1..=3 {
            let record = self.record();
            let after = oracle::read(&self.guest, false);
            let mut ours = params(&record);
            // Why it runs is only in events, which this connection saw.
            if ours["state.state"] == 1 {
                let reason = ours.remove("state.reason");
                assert!(reason.is_none_or(|reason| reason == 5), "{what}");
            }
            let call = format!("{what}, call {call} after it");
            assert_eq!(differences(&before, &ours, &after), [""; 0], "{call}");
            before = after;
        }
        record
    }

    /// Returns the kernel's data about an iothread's time.
    fn time_of_iothread(&self, id: &str) -> String {
        let iothreads = self.guest.side().ask("query-iothreads");
        let mut iothreads = iothreads.as_array().unwrap().iter();
        let tid = &iothreads.find(|iothread| iothread["id"] == id).unwrap()["thread-id"];
        fs::read_to_string(format!("/proc/{}/task/{tid}/schedstat", self.guest.pid)).unwrap()
    }

    fn tell(&self, command: &str, arguments: serde_json::Value) {
        self.guest.side().ask_with(command, arguments);
    }
}

#[test]
fn every_change_is_seen_in_the_next_call() {
    alone!();
    let held = Held::new(Spec::full("held"));
    let state = |what| held.check(what).state.unwrap().state.unwrap();
    for round in 0..2 {
        held.tell("cont", json!({}));
        assert_eq!(state("running"), DomainState::Running, "{round}");
        held.tell("stop", json!({}));
        assert_eq!(state("stopped"), DomainState::Paused, "{round}");
    }

    let poll = |held: &Held, value: u64| {
        let of = json!({ "path": "/objects/iothread2", "property": "poll-max-ns", "value": value });
        let slept = held.time_of_iothread("iothread2");
        held.tell("qom-set", of);
        // Visible once the thread that it wakes gets a CPU, which may take a while on a busy
        // machine.
        while held.time_of_iothread("iothread2") == slept {}
        let iothreads = held.check("a poll setting").iothread.unwrap().iothreads;
        let polled = iothreads.iter().find(|one| one.name.as_deref() == Some("iothread2"));
        assert_eq!(polled.unwrap().poll_max_ns, Some(value));
    };
    (1..4).for_each(|value| poll(&held, value));
    held.tell("object-add", json!({ "qom-type": "iothread", "id": "iothread7" }));
    assert_eq!(held.check("an iothread more").iothread.unwrap().count, Some(3));
    held.tell("object-del", json!({ "id": "iothread7" }));
    assert_eq!(held.check("an iothread less").iothread.unwrap().count, Some(2));
    held.tell("object-del", json!({ "id": "iothread2" }));
    held.tell("object-add", json!({ "qom-type": "iothread", "id": "iothread2" }));
    held.check("another iothread of the same name");

    for (node, size) in [("node0", 8), ("node1", 8), ("node0", 4), ("node1", 32)] {
        held.tell("block_resize", json!({ "node-name": node, "size": size << 20 }));
        held.check("resized");
    }
    held.tell("system_reset", json!({}));
    held.check("reset");
    held.tell("calc-dirty-rate", json!({ "calc-time": 1 }));
    // QEMU reports this before the measuring thread has started.
    let mut side = held.guest.side();
    while side.ask("query-dirty-rate")["status"] == "unstarted" {}
    drop(side);
    let measurement = || held.record().dirtyrate.unwrap().status.unwrap();
    assert_eq!(measurement(), DirtyRateStatus::Measuring);
    wait_until(PATIENCE, "the measurement does not end", || {
        measurement() == DirtyRateStatus::Measured
    });
}

#[test]
fn new_disks_and_images_are_seen_in_the_next_call() {
    alone!();
    let held = Held::new(Spec::full("held"));
    let path = image::raw(&held.guest.dir, "plugged");
    let file = json!({ "driver": "file", "filename": path });
    let node = json!({ "driver": "raw", "node-name": "plugged", "file": file });
    held.tell("blockdev-add", node);
    held.check("a node more");
    let disk = json!({ "driver": "virtio-blk-pci", "drive": "plugged", "id": "plugged" });
    held.tell("device_add", disk);
    assert_eq!(held.check("a disk more").block.unwrap().count, Some(3));
    let mut side = held.guest.side();
    side.ask_with("device_del", json!({ "id": "plugged" }));
    side.ask("system_reset");
    side.wait_for("DEVICE_DELETED");
    drop(side);
    assert_eq!(held.check("a disk less").block.unwrap().count, Some(2));

    // The next node has the name of a removed one, and is another file.
    held.tell("blockdev-del", json!({ "node-name": "plugged" }));
    let path = image::qcow2_above(&path, "raw", &held.guest.dir, "again");
    let file = json!({ "driver": "file", "filename": path });
    held.tell("blockdev-add", json!({ "driver": "qcow2", "node-name": "plugged", "file": file }));
    held.tell(
        "device_add",
        json!({ "driver": "virtio-blk-pci", "drive": "plugged", "id": "again" }),
    );
    held.check("a disk with a node of the same name");

    let mut side = held.guest.side();
    let snapshot = held.guest.dir.join("snapshot.qcow2");
    side.ask_with(
        "blockdev-snapshot-sync",
        json!({
            "node-name": "node0", "snapshot-file": snapshot, "snapshot-node-name": "snapshot",
        }),
    );
    drop(side);
    held.check("a snapshot");
    let mut side = held.guest.side();
    side.ask_with("block-stream", json!({ "device": "snapshot", "job-id": "job" }));
    side.wait_for("BLOCK_JOB_COMPLETED");
    drop(side);
    held.check("a block job");

    let mut side = held.guest.side();
    let free = side.ask("query-hotpluggable-cpus");
    let free = free.as_array().unwrap().iter().find(|cpu| cpu.get("qom-path").is_none()).unwrap();
    let mut cpu = free["props"].clone();
    cpu["driver"] = free["type"].clone();
    side.ask_with("device_add", cpu);
    drop(side);
    assert_eq!(held.check("a vCPU more").vcpu.unwrap().current, Some(3));
}

#[test]
fn what_a_working_guest_writes_is_seen() {
    alone!();
    let held = Held::new(Spec::full("held").running());
    let written = || held.check("working").block.unwrap().blocks[0].wr_reqs.unwrap();
    wait_until(PATIENCE, "the guest does not write", || written() >= 20);
}

#[test]
fn a_balloon_is_followed_although_qemu_reports_it_once_a_second() {
    alone!();
    let held = Held::new(Spec::full("held").running());
    // Where the BIOS put the balloon's I/O ports; the driver's word for its size is the second one
    // of its configuration, after the 20 bytes of every legacy virtio device.
    let port = || {
        let buses = held.guest.side().ask("query-pci");
        let devices = buses[0]["devices"].as_array().unwrap().clone();
        let balloon = devices.iter().find(|device| device["qdev_id"] == "balloon0").unwrap();
        let regions = balloon["regions"].as_array().unwrap().clone();
        let io = regions.iter().find(|region| region["type"] == "io").unwrap();
        io["address"].as_i64().filter(|address| *address > 0)
    };
    let deadline = Instant::now() + PATIENCE;
    let port = loop {
        match port() {
            Some(port) => break port + 20 + 4,
            None => assert!(Instant::now() < deadline, "the BIOS does not start"),
        }
    };
    let current = || held.record().balloon.unwrap().current.unwrap();
    for pages in 1..=20 {
        if pages == 10 {
            // QEMU has reported all changes, and the next one is a separate event.
            thread::sleep(Duration::from_millis(2500));
        }
        let command = format!("o/w {port} {pages}");
        held.tell("human-monitor-command", json!({ "command-line": command }));
        assert_eq!(current(), (16 << 10) - 4 * pages);
        assert_eq!(current(), (16 << 10) - 4 * pages);
    }
}

/// The queries of the first call to a fake, which has no disks, has neither its UUID nor its
/// threads' names on the command line, and has a balloon that is not a device.
const ALL: [&str; 11] = [
    "query-uuid",
    "query-status",
    "query-balloon",
    "qom-list",
    "query-cpus-fast",
    "query-blockstats",
    "query-named-block-nodes",
    "query-iothreads",
    "query-dirty-rate",
    "query-stats-schemas",
    "query-stats",
];

/// What gives no sign.
const ALWAYS: [&str; 2] = ["query-blockstats", "query-cpus-fast"];

/// What gives a sign for most changes.
const ONCE_A_SECOND: [&str; 5] =
    ["qom-list", "query-balloon", "query-dirty-rate", "query-named-block-nodes", "query-status"];

#[test]
fn unchanged_values_are_not_queried() {
    alone!();
    // With irrelevant events, too.
    for fault in ["none", "events"] {
        let fake = Fake::start(env!("CARGO_BIN_EXE_fake-qemu"), fault);
        let connect = Connect::open(HOLD).unwrap();
        let mut seen = 0;
        let mut asked = || {
            assert_eq!(lacks(ask(&connect).domain(&fake.name).unwrap()), [""; 0]);
            let commands = fake.commands();
            let new: BTreeSet<_> = commands[seen..].iter().cloned().collect();
            seen = commands.len();
            new
        };
        let set = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        assert_eq!(asked(), set(&ALL), "{fault}");
        for _ in 0..5 {
            assert_eq!(asked(), set(&ALWAYS), "{fault}");
        }
        thread::sleep(Duration::from_secs(1));
        assert_eq!(asked(), set(&[&ALWAYS[..], &ONCE_A_SECOND].concat()), "{fault}");
        assert_eq!(asked(), set(&ALWAYS), "{fault}");
    }
}
