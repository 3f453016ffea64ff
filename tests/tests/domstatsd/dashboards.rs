//! The dashboard and the alerts that ship with the daemon, as a real Prometheus sees them.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use domstats_live::{alone, domstatsd::Domstatsd, lab::lab, prometheus::Prometheus};
use serde_json::Value;

fn docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)
}

#[test]
fn each_alert_fires_when_it_should() {
    alone!();
    let mut check = lab().command("promtool");
    lab().run(check.args(["check", "rules"]).arg(docs("alerts.yml")));
    let mut test = lab().command("promtool");
    lab().run(test.args(["test", "rules"]).arg(docs("alerts_test.yml")));
    let (rules, tests) = ["alerts.yml", "alerts_test.yml"]
        .map(|name| fs::read_to_string(docs(name)).unwrap())
        .into();
    for alert in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(tests.contains(&format!("alertname: {alert}\n")), "{alert} is not tested");
    }
}

/// Returns the names of our metrics in a text.
fn metrics(text: &str) -> HashSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("libvirt_") || word.starts_with("domstatsd_")).collect()
}

#[test]
fn alerts_and_dashboard_use_metrics_that_exist() {
    alone!();
    // Two hosts whose domains have the same names.
    let daemon = Domstatsd::start(&["-c", "test:///default", "-c", "test:///default?seed=7"]);
    let text = daemon.http().get("/metrics").text();
    let exist = metrics(&text);
    for name in ["alerts.yml", "grafana/domstats.json"] {
        let text = fs::read_to_string(docs(name)).unwrap();
        let used = metrics(&text);
        assert!(used.len() > 8, "{name}: {used:?}");
        let unknown: Vec<_> = used.difference(&exist).collect();
        assert!(unknown.is_empty(), "{name} uses {unknown:?}");
    }
}

#[test]
fn every_panel_of_the_dashboard_has_something_to_show() {
    alone!();
    let daemon = Domstatsd::start(&["-c", "test:///default?deny=vm2"]);
    let target = format!("static_configs: [{{targets: ['{}']}}]", daemon.address());
    let prometheus = Prometheus::start(&[("domstats", target)]);
    prometheus.wait_for("count_over_time(libvirt_up[1m])", |all| {
        all.first().is_some_and(|one| one.value >= 4.0)
    });
    let text = fs::read_to_string(docs("grafana/domstats.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let mut asked = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let query = target["expr"].as_str().unwrap();
            let query = query.replace("$instance", ".*").replace("$domain", ".*");
            let query = query.replace("$__rate_interval", "10s");
            assert!(!query.contains('$'), "{query}");
            let samples = prometheus.query(&query).unwrap();
            assert!(!samples.is_empty(), "{}: {query}", panel["title"]);
            asked += 1;
        }
    }
    assert!(asked > 15, "{asked}");
}
