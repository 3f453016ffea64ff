//! What KVM counts. Run it where `/dev/kvm` is usable: `cargo test --test qemu -- --ignored kvm::`.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use domstats::{Connect, DomainStats, StatsGroups, StatsReport, StatsRequest};
use domstats_live::{
    alone,
    compare::params,
    guest::{Guest, Spec},
    oracle::Params,
    patience::PATIENCE,
};
use serde_json::{Value, json};

/// The suffixes of the keys of counters, and of the descriptions of histograms' bins.
const ENDS: &[&str] =
    &["cur", "sum", "max", "linear", "log2", "unit", "base", "exponent", "bucket_size"];

/// Reads simply what is counted, under libvirt's flat keys.
fn read(guest: &Guest) -> Params {
    let mut side = guest.side();
    let mut kinds = BTreeMap::new();
    for schema in side.ask("query-stats-schemas").as_array().unwrap() {
        for stat in schema["stats"].as_array().unwrap() {
            let key = (schema["target"].to_string(), stat["name"].to_string());
            kinds.insert(key, stat.clone());
        }
    }
    let mut params = Params::new();
    let mut put = |prefix: &str, target: &str, of: &Value| {
        for stat in of["stats"].as_array().unwrap() {
            let kind = &kinds[&(json!(target).to_string(), stat["name"].to_string())];
            let name = stat["name"].as_str().unwrap();
            let end = match kind["type"].as_str().unwrap() {
                "instant" => "cur",
                "cumulative" => "sum",
                "peak" => "max",
                "linear-histogram" => "linear",
                "log2-histogram" => "log2",
                other => panic!("the tests know no kind {other}"),
            };
            let mut value = stat["value"].clone();
            if let Value::Array(bins) = &value {
                // The last one comes first. In the flat form, several numbers are a text.
                let bins: Vec<_> = bins.iter().rev().map(Value::to_string).collect();
                value = bins.join(" ").into();
            }
            params.insert(format!("{prefix}.{name}.{end}"), value);
            for (word, key) in [
                ("unit", "unit"),
                ("base", "base"),
                ("exponent", "exponent"),
                ("bucket-size", "bucket_size"),
            ] {
                if let Some(value) = kind.get(word).filter(|_| stat["value"].is_array()) {
                    params.insert(format!("{prefix}.{name}.{key}"), value.clone());
                }
            }
        }
    };
    let vm = side.ask_with("query-stats", json!({ "target": "vm" }));
    put("vm", "vm", &vm[0]);
    let vcpus = side.ask_with("query-stats", json!({ "target": "vcpu" }));
    for cpu in side.ask("query-cpus-fast").as_array().unwrap() {
        let mut all = vcpus.as_array().unwrap().iter();
        let of = all.find(|of| of["qom-path"] == cpu["qom-path"]).unwrap();
        put(&format!("vcpu.{}", cpu["cpu-index"]), "vcpu", of);
    }
    for (key, name) in [("success", "halt_poll_success_ns"), ("fail", "halt_poll_fail_ns")] {
        let of = params.iter().filter(|(key, _)| key.contains(name));
        let total: u64 = of.map(|(_, value)| value.as_u64().unwrap()).sum();
        params.insert(format!("cpu.haltpoll.{key}.time"), total.into());
    }
    params
}

/// Returns the record's hypervisor statistics.
fn counted(record: &DomainStats) -> Params {
    let mut params = params(record);
    params.retain(|key, _| {
        let end = key.rsplit('.').next();
        key.starts_with("cpu.haltpoll.") || ENDS.iter().any(|known| end == Some(*known))
    });
    params
}

/// Waits until the guest was halted for long, and checks that this is in the bin for its length,
/// and so that bins are in the assumed order.
fn wait_for_a_long_halt(guest: &Guest) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let told = read(guest);
        let waited = told["vcpu.0.halt_wait_ns.sum"].as_u64().unwrap();
        let bins = told["vcpu.0.halt_wait_hist.log2"].as_str().unwrap();
        let times = bins.split(' ').zip(0..).map(|(bin, n)| bin.parse::<u64>().unwrap() << n);
        let most: u64 = times.sum();
        if most > 1 << 28 {
            assert!((most / 2..=most).contains(&waited), "{waited} ns: {bins:?}");
            return;
        }
        assert!(Instant::now() < deadline, "{waited} ns: {bins:?}");
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
#[ignore = "needs KVM"]
fn kvm_statistics_equal_qemus() {
    alone!(kvm);
    for uri in ["qemu+qmp:///system", "qemu+qmp:///system?monitor_policy=hold"] {
        // Nothing to boot from: the firmware halts.
        let guest = Spec::new("kvm").kvm().vcpus(2, 4).running().boot();
        wait_for_a_long_halt(&guest);
        // A guest that does not run counts nothing more.
        guest.side().ask("stop");
        let connect = Connect::open(uri).unwrap();
        let same_as_told = |groups| {
            let request = StatsRequest::new().timeout(PATIENCE).groups(groups);
            let report = connect.all_domain_stats(&request).unwrap();
            let record = report.domain(guest.name()).unwrap();
            assert_eq!(record.missing, []);
            assert_eq!(StatsReport::from_xml(&report.to_xml()).unwrap().domains, report.domains);
            assert_eq!(StatsReport::from_json(&report.to_json()).unwrap().domains, report.domains);
            let mut told = read(&guest);
            told.retain(|key, _| {
                let group = match key.split('.').next() {
                    Some("vm") => StatsGroups::VM,
                    Some("vcpu") => StatsGroups::VCPU,
                    _ => StatsGroups::CPU_TOTAL,
                };
                groups.contains(group)
            });
            assert_eq!(counted(record), told);
            told
        };
        // Performance counters were not requested, and not every host has resctrl.
        let all = StatsGroups::of_libvirt() - (StatsGroups::PERF | StatsGroups::MEMORY);
        let [first, again] = [(); 2].map(|()| same_as_told(all));
        assert_eq!(first, again);
        assert!(first.values().any(|value| value.as_u64() > Some(0)), "{first:?}");
        assert_eq!(first["vcpu.0.halt_wait_hist.unit"], "seconds");
        for (groups, keys) in [(StatsGroups::CPU_TOTAL, 2), (StatsGroups::VM, 10)] {
            assert!(same_as_told(groups).len() >= keys);
        }

        let free = guest.side().ask("query-hotpluggable-cpus");
        let free = free.as_array().unwrap().iter().find(|cpu| cpu.get("qom-path").is_none());
        let mut cpu = free.unwrap()["props"].clone();
        cpu["driver"] = free.unwrap()["type"].clone();
        cpu["id"] = "plugged-cpu".into();
        guest.side().ask_with("device_add", cpu);
        let told = same_as_told(all);
        let of_vcpus = told.keys().filter(|key| key.ends_with(".halt_exits.sum"));
        assert_eq!(of_vcpus.count(), 3, "{told:?}");
    }
}
