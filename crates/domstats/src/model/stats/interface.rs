//! Each network interface of a domain. Bit 16, flat keys `net.*`.

use crate::model::{catalogue::section::section, name::Name};

section!(
    /// The network interfaces of the domain.
    pub struct Interfaces {
        /// Number of interfaces that the guest has; some may have no entry.
        /// QMP `qom-list`, else QEMU's command line; libvirt `net.count`.
        #[gauge(unit = "count", metric = "interfaces", place = "attribute")]
        pub count: Option<u32>,
        /// The interfaces. One without a network device on the host has neither name nor counters.
        /// libvirt `net.<n>`, for those with a network device.
        #[list(doc_path = "interface", label = "target_device", info = "interface_stats")]
        pub interfaces: Vec<Interface>,
    }
);

section!(
    /// One network interface; received and transmitted are the guest's view.
    #[item(index)]
    pub struct Interface {
        /// Name of the host's network device.
        /// `/proc/PID/fdinfo` `iff`; libvirt `net.<n>.name`.
        #[info(place = "attribute")]
        pub name: Option<Name>,
        /// Bytes received.
        /// `/proc/net/dev`; libvirt `net.<n>.rx.bytes`.
        #[counter(path = "rx.bytes", unit = "B", metric = "interface_stats_receive_bytes")]
        pub rx_bytes: Option<u64>,
        /// Packets received.
        /// `/proc/net/dev`; libvirt `net.<n>.rx.pkts`.
        #[counter(path = "rx.pkts", unit = "count", metric = "interface_stats_receive_packets")]
        pub rx_pkts: Option<u64>,
        /// Errors while receiving.
        /// `/proc/net/dev`; libvirt `net.<n>.rx.errs`.
        #[counter(path = "rx.errs", unit = "count", metric = "interface_stats_receive_errors")]
        pub rx_errs: Option<u64>,
        /// Packets dropped while receiving.
        /// `/proc/net/dev`; libvirt `net.<n>.rx.drop`.
        #[counter(path = "rx.drop", unit = "count", metric = "interface_stats_receive_drops")]
        pub rx_drop: Option<u64>,
        /// Bytes transmitted.
        /// `/proc/net/dev`; libvirt `net.<n>.tx.bytes`.
        #[counter(path = "tx.bytes", unit = "B", metric = "interface_stats_transmit_bytes")]
        pub tx_bytes: Option<u64>,
        /// Packets transmitted.
        /// `/proc/net/dev`; libvirt `net.<n>.tx.pkts`.
        #[counter(path = "tx.pkts", unit = "count", metric = "interface_stats_transmit_packets")]
        pub tx_pkts: Option<u64>,
        /// Errors while transmitting.
        /// `/proc/net/dev`; libvirt `net.<n>.tx.errs`.
        #[counter(path = "tx.errs", unit = "count", metric = "interface_stats_transmit_errors")]
        pub tx_errs: Option<u64>,
        /// Packets dropped while transmitting.
        /// `/proc/net/dev`; libvirt `net.<n>.tx.drop`.
        #[counter(path = "tx.drop", unit = "count", metric = "interface_stats_transmit_drops")]
        pub tx_drop: Option<u64>,
    }
);
