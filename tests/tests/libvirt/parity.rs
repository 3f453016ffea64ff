//! The libvirt driver gives what `virsh domstats` gives: the same domains, keys, order and values.

use std::collections::BTreeMap;

use domstats::{
    Connect, Domain, DomainFilter, ErrorKind, Format, MissingReason, StatsGroups, StatsOptions,
    StatsReport, StatsRequest,
    stats::{GROUPS, Group},
};
use domstats_live::{
    alone,
    compare::RSS_SLACK,
    lab::lab,
    libvirt::{Libvirt, LibvirtGuest},
    patience::{PATIENCE, wait_until},
};

/// A libvirtd with a working guest, a paused one, one that stays defined, and an inactive one.
struct Host {
    working: LibvirtGuest,
    paused: LibvirtGuest,
    persistent: LibvirtGuest,
    off: String,
    libvirt: Libvirt,
}

fn host() -> Host {
    let libvirt = Libvirt::start();
    let working = libvirt.create("working", true);
    working.qmp().ask("cont");
    let paused = libvirt.create("paused", false);
    let persistent = libvirt.boot(&libvirt.define("persistent"));
    let off = libvirt.define("off");
    Host { working, paused, persistent, off, libvirt }
}

fn request() -> StatsRequest {
    StatsRequest::new().timeout(PATIENCE)
}

/// The lines of each domain, in order.
type Page = BTreeMap<String, Vec<String>>;

fn page(text: &str) -> Page {
    let domains = text.split("Domain: ").skip(1);
    let page: Page = domains
        .map(|domain| {
            let mut lines = domain.lines().map(str::to_owned);
            (lines.next().unwrap(), lines.filter(|line| !line.is_empty()).collect())
        })
        .collect();
    assert_eq!(page.len(), text.matches("Domain: ").count(), "a domain is listed twice");
    page
}

fn virsh(libvirt: &Libvirt, options: &[&str]) -> Page {
    let mut page = page(&lab().run(&mut libvirt.virsh(&[&["domstats"], options].concat())));
    let off = lab().run(&mut libvirt.virsh(&["list", "--name", "--inactive"]));
    for name in off.split_whitespace() {
        // libvirt reports the daemon's own CPU times for an inactive domain: these must not be
        // repeated.
        let lines = page.get_mut(&format!("'{name}'"));
        lines.into_iter().for_each(|lines| lines.retain(|line| !line.starts_with("  cpu.")));
    }
    page
}

fn ours(report: &StatsReport) -> Page {
    let mut text = Vec::new();
    Format::Text.write(report, &mut text).unwrap();
    page(std::str::from_utf8(&text).unwrap())
}

/// Returns the keys of each domain, in order.
fn keys(page: &Page) -> BTreeMap<&str, Vec<&str>> {
    page.iter()
        .map(|(name, lines)| {
            (name.as_str(), lines.iter().map(|line| line.split('=').next().unwrap()).collect())
        })
        .collect()
}

/// Compares three pages, the middle one ours: the same domains, the same keys in the same order,
/// and byte for byte the lines that are equal in both of virsh's.
#[track_caller]
fn assert_agree(what: &str, before: &Page, ours: &Page, after: &Page) {
    assert_eq!(keys(ours), keys(before), "{what}");
    for (name, lines) in ours {
        let (before, after) = (&before[name], &after[name]);
        for ((ours, before), after) in lines.iter().zip(before).zip(after) {
            if before == after {
                assert_eq!(ours, before, "{what}: {name}");
                continue;
            }
            let number = |line: &str| line.split('=').nth(1).unwrap().parse::<i64>().unwrap();
            let (low, high) = (number(before), number(after));
            // QEMU's resident size goes up and down while it replies.
            let slack = if ours.contains("balloon.rss") { RSS_SLACK } else { 0 };
            let range = low.min(high) - slack..=low.max(high) + slack;
            assert!(range.contains(&number(ours)), "{what}: {name}: {ours}, {before}, {after}");
        }
    }
}

/// Runs virsh, our call, and virsh again.
#[track_caller]
fn assert_parity(libvirt: &Libvirt, options: &[&str], request: &StatsRequest) {
    let connect = Connect::open(&libvirt.uri()).unwrap();
    let read = || {
        let before = virsh(libvirt, options);
        let report = connect.all_domain_stats(request).unwrap();
        (before, report, virsh(libvirt, options))
    };
    let (mut before, mut report, mut after) = read();
    if options.contains(&"--nowait") {
        // libvirt leaves out what a job of its own holds up at that moment.
        wait_until(PATIENCE, "a job holds up each answer", || {
            let is_whole = report.is_complete() && keys(&before) == keys(&after);
            if !is_whole {
                (before, report, after) = read();
            }
            is_whole
        });
    }
    assert_agree(&format!("{options:?}"), &before, &ours(&report), &after);
    assert!(report.is_complete(), "{report:?}");
}

