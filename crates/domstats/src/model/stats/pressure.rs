//! How long a domain waited for a resource of the host: part of several groups.

use crate::model::catalogue::section::section;

section! {
    /// Time for which threads of the domain waited for a resource of the host, as the kernel's
    /// pressure stall information has it.
    pub struct Pressure[] {
        /// Time in which at least one thread waited.
        /// cgroup v2 `*.pressure` `some`; not in libvirt.
        some: u64 = ("some.time", Counter, Nanoseconds, metric "psi_some_seconds");
        /// Time in which no thread could work, because all waited.
        /// cgroup v2 `*.pressure` `full`; not in libvirt.
        full: u64 = ("full.time", Counter, Nanoseconds, metric "psi_full_seconds");
    }
}
