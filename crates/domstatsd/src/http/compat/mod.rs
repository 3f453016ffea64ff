//! The metrics of other exporters, for dashboards that were made for them.
//!
//! Some exporters share no name with ours, and can be served beside ours (`--compat`). Others use a name of ours
//! with more labels: beside ours, a sum would count everything twice, so their metrics are only at
//! `/metrics/compat/NAME`, which serves each exporter.

mod kubevirt;
mod kumina;
mod opennebula;
mod tinkoff;
mod vexxhost;

use std::{borrow::Cow, collections::HashSet, sync::Arc};

use domstats::{
    DomainStats, Value,
    format::{LabelSet, Labelled, Metrics, labelled},
    stats::{Block, Interface, Kind, Unit, Vcpu},
};

use super::{
    description::{Metadatum, NOVA},
    metadata::Metadata,
};
use crate::hypervisors::Snapshot;

/// Another exporter.
pub(crate) struct Profile {
    name: &'static str,
    /// Whether none of its names is one of ours.
    is_beside: bool,
    help: &'static str,
    /// Its metrics without labels.
    whole: &'static [Whole],
    labels: LabelNames,
    aliases: &'static [Alias],
}

/// The name of a metric without labels, and its value.
type Whole = (&'static str, fn(&Snapshot) -> Value<'static>);

/// A domain, its name in labels, and the metadata of management layers.
struct Domain<'a> {
    name: Cow<'a, str>,
    /// Empty if it has none.
    uuid: String,
    stats: &'a DomainStats,
    metadata: Arc<[Metadatum]>,
}

impl Domain<'_> {
    /// Returns whether OpenStack made it.
    fn is_of_nova(&self) -> bool {
        self.metadata.iter().any(|one| one.layer.metric == NOVA)
    }

    /// Returns a value of OpenStack's metadata; empty without one.
    fn nova(&self, label: &str) -> &str {
        let nova = self.metadata.iter().find(|one| one.layer.metric == NOVA);
        nova.and_then(|nova| nova.value(label)).unwrap_or_default()
    }
}

/// The labels of its metrics. A domain without a value that a label needs, such as a UUID, is left out.
struct LabelNames {
    domain: fn(LabelSet, &Domain<'_>) -> Option<LabelSet>,
    vcpu: fn(LabelSet, &Vcpu) -> LabelSet,
    interface: fn(LabelSet, usize, &Interface) -> LabelSet,
    block: fn(LabelSet, usize, &Block) -> LabelSet,
}

/// A metric of another exporter. Its value is in the base unit; without a unit, as libvirt has it.
struct Alias {
    name: &'static str,
    kind: Kind,
    unit: Unit,
    per: Per,
}

/// What a metric has one sample for.
enum Per {
    Domain(fn(&DomainStats) -> Option<Value<'static>>),
    /// Each domain, with more labels than its other metrics.
    LabelledDomain(fn(LabelSet, &Domain<'_>) -> Option<(LabelSet, Value<'static>)>),
    Vcpu(fn(&Vcpu) -> Option<u64>),
    Interface(fn(&Interface) -> Option<u64>),
    Block(fn(&Block) -> Option<u64>),
    /// Each disk, with more labels than its other metrics; always 1.
    LabelledBlock(fn(LabelSet, &Block) -> LabelSet),
}

impl Alias {
    const fn counter(name: &'static str, unit: Unit, per: Per) -> Self {
        Self { name, kind: Kind::Counter, unit, per }
    }

    const fn gauge(name: &'static str, unit: Unit, per: Per) -> Self {
        Self { name, kind: Kind::Gauge, unit, per }
    }
}

const PROFILES: [&Profile; 5] = [
    &tinkoff::PROFILE,
    &vexxhost::PROFILE,
    &opennebula::PROFILE,
    &kubevirt::PROFILE,
    &kumina::PROFILE,
];

/// Their names.
pub(super) const NAMES: [&str; PROFILES.len()] = {
    let (mut names, mut place) = ([""; PROFILES.len()], 0);
    while place < names.len() {
        names[place] = PROFILES[place].name;
        place += 1;
    }
    names
};

impl Profile {
    /// Returns the exporter of this name.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        PROFILES.into_iter().find(|profile| profile.name == name)
    }

