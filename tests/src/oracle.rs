//! A guest's statistics, read slowly, simply, and under libvirt's flat keys.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{guest::Guest, procfs, qmp::Qmp};

/// Statistics by their flat keys.
pub type Params = BTreeMap<String, Value>;

/// Reads everything that a guest has; optionally with its backing chains.
#[must_use]
pub fn read(guest: &Guest, backing: bool) -> Params {
    let mut qmp = guest.side();
    let mut params = Params::new();
    state(&mut params, &mut qmp);
    cpu(&mut params, guest.pid);
    balloon(&mut params, &mut qmp, guest);
    vcpu(&mut params, &mut qmp, guest);
    interface(&mut params, guest);
    block(&mut params, &mut qmp, backing);
    iothread(&mut params, &mut qmp, guest.pid);
    dirtyrate(&mut params, &mut qmp);
    params
}

fn put(params: &mut Params, key: impl Into<String>, value: impl Into<Value>) {
    params.insert(key.into(), value.into());
}

fn state(params: &mut Params, qmp: &mut Qmp) {
    let status = qmp.ask("query-status");
    // libvirt's numbers. The guest was paused by a user; QEMU does not report why it runs.
    match status["status"].as_str().unwrap() {
        "running" => put(params, "state.state", 1),
        "paused" | "prelaunch" => {
            put(params, "state.state", 3);
            put(params, "state.reason", 1);
        }
        other => panic!("the tests make no guest {other}"),
    }
}

fn cpu(params: &mut Params, pid: u32) {
    let times = procfs::cpu_times(pid);
    for (key, time) in [
        ("cpu.time", times.user + times.system),
        ("cpu.user", times.user),
        ("cpu.system", times.system),
    ] {
        put(params, key, u64::try_from(time.as_nanos()).unwrap());
    }
}

fn balloon(params: &mut Params, qmp: &mut Qmp, guest: &Guest) {
    let kib = |bytes: &Value| bytes.as_u64().unwrap() / 1024;
    let memory = qmp.ask("query-memory-size-summary");
    let maximum = kib(&memory["base-memory"]);
    put(params, "balloon.maximum", maximum);
    put(params, "balloon.rss", procfs::rss_kib(guest.pid));
    let balloon = qmp.try_ask("query-balloon", json!({})).unwrap();
    let Ok(balloon) = balloon else {
        put(params, "balloon.current", maximum);
        return;
    };
    put(params, "balloon.current", kib(&balloon["actual"]));
    put(params, "balloon.actual", kib(&balloon["actual"]));
    let path = "/machine/peripheral/balloon0";
    let arguments = json!({ "path": path, "property": "guest-stats" });
    let stats = qmp.ask_with("qom-get", arguments);
    put(params, "balloon.last-update", stats["last-update"].clone());
    // No guest of these tests has a balloon driver.
    let reported = stats["stats"].as_object().unwrap().values();
    assert_eq!(reported.filter(|value| value.as_u64() != Some(u64::MAX)).count(), 0);
}

fn vcpu(params: &mut Params, qmp: &mut Qmp, guest: &Guest) {
    let cpus = qmp.ask("query-cpus-fast");
    let cpus = cpus.as_array().unwrap();
    put(params, "vcpu.current", cpus.len());
    put(params, "vcpu.maximum", guest.maximum_vcpus());
    for cpu in cpus {
        let number = &cpu["cpu-index"];
        let (time, delay) = procfs::schedstat(guest.pid, cpu["thread-id"].as_u64().unwrap());
        put(params, format!("vcpu.{number}.state"), 1);
        put(params, format!("vcpu.{number}.time"), time);
        put(params, format!("vcpu.{number}.delay"), delay);
    }
}

fn interface(params: &mut Params, guest: &Guest) {
    put(params, "net.count", guest.nics());
    for (number, tap) in guest.taps.iter().enumerate() {
        put(params, format!("net.{number}.name"), tap.as_str());
        // What the host received is what the guest sent.
        let [tx, rx] = procfs::net_dev(tap);
        for (direction, counters) in [("rx", rx), ("tx", tx)] {
            for (word, counter) in ["bytes", "pkts", "errs", "drop"].iter().zip(counters) {
                put(params, format!("net.{number}.{direction}.{word}"), counter);
            }
        }
    }
}

/// Each counter of `query-blockstats` with its flat key.
const BLOCK_COUNTERS: &[(&str, &str)] = &[
    ("rd.reqs", "rd_operations"),
    ("rd.bytes", "rd_bytes"),
    ("rd.times", "rd_total_time_ns"),
    ("rd.failed", "failed_rd_operations"),
    ("rd.invalid", "invalid_rd_operations"),
    ("rd.merged", "rd_merged"),
    ("wr.reqs", "wr_operations"),
    ("wr.bytes", "wr_bytes"),
    ("wr.times", "wr_total_time_ns"),
    ("wr.failed", "failed_wr_operations"),
    ("wr.invalid", "invalid_wr_operations"),
    ("wr.merged", "wr_merged"),
    ("fl.reqs", "flush_operations"),
    ("fl.times", "flush_total_time_ns"),
    ("fl.failed", "failed_flush_operations"),
    ("fl.invalid", "invalid_flush_operations"),
    ("unmap.reqs", "unmap_operations"),
    ("unmap.bytes", "unmap_bytes"),
    ("unmap.times", "unmap_total_time_ns"),
    ("unmap.failed", "failed_unmap_operations"),
    ("unmap.invalid", "invalid_unmap_operations"),
    ("unmap.merged", "unmap_merged"),
    ("zone_append.reqs", "zone_append_operations"),
    ("zone_append.bytes", "zone_append_bytes"),
    ("zone_append.times", "zone_append_total_time_ns"),
    ("zone_append.failed", "failed_zone_append_operations"),
    ("zone_append.invalid", "invalid_zone_append_operations"),
    ("zone_append.merged", "zone_append_merged"),
];

