//! Memory of a domain. Bit 4, flat keys `balloon.*`.

use crate::model::{catalogue::section::section, stats::Pressure};

section! {
    /// Memory: the balloon, what the guest says of its memory, what the host gave.
    ///
    /// The guest's own numbers exist only if its balloon driver runs and was told to report;
    /// `last_update` says how old they are.
    pub struct Balloon[] {
        /// Memory that the guest has now.
        /// QMP `query-balloon`, else the maximum; libvirt `balloon.current`.
        current: u64 = ("current", Gauge, Kibibytes, metric "memory_stats_current_balloon_bytes");
        /// Memory that the guest can have.
        /// QEMU `-m` or QMP `query-memory-size-summary`; libvirt `balloon.maximum`.
        maximum: u64 = ("maximum", Gauge, Kibibytes, metric "memory_stats_maximum_bytes");
        /// Memory that the guest swapped in.
        /// `guest-stats` `stat-swap-in`; libvirt `balloon.swap_in`.
        swap_in: u64 = ("swap_in", Counter, Kibibytes, metric "memory_stats_swap_in_bytes");
        /// Memory that the guest swapped out.
        /// `guest-stats` `stat-swap-out`; libvirt `balloon.swap_out`.
        swap_out: u64 = ("swap_out", Counter, Kibibytes, metric "memory_stats_swap_out_bytes");
        /// Page faults in the guest that needed its disk.
        /// `guest-stats` `stat-major-faults`; libvirt `balloon.major_fault`.
        major_fault: u64 = ("major_fault", Counter, Count, metric "memory_stats_major_fault");
        /// Page faults in the guest that did not need its disk.
        /// `guest-stats` `stat-minor-faults`; libvirt `balloon.minor_fault`.
        minor_fault: u64 = ("minor_fault", Counter, Count, metric "memory_stats_minor_fault");
        /// Memory that the guest leaves free.
        /// `guest-stats` `stat-free-memory`; libvirt `balloon.unused`.
        unused: u64 = ("unused", Gauge, Kibibytes, metric "memory_stats_unused_bytes");
        /// All memory that the guest's kernel sees (its MemTotal, in spite of the name).
        /// `guest-stats` `stat-total-memory`; libvirt `balloon.available`.
        available: u64 = ("available", Gauge, Kibibytes, metric "memory_stats_available_bytes");
        /// Memory that the guest could use without swapping (its MemAvailable).
        /// `guest-stats` `stat-available-memory`; libvirt `balloon.usable`.
        usable: u64 = ("usable", Gauge, Kibibytes, metric "memory_stats_usable_bytes");
        /// When the guest last reported, in seconds since 1970; 0 means never.
        /// `guest-stats` `last-update`; libvirt `balloon.last-update`.
        last_update: u64 = ("last-update", Gauge, Seconds, metric "memory_stats_last_update_timestamp_seconds");
        /// Memory that the guest's disk caches use.
        /// `guest-stats` `stat-disk-caches`; libvirt `balloon.disk_caches`.
        disk_caches: u64 = ("disk_caches", Gauge, Kibibytes, metric "memory_stats_disk_caches_bytes");
        /// Huge pages that the guest allocated.
        /// `guest-stats` `stat-htlb-pgalloc`; libvirt `balloon.hugetlb_pgalloc`.
        hugetlb_pgalloc: u64 = ("hugetlb_pgalloc", Counter, Count, metric "memory_stats_hugetlb_pgalloc");
        /// Huge pages that the guest failed to allocate.
        /// `guest-stats` `stat-htlb-pgfail`; libvirt `balloon.hugetlb_pgfail`.
        hugetlb_pgfail: u64 = ("hugetlb_pgfail", Counter, Count, metric "memory_stats_hugetlb_pgfail");
        /// Memory of the host that the QEMU process holds.
        /// `/proc/PID/stat` rss; libvirt `balloon.rss`.
        rss: u64 = ("rss", Gauge, Kibibytes, metric "memory_stats_rss_bytes");
        /// Memory that the balloon device leaves to the guest; absent without a balloon.
        /// QMP `query-balloon` `actual`; libvirt asks for it and throws it away.
        actual: u64 = ("actual", Gauge, Kibibytes, metric "memory_stats_actual_balloon_bytes");
        /// Times that the guest killed a process because it had no memory left.
        /// `guest-stats` `stat-oom-kills`, of newer QEMUs; not in libvirt.
        oom_kills: u64 = ("oom_kills", Counter, Count, metric "memory_stats_oom_kills");
        /// Times that the guest waited for memory that it had asked for.
        /// `guest-stats` `stat-alloc-stalls`, of newer QEMUs; not in libvirt.
        alloc_stalls: u64 = ("alloc_stalls", Counter, Count, metric "memory_stats_alloc_stalls");
        /// Memory that the guest looked through in the background for some to reclaim.
        /// `guest-stats` `stat-async-scans`, of newer QEMUs; not in libvirt.
        async_scans: u64 = ("async_scans", Counter, Kibibytes, metric "memory_stats_async_scans_bytes");
        /// Memory that the guest looked through for some to reclaim while a process waited.
        /// `guest-stats` `stat-direct-scans`, of newer QEMUs; not in libvirt.
        direct_scans: u64 = ("direct_scans", Counter, Kibibytes, metric "memory_stats_direct_scans_bytes");
        /// Memory that the guest reclaimed in the background.
        /// `guest-stats` `stat-async-reclaims`, of newer QEMUs; not in libvirt.
        async_reclaims: u64 = ("async_reclaims", Counter, Kibibytes, metric "memory_stats_async_reclaims_bytes");
        /// Memory that the guest reclaimed while a process waited.
        /// `guest-stats` `stat-direct-reclaims`, of newer QEMUs; not in libvirt.
        direct_reclaims: u64 = ("direct_reclaims", Counter, Kibibytes, metric "memory_stats_direct_reclaims_bytes");
        /// How long threads waited for memory of the host.
        /// cgroup v2 `memory.pressure` of the domain's own cgroup; not in libvirt.
        pressure: {Pressure} = ("pressure", label "resource" "memory");
    }
}
