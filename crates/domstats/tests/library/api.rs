//! The semantics of the bulk call, as libvirt ships it, through the public API.
//!
//! Numbers are libvirt's: error codes of `virErrorNumber`, origins of `virErrorDomain`
//! (12 is the test driver, 20 the checks on domains), flags of `virConnectGetAllDomainStatsFlags`.

use std::{
    collections::HashSet,
    fs, thread,
    time::{Duration, SystemTime},
};

use domstats::{
    Connect, ConnectOptions, Domain, DomainFilter, DomainInfo, DomainStats, Error, MissingReason,
    StatsGroups, StatsOptions, StatsReport, StatsRequest, Uuid, stats::GROUPS,
};
use domstats_patience::{self as patience, PATIENCE, Stopwatch};

fn open() -> Connect {
    Connect::open("test:///default?clock=fixed").unwrap()
}

fn domains(connect: &Connect) -> Vec<Domain> {
    connect.domains(DomainFilter::empty()).unwrap()
}

fn names(report: &StatsReport) -> Vec<&str> {
    let records = report.domains.iter();
    records.map(|stats| stats.domain.name.as_str()).collect()
}

/// libvirt's error number and error domain.
fn numbers(error: &Error) -> (i32, i32) {
    (error.code(), error.origin().code())
}

fn refused<T: std::fmt::Debug>(result: domstats::Result<T>) -> (i32, i32) {
    let error = result.unwrap_err();
    assert!(!error.to_string().is_empty());
    numbers(&error)
}

// ---- lists of domains ----

#[test]
fn an_empty_list_is_an_error() {
    assert_eq!(refused(Domain::list_stats(&[], &StatsRequest::new())), (8, 20));
}

#[test]
fn domains_of_two_connections_are_an_error() {
    let (here, there) = (domains(&open()), domains(&open()));
    let mixed = [here[0].clone(), there[1].clone()];
    let result = Domain::list_stats(&mixed, &StatsRequest::new());
    assert_eq!(refused(result), (8, 20));
}

#[test]
fn a_clone_of_a_connection_is_the_same_connection() {
    let connect = open();
    let mut list = domains(&connect);
    list.extend(domains(&connect.clone()));
    list.extend(domains(&list[0].connect()));
    let report = Domain::list_stats(&list, &StatsRequest::new()).unwrap();
    assert_eq!(report.domains.len(), 12);
}

/// The draft in the RFC left the first domain out of this check.
#[test]
fn a_domain_of_a_closed_connection_is_an_error_wherever_it_stands() {
    let (open, closed) = (open(), open());
    let good = domains(&open).remove(0);
    let bad = domains(&closed).remove(1);
    closed.close();
    for list in [
        vec![bad.clone()],
        vec![bad.clone(), good.clone()],
        vec![good.clone(), bad.clone()],
        vec![good.clone(), good.clone(), bad.clone()],
    ] {
        let result = Domain::list_stats(&list, &StatsRequest::new());
        assert_eq!(refused(result), (7, 20), "{list:?}");
    }
    assert_eq!(refused(bad.stats(&StatsRequest::new())), (7, 20));
    assert!(good.stats(&StatsRequest::new()).is_ok());
}

/// A server of libvirt's protocol names domains as its clients do: libvirt goes by the UUID alone.
#[test]
fn a_listed_domain_is_that_with_its_uuid() {
    let connect = open();
    let named = |uuid| {
        let mut info = DomainInfo::default();
        (info.name, info.uuid) = ("another".into(), Some(uuid));
        connect.domain(info)
    };
    let list = domains(&connect);
    let mut wanted: Vec<_> = list.iter().map(|domain| named(domain.uuid().unwrap())).collect();
    wanted.push(named(Uuid::from_u128(7)));
    let report = Domain::list_stats(&wanted, &StatsRequest::new()).unwrap();
    assert_eq!(names(&report), ["vm1", "vm2", "vm3", "vm4"]);
    assert_eq!(report.missing.len(), 1);
    // Made-up domains are in no libvirt.
    #[cfg(feature = "libvirt")]
    assert!(domstats::wire::Relay::of(&connect).is_none());
}

