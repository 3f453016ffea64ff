//! The daemon's HTTP: documents, authentication, and clients that misbehave.

use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    path::Path,
    process::Output,
    thread,
    time::Duration,
};

use domstats::{DomainState, StatsReport};
use domstats_live::{
    alone,
    domstatsd::{Domstatsd, program},
    guest::{Spec, boot_all},
    lab::lab,
    libvirt::virsh,
    patience::{self, PATIENCE, Stopwatch, wait_until},
    pki::Pki,
    process::{self, hang_up},
    prometheus::Prometheus,
};
use rustix::net::sockopt::set_socket_recv_buffer_size;

#[test]
fn documents_match_the_request() {
    alone!();
    let guests = boot_all([Spec::new("on").running().raw_disks(1), Spec::new("paused")]);
    let daemon = Domstatsd::start(&["-c", "qemu+qmp:///system"]);
    let http = daemon.http();

    let json = http.get("/v1/domains?stats=cpu,block&state=running");
    assert_eq!(json.header("content-type"), Some("application/json"));
    let report = StatsReport::from_json(&json.text()).unwrap();
    let on = report.domain(guests[0].name()).unwrap();
    assert!(on.cpu.is_some() && on.vcpu.is_some() && on.block.is_some() && on.balloon.is_none());
    assert!(report.domain(guests[1].name()).is_none());

    for (path, accept) in [
        ("/v1/domains", "accept: application/xml"),
        ("/v1/domains?format=xml", "accept: application/json"),
    ] {
        let xml = http.get_with(path, &[accept]);
        assert_eq!(xml.header("content-type"), Some("application/xml"));
        let report = StatsReport::from_xml(&xml.text()).unwrap();
        assert!(guests.iter().all(|guest| report.domain(guest.name()).is_some()));
    }

    for name in [guests[1].name(), &guests[1].uuid] {
        let one = http.get(&format!("/v1/domains/{name}?stats=state"));
        let report = StatsReport::from_json(&one.text()).unwrap();
        assert_eq!(report.domains.len(), 1);
        let state = report.domains[0].state.as_ref().unwrap();
        assert_eq!(state.state, Some(DomainState::Paused));
    }
}

#[test]
fn errors_are_a_status_and_a_sentence() {
    alone!();
    let daemon = Domstatsd::start(&["-c", "test:///default"]);
    let http = daemon.http();
    for (method, path, header, status, sentence) in [
        (
            "GET",
            "/v1/domains/none",
            "a: b",
            404,
            "no domain that matches has the name or UUID 'none'",
        ),
        ("GET", "/v1/domains?stats=disk", "a: b", 400, "there is no group 'disk': use cpu"),
        ("GET", "/v1/domains?timeout=1h", "a: b", 400, "timeout is '1h': use more than 0 and"),
        ("GET", "/v1/domains?colour=red", "a: b", 400, "there is no parameter 'colour': use"),
        ("GET", "/v1/domains", "accept: text/html", 406, "the document is application/json or"),
        (
            "GET",
            "/metrics/compat/nagios",
            "a: b",
            404,
            "there is no exporter 'nagios' here: use tinkoff",
        ),
        ("GET", "/v2/domains", "a: b", 404, "there is nothing at '/v2/domains': /healthz,"),
        ("DELETE", "/v1/domains/vm1", "a: b", 405, "everything here is read by GET or HEAD"),
        ("GET", "/v1/domains/%ff", "a: b", 400, "the path is not UTF-8"),
    ] {
        let answer = http.ask(method, path, &[header]);
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/json"), "{path}");
        let error = answer.error();
        assert!(error.starts_with(sentence), "{path}: {error}");
    }
}