    /// Returns the exporter of this name, if its metrics can be served beside ours.
    ///
    /// # Errors
    ///
    /// A sentence that says why they cannot.
    pub(crate) fn beside(name: &str) -> Result<&'static Self, String> {
        match Self::named(name) {
            Some(profile) if profile.is_beside => Ok(profile),
            Some(_) => Err(format!(
                "http.compat has '{name}', whose names are ours with other labels, so that sums \
                 would count twice: scrape /metrics/compat/{name} instead"
            )),
            None => Err(format!("http.compat: {}", Self::unknown(name))),
        }
    }

    /// Returns the error for an unknown exporter.
    pub(crate) fn unknown(name: &str) -> String {
        let known = NAMES.join(", ");
        let name: String = name.chars().take(60).collect();
        format!("there is no exporter '{name}' here: use {known}")
    }

    /// Adds its metrics for a snapshot.
    pub(super) fn push(&self, snapshot: &Snapshot, metadata: &Metadata, metrics: &mut Metrics) {
        for (name, value) in self.whole {
            let family = metrics.family(name, Kind::Gauge, self.help);
            metrics.push(family, &LabelSet::new(), Unit::None, &value(snapshot));
        }
        let mut seen = HashSet::new();
        let labelled_domain = |Labelled { labels, name, uuid, stats, .. }| {
            let metadata = metadata.of(&stats.domain);
            let domain = Domain { name, uuid: uuid.unwrap_or_default(), stats, metadata };
            let mut labels = (self.labels.domain)(labels, &domain)?;
            // Domains that share a name, where the other exporter has only that.
            if !seen.insert(labels.clone()) {
                labels = labels.with("id", &stats.domain.id?.to_string());
            }
            Some((labels, domain))
        };
        let domains: Vec<(LabelSet, Domain<'_>)> =
            labelled(snapshot.report()).filter_map(labelled_domain).collect();
        for alias in self.aliases {
            let family = metrics.family(alias.name, alias.kind, self.help);
            let mut push = |labels: &LabelSet, value: Option<Value<'static>>| {
                if let Some(value) = value {
                    metrics.push(family, labels, alias.unit, &value);
                }
            };
            for (labels, domain) in &domains {
                let stats = domain.stats;
                match alias.per {
                    Per::Domain(of) => push(labels, of(stats)),
                    Per::LabelledDomain(of) => {
                        let (labels, value) = of(labels.clone(), domain).unzip();
                        push(&labels.unwrap_or_default(), value);
                    }
                    Per::Vcpu(of) => {
                        for vcpu in stats.vcpu.iter().flat_map(|group| &group.cpus) {
                            push(&(self.labels.vcpu)(labels.clone(), vcpu), number(of(vcpu)));
                        }
                    }
                    Per::Interface(of) => {
                        let all = stats.interface.iter().flat_map(|group| &group.interfaces);
                        let mut seen = HashSet::new();
                        for (place, one) in all.enumerate() {
                            let labels = (self.labels.interface)(labels.clone(), place, one);
                            if seen.insert(one.name.as_deref()) {
                                push(&labels, number(of(one)));
                            }
                        }
                    }
                    Per::Block(of) => {
                        for (labels, one) in self.blocks(labels, stats) {
                            push(&labels, number(of(one)));
                        }
                    }
                    Per::LabelledBlock(with) => {
                        for (labels, one) in self.blocks(labels, stats) {
                            push(&with(labels, one), Some(Value::UInt(1)));
                        }
                    }
                }
            }
        }
    }

    /// Returns the disks of a domain, with their labels.
    fn blocks<'a>(
        &self,
        labels: &LabelSet,
        stats: &'a DomainStats,
    ) -> impl Iterator<Item = (LabelSet, &'a Block)> {
        let mut seen = HashSet::new();
        let all = stats.block.iter().flat_map(|group| &group.blocks).enumerate();
        all.filter_map(move |(place, one)| {
            // The backing images of a disk have its name.
            let is_new = seen.insert(one.name.as_deref());
            is_new.then(|| ((self.labels.block)(labels.clone(), place, one), one))
        })
    }
}

fn number(value: Option<u64>) -> Option<Value<'static>> {
    value.map(Value::ULLong)
}

