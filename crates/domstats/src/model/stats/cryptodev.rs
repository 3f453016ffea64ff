//! Each crypto device of a domain. Bit 2 to the power of 25, flat keys `cryptodev.*`; not in libvirt.

use crate::model::{catalogue::section::section, name::Name, stats::vm::HypervisorStat};

section! {
    /// The crypto devices of the domain.
    pub struct Cryptodevs[] {
        /// Number of crypto devices, used or not.
        /// QMP `query-stats` target cryptodev, QEMU 8.0 or later; not in libvirt.
        count: u32 = ("count", Gauge, Count, metric "cryptodevs", place Attribute);
        /// The crypto devices.
        /// QMP `query-stats` target cryptodev, QEMU 8.0 or later; not in libvirt.
        cryptodevs: [Cryptodev] = ("", "cryptodev", label "cryptodev");
    }
}

section! {
    /// One crypto device.
    pub struct Cryptodev[Index] {
        /// The id that QEMU was given.
        /// QMP `query-stats` `qom-path`; not in libvirt.
        name: Name = ("name", Info, None, place Attribute);
        /// What it did, by the names that QEMU gives, such as `sym-encrypt-ops`.
        /// QMP `query-stats` target cryptodev; not in libvirt.
        stats: [HypervisorStat] = ("", "stat", label "stat");
    }
}
