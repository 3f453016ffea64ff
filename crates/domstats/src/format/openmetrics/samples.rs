//! The samples of a collection one by one, for forms other than text.

use std::borrow::Cow;

use super::family::{Family, Labels};
use crate::model::stats::Kind;

/// A family of a [`Metrics`](super::Metrics): all samples of one name.
#[derive(Clone, Copy)]
pub struct MetricFamily<'a> {
    pub(super) family: &'a Family,
    pub(super) labels: &'a Labels,
}

/// One sample of a family.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct MetricSample<'a> {
    /// Its labels, in the order in which they are written.
    pub labels: LabelPairs<'a>,
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

impl<'a> MetricFamily<'a> {
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
    pub fn samples(self) -> impl ExactSizeIterator<Item = MetricSample<'a>> {
        self.family.samples.iter().map(move |sample| MetricSample {
            labels: LabelPairs(self.labels.of(sample)),
            value: sample.number(),
        })
    }
}

/// The labels of a sample: pairs of a name and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelPairs<'a>(&'a str);

impl<'a> LabelPairs<'a> {
    pub(super) fn new(labels: &'a str) -> Self {
        Self(labels)
    }
}

impl<'a> Iterator for LabelPairs<'a> {
    type Item = (&'a str, Cow<'a, str>);

    /// Reads what is kept as it is written: `{domain="vm1",vcpu="0"} `.
    fn next(&mut self) -> Option<Self::Item> {
        let (name, rest) = self.0.trim_start_matches(['{', ',']).split_once("=\"")?;
        let mut is_escape = false;
        let end = rest.bytes().position(|byte| {
            let is_end = byte == b'"' && !is_escape;
            is_escape = byte == b'\\' && !is_escape;
            is_end
        })?;
        self.0 = &rest[end + 1..];
        Some((name, unescape(&rest[..end])))
    }
}

fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return text.into();
    }
    let mut characters = text.chars();
    let mut plain = String::with_capacity(text.len());
    while let Some(character) = characters.next() {
        plain.push(match character {
            '\\' => match characters.next() {
                Some('n') => '\n',
                Some(other) => other,
                None => break,
            },
            character => character,
        });
    }
    plain.into()
}
