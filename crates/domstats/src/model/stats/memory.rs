//! Memory bandwidth monitors of a domain. Bit 256, flat keys `memory.*`.

use crate::model::{catalogue::section::section, name::Name};

section!(
    /// Memory bandwidth that groups of vCPUs use.
    pub struct Memory {
        /// Number of bandwidth monitors.
        /// resctrl; libvirt `memory.bandwidth.monitor.count`.
        #[gauge(
            path = "bandwidth.monitor.count",
            doc_path = "bandwidth.count",
            unit = "count",
            metric = "memory_bandwidth_monitors"
        )]
        pub monitor_count: Option<u32>,
        /// Bandwidth monitors of groups of vCPUs.
        /// resctrl `mon_data`; libvirt `memory.bandwidth.monitor.<n>`.
        #[list(path = "bandwidth.monitor", doc_path = "bandwidth.monitor", label = "monitor")]
        pub monitors: Vec<BandwidthMonitor>,
    }
);

section!(
    /// A monitor of the memory bandwidth that a group of vCPUs uses.
    #[item(index)]
    pub struct BandwidthMonitor {
        /// Name of the monitor.
        /// resctrl group; libvirt `memory.bandwidth.monitor.<n>.name`.
        #[info(label = "name", place = "attribute")]
        pub name: Option<Name>,
        /// vCPUs that it watches, as a list such as `0-3`.
        /// libvirt `memory.bandwidth.monitor.<n>.vcpus`.
        #[info(label = "vcpus", place = "attribute")]
        pub vcpus: Option<String>,
        /// Number of memory controllers.
        /// resctrl `mon_data/mon_L3_*`; libvirt `memory.bandwidth.monitor.<n>.node.count`.
        #[gauge(
            path = "node.count",
            doc_path = "count",
            unit = "count",
            metric = "memory_bandwidth_nodes",
            place = "attribute"
        )]
        pub node_count: Option<u32>,
        /// The memory controllers of the host.
        /// resctrl `mon_data/mon_L3_<id>`; libvirt `memory.bandwidth.monitor.<n>.node.<m>`.
        #[list(path = "node", doc_path = "node", label = "node")]
        pub nodes: Vec<BandwidthNode>,
    }
);

section!(
    /// One memory controller of the host, as a monitor sees it.
    #[item(index)]
    pub struct BandwidthNode {
        /// The host's number of the controller.
        /// resctrl `mon_L3_<id>`; libvirt `memory.bandwidth.monitor.<n>.node.<m>.id`.
        #[info(label = "node_id", place = "attribute")]
        pub id: Option<u32>,
        /// Bytes moved to and from memory of the same node.
        /// resctrl `mbm_local_bytes`; libvirt `memory.bandwidth.monitor.<n>.node.<m>.bytes.local`.
        #[counter(path = "bytes.local", unit = "B", metric = "memory_bandwidth_local_bytes")]
        pub local: Option<u64>,
        /// Bytes moved to and from any memory.
        /// resctrl `mbm_total_bytes`; libvirt `memory.bandwidth.monitor.<n>.node.<m>.bytes.total`.
        #[counter(path = "bytes.total", unit = "B", metric = "memory_bandwidth_bytes")]
        pub total: Option<u64>,
    }
);
