//! The libvirt driver when guests or the daemon are stuck, killed, or back again.

use std::{
    collections::BTreeSet,
    thread,
    time::{Duration, Instant},
};

use domstats::{
    Connect, DomainStats, ErrorKind, MissingReason, StatsGroups, StatsOptions, StatsReport,
    StatsRequest,
};
use domstats_live::{
    alone,
    lab::lab,
    libvirt::{Libvirt, LibvirtGuest, LibvirtSpec},
    patience::Stopwatch,
};

const TIMEOUT: Duration = Duration::from_secs(2);

/// What a call may take beyond its timeout on a busy machine.
const SLACK: Duration = Duration::from_millis(500);

fn ask(connect: &Connect) -> StatsReport {
    let stopwatch = Stopwatch::start();
    let report = connect.all_domain_stats(&StatsRequest::new().timeout(TIMEOUT)).unwrap();
    stopwatch.assert_within(TIMEOUT + SLACK);
    report
}

fn is_whole(record: &DomainStats) -> bool {
    record.missing.iter().all(|group| group.missing.reason.is_expected())
        && record.iothread.is_some()
        && record.block.as_ref().is_some_and(|block| block.blocks[0].rd_reqs.is_some())
}

/// Returns the names of the domains that lack something, and asserts that they are `of` in all.
fn partial(report: &StatsReport, of: usize) -> BTreeSet<&str> {
    assert_eq!((report.domains.len(), report.missing.len()), (of, 0), "{:?}", report.missing);
    let partial = report.domains.iter().filter(|record| !is_whole(record));
    partial.map(|record| record.domain.name.as_str()).collect()
}

/// Asserts that a record says of a stuck guest what is known without it, and why not more.
fn assert_marked(record: &DomainStats, reason: &MissingReason) {
    assert!(record.state.is_some() && record.interface.is_some());
    for group in [StatsGroups::BLOCK, StatsGroups::IOTHREAD, StatsGroups::DIRTYRATE] {
        assert_eq!(&record.why_missing(group).unwrap().reason, reason, "{record:?}");
    }
    assert!(record.why_missing(StatsGroups::STATE).is_none());
}

fn assert_virsh_lists_at_once(libvirt: &Libvirt, count: usize) {
    let start = Instant::now();
    let list = lab().run(&mut libvirt.virsh(&["list", "--name"]));
    assert_eq!(list.split_whitespace().count(), count);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

/// Starts a libvirtd with guests that has served before: the first call for CPU times of its life
/// takes it more than a second.
fn host(label: &str, count: usize) -> (Libvirt, Vec<LibvirtGuest>) {
    let libvirt = Libvirt::start();
    let guests = libvirt.create_many(label, count, false);
    lab().run(&mut libvirt.virsh(&["domstats", "--cpu-total"]));
    (libvirt, guests)
}

fn names<'a>(guests: impl IntoIterator<Item = &'a LibvirtGuest>) -> BTreeSet<&'a str> {
    guests.into_iter().map(|guest| guest.name.as_str()).collect()
}

#[test]
fn three_stuck_guests_of_a_hundred_cost_nobody_else_anything() {
    alone!();
    let (libvirt, guests) = host("many", 100);
    let stuck = [&guests[3], &guests[50], &guests[99]];
    stuck.iter().for_each(|guest| guest.freeze());

    let connect = Connect::open(&libvirt.uri()).unwrap();
    let report = ask(&connect);
    assert_eq!(partial(&report, 100), names(stuck));
    for guest in stuck {
        assert_marked(report.domain(&guest.name).unwrap(), &MissingReason::Timeout);
    }
    for _ in 0..10 {
        let start = Instant::now();
        let report = ask(&connect);
        assert_eq!(partial(&report, 100), names(stuck));
        assert!(start.elapsed() < TIMEOUT, "nobody waits for them: {:?}", start.elapsed());
        // What the daemon knows without the monitor is there all the same.
        let record = report.domain(&stuck[0].name).unwrap();
        assert!(record.cpu.as_ref().unwrap().time.is_some());
        assert_marked(record, &MissingReason::Timeout);
    }
    let workers = libvirt.workers();
    assert!(workers.maximum - workers.current + workers.free >= 16, "{workers:?}");
    assert_none_stays_queued(&libvirt);
    assert_virsh_lists_at_once(&libvirt, 100);

    // A program that starts anew each time takes no more of the daemon either.
    for _ in 0..3 {
        let report = ask(&Connect::open(&libvirt.uri()).unwrap());
        assert_eq!(partial(&report, 100), names(stuck));
        assert_marked(report.domain(&stuck[1].name).unwrap(), &MissingReason::Busy);
    }
    let workers = libvirt.workers();
    assert!(workers.maximum - workers.current + workers.free >= 16, "{workers:?}");

    stuck.iter().for_each(|guest| guest.thaw());
    thread::sleep(Duration::from_millis(100));
    ask(&connect);
    assert_eq!(partial(&ask(&connect), 100), BTreeSet::new());
}

