//! What the hypervisor counts: `query-stats`, with the types from `query-stats-schemas`.
//!
//! For the guest and its vCPUs only KVM counts, which QEMU reports since 7.1; statistics of crypto
//! devices, since 8.0. What is counted does not change while a process lives, so the schemas are
//! queried once, even if they are empty; a QEMU that supports crypto devices lists them before it
//! has one.

use std::collections::HashMap;

use crate::{
    driver::qemu::{
        groups::{QueryList, Sources},
        monitor::{
            counted::{Counted, Kinds},
            query::{Cpu, Query, StatKind, StatSchema, StatValue, StatsOf},
        },
    },
    host::process::threads::VcpuThread,
    model::{
        catalogue::keep_first_of_each,
        report::Missing,
        stats::{HypervisorHistogram, HypervisorStat, HypervisorValue},
    },
};

/// The time that vCPUs polled after a halt, under KVM's names.
pub(super) const HALT_POLL_SUCCESS: &str = "halt_poll_success_ns";
pub(super) const HALT_POLL_FAIL: &str = "halt_poll_fail_ns";

/// Returns whether statistics of this kind are worth a query. Queries the schemas unless they are
/// known; until then, any kind is.
pub(super) fn may_count(queries: &mut QueryList<'_>, kind: fn(&Counted) -> &Kinds) -> bool {
    let counts = |counted: &Counted| !kind(counted).is_empty();
    let known = queries.guest.learned(|learned| learned.counted.as_deref().map(counts));
    known.unwrap_or_else(|| {
        queries.ask(Query::StatsSchemas);
        true
    })
}

/// Returns why the hypervisor's part of the vCPUs' statistics is missing. For a guest that is not
/// known to have one, nothing is.
pub(super) fn lacks_vcpu_stats(sources: &Sources<'_>) -> Option<Missing> {
    let counts = sources.counted().is_some_and(|counted| !counted.vcpu.is_empty());
    sources.lacks(&sources.replies.vcpu_stats).filter(|_| counts)
}

/// The statistics of one object.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Counts {
    pub(super) stats: Vec<HypervisorStat>,
    pub(super) histograms: Vec<HypervisorHistogram>,
}

impl Counts {
    pub(super) fn new(kinds: &Kinds, of: &StatsOf) -> Self {
        let mut counts = Self::default();
        for stat in &of.stats {
            let Some(schema) = kinds.get(&stat.name) else { continue };
            match &stat.value {
                StatValue::Number(number) => {
                    counts.stats.extend(value(schema, HypervisorValue::Number(*number)));
                }
                StatValue::Truth(truth) => {
                    counts.stats.extend(value(schema, HypervisorValue::Truth(*truth)));
                }
                StatValue::Numbers(bins) => counts.histograms.extend(histogram(schema, bins)),
                StatValue::Other => {}
            }
        }
        keep_first_of_each(&mut counts.stats);
        keep_first_of_each(&mut counts.histograms);
        counts
    }
}

fn value(schema: &StatSchema, value: HypervisorValue) -> Option<HypervisorStat> {
    let mut stat =
        HypervisorStat { name: schema.name.as_str().into(), ..HypervisorStat::default() };
    match schema.kind {
        StatKind::Instant => stat.cur = Some(value),
        StatKind::Cumulative => stat.sum = Some(value),
        StatKind::Peak => stat.max = Some(value),
        _ => return None,
    }
    Some(stat)
}

fn histogram(schema: &StatSchema, bins: &[u64]) -> Option<HypervisorHistogram> {
    let mut histogram = HypervisorHistogram {
        name: schema.name.as_str().into(),
        unit: schema.unit.clone(),
        base: schema.base,
        exponent: schema.exponent,
        bucket_size: schema.bucket_size,
        ..HypervisorHistogram::default()
    };
    // QEMU reports the bins from the last to the first, as of version 11.1.
    let bins = Some(bins.iter().rev().copied().collect());
    match schema.kind {
        StatKind::LinearHistogram => histogram.linear = bins,
        StatKind::Log2Histogram => histogram.log2 = bins,
        _ => return None,
    }
    Some(histogram)
}

/// Returns the statistics of each vCPU, by thread.
pub(super) fn counts_by_thread(
    kinds: &Kinds,
    cpus: &[Cpu],
    vcpus: &[StatsOf],
) -> HashMap<VcpuThread, Counts> {
    let threads: HashMap<&str, VcpuThread> =
        cpus.iter().filter_map(|cpu| Some((cpu.qom_path.as_deref()?, cpu.thread()))).collect();
    let of_thread = |of: &StatsOf| {
        let thread = threads.get(of.qom_path.as_deref()?)?;
        Some((*thread, Counts::new(kinds, of)))
    };
    vcpus.iter().filter_map(of_thread).collect()
}

