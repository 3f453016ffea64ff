//! A collection of metrics: those of reports, and others that a program adds.

use std::{collections::HashMap, io, time::Duration};

use super::{
    family::{Dialect, Family},
    labels::{Kept, LabelSet, Labels, Store, TextLabels},
    names::{Labelled, labelled},
    push_report,
    samples::MetricFamily,
};
use crate::{
    format::{Flush, Format},
    model::{
        report::StatsReport,
        stats::{Kind, Unit, Value},
    },
};

/// The kind of labels that only one sample has.
const OWN: u16 = 0;

/// Metric families in the order of their output: samples of one name stand side by side, whichever
/// report they come from.
///
/// ```
/// use domstats::{Connect, Format, StatsRequest, Value};
/// use domstats::format::{LabelSet, Metrics};
/// use domstats::stats::{Kind, Unit};
///
/// let mut metrics = Metrics::new();
/// metrics.push_report(&Connect::open("test:///default")?.all_domain_stats(&StatsRequest::new())?);
/// let racks = metrics.family("site_rack", Kind::Gauge, "The rack that the host stands in.");
/// metrics.push(racks, &LabelSet::new().with("row", "B"), Unit::None, &Value::Int(7));
/// assert!(metrics.to_text(Format::Prometheus).ends_with("site_rack{row=\"B\"} 7\n"));
/// # Ok::<(), domstats::Error>(())
/// ```
pub struct Metrics<L = TextLabels> {
    all: Vec<Family>,
    pub(super) labels: Store<L>,
    by_name: HashMap<String, usize>,
}

/// A family of a [`Metrics`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FamilyId(usize);

impl Metrics {
    /// Returns a collection without metrics.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the text in one of the formats of metrics; any other is written as OpenMetrics.
    #[must_use]
    pub fn to_text(&self, format: Format) -> String {
        let dialect = match format {
            Format::Prometheus => Dialect::Prometheus,
            _ => Dialect::OpenMetrics,
        };
        let mut text = String::new();
        // Nothing takes the pieces away, so nothing can fail.
        let _ = self.write_in_pieces(dialect, &mut text, &mut |_| Ok(()));
        text
    }

    pub(super) fn write_in_pieces(
        &self,
        dialect: Dialect,
        buffer: &mut String,
        flush: Flush<'_>,
    ) -> io::Result<()> {
        for family in &self.all {
            family.write(dialect, &self.labels, buffer, flush)?;
        }
        if dialect == Dialect::OpenMetrics {
            buffer.push_str("# EOF\n");
        }
        flush(buffer)
    }
}

impl<L: Labels> Metrics<L> {
    /// Adds the metrics of a report.
    pub fn push_report(&mut self, report: &StatsReport) {
        push_report(report, self);
    }

    /// Adds the age of each domain's oldest value. `age` is that of the report.
    pub fn push_age(&mut self, report: &StatsReport, age: Duration) {
        let family = self.family(
            "libvirt_domain_sample_age_seconds",
            Kind::Gauge,
            "How long ago the oldest of the domain's values was asked for.",
        );
        for Labelled { labels, stats, .. } in labelled(report) {
            let later = stats.taken_at.and_then(|time| time.duration_since(report.taken_at).ok());
            let age = age.saturating_sub(later.unwrap_or_default());
            let age = u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
            self.push(family, &labels, Unit::Nanoseconds, &Value::ULLong(age));
        }
    }

    /// Returns the family with this name, created on first use. A counter's name is without `_total`.
    pub fn family(&mut self, name: &str, kind: Kind, help: &'static str) -> FamilyId {
        FamilyId(*self.by_name.entry(name.to_owned()).or_insert_with(|| {
            self.all.push(Family::new(name, kind, help));
            self.all.len() - 1
        }))
    }

    /// Adds a sample in the base unit: seconds for nanoseconds, bytes for KiB. Texts are no samples.
    pub fn push(&mut self, family: FamilyId, labels: &LabelSet<L>, unit: Unit, value: &Value<'_>) {
        let labels = self.keep_own(&labels.0);
        self.sample(family, labels, unit, value);
    }

    /// Returns the families, in the order of their output; those without samples are left out.
    pub fn families(&self) -> impl Iterator<Item = MetricFamily<'_, L>> {
        let labels = &self.labels;
        let all = self.all.iter().filter(|family| !family.samples.is_empty());
        all.map(move |family| MetricFamily { family, labels })
    }

    pub(super) fn push_count(&mut self, family: FamilyId, labels: &L, count: usize) {
        let labels = self.keep_own(labels);
        let value = Value::ULLong(count.try_into().unwrap_or(u64::MAX));
        self.sample(family, labels, Unit::None, &value);
    }

    /// Keeps labels that no section shares.
    pub(super) fn keep_own(&mut self, labels: &L) -> Kept {
        self.labels.keep(OWN, labels)
    }

    pub(super) fn sample(&mut self, family: FamilyId, labels: Kept, unit: Unit, value: &Value<'_>) {
        self.all[family.0].push(labels, unit, value);
    }
}

impl<L: Labels> Default for Metrics<L> {
    fn default() -> Self {
        let mut labels = Store::default();
        labels.new_kind();
        Self { all: Vec::new(), labels, by_name: HashMap::new() }
    }
}