/// In the queue of a daemon that is jammed a call stays, and all calls after it; on a busy host one is
/// there while the thread for it starts.
fn assert_none_stays_queued(libvirt: &Libvirt) {
    let deadline = Instant::now() + Duration::from_secs(1);
    while libvirt.workers().queued > 0 {
        assert!(Instant::now() < deadline, "{:?}", libvirt.workers());
    }
}

#[test]
fn more_stuck_guests_than_the_share_leave_the_daemon_its_workers() {
    alone!();
    let (libvirt, guests) = host("share", 24);
    let (stuck, sound) = guests.split_at(20);
    stuck.iter().for_each(LibvirtGuest::freeze);
    let connect = Connect::open(&libvirt.uri()).unwrap();
    for _ in 0..4 {
        let report = ask(&connect);
        assert_eq!(report.domains.len(), 24);
        let blind = report.domains.iter().find(|record| record.interface.is_none());
        assert_eq!(blind, None);
        // Those that could answer are not asked: each may be stuck too.
        for guest in sound {
            let missing = report.domain(&guest.name).unwrap().why_missing(StatsGroups::BLOCK);
            assert!(missing.is_none_or(|missing| missing.text.starts_with("not asked")));
        }
        let workers = libvirt.workers();
        // 8 is the share of one connection of ours.
        assert!(workers.maximum - workers.current + workers.free >= 12, "{workers:?}");
        assert_none_stays_queued(&libvirt);
        let start = Instant::now();
        lab().run(&mut libvirt.virsh(&["domstats", "--state"]));
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
        assert_virsh_lists_at_once(&libvirt, 24);
    }
    stuck.iter().for_each(LibvirtGuest::thaw);
    thread::sleep(Duration::from_millis(300));
    ask(&connect);
    assert_eq!(partial(&ask(&connect), 24), BTreeSet::new());
}

#[test]
fn a_guest_that_somebody_else_asks_is_asked_again() {
    alone!();
    let (libvirt, guests) = host("asked", 1);
    let guest = &guests[0];
    let connect = Connect::open(&libvirt.uri()).unwrap();
    thread::scope(|scope| {
        let asker = scope.spawn(|| {
            let start = Instant::now();
            while start.elapsed() < Duration::from_secs(2) {
                let other = Connect::open(&libvirt.uri()).unwrap();
                assert!(is_whole(ask(&other).domain(&guest.name).unwrap()));
            }
        });
        let mut asked = 0;
        while !asker.is_finished() {
            assert!(is_whole(ask(&connect).domain(&guest.name).unwrap()));
            asked += 1;
        }
        assert!(asked > 10);
    });
}

#[test]
fn calls_of_many_threads_do_not_wait_for_each_others_stuck_guests() {
    alone!();
    let (libvirt, guests) = host("threads", 5);
    guests[0].freeze();
    let connect = Connect::open(&libvirt.uri()).unwrap();
    let patient = StatsRequest::new().timeout(Duration::from_secs(6));
    thread::scope(|scope| {
        let slow = scope.spawn(|| connect.all_domain_stats(&patient).unwrap());
        thread::sleep(Duration::from_millis(300));
        for _ in 0..3 {
            let report = ask(&connect);
            assert_eq!(partial(&report, 5), names([&guests[0]]));
        }
        assert!(!slow.is_finished(), "the patient call waits for the stuck guest");
        guests[0].thaw();
        assert_eq!(partial(&slow.join().unwrap(), 5), BTreeSet::new());
    });
}

