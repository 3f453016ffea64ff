//! How the libvirt driver logs in over SASL and ssh, and its messages when it is rejected.

use std::{error::Error as _, fs, path::Path, time::Duration};

use domstats::{Connect, ConnectOptions, DomainFilter, Error, ErrorKind, ErrorOrigin};
use domstats_live::{
    alone,
    lab::lab,
    libvirt::{Libvirt, LibvirtSpec, PASSWORD, USER, virsh},
    patience::Stopwatch,
    pki::Pki,
    relay::Relay,
    sshd::{PROGRAMS, Sshd},
};

/// Opens a connection, and queries something that both ends report alike.
#[track_caller]
fn assert_lets_in(uri: &str) {
    let connect = Connect::open(uri).unwrap_or_else(|error| panic!("{uri}: {}", story(&error)));
    assert_eq!(connect.driver_name(), "QEMU");
    assert!(connect.domains(DomainFilter::empty()).unwrap().is_empty());
}

/// Opens a connection that must fail, and returns the error and its whole text.
#[track_caller]
fn refused(uri: &str) -> (Error, String) {
    let stopwatch = Stopwatch::start();
    let error = Connect::open(uri).expect_err(uri);
    stopwatch.assert_within(Duration::from_secs(5));
    let story = story(&error);
    assert!(!story.contains(PASSWORD), "{story}");
    (error, story)
}

#[track_caller]
fn assert_keeps_out(uri: &str, says: &[&str]) {
    let (error, story) = refused(uri);
    assert_eq!((error.kind(), error.code()), (ErrorKind::AuthFailed, 45), "{story}");
    assert_eq!(error.origin(), ErrorOrigin::Auth, "{story}");
    for part in says {
        assert!(story.contains(part), "{story}");
    }
}

/// Returns an error with its causes.
fn story(error: &Error) -> String {
    let mut story = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        story += &format!(": {error}");
        source = error.source();
    }
    story
}

fn by_socket(libvirt: &Libvirt, auth_file: &Path) -> String {
    let (socket, auth_file) = (libvirt.socket(), auth_file.display());
    format!("qemu+unix:///session?socket={}&authfile={auth_file}", socket.display())
}

#[test]
fn every_scram_of_the_daemon_lets_in_over_the_socket() {
    alone!();
    for mechanisms in ["scram-sha-512 scram-sha-1", "scram-sha-256", "scram-sha-1", "plain"] {
        let libvirt = LibvirtSpec::default().sasl(mechanisms).start();
        assert_lets_in(&libvirt.uri());
        let strongest = mechanisms.split(' ').next().unwrap();
        assert_lets_in(&format!("{}&auth=sasl.{strongest}", libvirt.uri()));
    }
}

#[test]
fn a_wrong_password_and_a_wrong_user_are_refused() {
    alone!();
    let libvirt = LibvirtSpec::default().sasl("scram-sha-256 plain").start();
    let file = libvirt.credentials("wrong horse");
    let wrong = by_socket(&libvirt, &file);
    for uri in [&wrong, &format!("{wrong}&auth=sasl.PLAIN")] {
        let file = file.display().to_string();
        assert_keeps_out(uri, &["the user 'alice'", &file, "authentication failed"]);
        assert!(!refused(uri).1.contains("wrong horse"));
    }
    let file = libvirt.credentials(PASSWORD);
    let text = fs::read_to_string(&file).unwrap().replace(USER, "mallory");
    fs::write(&file, text).unwrap();
    assert_keeps_out(&by_socket(&libvirt, &file), &["the user 'mallory'"]);
    // The rejected connection leaves nothing behind.
    assert_lets_in(&libvirt.uri());
}

