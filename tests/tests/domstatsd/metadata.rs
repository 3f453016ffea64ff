//! What management layers write into a domain's description, in the daemon's metrics.

use std::time::{Duration, UNIX_EPOCH};

use domstats::{Connect, DomainFilter, ErrorKind};
use domstats_live::{
    alone,
    domstatsd::Domstatsd,
    lab::lab,
    libvirt::Libvirt,
    patience::{PATIENCE, Stopwatch, wait_until},
};

const NOVA: &str = "<instance><package version='27.1.0'/><name>web 1</name>\
    <creationTime>2024-02-29 12:00:00</creationTime><flavor name='m1.small'><memory>512</memory></flavor>\
    <owner><user uuid='2f1c'>ada</user><project uuid='77aa'>shop</project></owner>\
    <root type='image' uuid='9b0e'/></instance>";

#[test]
fn nova_metadata_is_an_info_metric_and_delays_nothing() {
    alone!();
    let libvirt = Libvirt::start();
    let guests = libvirt.create_many("nova", 2, false);
    let (marked, plain) = (&guests[0].name, &guests[1].name);
    let uri = "http://openstack.org/xmlns/libvirt/nova/1.1";
    let set = ["metadata", marked, uri, "--live", "--key", "nova", "--set", NOVA];
    lab().run(&mut libvirt.virsh(&set));

    let connect = Connect::open(&libvirt.uri()).unwrap();
    let domains = connect.domains(DomainFilter::ACTIVE).unwrap();
    let domain = domains.iter().find(|domain| domain.name() == marked).unwrap();
    let second = Duration::from_secs(1);
    let xml = domain.xml(PATIENCE).unwrap();
    assert!(xml.contains("<mac address=") && xml.contains("<nova:flavor name=\"m1.small\">"));

    // When libvirtd gets its first request for all groups, it keeps others waiting for longer than
    // the daemon does.
    libvirt.warm_up();
    let daemon = Domstatsd::start(&["-c", &libvirt.uri(), "--timeout", "30s"]);
    let scrape = || daemon.http().get("/metrics?format=prometheus&stats=state").text();
    let infos = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| line.starts_with("libvirt_domain_openstack_info{"));
        lines.map(str::to_owned).collect()
    };
    let mut found = Vec::new();
    wait_until(PATIENCE, "libvirt says nothing of the domains", || {
        found = infos(&scrape());
        !found.is_empty()
    });
    let expected = format!(
        "libvirt_domain_openstack_info{{domain=\"{marked}\",instance_id=\"{}\",\
         instance_name=\"web 1\",flavor_name=\"m1.small\",user_id=\"2f1c\",user_name=\"ada\",\
         project_id=\"77aa\",project_name=\"shop\",root_type=\"image\",root_id=\"9b0e\"}} 1",
        domain.uuid().unwrap()
    );
    assert_eq!(found, [expected]);
    assert!(scrape().contains(&format!("libvirt_domain_info{{domain=\"{plain}\"")));

    // The same under other exporters' names.
    let uuid = domain.uuid().unwrap();
    let unmarked = domains.iter().find(|domain| domain.name() == plain).unwrap();
    let compat = |name: &str| daemon.http().get(&format!("/metrics/compat/{name}")).text();
    let line = format!(
        "libvirt_domain_info_meta{{domain=\"{marked}\",uuid=\"{uuid}\",instance_name=\"web 1\",\
         flavor=\"m1.small\",user_name=\"ada\",user_uuid=\"2f1c\",project_name=\"shop\",\
         project_uuid=\"77aa\",root_type=\"image\",root_uuid=\"9b0e\"}} 1\n"
    );
    let text = compat("tinkoff");
    assert!(text.contains(&line), "{line} in {text}");
    let text = compat("kumina");
    for line in [
        format!(
            "libvirt_domain_info_virtual_cpus{{domain=\"{marked}\",uuid=\"{uuid}\",name=\"web 1\",\
             flavor=\"m1.small\",project_name=\"shop\"}} "
        ),
        format!(
            "libvirt_domain_info_virtual_cpus{{domain=\"{plain}\",uuid=\"{}\"}} ",
            unmarked.uuid().unwrap()
        ),
        "libvirt_up 1\n".to_owned(),
        "libvirt_domains_number 2\n".to_owned(),
    ] {
        assert!(text.contains(&line), "{line} in {text}");
    }
    let text = compat("vexxhost");
    let series = format!(
        "libvirtd_domain_seconds{{uuid=\"{uuid}\",instance_type=\"m1.small\",user_id=\"2f1c\",\
         project_id=\"77aa\"}} "
    );
    let line = text.lines().find_map(|line| line.strip_prefix(&series));
    let age: f64 = line.unwrap_or_else(|| panic!("{series} in {text}")).parse().unwrap();
    let created = Duration::from_secs(1_709_208_000);
    let expected = (UNIX_EPOCH + created).elapsed().unwrap().as_secs_f64();
    assert!((age - expected).abs() < 60.0, "{age}, not {expected}");

    // A stuck libvirt daemon delays its metadata, but no scrape.
    libvirt.freeze();
    let stopwatch = Stopwatch::start();
    let error = domain.xml(second).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    stopwatch.assert_within(second + second / 2);
    libvirt.thaw();

    // It is known until the domain ends, and no longer.
    drop(guests);
    wait_until(PATIENCE, "what libvirt said of domains that ended is still there", || {
        infos(&scrape()).is_empty()
    });
    let made_up = Connect::open("test:///default").unwrap();
    let error = made_up.domains(DomainFilter::empty()).unwrap()[0].xml(second).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSupport);
}