/// Returns the sum of a statistic over all vCPUs; `None` if none of them has it.
pub(super) fn total(vcpus: &[StatsOf], name: &str) -> Option<u64> {
    let stats = vcpus.iter().flat_map(|vcpu| &vcpu.stats).filter(|stat| stat.name == name);
    let numbers = stats.filter_map(|stat| match stat.value {
        StatValue::Number(number) => Some(number),
        _ => None,
    });
    numbers.reduce(u64::wrapping_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::qemu::monitor::query::StatsSchema;

    // Recorded from QEMU 7.2 with KVM on Linux 6.18, and cut to a few statistics of every kind. The
    // linear histogram is made up, since this kernel has none.
    const SCHEMAS: &str = r#"[{"provider": "kvm", "stats": [
        {"name": "guest_mode", "unit": "boolean", "exponent": 0, "type": "instant"},
        {"name": "halt_wait_hist", "unit": "seconds", "base": 10, "exponent": -9, "type": "log2-histogram"},
        {"name": "made_up_hist", "bucket-size": 500, "exponent": 0, "type": "linear-histogram"},
        {"name": "halt_poll_fail_ns", "unit": "seconds", "base": 10, "exponent": -9, "type": "cumulative"},
        {"name": "halt_poll_success_ns", "unit": "seconds", "base": 10, "exponent": -9, "type": "cumulative"},
        {"name": "halt_wakeup", "exponent": 0, "type": "cumulative"}
    ], "target": "vcpu"}, {"provider": "kvm", "stats": [
        {"name": "max_mmu_rmap_size", "exponent": 0, "type": "peak"},
        {"name": "pages_4k", "exponent": 0, "type": "instant"},
        {"name": "remote_tlb_flush", "exponent": 0, "type": "cumulative"}
    ], "target": "vm"}]"#;

    const VM: &str = r#"[{"provider": "kvm", "stats": [
        {"name": "max_mmu_rmap_size", "value": 1}, {"name": "pages_4k", "value": 937},
        {"name": "remote_tlb_flush", "value": 18446744073709551615}, {"name": "newer", "value": 3}
    ]}]"#;

    const VCPUS: &str = r#"[{"provider": "kvm", "stats": [
        {"name": "guest_mode", "value": false}, {"name": "halt_wait_hist", "value": [0, 2, 0, 1]},
        {"name": "halt_poll_fail_ns", "value": 40}, {"name": "halt_wakeup", "value": 28},
        {"name": "made_up_hist", "value": [1, 0, 18446744073709551615]}
    ], "qom-path": "/machine/unattached/device[2]"}, {"provider": "kvm", "stats": [
        {"name": "guest_mode", "value": true}, {"name": "halt_wait_hist", "value": [0, 0, 0]},
        {"name": "halt_poll_fail_ns", "value": 2}, {"name": "halt_wakeup", "value": 1}
    ], "qom-path": "/machine/unattached/device[0]"}]"#;

    fn counted() -> Counted {
        Counted::new(&serde_json::from_str::<Vec<StatsSchema>>(SCHEMAS).unwrap())
    }

    fn read(json: &str) -> Vec<StatsOf> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn the_schema_gives_the_kind_and_the_number_stays_raw() {
        let number = |number| Some(HypervisorValue::Number(number));
        let stat = |name: &str| HypervisorStat { name: name.into(), ..Default::default() };
        assert_eq!(
            Counts::new(&counted().vm, &read(VM)[0]).stats,
            [
                HypervisorStat { max: number(1), ..stat("max_mmu_rmap_size") },
                HypervisorStat { cur: number(937), ..stat("pages_4k") },
                HypervisorStat { sum: number(u64::MAX), ..stat("remote_tlb_flush") },
            ]
        );
        assert_eq!(
            Counts::new(&counted().vcpu, &read(VCPUS)[1]).stats,
            [
                HypervisorStat { cur: Some(HypervisorValue::Truth(true)), ..stat("guest_mode") },
                HypervisorStat { sum: number(2), ..stat("halt_poll_fail_ns") },
                HypervisorStat { sum: number(1), ..stat("halt_wakeup") },
            ]
        );
    }

    #[test]
    fn histograms_describe_their_bins() {
        let histogram =
            |name: &str| HypervisorHistogram { name: name.into(), ..Default::default() };
        assert_eq!(
            Counts::new(&counted().vcpu, &read(VCPUS)[0]).histograms,
            [
                HypervisorHistogram {
                    unit: Some("seconds".to_owned()),
                    base: Some(10),
                    exponent: Some(-9),
                    log2: Some(vec![1, 0, 2, 0]),
                    ..histogram("halt_wait_hist")
                },
                HypervisorHistogram {
                    exponent: Some(0),
                    bucket_size: Some(500),
                    linear: Some(vec![u64::MAX, 0, 1]),
                    ..histogram("made_up_hist")
                },
            ]
        );
    }

    #[test]
    fn a_value_of_the_wrong_type_is_dropped() {
        let json = r#"[{"provider": "kvm", "stats": [
            {"name": "halt_wait_hist", "value": 3}, {"name": "halt_wakeup", "value": [3]},
            {"name": "guest_mode", "value": {"new": 1}}, {"name": "made_up_hist", "value": [-1]}
        ]}]"#;
        assert_eq!(Counts::new(&counted().vcpu, &read(json)[0]), Counts::default());
    }

    #[test]
    fn vcpus_are_identified_by_path() {
        let cpus: Vec<Cpu> = serde_json::from_str(
            r#"[{"thread-id": 71, "qom-path": "/machine/unattached/device[0]", "cpu-index": 0},
                {"thread-id": 72, "qom-path": "/machine/unattached/device[2]", "cpu-index": 1},
                {"thread-id": 73, "qom-path": "/machine/peripheral/new", "cpu-index": 2}]"#,
        )
        .unwrap();
        let counts = counts_by_thread(&counted().vcpu, &cpus, &read(VCPUS));
        let woken = |thread| counts[&thread].stats.last().unwrap().sum;
        assert_eq!(woken((0, 71)), Some(HypervisorValue::Number(1)));
        assert_eq!(woken((1, 72)), Some(HypervisorValue::Number(28)));
        assert_eq!(counts.len(), 2);
    }

    #[test]
    fn polls_are_added_up_and_absent_if_no_vcpu_has_them() {
        assert_eq!(total(&read(VCPUS), HALT_POLL_FAIL), Some(42));
        assert_eq!(total(&read(VCPUS), HALT_POLL_SUCCESS), None);
        assert_eq!(total(&[], HALT_POLL_FAIL), None);
    }
}
