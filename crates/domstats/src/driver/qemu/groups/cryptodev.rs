//! The group `cryptodev`: what each crypto device did, from `query-stats`.

use crate::{
    driver::qemu::{
        groups::{
            GroupReader, QueryList, Sources,
            hypervisor::{self, Counts},
        },
        monitor::{
            counted::Kinds,
            query::{Query, StatsOf},
        },
    },
    model::{
        report::{DomainStats, Missing, MissingReason},
        request::StatsGroups,
        stats::{Cryptodev, Cryptodevs},
    },
};

pub(super) const READER: GroupReader = GroupReader { group: StatsGroups::CRYPTODEV, ask, fill };

fn ask(queries: &mut QueryList<'_>) {
    if !queries.request.wants_whole(StatsGroups::CRYPTODEV) {
        return;
    }
    if hypervisor::may_count(queries, |counted| &counted.cryptodev) {
        queries.ask(Query::CryptodevStats);
    }
}

fn fill(sources: &Sources<'_>, stats: &mut DomainStats) -> Option<Missing> {
    let Some(counted) = sources.counted() else {
        return sources.lacks(&sources.replies.stats_schemas);
    };
    if counted.cryptodev.is_empty() {
        let text = "QEMU does not report crypto devices: QEMU 8.0 or later does";
        return Some(Missing::new(MissingReason::Unsupported, text));
    }
    let replies = sources.replies.cryptodev_stats.got();
    stats.cryptodev = replies.map(|told| cryptodevs(&counted.cryptodev, told));
    sources.lacks(&sources.replies.cryptodev_stats)
}

/// Returns what each crypto device did, sorted by id: QEMU reports them in no order.
fn cryptodevs(kinds: &Kinds, devices: &[StatsOf]) -> Cryptodevs {
    let named = devices.iter().filter_map(|of| {
        let name = of.qom_path.as_deref()?.strip_prefix("/objects/")?.to_owned();
        Some(Cryptodev {
            name: Some(name.into()),
            stats: Counts::new(kinds, of).stats,
            ..Cryptodev::default()
        })
    });
    let mut cryptodevs: Vec<Cryptodev> = named.collect();
    cryptodevs.sort_by(|one, other| one.name.cmp(&other.name));
    for (index, device) in (0..).zip(&mut cryptodevs) {
        device.index = index;
    }
    Cryptodevs { count: u32::try_from(cryptodevs.len()).ok(), cryptodevs, ..Cryptodevs::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        driver::qemu::monitor::{counted::Counted, query::StatsSchema},
        model::stats::{HypervisorStat, HypervisorValue},
    };

    #[test]
    fn crypto_devices_are_sorted_by_id() {
        let kinds = r#"[{"provider": "cryptodev", "target": "cryptodev", "stats": [
            {"name": "sym-encrypt-ops", "exponent": 0, "type": "cumulative"}]}]"#;
        let kinds =
            Counted::new(&serde_json::from_str::<Vec<StatsSchema>>(kinds).unwrap()).cryptodev;
        let told = r#"[
            {"provider": "cryptodev", "qom-path": "/objects/c1", "stats": []},
            {"provider": "cryptodev", "qom-path": "/objects/a.b", "stats": [
                {"name": "sym-encrypt-ops", "value": 18446744073709551615}, {"name": "newer", "value": 1}]},
            {"provider": "newer", "stats": []}
        ]"#;
        let sum = Some(HypervisorValue::Number(u64::MAX));
        let stat = HypervisorStat { name: "sym-encrypt-ops".into(), sum, ..Default::default() };
        let device = |index, name: &str, stats| Cryptodev {
            index,
            name: Some(name.into()),
            stats,
            ..Cryptodev::default()
        };
        assert_eq!(
            cryptodevs(&kinds, &serde_json::from_str::<Vec<StatsOf>>(told).unwrap()),
            Cryptodevs {
                count: Some(2),
                cryptodevs: vec![device(0, "a.b", vec![stat]), device(1, "c1", Vec::new())],
                ..Cryptodevs::default()
            }
        );
    }
}
