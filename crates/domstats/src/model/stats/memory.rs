//! Memory bandwidth monitors of a domain. Bit 256, flat keys `memory.*`.

use crate::model::{catalogue::section::section, name::Name};

section! {
    /// Memory bandwidth that groups of vCPUs use.
    pub struct Memory[] {
        /// Number of bandwidth monitors.
        /// resctrl; libvirt `memory.bandwidth.monitor.count`.
        monitor_count: u32 = ("bandwidth.monitor.count", Gauge, Count, metric "memory_bandwidth_monitors", doc "bandwidth.count");
        /// Bandwidth monitors of groups of vCPUs.
        /// resctrl `mon_data`; libvirt `memory.bandwidth.monitor.<n>`.
        monitors: [BandwidthMonitor] = ("bandwidth.monitor", "bandwidth.monitor", label "monitor");
    }
}

section! {
    /// A monitor of the memory bandwidth that a group of vCPUs uses.
    pub struct BandwidthMonitor[Index] {
        /// Name of the monitor.
        /// resctrl group; libvirt `memory.bandwidth.monitor.<n>.name`.
        name: Name = ("name", Info, None, metric "name", place Attribute);
        /// vCPUs that it watches, as a list such as `0-3`.
        /// libvirt `memory.bandwidth.monitor.<n>.vcpus`.
        vcpus: String = ("vcpus", Info, None, metric "vcpus", place Attribute);
        /// Number of memory controllers.
        /// resctrl `mon_data/mon_L3_*`; libvirt `memory.bandwidth.monitor.<n>.node.count`.
        node_count: u32 = ("node.count", Gauge, Count, metric "memory_bandwidth_nodes", place Attribute, doc "count");
        /// The memory controllers of the host.
        /// resctrl `mon_data/mon_L3_<id>`; libvirt `memory.bandwidth.monitor.<n>.node.<m>`.
        nodes: [BandwidthNode] = ("node", "node", label "node");
    }
}

section! {
    /// One memory controller of the host, as a monitor sees it.
    pub struct BandwidthNode[Index] {
        /// The host's number of the controller.
        /// resctrl `mon_L3_<id>`; libvirt `memory.bandwidth.monitor.<n>.node.<m>.id`.
        id: u32 = ("id", Info, None, metric "node_id", place Attribute);
        /// Bytes moved to and from memory of the same node.
        /// resctrl `mbm_local_bytes`; libvirt `memory.bandwidth.monitor.<n>.node.<m>.bytes.local`.
        local: u64 = ("bytes.local", Counter, Bytes, metric "memory_bandwidth_local_bytes");
        /// Bytes moved to and from any memory.
        /// resctrl `mbm_total_bytes`; libvirt `memory.bandwidth.monitor.<n>.node.<m>.bytes.total`.
        total: u64 = ("bytes.total", Counter, Bytes, metric "memory_bandwidth_bytes");
    }
}