/// Each limit of an image with its flat key.
const BLOCK_LIMITS: &[(&str, &str)] = &[
    ("request_alignment", "request-alignment"),
    ("discard_max", "max-discard"),
    ("discard_alignment", "discard-alignment"),
    ("write_zeroes_max", "max-write-zeroes"),
    ("write_zeroes_alignment", "write-zeroes-alignment"),
    ("transfer_optimal", "opt-transfer"),
    ("transfer_max", "max-transfer"),
    ("transfer_hw_max", "max-hw-transfer"),
    ("iov_max", "max-iov"),
    ("iov_hw_max", "max-hw-iov"),
    ("memory_alignment_minimal", "min-mem-alignment"),
    ("memory_alignment_optimal", "opt-mem-alignment"),
];

/// Adds a value that only newer QEMUs report.
fn put_if_told(params: &mut Params, key: String, value: &Value) {
    if !value.is_null() {
        put(params, key, value.clone());
    }
}

fn block(params: &mut Params, qmp: &mut Qmp, backing: bool) {
    let stats = qmp.ask("query-blockstats");
    let nodes = qmp.ask_with("query-named-block-nodes", json!({ "flat": true }));
    let mut count = 0;
    for disk in stats.as_array().unwrap() {
        let qdev = disk["qdev"].as_str().unwrap();
        // The id itself, if the device is a child of no other device; firmware flash is not a disk.
        let name = qdev.trim_start_matches("/machine/peripheral/");
        if name.starts_with("/machine/") {
            continue;
        }
        let name = name.trim_end_matches("/virtio-backend");
        let mut image = Some(disk);
        let mut depth = 0;
        while let Some(entry) = image.filter(|_| depth == 0 || backing) {
            let prefix = format!("block.{count}");
            put(params, format!("{prefix}.name"), name);
            if depth > 0 {
                put(params, format!("{prefix}.backingIndex"), depth);
            } else {
                block_counters(params, &prefix, &disk["stats"]);
            }
            let nodes = nodes.as_array().unwrap();
            let named = |name: &Value| nodes.iter().find(|node| node["node-name"] == *name);
            let (node, file) = (named(&entry["node-name"]).unwrap(), &entry["parent"]);
            let storage = &named(&file["node-name"]).unwrap()["image"];
            for (key, limit) in BLOCK_LIMITS {
                let key = format!("{prefix}.limits.{key}");
                put_if_told(params, key, &storage["limits"][limit]);
            }
            for (key, counter) in [
                ("reqs", "discard-nb-ok"),
                ("bytes", "discard-bytes-ok"),
                ("failed", "discard-nb-failed"),
            ] {
                let key = format!("{prefix}.discard.{key}");
                put_if_told(params, key, &file["driver-specific"][counter]);
            }
            for (key, value) in [
                ("path", &node["file"]),
                ("allocation", &file["stats"]["wr_highest_offset"]),
                ("capacity", &node["image"]["virtual-size"]),
                ("physical", &node["image"]["actual-size"]),
            ] {
                put(params, format!("{prefix}.{key}"), value.clone());
            }
            image = entry.get("backing");
            count += 1;
            depth += 1;
        }
    }
    put(params, "block.count", count);
}

fn block_counters(params: &mut Params, prefix: &str, stats: &Value) {
    for (key, counter) in BLOCK_COUNTERS {
        put_if_told(params, format!("{prefix}.{key}"), &stats[counter]);
    }
    // Only present once the disk was used.
    if let Some(idle) = stats.get("idle_time_ns") {
        put(params, format!("{prefix}.idle_time"), idle.clone());
    }
}

fn iothread(params: &mut Params, qmp: &mut Qmp, pid: u32) {
    let threads = qmp.ask("query-iothreads");
    let threads = threads.as_array().unwrap();
    put(params, "iothread.count", threads.len());
    for thread in threads {
        let id = thread["id"].as_str().unwrap();
        let prefix = format!("iothread.{}", id.trim_start_matches("iothread"));
        put(params, format!("{prefix}.name"), id);
        for key in ["poll-max-ns", "poll-grow", "poll-shrink"] {
            put(params, format!("{prefix}.{key}"), thread[key].clone());
        }
        for key in ["poll-weight", "aio-max-batch"] {
            put_if_told(params, format!("{prefix}.{key}"), &thread[key]);
        }
        let (time, delay) = procfs::schedstat(pid, thread["thread-id"].as_u64().unwrap());
        put(params, format!("{prefix}.cpu.time"), time);
        put(params, format!("{prefix}.cpu.delay"), delay);
    }
}

fn dirtyrate(params: &mut Params, qmp: &mut Qmp) {
    let rate = qmp.ask("query-dirty-rate");
    let words = ["unstarted", "measuring", "measured"];
    let status = words.iter().position(|word| rate["status"] == *word);
    put(params, "dirtyrate.calc_status", status.unwrap());
    for (key, source) in
        [("calc_start_time", "start-time"), ("calc_period", "calc-time"), ("calc_mode", "mode")]
    {
        put_if_told(params, format!("dirtyrate.{key}"), &rate[source]);
    }
}
