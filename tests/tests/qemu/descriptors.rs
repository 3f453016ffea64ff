//! Reading through descriptors that stay open gives the same as reopening the files.

use std::{fs, net::TcpStream, thread, time::Duration};

use domstats::{Connect, StatsGroups, StatsRequest, stats::Interface};
use domstats_live::{
    alone,
    compare::{differences, lacks, params},
    guest::{Guest, Spec, boot_all},
    lab::lab,
    oracle,
    patience::{PATIENCE, wait_until},
    qmp::Qmp,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;

const HOLD: &str = "qemu+qmp:///system?monitor_policy=hold";

/// Opens a connection that may keep no descriptor open.
fn open_without_descriptors() -> Connect {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(4), ..limit }).unwrap();
    let connect = Connect::open(HOLD);
    setrlimit(Resource::Nofile, limit).unwrap();
    connect.unwrap()
}

fn ask(connect: &Connect) -> domstats::StatsReport {
    connect.all_domain_stats(&StatsRequest::new().timeout(PATIENCE)).unwrap()
}

fn interfaces(connect: &Connect, guest: &Guest) -> Vec<Interface> {
    let request = StatsRequest::new().groups(StatsGroups::INTERFACE).timeout(PATIENCE);
    let report = connect.all_domain_stats(&request).unwrap();
    report.domain(guest.name()).unwrap().interface.clone().unwrap().interfaces
}

fn names(connect: &Connect, guest: &Guest) -> Vec<String> {
    interfaces(connect, guest)
        .into_iter()
        .filter_map(|interface| interface.name.map(String::from))
        .collect()
}

fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// Returns how many descriptors of this process are files of a guest in `/proc`.
fn kept(guest: &Guest) -> usize {
    let of_guest = format!("/proc/{}/", guest.pid);
    let files = fs::read_dir("/proc/self/fd").unwrap().flatten();
    let files = files.filter_map(|entry| fs::read_link(entry.path()).ok());
    files.filter(|file| file.to_string_lossy().starts_with(&of_guest)).count()
}

#[test]
fn values_are_the_same_with_and_without_open_descriptors() {
    alone!();
    let guests = boot_all([Spec::full("running").running(), Spec::full("paused")]);
    for (connect, keeps) in
        [(Connect::open(HOLD).unwrap(), true), (open_without_descriptors(), false)]
    {
        for _ in 0..3 {
            for guest in &guests {
                let before = oracle::read(guest, false);
                let report = ask(&connect);
                let after = oracle::read(guest, false);
                let record = report.domain(guest.name()).unwrap();
                assert_eq!(lacks(record), [""; 0]);
                assert_eq!(differences(&before, &params(record), &after), [""; 0], "{keeps}");
            }
        }
        for guest in &guests {
            assert!(if keeps { kept(guest) > 8 } else { kept(guest) == 0 }, "{}", kept(guest));
        }
        drop(connect);
        assert_eq!(guests.iter().map(kept).sum::<usize>(), 0);
    }
}

#[test]
fn a_guests_descriptors_are_closed_after_it_ends() {
    alone!();
    let connect = Connect::open(HOLD).unwrap();
    let guests = boot_all((0..3).map(|_| Spec::full("short")));
    ask(&connect);
    assert!(guests.iter().all(|guest| kept(guest) > 8));
    for guest in &guests[1..] {
        guest.kill();
    }
    ask(&connect);
    assert!(kept(&guests[0]) > 8);
    assert_eq!(guests[1..].iter().map(kept).collect::<Vec<_>>(), [0, 0]);
}

/// The number of descriptors is the same before and after, and yet there is another tap.
#[test]
fn a_tap_that_comes_while_something_else_goes() {
    alone!();
    let guest = Spec::new("swap").taps(1).options(["-device", "qemu-xhci"]).boot();
    let connect = Connect::open(HOLD).unwrap();
    let first = guest.taps[0].clone();
    let mut side = guest.side();
    assert_eq!(names(&connect, &guest), guest.taps);
    // So that the list is not read again merely because the guest is new.
    thread::sleep(Duration::from_secs(6));
    assert_eq!(names(&connect, &guest), guest.taps);
    let count = descriptors(guest.pid);

    // A USB NIC leaves at once, without the guest's help.
    let plug = |side: &mut Qmp, id: &str| {
        let tap = lab().tap_name();
        let netdev = json!({
            "type": "tap", "id": id, "ifname": tap, "script": "no", "downscript": "no",
        });
        side.ask_with("netdev_add", netdev);
        let nic = json!({ "driver": "usb-net", "id": format!("nic-{id}"), "netdev": id });
        side.ask_with("device_add", nic);
        tap
    };
    let unplug = |side: &mut Qmp, id: &str| {
        side.ask_with("device_del", json!({ "id": format!("nic-{id}") }));
        side.wait_for("DEVICE_DELETED");
        side.ask_with("netdev_del", json!({ "id": id }));
    };
    let tap = plug(&mut side, "more");
    drop(side);
    wait_until(PATIENCE, "the monitor's connection stays", || descriptors(guest.pid) == count);
    assert_eq!(names(&connect, &guest), [first.clone(), tap]);

    let mut side = guest.side();
    unplug(&mut side, "more");
    let other = plug(&mut side, "other");
    assert_eq!(names(&connect, &guest), [first.clone(), other]);
    unplug(&mut side, "other");
    assert_eq!(names(&connect, &guest), guest.taps);

    let renamed = lab().tap_name();
    lab().run(lab().command("ip").args(["link", "set", "dev", &first, "name", &renamed]));
    assert_eq!(names(&connect, &guest), [renamed]);
}

/// A connection by another program is not the guest's tap, however many there are.
#[test]
fn descriptors_that_are_no_taps() {
    alone!();
    let guest = Spec::new("busy").taps(1).boot();
    let connect = Connect::open(HOLD).unwrap();
    assert_eq!(names(&connect, &guest), guest.taps);
    let _side = TcpStream::connect(guest.side_address().unwrap()).unwrap();
    assert_eq!(names(&connect, &guest), guest.taps);
}
