//! The statistics: one typed struct per group, all described by one catalogue.
//!
//! [`GROUPS`] lists the groups; a group's struct and rows are in the file with its name.
//! [`walk`] visits every value of a domain; a format is a [`Visitor`].

mod balloon;
mod block;
mod cpu;
mod cryptodev;
mod dirtyrate;
mod interface;
mod iothread;
mod latency;
mod memory;
mod perf;
mod pressure;
mod state;
mod vcpu;
mod vm;

pub use crate::model::{
    catalogue::{
        Cell, List, Section,
        attribute::{Attribute, AttributeType, AttributeValue},
        extra::Extra,
        group::Group,
        row::{Field, Key, KeyKind, Kind, ListRow, PartRow, Place, Row, Schema, Unit},
        value::{Value, ValueType},
        walk::{Visitor, walk},
    },
    groups::GROUPS,
};
pub use balloon::Balloon;
pub use block::{Block, BlockDevice, Blocks};
pub use cpu::{CacheBank, CacheMonitor, Cpu, EnergyMonitor, EnergyPackage};
pub use cryptodev::{Cryptodev, Cryptodevs};
pub use dirtyrate::{DirtyRate, DirtyRateStatus, VcpuDirtyRate};
pub use interface::{Interface, Interfaces};
pub use iothread::{Iothread, Iothreads};
pub use latency::{LatencyBin, LatencyHistogram, TimedGroup};
pub use memory::{BandwidthMonitor, BandwidthNode, Memory};
pub use perf::Perf;
pub use pressure::Pressure;
pub use state::{DomainState, State, StateReason};
pub use vcpu::{Vcpu, VcpuState, Vcpus};
pub use vm::{HypervisorHistogram, HypervisorStat, HypervisorValue, Vm};
