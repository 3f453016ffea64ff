//! The questions that a monitor can be asked, and their answers.
//!
//! This is the only place that makes monitor commands, and each is a query: a monitor handled by
//! this driver cannot be told to change anything.

use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use super::threads::VcpuThread;
use crate::report::{Missing, MissingReason};

/// What came of one question.
#[derive(Debug, Clone, Default)]
pub(crate) enum Answer<T> {
    /// It was not asked.
    #[default]
    NotAsked,
    Got(T),
    Missing(Missing),
}

impl<T> Answer<T> {
    pub(crate) fn got(&self) -> Option<&T> {
        match self {
            Self::Got(answer) => Some(answer),
            _ => None,
        }
    }

    pub(crate) fn missing(&self) -> Option<&Missing> {
        match self {
            Self::Missing(missing) => Some(missing),
            _ => None,
        }
    }
}

/// Declares the questions: the member, the command, the field of [`Replies`] and its type.
macro_rules! queries {
    ($($(#[$doc:meta])* $query:ident $(($argument:ident))? = $command:literal, $field:ident: $reply:ty;)*) => {
        /// A question to a monitor.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(crate) enum Query {
            $($(#[$doc])* $query $(($argument))?,)*
        }

        /// The answers to the questions of one pass.
        #[derive(Debug, Default)]
        pub(crate) struct Replies {
            $(pub(crate) $field: Answer<$reply>,)*
        }

        impl Query {
            fn command(&self) -> &'static str {
                match self {
                    $(queries!(@pattern $query $($argument)?) => $command,)*
                }
            }
        }

        impl Replies {
            /// Notes what came of a question.
            pub(crate) fn note(&mut self, query: &Query, reply: Result<&RawValue, Missing>) {
                match query {
                    $(queries!(@pattern $query $($argument)?) => self.$field = answer($command, reply),)*
                }
            }
        }
    };
    (@pattern $query:ident) => { Query::$query };
    (@pattern $query:ident $argument:ident) => { Query::$query(_) };
}

/// The path of a device in QEMU's object tree.
pub(crate) type ObjectPath = String;

/// The names of statistics; none for all.
pub(crate) type StatNames = &'static [&'static str];

queries! {
    /// Whether the guest runs, and why not.
    Status = "query-status", status: Status;
    /// The name of the guest.
    Name = "query-name", name: Name;
    /// The UUID of the guest.
    Uuid = "query-uuid", uuid: UuidReply;
    /// The size of the balloon.
    Balloon = "query-balloon", balloon: BalloonSize;
    /// What the guest says of its memory; the balloon device's path.
    GuestStats(ObjectPath) = "qom-get", guest_stats: GuestStats;
    /// The devices below a path: where the balloon is.
    Devices(ObjectPath) = "qom-list", devices: Vec<Device>;
    /// The memory, plugged in later included.
    MemorySize = "query-memory-size-summary", memory_size: MemorySize;
    /// The vCPUs and their threads.
    Cpus = "query-cpus-fast", cpus: Vec<Cpu>;
    /// The counters of every disk and its images.
    BlockStats = "query-blockstats", block_stats: Vec<BlockStats>;
    /// The sizes of every image.
    BlockNodes = "query-named-block-nodes", block_nodes: Vec<BlockNode>;
    /// The iothreads, their threads and settings.
    Iothreads = "query-iothreads", iothreads: Vec<Iothread>;
    /// The last dirty rate measurement.
    DirtyRate = "query-dirty-rate", dirty_rate: DirtyRate;
    /// What the hypervisor counts, and of which kind it is.
    StatsSchemas = "query-stats-schemas", stats_schemas: Vec<StatsSchema>;
    /// What the hypervisor counted for the guest.
    VmStats = "query-stats", vm_stats: Vec<StatsOf>;
    /// What the hypervisor counted for each vCPU.
    VcpuStats(StatNames) = "query-stats", vcpu_stats: Vec<StatsOf>;
}

impl Query {
    /// Appends the command in its shortest form: QEMU reads its monitor a byte at a time.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"execute\":\"");
        out.extend_from_slice(self.command().as_bytes());
        out.push(b'"');
        match self {
            Self::GuestStats(path) => {
                out.extend_from_slice(b",\"arguments\":{\"property\":\"guest-stats\",\"path\":");
                write_string(path, out);
                out.push(b'}');
            }
            Self::Devices(path) => {
                out.extend_from_slice(b",\"arguments\":{\"path\":");
                write_string(path, out);
                out.push(b'}');
            }
            // Flat: without it every node repeats the chain of images below it.
            Self::BlockNodes => out.extend_from_slice(b",\"arguments\":{\"flat\":true}"),
            Self::VmStats => out.extend_from_slice(b",\"arguments\":{\"target\":\"vm\"}"),
            Self::VcpuStats(names) => {
                out.extend_from_slice(b",\"arguments\":{\"target\":\"vcpu\"");
                if !names.is_empty() {
                    let names = serde_json::Value::from(*names);
                    let providers =
                        format!(r#","providers":[{{"provider":"kvm","names":{names}}}]"#);
                    out.extend_from_slice(providers.as_bytes());
                }
                out.push(b'}');
            }
            _ => {}
        }
        out.push(b'}');
    }
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
}

fn answer<'a, T: Deserialize<'a>>(
    command: &str,
    reply: Result<&'a RawValue, Missing>,
) -> Answer<T> {
    match reply {
        Ok(json) => match serde_json::from_str(json.get()) {
            Ok(answer) => Answer::Got(answer),
            Err(error) => Answer::Missing(Missing::new(
                MissingReason::Failed,
                format!("the answer to {command} was not understood: {error}"),
            )),
        },
        Err(missing) => Answer::Missing(missing),
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Status {
    pub(crate) status: String,
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
    pub(crate) last_update: Option<u64>,
    pub(crate) stats: GuestMemory,
}

/// What the guest reported, in bytes and events; all ones for what it did not.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct GuestMemory {
    pub(crate) stat_swap_in: Option<u64>,
    pub(crate) stat_swap_out: Option<u64>,
    pub(crate) stat_major_faults: Option<u64>,
    pub(crate) stat_minor_faults: Option<u64>,
    pub(crate) stat_free_memory: Option<u64>,
    pub(crate) stat_total_memory: Option<u64>,
    pub(crate) stat_available_memory: Option<u64>,
    pub(crate) stat_disk_caches: Option<u64>,
    pub(crate) stat_htlb_pgalloc: Option<u64>,
    pub(crate) stat_htlb_pgfail: Option<u64>,
    pub(crate) stat_oom_kills: Option<u64>,
    pub(crate) stat_alloc_stalls: Option<u64>,
    pub(crate) stat_async_scans: Option<u64>,
    pub(crate) stat_direct_scans: Option<u64>,
    pub(crate) stat_async_reclaims: Option<u64>,
    pub(crate) stat_direct_reclaims: Option<u64>,
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
    #[serde(default)]
    pub(crate) plugged_memory: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Cpu {
    pub(crate) cpu_index: u32,
    pub(crate) thread_id: u32,
    pub(crate) qom_path: Option<ObjectPath>,
}

impl Cpu {
    pub(crate) fn thread(&self) -> VcpuThread {
        (self.cpu_index, self.thread_id)
    }
}

/// A disk, an image of it or the file below an image.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct BlockStats {
    pub(crate) device: Option<String>,
    pub(crate) qdev: Option<String>,
    pub(crate) node_name: Option<String>,
    pub(crate) stats: BlockCounters,
    pub(crate) parent: Option<Box<BlockStats>>,
    pub(crate) backing: Option<Box<BlockStats>>,
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
    #[serde(rename = "write_threshold", default)]
    pub(crate) write_threshold: u64,
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

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Iothread {
    pub(crate) id: String,
    pub(crate) thread_id: u32,
    pub(crate) poll_max_ns: Option<u64>,
    pub(crate) poll_grow: Option<u64>,
    pub(crate) poll_shrink: Option<u64>,
    pub(crate) poll_weight: Option<u32>,
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
    /// What a newer QEMU has.
    #[serde(other)]
    Other,
}

/// The statistics of one object: the guest or a vCPU.
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

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum StatValue {
    Number(u64),
    Truth(bool),
    /// Those of a histogram.
    Numbers(Vec<u64>),
    /// What a newer QEMU has.
    Other(IgnoredAny),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_short_queries() {
        let mut out = Vec::new();
        Query::Status.write(&mut out);
        Query::BlockNodes.write(&mut out);
        Query::GuestStats("/machine/a\"b".into()).write(&mut out);
        Query::VmStats.write(&mut out);
        Query::VcpuStats(&[]).write(&mut out);
        Query::VcpuStats(&["a", "b"]).write(&mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            concat!(
                r#"{"execute":"query-status"}"#,
                r#"{"execute":"query-named-block-nodes","arguments":{"flat":true}}"#,
                r#"{"execute":"qom-get","arguments":{"property":"guest-stats","path":"/machine/a\"b"}}"#,
                r#"{"execute":"query-stats","arguments":{"target":"vm"}}"#,
                r#"{"execute":"query-stats","arguments":{"target":"vcpu"}}"#,
                r#"{"execute":"query-stats","arguments":{"target":"vcpu","providers":[{"provider":"kvm","names":["a","b"]}]}}"#,
            )
        );
    }

    #[test]
    fn an_answer_of_another_shape_is_a_failure_of_that_question_alone() {
        let mut replies = Replies::default();
        let json: Box<RawValue> = serde_json::from_str(r#"{"status":7}"#).unwrap();
        replies.note(&Query::Status, Ok(&json));
        assert_eq!(replies.status.missing().unwrap().reason, MissingReason::Failed);
    }
}
