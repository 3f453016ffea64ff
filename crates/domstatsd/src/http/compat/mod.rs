//! The names of other exporters, for dashboards that were made for them.
//!
//! Some differ from ours in every name, and can stand beside ours (`--compat`). Others use a name of
//! ours with more labels: beside ours a sum would count everything twice, so they are only at
//! `/metrics/compat/NAME`, where all are.

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
    answers::Pass,
    description::{NOVA, Said},
    metadata::Metadata,
};

/// Another exporter.
pub(crate) struct Profile {
    name: &'static str,
    /// Whether none of its names is one of ours.
    is_beside: bool,
    help: &'static str,
    /// What it calls whether the hypervisor answered, and the number of its domains.
    whole: &'static [Whole],
    labels: LabelNames,
    aliases: &'static [Alias],
}

/// The name of a metric without labels, and its value.
type Whole = (&'static str, fn(&Pass) -> Value<'static>);

/// A domain, how it is called in labels, and what management layers say of it.
struct About<'a> {
    name: Cow<'a, str>,
    /// Empty if it has none.
    uuid: String,
    stats: &'a DomainStats,
    said: Arc<[Said]>,
}

impl About<'_> {
    /// Returns whether OpenStack made it.
    fn is_of_nova(&self) -> bool {
        self.said.iter().any(|said| said.layer.metric == NOVA)
    }

    /// Returns what OpenStack says of it; empty if nothing.
    fn nova(&self, label: &str) -> &str {
        let nova = self.said.iter().find(|said| said.layer.metric == NOVA);
        nova.and_then(|said| said.value(label)).unwrap_or_default()
    }
}

/// How it labels what it measures. What a domain lacks, such as a UUID, leaves it out.
struct LabelNames {
    domain: fn(LabelSet, &About<'_>) -> Option<LabelSet>,
    vcpu: fn(LabelSet, &Vcpu) -> LabelSet,
    interface: fn(LabelSet, usize, &Interface) -> LabelSet,
    block: fn(LabelSet, usize, &Block) -> LabelSet,
}

/// A metric of another exporter. Its value is in the base unit; without a unit, as libvirt has it.
struct Alias {
    name: &'static str,
    kind: Kind,
    unit: Unit,
    of: Of,
}

enum Of {
    Domain(fn(&DomainStats) -> Option<Value<'static>>),
    /// A domain, with more labels than its other metrics.
    Labelled(fn(LabelSet, &About<'_>) -> Option<(LabelSet, Value<'static>)>),
    Vcpu(fn(&Vcpu) -> Option<u64>),
    Interface(fn(&Interface) -> Option<u64>),
    Block(fn(&Block) -> Option<u64>),
    /// A disk, with more labels than its other metrics; always 1.
    BlockLabels(fn(LabelSet, &Block) -> LabelSet),
}

impl Alias {
    const fn counter(name: &'static str, unit: Unit, of: Of) -> Self {
        Self { name, kind: Kind::Counter, unit, of }
    }

    const fn gauge(name: &'static str, unit: Unit, of: Of) -> Self {
        Self { name, kind: Kind::Gauge, unit, of }
    }
}

const PROFILES: [&Profile; 5] = [
    &tinkoff::PROFILE,
    &vexxhost::PROFILE,
    &opennebula::PROFILE,
    &kubevirt::PROFILE,
    &kumina::PROFILE,
];

impl Profile {
    /// Returns the exporter of this name.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        PROFILES.into_iter().find(|profile| profile.name == name)
    }

    /// Returns the exporter of this name, whose metrics are to stand beside ours.
    ///
    /// # Errors
    ///
    /// The sentence that says why it cannot.
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

    /// Returns the sentence for a name that no exporter has.
    pub(crate) fn unknown(name: &str) -> String {
        let known = PROFILES.map(|profile| profile.name).join(", ");
        let name: String = name.chars().take(60).collect();
        format!("there are no names of '{name}': use {known}")
    }

