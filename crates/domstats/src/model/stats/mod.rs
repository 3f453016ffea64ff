//! The statistics: one typed struct per group, all described by one catalogue.
//!
//! [`GROUPS`] is the list of groups; a group's struct and its rows live in the file of its name.
//! [`walk`] visits every value of a domain; a format is a [`Visitor`].

mod balloon;
mod block;
mod cpu;
mod cryptodev;
mod dirtyrate;
mod interface;
mod iothread;
mod memory;
mod perf;
mod pressure;
mod state;
mod vcpu;
mod vm;

pub use crate::model::catalogue::extra::Extra;
pub use crate::model::catalogue::value::{Value, ValueType};
pub use crate::model::catalogue::walk::{Visitor, walk};
pub use crate::model::catalogue::{
    Cell, Field, Key, KeyKind, Kind, List, ListRow, PartRow, Place, Row, Schema, Section, Unit,
};
pub use balloon::Balloon;
pub use block::{Block, BlockDevice, Blocks, LatencyBin, LatencyHistogram, TimedGroup};
pub use cpu::{CacheBank, CacheMonitor, Cpu, EnergyMonitor, EnergyPackage};
pub use cryptodev::{Cryptodev, Cryptodevs};
pub use dirtyrate::{DirtyRate, DirtyRateStatus, VcpuDirtyRate};
pub use interface::{Interface, Interfaces};
pub use iothread::{Iothread, Iothreads};
pub use memory::{BandwidthMonitor, BandwidthNode, Memory};
pub use perf::Perf;
pub use pressure::Pressure;
pub use state::{DomainState, State, StateReason};
pub use vcpu::{Vcpu, VcpuState, Vcpus};
pub use vm::{HypervisorHistogram, HypervisorStat, HypervisorValue, Vm};

pub(crate) use crate::model::catalogue::section::section;

use crate::model::{report::DomainStats, request::StatsGroups};

/// One group of statistics: its names, its rows, and where a domain keeps it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Group {
    /// The bit that asks for it.
    pub bit: StatsGroups,
    /// Its field in [`DomainStats`], and its name in Python.
    pub field: &'static str,
    /// Its name, as in `virsh domstats --cpu-total` and in `<missing group='cpu-total'>`.
    pub name: &'static str,
    /// What it is, in one line.
    pub help: &'static str,
    /// The first word of its flat keys.
    pub flat: &'static str,
    /// Its element in XML and its key in JSON.
    pub element: &'static str,
    /// The metric name below `libvirt_domain_` that carries its texts as labels.
    pub info: Option<&'static str>,
    /// Its rows.
    pub schema: &'static Schema,
    get: fn(&DomainStats) -> Option<&dyn Section>,
    slot: fn(&mut DomainStats) -> &mut dyn Section,
    clear: fn(&mut DomainStats),
}

impl Group {
    /// Returns what a domain has of this group; `None` if nothing was read.
    #[must_use]
    pub fn of<'a>(&self, domain: &'a DomainStats) -> Option<&'a dyn Section> {
        (self.get)(domain)
    }

    /// Returns the place of this group in a domain, made on first use.
    pub(crate) fn slot<'a>(&self, domain: &'a mut DomainStats) -> &'a mut dyn Section {
        (self.slot)(domain)
    }

    /// Takes this group out of a domain.
    pub(crate) fn clear(&self, domain: &mut DomainStats) {
        (self.clear)(domain);
    }

    /// Returns the group that a bit stands for, or `None` for an unknown or combined bit.
    #[must_use]
    pub fn by_bit(bit: StatsGroups) -> Option<&'static Self> {
        GROUPS.iter().find(|group| group.bit == bit)
    }

    /// Returns the group of this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<&'static Self> {
        GROUPS.iter().find(|group| group.name == name)
    }
}

macro_rules! groups {
    ($($bit:ident $name:literal $flat:literal $element:literal $field:ident $type:ident $($info:literal)?,
        $help:literal;)*) => {
        /// Every group, in the order of the bits, which is that of libvirt's output.
        pub static GROUPS: &[Group] = &[$(Group {
            bit: StatsGroups::$bit,
            field: stringify!($field),
            name: $name,
            help: $help,
            flat: $flat,
            element: $element,
            info: section!(@option $($info)?),
            schema: $type::SCHEMA,
            get: |domain| domain.$field.as_ref().map(|group| group as _),
            slot: |domain| domain.$field.get_or_insert_default(),
            clear: |domain| domain.$field = None,
        }),*];
    };
}

groups! {
    // bit      name         flat key    element      field      type       info
    STATE      "state"      "state"     "state"      state      State,
        "State, and why it is in it";
    CPU_TOTAL  "cpu-total"  "cpu"       "cpu"        cpu        Cpu,
        "CPU time of the whole domain, and what its CPU monitors say";
    BALLOON    "balloon"    "balloon"   "balloon"    balloon    Balloon,
        "Memory: balloon, what the guest says of it, resident set";
    VCPU       "vcpu"       "vcpu"      "cpus"       vcpu       Vcpus,
        "Each vCPU";
    INTERFACE  "interface"  "net"       "interfaces" interface  Interfaces,
        "Each network interface, seen from the guest";
    BLOCK      "block"      "block"     "blocks"     block      Blocks,
        "Each disk";
    PERF       "perf"       "perf"      "perf"       perf       Perf,
        "Performance counters of the host";
    IOTHREAD   "iothread"   "iothread"  "iothreads"  iothread   Iothreads,
        "Each iothread";
    MEMORY     "memory"     "memory"    "memory"     memory     Memory,
        "Memory bandwidth monitors";
    DIRTYRATE  "dirtyrate"  "dirtyrate" "dirtyrate"  dirtyrate  DirtyRate  "dirty_rate",
        "The last measurement of the dirty rate";
    VM         "vm"         "vm"        "vm"         vm         Vm,
        "What the hypervisor counts of the domain";
    // Those that libvirt lacks are read only if they are asked for by name.
    CRYPTODEV  "cryptodev"  "cryptodev" "cryptodevs" cryptodev  Cryptodevs,
        "Each crypto device, only if asked for";
}
