//! What the hypervisor counts for a domain. Bit 1024, flat keys `vm.*`.

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
    fn from_value(value: &Value<'_>) -> Option<Self> {
        // Numbers first: `1` is a number in XML, where everything is text.
        let truth = || bool::from_value(value).map(Self::Truth);
        u64::from_value(value).map(Self::Number).or_else(truth)
    }
}

section!(
    /// The hypervisor's own statistics of the domain.
    pub struct Vm {
        /// The statistics by the names that the hypervisor gives them, such as `remote_tlb_flush`.
        /// QMP `query-stats` target vm; libvirt `vm.<name>`.
        #[list(doc_path = "stat", label = "stat")]
        pub stats: Vec<HypervisorStat>,
        /// The histograms by the names that the hypervisor gives them.
        /// QMP `query-stats` target vm; libvirt discards them.
        #[list(doc_path = "histogram", label = "stat")]
        pub histograms: Vec<HypervisorHistogram>,
    }
);

section!(
    /// One statistic of the hypervisor, raw: name and unit are its own and promise nothing.
    #[item(name)]
    pub struct HypervisorStat {
        /// A momentary value.
        /// QMP `query-stats` type instant; libvirt `<name>.cur`.
        #[gauge(metric = "hypervisor_stat")]
        pub cur: Option<HypervisorValue>,
        /// A sum since the start.
        /// QMP `query-stats` type cumulative; libvirt `<name>.sum`.
        #[counter(metric = "hypervisor_stat_sum")]
        pub sum: Option<HypervisorValue>,
        /// The highest value since the start.
        /// QMP `query-stats` type peak; libvirt `<name>.max`.
        #[gauge(metric = "hypervisor_stat_max")]
        pub max: Option<HypervisorValue>,
    }
);

section!(
    /// A histogram of the hypervisor, raw as its statistics are: how often a value was in each bin.
    /// A value in `unit` is a bin's value times `base` to the power of `exponent`. The last bin has
    /// no end.
    #[item(name)]
    pub struct HypervisorHistogram {
        /// What is measured, such as `seconds`; absent for a plain number.
        /// QMP `query-stats-schemas` `unit`.
        #[info(label = "unit", place = "attribute")]
        pub unit: Option<String>,
        /// Base of the factor between the values of the bins and the unit.
        /// QMP `query-stats-schemas` `base`.
        #[info(unit = "count", label = "base", place = "attribute")]
        pub base: Option<u32>,
        /// Exponent of the factor between the values of the bins and the unit.
        /// QMP `query-stats-schemas` `exponent`.
        #[info(unit = "count", label = "exponent", place = "attribute")]
        pub exponent: Option<i32>,
        /// Width of each bin of a linear histogram.
        /// QMP `query-stats-schemas` `bucket-size`.
        #[info(unit = "count", label = "bucket_size", place = "attribute")]
        pub bucket_size: Option<u32>,
        /// Numbers of values in bins of one width: bin n begins at n times that.
        /// QMP `query-stats` type linear-histogram; libvirt discards it.
        #[counter(unit = "count")]
        pub linear: Option<Numbers>,
        /// Numbers of values in bins of doubling widths: bin 0 is 0, bin n begins at 2 to the power of n - 1.
        /// QMP `query-stats` type log2-histogram; libvirt discards it.
        #[counter(unit = "count")]
        pub log2: Option<Numbers>,
    }
);
