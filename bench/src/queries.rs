//! What each query costs a QEMU, and what the queries of a call cost together.
//!
//! Guests with two disks (one above a backing image), two iothreads and a balloon, paused and
//! running, are queried all at once over open connections. Every figure is the CPU time of one
//! QEMU's threads without its vCPUs, the least of many rounds; for a running guest it includes the
//! work of its devices.

use std::{fs, time::Duration};

use domstats_live::{
    floor::{FIRST, Floor},
    guest::{Guest, Spec, boot_all},
    procfs,
};

const GUESTS: u32 = 10;
const ROUNDS: usize = 20;

/// Calls over held sessions, and words that occur in the queries they send.
const CALLS: [(&str, &[&str]); 6] = [
    ("first call", &["query", "qom-get"]),
    ("next call, paused", &["blockstats"]),
    ("next call, running", &["blockstats", "qom-get"]),
    ("next call, running and writing", &["blockstats", "qom-get", "nodes"]),
    ("a second later, paused", &["blockstats", "qom-get", "nodes", "dirty", "status", "balloon"]),
    ("a second later, running", &["blockstats", "qom-get", "nodes", "dirty"]),
];

pub(crate) fn queries() {
    let paused = boot_all((0..GUESTS).map(|_| Spec::full("paused")));
    let running = boot_all((0..GUESTS).map(|_| Spec::full("running").running()));
    let each = FIRST.replace("}{", "}\n{");
    let names = each.lines().map(|query| {
        let name = query.split('"').nth(3).unwrap();
        (format!("`{name}`"), query.to_owned())
    });
    let calls = CALLS.iter().map(|(name, words)| {
        let is_sent = |query: &&str| words.iter().any(|word| query.contains(word));
        ((*name).to_owned(), each.lines().filter(is_sent).collect::<String>())
    });
    println!("| query | bytes | paused, us | running, us |");
    println!("|---|---:|---:|---:|");
    for (name, text) in names.chain(calls) {
        let [paused, running] = [&paused, &running].map(|guests| cost(guests, &text).as_micros());
        println!("| {name} | {} | {paused} | {running} |", text.len());
    }
}

/// Returns the CPU time that queries take one guest's QEMU.
fn cost(guests: &[Guest], text: &str) -> Duration {
    let mut floor = Floor::connect(guests.iter().map(|guest| guest.monitor.clone())).unwrap();
    let rounds = (0..ROUNDS).map(|_| {
        let before = cpu(guests);
        floor.pass(text).unwrap();
        (cpu(guests) - before) / GUESTS
    });
    rounds.min().unwrap()
}

fn cpu(guests: &[Guest]) -> Duration {
    let of_thread = |pid: u32, tid: u64| {
        let name = fs::read_to_string(format!("/proc/{pid}/task/{tid}/comm")).unwrap_or_default();
        if name.starts_with("CPU ") { 0 } else { procfs::schedstat(pid, tid).0 }
    };
    let of_guest = |guest: &Guest| {
        let threads = fs::read_dir(format!("/proc/{}/task", guest.pid)).unwrap();
        let threads = threads.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        threads.map(|tid| of_thread(guest.pid, tid.parse().unwrap())).sum::<u64>()
    };
    Duration::from_nanos(guests.iter().map(of_guest).sum())
}
