//! Labels of samples, in the form in which they are written.
//!
//! Labels are never stored as pairs. They are appended to a buffer in their final form, shared by all samples of a
//! section, and copied when the samples are written.

use std::{hash::Hash, ops::Range, time::SystemTime};

use super::family::{Sample, push_escaped};
use crate::{
    format::append::{push_double, push_number, push_numbers},
    model::{name::is_deceptive, stats::Value},
};

/// The form of labels. [`TextLabels`] is that of the text formats; a program with another encoding of metrics
/// implements its own.
pub trait Labels: Clone + Default {
    /// Part of the labels.
    type Part: ?Sized + ToOwned<Owned: Eq + Hash>;

    /// Whether the samples of a domain always have its UUID as a label, and not only where trusted users share the
    /// name.
    const WITH_UUID: bool = false;

    /// Begins the labels of samples that were taken at a time.
    fn begin(&mut self, _taken_at: SystemTime) {}

    /// Appends a label.
    fn push(&mut self, name: &str, value: &Value<'_>);

    /// Appends a label whose value is a text.
    fn push_text(&mut self, name: &str, text: &str) {
        self.push(name, &Value::String(text.into()));
    }

    /// Returns their length.
    fn length(&self) -> usize;

    /// Truncates them to an earlier length.
    fn truncate(&mut self, length: usize);

    /// Returns a part between two lengths.
    fn part(&self, range: Range<usize>) -> &Self::Part;

    /// Appends the labels of a sample to those of other samples.
    fn append(&mut self, labels: &Self);
}

/// Labels as text: `domain="vm1",vcpu="0"`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct TextLabels(pub(super) String);

impl Labels for TextLabels {
    type Part = str;

    fn push(&mut self, name: &str, value: &Value<'_>) {
        let labels = &mut self.0;
        if !labels.is_empty() {
            labels.push(',');
        }
        labels.push_str(name);
        labels.push_str("=\"");
        match value {
            Value::String(text) => push_escaped(labels, text, true),
            value => push_plain(labels, value),
        }
        labels.push('"');
    }

    fn length(&self) -> usize {
        self.0.len()
    }

    fn truncate(&mut self, length: usize) {
        self.0.truncate(length);
    }

    fn part(&self, range: Range<usize>) -> &str {
        &self.0[range]
    }

    /// Appends what stands between the name and the number of a sample: `{domain="vm1",vcpu="0"} `.
    fn append(&mut self, labels: &Self) {
        if !labels.0.is_empty() {
            self.0.push('{');
            self.0.push_str(&labels.0);
            self.0.push('}');
        }
        self.0.push(' ');
    }
}

/// Appends a value that needs no escapes.
fn push_plain(out: &mut String, value: &Value<'_>) {
    match value {
        Value::Word { word: Some(word), .. } => out.push_str(word),
        Value::Boolean(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Value::Numbers(numbers) => push_numbers(out, numbers, " "),
        // Not finite.
        Value::Double(number) if !number.is_finite() => push_double(out, *number),
        number => drop(push_number(out, number)),
    }
}

/// Appends a value as a label has it, without escapes.
pub fn push_label_value(out: &mut String, value: &Value<'_>) {
    match value {
        Value::String(text) => out.extend(text.chars().map(|one| match one {
            '\n' => one,
            one if is_deceptive(one) => char::REPLACEMENT_CHARACTER,
            one => one,
        })),
        value => push_plain(out, value),
    }
}

/// The labels of one sample.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct LabelSet<L = TextLabels>(pub(super) L);

impl<L: Labels> LabelSet<L> {
    /// Returns no labels.
    #[must_use]
    pub fn new() -> Self {
        Self(L::default())
    }

    /// Adds a label. Its name must be one of Prometheus: letters, digits and `_`.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.0.push_text(name, value);
        self
    }
}

impl LabelSet {
    /// Returns whether it has a label of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        // A quote within a value has a backslash before it.
        let label = format!("{name}=\"");
        self.0.0.starts_with(&label) || self.0.0.contains(&format!(",{label}"))
    }
}

/// The labels of all samples; the samples of a section share theirs. Those of one kind of section are adjacent in
/// memory, because they are written in sequence: scattered, they would cost more than everything else.
pub(super) struct Store<L>(Vec<OfKind<L>>);

struct OfKind<L> {
    labels: L,
    ends: Vec<usize>,
}

/// The place of a sample's labels.
#[derive(Clone, Copy)]
pub(super) struct Kept {
    pub(super) kind: u16,
    pub(super) number: u32,
}

impl<L> Default for Store<L> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<L: Labels> Store<L> {
    /// Returns the number of another kind.
    pub(super) fn new_kind(&mut self) -> u16 {
        self.0.push(OfKind { labels: L::default(), ends: Vec::new() });
        u16::try_from(self.0.len() - 1).unwrap_or(u16::MAX)
    }

    pub(super) fn keep(&mut self, kind: u16, labels: &L) -> Kept {
        let OfKind { labels: all, ends } = &mut self.0[usize::from(kind)];
        all.append(labels);
        ends.push(all.length());
        Kept { kind, number: u32::try_from(ends.len() - 1).unwrap_or(u32::MAX) }
    }

    pub(super) fn of(&self, sample: &Sample) -> &L::Part {
        let Kept { kind, number } = sample.labels;
        let OfKind { labels, ends } = &self.0[usize::from(kind)];
        let number = number as usize;
        let start = number.checked_sub(1).map_or(0, |before| ends[before]);
        labels.part(start..ends[number])
    }
}
