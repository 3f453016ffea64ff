//! What the hypervisor counts for a domain. Bit 1024, flat keys `vm.*`.

use serde_json::Value as Json;

use super::{Value, ValueType, catalogue::section, value::Leaf};

/// A value of the hypervisor: a number, or a truth value where its schema says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HypervisorValue {
    /// A number, unscaled.
    Number(u64),
    /// A truth value.
    Truth(bool),
}

impl Leaf for HypervisorValue {
    const TYPE: ValueType = ValueType::ULLong;
    fn value(&self) -> Value<'_> {
        match *self {
            Self::Number(number) => Value::ULLong(number),
            Self::Truth(truth) => Value::Boolean(truth),
        }
    }
    fn read(json: &Json) -> Option<Self> {
        // Numbers first: `1` is a number in XML, where everything is text.
        u64::read(json).map(Self::Number).or_else(|| bool::read(json).map(Self::Truth))
    }
}

section! {
    /// The hypervisor's own statistics of the domain.
    pub struct Vm[] {
        /// The statistics by the names that the hypervisor gives them, such as `remote_tlb_flush`.
        /// QMP `query-stats` target vm; libvirt `vm.<name>`.
        stats: [HypervisorStat] = ("", "stat", label "stat");
    }
}

section! {
    /// One statistic of the hypervisor, raw: name and unit are its own and promise nothing.
    pub struct HypervisorStat[Name] {
        /// A momentary value.
        /// QMP `query-stats` type instant; libvirt `<name>.cur`.
        cur: HypervisorValue = ("cur", Gauge, None, metric "hypervisor_stat");
        /// A sum since the start.
        /// QMP `query-stats` type cumulative; libvirt `<name>.sum`.
        sum: HypervisorValue = ("sum", Counter, None, metric "hypervisor_stat_sum");
        /// The highest value since the start.
        /// QMP `query-stats` type peak; libvirt `<name>.max`.
        max: HypervisorValue = ("max", Gauge, None, metric "hypervisor_stat_max");
    }
}
