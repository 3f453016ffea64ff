//! Fifty real guests in one call: complete and right, with some of them stopped, from several
//! threads, and in every format.

use std::{
    fs,
    io::Write,
    path::Path,
    process::Stdio,
    sync::OnceLock,
    thread,
    time::{Duration, SystemTime},
};

use domstats::{
    Connect, DomainStats, Format, MissingReason, StatsGroups, StatsOptions, StatsReport,
    StatsRequest,
};
use domstats_live::{
    alone, checks,
    compare::{differences, lacks, params},
    guest::{Guest, Spec, Wedge, boot_all},
    lab::lab,
    oracle::{self, Params},
    patience::{self, PATIENCE, Stopwatch, Time, wait_until},
};

const POLICIES: [&str; 2] = ["qemu+qmp:///system", "qemu+qmp:///system?monitor_policy=hold"];
const GUESTS: usize = 50;
const STOPPED: [usize; 3] = [3, 24, 49];
/// How much longer than its timeout a call may take.
const SLACK: Duration = Duration::from_millis(250);

/// Boots the guests.
fn fleet() -> Vec<Guest> {
    let spec = |number| match number % 10 {
        0 => Spec::full("fleet").running(),
        1 => Spec::full("fleet").machine("q35"),
        2 => Spec::full("fleet").monitor_by_chardev(),
        3 => Spec::new("fleet"),
        _ => Spec::new("fleet").raw_disks(2).taps(1).iothreads(1).balloon(),
    };
    let fleet = boot_all((0..GUESTS).map(spec));
    // Fifty guests reply in a tenth of a second; on a busy machine they need more.
    let connect = Connect::open("qemu+qmp:///system").unwrap();
    let patient = StatsRequest::new().timeout(PATIENCE);
    let (report, took) = patience::time(|| connect.all_domain_stats(&patient).unwrap());
    assert_complete(&report, &fleet);
    TIMEOUT.get_or_init(|| Duration::from_secs(3).max(took.passed * 5));
    fleet
}

static TIMEOUT: OnceLock<Duration> = OnceLock::new();

/// How long a call may wait for stuck guests.
fn timeout() -> Duration {
    *TIMEOUT.get().unwrap()
}

/// How a guest stops replying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// `SIGSTOP`: the kernel shows it.
    Frozen,
    /// Its main loop waits for something that never comes: nothing shows it.
    Wedged,
}

/// Some guests of the fleet that do not reply; they continue when this is dropped, however the test
/// ends.
struct Silent<'a> {
    guests: Vec<&'a Guest>,
    how: How,
    wedges: Vec<Wedge>,
}

impl<'a> Silent<'a> {
    fn some_of(fleet: &'a [Guest], how: How) -> Self {
        let guests: Vec<_> = STOPPED.iter().map(|number| &fleet[*number]).collect();
        let wedges = match how {
            How::Frozen => {
                guests.iter().for_each(|guest| guest.freeze());
                Vec::new()
            }
            How::Wedged => guests.iter().map(|guest| guest.wedge()).collect(),
        };
        Self { guests, how, wedges }
    }

    fn others(&self, fleet: &'a [Guest]) -> impl Iterator<Item = &'a Guest> {
        let silent: Vec<_> = self.guests.iter().map(|guest| guest.pid).collect();
        fleet.iter().filter(move |guest| !silent.contains(&guest.pid))
    }
}

impl Drop for Silent<'_> {
    fn drop(&mut self) {
        self.wedges.clear();
        if let How::Frozen = self.how {
            self.guests.iter().for_each(|guest| guest.thaw());
        }
    }
}

fn request() -> StatsRequest {
    StatsRequest::new().timeout(timeout())
}

/// Makes the call and checks that it is on time.
fn call(connect: &Connect) -> StatsReport {
    timed(connect).0
}

fn timed(connect: &Connect) -> (StatsReport, Time) {
    let (report, took) = patience::time(|| connect.all_domain_stats(&request()).unwrap());
    took.assert_within(timeout() + SLACK);
    (report, took)
}

/// Returns a line for the first thing that each guest lacks.
fn incomplete<'a>(
    report: &StatsReport,
    guests: impl IntoIterator<Item = &'a Guest>,
) -> Vec<String> {
    guests
        .into_iter()
        .filter_map(|guest| match report.domain(guest.name()) {
            None => Some(format!("{}: no record", guest.name())),
            Some(record) => {
                let lacking = lacks(record);
                Some(format!("{}: {}", guest.name(), lacking.first()?))
            }
        })
        .collect()
}

fn assert_complete<'a>(report: &StatsReport, guests: impl IntoIterator<Item = &'a Guest>) {
    assert_eq!(incomplete(report, guests), [""; 0]);
}

/// Calls until all guests are complete, which takes a call or more for one that was stuck: no call
/// waits for it longer than a moment.
fn assert_recover(connect: &Connect, fleet: &[Guest]) {
    wait_until(PATIENCE, "the guests are complete again", || {
        incomplete(&call(connect), fleet).is_empty()
    });
}

