//! Unprivileged users whose processes have a VM's name and UUID: no domain is hidden, and no client
//! gets their values instead of the VM's.

use std::{collections::BTreeSet, thread, time::Duration};

use domstats::{Conflict, StatsReport};
use domstats_live::{
    alone,
    domstatsd::Domstatsd,
    guest::{Guest, Spec, boot_all},
    impostor::Impostor,
    lab::lab,
    libvirt::{DIRECTLY, Libvirt, virsh},
    patience::{PATIENCE, wait_until},
    prometheus::Prometheus,
};

const NAME: &str = "victim";
const UUID: &str = "5e0c1a9d-1111-4222-8333-444455556666";
const IDENTITY: [&str; 4] = ["-name", "guest=victim", "-uuid", UUID];

/// Has a disk, which distinguishes its values from those of untrusted domains.
fn victim() -> Guest {
    Spec::new("own").raw_disks(1).options(IDENTITY).boot()
}

/// Processes of an unprivileged user that claim the same identity.
struct Strangers {
    qemus: Vec<Guest>,
    impostors: Vec<Impostor>,
}

impl Strangers {
    fn start() -> Self {
        let qemus = boot_all((0..2).map(|_| Spec::new("fake").as_nobody().options(IDENTITY)));
        Self { qemus, impostors: (0..2).map(|_| Impostor::start(&IDENTITY)).collect() }
    }

    fn pids(&self) -> BTreeSet<u32> {
        let qemus = self.qemus.iter().map(|guest| guest.pid);
        qemus.chain(self.impostors.iter().map(Impostor::pid)).collect()
    }
}

fn metrics(daemon: &Domstatsd) -> String {
    daemon.http().get("/metrics?format=prometheus").text()
}

/// The names and labels of all of the victim's series.
fn series(text: &str) -> BTreeSet<String> {
    let its = text.lines().filter(|line| line.contains("{domain=\"victim\""));
    let its = its.filter(|line| !line.starts_with("libvirt_domain_conflict"));
    its.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
}

fn documents(daemon: &Domstatsd, path: &str) -> StatsReport {
    let answer = daemon.http().get(&format!("/v1/domains{path}"));
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    StatsReport::from_json(&answer.text()).unwrap()
}

fn check(daemon: &Domstatsd, victim: &Guest, strangers: &BTreeSet<u32>) {
    let said = |arguments: &[&str]| lab().run(&mut virsh(&daemon.uri(), arguments));
    // All are there, over libvirt's protocol and HTTP, and each is marked.
    let listed = said(&["list", "--id"]);
    let listed: BTreeSet<u32> = listed.split_whitespace().map(|id| id.parse().unwrap()).collect();
    let all: BTreeSet<u32> = strangers.iter().copied().chain([victim.pid]).collect();
    assert_eq!(listed, all);
    let report = documents(daemon, "");
    let mut ids = BTreeSet::new();
    for stats in &report.domains {
        let info = &stats.domain;
        ids.extend(info.id);
        assert_eq!(info.conflict, Conflict::NAME | Conflict::UUID, "{info:?}");
        let is_victim = info.id == Some(victim.pid);
        assert_eq!(
            (info.untrusted, info.uid),
            (!is_victim, Some(if is_victim { 0 } else { 65534 }))
        );
    }
    assert_eq!(ids, all);

    // By its name and its UUID, only the victim is found.
    let pid = victim.pid.to_string();
    for word in [NAME, UUID] {
        assert_eq!(said(&["domid", word]).trim(), pid, "{word}");
        assert!(said(&["domstats", word, "--block"]).contains("block.count=1"), "{word}");
        let one = documents(daemon, &format!("/{word}"));
        let disk = one.domains[0].block.as_ref().unwrap().blocks[0].name.clone().unwrap();
        assert!(said(&["domblkstat", word, &disk]).contains("rd_req"), "{word}");
        let its: Vec<_> = one.domains.iter().map(|stats| stats.domain.id).collect();
        assert_eq!((its, one.missing.len()), (vec![Some(victim.pid)], 0), "{word}");
    }
    // Each by its id.
    assert!(said(&["domstats", &pid, "--block"]).contains("block.count=1"));
    for stranger in strangers {
        let id = stranger.to_string();
        assert!(!said(&["domstats", &id, "--block"]).contains("block.count=1"), "{stranger}");
        assert_eq!(documents(daemon, &format!("/{id}")).domains[0].domain.id, Some(*stranger));
    }

    // A join finds one domain by each label.
    let text = metrics(daemon);
    let infos: Vec<&str> =
        text.lines().filter(|line| line.starts_with("libvirt_domain_info{")).collect();
    assert_eq!(infos.len(), all.len());
    let label = |line: &str, name: &str| {
        let value = line.split_once(&format!("{name}=\"")).unwrap().1;
        value.split('"').next().unwrap().to_owned()
    };
    for name in ["domain", "uuid"] {
        let values: BTreeSet<String> = infos.iter().map(|line| label(line, name)).collect();
        assert_eq!(values.len(), infos.len(), "{name}: {infos:#?}");
    }
    assert!(text.contains("libvirt_domain_conflict{domain=\"victim\",of=\"uuid\"} 1\n"));
    for profile in ["kumina", "tinkoff", "vexxhost", "opennebula", "kubevirt"] {
        let text =
            daemon.http().get(&format!("/metrics/compat/{profile}?format=prometheus")).text();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let mut seen = BTreeSet::new();
        for line in lines {
            let series = line.rsplit_once(' ').unwrap().0;
            assert!(seen.insert(series), "{profile}: {series} twice");
        }
    }
    // The victim is named first, whatever other domains there are.
    let line = || daemon.said().into_iter().find(|line| line.contains("domains in conflict"));
    wait_until(PATIENCE, "the log", || line().is_some());
    let line = line().unwrap();
    let first = format!("'victim' (id {pid}, user 0) has another's name uuid; ");
    assert!(line.contains(&format!("domains in conflict: {first}")), "{line}");
}

