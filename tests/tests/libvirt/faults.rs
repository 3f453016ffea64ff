//! The libvirt driver with guests or a daemon that are stuck, killed, or back again.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use domstats::{
    Connect, Domain, DomainFilter, DomainStats, ErrorKind, MissingReason, StatsGroups,
    StatsOptions, StatsReport, StatsRequest,
};
use domstats_live::{
    alone,
    lab::lab,
    libvirt::{Libvirt, LibvirtGuest, LibvirtSpec},
    patience::{self, PATIENCE, Stopwatch, wait_until},
};

const TIMEOUT: Duration = Duration::from_secs(2);

/// How much longer than its timeout a call may take on a busy machine.
const SLACK: Duration = Duration::from_millis(500);

fn ask(connect: &Connect) -> StatsReport {
    ask_within(connect, TIMEOUT)
}

fn ask_within(connect: &Connect, timeout: Duration) -> StatsReport {
    let request = StatsRequest::new().timeout(timeout);
    let (report, took) = patience::time(|| connect.all_domain_stats(&request).unwrap());
    took.assert_within(timeout + SLACK);
    report
}

/// Waits until all guests answer again.
fn assert_recovers(connect: &Connect, count: usize) {
    wait_until(PATIENCE, "the guests are not whole again", || {
        partial(&ask(connect), count).is_empty()
    });
}

fn is_whole(record: &DomainStats) -> bool {
    record.missing.iter().all(|group| group.missing.reason.is_expected())
        && record.iothread.is_some()
        && record.block.as_ref().is_some_and(|block| block.blocks[0].rd_reqs.is_some())
}

/// Returns the names of incomplete domains, and asserts that there are `of` domains in total.
fn partial(report: &StatsReport, of: usize) -> BTreeSet<&str> {
    assert_eq!((report.domains.len(), report.missing.len()), (of, 0), "{:?}", report.missing);
    let partial = report.domains.iter().filter(|record| !is_whole(record));
    partial.map(|record| record.domain.name.as_str()).collect()
}

/// Asserts that a stuck guest's record has what is known without it, and why there is no more.
fn assert_marked(record: &DomainStats, reason: &MissingReason) {
    assert!(record.state.is_some() && record.interface.is_some());
    for group in [StatsGroups::BLOCK, StatsGroups::IOTHREAD, StatsGroups::DIRTYRATE] {
        assert_eq!(&record.why_missing(group).unwrap().reason, reason, "{record:?}");
    }
    assert!(record.why_missing(StatsGroups::STATE).is_none());
}

fn assert_virsh_lists_at_once(libvirt: &Libvirt, count: usize) {
    let stopwatch = Stopwatch::start();
    let list = lab().run(&mut libvirt.virsh(&["list", "--name"]));
    assert_eq!(list.split_whitespace().count(), count);
    stopwatch.assert_within(Duration::from_secs(1));
}

/// Starts a libvirtd with guests that has answered calls before.
fn host(label: &str, count: usize) -> (Libvirt, Vec<LibvirtGuest>) {
    let libvirt = Libvirt::start();
    let guests = libvirt.create_many(label, count, false);
    libvirt.warm_up();
    (libvirt, guests)
}

fn names<'a>(guests: impl IntoIterator<Item = &'a LibvirtGuest>) -> BTreeSet<&'a str> {
    guests.into_iter().map(|guest| guest.name.as_str()).collect()
}

