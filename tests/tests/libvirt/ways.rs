//! The transports to a libvirt daemon: Unix socket, TCP and TLS; which clients get in, and the
//! errors of the others.

use std::{fs, os::unix::net::UnixListener, path::Path, time::Duration};

use domstats::{Connect, ConnectOptions, ErrorKind, StatsRequest};
use domstats_live::{
    alone,
    lab::lab,
    libvirt::{Libvirt, LibvirtSpec},
    patience::{PATIENCE, Stopwatch},
    pki::Pki,
};

const TIMEOUT: Duration = Duration::from_secs(2);

/// How much longer than its timeout opening may take on a busy machine.
const SLACK: Duration = Duration::from_millis(500);

#[track_caller]
fn assert_let_in(uri: &str) {
    let connect = Connect::open(uri).unwrap_or_else(|error| panic!("{uri}: {error}: {error:?}"));
    assert!(connect.is_alive());
    connect.all_domain_stats(&StatsRequest::new().timeout(PATIENCE)).unwrap();
}

/// Asserts that opening fails in time, for this reason.
#[track_caller]
fn assert_refused(uri: &str, kind: ErrorKind, reason: &str) {
    let stopwatch = Stopwatch::start();
    let error = Connect::open_with(uri, &ConnectOptions::new().timeout(TIMEOUT)).unwrap_err();
    stopwatch.assert_within(TIMEOUT + SLACK);
    assert_eq!(error.kind(), kind, "{error}: {error:?}");
    assert!(error.to_string().contains(reason), "{error}: {error:?}");
}

/// Returns a URI for a client's certificates, modified by `change`.
fn changed(client: &Path, change: impl FnOnce(&Path)) -> String {
    let dir = lab().path(lab().name("changed"));
    fs::create_dir_all(&dir).unwrap();
    for name in ["cacert.pem", "clientcert.pem", "clientkey.pem"] {
        fs::copy(client.join(name), dir.join(name)).unwrap();
    }
    change(&dir);
    // Nothing listens there: the client must not connect.
    format!("qemu+tls://localhost:1/session?pkipath={}", dir.display())
}

#[test]
fn tls_lets_in_clients_with_a_certificate() {
    alone!();
    let pki = Pki::new();
    let libvirt = LibvirtSpec::default().tls(&pki.server).start();
    let uri = libvirt.tls_uri(&pki.client);
    assert_let_in(&uri);
    assert_let_in(&uri.replace("localhost", "127.0.0.1"));
    assert_let_in(&libvirt.tls_uri(&pki.wary));
    // A client trusts each of several authorities in its file.
    let both = changed(&pki.doubter, |dir| {
        let authorities = [&pki.doubter, &pki.client].map(|party| party.join("cacert.pem"));
        let text = authorities.map(|file| fs::read_to_string(file).unwrap()).concat();
        fs::write(dir.join("cacert.pem"), text).unwrap();
        for name in ["clientcert.pem", "clientkey.pem"] {
            fs::copy(pki.client.join(name), dir.join(name)).unwrap();
        }
    });
    let (_, pkipath) = both.split_once("pkipath=").unwrap();
    assert_let_in(&libvirt.tls_uri(Path::new(pkipath)));
    // What an abruptly closed connection leaves in the log.
    let log = fs::read_to_string(libvirt.dir.join("log")).unwrap();
    assert!(!log.contains("Cannot recv data"), "{log}");

    for refused in [&pki.stranger, &pki.expired] {
        let file = refused.join("clientcert.pem").display().to_string();
        assert_refused(&libvirt.tls_uri(refused), ErrorKind::Tls, &file);
    }
    assert_refused(&libvirt.tls_uri(&pki.nameless), ErrorKind::Tls, "which has no certificate");
    let doubter = libvirt.tls_uri(&pki.doubter);
    assert_refused(&doubter, ErrorKind::Tls, "not signed by an authority in");
    assert_refused(&format!("{doubter}&no_verify=1"), ErrorKind::Tls, "refused the client's");
}

