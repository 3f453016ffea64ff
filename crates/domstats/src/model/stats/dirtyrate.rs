//! The last dirty rate measurement of a domain. Bit 512, flat keys `dirtyrate.*`.

use crate::model::catalogue::{section::section, value::words};

words!(
    /// How far a dirty rate measurement is (`virDomainDirtyRateStatus`).
    #[doc(alias = "virDomainDirtyRateStatus")]
    pub enum DirtyRateStatus {
        /// None was started.
        #[word("unstarted")]
        Unstarted = 0,
        /// One is running.
        #[word("measuring")]
        Measuring = 1,
        /// One is complete.
        #[word("measured")]
        Measured = 2,
    }
);

section!(
    /// The rate at which the guest wrote to its memory when it was last measured. Reading it does
    /// not start a measurement.
    pub struct DirtyRate {
        /// How far the measurement is: 0 none started, 1 running, 2 complete.
        /// QMP `query-dirty-rate` `status`; libvirt `dirtyrate.calc_status`.
        #[gauge(path = "calc_status", metric = "dirty_rate_status")]
        pub status: Option<DirtyRateStatus>,
        /// When it started, in seconds: of the host's uptime in QEMU 7.2, since 1970 in QEMU 10.0.
        /// QMP `query-dirty-rate` `start-time`; libvirt `dirtyrate.calc_start_time`.
        #[gauge(path = "calc_start_time", unit = "s", metric = "dirty_rate_start_seconds")]
        pub start_time: Option<i64>,
        /// How long it takes or took.
        /// QMP `query-dirty-rate` `calc-time`; libvirt `dirtyrate.calc_period`.
        #[gauge(path = "calc_period", unit = "s", metric = "dirty_rate_period_seconds")]
        pub period: Option<i32>,
        /// How it measures: `page-sampling`, `dirty-bitmap` or `dirty-ring`.
        /// QMP `query-dirty-rate` `mode`; libvirt `dirtyrate.calc_mode`.
        #[info(path = "calc_mode", label = "mode")]
        pub mode: Option<String>,
        /// Memory written a second.
        /// QMP `query-dirty-rate` `dirty-rate`; libvirt `dirtyrate.megabytes_per_second`.
        #[gauge(unit = "MiB/s", metric = "dirty_rate_bytes_per_second")]
        pub megabytes_per_second: Option<i64>,
        /// The same by vCPU; in mode `dirty-ring` only.
        /// QMP `query-dirty-rate` `vcpu-dirty-rate`; libvirt `dirtyrate.vcpu.<n>`.
        #[list(path = "vcpu", doc_path = "vcpu", label = "vcpu")]
        pub vcpus: Vec<VcpuDirtyRate>,
    }
);

section!(
    /// The memory that one vCPU wrote.
    #[item(id)]
    pub struct VcpuDirtyRate {
        /// Memory written a second.
        /// QMP `query-dirty-rate` `vcpu-dirty-rate`; libvirt `dirtyrate.vcpu.<n>.megabytes_per_second`.
        #[gauge(unit = "MiB/s", metric = "dirty_rate_vcpu_bytes_per_second")]
        pub megabytes_per_second: Option<u64>,
    }
);
