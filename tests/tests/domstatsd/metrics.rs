//! How Prometheus and its tools handle the daemon's `/metrics`, with real guests.

use std::{
    fs,
    io::Write,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use domstats_live::{
    alone,
    domstatsd::Domstatsd,
    fake_daemon::{FakeSpec, Fault, procedure},
    guest::{Guest, Spec, boot_all},
    lab::lab,
    libvirt::{DIRECTLY, Libvirt},
    patience::{Stopwatch, wait_until},
    prometheus::Prometheus,
};

const OPENMETRICS: &str = "accept: application/openmetrics-text; version=1.0.0, text/plain;q=0.5";

fn guests() -> Vec<Guest> {
    boot_all([Spec::new("busy").raw_disks(1).running(), Spec::full("still")])
}

fn run(program: &str, arguments: &[&str], input: &str) -> String {
    let mut command = lab().command(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = process.wait_with_output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{program}: {said}");
    said
}

/// Returns the value of the only line that starts with `series`.
fn value(text: &str, series: &str) -> f64 {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(series));
    let line = lines.next().unwrap_or_else(|| panic!("{series} in {text}"));
    assert!(lines.next().is_none(), "{series} comes twice");
    line.trim().parse().unwrap()
}

/// No existing libvirt has values that are unknown here, so a fake one sends them.
#[test]
fn values_of_a_newer_libvirt_are_counted_and_named_once() {
    alone!();
    let libvirt = FakeSpec::new(2).fault(procedure::STATS, Fault::Newer).start();
    let uri = format!("qemu+unix:///system?socket={}", libvirt.socket.display());
    let daemon = Domstatsd::start(&["-c", &uri, "--timeout", "5s"]);
    for _ in 0..3 {
        let text = daemon.http().get("/metrics").text();
        assert_eq!(value(&text, "libvirt_unknown_values"), 14.0);
        assert_eq!(value(&text, "libvirt_domains"), 2.0);
    }
    let document = daemon.http().get("/v1/domains").text();
    assert!(document.contains("offloaded"), "{document}");
    let named = || {
        let said = daemon.said().into_iter();
        said.filter(|line| line.contains("newer hypervisor")).collect::<Vec<_>>()
    };
    wait_until(Duration::from_secs(10), "the log names nothing", || !named().is_empty());
    let named = named();
    assert_eq!(named.len(), 1, "{named:?}");
    for key in ["state.mood", "net.N.offloaded", "block.N.latency", "gpu.N.name"] {
        assert_eq!(named[0].matches(key).count(), 1, "{key}: {named:?}");
    }
    let daemon = Domstatsd::start(&["-c", "test:///default"]);
    let text = daemon.http().get("/metrics").text();
    assert_eq!(value(&text, "libvirt_unknown_values"), 0.0);
}

#[test]
fn the_tools_of_prometheus_accept_both_forms() {
    alone!();
    let guests = guests();
    let daemon = Domstatsd::start(&["-c", "qemu+qmp:///system", "--compat", "tinkoff,vexxhost"]);

    let older = daemon.http().get("/metrics");
    assert_eq!(older.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = older.text();
    let linted = daemon.http().get("/metrics/compat/kumina").text();
    assert!(linted.contains("libvirt_domain_info_virtual_cpus{domain="), "{linted}");
    for guest in &guests {
        let domain = format!("domain=\"{}\"", guest.name());
        assert_eq!(
            value(&text, &format!("libvirt_domain_scrape_status{{{domain},status=\"ok\"}}")),
            1.0
        );
        let age = value(&text, &format!("libvirt_domain_sample_age_seconds{{{domain}}}"));
        assert!(age > 0.0 && age < 5.0, "{age}");
        assert_eq!(
            value(&text, &format!("libvirt_domain_info_vstate{{{domain}}}")),
            match guest.name() {
                name if name.starts_with("busy") => 1.0,
                _ => 3.0,
            }
        );
        let uuid = format!("libvirtd_domain_cpu_time{{uuid=\"{}\"}}", guest.uuid);
        assert!(value(&text, &uuid) > 0.0);
    }

    let plain = Domstatsd::start(&["-c", "qemu+qmp:///system"]);
    let said = run("promtool", &["check", "metrics"], &plain.http().get("/metrics").text());
    assert_eq!(said, "");

    let open = daemon.http().get_with("/metrics", &[OPENMETRICS]);
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(open.header("content-type"), Some(content_type));
    let said = run(
        "/usr/bin/python3",
        &[
            "-c",
            "import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
kinds = {family.name: (family.type, len(family.samples)) for family in parse(sys.stdin.read())}
print(kinds['libvirt_domain_info_cpu_time_seconds'], kinds['domstatsd_passes'])",
        ],
        &open.text(),
    );
    assert_eq!(said, "('counter', 2) ('counter', 1)\n");
}

#[test]
fn prometheus_knows_the_right_rate() {
    alone!();
    let guests = guests();
    let daemon = Domstatsd::start(&["-c", "qemu+qmp:///system"]);
    let target = format!("static_configs: [{{targets: ['{}']}}]", daemon.address());
    let prometheus = Prometheus::start(&[("domstats", target)]);
    prometheus.wait_for("up{job=\"domstats\"}", |up| up.len() == 1 && up[0].value == 1.0);

    // The rate is compared with what the kernel counts for the process.
    let ticks = || -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", guests[0].pid)).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()
    };
    // A busy machine gives the guest varying time: what it had of each three seconds.
    let used: Vec<f64> = (0..4)
        .map(|_| {
            let (start, before) = (Instant::now(), ticks());
            thread::sleep(Duration::from_secs(3));
            (ticks() - before) / 100.0 / start.elapsed().as_secs_f64()
        })
        .collect();
    let [least, most] = [f64::min, f64::max].map(|of| used.iter().copied().reduce(of).unwrap());
    let busy = guests[0].name();
    let query =
        format!("rate(libvirt_domain_info_cpu_time_seconds_total{{domain=\"{busy}\"}}[10s])");
    let rate = prometheus.query(&query).unwrap()[0].value;
    assert!(most > 0.02, "the guest has nothing to do: {used:?}");
    assert!(rate > least * 0.75 && rate < most * 1.25, "rate {rate}, the kernel says {used:?}");

    let still = guests[1].name();
    let requests = format!(
        "sum by (domain) (rate(libvirt_domain_block_stats_read_requests_total{{domain=~\"{busy}|{still}\"}}[10s]))"
    );
    let rates = prometheus.query(&requests).unwrap();
    assert!(rates.iter().all(|one| one.value >= 0.0) && rates.len() == 2, "{rates:?}");
    let joined = format!(
        "libvirt_domain_info_state{{domain=\"{still}\"}} * on(domain) group_left(uuid) libvirt_domain_info"
    );
    let joined = prometheus.query(&joined).unwrap();
    assert_eq!(joined[0].labels["uuid"], guests[1].uuid);
}

#[test]
fn a_stuck_guest_costs_the_others_nothing() {
    alone!();
    let guests = guests();
    let daemon = Domstatsd::start(&["-c", "qemu+qmp:///system", "--timeout", "3s"]);
    let wedge = guests[1].wedge();
    let stopwatch = Stopwatch::start();
    let text =
        daemon.http().get_with("/metrics", &["X-Prometheus-Scrape-Timeout-Seconds: 2"]).text();
    stopwatch.assert_within(Duration::from_millis(2150));
    let status = |domain: &Guest, status: &str| {
        let labels = format!("domain=\"{}\",status=\"{status}\"", domain.name());
        value(&text, &format!("libvirt_domain_scrape_status{{{labels}}}"))
    };
    assert_eq!((status(&guests[0], "ok"), status(&guests[0], "timeout")), (1.0, 0.0));
    assert_eq!((status(&guests[1], "ok"), status(&guests[1], "timeout")), (0.0, 1.0));
    assert_eq!(value(&text, "domstatsd_stuck_domains"), 1.0);
    let name = guests[1].name();
    assert!(
        text.contains(&format!("libvirt_domain_info_cpu_time_seconds_total{{domain=\"{name}\"}}"))
    );
    drop(wedge);
}

#[test]
fn each_domain_has_the_age_of_its_own_values() {
    alone!();
    let guests = guests();
    let libvirt = Libvirt::start();
    let late = libvirt.create("late", false);
    let daemon = Domstatsd::start(&["-c", &libvirt.uri(), "-c", DIRECTLY, "--timeout", "30s"]);
    let ages = |text: &str| {
        let age = |name: &str| {
            value(text, &format!("libvirt_domain_sample_age_seconds{{domain=\"{name}\"}}"))
        };
        (age(guests[0].name()), age(&late.name))
    };
    // Both are read at once, and age together.
    let asked = Instant::now();
    let kept = daemon.http().get("/metrics?max_age=60s").text();
    thread::sleep(Duration::from_secs(1));
    let kept_ages = ages(&kept);
    let again = ages(&daemon.http().get("/metrics?max_age=60s").text());
    let most = asked.elapsed().as_secs_f64();
    for (before, after) in [(kept_ages.0, again.0), (kept_ages.1, again.1)] {
        assert!(before > 0.0 && after > before + 0.9 && after < most, "{before} {after}");
    }

    // libvirt's daemon does not answer for a while: its domains are read that much later.
    libvirt.freeze();
    let asked = Instant::now();
    let text = thread::scope(|scope| {
        let scrape = scope.spawn(|| daemon.http().get("/metrics").text());
        thread::sleep(Duration::from_secs(3));
        libvirt.thaw();
        scrape.join().unwrap()
    });
    let (early, late) = ages(&text);
    let most = asked.elapsed().as_secs_f64();
    assert!(late > 0.0 && early > late + 1.0 && early < most, "{early} {late}");
}

#[test]
fn without_a_hypervisor_there_are_metrics_that_say_so() {
    alone!();
    let daemon =
        Domstatsd::start(&["-c", "qemu+unix:///system?socket=/nowhere", "--timeout", "300ms"]);
    let answer = daemon.http().get("/metrics");
    assert_eq!(answer.status, 200);
    let text = answer.text();
    assert_eq!(value(&text, "libvirt_up"), 0.0);
    assert_eq!(
        value(&text, "domstatsd_source_up{uri=\"qemu+unix:///system?socket=/nowhere\"}"),
        0.0
    );
    let ready = daemon.http().get("/readyz");
    assert_eq!(ready.status, 503);
    assert!(ready.error().contains("/nowhere"), "{}", ready.error());
    assert_eq!(daemon.http().get("/healthz").status, 200);
    assert_eq!(daemon.http().get("/v1/domains").status, 503);
}
