//! OpenMetrics 1.0, with the metric names that existing dashboards use. Also accepted by
//! `promtool check metrics`, which reads the older text format.
//!
//! - The labels of a series are `domain`, and one per list on the way to the value: `vcpu`,
//!   `target_device`. Texts are labels of `…_info` series, so that value series keep few labels.
//! - Images under a disk repeat its name; they have the label `index` as well, and the disk's own
//!   series stay the same whether or not they were asked for.
//! - Domains of one name have the label `id` (or `uuid`) as well. A domain that was listed twice
//!   is written once.
//! - The counters of swapped memory have the names that they need to have as counters
//!   (`…_swap_in_bytes_total`); the gauges of other exporters without `_total` would be families
//!   of the same name, which OpenMetrics forbids.
//! - Counters have no type line, because the two formats spell it in ways that exclude each other.
//! - What no row of the catalogue describes has no metric name, and is left out.
//! - The hypervisor's histograms are left out: three of 32 bins for each vCPU would be more series
//!   than all the rest of a domain has.

mod family;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    io,
};

use family::{Family, Labels, push_label, sample_name};
use uuid::Uuid;

use super::{Flush, append::push_numbers};
use crate::{
    domain::DomainInfo,
    report::{DomainStats, MissingReason, StatsReport},
    stats::{Cell, GROUPS, Kind, List, ListRow, PartRow, Row, Schema, Section, Unit, Value},
};

pub(super) fn write(report: &StatsReport, buffer: &mut String, flush: Flush<'_>) -> io::Result<()> {
    let mut families = Families::default();
    let own = Own::new(&mut families);
    let groups: Vec<Plan> =
        GROUPS.iter().map(|group| Plan::new(group.schema, group.info, &mut families)).collect();

    families.push(own.up, "", 1);
    families.push(own.domains, "", report.domains.len());
    let mut names = Names::new(report);
    for stats in &report.domains {
        if let Some(mut labels) = names.labels(&stats.domain) {
            own.push_domain(stats, &labels, &mut families);
            for (group, plan) in GROUPS.iter().zip(&groups) {
                if let Some(section) = group.of(stats) {
                    push_section(section, plan, &mut labels, &mut families);
                }
            }
        }
    }
    for missing in &report.missing {
        if let Some(labels) = names.labels(&missing.domain) {
            own.push_status([&missing.missing.reason].into(), &labels, &mut families);
        }
    }

    for family in &families.all {
        family.write(&families.labels, buffer);
        flush(buffer)?;
    }
    buffer.push_str("# EOF\n");
    flush(buffer)
}

/// The families in the order of their output: samples of one name stand side by side, whichever
/// domain and row they come from.
#[derive(Default)]
struct Families {
    all: Vec<Family>,
    labels: Labels,
    by_name: HashMap<String, usize>,
}

impl Families {
    /// Returns the number of the family of this name below `libvirt_`, made on first use.
    fn number(&mut self, name: &str, kind: Kind, help: &'static str) -> usize {
        *self.by_name.entry(name.to_owned()).or_insert_with(|| {
            self.all.push(Family::new(name, kind, help));
            self.all.len() - 1
        })
    }

    fn push(&mut self, family: usize, labels: &str, value: usize) {
        let value = Value::ULLong(value.try_into().unwrap_or(u64::MAX));
        self.sample(family, labels, Unit::None, &value);
    }

    fn sample(&mut self, family: usize, labels: &str, unit: Unit, value: &Value<'_>) {
        self.all[family].push(&mut self.labels, labels, unit, value);
    }
}

/// What tells domains of one name apart.
type Identity = (Option<Uuid>, Option<u32>);

/// What is said of a domain by its name: its labels, and whether that was said already.
struct Names<'a> {
    identities: HashMap<&'a str, HashSet<Identity>>,
    written: HashSet<(&'a str, Identity)>,
}

