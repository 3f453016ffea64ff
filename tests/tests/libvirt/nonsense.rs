//! The libvirt driver with a daemon that misbehaves: an error in time, no panic, and no more memory
//! than was sent.

use std::{collections::HashMap, fs, time::Duration};

use domstats::{
    Connect, ConnectOptions, Domain, DomainFilter, Error, ErrorKind, MissingReason, Result,
    StatsGroups, StatsOptions, StatsReport, StatsRequest,
};
use domstats_live::{
    alone,
    fake_daemon::{FakeDaemon, FakeSpec, Fault, procedure},
    patience::{PATIENCE, Stopwatch},
};

const TIMEOUT: Duration = Duration::from_millis(600);
const SLACK: Duration = Duration::from_millis(400);

fn connect(daemon: &FakeDaemon) -> Result<Connect> {
    Connect::open_with(&daemon.uri(), &ConnectOptions::new().timeout(TIMEOUT))
}

/// Opens a connection and makes a call, in time.
fn ask(daemon: &FakeDaemon) -> Result<StatsReport> {
    let stopwatch = Stopwatch::start();
    let result = connect(daemon)
        .and_then(|connect| connect.all_domain_stats(&StatsRequest::new().timeout(TIMEOUT)));
    // One timeout for opening, one for the call.
    stopwatch.assert_within(TIMEOUT * 2 + SLACK);
    result
}

fn error(procedure: u32, fault: Fault) -> Error {
    let daemon = FakeSpec::new(3).fault(procedure, fault.clone()).start();
    match ask(&daemon) {
        Err(error) => error,
        Ok(report) => panic!("{fault:?} is no error: {report:?}"),
    }
}

#[test]
fn a_daemon_without_faults_is_understood() {
    alone!();
    let daemon = FakeSpec::new(3).start();
    let report = ask(&daemon).unwrap();
    let times = report.domains.iter().map(|record| record.cpu.as_ref().unwrap().time.unwrap());
    assert_eq!(times.collect::<Vec<_>>(), [1, 2, 3].map(|second| second * 1_000_000_000));
    assert_eq!(connect(&daemon).unwrap().hostname(), "fake.example.org");
}

#[test]
fn invalid_replies_while_opening_are_an_error() {
    alone!();
    for asked in [procedure::AUTH_LIST, procedure::OPEN, procedure::TYPE] {
        for (fault, kind) in [
            (Fault::Garbage, ErrorKind::Rpc),
            (Fault::Length(u32::MAX), ErrorKind::Rpc),
            (Fault::Length(3), ErrorKind::Rpc),
            (Fault::Length(27), ErrorKind::Rpc),
            (Fault::WrongSerial, ErrorKind::Rpc),
            (Fault::Half, ErrorKind::Timeout),
            (Fault::Silence, ErrorKind::Timeout),
            (Fault::EventStorm, ErrorKind::Timeout),
            (Fault::HalfAndClose, ErrorKind::System),
            (Fault::Error(45, "no"), ErrorKind::AuthFailed),
            (Fault::Error(5, "no such driver"), ErrorKind::NoConnect),
        ] {
            let error = error(asked, fault.clone());
            assert_eq!(error.kind(), kind, "{asked} {fault:?}: {error}");
        }
    }
}

#[test]
fn an_invalid_list_is_an_error() {
    alone!();
    for (fault, kind) in [
        (Fault::Garbage, ErrorKind::Rpc),
        (Fault::Length(u32::MAX), ErrorKind::Rpc),
        (Fault::WrongSerial, ErrorKind::Rpc),
        (Fault::Half, ErrorKind::Timeout),
        (Fault::Silence, ErrorKind::Timeout),
        (Fault::EventStorm, ErrorKind::Timeout),
        (Fault::HalfAndClose, ErrorKind::System),
        (Fault::Error(1, "Too many domains '16385' for limit '16384'"), ErrorKind::Internal),
        (Fault::Error(4711, "of a newer libvirt"), ErrorKind::Other(4711)),
    ] {
        let error = error(procedure::LIST, fault.clone());
        assert_eq!(error.kind(), kind, "{fault:?}: {error}");
    }
}

