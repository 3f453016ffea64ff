//! How many NICs a guest has, in which order, and which of them have a host device: as QEMU itself
//! reports, however they were added.

use std::{fs, time::Duration};

use domstats::{Connect, DomainStats, MissingReason, StatsGroups, StatsRequest};
use domstats_live::{
    alone,
    guest::{Guest, Spec},
    lab::lab,
    patience::wait_until,
    qmp::Qmp,
};
use serde_json::json;

const POLICIES: [&str; 2] = ["qemu+qmp:///system", "qemu+qmp:///system?monitor_policy=hold"];

fn ask(connect: &Connect, name: &str) -> DomainStats {
    let request =
        StatsRequest::new().groups(StatsGroups::INTERFACE).timeout(Duration::from_secs(5));
    connect.all_domain_stats(&request).unwrap().domain(name).unwrap().clone()
}

/// The host devices of all NICs, after checks that apply to all records.
fn devices(record: &DomainStats) -> Vec<Option<String>> {
    let found = record.interface.as_ref().unwrap();
    assert_eq!(found.count, Some(found.interfaces.len() as u32), "{record:?}");
    let indexes: Vec<_> = found.interfaces.iter().map(|one| one.index).collect();
    assert!(indexes.iter().copied().eq(0..indexes.len() as u32), "{indexes:?}");
    for one in &found.interfaces {
        assert_eq!(one.name.is_some(), one.rx_bytes.is_some(), "{one:?}");
        assert_eq!(one.name.is_some(), one.tx_drop.is_some(), "{one:?}");
    }
    let has_bare = found.interfaces.iter().any(|one| one.name.is_none());
    let why = record.why_missing(StatsGroups::INTERFACE).map(|missing| &missing.reason);
    assert_eq!(why, has_bare.then_some(&MissingReason::Unsupported), "{record:?}");
    found.interfaces.iter().map(|one| one.name.clone().map(String::from)).collect()
}

/// The number of NICs in `info network`.
fn truth(side: &mut Qmp) -> usize {
    let text = side.ask_with("human-monitor-command", json!({ "command-line": "info network" }));
    // A NIC has a line for each of its queues.
    text.as_str().unwrap().matches("index=0,type=nic").count()
}

fn tap(name: &str) -> String {
    format!("tap,ifname={name},script=no,downscript=no")
}

/// Checks the NICs of a guest with these options, with both policies.
fn check(label: &str, options: &[&str], expected: &[Option<&str>]) {
    let guest = Spec::new(label).options(options.iter().copied()).boot();
    assert_eq!(truth(&mut guest.side()), expected.len(), "{label}");
    for policy in POLICIES {
        let connect = Connect::open(policy).unwrap();
        for call in ["first", "second"] {
            let found = devices(&ask(&connect, guest.name()));
            let found: Vec<_> = found.iter().map(Option::as_deref).collect();
            assert_eq!(found, expected, "{label}, {policy}, {call} call");
        }
    }
}