/// Returns libvirt's number of a domain's state.
fn state(stats: &DomainStats) -> Option<Value<'static>> {
    stats.state.as_ref()?.state.map(|state| Value::Int(state.code()))
}

/// Returns libvirt's number of a vCPU's state.
fn vcpu_state(vcpu: &Vcpu) -> Option<u64> {
    u64::try_from(vcpu.state?.code()).ok()
}

/// Returns the part of the guest's memory that it uses, in percent.
fn used_percent(stats: &DomainStats) -> Option<Value<'static>> {
    let balloon = stats.balloon.as_ref()?;
    let (total, usable) = (balloon.available?, balloon.usable?);
    #[expect(clippy::cast_precision_loss, reason = "a percentage")]
    let percent = 100.0 - 100.0 * usable as f64 / total as f64;
    (total > 0).then_some(Value::Double(percent))
}

#[cfg(test)]
mod tests {
    use domstats::{Connect, Format, StatsRequest};

    use super::*;

    fn snapshot() -> Snapshot {
        let connect = Connect::open("test:///default?clock=fixed").unwrap();
        Snapshot::of(connect.all_domain_stats(&StatsRequest::new()).unwrap())
    }

    fn names(text: &str) -> HashSet<String> {
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        samples.map(|line| line.split(['{', ' ']).next().unwrap().to_owned()).collect()
    }

    #[test]
    fn names_beside_ours_are_not_ours() {
        let snapshot = snapshot();
        let ours = names(&snapshot.report().to_prometheus());
        for profile in PROFILES {
            let mut metrics = Metrics::new();
            profile.push(&snapshot, &Metadata::default(), &mut metrics);
            let theirs = names(&metrics.to_text(Format::Prometheus));
            assert!(theirs.len() > 3, "{}: {theirs:?}", profile.name);
            let both: Vec<_> = ours.intersection(&theirs).collect();
            assert_eq!(both.is_empty(), profile.is_beside, "{}: {both:?}", profile.name);
        }
    }

    #[test]
    fn values_are_in_the_unit_of_the_other_exporter() {
        let snapshot = snapshot();
        let vm2 = snapshot.report().domain("vm2").unwrap();
        let time = vm2.cpu.as_ref().unwrap().time.unwrap();
        let current = vm2.balloon.as_ref().unwrap().current.unwrap();
        let uuid = vm2.domain.uuid.unwrap();
        let vcpu = vm2.vcpu.as_ref().unwrap().cpus[0].state.unwrap().code();
        let mut metrics = Metrics::new();
        let metadata = Metadata::default();
        PROFILES.iter().for_each(|profile| profile.push(&snapshot, &metadata, &mut metrics));
        let text = metrics.to_text(Format::Prometheus);
        for line in [
            format!("libvirtd_domain_cpu_time{{uuid=\"{uuid}\"}} {time}\n"),
            format!("opennebula_libvirt_memory_total_bytes{{domain=\"vm2\"}} {}\n", current * 1024),
            "libvirt_domain_info_vstate{domain=\"vm2\"} 3\n".to_owned(),
            format!("libvirtd_domain_vcpu_state{{uuid=\"{uuid}\",vcpu=\"0\"}} {vcpu}\n"),
            format!("opennebula_libvirt_vcpu_state{{domain=\"vm2\",vcpu=\"0\"}} {vcpu}\n"),
            format!("libvirt_domains_number {}\n", snapshot.report().domains.len()),
            "opennebula_libvirt_daemon_up 1\n".to_owned(),
            format!("libvirt_domain_state_code{{domain=\"vm2\",uuid=\"{uuid}\"}} 3\n"),
            "kubevirt_vmi_network_receive_bytes_total{name=\"vm2\",interface=\"vnet1\"} 1883825856000\n"
                .to_owned(),
        ] {
            assert!(text.contains(&line), "{line} in {text}");
        }
    }

    #[test]
    fn errors_name_the_place_of_metrics_that_clash_with_ours() {
        assert!(Profile::beside("tinkoff").is_ok());
        let error = Profile::beside("kumina").err().unwrap();
        assert!(error.contains("scrape /metrics/compat/kumina instead"), "{error}");
        let error = Profile::beside("nagios").err().unwrap();
        assert!(error.ends_with("use tinkoff, vexxhost, opennebula, kubevirt, kumina"), "{error}");
    }
}
