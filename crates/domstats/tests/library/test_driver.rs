//! What the test driver promises in its manual, through the public API.

use std::{collections::BTreeSet, time::Duration};

use domstats::{
    Connect, Domain, DomainFilter, DomainState, DomainStats, ErrorKind, ErrorOrigin, MissingReason,
    StatsGroups, StatsOptions, StatsReport, StatsRequest,
    stats::{
        DirtyRateStatus, Field, GROUPS, Key, Kind, ListRow, PartRow, Row, Schema, Section, Value,
        Visitor, walk,
    },
};
use domstats_patience::{self as patience, Time};

fn all(uri: &str) -> StatsReport {
    report(uri, &StatsRequest::new())
}

fn report(uri: &str, request: &StatsRequest) -> StatsReport {
    let connect = Connect::open(uri).unwrap();
    connect.all_domain_stats(request).unwrap()
}

fn names(report: &StatsReport) -> Vec<&str> {
    let domains = report.domains.iter();
    domains.map(|stats| stats.domain.name.as_str()).collect()
}

fn reason(stats: &DomainStats, group: StatsGroups) -> Option<&MissingReason> {
    stats.why_missing(group).map(|missing| &missing.reason)
}

/// The groups that are missing in whole or in part for this reason.
fn missing_as(stats: &DomainStats, wanted: &MissingReason) -> StatsGroups {
    GROUPS.iter().map(|group| group.bit).filter(|bit| reason(stats, *bit) == Some(wanted)).collect()
}

#[test]
fn four_domains_in_their_states() {
    let report = all("test:///default");
    assert_eq!(names(&report), ["vm1", "vm2", "vm3", "vm4"]);
    let states = ["vm1", "vm2", "vm3", "vm4"].map(|name| {
        let stats = report.domain(name).unwrap();
        (stats.state.as_ref().unwrap().state.unwrap(), stats.domain.id, stats.domain.persistent)
    });
    assert_eq!(
        states,
        [
            (DomainState::Running, Some(1), true),
            (DomainState::Paused, Some(2), false),
            (DomainState::Running, Some(3), true),
            (DomainState::Shutoff, None, true),
        ]
    );
    assert!(report.is_complete(), "unsupported and inactive are no gaps");
    assert!(report.missing.is_empty());
}

#[test]
fn an_ordinary_domain_lacks_three_groups_and_says_so() {
    let report = all("test:///default");
    let lacking = StatsGroups::PERF | StatsGroups::MEMORY | StatsGroups::VM;
    for name in ["vm1", "vm2"] {
        let stats = report.domain(name).unwrap();
        assert_eq!(stats.groups(), StatsGroups::of_libvirt().difference(lacking));
        assert_eq!(missing_as(stats, &MissingReason::Unsupported), lacking);
        assert!(stats.missing.iter().all(|m| !m.missing.text.is_empty()));
        let dirty = stats.dirtyrate.as_ref().unwrap();
        assert_eq!(dirty.status, Some(DirtyRateStatus::Unstarted));
        assert_eq!(dirty.megabytes_per_second, None);
        assert_eq!(stats.block.as_ref().unwrap().blocks.len(), 2);
        assert_eq!(stats.interface.as_ref().unwrap().interfaces.len(), 1);
    }
}

#[test]
fn a_shut_off_domain_has_its_configuration_only() {
    let report = all("test:///default");
    let stats = report.domain("vm4").unwrap();
    let offline =
        StatsGroups::STATE | StatsGroups::BALLOON | StatsGroups::VCPU | StatsGroups::BLOCK;
    assert_eq!(stats.groups(), offline);
    assert_eq!(
        missing_as(stats, &MissingReason::Inactive),
        StatsGroups::of_libvirt().difference(offline)
    );
    let keys: BTreeSet<String> = stats.params().into_iter().map(|(key, _)| key).collect();
    let expected = [
        "state.state",
        "state.reason",
        "balloon.current",
        "balloon.maximum",
        "vcpu.current",
        "vcpu.maximum",
        "block.count",
        "block.0.name",
        "block.0.path",
        "block.0.allocation",
        "block.0.capacity",
        "block.0.physical",
        "block.1.name",
        "block.1.path",
        "block.1.allocation",
        "block.1.capacity",
        "block.1.physical",
    ];
    assert_eq!(keys, expected.map(str::to_owned).into());
}

/// Collects the fields that a walk visits, by the words from the group down, without item keys.
#[derive(Default)]
struct Visited {
    path: Vec<&'static str>,
    fields: BTreeSet<String>,
}

