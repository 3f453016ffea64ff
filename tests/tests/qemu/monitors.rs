//! Monitors that are in use, that misbehave, or that belong to an older QEMU.

use std::{collections::HashSet, thread, time::Duration};

use domstats::{
    Connect, DomainStats, MissingReason, StatsGroups, StatsOptions, StatsReport, StatsRequest,
};
use domstats_live::{
    alone,
    compare::lacks,
    fake::Fake,
    guest::{Guest, Spec, boot_all},
    lab::lab,
    patience::{self, PATIENCE, Time, wait_until},
    procfs,
    qmp::Qmp,
};

const POLICIES: [&str; 2] = ["qemu+qmp:///system", "qemu+qmp:///system?monitor_policy=hold"];
/// More than a guest needs, even on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(2);
const SLACK: Duration = Duration::from_millis(250);

/// The groups for which this driver needs a monitor.
const OF_MONITOR: [StatsGroups; 4] =
    [StatsGroups::STATE, StatsGroups::BLOCK, StatsGroups::IOTHREAD, StatsGroups::DIRTYRATE];

fn fake(fault: &str) -> Fake {
    Fake::start(env!("CARGO_BIN_EXE_fake-qemu"), fault)
}

fn ask(connect: &Connect) -> StatsReport {
    timed(connect).0
}

fn timed(connect: &Connect) -> (StatsReport, Time) {
    let request = StatsRequest::new().timeout(TIMEOUT);
    let (report, took) = patience::time(|| connect.all_domain_stats(&request).unwrap());
    took.assert_within(TIMEOUT + SLACK);
    (report, took)
}

fn record<'a>(report: &'a StatsReport, name: &str) -> &'a DomainStats {
    report.domain(name).unwrap_or_else(|| panic!("{name} has no record: {:?}", report.missing))
}

fn assert_complete(report: &StatsReport, guest: &Guest) {
    assert_eq!(lacks(record(report, guest.name())), [""; 0], "{}", guest.name());
}

/// Calls until a guest whose monitor was in use is complete: no call waits for it longer than a
/// moment.
fn assert_recovers(connect: &Connect, guest: &Guest) {
    wait_until(PATIENCE, "the guest is complete again", || {
        lacks(record(&ask(connect), guest.name())).is_empty()
    });
}

/// Checks that everything that needs the monitor is missing for one reason, and that the rest is
/// there.
fn assert_host_side_only(record: &DomainStats, reason: &MissingReason) {
    let name = &record.domain.name;
    for group in OF_MONITOR {
        let missing = record.why_missing(group).unwrap_or_else(|| panic!("{name}: {group:?}"));
        assert_eq!(&missing.reason, reason, "{name}: {missing}");
    }
    assert_eq!(record.why_missing(StatsGroups::CPU_TOTAL), None, "{name}");
    // From the command line and the host: one NIC has a tap, one has none.
    let interface = record.interface.as_ref().unwrap();
    assert_eq!(interface.count, Some(2), "{name}");
    assert!(interface.interfaces[0].rx_bytes.is_some(), "{name}");
    let missing = record.why_missing(StatsGroups::INTERFACE).unwrap();
    assert_eq!(missing.reason, MissingReason::Unsupported, "{name}");
    assert!(record.cpu.as_ref().unwrap().time.is_some(), "{name}");
    assert!(record.balloon.as_ref().unwrap().rss.is_some(), "{name}");
}

#[test]
fn a_monitor_with_another_client_is_busy() {
    alone!();
    for uri in POLICIES {
        let guests = boot_all((0..4).map(|_| Spec::full("taken")));
        let connect = Connect::open(uri).unwrap();
        let client = Qmp::connect(&guests[1].monitor).unwrap();
        let rounds = [(); 4].map(|()| {
            let (report, took) = timed(&connect);
            assert_host_side_only(record(&report, guests[1].name()), &MissingReason::Busy);
            for number in [0, 2, 3] {
                assert_complete(&report, &guests[number]);
            }
            // Known long before the timeout.
            took.assert_within(TIMEOUT / 2);
            took.steps
        });
        // The first call gives the other client time to finish; the next ones know about it.
        assert!(rounds[1..].iter().any(|took| *took < Duration::from_millis(200)), "{rounds:?}");
        drop(client);
        assert_recovers(&connect, &guests[1]);
    }
}

