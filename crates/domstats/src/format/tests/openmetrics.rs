//! Metric names, base units and labels. `tests/library/tools.rs` runs promtool and the Python parser.

use std::{collections::HashSet, ops::Range, time::Duration};

use crate::{
    DomainStats, Format, StatsReport, Value,
    format::{LabelSet, Labels, Metrics, Number, push_label_value, sample},
    model::stats::{Kind, Unit},
};

fn lines(report: &StatsReport) -> Vec<String> {
    report.to_openmetrics().lines().map(str::to_owned).collect()
}

#[test]
fn values_are_exact_in_base_units() {
    let mut report = sample::canonical();
    let mut domain = DomainStats::new(report.domains[0].domain.clone());
    for (key, value) in [
        ("cpu.time", Value::ULLong(u64::MAX)),
        ("cpu.user", Value::ULLong(10)),
        ("cpu.system", Value::ULLong(2_500_000_000)),
        ("balloon.current", Value::ULLong(u64::MAX)),
        ("dirtyrate.megabytes_per_second", Value::LLong(-1)),
        ("vcpu.0.halted", Value::Boolean(true)),
    ] {
        domain.set_param(key, &value);
    }
    report.domains = vec![domain];
    let lines = lines(&report);
    for line in [
        "libvirt_domain_info_cpu_time_seconds_total{domain=\"vm1\"} 18446744073.709551615",
        "libvirt_domain_cpu_user_seconds_total{domain=\"vm1\"} 0.00000001",
        "libvirt_domain_cpu_system_seconds_total{domain=\"vm1\"} 2.5",
        "libvirt_domain_memory_stats_current_balloon_bytes{domain=\"vm1\"} 18889465931478580853760",
        "libvirt_domain_dirty_rate_bytes_per_second{domain=\"vm1\"} -1048576",
        "libvirt_domain_vcpu_halted{domain=\"vm1\",vcpu=\"0\"} 1",
    ] {
        assert!(lines.iter().any(|written| written == line), "{line} in {lines:#?}");
    }
}

/// Domains that share a name, a domain that was listed twice, a disk with images below it.
#[test]
fn no_series_is_written_twice() {
    let mut report = sample::canonical();
    report.domains.push(sample::full("vm1", 4_001));
    report.domains.push(sample::full("vm1", 77));
    for domain in &mut report.domains {
        for block in domain.block.iter_mut().flat_map(|group| &mut group.blocks) {
            block.name = Some("vda".into());
        }
    }
    let lines = lines(&report);
    let mut seen = HashSet::new();
    for line in lines.iter().filter(|line| !line.starts_with('#')) {
        let series = line.rsplit_once(' ').unwrap().0;
        assert!(seen.insert(series), "{series} twice");
    }
    for labels in [
        "{domain=\"vm1\",uuid=\"11112222-3333-4444-5555-666600000fa1\",id=\"4001\",target_device=\"vda\"} ",
        "id=\"77\",target_device=\"vda\",index=\"1\"} ",
    ] {
        let series = "libvirt_domain_block_stats_read_bytes_total{";
        assert!(
            lines.iter().any(|line| line.starts_with(series) && line.contains(labels)),
            "{labels}"
        );
    }
}

#[test]
fn each_form_announces_counters_in_its_way() {
    let report = sample::canonical();
    let name = "libvirt_domain_info_cpu_time_seconds";
    let (open, older) = (report.to_openmetrics(), report.to_prometheus());
    assert!(
        open.contains(&format!("# TYPE {name} counter\n# UNIT {name} seconds\n{name}_total{{"))
    );
    assert!(older.contains(&format!("# TYPE {name}_total counter\n{name}_total{{")));
    assert!(!older.contains("# UNIT") && !older.contains("# EOF"));
    let samples = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    };
    assert_eq!(samples(&open), samples(&older));
}

#[test]
fn families_are_contiguous_and_labels_unique() {
    let mut ended = HashSet::new();
    let mut family = String::new();
    for line in lines(&sample::canonical()) {
        if line.starts_with('#') {
            continue;
        }
        let (name, rest) = line.split_once(['{', ' ']).unwrap();
        if name != family {
            assert!(ended.insert(name.to_owned()), "{name} is in two places");
            family = name.to_owned();
        }
        // Every label of the sample report but the odd domain's name is a plain word.
        if line.contains("domain=\"vm1\"") {
            let mut labels = HashSet::new();
            for label in rest.split([',', '{']).filter_map(|label| label.split_once("=\"")) {
                assert!(labels.insert(label.0), "{} twice: {line}", label.0);
            }
        }
    }
}

#[test]
fn a_domain_is_as_old_as_its_own_values() {
    let report = sample::canonical();
    let mut metrics = Metrics::new();
    metrics.push_age(&report, Duration::from_millis(10));
    let text = metrics.to_text(Format::Prometheus);
    let age = "libvirt_domain_sample_age_seconds";
    // It was read 1.543211 ms after the others.
    assert!(text.contains(&format!("{age}{{domain=\"vm2\"}} 0.008456789\n")), "{text}");
    assert!(text.contains(&format!("{age}{{domain=\"vm1\"}} 0.01\n")), "{text}");
}

/// Labels that are kept as pairs.
#[derive(Clone, Default)]
struct Pairs(Vec<(String, String)>);

impl Labels for Pairs {
    type Part = [(String, String)];

    fn push(&mut self, name: &str, value: &Value<'_>) {
        let mut text = String::new();
        push_label_value(&mut text, value);
        self.0.push((name.to_owned(), text));
    }

    fn length(&self) -> usize {
        self.0.len()
    }

    fn truncate(&mut self, length: usize) {
        self.0.truncate(length);
    }

    fn part(&self, range: Range<usize>) -> &Self::Part {
        &self.0[range]
    }

    fn append(&mut self, labels: &Self) {
        self.0.extend(labels.0.iter().cloned());
    }
}

/// Samples whose labels have another form are those that the text has.
#[test]
fn samples_are_those_of_the_text() {
    let mut metrics = Metrics::new();
    let mut report = sample::canonical();
    report.domains[1].domain.name = "a \\ \"b\"\nc,d=\"}".into();
    metrics.push_report(&report);
    let text = metrics.to_text(Format::Prometheus);
    let mut in_pairs = Metrics::<Pairs>::default();
    in_pairs.push_report(&report);
    let mut written = text.lines().filter(|line| !line.starts_with('#'));
    let mut count = 0;
    for family in in_pairs.families() {
        let ending = if family.kind() == Kind::Counter { "_total" } else { "" };
        for sample in family.samples() {
            let mut labels = LabelSet::new();
            for (name, value) in sample.labels {
                labels = labels.with(name, value);
            }
            // Written alone, in a collection of one.
            let mut one = Metrics::new();
            let id = one.family(family.name(), family.kind(), family.help());
            let value = match sample.value {
                Number::Integer(whole) => Value::LLong(whole),
                Number::Double(number) => Value::Double(number),
            };
            one.push(id, &labels, Unit::None, &value);
            let one = one.to_text(Format::Prometheus);
            let series = |line: &str| {
                let (series, value) = line.rsplit_once(' ').unwrap();
                (series.to_owned(), value.parse::<f64>().unwrap())
            };
            let ours = series(one.lines().last().unwrap());
            assert!(ours.0.starts_with(&format!("{}{ending}", family.name())));
            assert_eq!(ours, series(written.next().unwrap()));
            count += 1;
        }
    }
    assert!(written.next().is_none() && count > 300, "{count}");
}
