//! Each network interface of a domain. Bit 16, flat keys `net.*`.

use crate::model::{catalogue::section::section, name::Name};

section! {
    /// The network interfaces of the domain.
    pub struct Interfaces[] {
        /// Number of interfaces that the guest has; some may have no entry.
        /// QMP `qom-list`, else QEMU's command line; libvirt `net.count`.
        count: u32 = ("count", Gauge, Count, metric "interfaces", place Attribute);
        /// The interfaces. One without a network device on the host has neither name nor counters.
        /// libvirt `net.<n>`, for those with a network device.
        interfaces: [Interface] = ("", "interface", label "target_device", info "interface_stats");
    }
}

section! {
    /// One network interface; received and transmitted are the guest's view.
    pub struct Interface[Index] {
        /// Name of the host's network device.
        /// `/proc/PID/fdinfo` `iff`; libvirt `net.<n>.name`.
        name: Name = ("name", Info, None, place Attribute);
        /// Bytes received.
        /// `/proc/net/dev`; libvirt `net.<n>.rx.bytes`.
        rx_bytes: u64 = ("rx.bytes", Counter, Bytes, metric "interface_stats_receive_bytes");
        /// Packets received.
        /// `/proc/net/dev`; libvirt `net.<n>.rx.pkts`.
        rx_pkts: u64 = ("rx.pkts", Counter, Count, metric "interface_stats_receive_packets");
        /// Errors while receiving.
        /// `/proc/net/dev`; libvirt `net.<n>.rx.errs`.
        rx_errs: u64 = ("rx.errs", Counter, Count, metric "interface_stats_receive_errors");
        /// Packets dropped while receiving.
        /// `/proc/net/dev`; libvirt `net.<n>.rx.drop`.
        rx_drop: u64 = ("rx.drop", Counter, Count, metric "interface_stats_receive_drops");
        /// Bytes transmitted.
        /// `/proc/net/dev`; libvirt `net.<n>.tx.bytes`.
        tx_bytes: u64 = ("tx.bytes", Counter, Bytes, metric "interface_stats_transmit_bytes");
        /// Packets transmitted.
        /// `/proc/net/dev`; libvirt `net.<n>.tx.pkts`.
        tx_pkts: u64 = ("tx.pkts", Counter, Count, metric "interface_stats_transmit_packets");
        /// Errors while transmitting.
        /// `/proc/net/dev`; libvirt `net.<n>.tx.errs`.
        tx_errs: u64 = ("tx.errs", Counter, Count, metric "interface_stats_transmit_errors");
        /// Packets dropped while transmitting.
        /// `/proc/net/dev`; libvirt `net.<n>.tx.drop`.
        tx_drop: u64 = ("tx.drop", Counter, Count, metric "interface_stats_transmit_drops");
    }
}
