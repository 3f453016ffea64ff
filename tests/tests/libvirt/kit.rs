//! The kit's daemons as libvirt's own clients see them: what the driver's tests rely on.

use std::{
    collections::BTreeSet, io::Read, os::unix::net::UnixStream, process::Stdio, thread,
    time::Duration,
};

use domstats_live::{
    alone,
    lab::lab,
    libvirt::{Libvirt, LibvirtGuest, LibvirtSpec, PASSWORD, USER, virsh},
    patience::{PATIENCE, wait_until},
    pki::Pki,
    relay::Relay,
    sshd::{PROGRAMS, Sshd},
};

/// Runs `virsh hostname`, and returns its message if it fails.
fn hostname(uri: &str) -> Result<(), String> {
    let output = virsh(uri, &["hostname"]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    if output.status.success() { Ok(()) } else { Err(error) }
}

#[track_caller]
fn assert_refused(uri: &str, reason: &str) {
    let error = hostname(uri).unwrap_err();
    assert!(error.contains(reason), "{error}");
}

/// Returns the names that `virsh list` prints.
fn list(libvirt: &Libvirt, options: &[&str]) -> BTreeSet<String> {
    let text = lab().run(&mut libvirt.virsh(&[&["list", "--name"], options].concat()));
    text.split_whitespace().map(str::to_owned).collect()
}

fn names(guests: &[LibvirtGuest]) -> BTreeSet<String> {
    guests.iter().map(|guest| guest.name.clone()).collect()
}

#[test]
fn tls_lets_in_clients_with_a_certificate() {
    alone!();
    let pki = Pki::new();
    let libvirt = LibvirtSpec::default().tls(&pki.server).start();
    hostname(&libvirt.tls_uri(&pki.client)).unwrap();
    for refused in [&pki.stranger, &pki.expired, &pki.nameless] {
        // Otherwise `virsh` examines its own certificate first, and refuses it.
        let uri = format!("{}&no_sanity=1", libvirt.tls_uri(refused));
        assert_refused(&uri, "Unable to read TLS confirmation");
    }
    assert_refused(&libvirt.tls_uri(&pki.doubter), "Failed to verify peer's certificate");
}

#[test]
fn tls_rejects_a_certificate_for_another_host() {
    alone!();
    let pki = Pki::new();
    let libvirt = LibvirtSpec::default().tls(&pki.server_elsewhere).start();
    let uri = libvirt.tls_uri(&pki.client);
    assert_refused(&uri, "does not match the hostname localhost");
    hostname(&format!("{uri}&no_verify=1")).unwrap();
}

#[test]
fn tcp_lets_everyone_in() {
    alone!();
    hostname(&LibvirtSpec::default().tcp().start().tcp_uri()).unwrap();
}

#[test]
fn scram_is_for_the_socket_and_for_tls() {
    alone!();
    let pki = Pki::new();
    let libvirt = LibvirtSpec::default().sasl("scram-sha-256").tcp().tls(&pki.server).start();
    hostname(&libvirt.uri()).unwrap();
    hostname(&libvirt.tls_uri(&pki.client)).unwrap();
    // SCRAM encrypts nothing: without other encryption, libvirtd has no mechanism to offer.
    assert_refused(&libvirt.tcp_uri(), "authentication failed: authentication failed");

    let wrong = libvirt.credentials("wrong horse");
    let socket = format!("qemu:///session?socket={}", libvirt.socket().display());
    assert_refused(&format!("{socket}&authfile={}", wrong.display()), "authentication failed");
    assert_refused(&socket, "authentication failed");
}

#[test]
fn digest_md5_is_for_plain_tcp() {
    alone!();
    let libvirt = LibvirtSpec::default().sasl("digest-md5 scram-sha-256").tcp().start();
    let uri = libvirt.tcp_uri();
    hostname(&uri).unwrap();
    assert_refused(&format!("{uri}&auth=sasl.SCRAM-SHA-256"), "not supported by server");
}

#[test]
fn a_relay_makes_a_socket_reachable_over_tcp() {
    alone!();
    let libvirt = Libvirt::start();
    let relay = Relay::start(&libvirt.socket());
    hostname(&format!("qemu+tcp://localhost:{}/session", relay.port)).unwrap();
}

/// `virsh` does not do that: it requires encryption on any TCP connection.
#[test]
fn a_relay_carries_scram() {
    alone!();
    let libvirt = LibvirtSpec::default().sasl("scram-sha-256").start();
    let relay = Relay::start(&libvirt.socket());
    let login = |password| {
        let mut python = lab().command("python3");
        python.args(["-c", include_str!("scram.py"), &relay.port.to_string(), USER, password]);
        python.output().unwrap()
    };
    let output = login(PASSWORD);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("SCRAM-SHA-256"), "{output:?}");
    let output = login("wrong horse");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("authentication failed"), "{output:?}");
}

