//! Performance counters of the host for a domain. Bit 64, flat keys `perf.*`.

use crate::model::catalogue::section::section;

section! {
    /// Performance counters of the QEMU process; each only where it was opened before.
    pub struct Perf[] {
        /// Cache that the domain occupies.
        /// intel_cqm, gone from Linux 4.14; libvirt `perf.cmt`.
        cmt: u64 = ("cmt", Gauge, Bytes, metric "perf_cmt_bytes");
        /// Memory bandwidth of the domain, total, in bytes a second.
        /// intel_cqm, gone from Linux 4.14; libvirt `perf.mbmt`.
        mbmt: u64 = ("mbmt", Gauge, None, metric "perf_mbmt_bytes_per_second");
        /// Memory bandwidth of the domain, local, in bytes a second.
        /// intel_cqm, gone from Linux 4.14; libvirt `perf.mbml`.
        mbml: u64 = ("mbml", Gauge, None, metric "perf_mbml_bytes_per_second");
        /// CPU cycles, frequency changes included.
        /// perf_event_open `PERF_COUNT_HW_CPU_CYCLES`; libvirt `perf.cpu_cycles`.
        cpu_cycles: u64 = ("cpu_cycles", Counter, Count, metric "perf_cpu_cycles");
        /// Instructions retired.
        /// perf_event_open `PERF_COUNT_HW_INSTRUCTIONS`; libvirt `perf.instructions`.
        instructions: u64 = ("instructions", Counter, Count, metric "perf_instructions");
        /// Cache accesses.
        /// perf_event_open `PERF_COUNT_HW_CACHE_REFERENCES`; libvirt `perf.cache_references`.
        cache_references: u64 = ("cache_references", Counter, Count, metric "perf_cache_references");
        /// Cache misses.
        /// perf_event_open `PERF_COUNT_HW_CACHE_MISSES`; libvirt `perf.cache_misses`.
        cache_misses: u64 = ("cache_misses", Counter, Count, metric "perf_cache_misses");
        /// Branches retired.
        /// perf_event_open `PERF_COUNT_HW_BRANCH_INSTRUCTIONS`; libvirt `perf.branch_instructions`.
        branch_instructions: u64 = ("branch_instructions", Counter, Count, metric "perf_branch_instructions");
        /// Branches predicted wrongly.
        /// perf_event_open `PERF_COUNT_HW_BRANCH_MISSES`; libvirt `perf.branch_misses`.
        branch_misses: u64 = ("branch_misses", Counter, Count, metric "perf_branch_misses");
        /// Bus cycles.
        /// perf_event_open `PERF_COUNT_HW_BUS_CYCLES`; libvirt `perf.bus_cycles`.
        bus_cycles: u64 = ("bus_cycles", Counter, Count, metric "perf_bus_cycles");
        /// Cycles stalled while instructions were fetched.
        /// perf_event_open `PERF_COUNT_HW_STALLED_CYCLES_FRONTEND`; libvirt `perf.stalled_cycles_frontend`.
        stalled_cycles_frontend: u64 = ("stalled_cycles_frontend", Counter, Count, metric "perf_stalled_cycles_frontend");
        /// Cycles stalled while instructions retired.
        /// perf_event_open `PERF_COUNT_HW_STALLED_CYCLES_BACKEND`; libvirt `perf.stalled_cycles_backend`.
        stalled_cycles_backend: u64 = ("stalled_cycles_backend", Counter, Count, metric "perf_stalled_cycles_backend");
        /// CPU cycles at a constant frequency.
        /// perf_event_open `PERF_COUNT_HW_REF_CPU_CYCLES`; libvirt `perf.ref_cpu_cycles`.
        ref_cpu_cycles: u64 = ("ref_cpu_cycles", Counter, Count, metric "perf_ref_cpu_cycles");
        /// CPU clock time.
        /// perf_event_open `PERF_COUNT_SW_CPU_CLOCK`; libvirt `perf.cpu_clock`.
        cpu_clock: u64 = ("cpu_clock", Counter, Nanoseconds, metric "perf_cpu_clock_seconds");
        /// Task clock time.
        /// perf_event_open `PERF_COUNT_SW_TASK_CLOCK`; libvirt `perf.task_clock`.
        task_clock: u64 = ("task_clock", Counter, Nanoseconds, metric "perf_task_clock_seconds");
        /// Page faults.
        /// perf_event_open `PERF_COUNT_SW_PAGE_FAULTS`; libvirt `perf.page_faults`.
        page_faults: u64 = ("page_faults", Counter, Count, metric "perf_page_faults");
        /// Context switches.
        /// perf_event_open `PERF_COUNT_SW_CONTEXT_SWITCHES`; libvirt `perf.context_switches`.
        context_switches: u64 = ("context_switches", Counter, Count, metric "perf_context_switches");
        /// Moves to another CPU.
        /// perf_event_open `PERF_COUNT_SW_CPU_MIGRATIONS`; libvirt `perf.cpu_migrations`.
        cpu_migrations: u64 = ("cpu_migrations", Counter, Count, metric "perf_cpu_migrations");
        /// Minor page faults.
        /// perf_event_open `PERF_COUNT_SW_PAGE_FAULTS_MIN`; libvirt `perf.page_faults_min`.
        page_faults_min: u64 = ("page_faults_min", Counter, Count, metric "perf_page_faults_min");
        /// Major page faults.
        /// perf_event_open `PERF_COUNT_SW_PAGE_FAULTS_MAJ`; libvirt `perf.page_faults_maj`.
        page_faults_maj: u64 = ("page_faults_maj", Counter, Count, metric "perf_page_faults_maj");
        /// Alignment faults.
        /// perf_event_open `PERF_COUNT_SW_ALIGNMENT_FAULTS`; libvirt `perf.alignment_faults`.
        alignment_faults: u64 = ("alignment_faults", Counter, Count, metric "perf_alignment_faults");
        /// Emulation faults.
        /// perf_event_open `PERF_COUNT_SW_EMULATION_FAULTS`; libvirt `perf.emulation_faults`.
        emulation_faults: u64 = ("emulation_faults", Counter, Count, metric "perf_emulation_faults");
    }
}