#[test]
fn shared_monitors_are_free_between_calls_and_held_ones_are_not() {
    alone!();
    let guest = Spec::full("shared").boot();
    let shared = Connect::open("qemu+qmp:///system").unwrap();
    assert_complete(&ask(&shared), &guest);
    drop(Qmp::connect(&guest.monitor).unwrap());

    let held = Connect::open("qemu+qmp:///system?monitor_policy=hold").unwrap();
    assert_complete(&ask(&held), &guest);
    let report = ask(&shared);
    assert_host_side_only(record(&report, guest.name()), &MissingReason::Busy);
    held.close();
    assert_recovers(&shared, &guest);
}

#[test]
fn nowait_skips_busy_monitors() {
    alone!();
    let guests = boot_all((0..2).map(|_| Spec::full("nowait")));
    let connect = Connect::open("qemu+qmp:///system").unwrap();
    ask(&connect);
    let wedge = guests[0].wedge();
    let long = StatsRequest::new().timeout(Duration::from_secs(3));
    thread::scope(|scope| {
        // One call waits for the stuck guest for its whole timeout ...
        let waiting = scope.spawn(|| connect.all_domain_stats(&long).unwrap());
        thread::sleep(Duration::from_millis(200));
        // ... and a second one does not queue behind it.
        let request = StatsRequest::new().timeout(TIMEOUT).options(StatsOptions::NOWAIT);
        let (report, took) = patience::time(|| connect.all_domain_stats(&request).unwrap());
        assert_host_side_only(record(&report, guests[0].name()), &MissingReason::Busy);
        assert_complete(&report, &guests[1]);
        took.assert_within(TIMEOUT / 2);
        let report = waiting.join().unwrap();
        assert_host_side_only(record(&report, guests[0].name()), &MissingReason::Timeout);
    });
    drop(wedge);
}

#[test]
fn a_guest_without_a_monitor_yields_what_the_host_knows() {
    alone!();
    let guest = Spec::full("without").without_monitor().boot();
    let connect = Connect::open("qemu+qmp:///system").unwrap();
    let report = ask(&connect);
    let record = record(&report, guest.name());
    assert_host_side_only(record, &MissingReason::Unsupported);
    let missing = record.why_missing(StatsGroups::BLOCK).unwrap();
    assert!(missing.text.contains("-qmp"), "{missing}");
}

#[test]
fn monitors_can_be_named_by_a_pattern() {
    alone!();
    let guest = Spec::full("named").boot();
    let pattern = lab().path("*/qmp");
    let uri = format!("qemu+qmp:///system?monitor={}", pattern.display());
    let connect = Connect::open(&uri).unwrap();
    let report = ask(&connect);
    assert_complete(&report, &guest);
    let names: Vec<_> = report.domains.iter().map(|record| &record.domain.name).collect();
    let unique: HashSet<_> = names.iter().collect();
    assert_eq!(names.len(), unique.len(), "a guest that is found twice is listed once");
}

#[test]
fn a_correct_fake_is_complete() {
    alone!();
    // Otherwise the faults below would prove nothing.
    for fault in ["none", "events", "leftover", "slow:20"] {
        let fake = fake(fault);
        let report = ask(&Connect::open("qemu+qmp:///system").unwrap());
        let record = record(&report, &fake.name);
        assert_eq!(lacks(record), [""; 0], "{fault}");
        assert_eq!(record.domain.id, Some(fake.pid));
        assert_eq!(record.vcpu.as_ref().unwrap().current, Some(1));
    }
}

