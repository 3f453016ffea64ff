//! A monitor's replies: only the members that are used.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use crate::host::process::threads::VcpuThread;

/// The path of a device in QEMU's object tree.
pub(crate) type ObjectPath = String;

#[derive(Debug, Deserialize)]
pub(crate) struct Status {
    pub(crate) status: String,
    /// Why it runs, which only events report.
    #[serde(skip)]
    pub(crate) why_running: Option<&'static str>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Name {
    pub(crate) name: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct UuidReply {
    #[serde(rename = "UUID")]
    pub(crate) uuid: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct BalloonSize {
    pub(crate) actual: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct GuestStats {
    pub(crate) last_update: Reported,
    pub(crate) stats: GuestMemory,
}

/// What the guest reported, in bytes and events.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(crate) struct GuestMemory {
    pub(crate) stat_swap_in: Reported,
    pub(crate) stat_swap_out: Reported,
    pub(crate) stat_major_faults: Reported,
    pub(crate) stat_minor_faults: Reported,
    pub(crate) stat_free_memory: Reported,
    pub(crate) stat_total_memory: Reported,
    pub(crate) stat_available_memory: Reported,
    pub(crate) stat_disk_caches: Reported,
    pub(crate) stat_htlb_pgalloc: Reported,
    pub(crate) stat_htlb_pgfail: Reported,
    pub(crate) stat_oom_kills: Reported,
    pub(crate) stat_alloc_stalls: Reported,
    pub(crate) stat_async_scans: Reported,
    pub(crate) stat_direct_scans: Reported,
    pub(crate) stat_async_reclaims: Reported,
    pub(crate) stat_direct_reclaims: Reported,
}

/// A number that a guest reported. All ones mean that it did not report one; some versions of QEMU
/// write this as -1.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(from = "Option<serde_json::Number>")]
pub(crate) struct Reported(pub(crate) Option<u64>);

impl From<Option<serde_json::Number>> for Reported {
    fn from(number: Option<serde_json::Number>) -> Self {
        let number = number.and_then(|number| number.as_u64());
        Self(number.filter(|number| *number != u64::MAX))
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Device {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct MemorySize {
    pub(crate) base_memory: u64,
    /// Absent if QEMU was built without memory hotplug.
    #[serde(default)]
    pub(crate) plugged_memory: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Cpu {
    pub(crate) cpu_index: u32,
    pub(super) thread_id: u32,
    pub(crate) qom_path: Option<ObjectPath>,
}

impl Cpu {
    pub(crate) fn thread(&self) -> VcpuThread {
        (self.cpu_index, self.thread_id)
    }
}

/// The unit of CPU hotplug: a thread, a core or a socket.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct PossibleCpu {
    pub(crate) vcpus_count: u32,
}

/// A disk, one of its images, or the file below an image.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct BlockStats {
    pub(crate) device: Option<String>,
    pub(crate) qdev: Option<String>,
    pub(crate) node_name: Option<String>,
    pub(crate) stats: BlockCounters,
    pub(crate) driver_specific: Option<DriverCounters>,
    pub(crate) parent: Option<Box<BlockStats>>,
    pub(crate) backing: Option<Box<BlockStats>>,
}

/// The counters of a file's or device's driver.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct DriverCounters {
    pub(crate) discard_nb_ok: Option<u64>,
    pub(crate) discard_nb_failed: Option<u64>,
    pub(crate) discard_bytes_ok: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct BlockCounters {
    pub(crate) rd_operations: Option<u64>,
    pub(crate) rd_bytes: Option<u64>,
    pub(crate) rd_total_time_ns: Option<u64>,
    pub(crate) rd_merged: Option<u64>,
    pub(crate) failed_rd_operations: Option<u64>,
    pub(crate) invalid_rd_operations: Option<u64>,
    pub(crate) wr_operations: Option<u64>,
    pub(crate) wr_bytes: Option<u64>,
    pub(crate) wr_total_time_ns: Option<u64>,
    pub(crate) wr_merged: Option<u64>,
    pub(crate) failed_wr_operations: Option<u64>,
    pub(crate) invalid_wr_operations: Option<u64>,
    pub(crate) wr_highest_offset: Option<u64>,
    pub(crate) flush_operations: Option<u64>,
    pub(crate) flush_total_time_ns: Option<u64>,
    pub(crate) failed_flush_operations: Option<u64>,
    pub(crate) invalid_flush_operations: Option<u64>,
    pub(crate) unmap_operations: Option<u64>,
    pub(crate) unmap_bytes: Option<u64>,
    pub(crate) unmap_total_time_ns: Option<u64>,
    pub(crate) unmap_merged: Option<u64>,
    pub(crate) failed_unmap_operations: Option<u64>,
    pub(crate) invalid_unmap_operations: Option<u64>,
    pub(crate) zone_append_operations: Option<u64>,
    pub(crate) zone_append_bytes: Option<u64>,
    pub(crate) zone_append_total_time_ns: Option<u64>,
    pub(crate) zone_append_merged: Option<u64>,
    pub(crate) failed_zone_append_operations: Option<u64>,
    pub(crate) invalid_zone_append_operations: Option<u64>,
    pub(crate) idle_time_ns: Option<u64>,
    #[serde(default)]
    pub(crate) timed_stats: Vec<TimedStats>,
    pub(crate) rd_latency_histogram: Option<Histogram>,
    pub(crate) wr_latency_histogram: Option<Histogram>,
    pub(crate) zone_append_latency_histogram: Option<Histogram>,
    pub(crate) flush_latency_histogram: Option<Histogram>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct TimedStats {
    pub(crate) interval_length: u64,
    pub(crate) min_rd_latency_ns: Option<u64>,
    pub(crate) max_rd_latency_ns: Option<u64>,
    pub(crate) avg_rd_latency_ns: Option<u64>,
    pub(crate) min_wr_latency_ns: Option<u64>,
    pub(crate) max_wr_latency_ns: Option<u64>,
    pub(crate) avg_wr_latency_ns: Option<u64>,
    pub(crate) min_zone_append_latency_ns: Option<u64>,
    pub(crate) max_zone_append_latency_ns: Option<u64>,
    pub(crate) avg_zone_append_latency_ns: Option<u64>,
    pub(crate) min_flush_latency_ns: Option<u64>,
    pub(crate) max_flush_latency_ns: Option<u64>,
    pub(crate) avg_flush_latency_ns: Option<u64>,
    pub(crate) avg_rd_queue_depth: Option<f64>,
    pub(crate) avg_wr_queue_depth: Option<f64>,
    pub(crate) avg_zone_append_queue_depth: Option<f64>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Histogram {
    pub(crate) boundaries: Vec<u64>,
    pub(crate) bins: Vec<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct BlockNode {
    pub(crate) node_name: Option<String>,
    pub(crate) drv: Option<String>,
    #[serde(rename = "write_threshold")]
    pub(crate) write_threshold: Option<u64>,
    pub(crate) image: Image,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Image {
    pub(crate) filename: Option<String>,
    pub(crate) virtual_size: Option<u64>,
    pub(crate) actual_size: Option<u64>,
    pub(crate) limits: Option<ImageLimits>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct ImageLimits {
    pub(crate) request_alignment: Option<u64>,
    pub(crate) max_discard: Option<u64>,
    pub(crate) discard_alignment: Option<u64>,
    pub(crate) max_write_zeroes: Option<u64>,
    pub(crate) write_zeroes_alignment: Option<u64>,
    pub(crate) opt_transfer: Option<u64>,
    pub(crate) max_transfer: Option<u64>,
    pub(crate) max_hw_transfer: Option<u64>,
    pub(crate) max_iov: Option<u64>,
    pub(crate) max_hw_iov: Option<u64>,
    pub(crate) min_mem_alignment: Option<u64>,
    pub(crate) opt_mem_alignment: Option<u64>,
}

/// How nodes, jobs and disks are connected.
#[derive(Debug, Deserialize)]
pub(crate) struct BlockGraph {
    pub(crate) nodes: Vec<GraphNode>,
    pub(crate) edges: Vec<GraphEdge>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct GraphNode {
    pub(crate) id: u64,
    pub(crate) name: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct GraphEdge {
    pub(crate) parent: u64,
    pub(crate) child: u64,
    pub(crate) name: String,
}

/// Descriptors that were passed to QEMU, as a set with a number.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct FdSet {
    pub(crate) fdset_id: u64,
    pub(crate) fds: Vec<FdOfSet>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct FdOfSet {
    pub(crate) fd: u32,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Iothread {
    pub(crate) id: String,
    pub(crate) thread_id: u32,
    pub(crate) poll_max_ns: Option<u64>,
    pub(crate) poll_grow: Option<u64>,
    pub(crate) poll_shrink: Option<u64>,
    pub(crate) poll_weight: Option<u32>,
    pub(crate) aio_max_batch: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct DirtyRate {
    pub(crate) status: String,
    pub(crate) start_time: Option<i64>,
    pub(crate) calc_time: Option<i64>,
    pub(crate) calc_time_unit: Option<String>,
    pub(crate) mode: Option<String>,
    pub(crate) dirty_rate: Option<i64>,
    #[serde(default)]
    pub(crate) vcpu_dirty_rate: Vec<VcpuDirtyRate>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct VcpuDirtyRate {
    pub(crate) id: u32,
    pub(crate) dirty_rate: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct StatsSchema {
    pub(crate) target: String,
    pub(crate) stats: Vec<StatSchema>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct StatSchema {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: StatKind,
    pub(crate) unit: Option<String>,
    pub(crate) base: Option<u32>,
    pub(crate) exponent: Option<i32>,
    pub(crate) bucket_size: Option<u32>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum StatKind {
    Instant,
    Cumulative,
    Peak,
    LinearHistogram,
    Log2Histogram,
    /// Added by a newer QEMU.
    #[serde(other)]
    Other,
}

/// The statistics of one object: the guest, a vCPU or a crypto device.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct StatsOf {
    pub(crate) qom_path: Option<ObjectPath>,
    pub(crate) stats: Vec<Stat>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Stat {
    pub(crate) name: String,
    pub(crate) value: StatValue,
}

#[derive(Debug)]
pub(crate) enum StatValue {
    Number(u64),
    Truth(bool),
    /// A histogram's bins.
    Numbers(Vec<u64>),
    /// Added by a newer QEMU.
    Other,
}

// Written by hand: serde's derive would copy everything it reads until it knows the variant.
impl<'de> Deserialize<'de> for StatValue {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        struct OfAnyKind;

        impl<'de> Visitor<'de> for OfAnyKind {
            type Value = StatValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_u64<E>(self, number: u64) -> Result<StatValue, E> {
                Ok(StatValue::Number(number))
            }

            fn visit_bool<E>(self, truth: bool) -> Result<StatValue, E> {
                Ok(StatValue::Truth(truth))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<StatValue, A::Error> {
                let mut numbers = Some(Vec::new());
                while let Some(value) = list.next_element()? {
                    match (value, &mut numbers) {
                        (StatValue::Number(number), Some(numbers)) => numbers.push(number),
                        _ => numbers = None,
                    }
                }
                Ok(numbers.map_or(StatValue::Other, StatValue::Numbers))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<StatValue, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(StatValue::Other)
            }

            fn visit_i64<E>(self, _: i64) -> Result<StatValue, E> {
                Ok(StatValue::Other)
            }

            fn visit_f64<E>(self, _: f64) -> Result<StatValue, E> {
                Ok(StatValue::Other)
            }

            fn visit_str<E>(self, _: &str) -> Result<StatValue, E> {
                Ok(StatValue::Other)
            }

            fn visit_unit<E>(self) -> Result<StatValue, E> {
                Ok(StatValue::Other)
            }
        }
        value.deserialize_any(OfAnyKind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_number_that_the_guest_did_not_report_is_absent() {
        let json = r#"{"last-update": 7, "stats": {"stat-swap-in": -1,
            "stat-swap-out": 18446744073709551615, "stat-free-memory": 4096, "stat-major-faults": null}}"#;
        let told: GuestStats = serde_json::from_str(json).unwrap();
        assert_eq!(told.last_update.0, Some(7));
        assert_eq!(told.stats.stat_free_memory.0, Some(4096));
        let stats = &told.stats;
        for absent in [
            stats.stat_swap_in,
            stats.stat_swap_out,
            stats.stat_major_faults,
            stats.stat_total_memory,
        ] {
            assert_eq!(absent.0, None);
        }
    }
}
