//! Networks of every kind: which counters they have, and from whose side.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use domstats::{
    Connect, MissingReason, StatsGroups, StatsRequest,
    stats::{Interface, Interfaces},
};
use domstats_live::{
    alone,
    guest::{Guest, Spec},
    lab::lab,
    patience::{PATIENCE, wait_until},
    procfs,
    tools::tool,
};

fn interfaces(guest: &Guest) -> Interfaces {
    let connect = Connect::open("qemu+qmp:///system").unwrap();
    let request = StatsRequest::new().groups(StatsGroups::INTERFACE).timeout(PATIENCE);
    let report = connect.all_domain_stats(&request).unwrap();
    let record = report.domain(guest.name()).unwrap();
    let interfaces = record.interface.clone().unwrap();
    let has_bare = interfaces.interfaces.iter().any(|one| one.name.is_none());
    let why = record.why_missing(StatsGroups::INTERFACE).map(|missing| &missing.reason);
    assert_eq!(why, has_bare.then_some(&MissingReason::Unsupported));
    interfaces
}

/// A NIC on a network with the same id.
fn nic(id: &str) -> [String; 2] {
    ["-device".to_owned(), format!("virtio-net-pci,id=nic-{id},netdev={id},romfile=")]
}

/// What a NIC received and sent: bytes, packets, errors, drops.
fn counters(interface: &Interface) -> [[Option<u64>; 4]; 2] {
    let one = interface;
    [
        [one.rx_bytes, one.rx_pkts, one.rx_errs, one.rx_drop],
        [one.tx_bytes, one.tx_pkts, one.tx_errs, one.tx_drop],
    ]
}

/// Removes a network device when dropped.
struct Link(String);

impl Drop for Link {
    fn drop(&mut self) {
        let _ = lab().command("ip").args(["link", "delete", &self.0]).status();
    }
}

fn ip(arguments: &str) {
    lab().run(lab().command("ip").args(arguments.split(' ')));
}

#[test]
fn a_tap_is_counted_from_the_other_side() {
    alone!();
    // Created by its user, with frames in one direction.
    let taps = lab().taps_of_nobody(1);
    let named = format!("tap,id=named,ifname={},script=no,downscript=no", taps[0]);
    let guest = Spec::new("taps")
        .options(["-netdev", "user,id=first"])
        .options(nic("first"))
        .options(["-netdev", &named])
        .options(nic("named"))
        // QEMU chooses the name.
        .options(["-netdev", "tap,id=nameless,script=no,downscript=no"])
        .options(nic("nameless"))
        .boot();
    let found = interfaces(&guest);
    assert_eq!(found.count, Some(3));
    // The first one has no host device: it has an entry, and no numbers.
    let [bare, ours, chosen] = &found.interfaces[..] else { panic!("{found:?}") };
    assert_eq!((bare.name.as_ref(), counters(bare)), (None, [[None; 4]; 2]));
    assert_eq!(ours.name.as_deref(), Some(taps[0].as_str()));
    assert!(chosen.name.as_ref().unwrap().starts_with("tap"), "{chosen:?}");
    for interface in [ours, chosen] {
        let [tx, rx] = procfs::net_dev(interface.name.as_ref().unwrap());
        assert_eq!(counters(interface), [rx.map(Some), tx.map(Some)]);
    }
    assert_eq!(ours.tx_pkts, Some(3));
}

/// Creates a macvtap above a veth and sends three frames from the guest's side: while the device is
/// used that way, they start with a header of ten bytes.
fn macvtap() -> (Link, String, PathBuf) {
    const SEND: &str = r#"
import os, sys
tap = os.open(sys.argv[1], os.O_RDWR)
for _ in range(3):
    os.write(tap, bytes(10) + b"\xff" * 12 + b"\x88\xb5" + bytes(46))
"#;
    let [parent, peer, name] = [(); 3].map(|()| lab().tap_name());
    ip(&format!("link add {parent} type veth peer name {peer}"));
    let link = Link(parent.clone());
    ip(&format!("link add link {parent} name {name} type macvtap mode bridge"));
    for device in [&parent, &peer, &name] {
        ip(&format!("link set {device} up"));
    }
    let index = fs::read_to_string(format!("/sys/class/net/{name}/ifindex")).unwrap();
    let path = PathBuf::from(format!("/dev/tap{}", index.trim()));
    lab().run(lab().command("python3").args(["-c", SEND]).arg(&path));
    (link, name, path)
}

