//! What the hypervisor counts for a domain. Bit 1024, flat keys `vm.*`.

use serde_json::Value as Json;

use crate::model::{
    catalogue::{
        section::section,
        value::{Leaf, Numbers},
    },
    stats::{Value, ValueType},
};

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
        /// The histograms by the names that the hypervisor gives them.
        /// QMP `query-stats` target vm; libvirt throws them away.
        histograms: [HypervisorHistogram] = ("", "histogram", label "stat");
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

section! {
    /// A histogram of the hypervisor, raw as its statistics are: how often a value was in each bin.
    /// A value in `unit` is a bin's value times `base` to the power of `exponent`. The last bin has
    /// no end.
    pub struct HypervisorHistogram[Name] {
        /// What is measured, such as `seconds`; absent for a plain number.
        /// QMP `query-stats-schemas` `unit`.
        unit: String = ("unit", Info, None, metric "unit", place Attribute);
        /// Base of the factor between the values of the bins and the unit.
        /// QMP `query-stats-schemas` `base`.
        base: u32 = ("base", Info, Count, metric "base", place Attribute);
        /// Exponent of the factor between the values of the bins and the unit.
        /// QMP `query-stats-schemas` `exponent`.
        exponent: i32 = ("exponent", Info, Count, metric "exponent", place Attribute);
        /// Width of each bin of a linear histogram.
        /// QMP `query-stats-schemas` `bucket-size`.
        bucket_size: u32 = ("bucket_size", Info, Count, metric "bucket_size", place Attribute);
        /// Numbers of values in bins of one width: bin n begins at n times that.
        /// QMP `query-stats` type linear-histogram; libvirt throws it away.
        linear: Numbers = ("linear", Counter, Count);
        /// Numbers of values in bins of doubling widths: bin 0 is 0, bin n begins at 2 to the power of n - 1.
        /// QMP `query-stats` type log2-histogram; libvirt throws it away.
        log2: Numbers = ("log2", Counter, Count);
    }
}