#[test]
fn invalid_statistics_are_an_error() {
    alone!();
    for (fault, kind) in [
        (Fault::Garbage, ErrorKind::Rpc),
        (Fault::Length(u32::MAX), ErrorKind::Rpc),
        (Fault::WrongSerial, ErrorKind::Rpc),
        (Fault::Silence, ErrorKind::Timeout),
        (Fault::EventStorm, ErrorKind::Timeout),
        (Fault::HalfAndClose, ErrorKind::System),
        (Fault::Error(3, "this function is not supported"), ErrorKind::NoSupport),
        (Fault::Error(39, "unknown procedure: 344"), ErrorKind::NoSupport),
        (Fault::Error(8, "unsupported flags (0x20000000)"), ErrorKind::InvalidArgument),
    ] {
        let error = error(procedure::STATS, fault.clone());
        assert_eq!(error.kind(), kind, "{fault:?}: {error}");
    }
    // The next reply completes the half, whose content belongs to no domain.
    let report = ask(&FakeSpec::new(3).fault(procedure::STATS, Fault::Half).start());
    assert!(report.is_err() || !report.unwrap().is_complete());
}

#[test]
fn a_daemon_without_the_bulk_call_says_so() {
    alone!();
    for fault in [
        Fault::Error(39, "unknown procedure: 344"),
        Fault::Error(3, "this function is not supported by the connection driver"),
    ] {
        for domains in [3, 0] {
            let daemon = FakeSpec::new(domains).fault(procedure::STATS, fault.clone()).start();
            let error = ask(&daemon).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NoSupport);
            assert!(error.to_string().contains("bulk statistics"), "{error}");
        }
    }
}

#[test]
fn unreadable_records_fail_alone() {
    alone!();
    for fault in [Fault::UnknownType, Fault::ParamCount(1 << 31), Fault::StringLength(u32::MAX)] {
        let daemon = FakeSpec::new(3).fault(procedure::STATS, fault).start();
        let report = ask(&daemon).unwrap();
        assert_eq!(report.domains.len(), 3);
        for record in &report.domains {
            let missing = record.why_missing(StatsGroups::STATE).unwrap();
            assert_eq!(missing.reason, MissingReason::Failed);
            assert!(missing.text.contains("could not be understood"), "{missing}");
        }
    }
}

#[test]
fn too_large_a_reply_is_requested_in_parts() {
    alone!();
    for limit in [1, 7, 100] {
        let daemon = FakeSpec::new(600).fault(procedure::STATS, Fault::TooLarge(limit)).start();
        let request = StatsRequest::new().timeout(PATIENCE);
        let report = connect(&daemon).unwrap().all_domain_stats(&request).unwrap();
        assert_eq!(report.domains.len(), 600);
        assert!(report.is_complete());
    }
}

#[test]
fn data_of_a_newer_libvirt_is_passed_on() {
    alone!();
    let daemon = FakeSpec::new(2).fault(procedure::STATS, Fault::Newer).start();
    let report = ask(&daemon).unwrap();
    let plain = ask(&FakeSpec::new(2).start()).unwrap();
    let known: HashMap<_, _> = plain.domains[0].params().into_iter().collect();
    let params = report.domains[0].params();
    let newer: Vec<_> = params.iter().filter(|(key, _)| !known.contains_key(key)).collect();
    assert!(newer.len() >= 2, "{params:?}");
    let xml = report.to_xml();
    for (key, _) in newer {
        assert!(xml.contains(key.rsplit('.').next().unwrap()), "{key} is not in {xml}");
    }
    // XML has no types for what has no catalogue row.
    assert_eq!(StatsReport::from_xml(&xml).unwrap().to_xml(), xml);
    assert_eq!(StatsReport::from_json(&report.to_json()).unwrap().domains, report.domains);
}

#[test]
fn events_and_trickles_do_no_harm() {
    alone!();
    for asked in [procedure::LIST, procedure::STATS] {
        let daemon = FakeSpec::new(2).fault(asked, Fault::Event).start();
        assert!(ask(&daemon).unwrap().is_complete());
    }
    let daemon = FakeSpec::new(1).fault(procedure::LIST, Fault::Trickle).start();
    let request = StatsRequest::new().timeout(PATIENCE);
    let report = connect(&daemon).unwrap().all_domain_stats(&request).unwrap();
    assert!(report.is_complete());
}

