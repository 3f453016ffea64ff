//! What the daemon pushes to a collector, and collectors that do not accept it.

use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use domstats_live::{
    alone,
    collector::{self, Collector},
    domstatsd::Domstatsd,
    guest::{Spec, boot_all},
    lab::lab,
    libvirt::{DIRECTLY, Libvirt},
    patience::{self, PATIENCE, wait_until},
    pki::Pki,
    process::{self, hang_up},
};
use serde_json::Value;

/// Starts a daemon that pushes to a port, with these settings.
fn pushing(port: u16, options: &[&str], settings: &str) -> Domstatsd {
    let lines = format!("[otlp]\nendpoint = \"http://127.0.0.1:{port}\"\n{settings}");
    Domstatsd::start_with(options, &lines)
}

/// Returns the value of a series of `/metrics`.
fn count(daemon: &Domstatsd, series: &str) -> f64 {
    let text = daemon.http().get("/metrics?format=prometheus&stats=state").text();
    let line = text.lines().find_map(|line| line.strip_prefix(series));
    line.unwrap_or_else(|| panic!("{series} in {text}")).trim().parse().unwrap()
}

fn points(daemon: &Domstatsd, result: &str) -> f64 {
    count(daemon, &format!("domstatsd_otlp_points_total{{result=\"{result}\"}}"))
}

/// Returns the series of the older text form, by name and labels, except those of the domains' age.
fn series(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| {
        line.starts_with("libvirt_") && !line.starts_with("libvirt_domain_sample_age_seconds")
    });
    let series = lines.map(|line| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        (series.to_owned(), value.parse().unwrap())
    });
    series.collect()
}

/// Returns a point with the name and the labels that `/metrics` has for it.
fn as_series(point: &Value) -> (String, f64) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let name = text(&point["name"]);
    let ending = if point["kind"] == "sum" { "_total" } else { "" };
    let labels = point["attributes"].as_object().unwrap().iter();
    // Here every series of a domain has the UUID; in /metrics, only the info metric.
    let labels = labels.filter(|(label, _)| *label != "uuid" || name == "libvirt_domain_info");
    let labels: Vec<_> =
        labels.map(|(label, value)| format!("{label}=\"{}\"", value.as_str().unwrap())).collect();
    let labels = match labels.is_empty() {
        true => String::new(),
        false => format!("{{{}}}", labels.join(",")),
    };
    (format!("{name}{ending}{labels}"), point["value"].as_f64().unwrap())
}

