//! The samples of a collection one by one, for forms other than text.

use super::{
    family::Family,
    labels::{Labels, Store},
};
use crate::model::stats::Kind;

/// A family of a [`Metrics`](super::Metrics): all samples of one name.
pub struct MetricFamily<'a, L> {
    pub(super) family: &'a Family,
    pub(super) labels: &'a Store<L>,
}

impl<L> Clone for MetricFamily<'_, L> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<L> Copy for MetricFamily<'_, L> {}

/// One sample of a family.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct MetricSample<'a, P: ?Sized> {
    /// Its labels, in their form.
    pub labels: &'a P,
    /// Its value, in the base unit: seconds for nanoseconds, bytes for KiB.
    pub value: Number,
}

/// The value of a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// A whole number.
    Integer(i64),
    /// Any other, and whole ones that are larger.
    Double(f64),
}

impl<'a, L: Labels> MetricFamily<'a, L> {
    /// Returns its name; a counter's is without `_total`.
    #[must_use]
    pub fn name(self) -> &'a str {
        &self.family.name
    }

    /// Returns whether it is a counter.
    #[must_use]
    pub fn kind(self) -> Kind {
        self.family.kind
    }

    /// Returns its help text.
    #[must_use]
    pub fn help(self) -> &'static str {
        self.family.help
    }

    /// Returns the word for its base unit, if its name ends with one: `seconds`, `bytes`, `joules`
    /// or `farads`.
    #[must_use]
    pub fn unit(self) -> Option<&'static str> {
        self.family.unit()
    }

    /// Returns its samples.
    pub fn samples(self) -> impl ExactSizeIterator<Item = MetricSample<'a, L::Part>> {
        self.family.samples.iter().map(move |sample| MetricSample {
            labels: self.labels.of(sample),
            value: sample.number(),
        })
    }
}
