//! CPU time of a whole domain. Bit 2, flat keys `cpu.*`.

use crate::model::{catalogue::section::section, name::Name, stats::Pressure};

section!(
    /// CPU time of the domain: vCPUs, emulator and iothreads together.
    pub struct Cpu {
        /// CPU time used.
        /// cgroup `cpu.stat` `usage_usec` or `cpuacct.usage`, else `/proc/PID/stat` utime + stime; libvirt `cpu.time`.
        #[counter(unit = "ns", metric = "info_cpu_time_seconds")]
        pub time: Option<u64>,
        /// CPU time used in user mode, running the guest included.
        /// cgroup `cpu.stat` `user_usec` or `cpuacct.stat` `user`, else `/proc/PID/stat` utime; libvirt `cpu.user`.
        #[counter(unit = "ns", metric = "cpu_user_seconds")]
        pub user: Option<u64>,
        /// CPU time used in the host's kernel.
        /// cgroup `cpu.stat` `system_usec` or `cpuacct.stat` `system`, else `/proc/PID/stat` stime; libvirt `cpu.system`.
        #[counter(unit = "ns", metric = "cpu_system_seconds")]
        pub system: Option<u64>,
        /// Number of cache monitors.
        /// resctrl; libvirt `cpu.cache.monitor.count`.
        #[gauge(
            path = "cache.monitor.count",
            doc_path = "cache.count",
            unit = "count",
            metric = "cpu_cache_monitors"
        )]
        pub cache_monitor_count: Option<u32>,
        /// Cache occupancy monitors of groups of vCPUs.
        /// resctrl `mon_data`; libvirt `cpu.cache.monitor.<n>`.
        #[list(path = "cache.monitor", doc_path = "cache.monitor", label = "monitor")]
        pub cache_monitors: Vec<CacheMonitor>,
        /// Number of energy monitors.
        /// resctrl; libvirt `cpu.energy.monitor.count`.
        #[gauge(
            path = "energy.monitor.count",
            doc_path = "energy.count",
            unit = "count",
            metric = "cpu_energy_monitors"
        )]
        pub energy_monitor_count: Option<u32>,
        /// Energy monitors of groups of vCPUs.
        /// resctrl `mon_data/mon_PERF_PKG_*`; libvirt `cpu.energy.monitor.<n>`.
        #[list(path = "energy.monitor", doc_path = "energy.monitor", label = "monitor")]
        pub energy_monitors: Vec<EnergyMonitor>,
        /// Time that vCPUs polled for work after a halt and found some.
        /// QMP `query-stats` `halt_poll_success_ns`, KVM only; libvirt `cpu.haltpoll.success.time`.
        #[counter(
            path = "haltpoll.success.time",
            unit = "ns",
            metric = "cpu_haltpoll_success_seconds"
        )]
        pub haltpoll_success: Option<u64>,
        /// Time that vCPUs polled for work after a halt in vain.
        /// QMP `query-stats` `halt_poll_fail_ns`, KVM only; libvirt `cpu.haltpoll.fail.time`.
        #[counter(path = "haltpoll.fail.time", unit = "ns", metric = "cpu_haltpoll_fail_seconds")]
        pub haltpoll_fail: Option<u64>,
        /// How long threads waited for a CPU.
        /// cgroup v2 `cpu.pressure` of the domain's own cgroup; not in libvirt.
        #[part(label = "resource", value = "cpu")]
        pub pressure: Option<Pressure>,
    }
);

section!(
    /// A monitor of the cache that a group of vCPUs occupies.
    #[item(index)]
    pub struct CacheMonitor {
        /// Name of the monitor.
        /// resctrl group; libvirt `cpu.cache.monitor.<n>.name`.
        #[info(label = "name", place = "attribute")]
        pub name: Option<Name>,
        /// vCPUs that it watches, as a list such as `0-3`.
        /// libvirt `cpu.cache.monitor.<n>.vcpus`.
        #[info(label = "vcpus", place = "attribute")]
        pub vcpus: Option<String>,
        /// Number of caches.
        /// resctrl `mon_data/mon_L3_*`; libvirt `cpu.cache.monitor.<n>.bank.count`.
        #[gauge(
            path = "bank.count",
            doc_path = "count",
            unit = "count",
            metric = "cpu_cache_banks",
            place = "attribute"
        )]
        pub bank_count: Option<u32>,
        /// The caches of the host.
        /// resctrl `mon_data/mon_L3_<id>`; libvirt `cpu.cache.monitor.<n>.bank.<m>`.
        #[list(path = "bank", doc_path = "bank", label = "bank")]
        pub banks: Vec<CacheBank>,
    }
);

section!(
    /// One cache of the host, as a monitor sees it.
    #[item(index)]
    pub struct CacheBank {
        /// The host's number of the cache.
        /// resctrl `mon_L3_<id>`; libvirt `cpu.cache.monitor.<n>.bank.<m>.id`.
        #[info(label = "bank_id", place = "attribute")]
        pub id: Option<u32>,
        /// Bytes of the cache that the vCPUs occupy.
        /// resctrl `llc_occupancy`; libvirt `cpu.cache.monitor.<n>.bank.<m>.bytes`.
        #[gauge(unit = "B", metric = "cpu_cache_occupancy_bytes")]
        pub bytes: Option<u64>,
    }
);

section!(
    /// A monitor of the energy that a group of vCPUs uses.
    #[item(index)]
    pub struct EnergyMonitor {
        /// Name of the monitor.
        /// resctrl group; libvirt `cpu.energy.monitor.<n>.name`.
        #[info(label = "name", place = "attribute")]
        pub name: Option<Name>,
        /// vCPUs that it watches, as a list such as `0-3`.
        /// libvirt `cpu.energy.monitor.<n>.vcpus`.
        #[info(label = "vcpus", place = "attribute")]
        pub vcpus: Option<String>,
        /// Number of CPU packages.
        /// resctrl `mon_data/mon_PERF_PKG_*`; libvirt `cpu.energy.monitor.<n>.pkg.count`.
        #[gauge(
            path = "pkg.count",
            doc_path = "count",
            unit = "count",
            metric = "cpu_energy_packages",
            place = "attribute"
        )]
        pub package_count: Option<u32>,
        /// The CPU packages of the host.
        /// resctrl `mon_data/mon_PERF_PKG_<id>`; libvirt `cpu.energy.monitor.<n>.pkg.<m>`.
        #[list(path = "pkg", doc_path = "pkg", label = "package")]
        pub packages: Vec<EnergyPackage>,
    }
);

section!(
    /// One CPU package of the host, as a monitor sees it.
    #[item(index)]
    pub struct EnergyPackage {
        /// The host's number of the package.
        /// resctrl `mon_PERF_PKG_<id>`; libvirt `cpu.energy.monitor.<n>.pkg.<m>.id`.
        #[info(label = "package_id", place = "attribute")]
        pub id: Option<u32>,
        /// Energy that the cores used for the vCPUs.
        /// resctrl `core_energy`; libvirt `cpu.energy.monitor.<n>.pkg.<m>.core_energy`.
        #[counter(unit = "J", metric = "cpu_core_energy_joules")]
        pub core_energy: Option<f64>,
        /// Activity of the package for the vCPUs.
        /// resctrl `activity`; libvirt `cpu.energy.monitor.<n>.pkg.<m>.activity`.
        #[counter(unit = "F", metric = "cpu_activity_farads")]
        pub activity: Option<f64>,
    }
);