#[test]
fn an_older_tls_is_enough_and_an_old_one_is_not() {
    alone!();
    let pki = Pki::new();
    let start = |priority: &str| {
        LibvirtSpec::default().setting("tls_priority", priority).tls(&pki.server).start()
    };
    let libvirt = start("NORMAL:-VERS-ALL:+VERS-TLS1.2");
    assert_let_in(&libvirt.tls_uri(&pki.client));
    let stranger = pki.stranger.join("clientcert.pem").display().to_string();
    assert_refused(&libvirt.tls_uri(&pki.stranger), ErrorKind::Tls, &stranger);
    assert_refused(&libvirt.tls_uri(&pki.nameless), ErrorKind::Tls, "which has no certificate");
    let libvirt = start("NORMAL:-VERS-ALL:+VERS-TLS1.1");
    assert_refused(&libvirt.tls_uri(&pki.client), ErrorKind::Tls, "TLS 1.2 or 1.3");
}

#[test]
fn tls_carries_a_password() {
    alone!();
    let pki = Pki::new();
    let libvirt = LibvirtSpec::default().sasl("scram-sha-256").tls(&pki.server).start();
    assert_let_in(&libvirt.tls_uri(&pki.client));
}

#[test]
fn tls_checks_the_host_name() {
    alone!();
    let pki = Pki::new();
    let libvirt = LibvirtSpec::default().tls(&pki.server_elsewhere).start();
    let uri = libvirt.tls_uri(&pki.client);
    assert_refused(&uri, ErrorKind::Tls, "elsewhere.example.org");
    assert_refused(&uri.replace("localhost", "127.0.0.1"), ErrorKind::Tls, "elsewhere.example.org");
    assert_let_in(&format!("{uri}&no_verify=1"));
    assert_refused(&libvirt.tls_uri(&pki.wary), ErrorKind::Tls, "revoked");
}

#[test]
fn tls_says_what_is_wrong_with_a_servers_certificate() {
    alone!();
    let pki = Pki::new();
    let libvirt = LibvirtSpec::default().tls(&pki.server_by_common_name).start();
    assert_refused(&libvirt.tls_uri(&pki.client), ErrorKind::Tls, "no subjectAltName");

    // Otherwise the daemon examines its own certificate first, and refuses to start.
    let spec = LibvirtSpec::default().setting("tls_no_sanity_certificate", 1);
    let libvirt = spec.tls(&pki.server_expired).start();
    let uri = libvirt.tls_uri(&pki.client);
    assert_refused(&uri, ErrorKind::Tls, "has expired");
    assert_let_in(&format!("{uri}&no_verify=1"));
}

#[test]
fn tls_says_which_file_is_wrong() {
    alone!();
    let pki = Pki::new();
    let client = &pki.client;
    let refused = |uri: String, reason| assert_refused(&uri, ErrorKind::Tls, reason);
    refused(
        changed(client, |dir| fs::remove_file(dir.join("cacert.pem")).unwrap()),
        "cacert.pem, which must contain a certificate",
    );
    refused(
        changed(client, |dir| {
            fs::copy(dir.join("clientkey.pem"), dir.join("cacert.pem")).unwrap();
        }),
        "cacert.pem must contain a certificate for TLS, but contains none",
    );
    refused(
        changed(client, |dir| {
            let file = dir.join("cacert.pem");
            let text = fs::read_to_string(&file).unwrap();
            fs::write(file, text.replace("-----END", "!-----END")).unwrap();
        }),
        "cacert.pem must contain a certificate for TLS, but is damaged",
    );
    refused(
        changed(client, |dir| fs::write(dir.join("clientkey.pem"), "").unwrap()),
        "clientkey.pem must contain the private key for TLS, but contains none",
    );
    refused(
        changed(client, |dir| {
            fs::copy(pki.stranger.join("clientkey.pem"), dir.join("clientkey.pem")).unwrap();
        }),
        "clientkey.pem does not belong to the certificate",
    );
    refused(
        changed(client, |dir| fs::write(dir.join("cacrl.pem"), "nothing").unwrap()),
        "cacrl.pem must contain a revocation list for TLS, but contains none",
    );
}

