//! The fake daemon as libvirt's own client sees it: it speaks libvirt's protocol, and has the
//! requested faults.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    process::{Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use domstats_live::{
    alone,
    fake_daemon::{FakeDaemon, FakeSpec, Fault, procedure},
    lab::lab,
    libvirt::virsh,
    patience::{PATIENCE, Stopwatch, wait_until},
};

fn run(daemon: &FakeDaemon, arguments: &[&str]) -> String {
    lab().run(&mut virsh(&daemon.uri(), arguments))
}

/// Runs `virsh domstats` against a daemon with three domains and a fault; `None` if it waits for
/// longer than `patience`.
fn domstats(procedure: u32, fault: Fault, patience: Duration) -> Option<Output> {
    let daemon = FakeSpec::new(3).fault(procedure, fault).start();
    let mut command = virsh(&daemon.uri(), &["domstats"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let deadline = Instant::now() + patience;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            return None;
        }
        thread::sleep(Duration::from_millis(5));
    }
    Some(child.wait_with_output().unwrap())
}

/// A client that sends calls without arguments, and reads the serials of what arrives.
struct Raw(UnixStream);

impl Raw {
    fn connect(daemon: &FakeDaemon) -> Self {
        let stream = UnixStream::connect(&daemon.socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(stream)
    }

    fn call(&mut self, procedure: u32, serial: u32) {
        let words = [28, 0x2000_8086, 1, procedure, 0, serial, 0];
        self.0.write_all(&words.map(u32::to_be_bytes).concat()).unwrap();
    }

    fn serial(&mut self) -> u32 {
        let mut header = [0; 28];
        self.0.read_exact(&mut header).unwrap();
        let word = |at: usize| u32::from_be_bytes(header[at..at + 4].try_into().unwrap());
        let mut payload = vec![0; word(0) as usize - header.len()];
        self.0.read_exact(&mut payload).unwrap();
        word(20)
    }
}

#[test]
fn virsh_sees_the_domains() {
    alone!();
    let daemon = FakeSpec::new(3).start();
    let listed = run(&daemon, &["list", "--name"]);
    assert_eq!(listed.trim(), "fake-00001\nfake-00002\nfake-00003");
    assert_eq!(run(&daemon, &["list", "--name", "--inactive"]).trim(), "");
    let stats = run(&daemon, &["domstats", "--state", "--cpu-total", "fake-00002"]);
    let lines = ["Domain: 'fake-00002'", "state.state=1", "state.reason=1", "cpu.time=2000000000"];
    assert_eq!(stats.trim().lines().map(str::trim).collect::<Vec<_>>(), lines);
}

#[test]
fn virsh_sees_each_fault() {
    alone!();
    use Fault::*;
    let undecodable = "Unable to decode message payload";
    for (number, fault, error) in [
        (procedure::AUTH_LIST, Garbage, "server too large"),
        (procedure::STATS, Garbage, "server too large"),
        (procedure::STATS, Length(u32::MAX), "server too large"),
        (procedure::STATS, Length(3), "3 bytes received from server too small"),
        (procedure::STATS, HalfAndClose, "End of file while reading data"),
        (procedure::STATS, WrongSerial, "no call waiting for reply"),
        (procedure::STATS, Error(39, "unknown procedure: 344"), "unknown procedure: 344"),
        (procedure::STATS, TooLarge(2), "Unable to encode message payload"),
        (procedure::STATS, UnknownType, undecodable),
        (procedure::STATS, ParamCount(1 << 31), undecodable),
        (procedure::STATS, StringLength(1 << 20), undecodable),
    ] {
        let output = domstats(number, fault.clone(), PATIENCE).unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && text.contains(error), "{fault:?}: {text}");
    }
    for (number, fault) in [
        (procedure::AUTH_LIST, Silence),
        (procedure::STATS, Silence),
        (procedure::STATS, Half),
        (procedure::STATS, Trickle),
        (procedure::STATS, Late(Duration::from_secs(60))),
        (procedure::STATS, EventStorm),
    ] {
        assert!(domstats(number, fault.clone(), Duration::from_millis(700)).is_none(), "{fault:?}");
    }
    for (fault, line) in [
        (TooLarge(3), "cpu.time=3000000000"),
        (Event, "cpu.time=3000000000"),
        (Newer, "gpu.0.name=pci-0000:01:00.0 «ü»"),
        (Newer, "balloon.drift=-5000000000"),
    ] {
        let output = domstats(procedure::STATS, fault.clone(), PATIENCE).unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains(line), "{fault:?}: {output:?}");
    }
}

#[test]
fn answers_are_late_side_by_side() {
    alone!();
    let latency = Duration::from_millis(400);
    let daemon = FakeSpec::new(1).latency(latency).start();
    let mut client = Raw::connect(&daemon);
    let stopwatch = Stopwatch::start();
    (1..=5).for_each(|serial| client.call(procedure::HOSTNAME, serial));
    let mut serials: Vec<_> = (0..5).map(|_| client.serial()).collect();
    let took = stopwatch.time();
    serials.sort_unstable();
    assert_eq!(serials, [1, 2, 3, 4, 5]);
    assert!(took.passed >= latency, "{took:?}");
    took.assert_within(3 * latency);
    let calls = daemon.calls();
    assert_eq!(calls.iter().map(|call| call.waiting).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert!(calls.iter().all(|call| call.answered));
}

#[test]
fn a_late_answer_comes_after_others_and_some_come_twice() {
    alone!();
    let late = Duration::from_millis(400);
    let daemon = FakeSpec::new(1).fault(procedure::HOSTNAME, Fault::Late(late)).start();
    let mut client = Raw::connect(&daemon);
    client.call(procedure::HOSTNAME, 1);
    client.call(procedure::TYPE, 2);
    assert_eq!([client.serial(), client.serial()], [2, 1]);
    daemon.mend();
    let stopwatch = Stopwatch::start();
    client.call(procedure::HOSTNAME, 3);
    assert_eq!(client.serial(), 3);
    stopwatch.assert_within(late * 3 / 4);

    let daemon = FakeSpec::new(1).fault(procedure::HOSTNAME, Fault::Twice).start();
    let mut client = Raw::connect(&daemon);
    client.call(procedure::HOSTNAME, 4);
    client.call(procedure::TYPE, 5);
    assert_eq!([client.serial(), client.serial(), client.serial()], [4, 4, 5]);
}

#[test]
fn thousands_of_domains_are_answered_at_once() {
    alone!();
    let daemon = FakeSpec::new(5000).start();
    let stopwatch = Stopwatch::start();
    let text = run(&daemon, &["domstats"]);
    assert_eq!(text.matches("Domain: ").count(), 5000);
    assert!(text.contains("cpu.time=5000000000000"));
    stopwatch.assert_within(Duration::from_secs(2));
}

#[test]
fn nothing_waits_for_a_fake_that_is_dropped() {
    alone!();
    let late = Fault::Late(Duration::from_secs(60));
    let spec = FakeSpec::new(1).fault(procedure::TYPE, late);
    let daemon = spec.fault(procedure::HOSTNAME, Fault::EventStorm).start();
    let [mut one, mut other] = [Raw::connect(&daemon), Raw::connect(&daemon)];
    one.call(procedure::TYPE, 1);
    other.call(procedure::HOSTNAME, 1);
    other.serial();
    wait_until(PATIENCE, "two calls", || daemon.calls().len() == 2);
    let stopwatch = Stopwatch::start();
    drop(daemon);
    stopwatch.assert_within(Duration::from_secs(2));
    assert_eq!(one.0.read(&mut [0; 4]).unwrap_or(0), 0);
}
