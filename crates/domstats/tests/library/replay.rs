//! Saved documents as hypervisors, through the public API.

use std::path::PathBuf;

use domstats::{
    Connect, Domain, DomainFilter, DomainInfo, ErrorKind, ErrorOrigin, MissingReason, StatsGroups,
    StatsOptions, StatsReport, StatsRequest,
};

/// Domains with everything that a document can say: values, missing groups, a missing domain.
fn live() -> Connect {
    Connect::open("test:///default?domains=8&seed=3&hang=vm1&vanish=vm2&deny=vm7").unwrap()
}

fn taken(connect: &Connect) -> StatsReport {
    let request = StatsRequest::new().options(StatsOptions::NOWAIT);
    connect.all_domain_stats(&request).unwrap()
}

/// Writes a file of this test; returns its URI.
fn save(name: &str, content: &[u8]) -> String {
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    // A second run at the same time writes the same: never does one read half of it.
    let draft = file.with_extension(std::process::id().to_string());
    std::fs::write(&draft, content).unwrap();
    std::fs::rename(draft, &file).unwrap();
    format!("test://{}", file.display())
}

#[test]
fn a_document_gives_the_report_that_it_was_written_from() {
    let report = taken(&live());
    for uri in [
        save("whole.xml", report.to_xml().as_bytes()),
        save("whole.json", report.to_json().as_bytes()),
    ] {
        let saved = Connect::open(&uri).unwrap();
        assert_eq!(saved.driver_name(), "TEST");
        assert_eq!(saved.supported_groups(), StatsGroups::of_libvirt());
        assert_eq!(taken(&saved), report, "{uri}");
        // Again, later: its time is the document's.
        assert_eq!(taken(&saved).taken_at, report.taken_at);
    }
}

#[test]
fn domains_are_those_of_the_document() {
    let report = taken(&live());
    let saved = Connect::open(&save("domains.xml", report.to_xml().as_bytes())).unwrap();
    let names = |filter| {
        let domains = saved.domains(filter).unwrap().into_iter();
        domains.map(|domain| domain.name().to_owned()).collect::<Vec<_>>()
    };
    let all = ["vm1", "vm2", "vm3", "vm4", "vm5", "vm6", "vm7", "vm8"];
    assert_eq!(names(DomainFilter::empty()), all);
    assert_eq!(names(DomainFilter::INACTIVE), ["vm4", "vm8"]);
    assert_eq!(names(DomainFilter::PAUSED), ["vm6"]);
    // Whose state was not read is neither running nor paused nor shut off.
    assert_eq!(names(DomainFilter::OTHER), ["vm1", "vm7"]);
    let vm3 = saved.domain_by_name("vm3").unwrap();
    assert_eq!(vm3.info(), live().domain_by_name("vm3").unwrap().info());
    let error = saved.domain_by_name("vm9").unwrap_err();
    assert_eq!((error.code(), error.origin().code()), (42, 12));
}

#[test]
fn groups_and_lists_choose_from_what_was_saved() {
    let report = taken(&live());
    let saved = Connect::open(&save("choose.xml", report.to_xml().as_bytes())).unwrap();
    let [vm1, vm2, vm3] = ["vm1", "vm2", "vm3"].map(|name| saved.domain_by_name(name).unwrap());
    let request = StatsRequest::new().groups(StatsGroups::CPU_TOTAL | StatsGroups::BLOCK);
    let list = Domain::list_stats(&[vm3.clone(), vm2, vm1, vm3], &request).unwrap();
    let names: Vec<_> = list.domains.iter().map(|s| s.domain.name.as_str()).collect();
    assert_eq!(names, ["vm3", "vm1", "vm3"]);
    assert_eq!(list.domains[0].groups(), StatsGroups::CPU_TOTAL | StatsGroups::BLOCK);
    assert_eq!(list.domains[0].cpu, report.domain("vm3").unwrap().cpu);
    assert_eq!(list.domains[1].groups(), StatsGroups::CPU_TOTAL);
    let missing: Vec<_> = list.domains[1].missing.iter().map(|m| &m.group).collect();
    assert_eq!(missing, ["block"]);
    assert_eq!(list.missing, report.missing);
    assert_eq!(list.missing[0].missing.reason, MissingReason::Gone);
    // By its UUID, whatever it is called.
    let mut info = DomainInfo::default();
    (info.name, info.uuid) = ("another".into(), report.domain("vm3").unwrap().domain.uuid);
    let found = saved.domain(info).stats(&request).unwrap();
    assert_eq!(found.domain.name, "vm3");
}

#[test]
fn the_supported_groups_are_those_of_the_document() {
    let request = StatsRequest::new().groups(StatsGroups::CPU_TOTAL | StatsGroups::VM);
    let report = live().all_domain_stats(&request).unwrap();
    let saved = Connect::open(&save("some.json", report.to_json().as_bytes())).unwrap();
    assert_eq!(saved.supported_groups(), StatsGroups::CPU_TOTAL | StatsGroups::VM);
    let enforce =
        StatsRequest::new().groups(StatsGroups::BLOCK).options(StatsOptions::ENFORCE_STATS);
    let error = saved.all_domain_stats(&enforce).unwrap_err();
    assert_eq!((error.code(), error.origin().code()), (74, 12));
}

#[test]
fn what_is_no_document_is_refused() {
    for (uri, kind) in [
        ("test:///nothing/here.xml".to_owned(), ErrorKind::System),
        ("test:///".to_owned() + "proc", ErrorKind::System),
        (save("empty.xml", b""), ErrorKind::Malformed),
        (save("text.xml", b"no document"), ErrorKind::Malformed),
        (save("other.xml", b"<html/>"), ErrorKind::Malformed),
        (save("half.json", b"{\"domains\": ["), ErrorKind::Malformed),
        (save("binary.xml", b"\xff\xfe\x00"), ErrorKind::Malformed),
    ] {
        let error = Connect::open(&uri).unwrap_err();
        assert_eq!(error.kind(), kind, "{uri}: {error}");
        assert_eq!(error.origin(), ErrorOrigin::Test, "{uri}");
        let file = uri.strip_prefix("test://").unwrap();
        assert!(error.to_string().contains(file), "{error}");
        assert!(std::error::Error::source(&error).is_some(), "{uri}");
    }
}

#[test]
fn parameters_are_refused() {
    let uri = save("parameters.xml", taken(&live()).to_xml().as_bytes());
    for query in ["hang=vm1", "clock=fixed", "domains=2"] {
        let error = Connect::open(&format!("{uri}?{query}")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        let key = query.split('=').next().unwrap();
        assert!(error.to_string().contains(&format!("'{key}'")), "{error}");
    }
}
