//! CPU time of a whole domain. Bit 2, flat keys `cpu.*`.

use crate::model::{catalogue::section::section, name::Name, stats::Pressure};

section! {
    /// CPU time of the domain: vCPUs, emulator and iothreads together.
    pub struct Cpu[] {
        /// CPU time used.
        /// cgroup `cpu.stat` `usage_usec` or `cpuacct.usage`, else `/proc/PID/stat` utime + stime; libvirt `cpu.time`.
        time: u64 = ("time", Counter, Nanoseconds, metric "info_cpu_time_seconds");
        /// CPU time used in user mode, running the guest included.
        /// cgroup `cpu.stat` `user_usec` or `cpuacct.stat` `user`, else `/proc/PID/stat` utime; libvirt `cpu.user`.
        user: u64 = ("user", Counter, Nanoseconds, metric "cpu_user_seconds");
        /// CPU time used in the host's kernel.
        /// cgroup `cpu.stat` `system_usec` or `cpuacct.stat` `system`, else `/proc/PID/stat` stime; libvirt `cpu.system`.
        system: u64 = ("system", Counter, Nanoseconds, metric "cpu_system_seconds");
        /// Number of cache monitors.
        /// resctrl; libvirt `cpu.cache.monitor.count`.
        cache_monitor_count: u32 = ("cache.monitor.count", Gauge, Count, metric "cpu_cache_monitors", doc "cache.count");
        /// Cache occupancy monitors of groups of vCPUs.
        /// resctrl `mon_data`; libvirt `cpu.cache.monitor.<n>`.
        cache_monitors: [CacheMonitor] = ("cache.monitor", "cache.monitor", label "monitor");
        /// Number of energy monitors.
        /// resctrl; libvirt `cpu.energy.monitor.count`.
        energy_monitor_count: u32 = ("energy.monitor.count", Gauge, Count, metric "cpu_energy_monitors", doc "energy.count");
        /// Energy monitors of groups of vCPUs.
        /// resctrl `mon_data/mon_PERF_PKG_*`; libvirt `cpu.energy.monitor.<n>`.
        energy_monitors: [EnergyMonitor] = ("energy.monitor", "energy.monitor", label "monitor");
        /// Time that vCPUs polled for work after a halt and found some.
        /// QMP `query-stats` `halt_poll_success_ns`, KVM only; libvirt `cpu.haltpoll.success.time`.
        haltpoll_success: u64 = ("haltpoll.success.time", Counter, Nanoseconds, metric "cpu_haltpoll_success_seconds");
        /// Time that vCPUs polled for work after a halt in vain.
        /// QMP `query-stats` `halt_poll_fail_ns`, KVM only; libvirt `cpu.haltpoll.fail.time`.
        haltpoll_fail: u64 = ("haltpoll.fail.time", Counter, Nanoseconds, metric "cpu_haltpoll_fail_seconds");
        /// How long threads waited for a CPU.
        /// cgroup v2 `cpu.pressure` of the domain's own cgroup; not in libvirt.
        pressure: {Pressure} = ("pressure", label "resource" "cpu");
    }
}

section! {
    /// A monitor of the cache that a group of vCPUs occupies.
    pub struct CacheMonitor[Index] {
        /// Name of the monitor.
        /// resctrl group; libvirt `cpu.cache.monitor.<n>.name`.
        name: Name = ("name", Info, None, metric "name", place Attribute);
        /// vCPUs that it watches, as a list such as `0-3`.
        /// libvirt `cpu.cache.monitor.<n>.vcpus`.
        vcpus: String = ("vcpus", Info, None, metric "vcpus", place Attribute);
        /// Number of caches.
        /// resctrl `mon_data/mon_L3_*`; libvirt `cpu.cache.monitor.<n>.bank.count`.
        bank_count: u32 = ("bank.count", Gauge, Count, metric "cpu_cache_banks", place Attribute, doc "count");
        /// The caches of the host.
        /// resctrl `mon_data/mon_L3_<id>`; libvirt `cpu.cache.monitor.<n>.bank.<m>`.
        banks: [CacheBank] = ("bank", "bank", label "bank");
    }
}

section! {
    /// One cache of the host, as a monitor sees it.
    pub struct CacheBank[Index] {
        /// The host's number of the cache.
        /// resctrl `mon_L3_<id>`; libvirt `cpu.cache.monitor.<n>.bank.<m>.id`.
        id: u32 = ("id", Info, None, metric "bank_id", place Attribute);
        /// Bytes of the cache that the vCPUs occupy.
        /// resctrl `llc_occupancy`; libvirt `cpu.cache.monitor.<n>.bank.<m>.bytes`.
        bytes: u64 = ("bytes", Gauge, Bytes, metric "cpu_cache_occupancy_bytes");
    }
}

section! {
    /// A monitor of the energy that a group of vCPUs uses.
    pub struct EnergyMonitor[Index] {
        /// Name of the monitor.
        /// resctrl group; libvirt `cpu.energy.monitor.<n>.name`.
        name: Name = ("name", Info, None, metric "name", place Attribute);
        /// vCPUs that it watches, as a list such as `0-3`.
        /// libvirt `cpu.energy.monitor.<n>.vcpus`.
        vcpus: String = ("vcpus", Info, None, metric "vcpus", place Attribute);
        /// Number of CPU packages.
        /// resctrl `mon_data/mon_PERF_PKG_*`; libvirt `cpu.energy.monitor.<n>.pkg.count`.
        package_count: u32 = ("pkg.count", Gauge, Count, metric "cpu_energy_packages", place Attribute, doc "count");
        /// The CPU packages of the host.
        /// resctrl `mon_data/mon_PERF_PKG_<id>`; libvirt `cpu.energy.monitor.<n>.pkg.<m>`.
        packages: [EnergyPackage] = ("pkg", "pkg", label "package");
    }
}

section! {
    /// One CPU package of the host, as a monitor sees it.
    pub struct EnergyPackage[Index] {
        /// The host's number of the package.
        /// resctrl `mon_PERF_PKG_<id>`; libvirt `cpu.energy.monitor.<n>.pkg.<m>.id`.
        id: u32 = ("id", Info, None, metric "package_id", place Attribute);
        /// Energy that the cores used for the vCPUs.
        /// resctrl `core_energy`; libvirt `cpu.energy.monitor.<n>.pkg.<m>.core_energy`.
        core_energy: f64 = ("core_energy", Counter, Joules, metric "cpu_core_energy_joules");
        /// Activity of the package for the vCPUs.
        /// resctrl `activity`; libvirt `cpu.energy.monitor.<n>.pkg.<m>.activity`.
        activity: f64 = ("activity", Counter, Farads, metric "cpu_activity_farads");
    }
}
