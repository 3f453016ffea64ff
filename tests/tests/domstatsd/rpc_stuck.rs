//! Clients of libvirt's protocol are answered in time, even if a guest or a hypervisor is stuck.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use domstats_live::{
    alone,
    domstatsd::Domstatsd,
    fake_daemon::procedure::TYPE,
    guest::{Spec, boot_all},
    lab::lab,
    libvirt::{DIRECTLY, Libvirt, virsh},
    patience::{PATIENCE, Stopwatch, wait_until},
    process,
    rpc_client::RpcClient,
    wire::Bytes,
};

const TIMEOUT: Duration = Duration::from_secs(3);
/// What virsh and two busy CPUs take.
const SLACK: Duration = Duration::from_millis(1500);

/// The keys of each domain, by its name.
type Keys = BTreeMap<String, BTreeSet<String>>;

fn start(sources: &[&str]) -> Domstatsd {
    let mut options = vec!["--timeout", "3s"];
    sources.iter().for_each(|uri| options.extend(["-c", uri]));
    Domstatsd::start(&options)
}

/// The output of `virsh domstats`, in time.
fn domstats(daemon: &Domstatsd, options: &[&str]) -> Keys {
    let stopwatch = Stopwatch::start();
    let text = lab().run(&mut virsh(&daemon.uri(), &[&["domstats"], options].concat()));
    // Two calls, if virsh looks a domain up first.
    let calls = if options.iter().any(|option| !option.starts_with('-')) { 2 } else { 1 };
    stopwatch.assert_within(TIMEOUT * calls + SLACK);
    let pages = text.split("\n\n").filter_map(|page| {
        let (name, lines) = page.trim().strip_prefix("Domain: '")?.split_once("'\n")?;
        let keys = lines.lines().map(|line| line.trim().split('=').next().unwrap().to_owned());
        Some((name.to_owned(), keys.collect()))
    });
    pages.collect()
}

/// The output when every guest was read, including its monitor: a hypervisor that was just started,
/// on a busy host, takes a while.
fn whole(daemon: &Domstatsd) -> Keys {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let keys = domstats(daemon, &[]);
        if keys.values().all(|its| its.contains("block.0.capacity")) {
            return keys;
        }
        assert!(Instant::now() < deadline, "{keys:?}");
    }
}

/// Freezes a guest: all others are complete, it has what is known without its monitor, such as
/// `known`, and when it continues everything is as before.
fn one_is_stuck(daemon: &Domstatsd, name: &str, pid: u32, known: &str) {
    let whole = whole(daemon);
    let mut other = RpcClient::connect(&daemon.socket).opened();
    process::freeze(pid);
    for options in [&[][..], &["--nowait"], &[], &["--list-active", "--enforce"]] {
        let keys = domstats(daemon, options);
        assert_eq!(keys.keys().collect::<Vec<_>>(), whole.keys().collect::<Vec<_>>());
        for (domain, its) in &keys {
            if domain != name {
                assert_eq!(its, &whole[domain], "{domain} {options:?}");
            }
        }
        let left = &keys[name];
        assert!(left.is_subset(&whole[name]), "{left:?}");
        assert!(left.contains(known), "{left:?}");
        assert!(left.len() < whole[name].len(), "{left:?}");
    }
    for options in [&[name][..], &[name, "--nowait"], &[name, "--state", "--cpu-total"]] {
        let keys = domstats(daemon, options);
        assert_eq!(keys.keys().collect::<Vec<_>>(), [name]);
        assert!(keys[name].contains(known), "{keys:?}");
    }
    // Other clients are not delayed, not even while one waits for the stuck guest.
    let mut waits = virsh(&daemon.uri(), &["domblkstat", name, "vda"]).spawn().unwrap();
    let stopwatch = Stopwatch::start();
    assert_eq!(other.call(TYPE, Bytes::default()).status, 0);
    stopwatch.assert_within(Duration::from_millis(500));
    assert!(!waits.wait().unwrap().success(), "its counters were not read");
    for command in ["dominfo", "domstate", "dommemstat", "domblklist", "vcpuinfo", "dumpxml"] {
        let stopwatch = Stopwatch::start();
        let _ = virsh(&daemon.uri(), &[command, name]).output().unwrap();
        stopwatch.assert_within(TIMEOUT * 2 + SLACK);
    }
    process::thaw(pid);
    let deadline = Instant::now() + PATIENCE;
    while domstats(daemon, &[]) != whole {
        assert!(Instant::now() < deadline, "{name} continues, and is not complete again");
    }
}

#[test]
fn a_guest_of_libvirt_is_stuck() {
    alone!();
    let libvirt = Libvirt::start();
    let guests: Vec<_> = (0..4).map(|_| libvirt.create("stuck", false)).collect();
    let daemon = start(&[&libvirt.uri()]);
    assert_eq!(whole(&daemon).len(), 4);
    one_is_stuck(&daemon, &guests[1].name, guests[1].pid, "state.state");
}

#[test]
fn a_qemu_is_stuck_and_another_has_no_uuid() {
    alone!();
    let spec = || Spec::new("stuck").raw_disks(1).user_nics(1);
    let guests = boot_all([spec(), spec(), spec().without_uuid(), spec()]);
    let daemon = start(&["qemu+qmp:///system"]);
    let nameless = guests[2].name();
    let said = |arguments: &[&str]| lab().run(&mut virsh(&daemon.uri(), arguments));
    let uuid = said(&["domuuid", nameless]);
    assert_eq!(uuid, said(&["domuuid", nameless]), "it is the same as long as the guest runs");
    assert_eq!(said(&["domname", uuid.trim()]).trim(), nameless);
    let by_uuid = domstats(&daemon, &[uuid.trim()]);
    assert_eq!(by_uuid, domstats(&daemon, &[nameless]));
    assert!(by_uuid[nameless].contains("block.0.rd.reqs"), "{by_uuid:?}");
    assert!(said(&["list", "--all", "--name"]).lines().any(|line| line == nameless));
    one_is_stuck(&daemon, guests[1].name(), guests[1].pid, "cpu.time");
    one_is_stuck(&daemon, nameless, guests[2].pid, "cpu.time");
}

#[test]
fn a_hypervisor_is_stuck_and_another_answers() {
    alone!();
    let libvirt = Libvirt::start();
    let managed = libvirt.create("stuck", false);
    let guest = Spec::new("stuck").raw_disks(1).boot();
    let daemon = start(&[&libvirt.uri(), DIRECTLY]);
    let whole = whole(&daemon);
    let mut names = [managed.name.as_str(), guest.name()];
    names.sort_unstable();
    assert_eq!(whole.keys().collect::<Vec<_>>(), names, "each is there once");
    assert_eq!(whole[&managed.name], self::whole(&start(&[&libvirt.uri()]))[&managed.name]);
    one_is_stuck(&daemon, guest.name(), guest.pid, "cpu.time");
    libvirt.freeze();
    for options in [&[][..], &[guest.name()], &["--nowait"]] {
        assert_eq!(domstats(&daemon, options)[guest.name()], whole[guest.name()]);
    }
    libvirt.thaw();
    wait_until(PATIENCE, "libvirtd continues, and its guest is not complete again", || {
        domstats(&daemon, &[]) == whole
    });
}
