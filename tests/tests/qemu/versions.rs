//! QEMUs of other versions than the installed one: their recorded replies, replayed.

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use domstats::{
    Connect, DomainInfo, DomainStats, StatsGroups, StatsOptions, StatsReport, StatsRequest,
};
use domstats_live::{alone, fake::Fake, lab::lab, patience::PATIENCE, recording};

fn recordings() -> Vec<PathBuf> {
    let entries = fs::read_dir(recording::directory()).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.is_dir()).collect()
}

/// Returns the driver's record of a recorded QEMU, with its chains of images.
fn record(connect: &Connect, fake: &Fake, groups: StatsGroups) -> DomainStats {
    let request =
        StatsRequest::new().groups(groups).options(StatsOptions::BACKING).timeout(PATIENCE);
    let report = connect.all_domain_stats(&request).unwrap();
    let record = report.domain(&fake.name).unwrap();
    assert!(
        !record.missing.iter().any(|missing| missing.missing.text.contains("was not recorded")),
        "the driver sends a new query: see recorded/README.md: {:?}",
        record.missing
    );
    record.clone()
}

/// Removes what comes from the process, which is not the recorded one.
fn only_the_monitors(mut record: DomainStats) -> DomainStats {
    record.domain = DomainInfo::default();
    record.domain.name = "recorded".into();
    let cpu = record.cpu.as_mut().unwrap();
    (cpu.time, cpu.user, cpu.system) = (None, None, None);
    record.balloon.as_mut().unwrap().rss = None;
    record
}

fn compare_with_snapshot(dir: &Path, record: DomainStats) {
    let mut report = StatsReport::new(SystemTime::UNIX_EPOCH);
    report.domains.push(record);
    let xml = report.to_xml();
    assert_eq!(StatsReport::from_xml(&xml).unwrap(), report);
    assert_eq!(StatsReport::from_json(&report.to_json()).unwrap(), report);
    let path = dir.join("domain.xml");
    if env::var_os("DOMSTATS_BLESS").is_some() {
        fs::write(&path, &xml).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    let first = expected.lines().zip(xml.lines()).find(|(expected, line)| expected != line);
    assert_eq!(expected, xml, "{}: {first:?}; see recorded/README.md", path.display());
}

#[test]
fn every_recorded_version_gives_the_record_that_was_reviewed() {
    alone!();
    let recordings = recordings();
    assert!(recordings.len() >= 4, "{recordings:?}");
    for dir in recordings {
        for uri in ["qemu+qmp:///system", "qemu+qmp:///system?monitor_policy=hold"] {
            let fault = format!("recorded:{}", dir.display());
            let fake = Fake::start(env!("CARGO_BIN_EXE_fake-qemu"), &fault);
            let connect = Connect::open(uri).unwrap();
            // Only the host has these, and not every host has the same.
            let of_host = StatsGroups::PERF | StatsGroups::MEMORY;
            let all = connect.supported_groups() - of_host;
            let first = only_the_monitors(record(&connect, &fake, all));
            let again = only_the_monitors(record(&connect, &fake, all));
            assert_eq!(again, first, "{}", dir.display());
            compare_with_snapshot(&dir, first);
            // Other queries than with all groups.
            let cpu = record(&connect, &fake, StatsGroups::CPU_TOTAL).cpu.unwrap();
            let of_all = again.cpu.unwrap();
            assert_eq!(cpu.haltpoll_success, of_all.haltpoll_success);
            assert_eq!(cpu.haltpoll_fail, of_all.haltpoll_fail);
        }
    }
}

/// Guests without an operating system report nothing, all ones; one with a system may report
/// everything.
#[test]
fn everything_that_a_guest_reports_about_its_memory_is_read() {
    alone!();
    const REPORTED: [&str; 16] = [
        "swap-in",
        "swap-out",
        "major-faults",
        "minor-faults",
        "free-memory",
        "total-memory",
        "available-memory",
        "disk-caches",
        "htlb-pgalloc",
        "htlb-pgfail",
        "oom-kills",
        "alloc-stalls",
        "async-scans",
        "direct-scans",
        "async-reclaims",
        "direct-reclaims",
    ];
    let recorded = recording::directory().join("qemu-11.1.3/conversation.jsonl");
    let mut conversation = fs::read_to_string(recorded).unwrap();
    for (number, name) in (1_u64..).zip(REPORTED) {
        let nothing = format!("\"stat-{name}\":{}", u64::MAX);
        assert!(conversation.contains(&nothing), "{name}");
        let value = format!("\"stat-{name}\":{}", number * 1024);
        conversation = conversation.replace(&nothing, &value);
    }
    assert!(!conversation.contains(&u64::MAX.to_string()), "it reports something else too");
    let dir = lab().path("talkative");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("conversation.jsonl"), conversation).unwrap();

    let fake = Fake::start(env!("CARGO_BIN_EXE_fake-qemu"), &format!("recorded:{}", dir.display()));
    let connect = Connect::open("qemu+qmp:///system").unwrap();
    let stats = record(&connect, &fake, StatsGroups::BALLOON);
    assert_eq!(stats.missing, [], "{stats:?}");
    let balloon = stats.balloon.unwrap();
    let kib = [
        balloon.swap_in,
        balloon.swap_out,
        balloon.unused,
        balloon.available,
        balloon.usable,
        balloon.disk_caches,
        balloon.async_scans,
        balloon.direct_scans,
        balloon.async_reclaims,
        balloon.direct_reclaims,
    ];
    assert_eq!(kib, [1, 2, 5, 6, 7, 8, 13, 14, 15, 16].map(Some));
    let events = [
        balloon.major_fault,
        balloon.minor_fault,
        balloon.hugetlb_pgalloc,
        balloon.hugetlb_pgfail,
        balloon.oom_kills,
        balloon.alloc_stalls,
    ];
    assert_eq!(events, [3, 4, 9, 10, 11, 12].map(|number| Some(number * 1024)));
}
