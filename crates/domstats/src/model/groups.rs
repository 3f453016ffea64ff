//! The groups of statistics, a row for each: its bit, its field in a record, and its names.

use crate::model::{
    catalogue::group::groups,
    stats::{
        Balloon, Blocks, Cpu, Cryptodevs, DirtyRate, Interfaces, Iothreads, Memory, Perf, State,
        Vcpus, Vm,
    },
};

groups!(
    pub struct DomainStats {
        /// State and its reason.
        #[group(STATE = 0, constant = "VIR_DOMAIN_STATS_STATE")]
        pub state: Option<State>,
        /// CPU time of the whole domain, and its CPU monitors.
        #[group(CPU_TOTAL = 1, constant = "VIR_DOMAIN_STATS_CPU_TOTAL", name = "cpu-total")]
        pub cpu: Option<Cpu>,
        /// Memory: balloon, guest statistics, resident set.
        #[group(BALLOON = 2, constant = "VIR_DOMAIN_STATS_BALLOON")]
        pub balloon: Option<Balloon>,
        /// Each vCPU.
        #[group(VCPU = 3, constant = "VIR_DOMAIN_STATS_VCPU", element = "cpus")]
        pub vcpu: Option<Vcpus>,
        /// Each network interface, seen from the guest.
        #[group(
            INTERFACE = 4,
            constant = "VIR_DOMAIN_STATS_INTERFACE",
            flat = "net",
            element = "interfaces"
        )]
        pub interface: Option<Interfaces>,
        /// Each disk.
        #[group(BLOCK = 5, constant = "VIR_DOMAIN_STATS_BLOCK", element = "blocks")]
        pub block: Option<Blocks>,
        /// Performance counters of the host.
        #[group(PERF = 6, constant = "VIR_DOMAIN_STATS_PERF")]
        pub perf: Option<Perf>,
        /// Each iothread.
        #[group(IOTHREAD = 7, constant = "VIR_DOMAIN_STATS_IOTHREAD", element = "iothreads")]
        pub iothread: Option<Iothreads>,
        /// Memory bandwidth monitors.
        #[group(MEMORY = 8, constant = "VIR_DOMAIN_STATS_MEMORY")]
        pub memory: Option<Memory>,
        /// The last measurement of the dirty rate.
        #[group(DIRTYRATE = 9, constant = "VIR_DOMAIN_STATS_DIRTYRATE", info = "dirty_rate")]
        pub dirtyrate: Option<DirtyRate>,
        /// Hypervisor statistics of the domain.
        #[group(VM = 10, constant = "VIR_DOMAIN_STATS_VM")]
        pub vm: Option<Vm>,
        /// Each crypto device, only if requested.
        #[group(CRYPTODEV = 25, constant = "DOMSTATS_CRYPTODEV", element = "cryptodevs")]
        pub cryptodev: Option<Cryptodevs>,
    }
);

impl StatsGroups {
    /// Returns the 11 groups of libvirt, which the empty set selects.
    #[must_use]
    pub const fn of_libvirt() -> Self {
        Self::from_bits_retain((1 << 11) - 1)
    }
}