    /// Adds the domains of a report under its names.
    pub(super) fn push(&self, pass: &Pass, metadata: &Metadata, metrics: &mut Metrics) {
        for (name, value) in self.whole {
            let family = metrics.family(name, Kind::Gauge, self.help);
            metrics.push(family, &LabelSet::new(), Unit::None, &value(pass));
        }
        let mut seen = HashSet::new();
        let about = |Labelled { labels, name, uuid, stats, .. }| {
            let said = metadata.of(&stats.domain);
            let about = About { name, uuid: uuid.unwrap_or_default(), stats, said };
            let mut labels = (self.labels.domain)(labels, &about)?;
            // Domains of one name, where the other exporter has that alone.
            if !seen.insert(labels.clone()) {
                labels = labels.with("id", &stats.domain.id?.to_string());
            }
            Some((labels, about))
        };
        let domains: Vec<(LabelSet, About<'_>)> =
            labelled(&pass.answer.of_all).filter_map(about).collect();
        for alias in self.aliases {
            let family = metrics.family(alias.name, alias.kind, self.help);
            let mut push = |labels: &LabelSet, value: Option<Value<'static>>| {
                if let Some(value) = value {
                    metrics.push(family, labels, alias.unit, &value);
                }
            };
            for (labels, about) in &domains {
                let stats = about.stats;
                match alias.of {
                    Of::Domain(of) => push(labels, of(stats)),
                    Of::Labelled(of) => {
                        let (labels, value) = of(labels.clone(), about).unzip();
                        push(&labels.unwrap_or_default(), value);
                    }
                    Of::Vcpu(of) => {
                        for vcpu in stats.vcpu.iter().flat_map(|group| &group.cpus) {
                            push(&(self.labels.vcpu)(labels.clone(), vcpu), number(of(vcpu)));
                        }
                    }
                    Of::Interface(of) => {
                        let all = stats.interface.iter().flat_map(|group| &group.interfaces);
                        let mut seen = HashSet::new();
                        for (place, one) in all.enumerate() {
                            let labels = (self.labels.interface)(labels.clone(), place, one);
                            if seen.insert(one.name.as_deref()) {
                                push(&labels, number(of(one)));
                            }
                        }
                    }
                    Of::Block(of) => {
                        for (labels, one) in self.blocks(labels, stats) {
                            push(&labels, number(of(one)));
                        }
                    }
                    Of::BlockLabels(with) => {
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
            // The images under a disk have its name.
            let is_new = seen.insert(one.name.as_deref());
            is_new.then(|| ((self.labels.block)(labels.clone(), place, one), one))
        })
    }
}

fn number(value: Option<u64>) -> Option<Value<'static>> {
    value.map(Value::ULLong)
}

/// The number that libvirt has for a domain's state.
fn state(stats: &DomainStats) -> Option<Value<'static>> {
    stats.state.as_ref()?.state.map(|state| Value::Int(state.code()))
}

/// libvirt's number for a vCPU's state.
fn vcpu_state(vcpu: &Vcpu) -> Option<u64> {
    u64::try_from(vcpu.state?.code()).ok()
}

/// The part of the guest's memory that it uses, in percent.
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

    fn pass() -> Pass {
        let connect = Connect::open("test:///default?clock=fixed").unwrap();
        Pass::of(connect.all_domain_stats(&StatsRequest::new()).unwrap())
    }

    fn names(text: &str) -> HashSet<String> {
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        samples.map(|line| line.split(['{', ' ']).next().unwrap().to_owned()).collect()
    }

    #[test]
    fn names_beside_ours_are_not_ours() {
        let pass = pass();
        let ours = names(&pass.answer.of_all.to_prometheus());
        for profile in PROFILES {
            let mut metrics = Metrics::new();
            profile.push(&pass, &Metadata::default(), &mut metrics);
            let theirs = names(&metrics.to_text(Format::Prometheus));
            assert!(theirs.len() > 3, "{}: {theirs:?}", profile.name);
            let both: Vec<_> = ours.intersection(&theirs).collect();
            assert_eq!(both.is_empty(), profile.is_beside, "{}: {both:?}", profile.name);
        }
    }

    #[test]
    fn values_are_in_the_unit_of_the_other_exporter() {
        let pass = pass();
        let vm2 = pass.answer.of_all.domain("vm2").unwrap();
        let time = vm2.cpu.as_ref().unwrap().time.unwrap();
        let current = vm2.balloon.as_ref().unwrap().current.unwrap();
        let uuid = vm2.domain.uuid.unwrap();
        let vcpu = vm2.vcpu.as_ref().unwrap().cpus[0].state.unwrap().code();
        let mut metrics = Metrics::new();
        let metadata = Metadata::default();
        PROFILES.iter().for_each(|profile| profile.push(&pass, &metadata, &mut metrics));
        let text = metrics.to_text(Format::Prometheus);
        for line in [
            format!("libvirtd_domain_cpu_time{{uuid=\"{uuid}\"}} {time}\n"),
            format!("opennebula_libvirt_memory_total_bytes{{domain=\"vm2\"}} {}\n", current * 1024),
            "libvirt_domain_info_vstate{domain=\"vm2\"} 3\n".to_owned(),
            format!("libvirtd_domain_vcpu_state{{uuid=\"{uuid}\",vcpu=\"0\"}} {vcpu}\n"),
            format!("opennebula_libvirt_vcpu_state{{domain=\"vm2\",vcpu=\"0\"}} {vcpu}\n"),
            format!("libvirt_domains_number {}\n", pass.answer.of_all.domains.len()),
            "opennebula_libvirt_daemon_up 1\n".to_owned(),
            format!("libvirt_domain_state_code{{domain=\"vm2\",uuid=\"{uuid}\"}} 3\n"),
            "kubevirt_vmi_network_receive_bytes_total{name=\"vm2\",interface=\"vnet1\"} 1883825856000\n"
                .to_owned(),
        ] {
            assert!(text.contains(&line), "{line} in {text}");
        }
    }

    #[test]
    fn what_cannot_stand_beside_ours_says_where_it_is() {
        assert!(Profile::beside("tinkoff").is_ok());
        let error = Profile::beside("kumina").err().unwrap();
        assert!(error.contains("scrape /metrics/compat/kumina instead"), "{error}");
        let error = Profile::beside("nagios").err().unwrap();
        assert!(error.ends_with("use tinkoff, vexxhost, opennebula, kubevirt, kumina"), "{error}");
    }
}