#[test]
fn three_stuck_guests_of_a_hundred_cost_the_others_nothing() {
    alone!();
    let (libvirt, guests) = host("many", 100);
    // On a busy machine a hundred guests take some time.
    let patient = StatsRequest::new().timeout(PATIENCE);
    let other = Connect::open(&libvirt.uri()).unwrap();
    let (report, took) = patience::time(|| other.all_domain_stats(&patient).unwrap());
    assert_eq!(partial(&report, 100), BTreeSet::new());
    let ask = |connect: &Connect| ask_within(connect, TIMEOUT.max(took.passed * 4));
    let stuck = [&guests[3], &guests[50], &guests[99]];
    let sound = other.domains(DomainFilter::empty()).unwrap().into_iter();
    let sound: Vec<_> = sound.filter(|domain| !names(stuck).contains(domain.name())).collect();
    stuck.iter().for_each(|guest| guest.freeze());

    let connect = Connect::open(&libvirt.uri()).unwrap();
    let report = ask(&connect);
    assert_eq!(partial(&report, 100), names(stuck));
    for guest in stuck {
        assert_marked(report.domain(&guest.name).unwrap(), &MissingReason::Timeout);
    }
    for _ in 0..10 {
        // The time that the others take now, since the machine may be busier than before.
        let ((), took) = patience::time(|| drop(Domain::list_stats(&sound, &patient).unwrap()));
        let timeout = TIMEOUT.max(took.passed * 4);
        let (report, took) = patience::time(|| ask_within(&connect, timeout));
        assert_eq!(partial(&report, 100), names(stuck));
        // The call does not wait for them.
        took.assert_within(timeout * 3 / 4);
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
    wait_until(PATIENCE, "the guests are not whole again", || {
        partial(&ask(&connect), 100).is_empty()
    });
}

/// In the queue of a blocked daemon a call stays, and all calls after it; on a busy host one is
/// there while its thread starts.
fn assert_none_stays_queued(libvirt: &Libvirt) {
    wait_until(PATIENCE, "calls stay queued", || libvirt.workers().queued == 0);
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
        // Guests that could answer are not queried: each may be stuck too.
        for guest in sound {
            let missing = report.domain(&guest.name).unwrap().why_missing(StatsGroups::BLOCK);
            assert!(missing.is_none_or(|missing| missing.text.starts_with("not asked")));
        }
        let workers = libvirt.workers();
        // The share of one connection of ours is 8.
        assert!(workers.maximum - workers.current + workers.free >= 12, "{workers:?}");
        assert_none_stays_queued(&libvirt);
        let stopwatch = Stopwatch::start();
        lab().run(&mut libvirt.virsh(&["domstats", "--state"]));
        stopwatch.assert_within(Duration::from_secs(1));
        assert_virsh_lists_at_once(&libvirt, 24);
    }
    stuck.iter().for_each(LibvirtGuest::thaw);
    assert_recovers(&connect, 24);
}

#[test]
fn a_guest_that_another_client_queries_is_queried_again() {
    alone!();
    let (libvirt, guests) = host("asked", 1);
    let guest = &guests[0];
    let connect = Connect::open(&libvirt.uri()).unwrap();
    thread::scope(|scope| {
        let asker = scope.spawn(|| {
            for _ in 0..40 {
                let other = Connect::open(&libvirt.uri()).unwrap();
                assert!(is_whole(ask(&other).domain(&guest.name).unwrap()));
            }
        });
        let mut asked = 0;
        while !asker.is_finished() || asked < 10 {
            assert!(is_whole(ask(&connect).domain(&guest.name).unwrap()));
            asked += 1;
        }
    });
}