/// The draft in the RFC did not count the first domain.
#[test]
fn the_first_domain_of_a_list_is_asked_too() {
    let list = domains(&open());
    for domain in &list {
        let report =
            Domain::list_stats(std::slice::from_ref(domain), &StatsRequest::new()).unwrap();
        assert_eq!(names(&report), [domain.name()]);
    }
    let report = Domain::list_stats(&list[..2], &StatsRequest::new()).unwrap();
    assert_eq!(names(&report), ["vm1", "vm2"]);
}

#[test]
fn a_list_keeps_its_order_and_its_duplicates() {
    let list = domains(&open());
    let list = [3, 0, 0, 2, 3].map(|at: usize| list[at].clone());
    let report = Domain::list_stats(&list, &StatsRequest::new()).unwrap();
    assert_eq!(names(&report), ["vm4", "vm1", "vm1", "vm3", "vm4"]);
    assert_eq!(report.domains[1], report.domains[2]);
    assert!(report.domains[2].block.is_some());
}

#[test]
fn a_vanished_domain_in_a_list_is_no_error_and_visible() {
    let connect = Connect::open("test:///default?vanish=vm1&vanish=vm3").unwrap();
    let list = domains(&connect);
    let report = Domain::list_stats(&list, &StatsRequest::new()).unwrap();
    assert_eq!(names(&report), ["vm2", "vm4"]);
    let missing: Vec<_> = report
        .missing
        .iter()
        .map(|missing| (missing.domain.name.as_str(), &missing.missing.reason))
        .collect();
    assert_eq!(missing, [("vm1", &MissingReason::Gone), ("vm3", &MissingReason::Gone)]);
    let only_gone = Domain::list_stats(&list[..1], &StatsRequest::new()).unwrap();
    assert_eq!(only_gone.domains.len(), 0);
}

#[test]
fn a_filter_applies_to_a_list() {
    let list = domains(&open());
    let request = StatsRequest::new().filter(DomainFilter::RUNNING);
    let report = Domain::list_stats(&list, &request).unwrap();
    assert_eq!(names(&report), ["vm1", "vm3"]);
}

#[test]
fn one_domain_gives_its_record() {
    let list = domains(&open());
    let stats = list[2].stats(&StatsRequest::new()).unwrap();
    assert_eq!(&stats.domain, list[2].info());
    let everything = open().all_domain_stats(&StatsRequest::new()).unwrap();
    assert_eq!(Some(&stats), everything.domain("vm3"));
    let none = list[2].stats(&StatsRequest::new().filter(DomainFilter::PAUSED));
    assert_eq!(refused(none), (42, 12));
}

// ---- flags and groups ----

#[test]
fn unknown_flags_are_an_error() {
    let connect = open();
    let list = domains(&connect);
    // 1 << 8 is a flag of virConnectListAllDomains, and none of the statistics.
    for bit in (8..29).map(|shift| 1 << shift) {
        let request = StatsRequest::from_flags(0, bit);
        assert_eq!(refused(connect.all_domain_stats(&request)), (8, 12));
        assert_eq!(refused(Domain::list_stats(&list, &request)), (8, 12));
        let filter = DomainFilter::from_bits_retain(bit);
        assert_eq!(refused(connect.domains(filter)), (8, 12));
    }
}

#[test]
fn an_unknown_group_is_an_error_only_if_enforced() {
    let connect = open();
    let list = domains(&connect);
    for groups in [1 << 20, 1 << 11, (1 << 31) | 1] {
        let enforced = StatsRequest::from_flags(groups, 1 << 31);
        assert_eq!(refused(connect.all_domain_stats(&enforced)), (74, 12));
        assert_eq!(refused(Domain::list_stats(&list, &enforced)), (74, 12));
    }
    let report = connect.all_domain_stats(&StatsRequest::from_flags(1 << 20, 0)).unwrap();
    assert_eq!(names(&report), ["vm1", "vm2", "vm3", "vm4"]);
    for stats in &report.domains {
        assert_eq!(stats.params(), []);
        assert_eq!(stats.missing, []);
    }
}

#[test]
fn every_known_group_can_be_enforced() {
    let connect = open();
    for groups in [0, 0x7ff] {
        let request = StatsRequest::from_flags(groups, 1 << 31);
        assert_eq!(connect.all_domain_stats(&request).unwrap().domains.len(), 4);
    }
}