#[test]
fn a_second_reply_ends_the_connection_and_the_next_call_gets_another() {
    alone!();
    let daemon = FakeSpec::new(2).fault(procedure::STATS, Fault::Twice).start();
    let connect = connect(&daemon).unwrap();
    let _ = connect.all_domain_stats(&StatsRequest::new().timeout(TIMEOUT));
    daemon.mend();
    let report = connect.all_domain_stats(&StatsRequest::new().timeout(TIMEOUT)).unwrap();
    assert!(report.is_complete());
    assert_eq!(report.domains.len(), 2);
}

#[test]
fn late_replies_are_discarded() {
    alone!();
    let late = Fault::Late(Duration::from_millis(500));
    let daemon = FakeSpec::new(3).fault(procedure::STATS, late).start();
    let connect = connect(&daemon).unwrap();
    let short = StatsRequest::new().timeout(Duration::from_millis(150));
    for _ in 0..3 {
        assert_eq!(connect.all_domain_stats(&short).unwrap_err().kind(), ErrorKind::Timeout);
    }
    daemon.mend();
    // The call does not wait for the domains until their late replies arrive; those do not belong
    // to this report.
    let stopwatch = Stopwatch::start();
    let mut whole = 0;
    while whole < 20 {
        stopwatch.assert_within(PATIENCE / 2);
        // On a busy machine the time may be too short once more.
        whole = match connect.all_domain_stats(&short) {
            Ok(report) => {
                assert_eq!(report.domains.len(), 3);
                if report.is_complete() { whole + 1 } else { 0 }
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
                0
            }
        };
    }
}

/// A daemon stops reading a connection that has five calls in flight.
#[test]
fn no_connection_has_more_than_four_calls_in_flight() {
    alone!();
    let daemon = FakeSpec::new(300).latency(Duration::from_millis(5)).start();
    let connect = connect(&daemon).unwrap();
    let request = StatsRequest::new().timeout(PATIENCE);
    for _ in 0..2 {
        assert!(connect.all_domain_stats(&request).unwrap().is_complete());
    }
    let calls = daemon.calls();
    let most = calls.iter().map(|call| call.waiting).max().unwrap();
    assert!((2..=4).contains(&most), "{most}");
    let connections = calls.iter().map(|call| call.connection).max().unwrap() + 1;
    assert_eq!(connections, 3, "one for what needs no monitor, two for the rest");
}

#[test]
fn high_latency_gets_larger_batches() {
    alone!();
    let questions = |latency| {
        let daemon = FakeSpec::new(200).latency(latency).start();
        let options = ConnectOptions::new();
        let connect = Connect::open_with(&daemon.uri(), &options).unwrap();
        let request = StatsRequest::new().timeout(PATIENCE);
        assert!(connect.all_domain_stats(&request).unwrap().is_complete());
        let calls = daemon.calls();
        calls.iter().filter(|call| call.procedure == procedure::STATS).count()
    };
    let (short, long) = (questions(Duration::ZERO), questions(Duration::from_millis(100)));
    // 200 on a quiet machine; on a busy one the latency is higher.
    assert!(long < 30 && short > 3 * long, "{short} and {long}");
}

#[test]
fn five_thousand_domains_are_read() {
    alone!();
    let daemon = FakeSpec::new(5000).start();
    let connect = connect(&daemon).unwrap();
    let request = StatsRequest::new().timeout(PATIENCE);
    let report = connect.all_domain_stats(&request).unwrap();
    assert_eq!(report.domains.len(), 5000);
    assert!(report.is_complete());
    let domains = connect.domains(DomainFilter::empty()).unwrap();
    let request = request.groups(StatsGroups::STATE).options(StatsOptions::NOWAIT);
    let report = Domain::list_stats(&domains[..300], &request).unwrap();
    assert_eq!(report.domains.len(), 300);
}

/// A peer that announces much and sends little gets no memory for it.
#[test]
fn memory_is_bounded() {
    alone!();
    let peak = || {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let before = peak();
    for fault in [
        Fault::Length(u32::MAX),
        Fault::Length(33_554_436),
        Fault::EventStorm,
        Fault::ParamCount(262_144),
        Fault::StringLength(4_194_304),
    ] {
        let daemon = FakeSpec::new(3).fault(procedure::STATS, fault).start();
        let _ = ask(&daemon);
    }
    // In KiB; other tests run beside this one.
    assert!(peak() - before < 64 << 10, "{} KiB more", peak() - before);
}
