//! Performance counters of guests, compared with what `/proc` counts for their threads.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs, thread,
    time::{Duration, Instant},
};

use domstats::{
    Connect, DomainFilter, DomainStats, MissingReason, StatsGroups, StatsReport, StatsRequest,
    stats::Perf,
};
use domstats_live::{
    alone,
    command::domstats,
    guest::{Guest, Spec, boot_all},
    lab::lab,
    patience::{PATIENCE, wait_until},
};

fn ask(connect: &Connect, guest: &Guest) -> DomainStats {
    let request = StatsRequest::new().groups(StatsGroups::PERF).timeout(PATIENCE);
    connect.all_domain_stats(&request).unwrap().domain(guest.name()).unwrap().clone()
}

fn counts(connect: &Connect, guest: &Guest) -> Perf {
    let stats = ask(connect, guest);
    stats.perf.unwrap_or_else(|| panic!("{:?}", stats.missing))
}

/// Reads simply what each thread of a guest did: page faults, context switches, and time on a CPU
/// in nanoseconds.
fn by_thread(guest: &Guest) -> BTreeMap<OsString, [u64; 3]> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{}/task", guest.pid)).unwrap() {
        let path = entry.unwrap().path();
        // A thread may end.
        let Ok(stat) = fs::read_to_string(path.join("stat")) else { continue };
        let Ok(status) = fs::read_to_string(path.join("status")) else { continue };
        let Ok(sched) = fs::read_to_string(path.join("schedstat")) else { continue };
        let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let number = |field: usize| fields[field - 3].parse::<u64>().unwrap();
        let switches = status.lines().filter(|line| line.contains("ctxt_switches"));
        let switches = switches.map(|line| line.split_whitespace().last().unwrap());
        let counts = [
            number(10) + number(12),
            switches.map(|count| count.parse::<u64>().unwrap()).sum(),
            sched.split(' ').next().unwrap().parse().unwrap(),
        ];
        all.insert(path.file_name().unwrap().to_owned(), counts);
    }
    all
}

/// Reads simply what all threads of a guest did.
fn of_threads(guest: &Guest) -> [u64; 3] {
    let all = by_thread(guest);
    [0, 1, 2].map(|number| all.values().map(|counts| counts[number]).sum())
}

fn of_counters(perf: &Perf) -> [u64; 3] {
    [perf.page_faults, perf.context_switches, perf.task_clock].map(Option::unwrap)
}

#[test]
fn counters_agree_with_the_kernels_data_about_threads() {
    alone!();
    let guest = Spec::full("perf").running().boot();
    let connect =
        Connect::open("qemu+qmp:///system?perf=page_faults,context_switches,task_clock,cpu_clock")
            .unwrap();
    // Each of our readings lies between two of theirs, at the start and at the end.
    let [start_low, begin, start_high] =
        [of_threads(&guest), of_counters(&counts(&connect, &guest)), of_threads(&guest)];
    wait_until(PATIENCE, "the guest does not use its disk", || {
        of_threads(&guest)[2] > start_high[2] + 200_000_000
    });
    let low = of_threads(&guest);
    let perf = counts(&connect, &guest);
    let [end, high] = [of_counters(&perf), of_threads(&guest)];
    for (number, what) in ["page faults", "context switches", "nanoseconds"].iter().enumerate() {
        let least = low[number] - start_high[number];
        let most = high[number] - start_low[number];
        let counted = end[number] - begin[number];
        // Threads for I/O come and go: what one did vanishes from /proc, and stays in the counter.
        let slack = most / 20 + 20;
        let range = least.saturating_sub(slack)..=most + slack;
        assert!(range.contains(&counted), "{what}: {counted}, not in {range:?}");
    }
    assert!(end[1] > 0 && end[2] > 100_000_000, "the guest uses its disk: {perf:?}");
    assert!(perf.cpu_clock.is_some() && perf.cpu_cycles.is_none(), "{perf:?}");
}

