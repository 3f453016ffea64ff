//! A QEMU's NICs as it reports them itself: with given, chosen and plugged-in addresses, for the
//! library and for libvirt's clients.

use std::time::Duration;

use domstats::{Connect, ErrorKind};
use domstats_live::{
    alone,
    collectd::Collectd,
    domstatsd::Domstatsd,
    guest::{Guest, Spec},
    lab::lab,
    libvirt::virsh,
    patience::{PATIENCE, Stopwatch, wait_until},
};
use serde_json::{Value, json};

const SECOND: Duration = Duration::from_secs(1);

/// A NIC's network device, address and model, in QEMU's words.
type Nic = [String; 3];

fn device(options: &str) -> [&str; 2] {
    ["-device", options]
}

/// A guest with a NIC whose address was given, one whose address QEMU chose, one without a host
/// device, and one that can be replaced while the guest is paused.
fn spec(taps: &[String; 3]) -> Spec {
    let [given, chosen, usb] = ["given", "chosen", "usb"].map(str::to_owned);
    let netdev = |id: String, tap: &str| {
        ["-netdev".to_owned(), format!("tap,id={id},ifname={tap},script=no,downscript=no")]
    };
    Spec::new("nics")
        .options(netdev(chosen, &taps[1]))
        .options(netdev(given, &taps[0]))
        .options(device("virtio-net-pci,id=first,netdev=given,mac=52:54:00:AA:00:01,romfile="))
        .options(device("e1000,netdev=chosen,romfile="))
        .options(["-netdev", "user,id=user"])
        .options(device("virtio-net-pci,netdev=user,mac=52:54:00:aa:00:02,romfile="))
        .options(device("qemu-xhci"))
        .options(netdev(usb, &taps[2]))
        .options(device("usb-net,id=old,netdev=usb,mac=52:54:00:aa:00:03"))
}

fn taps() -> [String; 3] {
    [(); 3].map(|()| lab().tap_name())
}

/// What QEMU prints about each NIC with a tap.
fn truth(guest: &Guest) -> Vec<Nic> {
    let command = json!({ "command-line": "info network" });
    let text = guest.side().ask_with("human-monitor-command", command);
    let word = |line: &str, key: &str| {
        let word = line.split([',', ' ']).find_map(|word| word.strip_prefix(key));
        word.map(str::to_owned)
    };
    let mut nics = Vec::new();
    let mut nic = None;
    // A NIC, and below it what it is connected to.
    for line in text.as_str().unwrap().lines() {
        if line.contains("type=nic") {
            nic = word(line, "macaddr=").zip(word(line, "model="));
        } else if let Some(tap) = word(line, "ifname=").filter(|_| line.starts_with(" \\")) {
            nics.extend(nic.take().map(|(mac, model)| [tap, mac, model]));
        }
    }
    nics.sort();
    nics
}

/// QEMU's word for a libvirt model.
fn in_qemus_words(model: &str) -> String {
    if model == "virtio" { "virtio-net-pci".to_owned() } else { model.to_owned() }
}

/// What the library reports about them.
fn said(connect: &Connect, guest: &Guest) -> Vec<Nic> {
    let domain = connect.domain_by_name(guest.name()).unwrap();
    let nics = domain.nics(5 * SECOND).unwrap().into_iter();
    let mut nics: Vec<_> =
        nics.map(|nic| [nic.device.into(), nic.mac.into(), in_qemus_words(&nic.model)]).collect();
    nics.sort();
    nics
}

fn plug_in_network(guest: &Guest, id: &str) -> String {
    let tap = lab().tap_name();
    let options =
        json!({ "type": "tap", "id": id, "ifname": tap, "script": "no", "downscript": "no" });
    guest.side().ask_with("netdev_add", options);
    tap
}

fn plug_in(guest: &Guest, driver: &str, options: Value) {
    let mut all = json!({ "driver": driver });
    all.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    guest.side().ask_with("device_add", all);
}

#[test]
fn nics_are_as_qemu_reports_now() {
    alone!();
    let taps = taps();
    let guest = spec(&taps).boot();
    let connect = Connect::open("qemu+qmp:///system").unwrap();
    let said_to_all = || {
        let shared = said(&connect, &guest);
        let held = Connect::open("qemu+qmp:///system?monitor_policy=hold").unwrap();
        assert_eq!([0; 2].map(|_| said(&held, &guest)), [shared.clone(), shared.clone()]);
        shared
    };
    let check = |count: usize, what: &str| {
        let truth = truth(&guest);
        assert_eq!(truth.len(), count, "{what}: {truth:?}");
        assert_eq!(said_to_all(), truth, "{what}");
        truth
    };
    let begun = check(3, "as it was started");
    let of = |tap: &String| begun.iter().find(|nic| nic[0] == *tap).unwrap();
    assert_eq!(of(&taps[0])[1..], ["52:54:00:aa:00:01", "virtio-net-pci"]);
    assert!(of(&taps[1])[1].starts_with("52:54:00:12:34:"), "{begun:?}");

    // Another NIC on the same network: the command line does not show that.
    let mut side = guest.side();
    side.ask_with("device_del", json!({ "id": "old" }));
    side.wait_for("DEVICE_DELETED");
    drop(side);
    check(2, "one was unplugged");
    let mac = json!({ "netdev": "usb", "mac": "52:54:00:bb:00:03" });
    plug_in(&guest, "usb-net", mac);
    check(3, "another one has its place");

    // A network that is not on the command line either.
    let tap = plug_in_network(&guest, "plugged");
    check(3, "its NIC is still to come");
    plug_in(&guest, "virtio-net-pci", json!({ "netdev": "plugged", "romfile": "" }));
    let known = check(4, "it came");
    let another = plug_in_network(&guest, "another");
    plug_in(&guest, "virtio-net-pci", json!({ "netdev": "another", "romfile": "" }));
    let all = truth(&guest);
    assert!(all.len() == 5 && all.iter().any(|nic| nic[0] == another), "{all:?}");
    let mut certain = known;
    certain.retain(|nic| nic[0] != tap);
    assert_eq!(said_to_all(), certain, "which of the two it is, is unknown");
}