/// They boot once for all of these: none of the checks leaves one stuck.
#[test]
fn fifty_guests() {
    alone!();
    let fleet = fleet();
    checks!(&fleet =>
        fifty_guests_in_one_call_are_complete_and_equal_to_the_oracle,
        the_backing_chain_is_equal_to_the_oracle,
        counters_move_while_a_guest_works,
        three_of_fifty_are_stopped_during_a_call,
        calls_from_several_threads_do_not_wait_for_each_other,
        a_short_timeout_is_observed,
        a_live_report_in_every_format,
        three_of_fifty_are_stopped_before_the_first_call,
        three_of_fifty_are_stopped_between_calls,
        three_of_fifty_are_wedged_before_the_first_call,
        three_of_fifty_are_wedged_between_calls,
    );
}

fn fifty_guests_in_one_call_are_complete_and_equal_to_the_oracle(fleet: &[Guest]) {
    let read = || fleet.iter().map(|guest| oracle::read(guest, false)).collect::<Vec<Params>>();
    let connect = Connect::open("qemu+qmp:///system").unwrap();
    let before = read();
    let report = call(&connect);
    let after = read();
    assert_complete(&report, fleet.iter());
    for (number, guest) in fleet.iter().enumerate() {
        let record = report.domain(guest.name()).unwrap();
        assert_eq!(record.domain.id, Some(guest.pid));
        assert_eq!(record.domain.uuid.unwrap().to_string(), guest.uuid);
        let wrong = differences(&before[number], &params(record), &after[number]);
        assert_eq!(wrong, [""; 0], "{}", guest.name());
    }
    // The running guests do use their disks.
    let busy = report.domain(fleet[0].name()).unwrap().block.as_ref().unwrap();
    assert!(busy.blocks[0].wr_bytes > Some(0));
}

fn the_backing_chain_is_equal_to_the_oracle(fleet: &[Guest]) {
    let connect = Connect::open("qemu+qmp:///system").unwrap();
    let request = request().options(StatsOptions::BACKING);
    let guest = &fleet[0];
    let before = oracle::read(guest, true);
    let report = connect.all_domain_stats(&request).unwrap();
    let after = oracle::read(guest, true);
    let record = report.domain(guest.name()).unwrap();
    assert_eq!(differences(&before, &params(record), &after), [""; 0]);
    assert_eq!(record.block.as_ref().unwrap().count, Some(3));
}

fn counters_move_while_a_guest_works(fleet: &[Guest]) {
    let connect = Connect::open("qemu+qmp:///system").unwrap();
    let written = || {
        let report = call(&connect);
        report.domain(fleet[0].name()).unwrap().block.as_ref().unwrap().blocks[0].wr_reqs
    };
    let before = written();
    wait_until(PATIENCE, "the guest wrote nothing", || written() > before);
}

/// Three of fifty stop replying, before the first call or after it: the others are complete, the
/// call is on time, the three keep their host-side groups, and are complete again soon after.
fn three_of_fifty(fleet: &[Guest], how: How, before_the_first_call: bool) {
    for uri in POLICIES {
        let connect = Connect::open(uri).unwrap();
        if !before_the_first_call {
            assert_complete(&call(&connect), fleet.iter());
        }
        let silent = Silent::some_of(fleet, how);
        // Repeatedly: a monitor's queue is short.
        for round in 0..5 {
            let (report, took) = timed(&connect);
            assert_complete(&report, silent.others(fleet));
            for guest in &silent.guests {
                let record = report.domain(guest.name()).expect("a silent guest has a record");
                // For a wedged guest, the cached replies of the last call are still valid.
                let kept = uri == POLICIES[1] && round == 0 && !before_the_first_call;
                assert_host_side(record, guest, kept && how == How::Wedged);
            }
            // The second call knows that they are stuck, and does not wait for them.
            if round > 0 {
                took.assert_within(timeout() / 2);
            }
        }
        drop(silent);
        assert_recover(&connect, fleet);
    }
}