#[test]
fn a_collector_gets_the_same_as_a_scrape() {
    let _ = collector::python();
    alone!();
    let guests = boot_all([Spec::full("pushed").running(), Spec::full("still")]);
    let libvirt = Libvirt::start();
    let _its = libvirt.create("virt", false);
    libvirt.warm_up();
    let collector = Collector::start(&[]);
    let options = ["-c", &libvirt.uri(), "-c", DIRECTLY, "--timeout", "30s"];
    let daemon = pushing(collector.port(), &options, "interval = \"1h\"\n");
    let first = collector.wait_for(1);
    assert_eq!(first[0]["path"], "/v1/metrics");
    assert_eq!(first[0]["headers"]["content-type"], "application/x-protobuf");

    // From here on a pass is kept for clients that accept an old one. The next push makes a new
    // one, and the scrape after it uses the same.
    let scrape = || daemon.http().get("/metrics?format=prometheus&max_age=60s").text();
    let _ = scrape();
    hang_up(daemon.pid());
    let request = &collector.wait_for(2)[1];
    wait_until(PATIENCE, "it is counted", || points(&daemon, "sent") > 0.0);
    let scraped = series(&scrape());

    let all = request["points"].as_array().unwrap();
    let of_domains = all.iter().filter(|point| {
        let name = point["name"].as_str().unwrap();
        name.starts_with("libvirt_") && name != "libvirt_domain_sample_age_seconds"
    });
    let pushed: BTreeMap<_, _> = of_domains.clone().map(as_series).collect();
    assert_eq!(of_domains.clone().count(), pushed.len(), "a series comes twice");
    assert!(pushed.len() > 300, "{}", pushed.len());
    let names: [Vec<_>; 2] = [&pushed, &scraped].map(|all| all.keys().collect());
    assert_eq!(names[0], names[1]);
    for (series, value) in &scraped {
        let pushed = pushed[series];
        assert!((pushed - value).abs() <= value.abs() * 1e-12, "{series}: {pushed}, not {value}");
    }

    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    for point in all {
        let name = point["name"].as_str().unwrap();
        let is_sum = point["kind"] == "sum";
        assert_eq!((&point["monotonic"], &point["cumulative"]), (&is_sum.into(), &is_sum.into()));
        let age = now - u128::from(point["time"].as_u64().unwrap());
        assert!(age < 60_000_000_000, "{name} is {age} ns old");
        // The start of a domain's counters is unknown; that of the daemon's counters is known.
        let start = point["start"].as_u64().unwrap();
        assert_eq!(start > 0, is_sum && name.starts_with("domstatsd_"), "{name}");
        assert_eq!(point["resource"]["service.name"], "domstatsd");
        let host = rustix::system::uname();
        assert_eq!(point["resource"]["host.name"], host.nodename().to_str().unwrap());
        assert_eq!(point["resource"]["service.instance.id"], point["resource"]["host.name"]);
        assert!(!point["resource"]["service.version"].as_str().unwrap().is_empty());
        assert!(!point["help"].as_str().unwrap().is_empty());
    }
    let of = |name: &str| {
        let is = |point: &&Value| {
            point["name"] == name && point["attributes"]["domain"] == guests[0].name()
        };
        all.iter().find(is).unwrap_or_else(|| panic!("no {name}"))
    };
    let time = of("libvirt_domain_info_cpu_time_seconds");
    assert_eq!((&time["unit"], &time["kind"]), (&"s".into(), &"sum".into()));
    assert_eq!(time["attributes"]["uuid"], guests[0].uuid.as_str());
    let memory = of("libvirt_domain_info_maximum_memory_bytes");
    assert_eq!((&memory["unit"], &memory["kind"]), (&"By".into(), &"gauge".into()));
}

#[test]
fn rejected_pushes_are_retried_or_counted() {
    let _ = collector::python();
    alone!();
    let collector = Collector::start(&["429:3", "503", "200", "400", "partial:7"]);
    let options = ["-c", "test:///default"];
    let daemon = pushing(collector.port(), &options, "interval = \"1h\"\n");
    let requests = collector.wait_for(3);
    let at = |place: usize| requests[place]["at"].as_f64().unwrap();
    assert!(at(1) - at(0) >= 3.0, "it did not wait as long as it was told");
    // The second pause is twice the first, less the random part.
    let pause = at(2) - at(1);
    assert!((1.0..4.0).contains(&pause), "{pause}");
    let sent = requests[2]["points"].as_array().unwrap().len();
    assert!(requests.iter().all(|request| request["points"] == requests[0]["points"]));
    let retries = "domstatsd_otlp_retries_total";
    wait_until(PATIENCE, "it is counted", || points(&daemon, "sent") == sent as f64);
    assert_eq!((count(&daemon, retries), points(&daemon, "dropped")), (2.0, 0.0));

    // A refused push is not retried.
    hang_up(daemon.pid());
    let refused = collector.wait_for(4)[3]["points"].as_array().unwrap().len() as f64;
    wait_until(PATIENCE, "it is counted", || points(&daemon, "dropped") == refused);
    let said = "metrics were dropped: it answered 400 Bad Request not now";
    wait_until(PATIENCE, "it is said", || daemon.said().iter().any(|line| line.contains(said)));
    hang_up(daemon.pid());
    let partial = collector.wait_for(5)[4]["points"].as_array().unwrap().len() as f64;
    wait_until(PATIENCE, "it is counted", || points(&daemon, "dropped") == refused + 7.0);
    assert_eq!(points(&daemon, "sent"), sent as f64 + partial - 7.0);
    assert_eq!(count(&daemon, retries), 2.0);
    assert!(daemon.said().iter().any(|line| line.contains("the collector says: too old")));
}

