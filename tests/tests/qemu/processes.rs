//! Which processes are VMs: what a QEMU makes beside itself is none.

use std::{fs, os::unix::net::UnixStream};

use domstats::{Connect, DomainFilter, StatsRequest};
use domstats_live::{
    alone,
    guest::Spec,
    lab::lab,
    patience::{PATIENCE, wait_until},
    process,
    roots::release,
};

/// The process of each domain that is listed.
fn listed(connect: &Connect) -> Vec<Option<u32>> {
    let listed = connect.domains(DomainFilter::empty()).unwrap();
    listed.iter().map(|domain| domain.info().id).collect()
}

/// With asynchronous teardown a copy of QEMU waits to clean up after it: the same program, memory and
/// command line.
#[test]
fn what_cleans_up_after_a_qemu_is_no_vm() {
    alone!();
    let options: &[&str] = match release() {
        None => &["-async-teardown"],
        Some(_) => &["-run-with", "async-teardown=on"],
    };
    let guest = Spec::new("teardown").options(options.iter().copied()).boot();
    let children = format!("/proc/{0}/task/{0}/children", guest.pid);
    let is_named = |pid: &str| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm"));
        name.is_ok_and(|name| name.starts_with("cleanup/"))
    };
    wait_until(PATIENCE, "the copy", || {
        fs::read_to_string(&children).unwrap().split_whitespace().any(is_named)
    });
    for uri in ["qemu+qmp:///system", "qemu+qmp:///system?monitor_policy=hold"] {
        let connect = Connect::open(uri).unwrap();
        assert_eq!(listed(&connect), [Some(guest.pid)], "{uri}");
        let request = StatsRequest::new().timeout(PATIENCE);
        let report = connect.all_domain_stats(&request).unwrap();
        let told: Vec<_> = report.domains.iter().map(|record| record.domain.id).collect();
        assert_eq!(told, [Some(guest.pid)], "{uri}");
        assert_eq!(report.missing, [], "{uri}");
    }
}

/// The QEMU that makes a daemon waits until it is ready, as here for its first client.
#[test]
fn what_waits_for_a_daemon_is_no_vm() {
    alone!();
    let dir = lab().path(lab().name("daemon"));
    fs::create_dir_all(&dir).unwrap();
    let socket = dir.join("q");
    let options = format!(
        "-name {0} -S -accel tcg -m 16 -nodefaults -display none -daemonize -pidfile {1}/pid \
         -qmp unix:{1}/q,server=on",
        lab().name("daemon"),
        dir.display()
    );
    // Of a session of its own, as a service has one, and of this test's.
    for session in [true, false] {
        let mut command = lab().command(if session { "setsid" } else { "env" });
        let mut launcher =
            command.arg("qemu-system-x86_64").args(options.split_whitespace()).spawn().unwrap();
        wait_until(PATIENCE, "the daemon's monitor", || process::listens(&socket));
        let daemon: u32 = fs::read_to_string(dir.join("pid")).unwrap().trim().parse().unwrap();
        let connect = Connect::open("qemu+qmp:///system").unwrap();
        assert_eq!(listed(&connect), [Some(daemon)], "own session: {session}");
        assert!(launcher.try_wait().unwrap().is_none(), "it still waits");
        let _client = UnixStream::connect(&socket).unwrap();
        assert!(launcher.wait().unwrap().success());
        assert_eq!(listed(&connect), [Some(daemon)], "own session: {session}");
        process::kill(daemon);
        wait_until(PATIENCE, "its end", || !process::listens(&socket));
        fs::remove_file(&socket).unwrap();
    }
}
