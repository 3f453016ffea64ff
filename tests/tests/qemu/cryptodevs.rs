//! Crypto devices: what QEMU counts of each, as it reports itself, however they come and go.

use std::{collections::BTreeMap, slice};

use domstats::{
    Connect, Domain, DomainStats, MissingReason, StatsGroups, StatsOptions, StatsRequest,
    Value as Stat,
    stats::{Cryptodev, HypervisorStat},
};
use domstats_live::{
    alone,
    guest::{Guest, Spec},
    patience::PATIENCE,
    qmp::Qmp,
};
use serde_json::{Value, json};

const POLICIES: [&str; 2] = ["qemu+qmp:///system", "qemu+qmp:///system?monitor_policy=hold"];

/// The counters of each device, by id.
type Counts = BTreeMap<String, BTreeMap<String, Value>>;

fn truth(side: &mut Qmp) -> Counts {
    let told = side.ask_with("query-stats", json!({ "target": "cryptodev" }));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let device = |of: &Value| {
        let stats = of["stats"].as_array().unwrap().iter();
        let stats = stats.map(|stat| (text(&stat["name"]), stat["value"].clone())).collect();
        (text(&of["qom-path"]).rsplit('/').next().unwrap().to_owned(), stats)
    };
    told.as_array().unwrap().iter().map(device).collect()
}

fn ask(connect: &Connect, guest: &Guest, groups: StatsGroups) -> DomainStats {
    let request = StatsRequest::new().groups(groups).timeout(PATIENCE);
    connect.all_domain_stats(&request).unwrap().domain(guest.name()).unwrap().clone()
}

/// A record's counters of each device, by flat key.
fn told(record: &DomainStats) -> Counts {
    assert_eq!(record.missing, []);
    let params: BTreeMap<String, _> = record.params().into_iter().collect();
    let cryptodevs = record.cryptodev.as_ref().unwrap();
    assert_eq!(cryptodevs.count, Some(cryptodevs.cryptodevs.len() as u32));
    let device = |(index, device): (usize, &Cryptodev)| {
        assert_eq!(device.index as usize, index);
        let stat = |stat: &HypervisorStat| {
            let key = format!("cryptodev.{index}.{}.sum", stat.name);
            let Stat::ULLong(value) = params[&key] else { panic!("{key}") };
            (stat.name.to_string(), json!(value))
        };
        (device.name.clone().unwrap().into(), device.stats.iter().map(stat).collect())
    };
    cryptodevs.cryptodevs.iter().enumerate().map(device).collect()
}

#[test]
fn crypto_devices_are_read_on_request() {
    alone!();
    for policy in POLICIES {
        let guest = Spec::new("crypto")
            .options(["-object", "cryptodev-backend-builtin,id=c.0"])
            .options(["-device", "virtio-crypto-pci,cryptodev=c.0"])
            .options(["-object", r#"{"qom-type":"cryptodev-backend-builtin","id":"unused"}"#])
            .boot();
        let connect = Connect::open(policy).unwrap();
        let usual = ask(&connect, &guest, StatsGroups::empty());
        assert_eq!(usual.cryptodev, None, "{policy}");
        assert_eq!(usual.why_missing(StatsGroups::CRYPTODEV), None, "{policy}");

        let mut side = guest.side();
        let counts = side.greeting["QMP"]["version"]["qemu"]["major"].as_u64() >= Some(8);
        if !counts {
            let record = ask(&connect, &guest, StatsGroups::CRYPTODEV);
            assert_eq!(record.cryptodev, None, "{policy}");
            let why = record.why_missing(StatsGroups::CRYPTODEV).unwrap();
            assert_eq!(why.reason, MissingReason::Unsupported, "{policy}");
            assert!(why.text.contains("QEMU 8.0"), "{policy}: {why}");
            continue;
        }
        let check = |side: &mut Qmp, names: &[&str]| {
            let truth = truth(side);
            assert!(truth.keys().eq(names), "{truth:?}");
            // With other groups too, and again: the schemas are known then.
            for groups in [StatsGroups::CRYPTODEV, StatsGroups::all_known()] {
                let record = ask(&connect, &guest, groups & whole());
                assert_eq!(told(&record), truth, "{policy}, {groups:?}");
            }
        };
        check(&mut side, &["c.0", "unused"]);
        // Counters that a device lacks are not invented.
        assert!(truth(&mut side)["c.0"].contains_key("sym-encrypt-ops"));
        assert!(!truth(&mut side)["c.0"].contains_key("asym-sign-ops"));
        side.ask_with("object-add", json!({ "qom-type": "cryptodev-backend-builtin", "id": "b" }));
        check(&mut side, &["b", "c.0", "unused"]);
        side.ask_with("object-del", json!({ "id": "unused" }));
        check(&mut side, &["b", "c.0"]);
    }
}

/// The groups that are complete for a guest without KVM on any host.
fn whole() -> StatsGroups {
    StatsGroups::CRYPTODEV | StatsGroups::STATE | StatsGroups::VCPU | StatsGroups::BLOCK
}

#[test]
fn the_first_crypto_device_may_come_later() {
    alone!(in "sid");
    let guest = Spec::new("later").boot();
    for policy in POLICIES {
        let connect = Connect::open(policy).unwrap();
        let mut side = guest.side();
        // Requested without a device: there is none, which is not the same as unsupported.
        assert_eq!(told(&ask(&connect, &guest, StatsGroups::CRYPTODEV)), Counts::new(), "{policy}");
        side.ask_with("object-add", json!({ "qom-type": "cryptodev-backend-builtin", "id": "c" }));
        let record = ask(&connect, &guest, StatsGroups::CRYPTODEV);
        assert_eq!(told(&record), truth(&mut side), "{policy}");
        assert_eq!(told(&record).len(), 1, "{policy}");
        side.ask_with("object-del", json!({ "id": "c" }));
        assert_eq!(told(&ask(&connect, &guest, StatsGroups::CRYPTODEV)), Counts::new(), "{policy}");
        // The driver supports the group, so a caller that enforces it is not refused.
        let request = StatsRequest::new()
            .groups(StatsGroups::CRYPTODEV)
            .options(StatsOptions::ENFORCE_STATS)
            .timeout(PATIENCE);
        let domain = connect.domain(record.domain.clone());
        let report = Domain::list_stats(slice::from_ref(&domain), &request).unwrap();
        assert_eq!(report.domains.len(), 1, "{policy}");
    }
}