#[test]
fn no_group_means_every_group_of_libvirt() {
    let connect = open();
    let none = connect.all_domain_stats(&StatsRequest::new()).unwrap();
    let all = StatsRequest::new().groups(StatsGroups::of_libvirt());
    assert_eq!(none, connect.all_domain_stats(&all).unwrap());
    let full = none.domain("vm3").unwrap();
    assert_eq!(full.groups(), StatsGroups::of_libvirt());
    // Others are read only if they are named.
    let request = StatsRequest::from_flags(1 << 25, 1 << 31);
    let named = connect.all_domain_stats(&request).unwrap();
    assert_eq!(named.domain("vm3").unwrap().groups(), StatsGroups::CRYPTODEV);
    assert_eq!(full.groups() | StatsGroups::CRYPTODEV, connect.supported_groups());
}

/// The groups that a record gives or explains.
fn answered(stats: &DomainStats) -> StatsGroups {
    let missing = GROUPS.iter().map(|group| group.bit);
    stats.groups()
        | missing.filter(|bit| stats.why_missing(*bit).is_some()).collect::<StatsGroups>()
}

#[test]
fn the_mask_selects_exactly_its_groups() {
    let connect = open();
    for mask in 1..0x7ff {
        let groups = StatsGroups::from_bits_retain(mask);
        let request = StatsRequest::new().groups(groups);
        let report = connect.all_domain_stats(&request).unwrap();
        for stats in &report.domains {
            assert_eq!(answered(stats), groups, "{}", stats.domain.name);
        }
        assert_eq!(report.domain("vm3").unwrap().groups(), groups);
    }
}

#[test]
fn cpu_is_the_totals_and_each_vcpu() {
    assert_eq!(StatsGroups::CPU.bits(), 2 | 8);
    let request = StatsRequest::new().groups(StatsGroups::CPU);
    let report = open().all_domain_stats(&request).unwrap();
    let stats = report.domain("vm1").unwrap();
    assert!(stats.cpu.is_some() && stats.vcpu.is_some());
    assert_eq!(stats.groups(), StatsGroups::CPU_TOTAL | StatsGroups::VCPU);
}

#[test]
fn integers_mean_what_they_mean_in_libvirt() {
    let names = |flags| {
        let report = open().all_domain_stats(&StatsRequest::from_flags(1, flags)).unwrap();
        let records = report.domains.into_iter();
        records.map(|stats| stats.domain.name).collect::<Vec<_>>()
    };
    assert_eq!(names(0), ["vm1", "vm2", "vm3", "vm4"]);
    for (flag, matching) in [
        (1, &["vm1", "vm2", "vm3"][..]),  // active
        (1 << 1, &["vm4"]),               // inactive
        (1 << 2, &["vm1", "vm3", "vm4"]), // persistent
        (1 << 3, &["vm2"]),               // transient
        (1 << 4, &["vm1", "vm3"]),        // running
        (1 << 5, &["vm2"]),               // paused
        (1 << 6, &["vm4"]),               // shut off
        (1 << 7, &[]),                    // other
    ] {
        assert_eq!(names(flag), matching, "{flag:#x}");
        // No option changes which domains there are.
        assert_eq!(names(flag | 7 << 29), matching, "{flag:#x}");
    }

    let groups = (0..11).map(|bit| 1 << bit).zip(GROUPS);
    for (bit, group) in groups {
        let request = StatsRequest::from_flags(bit, 0);
        let report = open().all_domain_stats(&request).unwrap();
        assert_eq!(report.domain("vm3").unwrap().groups(), group.bit);
    }

    let backing = |flags| {
        let report = open().all_domain_stats(&StatsRequest::from_flags(32, flags)).unwrap();
        report.domain("vm1").unwrap().block.as_ref().unwrap().blocks.len()
    };
    assert_eq!((backing(0), backing(1 << 30)), (2, 3));
}

