//! Each crypto device of a domain. Bit 2 to the power of 25, flat keys `cryptodev.*`; not in libvirt.

use crate::model::{catalogue::section::section, name::Name, stats::vm::HypervisorStat};

section!(
    /// The crypto devices of the domain.
    pub struct Cryptodevs {
        /// Number of crypto devices, used or not.
        /// QMP `query-stats` target cryptodev, QEMU 8.0 or later; not in libvirt.
        #[gauge(unit = "count", metric = "cryptodevs", place = "attribute")]
        pub count: Option<u32>,
        /// The crypto devices.
        /// QMP `query-stats` target cryptodev, QEMU 8.0 or later; not in libvirt.
        #[list(doc_path = "cryptodev", label = "cryptodev")]
        pub cryptodevs: Vec<Cryptodev>,
    }
);

section!(
    /// One crypto device.
    #[item(index)]
    pub struct Cryptodev {
        /// The id that QEMU was given.
        /// QMP `query-stats` `qom-path`; not in libvirt.
        #[info(place = "attribute")]
        pub name: Option<Name>,
        /// What it did, by the names that QEMU gives, such as `sym-encrypt-ops`.
        /// QMP `query-stats` target cryptodev; not in libvirt.
        #[list(doc_path = "stat", label = "stat")]
        pub stats: Vec<HypervisorStat>,
    }
);