impl Visited {
    fn add(fields: &mut BTreeSet<String>, path: &[&str], field: &str) {
        fields.insert(format!("{} {field}", path.join(" ")));
    }
}

impl Visitor for Visited {
    fn enter_group(&mut self, group: &'static domstats::stats::Group, _: &dyn Section) {
        self.path.push(group.name);
    }
    fn leave_group(&mut self, _: &'static domstats::stats::Group) {
        self.path.pop();
    }
    fn enter_item(&mut self, list: &'static ListRow, _: Key<'_>, _: usize, _: &dyn Section) {
        self.path.push(list.path);
    }
    fn leave_item(&mut self, _: &'static ListRow) {
        self.path.pop();
    }
    fn enter_part(&mut self, part: &'static PartRow, _: &dyn Section) {
        self.path.push(part.path);
    }
    fn leave_part(&mut self, _: &'static PartRow) {
        self.path.pop();
    }
    fn value(&mut self, field: &'static Field, _: &Value<'_>) {
        Self::add(&mut self.fields, &self.path, field.path);
    }
}

fn fields_of(schema: &'static Schema, path: &mut Vec<&'static str>, into: &mut BTreeSet<String>) {
    for row in schema.rows {
        let (word, below) = match row {
            Row::Field(field) => {
                Visited::add(into, path, field.path);
                continue;
            }
            Row::List(list) => (list.path, list.schema),
            Row::Part(part) => (part.path, part.schema),
            other => panic!("a kind of row that this test does not know: {other:?}"),
        };
        path.push(word);
        fields_of(below, path, into);
        path.pop();
    }
}

#[test]
fn the_full_domain_has_every_field_of_the_catalogue() {
    let request = StatsRequest::new().groups(StatsGroups::all_known());
    let report = report("test:///default", &request);
    let stats = report.domain("vm3").unwrap();
    assert_eq!(stats.missing, []);
    let mut visited = Visited::default();
    walk(stats, &mut visited);
    let mut catalogue = BTreeSet::new();
    for group in GROUPS {
        fields_of(group.schema, &mut vec![group.name], &mut catalogue);
    }
    let lacking: Vec<_> = catalogue.difference(&visited.fields).collect();
    assert!(lacking.is_empty(), "{lacking:?}");
}

#[test]
fn the_full_domain_has_a_hole_in_its_vcpus() {
    let report = all("test:///default");
    let vcpus = report.domain("vm3").unwrap().vcpu.clone().unwrap();
    assert_eq!((vcpus.current, vcpus.maximum), (Some(3), Some(4)));
    let ids: Vec<_> = vcpus.cpus.iter().map(|cpu| cpu.id).collect();
    assert_eq!(ids, [0, 2, 3]);
    let dirty = report.domain("vm3").unwrap().dirtyrate.clone().unwrap();
    assert_eq!(dirty.mode.as_deref(), Some("dirty-ring"));
    let ids: Vec<_> = dirty.vcpus.iter().map(|cpu| cpu.id).collect();
    assert_eq!(ids, [0, 2, 3]);
}

#[test]
fn the_backing_chain_is_listed_on_request() {
    let disks = |options| {
        let report = report("test:///default", &StatsRequest::new().options(options));
        let block = report.domain("vm1").unwrap().block.clone().unwrap();
        assert_eq!(block.count, Some(block.blocks.len() as u32));
        let indexes: Vec<_> = block.blocks.iter().map(|block| block.index).collect();
        assert_eq!(indexes, (0..indexes.len() as u32).collect::<Vec<_>>());
        let names = block.blocks.iter();
        names
            .map(|block| (block.name.as_deref().unwrap().to_owned(), block.rd_reqs.is_some()))
            .collect::<Vec<_>>()
    };
    let owned = |list: &[(&str, bool)]| {
        let list = list.iter();
        list.map(|(name, counts)| ((*name).to_owned(), *counts)).collect::<Vec<_>>()
    };
    assert_eq!(disks(StatsOptions::empty()), owned(&[("vda", true), ("vdb", true)]));
    assert_eq!(
        disks(StatsOptions::BACKING),
        owned(&[("vda", true), ("vda", false), ("vdb", true)])
    );
}