#[test]
fn everything_agrees() {
    alone!();
    let host = host();
    // More than zeros: the boot sector changes the counters, also during the readings.
    wait_until(PATIENCE, "the boot sector does not work", || {
        let stats = host.libvirt.domstats(&host.working, &["--block"]);
        stats["block.0.wr.reqs"].as_i64() > Some(0)
    });
    assert_parity(&host.libvirt, &[], &request());
    let lines = &virsh(&host.libvirt, &[])[&format!("'{}'", host.working.name)];
    assert!(lines.len() > 50 && !lines.iter().any(|line| line.ends_with("block.0.wr.reqs=0")));
}

#[test]
fn every_group_agrees() {
    alone!();
    let host = host();
    let of_libvirt = |group: &&Group| StatsGroups::of_libvirt().contains(group.bit);
    for group in GROUPS.iter().filter(of_libvirt) {
        let option = format!("--{}", group.name);
        assert_parity(&host.libvirt, &[&option], &request().groups(group.bit));
    }
}

#[test]
fn the_options_agree() {
    alone!();
    let host = host();
    for (option, flag) in [
        ("--backing", StatsOptions::BACKING),
        ("--nowait", StatsOptions::NOWAIT),
        ("--enforce", StatsOptions::ENFORCE_STATS),
    ] {
        assert_parity(&host.libvirt, &[option], &request().options(flag));
    }
    let all = StatsOptions::all();
    assert_parity(
        &host.libvirt,
        &["--backing", "--nowait", "--enforce", "--state", "--interface"],
        &request().options(all).groups(StatsGroups::STATE | StatsGroups::INTERFACE),
    );
}

#[test]
fn every_filter_agrees() {
    alone!();
    let host = host();
    for (option, filter) in [
        ("--list-active", DomainFilter::ACTIVE),
        ("--list-inactive", DomainFilter::INACTIVE),
        ("--list-persistent", DomainFilter::PERSISTENT),
        ("--list-transient", DomainFilter::TRANSIENT),
        ("--list-running", DomainFilter::RUNNING),
        ("--list-paused", DomainFilter::PAUSED),
        ("--list-shutoff", DomainFilter::SHUTOFF),
        ("--list-other", DomainFilter::OTHER),
    ] {
        assert_parity(&host.libvirt, &[option], &request().filter(filter));
    }
    let both = DomainFilter::RUNNING | DomainFilter::SHUTOFF;
    assert_parity(&host.libvirt, &["--list-running", "--list-shutoff"], &request().filter(both));
    let neither = DomainFilter::ACTIVE | DomainFilter::SHUTOFF;
    assert_parity(&host.libvirt, &["--list-active", "--list-shutoff"], &request().filter(neither));
}

#[test]
fn named_domains_agree() {
    alone!();
    let host = host();
    let connect = Connect::open(&host.libvirt.uri()).unwrap();
    let names = [host.off.as_str(), &host.paused.name];
    let domains = names.map(|name| connect.domain_by_name(name).unwrap());
    let before = virsh(&host.libvirt, &names);
    let report = Domain::list_stats(&domains, &request()).unwrap();
    let after = virsh(&host.libvirt, &names);
    assert_agree("named", &before, &ours(&report), &after);
    let order: Vec<_> = report.domains.iter().map(|record| &record.domain.name).collect();
    assert_eq!(order, names, "the order of the list");

    // libvirt's own rule for lists: a record for each occurrence, in order.
    let twice = [&domains[1], &domains[0], &domains[1]].map(Clone::clone);
    let report = Domain::list_stats(&twice, &request()).unwrap();
    let order: Vec<_> = report.domains.iter().map(|record| record.domain.name.as_str()).collect();
    assert_eq!(order, [names[1], names[0], names[1]]);
    let report = Domain::list_stats(&twice, &request().filter(DomainFilter::ACTIVE)).unwrap();
    assert_eq!(report.domains.len(), 2, "a domain that does not match is dropped");
    assert_eq!(report.missing, []);
}

