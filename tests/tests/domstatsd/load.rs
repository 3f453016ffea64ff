//! The daemon under load: many clients, some of which misbehave, for a while.
//!
//! They use HTTP and libvirt's protocol. 15 seconds of it are a test; `DOMSTATS_LOAD_SECONDS=300`
//! makes it five minutes.

use std::{
    env,
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    process::{Child, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use domstats_live::{
    alone, domstatsd::Domstatsd, http::Http, lab::lab, patience::Stopwatch, process::held,
    tools::python_with_libvirt,
};

/// Prometheus servers and dashboards, each of which scrapes periodically: 50 scrapes a second.
const CLIENTS: u32 = 200;
const INTERVAL: Duration = Duration::from_secs(4);
/// Clients of libvirt's protocol, each with a connection on which it calls as often.
const RPC_CLIENTS: u32 = 50;
/// The time limit for a scrape: the stuck domain takes half a second, the rest is for two CPUs.
const DEADLINE: Duration = Duration::from_secs(3);

/// Scrapes until `end`, and returns how often, and the longest duration.
fn scrape(http: Http, number: u32, end: Instant, stopwatch: &Stopwatch) -> (u32, Duration) {
    let mut next = Instant::now() + INTERVAL * number / CLIENTS;
    let (mut scrapes, mut slowest) = (0, Duration::ZERO);
    while next < end {
        thread::sleep(next.saturating_duration_since(Instant::now()));
        let start = stopwatch.time();
        let answer = http.get_with("/metrics", &["accept-encoding: identity"]);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.body.ends_with(b"\n") && answer.body.len() > 10_000);
        slowest = slowest.max((stopwatch.time() - start).steps);
        scrapes += 1;
        next += INTERVAL;
    }
    (scrapes, slowest)
}

/// All clients of libvirt's protocol in one process. It prints the number of calls, and the
/// milliseconds of the slowest call.
const RPC: &str = "
import libvirt, sys, threading, time
uri, clients, seconds, interval = sys.argv[1], *map(int, sys.argv[2:])
groups = libvirt.VIR_DOMAIN_STATS_STATE | libvirt.VIR_DOMAIN_STATS_BALLOON
end = time.monotonic() + seconds
times = []
def ask(number):
    connect = libvirt.openReadOnly(uri)
    due = end - seconds + interval * number / clients
    while due < end:
        time.sleep(max(0, due - time.monotonic()))
        began = time.monotonic()
        assert len(connect.getAllDomainStats(groups)) == 100
        times.append(time.monotonic() - began)
        due += interval
threads = [threading.Thread(target=ask, args=[number]) for number in range(clients)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(times), int(max(times) * 1000))
";

fn ask_by_rpc(daemon: &Domstatsd, seconds: u64) -> Child {
    let mut command = lab().command_at(python_with_libvirt());
    command.args(["-c", RPC, &daemon.uri(), &RPC_CLIENTS.to_string(), &seconds.to_string()]);
    command.arg(INTERVAL.as_secs().to_string()).stdout(Stdio::piped()).spawn().unwrap()
}

/// Returns a call of the program REMOTE of libvirt's protocol.
fn call(procedure: u32, payload: &[u32]) -> Vec<u8> {
    let length = 28 + 4 * u32::try_from(payload.len()).unwrap();
    let head = [length, 0x2000_8086, 1, procedure, 0, 1, 0];
    head.iter().chain(payload).flat_map(|word| word.to_be_bytes()).collect()
}

/// Like [`misbehave`], over libvirt's protocol.
fn misbehave_by_rpc(socket: &Path, is_over: &AtomicBool) {
    // It connects, opens, requests everything and never reads an answer.
    let greedy = [call(66, &[]), call(1, &[1, 0, 1]), call(344, &[0, 0, 0]).repeat(100)].concat();
    let requests: [&[u8]; 5] = [
        b"",
        &call(66, &[])[..10],
        &[0xff; 28],
        b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n",
        &greedy,
    ];
    let mut held = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        for request in requests {
            let mut stream = UnixStream::connect(socket).unwrap();
            let _ = stream.write_all(request);
            held.push(stream);
        }
        if held.len() > 25 {
            held.drain(..5);
        }
        thread::sleep(Duration::from_secs(1));
    }
}

