//! Metrics, with the names that existing dashboards use: OpenMetrics 1.0, and the older text form of
//! Prometheus, which differs in how it announces counters.
//!
//! - The labels of a series are `domain`, and one per list on the way to the value: `vcpu`,
//!   `target_device`. Texts are labels of `…_info` series, so that value series keep few labels.
//! - Images under a disk repeat its name; they have the label `index` as well, and the disk's own
//!   series stay the same whether or not images were requested.
//! - Domains that share a name have the labels `uuid`, `id` and `uid` as well; those of untrusted users have
//!   their user before the name (`names.rs`). A domain that was listed twice is written once.
//! - Swapped memory is a counter (`…_swap_in_bytes_total`). Other exporters have gauges without `_total`,
//!   which would be families of the same name: OpenMetrics forbids that.
//! - Values that no row describes have no metric name and are left out; `libvirt_unknown_values` counts
//!   them.
//! - The hypervisor's histograms are left out: three of 32 bins for each vCPU would be more series
//!   than all the rest of a domain has.

mod family;
mod labels;
mod metrics;
mod names;
mod samples;

use std::{
    collections::{BTreeSet, HashSet},
    io,
    time::SystemTime,
};

use family::{Dialect, sample_name};
pub use labels::{LabelSet, Labels, TextLabels, push_label_value};
pub use metrics::{FamilyId, Metrics};
use names::Names;
pub use names::{Labelled, labelled};
pub use samples::{MetricFamily, MetricSample, Number};

use super::Flush;
use crate::model::{
    report::{DomainStats, MissingReason, StatsReport},
    stats::{
        Cell, Field, GROUPS, Key, Kind, List, ListRow, PartRow, Row, Schema, Section, Unit, Value,
    },
};

pub(super) fn write_openmetrics(
    report: &StatsReport,
    buffer: &mut String,
    flush: Flush<'_>,
) -> io::Result<()> {
    write(report, Dialect::OpenMetrics, buffer, flush)
}

pub(super) fn write_prometheus(
    report: &StatsReport,
    buffer: &mut String,
    flush: Flush<'_>,
) -> io::Result<()> {
    write(report, Dialect::Prometheus, buffer, flush)
}

fn write(
    report: &StatsReport,
    dialect: Dialect,
    buffer: &mut String,
    flush: Flush<'_>,
) -> io::Result<()> {
    let mut metrics = Metrics::new();
    push_report(report, &mut metrics);
    metrics.write_in_pieces(dialect, buffer, flush)
}

fn push_report<L: Labels>(report: &StatsReport, metrics: &mut Metrics<L>) {
    let own = Own::new(metrics);
    let groups: Vec<Plan> =
        GROUPS.iter().map(|group| Plan::new(group.schema, group.info, metrics)).collect();

    let mut labels = L::default();
    labels.begin(report.taken_at);
    metrics.push_count(own.up, &labels, 1);
    metrics.push_count(own.domains, &labels, report.domains.len());
    let unknown = report.domains.iter().map(|stats| stats.unknown_keys().len()).sum();
    metrics.push_count(own.unknown, &labels, unknown);
    let mut names = Names::new(report);
    for stats in &report.domains {
        labels.truncate(0);
        labels.begin(stats.taken_at.unwrap_or(report.taken_at));
        if names.push_labels(&stats.domain, &mut labels) {
            own.push_domain(stats, report.taken_at, &names, &mut labels, metrics);
            for (group, plan) in GROUPS.iter().zip(&groups) {
                if let Some(section) = group.of(stats) {
                    push_section(section, plan, &mut labels, metrics);
                }
            }
        }
    }
    for missing in &report.missing {
        labels.truncate(0);
        labels.begin(report.taken_at);
        if names.push_labels(&missing.domain, &mut labels) {
            own.push_status(&[&missing.missing.reason], &mut labels, metrics);
        }
    }
}

/// The families that are not rows of the catalogue.
struct Own {
    up: FamilyId,
    domains: FamilyId,
    unknown: FamilyId,
    info: FamilyId,
    conflict: FamilyId,
    status: FamilyId,
    missing: FamilyId,
    maximum_memory: FamilyId,
    memory_usage: FamilyId,
    virtual_cpus: FamilyId,
}