/// More than a daemon encrypts, sends and is read at once.
#[test]
fn every_transport_gives_the_same() {
    alone!();
    let pki = Pki::new();
    let libvirt = LibvirtSpec::default().tls(&pki.server).tcp().start();
    let node = libvirt.dir.join("node.xml");
    let domains: String = (0..2_000)
        .map(|index| {
            let label = "a-name-that-needs-some-room".repeat(3);
            format!(
                "<domain type='test'><name>{label}-{index}</name><memory>8192</memory>\
                 <uuid>c0ffee00-0000-4000-8000-{index:012}</uuid><os><type>hvm</type></os></domain>"
            )
        })
        .collect();
    fs::write(&node, format!("<node>{domains}</node>")).unwrap();
    let socket = format!("test+unix://{}?socket={}", node.display(), libvirt.socket().display());
    let with_node =
        |uri: String| uri.replace("qemu", "test").replace("/session", &node.display().to_string());
    let states = |uri: &str| {
        // The duration is not checked here.
        let connect = Connect::open_with(uri, &ConnectOptions::new().timeout(PATIENCE)).unwrap();
        let request = StatsRequest::new().timeout(PATIENCE);
        let report = connect.all_domain_stats(&request).unwrap();
        assert_eq!(report.missing, []);
        let state = |record: domstats::DomainStats| (record.domain.name, record.state);
        report.domains.into_iter().map(state).collect::<Vec<_>>()
    };
    let expected = states(&socket);
    assert_eq!(expected.len(), 2_000);
    assert!(expected.iter().all(|(_, state)| state.is_some()));
    assert_eq!(states(&with_node(libvirt.tcp_uri())), expected);
    assert_eq!(states(&with_node(libvirt.tls_uri(&pki.client))), expected);
}

#[test]
fn the_wrong_port_is_an_error_in_time() {
    alone!();
    let pki = Pki::new();
    let tcp = LibvirtSpec::default().tcp().start();
    assert_let_in(&tcp.tcp_uri());
    let uri = tcp.tcp_uri().replace("+tcp", "+tls");
    let uri = format!("{uri}?pkipath={}", pki.client.display());
    assert_refused(&uri, ErrorKind::Tls, "no TLS with port");
    let tls = LibvirtSpec::default().tls(&pki.server).start();
    let uri = tls.tls_uri(&pki.client).replace("+tls", "+tcp");
    assert_refused(&uri, ErrorKind::System, "closed the connection");
}

#[test]
fn a_frozen_daemon_is_an_error_in_time_over_every_transport() {
    alone!();
    let pki = Pki::new();
    let libvirt = LibvirtSpec::default().tls(&pki.server).tcp().start();
    let uris = [libvirt.uri(), libvirt.tcp_uri(), libvirt.tls_uri(&pki.client)];
    libvirt.freeze();
    uris.iter().for_each(|uri| assert_refused(uri, ErrorKind::Timeout, "in time"));
    libvirt.thaw();
    uris.iter().for_each(|uri| assert_let_in(uri));
}

#[test]
fn a_missing_daemon_is_an_error_at_once() {
    alone!();
    let socket = lab().path(lab().name("socket"));
    let uri = format!("qemu:///session?socket={}", socket.display());
    let refused = |uri: &str, reason| {
        let stopwatch = Stopwatch::start();
        assert_refused(uri, ErrorKind::NoConnect, reason);
        stopwatch.assert_within(SLACK);
    };
    refused(&uri, "no libvirt daemon runs here: there is no socket");
    drop(UnixListener::bind(&socket).unwrap());
    refused(&uri, "nobody listens on the socket");
    let port = lab().port();
    refused(&format!("qemu+tcp://localhost:{port}/session"), "nobody listens on port");
}

/// The daemon notices the end of every connection, has room for others, and logs no complaint.
#[test]
fn a_daemon_is_left_as_it_was() {
    alone!();
    let pki = Pki::new();
    let spec = LibvirtSpec::default().setting("max_clients", 5).setting("max_anonymous_clients", 5);
    let libvirt: Libvirt = spec.tls(&pki.server).tcp().start();
    for _ in 0..10 {
        assert_let_in(&libvirt.tls_uri(&pki.client));
        assert_let_in(&libvirt.tcp_uri());
        assert_let_in(&libvirt.uri());
    }
    let log = fs::read_to_string(libvirt.dir.join("log")).unwrap();
    let complaints = ["End of file", "reading data", "recv data", "write data"];
    assert!(!complaints.iter().any(|words| log.contains(words)), "{log}");
}
