//! Memory of a domain. Bit 4, flat keys `balloon.*`.

use crate::model::{catalogue::section::section, stats::Pressure};

section!(
    /// Memory: the balloon, what the guest says of its memory, what the host gave.
    ///
    /// The guest's own numbers exist only if its balloon driver runs and was told to report;
    /// `last_update` says how old they are.
    pub struct Balloon {
        /// Memory that the guest has now.
        /// QMP `query-balloon`, else the maximum; libvirt `balloon.current`.
        #[gauge(unit = "KiB", metric = "memory_stats_current_balloon_bytes")]
        pub current: Option<u64>,
        /// Memory that the guest can have.
        /// QEMU `-m` or QMP `query-memory-size-summary`; libvirt `balloon.maximum`.
        #[gauge(unit = "KiB", metric = "memory_stats_maximum_bytes")]
        pub maximum: Option<u64>,
        /// Memory that the guest swapped in.
        /// `guest-stats` `stat-swap-in`; libvirt `balloon.swap_in`.
        #[counter(unit = "KiB", metric = "memory_stats_swap_in_bytes")]
        pub swap_in: Option<u64>,
        /// Memory that the guest swapped out.
        /// `guest-stats` `stat-swap-out`; libvirt `balloon.swap_out`.
        #[counter(unit = "KiB", metric = "memory_stats_swap_out_bytes")]
        pub swap_out: Option<u64>,
        /// Page faults in the guest that needed its disk.
        /// `guest-stats` `stat-major-faults`; libvirt `balloon.major_fault`.
        #[counter(unit = "count", metric = "memory_stats_major_fault")]
        pub major_fault: Option<u64>,
        /// Page faults in the guest that did not need its disk.
        /// `guest-stats` `stat-minor-faults`; libvirt `balloon.minor_fault`.
        #[counter(unit = "count", metric = "memory_stats_minor_fault")]
        pub minor_fault: Option<u64>,
        /// Memory that the guest leaves free.
        /// `guest-stats` `stat-free-memory`; libvirt `balloon.unused`.
        #[gauge(unit = "KiB", metric = "memory_stats_unused_bytes")]
        pub unused: Option<u64>,
        /// All memory that the guest's kernel sees (its MemTotal, in spite of the name).
        /// `guest-stats` `stat-total-memory`; libvirt `balloon.available`.
        #[gauge(unit = "KiB", metric = "memory_stats_available_bytes")]
        pub available: Option<u64>,
        /// Memory that the guest could use without swapping (its MemAvailable).
        /// `guest-stats` `stat-available-memory`; libvirt `balloon.usable`.
        #[gauge(unit = "KiB", metric = "memory_stats_usable_bytes")]
        pub usable: Option<u64>,
        /// When the guest last reported, in seconds since 1970; 0 means never.
        /// `guest-stats` `last-update`; libvirt `balloon.last-update`.
        #[gauge(
            path = "last-update",
            unit = "s",
            metric = "memory_stats_last_update_timestamp_seconds"
        )]
        pub last_update: Option<u64>,
        /// Memory that the guest's disk caches use.
        /// `guest-stats` `stat-disk-caches`; libvirt `balloon.disk_caches`.
        #[gauge(unit = "KiB", metric = "memory_stats_disk_caches_bytes")]
        pub disk_caches: Option<u64>,
        /// Huge pages that the guest allocated.
        /// `guest-stats` `stat-htlb-pgalloc`; libvirt `balloon.hugetlb_pgalloc`.
        #[counter(unit = "count", metric = "memory_stats_hugetlb_pgalloc")]
        pub hugetlb_pgalloc: Option<u64>,
        /// Huge pages that the guest failed to allocate.
        /// `guest-stats` `stat-htlb-pgfail`; libvirt `balloon.hugetlb_pgfail`.
        #[counter(unit = "count", metric = "memory_stats_hugetlb_pgfail")]
        pub hugetlb_pgfail: Option<u64>,
        /// Memory of the host that the QEMU process holds.
        /// `/proc/PID/stat` rss; libvirt `balloon.rss`.
        #[gauge(unit = "KiB", metric = "memory_stats_rss_bytes")]
        pub rss: Option<u64>,
        /// Memory that the balloon device leaves to the guest; absent without a balloon.
        /// QMP `query-balloon` `actual`; libvirt reads and discards it.
        #[gauge(unit = "KiB", metric = "memory_stats_actual_balloon_bytes")]
        pub actual: Option<u64>,
        /// Times that the guest killed a process because it had no memory left.
        /// `guest-stats` `stat-oom-kills`, of newer QEMUs; not in libvirt.
        #[counter(unit = "count", metric = "memory_stats_oom_kills")]
        pub oom_kills: Option<u64>,
        /// Times that the guest waited for memory that it had asked for.
        /// `guest-stats` `stat-alloc-stalls`, of newer QEMUs; not in libvirt.
        #[counter(unit = "count", metric = "memory_stats_alloc_stalls")]
        pub alloc_stalls: Option<u64>,
        /// Memory that the guest looked through in the background for some to reclaim.
        /// `guest-stats` `stat-async-scans`, of newer QEMUs; not in libvirt.
        #[counter(unit = "KiB", metric = "memory_stats_async_scans_bytes")]
        pub async_scans: Option<u64>,
        /// Memory that the guest looked through for some to reclaim while a process waited.
        /// `guest-stats` `stat-direct-scans`, of newer QEMUs; not in libvirt.
        #[counter(unit = "KiB", metric = "memory_stats_direct_scans_bytes")]
        pub direct_scans: Option<u64>,
        /// Memory that the guest reclaimed in the background.
        /// `guest-stats` `stat-async-reclaims`, of newer QEMUs; not in libvirt.
        #[counter(unit = "KiB", metric = "memory_stats_async_reclaims_bytes")]
        pub async_reclaims: Option<u64>,
        /// Memory that the guest reclaimed while a process waited.
        /// `guest-stats` `stat-direct-reclaims`, of newer QEMUs; not in libvirt.
        #[counter(unit = "KiB", metric = "memory_stats_direct_reclaims_bytes")]
        pub direct_reclaims: Option<u64>,
        /// How long threads waited for memory of the host.
        /// cgroup v2 `memory.pressure` of the domain's own cgroup; not in libvirt.
        #[part(label = "resource", value = "memory")]
        pub pressure: Option<Pressure>,
    }
);