#[test]
fn unchanged_documents_are_not_sent_again() {
    alone!();
    let daemon = Domstatsd::start(&["-c", "test:///default"]);
    let http = daemon.http();
    let path = "/v1/domains?max_age=30s";
    let first = http.get(path);
    let tag = first.header("etag").unwrap().to_owned();
    let again = http.get_with(path, &[&format!("if-none-match: \"other\", {tag}")]);
    assert_eq!((again.status, again.body.len()), (304, 0));
    assert_eq!(again.header("etag"), Some(tag.as_str()));

    let small = http.get_with(path, &["accept-encoding: gzip"]);
    assert_eq!(small.header("content-encoding"), Some("gzip"));
    assert!(
        small.body.len() * 3 < first.body.len(),
        "{} of {}",
        small.body.len(),
        first.body.len()
    );
    let packed = lab().path("packed.gz");
    fs::write(&packed, &small.body).unwrap();
    assert_eq!(lab().run(lab().command("gzip").arg("-dc").arg(&packed)), first.text());

    let fresh = http.get_with("/v1/domains", &[&format!("if-none-match: {tag}")]);
    assert_eq!(fresh.status, 200);
    assert_ne!(fresh.header("etag"), Some(tag.as_str()));
}

/// Starts a daemon that must refuse its configuration, and returns its output.
fn refused(http: &str) -> String {
    let path = lab().path(lab().name("wrong.toml"));
    fs::write(&path, format!("connect = [\"test:///default\"]\n[http]\n{http}")).unwrap();
    let daemon = |option: &[&str]| {
        let mut command = lab().command_at(program());
        let output = command.arg("--config").arg(&path).args(option).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let checked = daemon(&["--check"]);
    let sentence = checked.trim().strip_prefix("domstatsd: ").unwrap();
    let said = daemon(&[]);
    assert!(said.contains(sentence), "{said}, but {checked}");
    said
}

#[test]
fn beyond_this_host_it_needs_tls_and_authentication() {
    alone!();
    let open = refused("listen = \"0.0.0.0:0\"\n");
    assert!(open.contains("which other hosts reach: set http.certificate and http.key"), "{open}");
    let token = lab().path("short-token");
    fs::write(&token, "secret\n").unwrap();
    let short = refused(&format!("token_file = \"{}\"\n", token.display()));
    assert!(short.contains("it is shorter than 16 characters"), "{short}");
    let half = refused("certificate = \"/nowhere.pem\"\n");
    assert!(half.contains("http.certificate and http.key belong together"), "{half}");
    let gone = refused("certificate = \"/nowhere.pem\"\nkey = \"/nowhere.pem\"\n");
    assert!(gone.contains("cannot read our certificate from /nowhere.pem: No such file"), "{gone}");
    let twice = refused("compat = [\"kumina\"]\n");
    assert!(twice.contains("scrape /metrics/compat/kumina instead"), "{twice}");
}

/// Scrapes over TLS, with Python's own client.
fn https(daemon: &Domstatsd, party: &Path, certificate: bool, token: &str) -> Output {
    const SCRIPT: &str = "
import http.client, ssl, sys
port, party, certificate, token = sys.argv[1:]
context = ssl.create_default_context(cafile=party + '/cacert.pem')
if certificate == 'true':
    context.load_cert_chain(party + '/clientcert.pem', party + '/clientkey.pem')
client = http.client.HTTPSConnection('localhost', int(port), context=context, timeout=20)
client.request('GET', '/metrics', headers={'Authorization': 'Bearer ' + token} if token else {})
answer = client.getresponse()
print(answer.status, 'libvirt_up' in answer.read().decode())
";
    let port = daemon.address().port().to_string();
    let mut command = lab().command("/usr/bin/python3");
    command.args(["-c", SCRIPT, &port]).arg(party).args([&certificate.to_string(), token]);
    command.output().unwrap()
}

#[test]
fn a_token_or_a_certificate_is_enough() {
    alone!();
    const TOKEN: &str = "a-token-of-some-length";
    let pki = Pki::new();
    let token = lab().path("token");
    fs::write(&token, format!("{TOKEN}\n")).unwrap();
    let server = format!(
        "certificate = \"{0}/servercert.pem\"\nkey = \"{0}/serverkey.pem\"\n",
        pki.server.display()
    );
    let with_token = format!("{server}token_file = \"{}\"\n", token.display());
    let authority = format!("client_ca = \"{}/cacert.pem\"\n", pki.server.display());
    let said = |output: &Output| String::from_utf8_lossy(&output.stdout).trim().to_owned();

    let daemon = Domstatsd::start_with(&["-c", "test:///default"], &with_token);
    let client = pki.client.as_path();
    assert_eq!(said(&https(&daemon, client, false, TOKEN)), "200 True");
    assert_eq!(said(&https(&daemon, client, false, "another-token-of-that")), "401 False");
    assert_eq!(said(&https(&daemon, client, false, "")), "401 False");
    let scrape = format!(
        "scheme: https
tls_config: {{ca_file: {ca}/cacert.pem, server_name: localhost}}
authorization: {{credentials_file: {token}}}
static_configs: [{{targets: ['{address}']}}]",
        ca = client.display(),
        token = token.display(),
        address = daemon.address(),
    );
    let prometheus = Prometheus::start(&[("by-token", scrape)]);
    prometheus.wait_for("libvirt_up", |up| up.len() == 1 && up[0].value == 1.0);

    let daemon = Domstatsd::start_with(&["-c", "test:///default"], &format!("{server}{authority}"));
    assert_eq!(said(&https(&daemon, client, true, "")), "200 True");
    for (party, certificate) in [(client, false), (&pki.stranger, true), (&pki.expired, true)] {
        let output = https(&daemon, party, certificate, "");
        assert!(!output.status.success(), "{}: {}", party.display(), said(&output));
    }

    let either = format!("{with_token}{authority}");
    let daemon = Domstatsd::start_with(&["-c", "test:///default"], &either);
    assert_eq!(said(&https(&daemon, client, true, "")), "200 True");
    assert_eq!(said(&https(&daemon, client, false, TOKEN)), "200 True");
    assert_eq!(said(&https(&daemon, client, false, "")), "401 False");
}

#[test]
fn a_hangup_reads_tokens_and_certificates_again() {
    alone!();
    let pki = Pki::new();
    let token = lab().path(lab().name("token"));
    fs::write(&token, "the-first-token-of-all").unwrap();
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| lab().path(lab().name(name)));
    fs::copy(pki.server.join("servercert.pem"), &certificate).unwrap();
    fs::copy(pki.server.join("serverkey.pem"), &key).unwrap();
    let lines = format!("certificate = {certificate:?}\nkey = {key:?}\ntoken_file = {token:?}\n");
    let daemon = Domstatsd::start_with(&["-c", "test:///default"], &lines);
    let asks = |token: &str| https(&daemon, &pki.client, false, token).stdout;
    assert_eq!(asks("the-first-token-of-all"), b"200 True\n");

    // What cannot be read changes nothing.
    fs::write(&token, "short").unwrap();
    hang_up(daemon.pid());
    thread::sleep(Duration::from_millis(300));
    assert_eq!(asks("the-first-token-of-all"), b"200 True\n");

    fs::write(&token, "the-second-token-of-all").unwrap();
    hang_up(daemon.pid());
    wait_until(PATIENCE, "the second token is not read", || {
        asks("the-second-token-of-all") == b"200 True\n"
    });
    assert_eq!(asks("the-first-token-of-all"), b"401 False\n");

    // A certificate that this client does not know.
    fs::copy(pki.stranger.join("clientcert.pem"), &certificate).unwrap();
    fs::copy(pki.stranger.join("clientkey.pem"), &key).unwrap();
    hang_up(daemon.pid());
    wait_until(PATIENCE, "the new certificate is not read", || {
        !(https(&daemon, &pki.client, false, "the-second-token-of-all").status.success())
    });
}

