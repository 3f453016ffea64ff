//! `domstats doctor` explains why a libvirt daemon cannot be reached.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, net::UnixListener},
    process::Command,
    time::Duration,
};

use domstats_live::{
    alone,
    command::domstats,
    lab::lab,
    libvirt::{Libvirt, LibvirtSpec},
    patience::Stopwatch,
    pki::Pki,
};

fn doctor(uri: &str) -> Command {
    let mut command = lab().command_at(domstats());
    command.args(["doctor", "--timeout", "1s", "-c", uri]);
    command
}

/// Asserts that a visit fails, reports this finding about the URI, and gives this hint.
#[track_caller]
fn assert_explains(command: &mut Command, finding: &str, hint: &str) {
    let stopwatch = Stopwatch::start();
    let output = command.output().unwrap();
    stopwatch.assert_within(Duration::from_secs(3));
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    let (findings, hints): (Vec<_>, Vec<_>) =
        text.lines().partition(|line| !line.starts_with("hint: "));
    assert!(findings.len() == 1 && findings[0].contains(finding), "{text}");
    assert!(hints.iter().any(|line| line.starts_with(&format!("hint: {hint}"))), "{text}");
}

#[test]
fn a_socket_that_is_not_there() {
    alone!();
    let socket = lab().path("no-such-socket");
    let uri = format!("qemu:///system?socket={}", socket.display());
    assert_explains(&mut doctor(&uri), "there is no socket", "no daemon: ");
    drop(UnixListener::bind(&socket).unwrap());
    assert_explains(&mut doctor(&uri), "its daemon ended", "no daemon: ");
}

#[test]
fn a_socket_of_others() {
    alone!();
    let socket = lab().path("socket-of-root");
    let _daemon = UnixListener::bind(&socket).unwrap();
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o770)).unwrap();
    let uri = format!("qemu:///system?socket={}", socket.display());
    let mut command = lab().command_as_nobody(domstats());
    command.args(["doctor", "-c", &uri]);
    assert_explains(&mut command, "run as root, or join the group", "denied: the group");
}

#[test]
fn polkit_that_does_not_let_in() {
    alone!();
    // Root is let in without a check; `nobody` has no right to libvirt, and no agent to ask for
    // one.
    let libvirt = LibvirtSpec::default().setting("auth_unix_rw", "polkit").start();
    let mut command = lab().command_as_nobody(domstats());
    command.args(["doctor", "-c", &libvirt.uri()]);
    assert_explains(&mut command, "polkit denies this user access to libvirt", "polkit: a rule");
}

#[test]
fn a_certificate_for_another_host() {
    alone!();
    let pki = Pki::new();
    let libvirt = LibvirtSpec::default().tls(&pki.server_elsewhere).start();
    let uri = libvirt.tls_uri(&pki.client);
    assert_explains(&mut doctor(&uri), "localhost", "TLS: ");
}

#[test]
fn a_wrong_password_and_none() {
    alone!();
    let libvirt = LibvirtSpec::default().sasl("scram-sha-256").start();
    let uri = format!("qemu:///session?socket={}", libvirt.socket().display());
    let wrong = libvirt.credentials("wrong horse");
    let with_wrong = format!("{uri}&authfile={}", wrong.display());
    assert_explains(&mut doctor(&with_wrong), "alice", "authentication: ");
    let with_none = format!("{uri}&authfile=/no/such/file");
    assert_explains(&mut doctor(&with_none), "[auth-libvirt-localhost]", "authentication: ");
}

#[test]
fn a_daemon_that_is_stopped() {
    alone!();
    let libvirt = Libvirt::start();
    libvirt.freeze();
    assert_explains(&mut doctor(&libvirt.uri()), "did not answer in time", "timeout: the daemon");
    libvirt.thaw();
}

#[test]
fn a_daemon_that_answers() {
    alone!();
    let libvirt = Libvirt::start();
    let guest = libvirt.create("sound", false);
    libvirt.warm_up();
    let output = doctor(&libvirt.uri()).args(["--timeout", "30s"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 domain on ") && text.contains("driver QEMU"), "{text}");
    assert!(text.contains(&guest.name) && text.contains("provides state, cpu-total"), "{text}");
}