/// Checks that what needs a monitor is missing with `timeout` unless its reply may be `kept`, and
/// that the rest is there.
fn assert_host_side(record: &DomainStats, guest: &Guest, kept: bool) {
    let why = |group| record.why_missing(group).map(|missing| &missing.reason);
    for group in
        [StatsGroups::BLOCK, StatsGroups::STATE, StatsGroups::IOTHREAD, StatsGroups::DIRTYRATE]
    {
        let missing = record.why_missing(group);
        let is_kept = kept && group != StatsGroups::BLOCK && missing.is_none();
        assert_eq!(record.groups().contains(group), is_kept, "{group:?}");
        assert!(is_kept || why(group) == Some(&MissingReason::Timeout), "{group:?}: {missing:?}");
    }
    for group in [StatsGroups::CPU_TOTAL, StatsGroups::INTERFACE] {
        assert_eq!(why(group), None);
    }
    let cpu = record.cpu.as_ref().unwrap();
    assert!(cpu.time.is_some() && cpu.user.is_some() && cpu.system.is_some());
    let balloon = record.balloon.as_ref().unwrap();
    assert!(balloon.rss > Some(0));
    assert_eq!(balloon.maximum, Some(16 << 10));
    let interfaces = record.interface.as_ref().unwrap();
    let names: Vec<_> = interfaces.interfaces.iter().flat_map(|one| &one.name).collect();
    assert_eq!(names, guest.taps.iter().collect::<Vec<_>>());
    let vcpus = record.vcpu.as_ref().unwrap();
    assert_eq!(vcpus.maximum, Some(guest.maximum_vcpus()));
    assert!(!vcpus.cpus.is_empty() && vcpus.cpus.iter().all(|cpu| cpu.time.is_some()));
}

fn three_of_fifty_are_stopped_before_the_first_call(fleet: &[Guest]) {
    three_of_fifty(fleet, How::Frozen, true);
}

fn three_of_fifty_are_stopped_between_calls(fleet: &[Guest]) {
    three_of_fifty(fleet, How::Frozen, false);
}

fn three_of_fifty_are_wedged_before_the_first_call(fleet: &[Guest]) {
    three_of_fifty(fleet, How::Wedged, true);
}

fn three_of_fifty_are_wedged_between_calls(fleet: &[Guest]) {
    three_of_fifty(fleet, How::Wedged, false);
}

fn three_of_fifty_are_stopped_during_a_call(fleet: &[Guest]) {
    for uri in POLICIES {
        let connect = Connect::open(uri).unwrap();
        call(&connect);
        for round in 0..4 {
            thread::scope(|scope| {
                let calling = scope.spawn(|| call(&connect));
                thread::sleep(Duration::from_millis(10 * round));
                let silent = Silent::some_of(fleet, How::Frozen);
                let report = calling.join().unwrap();
                assert_complete(&report, silent.others(fleet));
            });
        }
        assert_recover(&connect, fleet);
    }
}

fn calls_from_several_threads_do_not_wait_for_each_other(fleet: &[Guest]) {
    for (how, uri) in [How::Frozen, How::Wedged].into_iter().zip(POLICIES) {
        let connect = Connect::open(uri).unwrap();
        call(&connect);
        let silent = Silent::some_of(fleet, how);
        let stopwatch = Stopwatch::start();
        thread::scope(|scope| {
            let call = || (SystemTime::now(), call(&connect));
            let calls: Vec<_> = (0..4).map(|_| scope.spawn(call)).collect();
            for call in calls {
                let (called, report) = call.join().unwrap();
                assert_complete(&report, silent.others(fleet));
                assert!(report.taken_at >= called, "older than the call");
            }
        });
        // Each is within its own timeout; one after another they would take four.
        stopwatch.assert_within(timeout() + 2 * SLACK);
    }
}

fn a_short_timeout_is_observed(fleet: &[Guest]) {
    let connect = Connect::open("qemu+qmp:///system").unwrap();
    call(&connect);
    let silent = Silent::some_of(fleet, How::Wedged);
    let timeout = Duration::from_millis(300);
    let stopwatch = Stopwatch::start();
    let report = connect.all_domain_stats(&request().timeout(timeout)).unwrap();
    stopwatch.assert_within(timeout + SLACK);
    for guest in &silent.guests {
        assert_host_side(report.domain(guest.name()).unwrap(), guest, false);
    }
}

fn a_live_report_in_every_format(fleet: &[Guest]) {
    let connect = Connect::open("qemu+qmp:///system").unwrap();
    let silent = Silent::some_of(fleet, How::Wedged);
    let mut report = call(&connect);
    drop(silent);
    // Documents do not have them.
    report.phases.clear();

    let xml = report.to_xml();
    assert_eq!(StatsReport::from_xml(&xml).unwrap(), report);
    assert_eq!(StatsReport::from_json(&report.to_json()).unwrap(), report);

    let path = lab().path("report.xml");
    fs::write(&path, xml).unwrap();
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/domainstats.rng");
    let mut validate = lab().command("xmllint");
    lab().run(validate.arg("--noout").arg("--relaxng").args([&schema, &path]));

    let mut metrics = Vec::new();
    Format::Prometheus.write(&report, &mut metrics).unwrap();
    let mut check = lab().command("promtool");
    check.args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut check = check.spawn().unwrap();
    check.stdin.take().unwrap().write_all(&metrics).unwrap();
    let output = check.wait_with_output().unwrap();
    let complaints = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{complaints}");

    let mut text = Vec::new();
    Format::Text.write(&report, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    for guest in fleet.iter() {
        assert!(text.contains(&format!("Domain: '{}'\n", guest.name())));
    }
}