impl<'a> Names<'a> {
    fn new(report: &'a StatsReport) -> Self {
        let mut identities: HashMap<&str, HashSet<_>> = HashMap::new();
        let records = report.domains.iter().map(|stats| &stats.domain);
        for domain in records.chain(report.missing.iter().map(|missing| &missing.domain)) {
            let identity = (domain.uuid, domain.id);
            identities.entry(&domain.name).or_default().insert(identity);
        }
        Self { identities, written: HashSet::new() }
    }

    /// Returns the labels of a domain, or `None` if it has its series already.
    fn labels(&mut self, domain: &'a DomainInfo) -> Option<String> {
        if !self.written.insert((&domain.name, (domain.uuid, domain.id))) {
            return None;
        }
        let mut labels = String::new();
        push_label(&mut labels, "domain", &domain.name);
        if self.identities.get(domain.name.as_str()).is_some_and(|all| all.len() > 1) {
            push_identity(&mut labels, domain);
        }
        Some(labels)
    }
}

fn push_identity(labels: &mut String, domain: &DomainInfo) {
    if let Some(uuid) = domain.uuid {
        push_label(labels, "uuid", &uuid.to_string());
    }
    if let Some(id) = domain.id {
        push_label(labels, "id", &id.to_string());
    }
}

/// The families that are not rows of the catalogue.
struct Own {
    up: usize,
    domains: usize,
    info: usize,
    status: usize,
    missing: usize,
    maximum_memory: usize,
    memory_usage: usize,
    virtual_cpus: usize,
}

