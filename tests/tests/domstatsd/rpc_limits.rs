//! Limits for a client of libvirt's protocol, so that it costs others nothing.

use std::{
    net::TcpStream,
    time::{Duration, Instant},
};

use domstats_live::{
    alone,
    domstatsd::Domstatsd,
    fake_daemon::procedure::{LIST, STATS, SUPPORTS_FEATURE, TYPE},
    lab::lab,
    patience::{PATIENCE, Stopwatch},
    pki::Pki,
    process::held,
    rpc_client::{Heard, RpcClient, call, keepalive},
    wire::{Bytes, KEEPALIVE, PING, PONG, Packet, Reader},
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// A call for groups of all domains: other groups make another request.
fn stats(serial: u32, groups: u32) -> Packet {
    call(STATS, serial, Bytes::default().u32(0).u32(groups).u32(0))
}

/// Receives this many packets, whatever they are.
fn hear(client: &mut RpcClient, count: usize) -> Vec<Packet> {
    let next = |_| match client.hear(PATIENCE) {
        Heard::Packet(packet) => packet,
        other => panic!("{other:?} in place of a packet"),
    };
    (0..count).map(next).collect()
}

/// Calls, and returns the reply.
fn hear_one(client: &mut RpcClient, call: &Packet) -> Packet {
    client.send(&call.encode()).unwrap();
    hear(client, 1).remove(0)
}

/// The duration of another client's call: the median of many.
fn bystander(client: &mut RpcClient) -> Duration {
    let stopwatch = Stopwatch::start();
    let mut times: Vec<_> = (0..51)
        .map(|_| {
            let start = stopwatch.time();
            let answer = client.call(STATS, Bytes::default().u32(0).u32(1).u32(0));
            assert_eq!(answer.status, 0);
            (stopwatch.time() - start).steps
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}

#[test]
fn concurrent_calls_of_a_client_are_limited() {
    alone!();
    for (most, lines) in [(5, ""), (1, "[rpc]\nmax_client_requests = 1\n")] {
        let source = "test:///default?domains=20&slow=vm2:200ms";
        let daemon = Domstatsd::start_with(&["-c", source, "--timeout", "30s"], lines);
        let mut greedy = RpcClient::connect(&daemon.socket).opened();
        let mut modest = RpcClient::connect(&daemon.socket).opened();
        let calls: Vec<u8> = (1..=12).flat_map(|serial| stats(serial, serial).encode()).collect();
        greedy.send(&[calls, keepalive(PING).encode()].concat()).unwrap();
        // Like libvirtd, it does not read the ping before it has finished enough calls.
        let stopwatch = Stopwatch::start();
        assert_eq!(modest.call(TYPE, Bytes::default()).status, 0);
        stopwatch.assert_within(Duration::from_millis(150));
        let heard = hear(&mut greedy, 13);
        let pong = heard.iter().position(|packet| packet.program == KEEPALIVE).unwrap();
        assert_eq!(heard[pong].procedure, PONG);
        assert!(pong > 12 - most, "after {pong} answers");
        let mut serials: Vec<_> =
            heard.iter().filter(|it| it.program != KEEPALIVE).map(|it| it.serial).collect();
        serials.sort_unstable();
        assert!(serials.into_iter().eq(1..=12));
    }
}

#[test]
fn clients_that_read_nothing_take_bounded_memory_and_delay_no_other() {
    alone!();
    const CLIENTS: u64 = 20;
    let daemon = Domstatsd::start(&["-c", "test:///default?domains=300", "--timeout", "30s"]);
    let mut other = RpcClient::connect(&daemon.socket).opened();
    let answer = hear_one(&mut other, &stats(1, 0)).payload.len() as u64 / 1024;
    assert!(answer > 200, "{answer} KiB are more than a socket holds");
    let before = (bystander(&mut other), held(daemon.pid()));
    let mut greedy: Vec<_> =
        (0..CLIENTS).map(|_| RpcClient::connect(&daemon.socket).opened()).collect();
    for client in &mut greedy {
        for serial in 0..100 {
            client.send(&stats(serial, 0).encode()).unwrap();
        }
    }
    let mut most = 0;
    for _ in 0..30 {
        std::thread::sleep(Duration::from_millis(100));
        most = most.max(held(daemon.pid()).0);
    }
    let after = bystander(&mut other);
    let taken = most.saturating_sub(before.1.0);
    eprintln!(
        "{CLIENTS} readers of nothing: {taken} KiB, answers of {answer} KiB; {before:?} then {after:?}"
    );
    // Five answers for each, and what generating them takes.
    assert!(taken < CLIENTS * 5 * answer + 20 * answer + 16_384, "{taken} KiB");
    assert!(after < before.0 * 4 + Duration::from_millis(20), "{before:?} then {after:?}");
    drop(greedy);
    assert_eq!(other.call(TYPE, Bytes::default()).status, 0);
}

#[test]
fn thousands_of_idle_clients_cost_little_and_delay_no_other() {
    alone!();
    const CLIENTS: usize = 3000;
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let daemon = Domstatsd::start(&["-c", "test:///default?domains=100", "--timeout", "30s"]);
    let mut other = RpcClient::connect(&daemon.socket).opened();
    let _ = bystander(&mut other);
    let before = (bystander(&mut other), held(daemon.pid()));
    let idle: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let mut client = RpcClient::connect(&daemon.socket).opened();
            // Every second one answers pings, as virsh does.
            if number % 2 == 0 {
                client.call(SUPPORTS_FEATURE, Bytes::default().u32(10));
            }
            client
        })
        .collect();
    let after = (bystander(&mut other), held(daemon.pid()));
    let each = (after.1.0 - before.1.0) as f64 / CLIENTS as f64;
    eprintln!("{CLIENTS} idle clients: {each:.1} KiB each; {before:?} then {after:?}");
    assert_eq!(after.1.1, before.1.1 + CLIENTS, "one file for each");
    assert!(each < 16.0, "{each} KiB");
    assert!(after.0 < before.0 * 3 + Duration::from_millis(5), "{before:?} then {after:?}");
    drop(idle);
    let deadline = Instant::now() + PATIENCE;
    while held(daemon.pid()).1 > before.1.1 {
        assert!(Instant::now() < deadline, "{:?} after {before:?}", held(daemon.pid()));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(other.call(TYPE, Bytes::default()).status, 0);
}

#[test]
fn a_client_beyond_the_limit_is_refused_at_once_and_the_others_stay() {
    alone!();
    let lines = "[rpc]\nmax_clients = 3\n";
    let daemon = Domstatsd::start_with(&["-c", "test:///default"], lines);
    let mut clients: Vec<_> = (0..3).map(|_| RpcClient::connect(&daemon.socket).opened()).collect();
    for _ in 0..5 {
        assert_eq!(RpcClient::connect(&daemon.socket).hear(PATIENCE), Heard::End);
    }
    for client in &mut clients {
        assert_eq!(client.call(TYPE, Bytes::default()).status, 0);
    }
    drop(clients.pop());
    let deadline = Instant::now() + PATIENCE;
    let mut late = loop {
        let mut client = RpcClient::connect(&daemon.socket);
        if client.hear(Duration::from_millis(50)) == Heard::Nothing {
            break client.opened();
        }
        assert!(Instant::now() < deadline, "a place was left and is not given");
    };
    assert_eq!(late.call(TYPE, Bytes::default()).status, 0);
    let metrics = daemon.http().get("/metrics").text();
    let clients = metrics.lines().find(|line| line.starts_with("domstatsd_rpc_clients "));
    assert_eq!(clients, Some("domstatsd_rpc_clients 3"));
}

/// Clients that never authenticate take no other client's place, and are disconnected.
#[test]
fn unauthenticated_clients_keep_no_other_out() {
    alone!();
    let pki = Pki::new();
    let port = lab().port();
    let lines = format!("[rpc]\npki = \"{}\"\nmax_clients = 4\n", pki.server.display());
    let address = format!("127.0.0.1:{port}");
    let options = ["-c", "test:///default", "--rpc-tls", &address];
    let daemon = Domstatsd::start_with(&options, &lines);
    let strangers: Vec<_> = (0..60)
        .map(|number| {
            let mut stream = TcpStream::connect(&address).unwrap();
            // Some start to authenticate.
            if number % 2 == 0 {
                std::io::Write::write_all(&mut stream, b"\x16\x03\x01\x02\x00\x01").unwrap();
            }
            stream
        })
        .collect();
    let stopwatch = Stopwatch::start();
    let mut by_tls = RpcClient::connect_tls(port, &pki.client).unwrap().opened();
    let mut by_socket = RpcClient::connect(&daemon.socket).opened();
    stopwatch.assert_within(Duration::from_secs(5));
    for stream in strangers {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut end = [0; 1024];
        let mut stream = stream;
        // Nothing, or TLS's message about it.
        while std::io::Read::read(&mut stream, &mut end).is_ok_and(|length| length > 0) {}
    }
    stopwatch.assert_within(Duration::from_secs(15));
    for client in [&mut by_tls, &mut by_socket] {
        assert_eq!(client.call(TYPE, Bytes::default()).status, 0);
    }
}

/// Each of many clients makes a different request, all about a stuck domain.
#[test]
fn many_different_requests_are_answered_in_time() {
    alone!();
    const CLIENTS: u32 = 80;
    let source = "test:///default?domains=20&hang=vm1";
    let daemon = Domstatsd::start(&["-c", source, "--timeout", "1s"]);
    let mut clients: Vec<_> =
        (0..CLIENTS).map(|_| RpcClient::connect(&daemon.socket).opened()).collect();
    let mut other = RpcClient::connect(&daemon.socket).opened();
    let stopwatch = Stopwatch::start();
    for (groups, client) in (1..).step_by(5).zip(&mut clients) {
        let calls = (0..5).flat_map(|serial| stats(serial, groups + serial).encode());
        client.send(&calls.collect::<Vec<u8>>()).unwrap();
    }
    assert_eq!(other.call(TYPE, Bytes::default()).status, 0);
    stopwatch.assert_within(Duration::from_millis(700));
    assert_eq!(hear_one(&mut other, &stats(0, 2047)).status, 0);
    for client in &mut clients {
        assert!(hear(client, 5).iter().all(|answer| answer.status == 0));
    }
    // 64 at a time, one second each, would take more than six.
    stopwatch.assert_within(Duration::from_secs(5));
}

/// libvirt's own limits and error messages. The connection stays usable.
#[test]
fn too_large_requests_are_refused() {
    alone!();
    let refusal = |answer: Packet| {
        assert_eq!(answer.status, 1, "{} bytes", answer.payload.len());
        let mut reader = Reader(&answer.payload);
        let [code, _, _] = [reader.u32().unwrap(), reader.u32().unwrap(), reader.u32().unwrap()];
        (code, reader.string().unwrap().to_owned())
    };
    let list = || Bytes::default().u32(1).u32(0);
    let everything = || Bytes::default().u32(0).u32(0).u32(0);
    let daemon = Domstatsd::start(&["-c", "test:///default?domains=16385", "--timeout", "60s"]);
    let mut client = RpcClient::connect(&daemon.socket).opened();
    let (code, sentence) = refusal(client.call(LIST, list()));
    assert_eq!(
        (code, sentence.as_str()),
        (1, "internal error: Too many domains '16385' for limit '16384'")
    );
    let (code, sentence) = refusal(client.call(STATS, Bytes::default().u32(0).u32(1).u32(0)));
    let expected = "internal error: Number of domain stats records is 16385, \
                    which exceeds max limit: 16384";
    assert_eq!((code, sentence.as_str()), (1, expected));
    drop((client, daemon));
    let daemon = Domstatsd::start(&["-c", "test:///default?domains=16384", "--timeout", "60s"]);
    let mut client = RpcClient::connect(&daemon.socket).opened();
    assert_eq!(client.call(LIST, list()).status, 0);
    let (code, sentence) = refusal(client.call(STATS, everything()));
    assert_eq!((code, sentence.as_str()), (39, "Unable to encode message payload"));
    assert_eq!(client.call(TYPE, Bytes::default()).status, 0);
}