#[test]
fn threads_that_start_later_are_counted() {
    alone!();
    let guest = Spec::new("perf").raw_disks(1).boot();
    let connect = Connect::open("qemu+qmp:///system?perf=context_switches").unwrap();
    let switches = || counts(&connect, &guest).context_switches.unwrap();
    let before = by_thread(&guest);
    let begin = switches();
    // The guest uses its disk: QEMU starts threads for that.
    guest.side().ask("cont");
    let deadline = Instant::now() + PATIENCE;
    let mut last = begin;
    loop {
        assert!(Instant::now() < deadline, "no thread came and worked");
        let now = by_thread(&guest);
        let switches_of = |is_late: bool| -> u64 {
            let of = now.iter().filter(|(tid, _)| before.contains_key(*tid) != is_late);
            of.map(|(tid, counts)| counts[1] - before.get(tid).map_or(0, |counts| counts[1])).sum()
        };
        let (late, early) = (switches_of(true), switches_of(false));
        let counted = switches();
        assert!(counted >= last, "it stepped back from {last} to {counted}");
        last = counted;
        if late > 1_000 {
            // Those between the first two readings.
            let counted = counted - begin + 100;
            assert!(counted >= early + late, "{counted} of {early} and late ones' {late}");
            break;
        }
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn uncounted_events_have_a_reason() {
    alone!();
    let guest = Spec::new("perf").boot();
    let why = |uri: &str| {
        let stats = ask(&Connect::open(uri).unwrap(), &guest);
        (stats.why_missing(StatsGroups::PERF).cloned(), stats.perf)
    };
    let (missing, perf) = why("qemu+qmp:///system");
    let missing = missing.unwrap();
    assert_eq!((missing.reason, perf), (MissingReason::Unsupported, None));
    assert!(missing.text.contains("?perf="), "{}", missing.text);

    let (missing, perf) = why("qemu+qmp:///system?perf=all");
    let perf = perf.unwrap();
    // If the processor counts everything, no reason is given.
    for (name, count) in [("cpu_cycles", perf.cpu_cycles), ("bus_cycles", perf.bus_cycles)] {
        let named = missing.as_ref().is_some_and(|missing| missing.text.contains(name));
        assert_eq!(count.is_none(), named, "{name}: {missing:?}");
    }
    assert!(missing.is_none_or(|missing| missing.reason == MissingReason::Unsupported));
    assert!(perf.task_clock.is_some() && perf.emulation_faults.is_some(), "{perf:?}");

    for list in ["", "cpu", "cmt", "all,nothing"] {
        let error = Connect::open(&format!("qemu+qmp:///system?perf={list}")).unwrap_err();
        assert!(error.to_string().contains("page_faults"), "{error}");
    }
}

#[test]
fn without_rights_it_is_denied() {
    alone!();
    let path = "/proc/sys/kernel/perf_event_paranoid";
    let paranoid: i32 = fs::read_to_string(path).unwrap().trim().parse().unwrap();
    let guest = Spec::new("perf").as_nobody().boot();
    let mut command = lab().command_as_nobody(domstats());
    let uri = "qemu+qmp:///session?perf=page_faults";
    let output = command.args(["-c", uri, "--perf", "--format", "json"]).output().unwrap();
    let report = StatsReport::from_json(&String::from_utf8(output.stdout).unwrap()).unwrap();
    let record = report.domain(guest.name()).unwrap();
    // From 2 on, only root may count the kernel's part of a process.
    match record.why_missing(StatsGroups::PERF) {
        Some(why) => assert_eq!((&why.reason, paranoid >= 2), (&MissingReason::Denied, true)),
        None => assert!(paranoid < 2 && record.perf.is_some()),
    }
}

#[test]
fn descriptors_are_returned() {
    alone!();
    let open = || {
        let all = fs::read_dir("/proc/self/fd").unwrap().flatten();
        let targets = all.filter_map(|entry| fs::read_link(entry.path()).ok());
        targets.filter(|target| target.to_string_lossy().contains("[perf_event]")).count()
    };
    let connect = Connect::open("qemu+qmp:///system?perf=page_faults,task_clock").unwrap();
    let guests = boot_all((0..3).map(|_| Spec::new("perf")));
    // Only these domains: the host may run others.
    let request = StatsRequest::new().groups(StatsGroups::PERF).timeout(PATIENCE);
    for guest in &guests {
        let domain = connect.domain_by_id(guest.pid).unwrap();
        assert!(domain.stats(&request).unwrap().perf.is_some());
    }
    assert!(open() >= 3 * 2 * 2, "two counters, two threads or more");
    drop(guests);
    connect.domains(DomainFilter::empty()).unwrap();
    assert_eq!(open(), 0);
}