impl Own {
    fn new<L: Labels>(metrics: &mut Metrics<L>) -> Self {
        let mut gauge = |name, help| metrics.family(&format!("libvirt_{name}"), Kind::Gauge, help);
        Self {
            up: gauge("up", "Whether the hypervisor answered."),
            domains: gauge("domains", "Number of domains with statistics."),
            unknown: gauge(
                "unknown_values",
                "Number of values that have no metric: a newer hypervisor told them.",
            ),
            info: gauge("domain_info", "Who the domain is."),
            conflict: gauge(
                "domain_conflict",
                "Names and UUIDs of the domain that another domain has too.",
            ),
            status: gauge(
                "domain_scrape_status",
                "Whether everything that was asked for was read (ok), and if not, why not.",
            ),
            missing: gauge(
                "domain_group_missing",
                "Groups of statistics that are missing in whole or in part, and why.",
            ),
            maximum_memory: gauge(
                "domain_info_maximum_memory_bytes",
                "Memory that the guest can have.",
            ),
            memory_usage: gauge("domain_info_memory_usage_bytes", "Memory that the guest has now."),
            virtual_cpus: gauge("domain_info_virtual_cpus", "Number of vCPUs plugged in."),
        }
    }

    fn push_domain<L: Labels>(
        &self,
        stats: &DomainStats,
        report_taken_at: SystemTime,
        names: &Names<'_>,
        labels: &mut L,
        metrics: &mut Metrics<L>,
    ) {
        let domain = &stats.domain;
        let mut info = L::default();
        info.begin(stats.taken_at.unwrap_or(report_taken_at));
        info.push_text("domain", &names.name(domain));
        names.push_identity(&mut info, domain);
        metrics.push_count(self.info, &info, 1);
        for what in domain.conflict.words() {
            let outer = labels.length();
            labels.push_text("of", what);
            metrics.push_count(self.conflict, labels, 1);
            labels.truncate(outer);
        }
        let reasons: Vec<_> = stats.missing.iter().map(|group| &group.missing.reason).collect();
        self.push_status(&reasons, labels, metrics);
        let groups = stats.missing.iter();
        let groups = groups.map(|group| (group.group.as_str(), group.missing.reason.word()));
        let outer = labels.length();
        for (group, reason) in groups.collect::<BTreeSet<_>>() {
            labels.push_text("group", group);
            labels.push_text("reason", reason);
            metrics.push_count(self.missing, labels, 1);
            labels.truncate(outer);
        }
        // The names under which exporters that do not use the bulk call have the same numbers.
        let balloon = stats.balloon.as_ref();
        let shared = metrics.keep_own(labels);
        let mut push = |family: FamilyId, unit, value: Option<u64>| {
            if let Some(value) = value {
                metrics.sample(family, shared, unit, &Value::ULLong(value));
            }
        };
        let kibibytes = Unit::Kibibytes;
        push(self.maximum_memory, kibibytes, balloon.and_then(|balloon| balloon.maximum));
        push(self.memory_usage, kibibytes, balloon.and_then(|balloon| balloon.current));
        let current = stats.vcpu.as_ref().and_then(|vcpus| vcpus.current);
        push(self.virtual_cpus, Unit::Count, current.map(u64::from));
    }

    fn push_status<L: Labels>(
        &self,
        reasons: &[&MissingReason],
        labels: &mut L,
        metrics: &mut Metrics<L>,
    ) {
        let is_ok = reasons.iter().all(|reason| reason.is_expected());
        // A report of all domains never has an ambiguous one.
        let known = [0, 1, 2, 3, 4, 5, 6].map(|place| MissingReason::WORDS[place]);
        let words = || reasons.iter().map(|reason| reason.word());
        let statuses = known.into_iter().map(|known| (known, words().any(|word| word == known)));
        let others: BTreeSet<&str> = words().filter(|word| !known.contains(word)).collect();
        let others = others.into_iter().map(|word| (word, true));
        let outer = labels.length();
        for (status, is) in [("ok", is_ok)].into_iter().chain(statuses).chain(others) {
            labels.push_text("status", status);
            metrics.push_count(self.status, labels, is.into());
            labels.truncate(outer);
        }
    }
}