#[test]
fn without_credentials_the_error_says_what_to_write() {
    alone!();
    let libvirt = LibvirtSpec::default().sasl("scram-sha-256").start();
    let sections = ["[credentials-NAME]", "authname=USER", "[auth-libvirt-localhost]"];
    let socket = format!("qemu+unix:///session?socket={}", libvirt.socket().display());
    let empty = lab().path("empty-config");
    let options = ConnectOptions::new().config_dir(&empty);
    let error = Connect::open_with(&socket, &options).expect_err("no file");
    assert_eq!(error.kind(), ErrorKind::AuthFailed);
    for part in sections {
        assert!(error.to_string().contains(part), "{error}");
    }
    assert_keeps_out(&by_socket(&libvirt, &empty), &sections);

    let file = libvirt.credentials(PASSWORD);
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("localhost", "elsewhere")).unwrap();
    assert_keeps_out(&by_socket(&libvirt, &file), &sections);
    fs::write(&file, text.replace("password=", "password ")).unwrap();
    assert_keeps_out(&by_socket(&libvirt, &file), &[&file.display().to_string(), "line 3"]);

    // Found by default, at the path that libvirt's own programs use.
    fs::create_dir_all(empty.join("libvirt")).unwrap();
    fs::write(empty.join("libvirt/auth.conf"), text).unwrap();
    Connect::open_with(&socket, &options).unwrap();
}

/// libvirt's own program and this library interpret a file in the same way.
#[test]
fn a_file_is_read_as_virsh_reads_it() {
    alone!();
    let libvirt = LibvirtSpec::default().sasl("scram-sha-256").start();
    let file = libvirt.credentials(PASSWORD);
    let (who, place) = ("[credentials-a]", "[auth-libvirt-localhost]\ncredentials=a\n");
    let login = format!("authname={USER}\npassword={PASSWORD}\n");
    let escaped = login.replace(", ", r",\s");
    for text in [
        format!("{who}\n{login}{place}"),
        format!("{who}\n{login}[auth-libvirt-default]\ncredentials=a"),
        format!("{who}\n{login}[auth-libvirt-LOCALHOST]\ncredentials=a"),
        format!("{who}\n{login}[auth-libvirt-localhost]\n[auth-libvirt-default]\ncredentials=a\n"),
        format!("{place}{who}\nauthname=bob\n{who} \n # x\n{login}username=bob\nrealm=r\n"),
        format!("{who}\n{escaped}{place}").replace('=', " = "),
        format!("{who}\n{login}{place}").replace('\n', "\r\n"),
        format!("{who}\n{login}{place}").replace(PASSWORD, &format!("{PASSWORD} ")),
        format!("{who}\n{login}{place}").replace(USER, &format!("{USER} ")),
        format!("{who}\n{login}{place}").replace("authname", "username"),
        format!("{who}\n{login}{place}junk\n"),
        format!("; x\n{who}\n{login}{place}"),
        format!("{who} # x\n{login}{place}"),
        format!("{login}{who}\n{login}{place}"),
        format!("{who}\n{login}{place}=x\n"),
        format!("{who}\n{login}{place}[]\n"),
        String::new(),
    ] {
        fs::write(&file, &text).unwrap();
        let uri = by_socket(&libvirt, &file);
        let virsh = virsh(&uri, &["hostname"]).output().unwrap().status.success();
        assert_eq!(Connect::open(&uri).is_ok(), virsh, "{text}");
    }
}

#[test]
fn scram_lets_in_over_tls() {
    alone!();
    let pki = Pki::new();
    let libvirt = LibvirtSpec::default().sasl("scram-sha-256").tls(&pki.server).start();
    let uri = libvirt.tls_uri(&pki.client);
    assert_lets_in(&uri);
    // The user name is for ssh: with another one, virsh logs in too.
    let with_user = uri.replace("://", "://bob@");
    assert!(virsh(&with_user, &["hostname"]).output().unwrap().status.success());
    assert_lets_in(&with_user);
    let wrong = libvirt.credentials("wrong horse");
    let (uri, _) = uri.split_once("&authfile=").unwrap();
    assert_keeps_out(&format!("{uri}&authfile={}", wrong.display()), &["the user 'alice'"]);
}

