//! Calls that the daemon forwards to libvirt: every libvirt-python getter returns the same as with
//! libvirtd, the host is the one of the domains, and a stuck monitor delays nothing else.

use std::time::Duration;

use domstats_live::{
    alone,
    domstatsd::Domstatsd,
    lab::lab,
    libvirt::{Libvirt, LibvirtGuest, virsh},
    patience::{PATIENCE, Stopwatch, wait_until},
    relay::Relay,
    tools::python_with_libvirt,
};

/// A libvirtd with a paused transient guest, a persistent one, and an inactive one.
struct Host {
    transient: LibvirtGuest,
    persistent: LibvirtGuest,
    libvirt: Libvirt,
}

fn host() -> Host {
    let libvirt = Libvirt::start();
    let transient = libvirt.create("getters", false);
    let persistent = libvirt.define("getters-known");
    let persistent = libvirt.boot(&persistent);
    let _ = libvirt.define("getters-off");
    Host { transient, persistent, libvirt }
}

const GETTERS: &str = include_str!("rpc_getters.py");

/// The results of libvirt-python's getters for the domains of a URI, with these disks.
fn getters(uri: &str, disks: &[&str]) -> Vec<String> {
    let mut command = lab().command_at(python_with_libvirt());
    let said = lab().run(command.args(["-c", GETTERS, uri]).args(disks));
    said.lines().map(str::to_owned).collect()
}

#[test]
fn every_getter_gives_the_same() {
    alone!();
    let host = host();
    let daemon = Domstatsd::start(&["-c", &host.libvirt.uri(), "--timeout", "30s"]);
    let disks = ["vda", "vdb", "vdz"];
    let (real, ours) = (getters(&host.libvirt.uri(), &disks), getters(&daemon.uri(), &disks));
    assert_eq!(real, ours);
    assert!(ours.iter().any(|line| line.starts_with("vdb info [")), "{ours:?}");
}

#[test]
fn the_host_is_the_one_of_the_domains() {
    alone!();
    let host = host();
    // libvirt's own test driver: an imaginary host with 16 processors, in the same daemon.
    let uri = format!("test+unix:///default?socket={}", host.libvirt.socket().display());
    let daemon = Domstatsd::start(&["-c", &uri, "--timeout", "30s"]);
    let [real, ours] = [uri, daemon.uri()].map(|uri| {
        let lines = getters(&uri, &["vda"]).into_iter();
        lines.take_while(|line| !line.starts_with("==")).collect::<Vec<_>>()
    });
    assert_eq!(real, ours);
    assert!(ours[0].starts_with("info ['i686', "), "{ours:?}");
}

#[test]
fn without_libvirt_this_host_is_as_libvirt_reports_it() {
    alone!();
    let host = host();
    let daemon = Domstatsd::start(&["-c", "qemu+qmp:///system", "--timeout", "30s"]);
    let of_node = |line: &String| {
        let words = ["info", "hostname", "map", "free", "cpu", "memory"];
        words.iter().any(|word| line.starts_with(word))
    };
    let [real, ours] = [host.libvirt.uri(), daemon.uri()].map(|uri| {
        let lines = getters(&uri, &[]).into_iter();
        let lines = lines.take_while(|line| !line.starts_with("=="));
        lines.filter(of_node).collect::<Vec<_>>()
    });
    assert_eq!(real, ours);
    assert_eq!(ours.len(), 14, "{ours:?}");
}

#[test]
fn only_one_call_waits_for_a_stuck_monitor() {
    alone!();
    let host = host();
    let daemon = Domstatsd::start(&["-c", &host.libvirt.uri(), "--timeout", "3s"]);
    let ask = |arguments: &[&str]| {
        let stopwatch = Stopwatch::start();
        let output = virsh(&daemon.uri(), arguments).output().unwrap();
        let text = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        (output.status.success(), text.concat(), stopwatch.time())
    };
    let [stuck, other] = [&host.transient.name, &host.persistent.name];
    host.libvirt.warm_up();
    lab().run(&mut host.libvirt.virsh(&["dominfo", other]));
    host.transient.freeze();
    let first = ask(&["domblkinfo", stuck, "vda"]);
    let refused = [ask(&["domblkinfo", stuck, "vda"]), ask(&["domjobinfo", stuck])];
    let answered = [
        ask(&["domblkinfo", other, "vda"]),
        ask(&["dominfo", stuck]),
        ask(&["dumpxml", stuck]),
        ask(&["vcpuinfo", stuck]),
    ];
    host.transient.thaw();
    assert!(!first.0 && first.1.contains("did not answer in time"), "{first:?}");
    for (ok, text, took) in &refused {
        let why = "still waits for the domain's monitor";
        assert!(!ok && text.contains(why), "{refused:?}");
        took.assert_within(Duration::from_millis(2500));
    }
    for (ok, _, took) in &answered {
        assert!(ok, "{answered:?}");
        took.assert_within(Duration::from_millis(2500));
    }
    wait_until(PATIENCE, "it is still not trusted", || ask(&["domblkinfo", stuck, "vda"]).0);
}

#[test]
fn a_query_about_a_domain_is_one_call_and_statistics_list_once() {
    alone!();
    let host = host();
    let relay = Relay::start(&host.libvirt.socket());
    let uri = format!("qemu+tcp://localhost:{}/session", relay.port);
    let daemon = Domstatsd::start(&["-c", &uri, "--timeout", "30s"]);
    let name = host.transient.name.as_str();
    let ask = |arguments: &[&str]| {
        let _ = relay.take_calls();
        let _ = virsh(&daemon.uri(), arguments).output().unwrap();
        relay.take_calls()
    };
    // Opens the connections.
    let _ = ask(&["domstats", name]);
    let _ = ask(&["domblkstat", name, "vda"]);
    let lookup = 23;
    for (arguments, expected) in [
        (&["domid", name][..], &[lookup][..]),
        // The number of values, and then as many; whether it runs, and then its memory.
        (&["domblkstat", name, "vda"], &[lookup, 243, 243]),
        (&["domifstat", name, "none"], &[lookup, 65]),
        (&["dommemstat", name], &[lookup, 150, 159]),
        (&["domstate", name], &[lookup, 212]),
        (&["list", "--all", "--name"], &[273]),
    ] {
        assert_eq!(ask(arguments), expected, "{arguments:?}");
    }
    let calls = ask(&["dominfo", name]);
    assert!(calls.contains(&16) && !calls.contains(&273), "{calls:?}");
    // A listing is two calls: of all domains, and of the persistent ones.
    for arguments in [&["domstats", name][..], &["domstats", name, &host.persistent.name]] {
        let calls = ask(arguments);
        let listed = calls.iter().filter(|call| **call == 273).count();
        assert_eq!(listed, 2, "{arguments:?}: {calls:?}");
    }
}