impl Own {
    fn new(families: &mut Families) -> Self {
        let mut gauge = |name, help| families.number(name, Kind::Gauge, help);
        Self {
            up: gauge("up", "Whether the hypervisor answered."),
            domains: gauge("domains", "Number of domains with statistics."),
            info: gauge("domain_info", "Who the domain is."),
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

    fn push_domain(&self, stats: &DomainStats, labels: &str, families: &mut Families) {
        let mut info = String::new();
        push_label(&mut info, "domain", &stats.domain.name);
        push_identity(&mut info, &stats.domain);
        families.push(self.info, &info, 1);
        let reasons = stats.missing.iter().map(|group| &group.missing.reason);
        self.push_status(reasons.collect(), labels, families);
        let groups = stats.missing.iter();
        let groups = groups.map(|group| (group.group.as_str(), group.missing.reason.word()));
        for (group, reason) in groups.collect::<BTreeSet<_>>() {
            let mut labels = labels.to_owned();
            push_label(&mut labels, "group", group);
            push_label(&mut labels, "reason", reason);
            families.push(self.missing, &labels, 1);
        }
        // The names under which exporters that do not use the bulk call have the same numbers.
        let balloon = stats.balloon.as_ref();
        let mut push = |family: usize, unit, value: Option<u64>| {
            if let Some(value) = value {
                families.sample(family, labels, unit, &Value::ULLong(value));
            }
        };
        let kibibytes = Unit::Kibibytes;
        push(self.maximum_memory, kibibytes, balloon.and_then(|balloon| balloon.maximum));
        push(self.memory_usage, kibibytes, balloon.and_then(|balloon| balloon.current));
        let current = stats.vcpu.as_ref().and_then(|vcpus| vcpus.current);
        push(self.virtual_cpus, Unit::Count, current.map(u64::from));
    }

    fn push_status(&self, reasons: HashSet<&MissingReason>, labels: &str, families: &mut Families) {
        let is_ok = reasons.iter().all(|reason| reason.is_expected());
        let known = MissingReason::WORDS.map(MissingReason::from_word);
        let statuses = known.iter().map(|reason| (reason.word(), reasons.contains(reason)));
        let others = reasons.iter().filter(|reason| matches!(reason, MissingReason::Other(_)));
        let statuses = [("ok", is_ok)].into_iter().chain(statuses);
        for (status, is) in statuses.chain(others.map(|reason| (reason.word(), true))) {
            let mut labels = labels.to_owned();
            push_label(&mut labels, "status", status);
            families.push(self.status, &labels, is.into());
        }
    }
}

/// Where the values of a section go: a step for each of its rows.
struct Plan {
    steps: Vec<Step>,
    /// The family that has the section's texts as labels; without one, all its series have them.
    info: Option<usize>,
}

enum Step {
    /// A text, or a value that is not exported.
    Nothing,
    Sample(usize, Unit),
    List(&'static ListRow, Plan),
    Part(&'static PartRow, Plan),
}

impl Plan {
    fn new(schema: &'static Schema, info: Option<&'static str>, families: &mut Families) -> Self {
        const HELP: &str = "The texts that describe it.";
        let info =
            info.map(|info| families.number(&format!("domain_{info}_info"), Kind::Gauge, HELP));
        let step = |row: &'static Row| match row {
            Row::Field(field) => match sample_name(field) {
                Some(name) => {
                    Step::Sample(families.number(&name, field.kind, field.help()), field.unit)
                }
                None => Step::Nothing,
            },
            Row::List(row) => Step::List(row, Self::new(row.schema, row.info, families)),
            Row::Part(row) => Step::Part(row, Self::new(row.schema, None, families)),
        };
        Self { steps: schema.rows.iter().map(step).collect(), info }
    }
}

fn push_section(section: &dyn Section, plan: &Plan, labels: &mut String, families: &mut Families) {
    let outer = labels.len();
    for (number, row) in section.schema().rows.iter().enumerate() {
        if let Row::Field(field) = row
            && field.kind == Kind::Info
            && let (Some(label), Cell::Field(Some(value))) = (field.metric, section.cell(number))
        {
            push_label(labels, label, &label_text(&value));
        }
    }
    if let Some(info) = plan.info {
        if labels.len() > outer {
            families.push(info, labels, 1);
        }
        labels.truncate(outer);
    }
    for (number, step) in plan.steps.iter().enumerate() {
        match (step, section.cell(number)) {
            (Step::Sample(family, unit), Cell::Field(Some(value))) => {
                families.sample(*family, labels, *unit, &value);
            }
            (Step::List(row, plan), Cell::List(list)) => {
                push_list(row, list, plan, labels, families);
            }
            (Step::Part(row, plan), Cell::Part(Some(part))) => {
                let length = labels.len();
                push_label(labels, row.label.0, row.label.1);
                push_section(part, plan, labels, families);
                labels.truncate(length);
            }
            _ => {}
        }
    }
    labels.truncate(outer);
}

fn push_list(
    row: &ListRow,
    list: &dyn List,
    plan: &Plan,
    labels: &mut String,
    families: &mut Families,
) {
    let mut seen = HashSet::new();
    for position in 0..list.len() {
        if let Some((key, item)) = list.get(position) {
            let length = labels.len();
            let name = name_of(item).unwrap_or_else(|| key.to_string());
            push_label(labels, row.label, &name);
            if !seen.insert(name) {
                push_label(labels, "index", &position.to_string());
            }
            push_section(item, plan, labels, families);
            labels.truncate(length);
        }
    }
}

/// Returns the name that the label of an item shows: a text without a label of its own.
fn name_of(item: &dyn Section) -> Option<String> {
    let rows = item.schema().rows.iter().enumerate();
    rows.filter_map(|(number, row)| match row {
        Row::Field(field) if field.kind == Kind::Info && field.metric.is_none() => Some(number),
        _ => None,
    })
    .find_map(|number| match item.cell(number) {
        Cell::Field(Some(value)) => Some(label_text(&value)),
        _ => None,
    })
}

fn label_text(value: &Value<'_>) -> String {
    match value {
        Value::String(text) => text.clone().into_owned(),
        Value::Word { word: Some(word), .. } => (*word).to_owned(),
        Value::Word { code, .. } => code.to_string(),
        Value::Int(number) => number.to_string(),
        Value::UInt(number) => number.to_string(),
        Value::LLong(number) => number.to_string(),
        Value::ULLong(number) => number.to_string(),
        Value::Double(number) => number.to_string(),
        Value::Boolean(truth) => truth.to_string(),
        Value::Numbers(numbers) => {
            let mut text = String::new();
            push_numbers(&mut text, numbers, " ");
            text
        }
    }
}