#[test]
fn misbehaving_clients_delay_no_other() {
    alone!();
    let daemon = Domstatsd::start_with(
        &["-c", "test:///default?domains=1000"],
        "max_connections = 100\nclient_timeout = \"2s\"\n",
    );
    let http = daemon.http();
    let files = process::held(daemon.pid()).1;
    let usual = daemon.metrics_of(1000);

    // Twenty of each kind: one sends nothing, one stops within its header, one sends a request and
    // does not read the answer. All together are fewer than the connections allowed.
    let mut held: Vec<TcpStream> = Vec::new();
    for _ in 0..20 {
        held.push(http.connect());
        for request in
            ["GET /metrics HTTP/1.1\r\nhost: ", "GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n"]
        {
            let mut stream = http.connect();
            // Otherwise the kernel may buffer a whole answer.
            set_socket_recv_buffer_size(&stream, 64 << 10).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            held.push(stream);
        }
    }
    let stopwatch = Stopwatch::start();
    assert_eq!(http.get("/healthz").status, 200);
    stopwatch.assert_within(Duration::from_secs(1));

    // Garbage closes its own connection.
    for garbage in
        [&b"\x16\x03\x01\x02\x00\x01"[..], b"\0\0\0\0\r\n\r\n", b"GET\r\n\r\n", b"{}{}{}\r\n\r\n"]
    {
        let mut stream = http.connect();
        stream.write_all(garbage).unwrap();
        let _ = stream.shutdown(Shutdown::Write);
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 400"), "{text}");
    }
    let long = format!("/metrics?stats={}", "x".repeat(100_000));
    let mut stream = http.connect();
    let _ = stream.write_all(format!("GET {long} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes());
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    assert!(bytes.is_empty() || bytes.starts_with(b"HTTP/1.1 4"));

    // Their places become free again.
    wait_until(PATIENCE, "the places do not become free", || {
        process::held(daemon.pid()).1 <= files
    });
    let mut closed = 0;
    for mut stream in held {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut bytes = Vec::new();
        let ended = stream.read_to_end(&mut bytes);
        assert!(!matches!(&ended, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock));
        // No client that did not read in time got a whole answer.
        assert!(bytes.len() < usual.body.len(), "{}", bytes.len());
        closed += 1;
    }
    assert_eq!(closed, 60);
}

#[test]
fn many_clients_share_passes_in_bounded_memory() {
    alone!();
    let daemon =
        Domstatsd::start(&["-c", "test:///default?domains=100&hang=vm1", "--timeout", "500ms"]);
    let http = daemon.http();
    let crowd = || {
        let clients: Vec<_> = (0..100)
            .map(|_| {
                thread::spawn(move || {
                    let answer = http.get("/metrics");
                    assert_eq!(answer.status, 200, "{}", answer.text());
                })
            })
            .collect();
        clients.into_iter().for_each(|client| client.join().unwrap());
    };
    for _ in 0..4 {
        crowd();
    }
    let before = process::memory(daemon.pid());
    for _ in 0..8 {
        let ((), took) = patience::time(crowd);
        // The timeout, and what two CPUs need to write a hundred answers.
        took.assert_within(Duration::from_secs(3));
    }
    let after = process::memory(daemon.pid());
    // A copy for each client would be a hundred answers; the allocator keeps a few.
    let answer = http.get("/metrics").body.len() as u64 / 1024;
    assert!(after < before + 25 * answer, "from {before} to {after} KiB, {answer} KiB an answer");
    let text = http.get("/metrics").text();
    let count = |name: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().parse().unwrap()
    };
    assert!(count("domstatsd_answers_total") > 1_200.0);
    assert!(count("domstatsd_passes_total") < 60.0, "{}", count("domstatsd_passes_total"));
}

#[test]
fn calls_over_libvirts_protocol_are_counted() {
    alone!();
    let socket = lab().path(lab().name("counted"));
    let options = ["-c", "test:///default", "--rpc-socket", socket.to_str().unwrap()];
    let daemon = Domstatsd::start(&options);
    let uri = format!("qemu+unix:///system?socket={}", socket.display());
    lab().run(&mut virsh(&uri, &["domstats", "--state"]));
    let refused = virsh(&uri, &["destroy", "vm1"]).output().unwrap();
    assert!(!refused.status.success());

    let text = daemon.http().get("/metrics?format=prometheus").text();
    for line in [
        "domstatsd_rpc_calls_total{procedure=\"ConnectGetAllDomainStats\",result=\"served\"} 1",
        "domstatsd_rpc_calls_total{procedure=\"ConnectGetAllDomainStats\",result=\"refused\"} 0",
        "domstatsd_rpc_calls_total{procedure=\"virDomainDestroy\",result=\"refused\"} 1",
        "domstatsd_rpc_connections_total 2",
        "domstatsd_rpc_turned_away_total 0",
        // virsh's call, and this one.
        "domstatsd_passes_total 2",
    ] {
        assert!(text.lines().any(|its| its == line), "{line} is not in {text}");
    }
}