#[test]
fn a_fault_harms_only_its_own_guest() {
    alone!();
    use MissingReason::{Busy, Failed, Gone, Timeout};
    let guest = Spec::full("sound").boot();
    for uri in POLICIES {
        for (fault, reasons) in [
            ("mute", &[Timeout, Busy][..]),
            ("wrong-greeting", &[Failed]),
            ("half-greeting", &[Timeout, Busy]),
            ("half-answer", &[Timeout]),
            ("half-answer-and-close", &[Gone, Failed]),
            ("garbage", &[Failed]),
            ("nested", &[Failed]),
            ("long-line", &[Failed]),
            ("event-storm", &[Timeout, Failed]),
            ("wrong-type", &[Failed]),
            ("slow:400", &[Timeout]),
        ] {
            let fake = fake(fault);
            let connect = Connect::open(uri).unwrap();
            for round in 0..3 {
                let report = ask(&connect);
                assert_complete(&report, &guest);
                let record = record(&report, &fake.name);
                assert!(record.cpu.is_some(), "{fault}, {round}");
                let missing = record.why_missing(StatsGroups::BLOCK);
                let missing = missing.unwrap_or_else(|| panic!("{fault}, {round}: {record:?}"));
                assert!(reasons.contains(&missing.reason), "{fault}, {round}: {missing}");
                assert!(!missing.text.is_empty() && missing.text.len() < 300, "{missing}");
                assert!(missing.text.chars().all(|c| !c.is_control()), "{missing:?}");
            }
        }
    }
}

#[test]
fn many_long_lines_do_not_fill_the_memory() {
    alone!();
    let fakes: Vec<_> = (0..5).map(|_| fake("long-line")).collect();
    let before = procfs::own_peak_kib();
    let connect = Connect::open("qemu+qmp:///system?monitor_policy=hold").unwrap();
    for _ in 0..3 {
        let report = ask(&connect);
        for fake in &fakes {
            assert!(record(&report, &fake.name).block.is_none());
        }
    }
    let grown = procfs::own_peak_kib() - before;
    assert!(grown < 150 << 10, "{grown} KiB for five lines of 100 MB, three times");
}

#[test]
fn a_late_reply_is_discarded_and_the_monitor_used_again() {
    alone!();
    // Six or more replies of 50 ms each, later than a call of 100 ms.
    let fake = fake("slow:50");
    let connect = Connect::open("qemu+qmp:///system?monitor_policy=hold").unwrap();
    let short = StatsRequest::new().timeout(Duration::from_millis(100));
    let report = connect.all_domain_stats(&short).unwrap();
    let missing = record(&report, &fake.name).why_missing(StatsGroups::DIRTYRATE).unwrap();
    assert_eq!(missing.reason, MissingReason::Timeout);
    let mut report = ask(&connect);
    wait_until(PATIENCE, "the monitor is used again", || {
        report = ask(&connect);
        lacks(record(&report, &fake.name)).is_empty()
    });
    let record = record(&report, &fake.name);
    assert_eq!(record.dirtyrate.as_ref().unwrap().mode.as_deref(), Some("page-sampling"));
}

#[test]
fn a_short_timeout_does_not_spoil_a_longer_one() {
    alone!();
    for uri in POLICIES {
        // Its replies take longer than the grace for a stuck monitor.
        let fake = fake("slow:50");
        let connect = Connect::open(uri).unwrap();
        let hasty = StatsRequest::new().timeout(Duration::from_millis(100));
        let report = connect.all_domain_stats(&hasty).unwrap();
        let missing = record(&report, &fake.name).why_missing(StatsGroups::DIRTYRATE).unwrap();
        assert_eq!(missing.reason, MissingReason::Timeout);
        let patient = StatsRequest::new().timeout(PATIENCE);
        let report = connect.all_domain_stats(&patient).unwrap();
        assert_eq!(lacks(record(&report, &fake.name)), [""; 0], "{uri}");
    }
}

