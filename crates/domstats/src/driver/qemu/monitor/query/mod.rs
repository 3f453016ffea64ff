//! The queries that can be sent to a monitor, and their replies.
//!
//! This is the only module that builds monitor commands, and each is a query: this driver cannot
//! tell a monitor to change anything.

use std::sync::Arc;

use serde::Deserialize;

mod bounds;
mod replies;

pub(crate) use bounds::DISKS;
use bounds::{Reply, weight};
pub(crate) use replies::*;

use crate::model::{
    name::shortened,
    report::{Missing, MissingReason},
};

/// The outcome of one query. A reply can be kept beyond its call.
#[derive(Debug, Clone, Default)]
pub(crate) enum Answer<T> {
    /// It was not sent.
    #[default]
    NotAsked,
    Got(Arc<T>),
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

/// Declares the queries: the variant, the command, the field of [`Replies`] and its type.
macro_rules! queries {
    ($($(#[$doc:meta])* $query:ident $(($argument:ident))? = $command:literal, $field:ident: $reply:ty;)*) => {
        /// A query to a monitor.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(crate) enum Query {
            $($(#[$doc])* $query $(($argument))?,)*
        }

        /// The replies to the queries of one pass.
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

            /// Returns the most memory that a reply takes, in bytes.
            pub(super) fn weight(&self, json: &str) -> u64 {
                match self {
                    $(queries!(@pattern $query $($argument)?) => weight::<$reply>(json),)*
                }
            }
        }

        impl Replies {
            /// Stores the outcome of a query.
            pub(crate) fn note(&mut self, query: &Query, reply: Result<&str, Missing>) {
                match query {
                    $(queries!(@pattern $query $($argument)?) => self.$field = answer($command, reply),)*
                }
            }
        }
    };
    (@pattern $query:ident) => { Query::$query };
    (@pattern $query:ident $argument:ident) => { Query::$query(_) };
}

/// The names of the requested statistics; none for all.
pub(super) type StatNames = &'static [&'static str];

queries! {
    /// Whether the guest runs, and why not.
    Status = "query-status", status: Status;
    /// The name of the guest.
    Name = "query-name", name: Name;
    /// The UUID of the guest.
    Uuid = "query-uuid", uuid: UuidReply;
    /// The size of the balloon.
    Balloon = "query-balloon", balloon: BalloonSize;
    /// The guest's own memory statistics, by the balloon device's path.
    GuestStats(ObjectPath) = "qom-get", guest_stats: GuestStats;
    /// The devices in a folder of the object tree: the balloon and the NICs among them.
    Devices(ObjectPath) = "qom-list", devices: Vec<Device>;
    /// The network that a NIC is connected to.
    NicNetwork(ObjectPath) = "qom-get", nic_network: String;
    /// The MAC address of a NIC.
    NicAddress(ObjectPath) = "qom-get", nic_address: String;
    /// The memory size, including memory plugged in later.
    MemorySize = "query-memory-size-summary", memory_size: MemorySize;
    /// The vCPUs and their threads.
    Cpus = "query-cpus-fast", cpus: Vec<Cpu>;
    /// The vCPU slots of the machine: vCPUs that run, and those that can be plugged in.
    PossibleCpus = "query-hotpluggable-cpus", possible_cpus: Vec<PossibleCpu>;
    /// The counters of every disk and its images.
    BlockStats = "query-blockstats", block_stats: Vec<BlockStats>;
    /// The sizes of every image.
    BlockNodes = "query-named-block-nodes", block_nodes: Vec<BlockNode>;
    /// How image nodes are connected with jobs.
    BlockGraph = "x-debug-query-block-graph", block_graph: BlockGraph;
    /// The counters of every node, including those below no disk.
    NodeStats = "query-blockstats", node_stats: Vec<BlockStats>;
    /// The descriptors that images were passed by.
    FdSets = "query-fdsets", fd_sets: Vec<FdSet>;
    /// The iothreads, with their threads and settings.
    Iothreads = "query-iothreads", iothreads: Vec<Iothread>;
    /// The last dirty rate measurement.
    DirtyRate = "query-dirty-rate", dirty_rate: DirtyRate;
    /// Which statistics the hypervisor counts, and of which type they are.
    StatsSchemas = "query-stats-schemas", stats_schemas: Vec<StatsSchema>;
    /// What the hypervisor counted for the guest.
    VmStats = "query-stats", vm_stats: Vec<StatsOf>;
    /// What the hypervisor counted for each vCPU.
    VcpuStats(StatNames) = "query-stats", vcpu_stats: Vec<StatsOf>;
    /// What each crypto device did.
    CryptodevStats = "query-stats", cryptodev_stats: Vec<StatsOf>;
}

impl Query {
    /// Appends the command in its shortest form: QEMU reads its monitor byte by byte.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"execute\":\"");
        out.extend_from_slice(self.command().as_bytes());
        out.push(b'"');
        match self {
            Self::GuestStats(path) => write_property("guest-stats", path, out),
            Self::NicNetwork(path) => write_property("netdev", path, out),
            Self::NicAddress(path) => write_property("mac", path, out),
            Self::Devices(path) => {
                out.extend_from_slice(b",\"arguments\":{\"path\":");
                write_string(path, out);
                out.push(b'}');
            }
            // Flat: otherwise every node repeats the chain of images below it.
            Self::BlockNodes => out.extend_from_slice(b",\"arguments\":{\"flat\":true}"),
            Self::NodeStats => out.extend_from_slice(b",\"arguments\":{\"query-nodes\":true}"),
            Self::VmStats => out.extend_from_slice(b",\"arguments\":{\"target\":\"vm\"}"),
            Self::CryptodevStats => {
                out.extend_from_slice(b",\"arguments\":{\"target\":\"cryptodev\"}");
            }
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

fn write_property(property: &str, path: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"arguments\":{\"property\":\"");
    out.extend_from_slice(property.as_bytes());
    out.extend_from_slice(b"\",\"path\":");
    write_string(path, out);
    out.push(b'}');
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
}

fn answer<'a, T: Deserialize<'a> + Reply>(
    command: &str,
    reply: Result<&'a str, Missing>,
) -> Answer<T> {
    let read = reply.and_then(|json| {
        let answer: T = serde_json::from_str(json).map_err(|error| {
            // The error quotes what it found.
            let text = format!("the answer to {command} was not understood: {error}");
            Missing::new(MissingReason::Failed, shortened(&text))
        })?;
        match answer.excess() {
            Some(excess) => Err(Missing::new(MissingReason::Failed, excess)),
            None => Ok(Arc::new(answer)),
        }
    });
    read.map_or_else(Answer::Missing, Answer::Got)
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
        Query::NicAddress("/machine/a".into()).write(&mut out);
        Query::VmStats.write(&mut out);
        Query::VcpuStats(&[]).write(&mut out);
        Query::VcpuStats(&["a", "b"]).write(&mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            concat!(
                r#"{"execute":"query-status"}"#,
                r#"{"execute":"query-named-block-nodes","arguments":{"flat":true}}"#,
                r#"{"execute":"qom-get","arguments":{"property":"guest-stats","path":"/machine/a\"b"}}"#,
                r#"{"execute":"qom-get","arguments":{"property":"mac","path":"/machine/a"}}"#,
                r#"{"execute":"query-stats","arguments":{"target":"vm"}}"#,
                r#"{"execute":"query-stats","arguments":{"target":"vcpu"}}"#,
                r#"{"execute":"query-stats","arguments":{"target":"vcpu","providers":[{"provider":"kvm","names":["a","b"]}]}}"#,
            )
        );
    }

    #[test]
    fn an_unexpected_reply_fails_only_its_own_query() {
        let mut replies = Replies::default();
        replies.note(&Query::Status, Ok(r#"{"status":7}"#));
        assert_eq!(replies.status.missing().unwrap().reason, MissingReason::Failed);
        replies.note(&Query::Status, Ok("{]"));
        assert_eq!(replies.status.missing().unwrap().reason, MissingReason::Failed);
    }
}