#[test]
fn identities_agree() {
    alone!();
    let host = host();
    let connect = Connect::open(&host.libvirt.uri()).unwrap();
    assert_eq!(connect.driver_name(), "QEMU");
    assert_eq!(connect.hostname(), lab().run(&mut host.libvirt.virsh(&["hostname"])).trim());
    assert!(connect.is_alive());
    let all = connect.domains(DomainFilter::empty()).unwrap();
    assert_eq!(all.len(), 4);
    for domain in all {
        let field = |command: &str| {
            lab().run(&mut host.libvirt.virsh(&[command, domain.name()])).trim().to_owned()
        };
        assert_eq!(domain.uuid().unwrap().to_string(), field("domuuid"));
        assert_eq!(domain.id().map_or("-".to_owned(), |id| id.to_string()), field("domid"));
        let persistent = [&host.persistent.name, &host.off].contains(&&domain.name().to_owned());
        assert_eq!(domain.info().persistent, persistent, "{}", domain.name());
        let by_uuid = connect.domain_by_uuid(domain.uuid().unwrap()).unwrap();
        assert_eq!(by_uuid.info(), domain.info());
    }
    let error = connect.domain_by_name("nobody").unwrap_err();
    assert_eq!((error.kind(), error.origin().code()), (ErrorKind::NoDomain, 10));
}

#[test]
fn groups_of_inactive_domains_are_missing_with_a_reason() {
    alone!();
    let host = host();
    let connect = Connect::open(&host.libvirt.uri()).unwrap();
    let domain = connect.domain_by_name(&host.off).unwrap();
    let record = domain.stats(&request()).unwrap();
    for group in [StatsGroups::CPU_TOTAL, StatsGroups::INTERFACE, StatsGroups::DIRTYRATE] {
        assert_eq!(record.why_missing(group).unwrap().reason, MissingReason::Inactive);
    }
    assert!(record.cpu.is_none() && record.balloon.is_some() && record.block.is_some());
    let record = connect.domain_by_name(&host.paused.name).unwrap().stats(&request()).unwrap();
    // Under TCG there are none.
    assert_eq!(record.why_missing(StatsGroups::VM).unwrap().reason, MissingReason::Unsupported);
    assert_eq!(record.why_missing(StatsGroups::CPU_TOTAL), None);
}

#[test]
fn unsupported_groups_are_refused_as_virsh_does() {
    alone!();
    let host = host();
    let connect = Connect::open(&host.libvirt.uri()).unwrap();
    let unknown = StatsGroups::STATE | StatsGroups::from_bits_retain(1 << 20);
    let report = connect.all_domain_stats(&request().groups(unknown)).unwrap();
    assert_eq!(report.domains.len(), 4);
    let enforce = request().options(StatsOptions::ENFORCE_STATS);
    let error = connect.all_domain_stats(&enforce.clone().groups(unknown)).unwrap_err();
    assert_eq!((error.code(), error.origin().code()), (74, 10), "{error}");
    // libvirt's quirk: one inactive domain lacks these, and the whole call fails.
    let error = connect.all_domain_stats(&enforce.groups(StatsGroups::all_known())).unwrap_err();
    assert_eq!(error.code(), 74, "{error}");
    let refused = host.libvirt.virsh(&["domstats", "--enforce", "--vm"]).output().unwrap();
    assert!(!refused.status.success());
    let report = connect.all_domain_stats(&request()).unwrap();
    assert_eq!(report.domains.len(), 4, "the connection still works");
}

#[test]
fn an_empty_host_is_no_error() {
    alone!();
    let libvirt = Libvirt::start();
    assert_parity(&libvirt, &[], &request());
    let connect = Connect::open(&libvirt.uri()).unwrap();
    assert!(connect.domains(DomainFilter::empty()).unwrap().is_empty());
}

#[test]
fn a_vanished_domain_is_reported_gone() {
    alone!();
    let host = host();
    let connect = Connect::open(&host.libvirt.uri()).unwrap();
    let guest = host.libvirt.create("vanishing", false);
    let domains =
        [&guest.name, &host.paused.name].map(|name| connect.domain_by_name(name).unwrap());
    lab().run(&mut host.libvirt.virsh(&["destroy", &guest.name]));
    let report = Domain::list_stats(&domains, &request()).unwrap();
    assert_eq!(report.domains.len(), 1);
    assert_eq!(report.missing[0].domain.name, guest.name);
    assert_eq!(report.missing[0].missing.reason, MissingReason::Gone);
    assert_eq!(domains[0].stats(&request()).unwrap_err().kind(), ErrorKind::NoDomain);
}