#[test]
fn nics_are_counted_and_backends_are_not() {
    alone!();
    let nic = "virtio-net-pci,romfile=";
    check(
        "six",
        &[
            ["-netdev", "user,id=a"],
            ["-netdev", "user,id=b"],
            ["-netdev", "user,id=c"],
            ["-device", "virtio-net-pci,netdev=a,romfile="],
            ["-device", "e1000,netdev=b,romfile="],
            ["-device", r#"{"driver":"rtl8139","netdev":"c","romfile":""}"#],
            ["-device", nic],
            ["-device", nic],
            ["-device", nic],
        ]
        .concat(),
        &[None; 6],
    );
    check("unused", &["-netdev", "user,id=a", "-netdev", "socket,id=b,listen=:0"], &[]);
    let name = lab().tap_name();
    let network = format!("{},id=t", tap(&name));
    check("unused-tap", &["-netdev", &network], &[]);
    check("bare", &["-device", nic], &[None]);
    check(
        "nic",
        &["-nic", "user,model=e1000", "-nic", "none", "-nic", &tap(&name)],
        &[None, Some(&name)],
    );
    let hub = ["-net", "nic,model=e1000", "-net", "user", "-net", &tap(&name)];
    check("hub", &hub, &[Some(&name)]);
    let ports = [
        ["-netdev", &network],
        ["-netdev", "hubport,id=p,hubid=3,netdev=t"],
        ["-netdev", "user,id=u"],
        ["-netdev", "hubport,id=q,hubid=3,netdev=u"],
        ["-netdev", "hubport,id=r,hubid=3"],
        ["-device", "virtio-net-pci,netdev=r,romfile="],
    ];
    check("ports", &ports.concat(), &[Some(&name)]);
    // The second one waits until the guest's driver is ready for it.
    let failover = [
        ["-netdev", &network],
        ["-netdev", "user,id=u"],
        ["-device", "pcie-root-port,id=r1,chassis=1"],
        ["-device", "pcie-root-port,id=r2,chassis=2"],
        ["-device", "virtio-net-pci,id=f,failover=on,netdev=t,romfile=,bus=r1"],
        ["-device", "e1000e,id=p,failover_pair_id=f,netdev=u,romfile=,bus=r2"],
    ];
    check(
        "failover",
        &[["-machine", "q35"]].iter().chain(&failover).flatten().copied().collect::<Vec<_>>(),
        &[Some(&name)],
    );
    let queues = format!("{network},queues=4,vhost=off");
    check(
        "queues",
        &["-netdev", &queues, "-device", "virtio-net-pci,netdev=t,mq=on,romfile="],
        &[Some(&name)],
    );
}

/// If the kernel has vhost, its threads move the packets, and the tap counts them as usual.
#[test]
fn a_vhost_nic_has_its_tap() {
    alone!();
    if !fs::exists("/dev/vhost-net").unwrap() {
        println!("left out: this kernel has no /dev/vhost-net");
        return;
    }
    let name = lab().tap_name();
    let network = format!("{},id=t,vhost=on", tap(&name));
    let nic = "virtio-net-pci,netdev=t,romfile=";
    check("vhost", &["-netdev", &network, "-device", nic], &[Some(&name)]);
}

#[test]
fn the_machines_own_nic_counts() {
    alone!();
    let dir = lab().path(lab().name("default"));
    fs::create_dir_all(&dir).unwrap();
    let boot = |name: &str, more: &[&str]| {
        let mut command = lab().command("qemu-system-x86_64");
        command.args(["-name", name, "-S", "-accel", "tcg", "-m", "32", "-display", "none"]);
        command.args(more).spawn().unwrap()
    };
    let (name, mute) = (lab().name("default"), lab().name("mute"));
    let socket = dir.join("qmp");
    let mut guest =
        boot(&name, &["-qmp", &format!("unix:{},server=on,wait=off", socket.display())]);
    let mut unknown = boot(&mute, &[]);
    wait_until(Duration::from_secs(20), "the monitor answers", || Qmp::connect(&socket).is_ok());
    for policy in POLICIES {
        let connect = Connect::open(policy).unwrap();
        assert_eq!(devices(&ask(&connect, &name)), [None], "{policy}");
        // Whether there is one, only QEMU knows.
        let record = ask(&connect, &mute);
        assert_eq!(record.interface.as_ref().and_then(|it| it.count), None, "{policy}");
        let missing = record.why_missing(StatsGroups::INTERFACE).unwrap();
        assert_eq!(missing.reason, MissingReason::Unsupported, "{policy}");
        assert!(missing.text.contains("-qmp"), "{missing}");
        // Nor which disks and vCPUs there are.
        let groups = StatsGroups::BLOCK | StatsGroups::VCPU;
        let request = StatsRequest::new().groups(groups).timeout(Duration::from_secs(5));
        let report = connect.all_domain_stats(&request).unwrap();
        let record = report.domain(&mute).unwrap();
        for group in groups {
            assert!(record.why_missing(group).is_some(), "{policy}, {group:?}");
        }
        assert_eq!(record.block.as_ref().and_then(|it| it.count), None, "{policy}");
        assert_eq!(record.vcpu, None, "{policy}");
    }
    for process in [&mut guest, &mut unknown] {
        process.kill().unwrap();
        process.wait().unwrap();
    }
}

/// Checks a guest without a usable monitor, with these options.
fn check_mute(label: &str, options: &[&str], expected: &[Option<&str>]) {
    let guest = Spec::new(label).without_monitor().options(options.iter().copied()).boot();
    assert_eq!(truth(&mut guest.side()), expected.len(), "{label}");
    let connect = Connect::open(POLICIES[0]).unwrap();
    let found = devices(&ask(&connect, guest.name()));
    assert_eq!(found.iter().map(Option::as_deref).collect::<Vec<_>>(), expected, "{label}");
}

#[test]
fn without_a_monitor_the_command_line_counts() {
    alone!();
    let name = lab().tap_name();
    let network = format!("{},id=t", tap(&name));
    let nic = "virtio-net-pci,romfile=";
    check_mute("bare", &["-netdev", "user,id=u", "-device", nic, "-device", nic], &[None; 2]);
    check_mute("unused", &["-netdev", &network, "-device", nic], &[None]);
    check_mute("hub", &["-net", "nic,model=e1000", "-net", &tap(&name)], &[Some(&name)]);
    check_mute("nic", &["-nic", &tap(&name), "-nic", "user"], &[Some(&name), None]);
    let named =
        ["-device", "virtio-net-pci,id=left,romfile=", "-device", "e1000,id=right,romfile="];
    let guest = Spec::new("named").without_monitor().options(named).boot();
    let record = ask(&Connect::open(POLICIES[0]).unwrap(), guest.name());
    let why = record.why_missing(StatsGroups::INTERFACE).unwrap();
    assert!(why.text.ends_with("NICs left, right"), "{why}");
}

#[test]
fn nics_come_and_go() {
    alone!();
    for policy in POLICIES {
        let first = lab().tap_name();
        let network = format!("{},id=t", tap(&first));
        let guest: Guest = Spec::new("plug")
            .options(["-device", "qemu-xhci", "-netdev", &network])
            .options(["-device", "usb-net,id=old,netdev=t", "-netdev", "user,id=u"])
            .options(["-device", "virtio-net-pci,id=fixed,netdev=u,romfile="])
            .boot();
        let connect = Connect::open(policy).unwrap();
        let check = |expected: &[Option<&str>], what: &str| {
            assert_eq!(truth(&mut guest.side()), expected.len(), "{what}");
            let found = devices(&ask(&connect, guest.name()));
            let found: Vec<_> = found.iter().map(Option::as_deref).collect();
            assert_eq!(found, expected, "{policy}, {what}");
        };
        check(&[Some(&first), None], "as it was started");
        let unplug = |id: &str| {
            let mut side = guest.side();
            side.ask_with("device_del", json!({ "id": id }));
            side.wait_for("DEVICE_DELETED");
        };
        let remove = |id: &str| {
            guest.side().ask_with("netdev_del", json!({ "id": id }));
        };
        unplug("old");
        remove("t");
        check(&[None], "with its network unplugged");
        let add = |id: &str, name: &str| {
            let tap = json!({ "type": "tap", "id": id, "ifname": name, "script": "no", "downscript": "no" });
            let mut side = guest.side();
            side.ask_with("netdev_add", tap);
            let nic = json!({ "driver": "usb-net", "id": format!("nic-{id}"), "netdev": id });
            side.ask_with("device_add", nic);
        };
        add("t", &first);
        check(&[None, Some(&first)], "plugged in again");
        let second = lab().tap_name();
        add("s", &second);
        check(&[None, Some(&second), Some(&first)], "another one");
        unplug("nic-s");
        remove("s");
        check(&[None, Some(&first)], "the other one unplugged");
    }
}