#[test]
fn the_machines_own_nics_are_known() {
    alone!();
    let connect = Connect::open("qemu+qmp:///system").unwrap();
    let tap = || format!("tap,ifname={},script=no,downscript=no", lab().tap_name());
    let boot = |options: &[&str]| Spec::new("board").options(options.iter().copied()).boot();
    for id in ["", ",id=board"] {
        let guest = boot(&["-nic", &format!("{}{id},model=rtl8139", tap())]);
        let truth = truth(&guest);
        assert_eq!((truth.len(), said(&connect, &guest)), (1, truth));
    }
    // Through a hub, which `truth` does not support.
    let guest = boot(&["-net", "nic,model=e1000,macaddr=52:54:00:aa:00:09", "-net", &tap()]);
    let nics = said(&connect, &guest);
    assert_eq!(
        nics.iter().map(|nic| &nic[1..]).collect::<Vec<_>>(),
        [["52:54:00:aa:00:09", "e1000"]]
    );
}

#[test]
fn without_a_reply_nics_are_unknown() {
    alone!();
    let connect = Connect::open("qemu+qmp:///system").unwrap();
    let guest = spec(&taps()).boot();
    let mute = Spec::new("mute").without_monitor().taps(1).boot();
    let kind = |guest: &Guest, timeout| {
        let domain = connect.domain_by_name(guest.name()).unwrap();
        let stopwatch = Stopwatch::start();
        let error = domain.nics(timeout).unwrap_err();
        stopwatch.assert_within(timeout + SECOND);
        error.kind()
    };
    assert_eq!(kind(&mute, SECOND), ErrorKind::NoSupport);
    let wedge = guest.wedge();
    assert_eq!(kind(&guest, SECOND / 2), ErrorKind::Timeout);
    drop(wedge);
    guest.freeze();
    assert_eq!(kind(&guest, 5 * SECOND), ErrorKind::Timeout);
    guest.thaw();
    let domain = connect.domain_by_name(guest.name()).unwrap();
    assert_eq!(domain.nics(PATIENCE).unwrap().len(), 3);
    guest.kill();
    assert_eq!(domain.nics(SECOND).unwrap_err().kind(), ErrorKind::NoDomain);
}

#[test]
fn libvirt_clients_find_the_nics() {
    alone!();
    let taps = taps();
    // collectd ignores paused domains.
    let guest = spec(&taps).without_uuid().running().raw_disks(1).boot();
    let daemon = Domstatsd::start(&["-c", "qemu+qmp:///system", "--timeout", "30s"]);
    let name = guest.name();
    let collectd = Collectd::start(&daemon.uri());

    let listed = lab().run(&mut virsh(&daemon.uri(), &["domiflist", name]));
    let rows = listed.lines().skip(2).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let rows = rows.filter(|row| row.len() == 5);
    let mut found: Vec<Nic> =
        rows.map(|row| [row[0].to_owned(), row[4].to_owned(), in_qemus_words(row[3])]).collect();
    found.sort();
    let truth = truth(&guest);
    assert_eq!(found, truth, "{listed}");

    let stats = |nic: &str| virsh(&daemon.uri(), &["domifstat", name, nic]).output().unwrap();
    for [tap, mac, _] in &truth {
        let texts = [tap, &mac.to_uppercase()].map(|nic| {
            let text = String::from_utf8(stats(nic).stdout).unwrap();
            text.lines().map(|line| line.replace(nic.as_str(), "")).collect::<Vec<_>>()
        });
        let [by_name, by_mac] = &texts;
        assert!(by_name.iter().filter(|line| line.contains("x_")).count() == 8, "{texts:?}");
        let counters = |lines: &[String]| {
            lines.iter().map(|line| line.split(' ').nth(1).map(str::to_owned)).collect::<Vec<_>>()
        };
        assert_eq!(counters(by_name), counters(by_mac), "{tap}");
    }
    // No NIC's address, and that of the NIC without a host device.
    for mac in ["52:54:00:00:00:00", "52:54:00:aa:00:02"] {
        let said = String::from_utf8(stats(mac).stderr).unwrap();
        assert!(said.contains(&format!("'{mac}' is not a known interface")), "{said}");
    }

    let counts = |tap: &String| collectd.has(name, &format!("if_octets-{tap}"));
    wait_until(30 * SECOND, "collectd counts the NICs", || taps.iter().all(counts));
}