/// Every counter of a domain by its flat key; of the bins of a histogram, the sum.
fn counters(stats: &DomainStats) -> Vec<(String, f64)> {
    let mut counters = Vec::new();
    stats.visit_params(|key, field, value| {
        if field.is_some_and(|field| field.kind == Kind::Counter) {
            let number = match value {
                Value::ULLong(number) => *number as f64,
                Value::Double(number) => *number,
                Value::String(bins) => bins.split(' ').map(|bin| bin.parse::<f64>().unwrap()).sum(),
                other => panic!("{key} is a counter and {other:?}"),
            };
            counters.push((key.to_owned(), number));
        }
    });
    counters
}

#[test]
fn counters_move_and_never_step_back() {
    let connect = Connect::open("test:///default").unwrap();
    let mut last = connect.all_domain_stats(&StatsRequest::new()).unwrap();
    let first = last.clone();
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(5));
        let next = connect.all_domain_stats(&StatsRequest::new()).unwrap();
        assert!(next.taken_at > last.taken_at);
        for (before, after) in last.domains.iter().zip(&next.domains) {
            for ((key, before), (_, after)) in counters(before).iter().zip(counters(after)) {
                assert!(after >= *before, "{key} stepped back: {before} to {after}");
            }
        }
        last = next;
    }
    let time = |report: &StatsReport, name| report.domain(name).unwrap().cpu.clone().unwrap().time;
    for running in ["vm1", "vm3"] {
        assert!(time(&last, running) > time(&first, running));
    }
    assert_eq!(time(&last, "vm2"), time(&first, "vm2"), "vm2 is paused");
}

#[test]
fn counters_go_on_from_one_connection_to_the_next() {
    let first = all("test:///default");
    std::thread::sleep(Duration::from_millis(5));
    let second = all("test:///default");
    for (before, after) in first.domains.iter().zip(&second.domains) {
        for ((key, before), (_, after)) in counters(before).iter().zip(counters(after)) {
            assert!(after >= *before, "{key} stepped back: {before} to {after}");
        }
    }
}

#[test]
fn cpu_time_adds_up() {
    let report = all("test:///default?domains=12");
    for stats in report.domains.iter().filter(|stats| stats.cpu.is_some()) {
        let cpu = stats.cpu.as_ref().unwrap();
        let vcpus = stats.vcpu.as_ref().unwrap().cpus.iter();
        let sum: u64 = vcpus.filter_map(|vcpu| vcpu.time).sum();
        assert_eq!(cpu.user, Some(sum));
        assert_eq!(cpu.time, Some(sum + cpu.system.unwrap()));
    }
}

#[test]
fn a_fixed_clock_gives_equal_reports() {
    let uri = "test:///default?clock=fixed&domains=8";
    let first = all(uri);
    assert_eq!(all(uri), first);
    assert_eq!(first.elapsed, Duration::ZERO);
    assert_ne!(all("test:///default?clock=fixed&domains=8&seed=1"), first);
    assert_eq!(all("test:///default?clock=fixed&domains=8&seed=0"), first);
}

#[test]
fn seeds_give_other_identities() {
    let uuids = |seed: u32| {
        let report = all(&format!("test:///default?seed={seed}"));
        let domains = report.domains.into_iter();
        domains.map(|stats| stats.domain.uuid.unwrap()).collect::<BTreeSet<_>>()
    };
    assert_eq!(uuids(1).len(), 4);
    assert!(uuids(1).is_disjoint(&uuids(2)));
}

#[test]
fn a_hundred_thousand_domains() {
    let connect = Connect::open("test:///default?domains=100000").unwrap();
    assert_eq!(connect.domains(DomainFilter::empty()).unwrap().len(), 100_000);
    let request = StatsRequest::new().groups(StatsGroups::STATE | StatsGroups::CPU_TOTAL);
    let report = connect.all_domain_stats(&request).unwrap();
    let distinct: BTreeSet<_> = report.domains.iter().map(|s| &s.domain.name).collect();
    assert_eq!(distinct.len(), 100_000);
    assert_eq!(connect.domain_by_name("vm100000").unwrap().id(), None);
}

// ---- faults ----

const TIMEOUT: Duration = Duration::from_millis(150);
/// What a call may take beyond its timeout.
const SLACK: Duration = Duration::from_millis(500);
/// A timeout that nobody waits for.
const LONG: Duration = Duration::from_secs(60);

fn timed(uri: &str, request: &StatsRequest) -> (StatsReport, Time) {
    let connect = Connect::open(uri).unwrap();
    patience::time(|| connect.all_domain_stats(request).unwrap())
}