#[test]
fn scram_lets_in_over_tcp_and_plain_does_not() {
    alone!();
    let libvirt = LibvirtSpec::default().sasl("scram-sha-256 plain").start();
    let relay = Relay::start(&libvirt.socket());
    let tcp = |password| {
        let file = libvirt.credentials(password);
        format!("qemu+tcp://localhost:{}/session?authfile={}", relay.port, file.display())
    };
    assert_lets_in(&tcp(PASSWORD));
    assert_keeps_out(&tcp("wrong horse"), &["the user 'alice'"]);
    assert_keeps_out(
        &format!("{}&auth=sasl.PLAIN", tcp(PASSWORD)),
        &["PLAIN", "use +ssh, or +tls"],
    );
}

#[test]
fn the_error_names_the_mechanisms_of_a_daemon_that_needs_encryption() {
    alone!();
    for (mechanisms, offers) in [
        ("digest-md5 scram-sha-256", "offers DIGEST-MD5 for logging in"),
        ("scram-sha-256", "offers nothing for logging in"),
    ] {
        let libvirt = LibvirtSpec::default().sasl(mechanisms).tcp().start();
        assert_keeps_out(&libvirt.tcp_uri(), &[offers, "use +ssh, or +tls"]);
    }
}

#[test]
fn ssh_reaches_the_daemon_with_either_program() {
    alone!();
    let libvirt = Libvirt::start();
    let sshd = Sshd::start(&libvirt, PROGRAMS);
    assert_lets_in(&sshd.uri());
    assert_lets_in(&format!("{}&proxy=native", sshd.uri()));
    let netcat = format!("{}&proxy=netcat&socket={}", sshd.uri(), libvirt.socket().display());
    assert_lets_in(&netcat);

    let sshd = Sshd::start(&libvirt, &["sh"]);
    let (_, story) = refused(&format!("{}&proxy=native", sshd.uri()));
    assert!(story.contains("virt-ssh-helper: not found"), "{story}");
}

#[test]
fn scram_lets_in_over_ssh() {
    alone!();
    let libvirt = LibvirtSpec::default().sasl("scram-sha-256").start();
    let sshd = Sshd::start(&libvirt, PROGRAMS);
    let file = libvirt.credentials(PASSWORD);
    assert_lets_in(&format!("{}&authfile={}", sshd.uri(), file.display()));
}

#[test]
fn ssh_errors_say_why_the_login_failed() {
    alone!();
    let libvirt = Libvirt::start();
    let sshd = Sshd::start(&libvirt, PROGRAMS);
    let (_, story) = refused(&sshd.uri_with(&sshd.ssh, &sshd.strange_key));
    assert!(story.contains("Permission denied (publickey)"), "{story}");
    let doubting = sshd.uri_with(&sshd.doubting_ssh, &sshd.key);
    let (_, story) = refused(&doubting);
    assert!(story.contains("Host key verification failed"), "{story}");
    assert_lets_in(&format!("{doubting}&no_verify=1"));
    let (error, story) = refused(&sshd.uri_with(Path::new("/none/ssh"), &sshd.key));
    assert_eq!(error.kind(), ErrorKind::NoConnect, "{story}");
    assert!(story.contains("/none/ssh"), "{story}");
}

#[test]
fn ssh_ends_with_its_connection() {
    alone!();
    let libvirt = Libvirt::start();
    let sshd = Sshd::start(&libvirt, PROGRAMS);
    // The key's path is only in our own command line.
    let key = sshd.key.display().to_string();
    let ours = || {
        let lines = fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| fs::read(entry.unwrap().path().join("cmdline")).ok());
        lines.filter(|line| String::from_utf8_lossy(line).contains(&key)).count()
    };
    let connect = Connect::open(&sshd.uri()).unwrap();
    assert_eq!(ours(), 1);
    drop(connect);
    assert_eq!(ours(), 0);
}
