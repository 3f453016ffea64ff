//! The QEMU driver, with real QEMUs.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod architectures;
mod boards;
mod bounds;
mod cgroups;
mod changes;
mod command_lines;
mod cryptodevs;
mod descriptors;
mod disks;
mod filters;
mod fleet;
mod held;
mod identity;
mod kit;
mod kvm;
mod monitors;
mod names;
mod networks;
mod nic_counts;
mod nics;
mod perf;
mod places;
mod processes;
mod releases;
mod soak;
mod users;
mod values;
mod versions;
mod waiting;