#[test]
fn a_hanging_domain_costs_one_timeout_and_its_monitor_groups() {
    let (report, took) =
        timed("test:///default?hang=vm1&hang=vm3", &StatsRequest::new().timeout(TIMEOUT));
    assert!(took.passed >= TIMEOUT, "{took:?}");
    took.assert_within(TIMEOUT + SLACK);
    assert!(report.elapsed >= TIMEOUT);
    assert!(!report.is_complete());

    let ordinary = report.domain("vm1").unwrap();
    let lost = StatsGroups::STATE
        | StatsGroups::BALLOON
        | StatsGroups::VCPU
        | StatsGroups::BLOCK
        | StatsGroups::IOTHREAD
        | StatsGroups::DIRTYRATE;
    assert_eq!(missing_as(ordinary, &MissingReason::Timeout), lost);
    let full = report.domain("vm3").unwrap();
    assert_eq!(
        missing_as(full, &MissingReason::Timeout),
        lost | StatsGroups::CPU_TOTAL | StatsGroups::VM
    );
    for stats in [ordinary, full] {
        assert!(stats.cpu.as_ref().unwrap().time.is_some());
        assert!(stats.interface.is_some());
        let balloon = stats.balloon.as_ref().unwrap();
        assert!(balloon.rss.is_some() && balloon.maximum.is_some());
        assert_eq!((balloon.current, balloon.unused), (None, None));
        let vcpus = stats.vcpu.as_ref().unwrap();
        assert_eq!(vcpus.current, None);
        assert!(!vcpus.cpus.is_empty());
        assert!(vcpus.cpus.iter().all(|cpu| cpu.time.is_some()));
        assert!(vcpus.cpus.iter().all(|cpu| cpu.state.is_none()));
        assert!(stats.state.is_none());
    }
    assert_eq!(ordinary.block, None);
    let storage = full.block.as_ref().unwrap();
    assert!(storage.count.is_none() && storage.blocks.is_empty() && storage.devices.len() == 1);
    assert!(full.perf.is_some() && full.memory.is_some());
    // In the order of the bits, as everywhere.
    let order: Vec<_> = full.missing.iter().map(|m| m.group.as_str()).collect();
    let bits: Vec<_> = GROUPS.iter().map(|group| group.name).collect();
    assert!(order.is_sorted_by_key(|name| bits.iter().position(|known| known == name)));

    let undisturbed = all("test:///default");
    for name in ["vm2", "vm4"] {
        let stats = report.domain(name).unwrap();
        let usual = undisturbed.domain(name).unwrap();
        assert_eq!(stats.groups(), usual.groups());
        assert_eq!(stats.missing, usual.missing);
    }
}

#[test]
fn fifty_hanging_domains_cost_one_timeout() {
    let hang: String = (1..=50).map(|n| format!("&hang=vm{n}")).collect();
    let (report, took) =
        timed(&format!("test:///default?domains=100{hang}"), &StatsRequest::new().timeout(TIMEOUT));
    assert!(took.passed >= TIMEOUT, "{took:?}");
    took.assert_within(TIMEOUT + SLACK);
    assert_eq!(report.domains.len(), 100);
}

#[test]
fn what_needs_no_monitor_does_not_wait() {
    let groups = StatsGroups::INTERFACE | StatsGroups::CPU_TOTAL;
    let request = StatsRequest::new().groups(groups).timeout(LONG);
    let (report, took) = timed("test:///default?hang=vm1", &request);
    took.assert_within(SLACK);
    assert_eq!(report.domain("vm1").unwrap().missing, []);
}

#[test]
fn a_slow_domain_is_complete_when_the_time_suffices() {
    let uri = "test:///default?slow=vm3:300ms";
    let slow = Duration::from_millis(300);
    let (report, took) = timed(uri, &StatsRequest::new().timeout(LONG));
    assert!(took.passed >= slow, "{took:?}");
    took.assert_within(slow + SLACK);
    assert!(report.is_complete());
    assert_eq!(report.domain("vm3").unwrap().missing, []);

    let uri = "test:///default?slow=vm3:60s";
    let (report, took) = timed(uri, &StatsRequest::new().timeout(TIMEOUT));
    assert!(took.passed >= TIMEOUT, "{took:?}");
    took.assert_within(TIMEOUT + SLACK);
    let slow = report.domain("vm3").unwrap();
    assert_eq!(reason(slow, StatsGroups::BLOCK), Some(&MissingReason::Timeout));
}