#[test]
fn untrusted_domains_with_a_vms_name_and_uuid_take_nothing_from_it() {
    alone!();
    let before = victim();
    let daemon = Domstatsd::start(&["-c", "qemu+qmp:///system"]);
    let alone = series(&metrics(&daemon));
    assert!(alone.len() > 20, "{alone:?}");
    // After the victim, and before it, since it starts again.
    let strangers = Strangers::start();
    check(&daemon, &before, &strangers.pids());
    assert_eq!(series(&metrics(&daemon)), alone.clone());
    drop(before);
    let gone = virsh(&daemon.uri(), &["domid", NAME]).output().unwrap();
    let error = String::from_utf8(gone.stderr).unwrap();
    assert!(!gone.status.success() && error.contains("failed to get domain 'victim'"), "{error}");
    let absent = daemon.http().get("/v1/domains/victim");
    assert_eq!(absent.status, 404);
    assert!(absent.error().contains("user 65534): ask for it by its id"), "{}", absent.error());
    let again = victim();
    for uri in ["qemu+qmp:///system", "qemu+qmp:///system?monitor_policy=hold"] {
        let daemon = Domstatsd::start(&["-c", uri]);
        check(&daemon, &again, &strangers.pids());
        // Its process and its image differ.
        let is_of_both = |one: &&String| {
            !one.starts_with("libvirt_domain_info{") && !one.contains("source_file=")
        };
        let of_both =
            |all: &BTreeSet<String>| all.iter().filter(is_of_both).cloned().collect::<Vec<_>>();
        assert_eq!(of_both(&series(&metrics(&daemon))), of_both(&alone));
    }
}

#[test]
fn prometheus_joins_survive_an_untrusted_domain() {
    alone!();
    let _victim = victim();
    let daemon = Domstatsd::start(&["-c", "qemu+qmp:///system"]);
    let _strangers = Strangers::start();
    let targets = format!("static_configs: [{{targets: [\"{}\"]}}]", daemon.address());
    let prometheus = Prometheus::start(&[("domstats", targets)]);
    prometheus.wait_for("libvirt_domain_info", |all| all.len() == 5);
    for query in [
        "libvirt_domain_info_virtual_cpus * on (domain) group_left (uuid) libvirt_domain_info",
        "libvirt_domain_info * on (uuid) group_left (id) libvirt_domain_info",
    ] {
        let joined = prometheus.wait_for(query, |all| !all.is_empty());
        assert!(joined.iter().any(|one| one.labels["domain"] == NAME), "{query}: {joined:?}");
    }
}

#[test]
fn an_untrusted_domain_with_the_uuid_of_a_libvirt_domain_is_another_domain() {
    alone!();
    let libvirt = Libvirt::start();
    let managed = libvirt.create("managed", false);
    let uuid = lab().run(&mut libvirt.virsh(&["domuuid", &managed.name])).trim().to_owned();
    let identity = ["-name", &managed.name, "-uuid", &uuid];
    let stranger = Impostor::start(&identity);
    let uris = [libvirt.uri(), "qemu+qmp:///system".to_owned()];
    for order in [[0, 1], [1, 0]] {
        let options = order.map(|one| ["-c", &uris[one]]).concat();
        let daemon = Domstatsd::start(&options);
        let said = |arguments: &[&str]| lab().run(&mut virsh(&daemon.uri(), arguments));
        let id = said(&["domid", &uuid]);
        assert_eq!(id, lab().run(&mut libvirt.virsh(&["domid", &uuid])), "{options:?}");
        assert_eq!(said(&["domid", &managed.name]), id);
        assert!(said(&["domstats", &uuid, "--vcpu"]).contains("vcpu.0.time"), "{options:?}");
        assert!(said(&["dominfo", &uuid]).contains("Persistent:     no"), "{options:?}");
        let ids: BTreeSet<_> =
            documents(&daemon, "").domains.iter().filter_map(|stats| stats.domain.id).collect();
        assert!(ids.contains(&stranger.pid()), "{options:?}: {ids:?}");
        let one = documents(&daemon, &format!("/{uuid}"));
        assert_eq!(one.domains.len(), 1);
        assert_eq!(one.domains[0].domain.id.unwrap().to_string(), id.trim(), "{options:?}");
    }
    // If its user is trusted, libvirt's domain and its QEMU are one.
    drop(stranger);
    let daemon = Domstatsd::start(&["-c", &uris[0], "-c", DIRECTLY]);
    wait_until(PATIENCE, "one domain", || {
        thread::sleep(Duration::from_millis(50));
        documents(&daemon, "").domains.len() == 1
    });
    assert_eq!(documents(&daemon, "").domains[0].domain.conflict, Conflict::empty());
}