/// Creates a program that runs QEMU with a file open as descriptor 9, as libvirt passes macvtaps.
fn qemu_with(path: &Path) -> PathBuf {
    let program = lab().path(lab().name("qemu"));
    let qemu = tool("qemu-system-x86_64");
    let script = format!("#!/bin/sh\nexec {} \"$@\" 9<>{}\n", qemu.display(), path.display());
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    program
}

#[test]
fn a_macvtap_is_counted_from_the_guests_side() {
    alone!();
    let (_link, name, path) = macvtap();
    let guest = Spec::new("macvtap")
        .program(&qemu_with(&path))
        .options(["-netdev", "tap,id=direct,fd=9"])
        .options(nic("direct"))
        .boot();
    let [rx_before, tx_before] = procfs::net_dev(&name);
    let found = interfaces(&guest);
    let [rx_after, tx_after] = procfs::net_dev(&name);
    assert_eq!(found.count, Some(1));
    let interface = &found.interfaces[0];
    assert_eq!(interface.name.as_deref(), Some(name.as_str()));
    let between = |before: [u64; 4], ours: [Option<u64>; 4], after: [u64; 4]| {
        let mut all = before.into_iter().zip(ours).zip(after);
        all.all(|((before, ours), after)| ours.is_some_and(|it| (before..=after).contains(&it)))
    };
    // The kernel itself sometimes sends on a new link.
    let [rx, tx] = counters(interface);
    assert!(between(rx_before, rx, rx_after), "{rx:?}");
    assert!(between(tx_before, tx, tx_after), "{tx:?}");
    assert!(tx[1] >= Some(3) && rx != tx, "{rx:?} {tx:?}");
}

/// The other end of a vhost-user device: it has no features and does nothing.
const VHOST_USER: &str = r#"
import os, socket, struct, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
stream, _ = listener.accept()
while True:
    head = stream.recv(12, socket.MSG_WAITALL)
    if len(head) < 12: break
    request, flags, size = struct.unpack("=III", head)
    body = stream.recv(size, socket.MSG_WAITALL) if size else b""
    if request in (1, 15, 17):
        stream.sendall(struct.pack("=IIIQ", request, 5, 8, {1: 1 << 32, 15: 0, 17: 1}[request]))
    elif request == 11:
        stream.sendall(struct.pack("=III", request, 5, 8) + body)
"#;

#[test]
fn a_vhost_user_nic_has_an_entry_without_numbers() {
    alone!();
    let socket = lab().path(lab().name("vhost"));
    let mut other_end = lab().command("python3");
    let mut other_end = other_end.args(["-c", VHOST_USER]).arg(&socket).spawn().unwrap();
    wait_until(PATIENCE, "the other end listens", || socket.exists());
    let tap = lab().tap_name();
    let chardev = format!("socket,id=chardev,path={}", socket.display());
    let netdev = format!("tap,id=tap,ifname={tap},script=no,downscript=no");
    let guest = Spec::new("vhost-user")
        .options(["-chardev", &chardev, "-netdev", "vhost-user,id=vhost,chardev=chardev"])
        .options(nic("vhost"))
        .options(["-netdev", &netdev])
        .options(nic("tap"))
        .boot();
    let found = interfaces(&guest);
    drop(guest);
    let _ = other_end.kill();
    other_end.wait().unwrap();
    assert_eq!(found.count, Some(2));
    let [bare, interface] = &found.interfaces[..] else { panic!("{found:?}") };
    assert_eq!((bare.name.as_ref(), counters(bare)), (None, [[None; 4]; 2]));
    assert_eq!((interface.index, interface.name.as_deref()), (1, Some(tap.as_str())));
}