/// Opens connections that misbehave, and keeps each for a while.
fn misbehave(http: Http, is_over: &AtomicBool) {
    let requests: [&[u8]; 5] = [
        b"",
        b"GET /metrics HTTP/1.1\r\nhost: ",
        // It never reads the answer.
        b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"{\"execute\": \"qmp_capabilities\"}\r\n\r\n",
    ];
    let mut held = Vec::new();
    let mut reader = http.connect();
    let _ = reader.write_all(requests[2]);
    while !is_over.load(Ordering::Relaxed) {
        for request in requests {
            let mut stream = http.connect();
            let _ = stream.write_all(request);
            held.push(stream);
        }
        // One that reads, a byte at a time.
        if reader.read(&mut [0]).unwrap_or(0) == 0 {
            reader = http.connect();
            let _ = reader.write_all(requests[2]);
        }
        if held.len() > 60 {
            held.drain(..5);
        }
        thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn many_clients_are_served_in_time_and_in_flat_memory_despite_misbehaving_ones() {
    alone!();
    let seconds = env::var("DOMSTATS_LOAD_SECONDS").ok().map_or(15, |text| text.parse().unwrap());
    let daemon = Domstatsd::start_with(
        &["-c", "test:///default?domains=100&hang=vm1", "--timeout", "500ms"],
        "client_timeout = \"2s\"\n",
    );
    let (http, pid) = (daemon.http(), daemon.pid());
    let answer = daemon.metrics_of(100).body.len() as u64 / 1024;
    let stopwatch = &Stopwatch::start();
    let end = Instant::now() + Duration::from_secs(seconds);
    let is_over = AtomicBool::new(false);
    let mut samples = Vec::new();
    let by_rpc = ask_by_rpc(&daemon, seconds);
    let (scrapes, slowest) = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| scope.spawn(move || scrape(http, number, end, stopwatch)))
            .collect();
        scope.spawn(|| misbehave(http, &is_over));
        scope.spawn(|| misbehave_by_rpc(&daemon.socket, &is_over));
        while Instant::now() < end {
            thread::sleep(Duration::from_millis(100));
            samples.push(held(pid));
        }
        let results: Vec<_> = clients.into_iter().map(|client| client.join()).collect();
        is_over.store(true, Ordering::Relaxed);
        let results = results.into_iter().map(Result::unwrap);
        results.fold((0, Duration::ZERO), |(all, slowest), (its, longest)| {
            (all + its, slowest.max(longest))
        })
    });
    let output = by_rpc.wait_with_output().unwrap();
    let time = stopwatch.time();
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).unwrap();
    let numbers: Vec<u64> = said.split_whitespace().map(|word| word.parse().unwrap()).collect();
    // By the yardstick, which Python does not have.
    let pace = time.steps.as_secs_f64() / time.passed.as_secs_f64();
    let (calls, slowest_call) = (numbers[0], Duration::from_millis(numbers[1]).mul_f64(pace));
    // At first the allocator takes what it will keep.
    let middle = samples.len() * 2 / 3;
    let most = |samples: &[(u64, usize)]| {
        let memory = samples.iter().map(|(memory, _)| *memory).max().unwrap();
        (memory, samples.iter().map(|(_, files)| *files).max().unwrap())
    };
    let (before, after) = (most(&samples[..middle]), most(&samples[middle..]));
    eprintln!(
        "{scrapes} scrapes of {answer} KiB in {seconds} s, the slowest {slowest:?}; \
         {calls} calls of libvirt's protocol, the slowest {slowest_call:?}; {before:?} then {after:?} KiB and files"
    );
    let expected = u64::from(CLIENTS) * seconds / INTERVAL.as_secs();
    assert!(u64::from(scrapes) * 10 > expected * 8, "{scrapes} of {expected}");
    assert!(slowest < DEADLINE, "{slowest:?}");
    let expected = u64::from(RPC_CLIENTS) * seconds / INTERVAL.as_secs();
    assert!(calls * 10 > expected * 8, "{calls} of {expected}");
    assert!(slowest_call < DEADLINE, "{slowest_call:?}");
    assert!(after.0 < before.0 + 10 * answer, "from {before:?} to {after:?}");
    assert!(after.1 < 512, "{after:?}");
}