#[test]
fn a_fixed_clock_still_waits() {
    let uri = "test:///default?clock=fixed&hang=vm1";
    let request = StatsRequest::new().timeout(TIMEOUT);
    let (report, took) = timed(uri, &request);
    assert!(took.passed >= TIMEOUT, "{took:?}");
    assert_eq!(report.elapsed, Duration::ZERO);
    assert_eq!(timed(uri, &request).0, report);
}

#[test]
fn nowait_finds_late_domains_busy_at_once() {
    let request = StatsRequest::new().options(StatsOptions::NOWAIT).timeout(LONG);
    let (report, took) = timed("test:///default?hang=vm1&slow=vm3:30s", &request);
    took.assert_within(SLACK);
    for name in ["vm1", "vm3"] {
        let stats = report.domain(name).unwrap();
        assert_eq!(reason(stats, StatsGroups::BLOCK), Some(&MissingReason::Busy));
        assert!(stats.interface.is_some());
    }
    assert!(report.domain("vm2").unwrap().block.is_some());
}

#[test]
fn a_denied_monitor_leaves_the_host_side() {
    let (report, took) = timed("test:///default?deny=vm1", &StatsRequest::new().timeout(LONG));
    took.assert_within(SLACK);
    let stats = report.domain("vm1").unwrap();
    assert_eq!(reason(stats, StatsGroups::STATE), Some(&MissingReason::Denied));
    assert!(stats.state.is_none() && stats.cpu.is_some());
}

#[test]
fn a_vanished_domain_is_listed_and_then_gone() {
    let connect = Connect::open("test:///default?vanish=vm2").unwrap();
    let domains = connect.domains(DomainFilter::empty()).unwrap();
    assert_eq!(domains.len(), 4);
    let report = connect.all_domain_stats(&StatsRequest::new()).unwrap();
    assert_eq!(names(&report), ["vm1", "vm3", "vm4"]);
    assert_eq!(report.missing.len(), 1);
    assert_eq!(report.missing[0].domain.name, "vm2");
    assert_eq!(report.missing[0].missing.reason, MissingReason::Gone);
    assert!(!report.is_complete());

    let error = domains[1].stats(&StatsRequest::new()).unwrap_err();
    assert_eq!((error.code(), error.origin().code()), (42, 12));
    let list = Domain::list_stats(&domains[1..2], &StatsRequest::new()).unwrap();
    assert!(list.domains.is_empty());
    assert_eq!(list.missing.len(), 1);
}

#[test]
fn a_shut_off_domain_has_no_monitor_that_could_hang() {
    let (report, took) = timed("test:///default?hang=vm4", &StatsRequest::new().timeout(LONG));
    took.assert_within(SLACK);
    assert!(report.domain("vm4").unwrap().block.is_some());
}

#[test]
fn wrong_parameters_are_refused_by_name() {
    for (query, names) in [
        ("domain=3", ["'domain'", "domains"]),
        ("domains=0", ["'domains=0'", "1 to 100000"]),
        ("domains=100001", ["'domains=100001'", "1 to 100000"]),
        ("domains=-1", ["'domains=-1'", "1 to 100000"]),
        ("domains=4&domains=5", ["'domains'", "once"]),
        ("seed=abc", ["'seed=abc'", "from 0 to"]),
        ("clock=slow", ["'clock=slow'", "'fixed'"]),
        ("hang=vm5", ["'hang=vm5'", "vm1 to vm4"]),
        ("hang=vm01", ["'hang=vm01'", "vm1 to vm4"]),
        ("vanish=", ["'vanish='", "vm1 to vm4"]),
        ("deny=VM1", ["'deny=VM1'", "vm1 to vm4"]),
        ("slow=vm1", ["'slow=vm1'", "slow=vm1:300ms"]),
        ("slow=vm1:fast", ["'slow=vm1:fast'", "slow=vm1:300ms"]),
        ("slow=vm9:1s", ["'slow=vm9:1s'", "vm1 to vm4"]),
        ("hang=vm1&deny=vm1", ["'deny=vm1'", "second fault"]),
    ] {
        let error = Connect::open(&format!("test:///default?{query}")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{query}");
        assert_eq!(error.origin(), ErrorOrigin::Test, "{query}");
        for name in names {
            assert!(error.to_string().contains(name), "{query}: {error}");
        }
    }
}

#[test]
fn wrong_addresses_are_refused() {
    for uri in ["test:///", "test://host/default", "test://"] {
        let error = Connect::open(uri).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{uri}");
        assert!(error.to_string().contains("test:///default"), "{error}");
    }
}