#[test]
fn retry_after_is_observed() {
    let _ = collector::python();
    alone!();
    let collector = Collector::start(&["503:5"]);
    let daemon = pushing(collector.port(), &["-c", "test:///default"], "interval = \"1s\"\n");
    let requests = collector.wait_for(2);
    let at = |place: usize| requests[place]["at"].as_f64().unwrap();
    assert!(at(1) - at(0) >= 5.0, "{}", at(1) - at(0));
    let lost = requests[0]["points"].as_array().unwrap().len() as f64;
    assert_eq!(
        (points(&daemon, "dropped"), count(&daemon, "domstatsd_otlp_retries_total")),
        (lost, 0.0)
    );
}

#[test]
fn a_dead_collector_costs_scrapes_and_memory_nothing() {
    let _ = collector::python();
    alone!();
    let gone = lab().port();
    // The kernel accepts the connection, and nothing reads from it.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let hanging = Collector::start(&["hang"; 100]);
    for port in [gone, mute.local_addr().unwrap().port(), hanging.port()] {
        let options = ["-c", "test:///default?domains=1000"];
        let daemon = pushing(port, &options, "interval = \"1s\"\ntimeout = \"700ms\"\n");
        wait_until(PATIENCE, "some were dropped", || points(&daemon, "dropped") > 0.0);
        let usual = daemon.metrics_of(1000).body.len() as u64 / 1024;
        let (before, dropped) = (process::memory(daemon.pid()), points(&daemon, "dropped"));
        for _ in 0..40 {
            let (scrape, took) = patience::time(|| daemon.http().get("/metrics"));
            assert_eq!(scrape.status, 200);
            took.assert_within(Duration::from_secs(2));
            thread::sleep(Duration::from_millis(200));
        }
        wait_until(PATIENCE, "it goes on", || points(&daemon, "dropped") > dropped * 3.0);
        let after = process::memory(daemon.pid());
        // A few answers, which the allocator keeps; one pass is twice that before it is compressed.
        assert!(after < before + 8 * usual, "from {before} to {after} KiB, {usual} an answer");
        assert_eq!(points(&daemon, "sent"), 0.0);
        // This is logged once, and not every second.
        let said = daemon.said().iter().filter(|line| line.contains("were dropped")).count();
        assert_eq!(said, 1, "{:?}", daemon.said());
        assert!(daemon.stop(), "it ends at once");
    }
}

#[test]
fn a_collector_gets_token_and_headers_over_tls() {
    let _ = collector::python();
    alone!();
    let pki = Pki::new();
    let collector = Collector::start_with(&[], &pki.server);
    let token = lab().path(lab().name("collector-token"));
    fs::write(&token, "tell-nobody\n").unwrap();
    let settings = |ca: &str| {
        format!(
            "[otlp]\nendpoint = \"https://localhost:{}/otlp/v1/metrics\"\ntoken_file = {token:?}\n\
             headers = {{ X-Scope-OrgID = \"tenant\" }}\n{ca}",
            collector.port()
        )
    };
    let ca = format!("ca = \"{}/cacert.pem\"\n", pki.client.display());
    let daemon = Domstatsd::start_with(&["-c", "test:///default"], &settings(&ca));
    let request = &collector.wait_for(1)[0];
    assert_eq!(request["path"], "/otlp/v1/metrics");
    assert_eq!(request["headers"]["authorization"], "Bearer tell-nobody");
    assert_eq!(request["headers"]["x-scope-orgid"], "tenant");
    wait_until(PATIENCE, "it is counted", || points(&daemon, "sent") > 0.0);
    assert!(daemon.said().iter().all(|line| !line.contains("tell-nobody")));

    // A collector whose authority is not trusted gets nothing.
    let daemon =
        Domstatsd::start_with(&["-c", "test:///default"], &settings("interval = \"2s\"\n"));
    wait_until(PATIENCE, "it is dropped", || points(&daemon, "dropped") > 0.0);
    assert!(daemon.said().iter().any(|line| line.contains("metrics were dropped: no TLS")));
    assert_eq!(collector.requests().len(), 1);
}