#[test]
fn filter_bits_are_or_in_a_class_and_and_between_classes() {
    let connect = open();
    let names = |filter| {
        let request = StatsRequest::new().groups(StatsGroups::CPU).filter(filter);
        let report = connect.all_domain_stats(&request).unwrap();
        let listed = connect.domains(filter).unwrap();
        let stats: Vec<_> = names(&report).into_iter().map(str::to_owned).collect();
        let listed: Vec<_> = listed.iter().map(|domain| domain.name().to_owned()).collect();
        assert_eq!(stats, listed, "{filter:?}");
        stats
    };
    use DomainFilter as F;
    assert_eq!(names(F::RUNNING | F::PAUSED), ["vm1", "vm2", "vm3"]);
    assert_eq!(names(F::PAUSED | F::SHUTOFF), ["vm2", "vm4"]);
    assert_eq!(names(F::ACTIVE | F::INACTIVE), ["vm1", "vm2", "vm3", "vm4"]);
    assert_eq!(names(F::ACTIVE | F::PERSISTENT), ["vm1", "vm3"]);
    assert_eq!(names(F::PERSISTENT | F::PAUSED), [""; 0]);
    assert_eq!(names(F::ACTIVE | F::SHUTOFF), [""; 0]);
    assert_eq!(names(F::ACTIVE | F::SHUTOFF | F::PAUSED), ["vm2"]);
    assert_eq!(names(F::all_known()), ["vm1", "vm2", "vm3", "vm4"]);
}

#[test]
fn enforce_is_no_error_when_no_domain_matches() {
    let request = StatsRequest::new()
        .filter(DomainFilter::ACTIVE | DomainFilter::SHUTOFF)
        .options(StatsOptions::ENFORCE_STATS);
    let report = open().all_domain_stats(&request).unwrap();
    assert!(report.domains.is_empty() && report.missing.is_empty());
}

// ---- connections and lookups ----

#[test]
fn a_connection_says_what_it_is() {
    let connect = open();
    assert_eq!(connect.uri(), "test:///default?clock=fixed");
    assert_eq!(connect.driver_name(), "TEST");
    let hostname = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(connect.hostname(), hostname.trim());
    assert!(connect.is_alive());
    assert_eq!(connect.supported_groups(), StatsGroups::all_known());
}

#[test]
fn a_uri_is_checked_without_a_connection() {
    let check = |uri| Connect::check(uri, &ConnectOptions::new());
    // Nobody listens there: only who opens it learns that.
    for uri in ["test:///default", "qemu+qmp:///system", "qemu+unix:///system?socket=/nowhere"] {
        check(uri).unwrap();
    }
    for uri in ["test:///default?hold=1", "qemu+qmp://elsewhere/system", "no URI"] {
        refused(check(uri));
    }
}

#[test]
fn a_closed_connection_refuses_every_call() {
    let connect = open();
    let other = connect.clone();
    connect.close();
    assert!(!other.is_alive());
    for connect in [connect, other] {
        assert_eq!(refused(connect.all_domain_stats(&StatsRequest::new())), (6, 20));
        assert_eq!(refused(connect.domains(DomainFilter::empty())), (6, 20));
        assert_eq!(refused(connect.domain_by_name("vm1")), (6, 20));
        assert_eq!(refused(connect.domain_by_uuid(Uuid::nil())), (6, 20));
        assert_eq!(refused(connect.domain_by_id(1)), (6, 20));
    }
}

#[test]
fn domains_are_found_by_name_uuid_and_id() {
    let connect = open();
    for domain in domains(&connect) {
        let by_name = connect.domain_by_name(domain.name()).unwrap();
        assert_eq!(by_name.info(), domain.info());
        let by_uuid = connect.domain_by_uuid(domain.uuid().unwrap()).unwrap();
        assert_eq!(by_uuid.info(), domain.info());
        if let Some(id) = domain.id() {
            assert_eq!(connect.domain_by_id(id).unwrap().info(), domain.info());
        }
    }
    assert_eq!(refused(connect.domain_by_name("vm5")), (42, 12));
    assert_eq!(refused(connect.domain_by_name("")), (42, 12));
    assert_eq!(refused(connect.domain_by_uuid(Uuid::nil())), (42, 12));
    // vm4 is shut off and has no id.
    assert_eq!(refused(connect.domain_by_id(4)), (42, 12));
}

#[test]
fn all_means_by_name() {
    let connect = Connect::open("test:///default?domains=11").unwrap();
    let report = connect.all_domain_stats(&StatsRequest::new()).unwrap();
    let listed = domains(&connect);
    let listed: Vec<_> = listed.iter().map(Domain::name).collect();
    assert_eq!(names(&report), listed);
    assert_eq!(listed[..4], ["vm1", "vm10", "vm11", "vm2"]);
}

#[test]
fn an_address_that_nobody_serves_is_an_error() {
    assert_eq!(refused(Connect::open("vmware:///system")), (5, 0));
    assert_eq!(refused(Connect::open("no address")), (8, 0));
}

// ---- time ----