/// How to write a section: a step for each of its rows.
struct Plan {
    steps: Vec<Step>,
    /// The rows whose texts are labels, with the labels' names.
    texts: Vec<(usize, &'static str)>,
    /// The rows of which the first one that was read is the name of an item: texts without a
    /// label of their own.
    names: Vec<usize>,
    /// The family that has the section's texts as labels; without one, all its series have them.
    info: Option<FamilyId>,
    /// The kind of its labels.
    labels: u16,
}

enum Step {
    /// A text, or a value that is not exported.
    Nothing,
    Sample(FamilyId, Unit),
    List(&'static ListRow, Box<Plan>),
    Part(&'static PartRow, Box<Plan>),
}

impl Plan {
    fn new<L: Labels>(
        schema: &'static Schema,
        info: Option<&'static str>,
        metrics: &mut Metrics<L>,
    ) -> Self {
        const HELP: &str = "The texts that describe it.";
        let info = info
            .map(|info| metrics.family(&format!("libvirt_domain_{info}_info"), Kind::Gauge, HELP));
        let (mut texts, mut names) = (Vec::new(), Vec::new());
        for (number, row) in schema.rows.iter().enumerate() {
            match row {
                Row::Field(Field { kind: Kind::Info, metric: Some(label), .. }) => {
                    texts.push((number, *label));
                }
                Row::Field(Field { kind: Kind::Info, metric: None, .. }) => names.push(number),
                _ => {}
            }
        }
        let step = |row: &'static Row| match row {
            Row::Field(field) => match sample_name(field) {
                Some(name) => {
                    Step::Sample(metrics.family(&name, field.kind, field.help()), field.unit)
                }
                None => Step::Nothing,
            },
            Row::List(row) => Step::List(row, Self::new(row.schema, row.info, metrics).into()),
            Row::Part(row) => Step::Part(row, Self::new(row.schema, None, metrics).into()),
        };
        let steps = schema.rows.iter().map(step).collect();
        Self { steps, texts, names, info, labels: metrics.labels.new_kind() }
    }
}

fn push_section<L: Labels>(
    section: &dyn Section,
    plan: &Plan,
    labels: &mut L,
    metrics: &mut Metrics<L>,
) {
    let outer = labels.length();
    for (number, label) in &plan.texts {
        if let Cell::Field(Some(value)) = &section.cell(*number) {
            labels.push(label, value);
        }
    }
    if let Some(info) = plan.info {
        if labels.length() > outer {
            metrics.push_count(info, labels, 1);
        }
        labels.truncate(outer);
    }
    let mut shared = None;
    for (number, step) in plan.steps.iter().enumerate() {
        if let Step::Nothing = step {
            continue;
        }
        match (step, &section.cell(number)) {
            (Step::Sample(family, unit), Cell::Field(Some(value))) => {
                let labels =
                    *shared.get_or_insert_with(|| metrics.labels.keep(plan.labels, labels));
                metrics.sample(*family, labels, *unit, value);
            }
            (Step::List(row, plan), Cell::List(list)) => {
                push_list(row, *list, plan, labels, metrics);
            }
            (Step::Part(row, plan), Cell::Part(Some(part))) => {
                let length = labels.length();
                labels.push_text(row.label.0, row.label.1);
                push_section(*part, plan, labels, metrics);
                labels.truncate(length);
            }
            _ => {}
        }
    }
    labels.truncate(outer);
}

fn push_list<L: Labels>(
    row: &ListRow,
    list: &dyn List,
    plan: &Plan,
    labels: &mut L,
    metrics: &mut Metrics<L>,
) {
    let outer = labels.length();
    // Names usually ascend: then none is repeated, and none has to be kept.
    let grow = names_grow(list, plan);
    let mut seen = HashSet::new();
    for position in 0..list.len() {
        if let Some((key, item)) = list.get(position) {
            labels.push(row.label, &name(key, item, plan));
            if !grow && !seen.insert(labels.part(outer..labels.length()).to_owned()) {
                labels.push_text("index", &position.to_string());
            }
            push_section(item, plan, labels, metrics);
            labels.truncate(outer);
        }
    }
}

/// Returns whether the names of the items ascend.
fn names_grow(list: &dyn List, plan: &Plan) -> bool {
    let mut last = None;
    (0..list.len()).filter_map(|position| list.get(position)).all(|(key, item)| {
        let name = name(key, item, plan);
        let grows = match (&last, &name) {
            (None, _) => true,
            (Some(Value::UInt(last)), Value::UInt(name)) => last < name,
            (Some(Value::String(last)), Value::String(name)) => {
                (last.len(), last) < (name.len(), name)
            }
            _ => false,
        };
        last = Some(name);
        grows
    })
}

/// Returns the name of an item of a list.
fn name<'a>(key: Key<'a>, item: &'a dyn Section, plan: &Plan) -> Value<'a> {
    let own = plan.names.iter().find_map(|number| match item.cell(*number) {
        Cell::Field(value) => value,
        _ => None,
    });
    own.unwrap_or(match key {
        Key::Name(name) => Value::String(name.into()),
        Key::Index(number) | Key::Id(number) => Value::UInt(number),
    })
}