#[test]
fn nowait_waits_for_no_monitor_that_somebody_else_has() {
    alone!();
    let (libvirt, guests) = host("nowait", 1);
    let guest = &guests[0];
    guest.freeze();
    let first = Connect::open(&libvirt.uri()).unwrap();
    let short = StatsRequest::new().timeout(Duration::from_millis(200));
    first.all_domain_stats(&short).unwrap();
    let start = Instant::now();
    let nowait = StatsRequest::new().timeout(TIMEOUT).options(StatsOptions::NOWAIT);
    let report = Connect::open(&libvirt.uri()).unwrap().all_domain_stats(&nowait).unwrap();
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
    assert_marked(report.domain(&guest.name).unwrap(), &MissingReason::Busy);
    guest.thaw();
}

#[test]
fn a_stopped_daemon_is_an_error_within_the_timeout() {
    alone!();
    let (libvirt, guests) = host("stopped", 1);
    let guest = &guests[0];
    let connect = Connect::open(&libvirt.uri()).unwrap();
    ask(&connect);
    libvirt.freeze();
    for _ in 0..2 {
        let stopwatch = Stopwatch::start();
        let error = connect.all_domain_stats(&StatsRequest::new().timeout(TIMEOUT)).unwrap_err();
        stopwatch.assert_within(TIMEOUT + SLACK);
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        assert!(error.to_string().contains("did not answer"), "{error}");
    }
    libvirt.thaw();
    thread::sleep(Duration::from_millis(100));
    assert!(is_whole(ask(&connect).domain(&guest.name).unwrap()));
}

#[test]
fn a_daemon_that_is_killed_and_started_during_calls_loses_and_doubles_nothing() {
    alone!();
    let (mut libvirt, guests) = host("restart", 12);
    let connect = Connect::open(&libvirt.uri()).unwrap();
    let request = StatsRequest::new().timeout(Duration::from_secs(10));
    thread::scope(|scope| {
        let (connect, request) = (&connect, &request);
        let poller = scope.spawn(move || {
            let end = Instant::now() + Duration::from_secs(8);
            let mut reports = Vec::new();
            while Instant::now() < end {
                reports.push(connect.all_domain_stats(request));
            }
            reports
        });
        for _ in 0..3 {
            thread::sleep(Duration::from_millis(700));
            libvirt.kill();
            thread::sleep(Duration::from_millis(150));
            libvirt.restart();
        }
        let reports = poller.join().unwrap();
        assert!(reports.len() > 10);
        let mut whole = 0;
        for report in &reports {
            // Between two daemons there may be none to connect to.
            let Ok(report) = report else { continue };
            let names: BTreeSet<_> =
                report.domains.iter().map(|record| record.domain.name.as_str()).collect();
            assert_eq!(names.len(), report.domains.len(), "a record is doubled");
            whole += usize::from(names.len() == 12 && report.missing.is_empty());
        }
        let failed = reports.iter().filter(|report| report.is_err()).count();
        assert!(whole > 10 && failed * 4 < reports.len(), "{whole} whole, {failed} failed");
    });
    assert_eq!(partial(&ask(&connect), 12), BTreeSet::new());
    assert_eq!(guests.len(), 12);
}

#[test]
fn a_daemon_that_is_gone_is_an_error_and_its_return_is_noticed() {
    alone!();
    let mut libvirt = LibvirtSpec::default().start();
    let connect = Connect::open(&libvirt.uri()).unwrap();
    libvirt.kill();
    let start = Instant::now();
    let short = StatsRequest::new().timeout(Duration::from_millis(300));
    let error = connect.all_domain_stats(&short).unwrap_err();
    assert!(start.elapsed() < Duration::from_millis(800), "{:?}", start.elapsed());
    assert_eq!(error.kind(), ErrorKind::NoConnect, "{error}");
    assert!(!connect.is_alive());
    libvirt.restart();
    assert!(ask(&connect).domains.is_empty());
    assert!(connect.is_alive());
}

#[test]
fn a_daemon_that_was_just_started_gives_at_once_what_needs_no_monitor() {
    alone!();
    let libvirt = Libvirt::start();
    let guests = libvirt.create_many("fresh", 3, false);
    let short = StatsRequest::new().timeout(Duration::from_millis(600));
    let report = Connect::open(&libvirt.uri()).unwrap().all_domain_stats(&short).unwrap();
    assert_eq!(report.domains.len(), guests.len());
    for record in &report.domains {
        assert!(record.state.is_some() && record.interface.is_some(), "{record:?}");
    }
}