/// What a call may take beyond its timeout.
const SLACK: Duration = Duration::from_millis(500);

#[test]
fn the_default_timeout_is_one_second() {
    let connect = Connect::open("test:///default?hang=vm1").unwrap();
    let (report, took) = patience::time(|| connect.all_domain_stats(&StatsRequest::new()).unwrap());
    assert!(took.passed >= Duration::from_secs(1), "{took:?}");
    took.assert_within(Duration::from_secs(1) + SLACK);
    assert_eq!(names(&report), ["vm1", "vm2", "vm3", "vm4"]);
    assert!(report.domain("vm3").unwrap().missing.is_empty());
}

#[test]
fn a_list_with_a_hanging_domain_returns_in_time() {
    let connect = Connect::open("test:///default?hang=vm3").unwrap();
    let timeout = Duration::from_millis(150);
    let request = StatsRequest::new().timeout(timeout);
    let domains = domains(&connect);
    let (report, took) = patience::time(|| Domain::list_stats(&domains, &request).unwrap());
    assert!(took.passed >= timeout, "{took:?}");
    took.assert_within(timeout + SLACK);
    assert_eq!(report.domains.len(), 4);
    // The list without the stuck domain does not wait.
    let request = request.timeout(PATIENCE);
    let (_, took) = patience::time(|| Domain::list_stats(&domains[..2], &request).unwrap());
    took.assert_within(SLACK);
}

#[test]
fn a_call_does_not_wait_for_a_stuck_call_of_another_thread() {
    let connect = Connect::open("test:///default?hang=vm1").unwrap();
    let vm3 = connect.domain_by_name("vm3").unwrap();
    let timeout = Duration::from_secs(2);
    thread::scope(|scope| {
        let stuck = scope.spawn(|| {
            let request = StatsRequest::new().timeout(timeout);
            connect.all_domain_stats(&request).unwrap().elapsed
        });
        thread::sleep(Duration::from_millis(50));
        let ask = || vm3.stats(&StatsRequest::new().timeout(PATIENCE)).unwrap();
        let (stats, took) = patience::time(ask);
        assert!(stats.block.is_some());
        took.assert_within(timeout / 2);
        assert!(stuck.join().unwrap() >= timeout);
    });
}

#[test]
fn sixteen_threads_at_once() {
    let connect = Connect::open("test:///default?clock=fixed&domains=40&hang=vm5").unwrap();
    let request = StatsRequest::new().timeout(Duration::from_millis(200));
    let ask = || {
        let report = connect.all_domain_stats(&request).unwrap();
        // How long was waited for it may differ.
        let missing = report.domain("vm5").unwrap().missing.iter();
        let missing: Vec<_> = missing.map(|one| (&one.group, &one.missing.reason)).collect();
        format!("{missing:?} {}", report.to_text())
    };
    let expected = ask();
    let stopwatch = Stopwatch::start();
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| assert!(ask() == expected));
        }
    });
    // One after another would take 16 timeouts, more than 3 seconds.
    stopwatch.assert_within(Duration::from_millis(2_400));
}

#[test]
fn calls_at_once_share_passes_and_get_nothing_older_than_themselves() {
    let connect = Connect::open("test:///default?domains=20&slow=vm1:300ms").unwrap();
    let domains = domains(&connect);
    for of_list in [false, true] {
        let call = || {
            let called = SystemTime::now();
            let request = StatsRequest::new().timeout(PATIENCE);
            let report = match of_list {
                false => connect.all_domain_stats(&request),
                true => Domain::list_stats(&domains, &request),
            };
            let report = report.unwrap();
            assert!(report.taken_at >= called, "older than the call");
            assert_eq!(report.domains.len(), 20);
            report.taken_at
        };
        let passes: HashSet<SystemTime> = thread::scope(|scope| {
            let calls: Vec<_> = (0..32).map(|_| scope.spawn(call)).collect();
            calls.into_iter().map(|call| call.join().unwrap()).collect()
        });
        // The first call's, and that of those who came during it; on a busy machine threads start late.
        assert!((2..=16).contains(&passes.len()), "{}", passes.len());
    }
}

#[test]
fn handles_and_answers_may_cross_threads() {
    fn crosses<T: Send + Sync>() {}
    crosses::<Connect>();
    crosses::<Domain>();
    crosses::<Error>();
    crosses::<StatsReport>();
    crosses::<StatsRequest>();
}
