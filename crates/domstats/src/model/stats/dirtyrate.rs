//! The last dirty rate measurement of a domain. Bit 512, flat keys `dirtyrate.*`.

use crate::model::catalogue::{section::section, value::words};

words! {
    /// How far a dirty rate measurement is (`virDomainDirtyRateStatus`).
    #[doc(alias = "virDomainDirtyRateStatus")]
    pub enum DirtyRateStatus {
        /// None was started.
        Unstarted = 0, "unstarted";
        /// One is running.
        Measuring = 1, "measuring";
        /// One is complete.
        Measured = 2, "measured";
    }
}

section! {
    /// The rate at which the guest wrote to its memory when it was last measured. Reading it does
    /// not start a measurement.
    pub struct DirtyRate[] {
        /// How far the measurement is: 0 none started, 1 running, 2 complete.
        /// QMP `query-dirty-rate` `status`; libvirt `dirtyrate.calc_status`.
        status: DirtyRateStatus = ("calc_status", Gauge, None, metric "dirty_rate_status");
        /// When it started, in seconds: of the host's uptime in QEMU 7.2, since 1970 in QEMU 10.0.
        /// QMP `query-dirty-rate` `start-time`; libvirt `dirtyrate.calc_start_time`.
        start_time: i64 = ("calc_start_time", Gauge, Seconds, metric "dirty_rate_start_seconds");
        /// How long it takes or took.
        /// QMP `query-dirty-rate` `calc-time`; libvirt `dirtyrate.calc_period`.
        period: i32 = ("calc_period", Gauge, Seconds, metric "dirty_rate_period_seconds");
        /// How it measures: `page-sampling`, `dirty-bitmap` or `dirty-ring`.
        /// QMP `query-dirty-rate` `mode`; libvirt `dirtyrate.calc_mode`.
        mode: String = ("calc_mode", Info, None, metric "mode");
        /// Memory written a second.
        /// QMP `query-dirty-rate` `dirty-rate`; libvirt `dirtyrate.megabytes_per_second`.
        megabytes_per_second: i64 = ("megabytes_per_second", Gauge, MebibytesPerSecond, metric "dirty_rate_bytes_per_second");
        /// The same by vCPU; in mode `dirty-ring` only.
        /// QMP `query-dirty-rate` `vcpu-dirty-rate`; libvirt `dirtyrate.vcpu.<n>`.
        vcpus: [VcpuDirtyRate] = ("vcpu", "vcpu", label "vcpu");
    }
}

section! {
    /// The memory that one vCPU wrote.
    pub struct VcpuDirtyRate[Id] {
        /// Memory written a second.
        /// QMP `query-dirty-rate` `vcpu-dirty-rate`; libvirt `dirtyrate.vcpu.<n>.megabytes_per_second`.
        megabytes_per_second: u64 = ("megabytes_per_second", Gauge, MebibytesPerSecond, metric "dirty_rate_vcpu_bytes_per_second");
    }
}
