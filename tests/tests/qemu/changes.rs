//! Guests that come and go, and that change, between calls and during them.

use std::{thread, time::Duration};

use domstats::{
    Connect, Domain, DomainFilter, DomainStats, MissingReason, StatsReport, StatsRequest,
};
use domstats_live::{
    alone,
    compare::{differences, lacks, params},
    guest::{Guest, Spec, boot_all},
    image,
    lab::lab,
    oracle,
    patience::PATIENCE,
};
use serde_json::json;

const POLICIES: [&str; 2] = ["qemu+qmp:///system", "qemu+qmp:///system?monitor_policy=hold"];

const TIMEOUT: Duration = PATIENCE;

fn ask(connect: &Connect) -> StatsReport {
    // More than a guest needs, even on a busy machine.
    let request = StatsRequest::new().timeout(TIMEOUT);
    connect.all_domain_stats(&request).unwrap()
}

fn complete<'a>(report: &'a StatsReport, guest: &Guest) -> &'a DomainStats {
    let record = report.domain(guest.name());
    let record = record.unwrap_or_else(|| panic!("{} has no record", guest.name()));
    assert_eq!(lacks(record), [""; 0], "{}", guest.name());
    record
}

fn handles(connect: &Connect, guests: &[Guest]) -> Vec<Domain> {
    let domains = connect.domains(DomainFilter::empty()).unwrap();
    guests
        .iter()
        .map(|guest| {
            let found = domains.iter().find(|domain| domain.name() == guest.name());
            found.unwrap_or_else(|| panic!("{} was not found", guest.name())).clone()
        })
        .collect()
}

#[test]
fn killed_between_calls() {
    alone!();
    for uri in POLICIES {
        let guests = boot_all((0..4).map(|_| Spec::full("killed")));
        let connect = Connect::open(uri).unwrap();
        let report = ask(&connect);
        for guest in &guests {
            complete(&report, guest);
        }
        guests[1].kill();
        let report = ask(&connect);
        assert!(report.domain(guests[1].name()).is_none());
        for number in [0, 2, 3] {
            complete(&report, &guests[number]);
        }
    }
}

#[test]
fn killed_between_lookup_and_call_is_gone() {
    alone!();
    let guests = boot_all((0..4).map(|_| Spec::full("looked-up")));
    let connect = Connect::open("qemu+qmp:///system").unwrap();
    let domains = handles(&connect, &guests);
    guests[2].kill();
    let report = Domain::list_stats(&domains, &StatsRequest::new().timeout(TIMEOUT)).unwrap();
    assert_eq!(report.domains.len(), 3);
    let [missing] = &report.missing[..] else { panic!("{:?}", report.missing) };
    assert_eq!(missing.domain.name, guests[2].name());
    assert_eq!(missing.missing.reason, MissingReason::Gone);
    for number in [0, 1, 3] {
        complete(&report, &guests[number]);
    }
}

#[test]
fn killed_during_calls() {
    alone!();
    for uri in POLICIES {
        let victims = boot_all((0..8).map(|_| Spec::new("victim")));
        let survivors = boot_all((0..4).map(|_| Spec::full("survivor")));
        let connect = Connect::open(uri).unwrap();
        ask(&connect);
        thread::scope(|scope| {
            scope.spawn(|| {
                for victim in &victims {
                    thread::sleep(Duration::from_millis(7));
                    victim.kill();
                }
            });
            for _ in 0..20 {
                let report = ask(&connect);
                assert!(report.elapsed < TIMEOUT, "{:?}", report.elapsed);
                for guest in &survivors {
                    complete(&report, guest);
                }
            }
        });
        let report = ask(&connect);
        assert!(victims.iter().all(|victim| report.domain(victim.name()).is_none()));
    }
}

#[test]
fn started_between_calls() {
    alone!();
    for uri in POLICIES {
        let first = Spec::full("first").boot();
        let connect = Connect::open(uri).unwrap();
        complete(&ask(&connect), &first);
        let second = Spec::full("second").boot();
        let report = ask(&connect);
        complete(&report, &first);
        complete(&report, &second);
    }
}

