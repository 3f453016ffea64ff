//! How long a domain waited for a resource of the host: part of several groups.

use crate::model::catalogue::section::section;

section!(
    /// Time for which threads of the domain waited for a resource of the host, as the kernel's
    /// pressure stall information has it.
    pub struct Pressure {
        /// Time in which at least one thread waited.
        /// cgroup v2 `*.pressure` `some`; not in libvirt.
        #[counter(path = "some.time", unit = "ns", metric = "psi_some_seconds")]
        pub some: Option<u64>,
        /// Time in which no thread could work, because all waited.
        /// cgroup v2 `*.pressure` `full`; not in libvirt.
        #[counter(path = "full.time", unit = "ns", metric = "psi_full_seconds")]
        pub full: Option<u64>,
    }
);