#[test]
fn a_command_that_an_older_qemu_lacks_makes_its_group_unsupported() {
    alone!();
    for (command, group) in [
        ("query-blockstats", StatsGroups::BLOCK),
        ("query-iothreads", StatsGroups::IOTHREAD),
        ("query-dirty-rate", StatsGroups::DIRTYRATE),
        ("query-status", StatsGroups::STATE),
        ("query-stats-schemas", StatsGroups::VM),
    ] {
        let fake = fake(&format!("lacks:{command}"));
        let report = ask(&Connect::open("qemu+qmp:///system").unwrap());
        let record = record(&report, &fake.name);
        let reasons: Vec<_> = record
            .missing
            .iter()
            .map(|missing| (missing.group.as_str(), &missing.missing.reason))
            .collect();
        let name = domstats::stats::Group::by_bit(group).unwrap().name;
        // The fake has no KVM, and nothing monitors it.
        let mut expected = vec!["perf", "memory", "vm"];
        if group != StatsGroups::VM {
            expected.push(name);
        }
        let order = |name: &&str| domstats::stats::GROUPS.iter().position(|of| of.name == *name);
        expected.sort_by_key(order);
        let expected: Vec<_> =
            expected.into_iter().map(|name| (name, &MissingReason::Unsupported)).collect();
        assert_eq!(reasons, expected, "{command}");
    }
}

#[test]
fn missing_hypervisor_statistics_are_queried_once() {
    alone!();
    // QEMU 7.1 under TCG, and an older one.
    for fault in ["none", "lacks:query-stats-schemas"] {
        for uri in POLICIES {
            let fake = fake(fault);
            let connect = Connect::open(uri).unwrap();
            let all = connect.supported_groups();
            let mut asked = Vec::new();
            for groups in [all, all, StatsGroups::CPU_TOTAL, StatsGroups::VM, all] {
                let request = StatsRequest::new().timeout(TIMEOUT).groups(groups);
                let report = connect.all_domain_stats(&request).unwrap();
                let record = record(&report, &fake.name);
                if groups.contains(StatsGroups::CPU_TOTAL) {
                    let cpu = record.cpu.as_ref().unwrap();
                    assert_eq!((cpu.haltpoll_success, cpu.haltpoll_fail), (None, None));
                    assert_eq!(record.why_missing(StatsGroups::CPU_TOTAL), None);
                }
                if groups.contains(StatsGroups::VM) {
                    let why = record.why_missing(StatsGroups::VM).unwrap();
                    assert_eq!(why.reason, MissingReason::Unsupported, "{fault}");
                    assert!(record.vm.is_none());
                }
                let commands = fake.commands();
                let new: Vec<_> = commands[asked.len()..]
                    .iter()
                    .filter(|command| command.starts_with("query-stats"))
                    .cloned()
                    .collect();
                // For the guest, its vCPUs and its crypto devices.
                let first = ["query-stats-schemas", "query-stats", "query-stats", "query-stats"];
                let expected = if asked.is_empty() { &first[..] } else { &[] };
                assert_eq!(new, expected, "{fault}, {uri}, {groups:?}");
                asked = commands;
            }
        }
    }
}

#[test]
fn a_basic_group_is_a_part_of_the_whole_group() {
    alone!();
    let guest = Spec::full("basic").boot();
    let groups = StatsGroups::BLOCK | StatsGroups::BALLOON | StatsGroups::VCPU;
    for uri in POLICIES {
        let connect = Connect::open(uri).unwrap();
        let read = |basic| {
            let request = StatsRequest::new().groups(groups).basic(basic).timeout(TIMEOUT);
            let domain = connect.domain_by_name(guest.name()).unwrap();
            let mut record = domain.stats(&request).unwrap();
            assert!(record.missing.is_empty(), "{:?}", record.missing);
            (record.block.take().unwrap().blocks, record.balloon.take().unwrap())
        };
        // Also over a held session that has queried the whole group.
        for _ in 0..2 {
            let (whole, basic) = (read(StatsGroups::empty()), read(groups));
            assert!(whole.0.iter().all(|block| block.capacity.is_some() && block.path.is_some()));
            assert_eq!(whole.0.len(), basic.0.len());
            for (whole, basic) in whole.0.iter().zip(&basic.0) {
                assert_eq!((&whole.name, whole.rd_reqs), (&basic.name, basic.rd_reqs));
                assert_eq!((&basic.path, basic.capacity), (&None, None));
            }
            assert_eq!((whole.1.current, whole.1.maximum), (basic.1.current, basic.1.maximum));
            assert!(whole.1.last_update.is_some());
            assert_eq!(basic.1.last_update, None);
        }
        connect.close();
    }
}