#[test]
fn ssh_reaches_the_daemon_with_either_program() {
    alone!();
    let libvirt = Libvirt::start();
    let sshd = Sshd::start(&libvirt, PROGRAMS);
    let socket = libvirt.socket();
    hostname(&sshd.uri()).unwrap();
    hostname(&format!("{}&proxy=native", sshd.uri())).unwrap();
    let netcat = format!("{}&proxy=netcat&socket={}", sshd.uri(), socket.display());
    hostname(&netcat).unwrap();

    let sshd = Sshd::start(&libvirt, &["sh"]);
    assert_refused(&format!("{}&proxy=native", sshd.uri()), "virt-ssh-helper: not found");
}

#[test]
fn ssh_rejects_unknown_keys_and_servers() {
    alone!();
    let libvirt = Libvirt::start();
    let sshd = Sshd::start(&libvirt, PROGRAMS);
    assert_refused(&sshd.uri_with(&sshd.ssh, &sshd.strange_key), "Permission denied (publickey)");
    let doubting = sshd.uri_with(&sshd.doubting_ssh, &sshd.key);
    assert_refused(&doubting, "Host key verification failed");
    hostname(&format!("{doubting}&no_verify=1")).unwrap();
}

#[test]
fn a_frozen_libvirtd_accepts_and_sends_nothing() {
    alone!();
    let libvirt = Libvirt::start();
    libvirt.freeze();
    let mut stream = UnixStream::connect(libvirt.socket()).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let error = stream.read(&mut [0; 4]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    let mut child = libvirt.virsh(&["hostname"]).stdout(Stdio::null()).spawn().unwrap();
    thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none());
    libvirt.thaw();
    assert!(child.wait().unwrap().success());
}

#[test]
fn guests_outlive_a_libvirtd() {
    alone!();
    let mut libvirt = LibvirtSpec::default().tcp().start();
    let guests = libvirt.create_many("outlives", 3, false);
    let uri = libvirt.tcp_uri();
    libvirt.kill();
    hostname(&libvirt.uri()).unwrap_err();
    hostname(&uri).unwrap_err();
    libvirt.restart();
    hostname(&uri).unwrap();
    assert_eq!(list(&libvirt, &["--state-paused"]), names(&guests));
    let stats = libvirt.domstats(&guests[0], &["--balloon"]);
    assert!(stats["balloon.rss"].as_i64().unwrap() > 1000);
}

#[test]
fn a_domain_is_defined_runs_and_is_forgotten() {
    alone!();
    let libvirt = Libvirt::start();
    let transient = libvirt.create("transient", false);
    let name = libvirt.define("persistent");
    let only = |name: &String| BTreeSet::from([name.clone()]);
    assert_eq!(list(&libvirt, &["--inactive"]), only(&name));
    let guest = libvirt.boot(&name);
    assert_eq!(list(&libvirt, &["--persistent"]), only(&name));
    assert_eq!(list(&libvirt, &["--transient"]), only(&transient.name));
    assert_eq!(list(&libvirt, &["--inactive"]), BTreeSet::new());
    libvirt.undefine(&name);
    assert_eq!(list(&libvirt, &["--persistent"]), BTreeSet::new());
    assert!(list(&libvirt, &["--transient"]).contains(&guest.name));
}

/// What a test observes that checks whether stuck domains use up the daemon's workers.
#[test]
fn a_frozen_guest_takes_a_worker_of_the_daemon() {
    alone!();
    let libvirt =
        LibvirtSpec::default().setting("min_workers", 2).setting("max_workers", 3).start();
    let guests = libvirt.create_many("frozen", 2, false);
    let idle = libvirt.workers();
    assert_eq!((idle.maximum, idle.free), (3, idle.current), "{idle:?}");
    guests[0].freeze();
    let mut command = libvirt.virsh(&["domstats", "--balloon", &guests[0].name]);
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    wait_until(PATIENCE, "the daemon does not wait for the guest", || {
        libvirt.workers().free != libvirt.workers().current
    });
    guests[0].thaw();
    assert!(child.wait().unwrap().success());
    assert_eq!(list(&libvirt, &["--state-paused"]), names(&guests));
}
