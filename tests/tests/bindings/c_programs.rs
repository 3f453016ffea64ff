//! The C and C++ programs of `docs/c.md` read real QEMU guests, and those of a real libvirtd.

use std::{
    path::{Path, PathBuf},
    sync::LazyLock,
    time::{Duration, Instant},
};

use domstats::{DomainState, StatsReport};
use domstats_live::{
    alone,
    c_library::{programs, under_valgrind, with_library},
    guest::Spec,
    libvirt::Libvirt,
};

fn program(name: &str) -> &'static Path {
    static PROGRAMS: LazyLock<Vec<(String, PathBuf)>> = LazyLock::new(|| programs(false));
    &PROGRAMS.iter().find(|(file, _)| file == name).unwrap().1
}

/// Runs each of the programs once under valgrind, where the machine may always be too slow to
/// answer within a call's second: the programs must still do nothing wrong.
fn check(uri: &str, guest: &str) {
    let lines: [&[&str]; 5] = [
        &["all.c", uri],
        &["all.c", uri, "json"],
        &["running.c", uri],
        &["visit.c", uri],
        &["tour.cc", uri, guest],
    ];
    for line in lines {
        let checked = under_valgrind(program(line[0])).args(&line[1..]).output().unwrap();
        let errors = String::from_utf8_lossy(&checked.stderr);
        let status = checked.status;
        assert!(matches!(status.code(), Some(0 | 1)), "{line:?} {status}: {errors}");
    }
}

/// Runs a program of the page until it prints what is `expected`, since the machine may be too busy
/// to answer within a call's second.
fn run(name: &str, arguments: &[&str], expected: impl Fn(&str) -> bool) {
    let program = program(name);
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let output = with_library(program).args(arguments).output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        if output.status.success() && expected(&printed) {
            return;
        }
        assert!(Instant::now() < deadline, "{name} {arguments:?}: {printed}{:?}", output.stderr);
    }
}

/// Reads a guest with each of the programs.
fn read(uri: &str, guest: &str, state: DomainState) {
    let right = |report: domstats::Result<StatsReport>| {
        report.unwrap().domain(guest).is_some_and(|stats| {
            stats.state.as_ref().and_then(|group| group.state) == Some(state)
                && stats.cpu.as_ref().and_then(|cpu| cpu.time) > Some(0)
        })
    };
    run("all.c", &[uri], |printed| right(StatsReport::from_xml(printed)));
    run("all.c", &[uri, "json"], |printed| right(StatsReport::from_json(printed)));
    run("running.c", &[uri], |printed| {
        let is_there = [format!("{guest}: number "), format!("<domain name='{guest}'")]
            .map(|text| printed.contains(&text));
        is_there == [state == DomainState::Running; 2]
    });
    run("visit.c", &[uri], |printed| {
        printed.contains(&format!("{guest}: vcpu.0.delay: ")) && printed.contains(" ns\nall: ")
    });
    run("tour.cc", &[uri, guest], |printed| {
        let document = printed.strip_prefix(&format!("QEMU, {guest}:\n")).unwrap();
        let report = StatsReport::from_xml(document).unwrap();
        report.domains.len() == 1
            && report.domains[0].cpu.is_some()
            && report.domains[0].vcpu.is_some()
    });
}

#[test]
fn they_read_qemu_guests() {
    alone!();
    let uri = "qemu+qmp:///system";
    let running = Spec::full("c-running").without_uuid().running().boot();
    check(uri, running.name());
    read(uri, running.name(), DomainState::Running);
    let line = format!("{}: number {}, UUID none\n", running.name(), running.pid);
    run("running.c", &[uri], |printed| printed.contains(&line));
    let paused = Spec::full("c-paused").boot();
    read(uri, paused.name(), DomainState::Paused);
}

#[test]
fn they_read_libvirt_guests() {
    alone!();
    let libvirt = Libvirt::start();
    let guest = libvirt.create("c", false);
    check(&libvirt.uri(), &guest.name);
    read(&libvirt.uri(), &guest.name, DomainState::Paused);
}
