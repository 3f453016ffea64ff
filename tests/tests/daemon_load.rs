//! The daemon under load: many clients, some of which misbehave, for a while.
//!
//! 15 seconds of it are a test; `DOMSTATS_LOAD_SECONDS=300` makes it five minutes.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::{
    env,
    io::{Read, Write},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use domstats_live::{domstatsd::Domstatsd, http::Http, process::held};

/// Prometheus servers and dashboards, each of which asks every so often: 50 scrapes a second.
const CLIENTS: u32 = 200;
const INTERVAL: Duration = Duration::from_secs(4);
/// What a scrape may take: half a second is that of the stuck domain, the rest is for two busy CPUs.
const DEADLINE: Duration = Duration::from_secs(3);

/// Scrapes until the end, and returns how many times, and what the slowest took.
fn scrape(http: Http, number: u32, end: Instant) -> (u32, Duration) {
    let mut next = Instant::now() + INTERVAL * number / CLIENTS;
    let (mut scrapes, mut slowest) = (0, Duration::ZERO);
    while next < end {
        thread::sleep(next.saturating_duration_since(Instant::now()));
        let start = Instant::now();
        let answer = http.get_with("/metrics", &["accept-encoding: identity"]);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.body.ends_with(b"\n") && answer.body.len() > 10_000);
        slowest = slowest.max(start.elapsed());
        scrapes += 1;
        next += INTERVAL;
    }
    (scrapes, slowest)
}

/// Opens connections that never do what they should, and keeps each for a while.
fn misbehave(http: Http, is_over: &AtomicBool) {
    let requests: [&[u8]; 5] = [
        b"",
        b"GET /metrics HTTP/1.1\r\nhost: ",
        // It never reads what it asked for.
        b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n",
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
fn many_clients_are_served_in_time_and_flat_memory_beside_those_that_misbehave() {
    let seconds = env::var("DOMSTATS_LOAD_SECONDS").ok().map_or(15, |text| text.parse().unwrap());
    let daemon = Domstatsd::start_with(
        &["-c", "test:///default?domains=100&hang=vm1", "--timeout", "500ms"],
        "client_timeout = \"2s\"\n",
    );
    let (http, pid) = (daemon.http(), daemon.pid());
    let answer = http.get("/metrics").body.len() as u64 / 1024;
    let start = Instant::now();
    let end = start + Duration::from_secs(seconds);
    let is_over = AtomicBool::new(false);
    let mut samples = Vec::new();
    let (scrapes, slowest) = thread::scope(|scope| {
        let clients: Vec<_> =
            (0..CLIENTS).map(|number| scope.spawn(move || scrape(http, number, end))).collect();
        scope.spawn(|| misbehave(http, &is_over));
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
    // At first the allocator takes what it keeps.
    let middle = samples.len() * 2 / 3;
    let most = |samples: &[(u64, usize)]| {
        let memory = samples.iter().map(|(memory, _)| *memory).max().unwrap();
        (memory, samples.iter().map(|(_, files)| *files).max().unwrap())
    };
    let (before, after) = (most(&samples[..middle]), most(&samples[middle..]));
    eprintln!(
        "{scrapes} scrapes of {answer} KiB in {seconds} s, the slowest {slowest:?}; \
         {before:?} then {after:?} KiB and files"
    );
    let expected = u64::from(CLIENTS) * seconds / INTERVAL.as_secs();
    assert!(u64::from(scrapes) * 10 > expected * 8, "{scrapes} of {expected}");
    assert!(slowest < DEADLINE, "{slowest:?}");
    assert!(after.0 < before.0 + 10 * answer, "from {before:?} to {after:?}");
    assert!(after.1 < 512, "{after:?}");
}
