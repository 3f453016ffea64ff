//! Performance counters of the host for a domain. Bit 64, flat keys `perf.*`.

use crate::model::catalogue::section::section;

section!(
    /// Performance counters of the QEMU process; each only where it was opened before.
    pub struct Perf {
        /// Cache that the domain occupies.
        /// intel_cqm, gone from Linux 4.14; libvirt `perf.cmt`.
        #[gauge(unit = "B", metric = "perf_cmt_bytes")]
        pub cmt: Option<u64>,
        /// Memory bandwidth of the domain, total, in bytes a second.
        /// intel_cqm, gone from Linux 4.14; libvirt `perf.mbmt`.
        #[gauge(metric = "perf_mbmt_bytes_per_second")]
        pub mbmt: Option<u64>,
        /// Memory bandwidth of the domain, local, in bytes a second.
        /// intel_cqm, gone from Linux 4.14; libvirt `perf.mbml`.
        #[gauge(metric = "perf_mbml_bytes_per_second")]
        pub mbml: Option<u64>,
        /// CPU cycles, frequency changes included.
        /// perf_event_open `PERF_COUNT_HW_CPU_CYCLES`; libvirt `perf.cpu_cycles`.
        #[counter(unit = "count", metric = "perf_cpu_cycles")]
        pub cpu_cycles: Option<u64>,
        /// Instructions retired.
        /// perf_event_open `PERF_COUNT_HW_INSTRUCTIONS`; libvirt `perf.instructions`.
        #[counter(unit = "count", metric = "perf_instructions")]
        pub instructions: Option<u64>,
        /// Cache accesses.
        /// perf_event_open `PERF_COUNT_HW_CACHE_REFERENCES`; libvirt `perf.cache_references`.
        #[counter(unit = "count", metric = "perf_cache_references")]
        pub cache_references: Option<u64>,
        /// Cache misses.
        /// perf_event_open `PERF_COUNT_HW_CACHE_MISSES`; libvirt `perf.cache_misses`.
        #[counter(unit = "count", metric = "perf_cache_misses")]
        pub cache_misses: Option<u64>,
        /// Branches retired.
        /// perf_event_open `PERF_COUNT_HW_BRANCH_INSTRUCTIONS`; libvirt `perf.branch_instructions`.
        #[counter(unit = "count", metric = "perf_branch_instructions")]
        pub branch_instructions: Option<u64>,
        /// Branches predicted wrongly.
        /// perf_event_open `PERF_COUNT_HW_BRANCH_MISSES`; libvirt `perf.branch_misses`.
        #[counter(unit = "count", metric = "perf_branch_misses")]
        pub branch_misses: Option<u64>,
        /// Bus cycles.
        /// perf_event_open `PERF_COUNT_HW_BUS_CYCLES`; libvirt `perf.bus_cycles`.
        #[counter(unit = "count", metric = "perf_bus_cycles")]
        pub bus_cycles: Option<u64>,
        /// Cycles stalled while instructions were fetched.
        /// perf_event_open `PERF_COUNT_HW_STALLED_CYCLES_FRONTEND`; libvirt `perf.stalled_cycles_frontend`.
        #[counter(unit = "count", metric = "perf_stalled_cycles_frontend")]
        pub stalled_cycles_frontend: Option<u64>,
        /// Cycles stalled while instructions retired.
        /// perf_event_open `PERF_COUNT_HW_STALLED_CYCLES_BACKEND`; libvirt `perf.stalled_cycles_backend`.
        #[counter(unit = "count", metric = "perf_stalled_cycles_backend")]
        pub stalled_cycles_backend: Option<u64>,
        /// CPU cycles at a constant frequency.
        /// perf_event_open `PERF_COUNT_HW_REF_CPU_CYCLES`; libvirt `perf.ref_cpu_cycles`.
        #[counter(unit = "count", metric = "perf_ref_cpu_cycles")]
        pub ref_cpu_cycles: Option<u64>,
        /// CPU clock time.
        /// perf_event_open `PERF_COUNT_SW_CPU_CLOCK`; libvirt `perf.cpu_clock`.
        #[counter(unit = "ns", metric = "perf_cpu_clock_seconds")]
        pub cpu_clock: Option<u64>,
        /// Task clock time.
        /// perf_event_open `PERF_COUNT_SW_TASK_CLOCK`; libvirt `perf.task_clock`.
        #[counter(unit = "ns", metric = "perf_task_clock_seconds")]
        pub task_clock: Option<u64>,
        /// Page faults.
        /// perf_event_open `PERF_COUNT_SW_PAGE_FAULTS`; libvirt `perf.page_faults`.
        #[counter(unit = "count", metric = "perf_page_faults")]
        pub page_faults: Option<u64>,
        /// Context switches.
        /// perf_event_open `PERF_COUNT_SW_CONTEXT_SWITCHES`; libvirt `perf.context_switches`.
        #[counter(unit = "count", metric = "perf_context_switches")]
        pub context_switches: Option<u64>,
        /// Moves to another CPU.
        /// perf_event_open `PERF_COUNT_SW_CPU_MIGRATIONS`; libvirt `perf.cpu_migrations`.
        #[counter(unit = "count", metric = "perf_cpu_migrations")]
        pub cpu_migrations: Option<u64>,
        /// Minor page faults.
        /// perf_event_open `PERF_COUNT_SW_PAGE_FAULTS_MIN`; libvirt `perf.page_faults_min`.
        #[counter(unit = "count", metric = "perf_page_faults_min")]
        pub page_faults_min: Option<u64>,
        /// Major page faults.
        /// perf_event_open `PERF_COUNT_SW_PAGE_FAULTS_MAJ`; libvirt `perf.page_faults_maj`.
        #[counter(unit = "count", metric = "perf_page_faults_maj")]
        pub page_faults_maj: Option<u64>,
        /// Alignment faults.
        /// perf_event_open `PERF_COUNT_SW_ALIGNMENT_FAULTS`; libvirt `perf.alignment_faults`.
        #[counter(unit = "count", metric = "perf_alignment_faults")]
        pub alignment_faults: Option<u64>,
        /// Emulation faults.
        /// perf_event_open `PERF_COUNT_SW_EMULATION_FAULTS`; libvirt `perf.emulation_faults`.
        #[counter(unit = "count", metric = "perf_emulation_faults")]
        pub emulation_faults: Option<u64>,
    }
);