#[test]
fn plugged_and_unplugged_between_calls() {
    alone!();
    for uri in POLICIES {
        let guest = Spec::full("plugged").running().boot();
        let connect = Connect::open(uri).unwrap();
        let same_as_oracle = |what: &str| {
            let before = oracle::read(&guest, false);
            let report = ask(&connect);
            let after = oracle::read(&guest, false);
            let record = complete(&report, &guest);
            assert_eq!(differences(&before, &params(record), &after), [""; 0], "{what}");
            record.clone()
        };
        assert_eq!(same_as_oracle("at first").block.unwrap().count, Some(2));

        let path = image::raw(&guest.dir, "plugged");
        let file = json!({ "driver": "file", "filename": path });
        let node = json!({ "driver": "raw", "node-name": "plugged", "file": file });
        guest.side().ask_with("blockdev-add", node);
        let disk = json!({ "driver": "virtio-blk-pci", "drive": "plugged", "id": "plugged" });
        guest.side().ask_with("device_add", disk);
        assert_eq!(same_as_oracle("a disk more").block.unwrap().count, Some(3));

        let free = guest.side().ask("query-hotpluggable-cpus");
        let free = free.as_array().unwrap().iter().find(|cpu| cpu.get("qom-path").is_none());
        let free = free.unwrap();
        let mut cpu = free["props"].clone();
        cpu["driver"] = free["type"].clone();
        cpu["id"] = "plugged-cpu".into();
        guest.side().ask_with("device_add", cpu);
        let vcpus = same_as_oracle("a vCPU more").vcpu.unwrap();
        assert_eq!((vcpus.current, vcpus.cpus.len()), (Some(3), 3));

        let tap = lab().tap_name();
        let netdev = json!({
            "type": "tap", "id": "plugged-tap", "ifname": tap, "script": "no", "downscript": "no",
        });
        let mut side = guest.side();
        side.ask_with("netdev_add", netdev);
        side.ask_with(
            "device_add",
            json!({ "driver": "virtio-net-pci", "netdev": "plugged-tap", "id": "plugged-nic", "romfile": "" }),
        );
        let record = complete(&ask(&connect), &guest).clone();
        let interfaces = record.interface.unwrap();
        let names: Vec<_> = interfaces.interfaces.iter().map(|one| one.name.clone()).collect();
        assert!(names.contains(&Some(tap.into())), "{names:?}");

        // A guest without a driver does not release the device on request: the device leaves at a
        // reset.
        side.ask_with("device_del", json!({ "id": "plugged" }));
        side.ask("system_reset");
        side.wait_for("DEVICE_DELETED");
        let blocks = complete(&ask(&connect), &guest).block.clone().unwrap();
        assert_eq!(blocks.count, Some(2));
    }
}

#[test]
fn a_guest_without_memory_reports_has_update_time_zero() {
    alone!();
    let guest = Spec::new("silent").balloon().boot();
    let connect = Connect::open("qemu+qmp:///system").unwrap();
    let report = ask(&connect);
    let balloon = complete(&report, &guest).balloon.clone().unwrap();
    assert_eq!(balloon.last_update, Some(0));
    assert_eq!(balloon.actual, Some(16 << 10));
    // Nothing was invented, and the query did not make the guest report.
    assert_eq!((balloon.unused, balloon.available, balloon.swap_in), (None, None, None));
    let path = json!({ "path": "/machine/peripheral/balloon0", "property": "guest-stats-polling-interval" });
    assert_eq!(guest.side().ask_with("qom-get", path), 0);
}

#[test]
fn a_continued_guest_runs_in_the_next_call() {
    alone!();
    let guest = Spec::new("paused").raw_disks(1).boot();
    let connect = Connect::open("qemu+qmp:///system").unwrap();
    let state = || complete(&ask(&connect), &guest).state.as_ref().unwrap().state;
    assert_eq!(state(), Some(domstats::DomainState::Paused));
    guest.side().ask("cont");
    assert_eq!(state(), Some(domstats::DomainState::Running));
}