#[test]
fn calls_of_many_threads_do_not_wait_for_each_others_stuck_guests() {
    alone!();
    let (libvirt, guests) = host("threads", 5);
    guests[0].freeze();
    let connect = Connect::open(&libvirt.uri()).unwrap();
    let patient = StatsRequest::new().timeout(PATIENCE);
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
fn nowait_skips_monitors_of_other_clients() {
    alone!();
    let (libvirt, guests) = host("nowait", 1);
    let guest = &guests[0];
    guest.freeze();
    let first = Connect::open(&libvirt.uri()).unwrap();
    let short = StatsRequest::new().timeout(Duration::from_millis(200));
    first.all_domain_stats(&short).unwrap();
    let stopwatch = Stopwatch::start();
    let nowait = StatsRequest::new().timeout(PATIENCE).options(StatsOptions::NOWAIT);
    let report = Connect::open(&libvirt.uri()).unwrap().all_domain_stats(&nowait).unwrap();
    stopwatch.assert_within(Duration::from_secs(1));
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
    wait_until(PATIENCE, "the guest is not whole again", || {
        connect
            .all_domain_stats(&StatsRequest::new().timeout(TIMEOUT))
            .is_ok_and(|report| is_whole(report.domain(&guest.name).unwrap()))
    });
}

#[test]
fn a_daemon_restarted_during_calls_loses_and_duplicates_nothing() {
    alone!();
    let (mut libvirt, guests) = host("restart", 12);
    let connect = Connect::open(&libvirt.uri()).unwrap();
    let request = StatsRequest::new().timeout(PATIENCE);
    let (is_over, made) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let poller = scope.spawn(|| {
            let mut reports = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                reports.push(connect.all_domain_stats(&request));
                made.fetch_add(1, Ordering::Relaxed);
            }
            reports
        });
        let wait_for_calls = || {
            let enough = made.load(Ordering::Relaxed) + 4;
            wait_until(PATIENCE, "no calls are made", || {
                poller.is_finished() || made.load(Ordering::Relaxed) >= enough
            });
        };
        for _ in 0..3 {
            wait_for_calls();
            libvirt.kill();
            thread::sleep(Duration::from_millis(150));
            libvirt.restart();
        }
        wait_for_calls();
        is_over.store(true, Ordering::Relaxed);
        let reports = poller.join().unwrap();
        let mut whole = 0;
        for report in &reports {
            // While the daemon restarts there may be none to connect to.
            let Ok(report) = report else { continue };
            let names: BTreeSet<_> =
                report.domains.iter().map(|record| record.domain.name.as_str()).collect();
            assert_eq!(names.len(), report.domains.len(), "a record is duplicated");
            whole += usize::from(names.len() == 12 && report.missing.is_empty());
        }
        let failed = reports.iter().filter(|report| report.is_err()).count();
        assert!(whole > 10 && failed * 4 < reports.len(), "{whole} whole, {failed} failed");
    });
    assert_eq!(partial(&ask(&connect), 12), BTreeSet::new());
    assert_eq!(guests.len(), 12);
}

#[test]
fn a_missing_daemon_is_an_error_and_its_return_is_noticed() {
    alone!();
    let mut libvirt = LibvirtSpec::default().start();
    let connect = Connect::open(&libvirt.uri()).unwrap();
    libvirt.kill();
    let stopwatch = Stopwatch::start();
    let short = StatsRequest::new().timeout(Duration::from_millis(300));
    let error = connect.all_domain_stats(&short).unwrap_err();
    stopwatch.assert_within(Duration::from_millis(800));
    assert_eq!(error.kind(), ErrorKind::NoConnect, "{error}");
    assert!(!connect.is_alive());
    libvirt.restart();
    assert!(ask(&connect).domains.is_empty());
    assert!(connect.is_alive());
}

#[test]
fn a_daemon_just_started_gives_at_once_what_needs_no_monitor() {
    alone!();
    let libvirt = Libvirt::start();
    let guests = libvirt.create_many("fresh", 3, false);
    // Much less than it needs for its first query of CPU times, and enough on a busy machine.
    let (_, took) = patience::time(|| lab().run(&mut libvirt.virsh(&["list"])));
    let timeout = Duration::from_millis(600).max(took.passed * 5);
    let short = StatsRequest::new().timeout(timeout);
    let report = Connect::open(&libvirt.uri()).unwrap().all_domain_stats(&short).unwrap();
    assert_eq!(report.domains.len(), guests.len());
    for record in &report.domains {
        assert!(record.state.is_some() && record.interface.is_some(), "{record:?}");
    }
}
