//! Unmodified libvirt clients, with the daemon: they print the same as with a real libvirtd.

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::Output,
    thread,
    time::{Duration, Instant},
};

use domstats_live::{
    alone,
    collectd::Collectd,
    domstatsd::Domstatsd,
    lab::lab,
    libvirt::{DIRECTLY, Libvirt, LibvirtGuest, virsh},
    patience::PATIENCE,
    relay::Relay,
    tools::python_with_libvirt,
};

/// A libvirtd with a paused guest and an inactive one, and the daemon that uses it.
struct Host {
    paused: LibvirtGuest,
    off: String,
    libvirt: Libvirt,
    daemon: Domstatsd,
}

fn host() -> Host {
    let libvirt = Libvirt::start();
    let paused = libvirt.create("rpc", true);
    let off = libvirt.define("rpc-off");
    let daemon = Domstatsd::start(&["-c", &libvirt.uri(), "--timeout", "30s"]);
    Host { paused, off, libvirt, daemon }
}

fn said(output: &Output) -> (bool, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

impl Host {
    /// virsh's output with libvirtd, and with the daemon.
    fn both(&self, arguments: &[&str]) -> [(bool, String, String); 2] {
        let real = self.libvirt.virsh(arguments).output().unwrap();
        let ours = virsh(&self.daemon.uri(), arguments).output().unwrap();
        [said(&real), said(&ours)]
    }
}

/// A line without the value of a counter that changes while a paused guest's QEMU replies.
fn still(line: &str) -> &str {
    let moves = [
        "cpu.time=",
        "cpu.user=",
        "cpu.system=",
        ".time=",
        ".delay=",
        ".wait=",
        "balloon.rss=",
        "rss ",
        "CPU time:",
        "CPU:",
        // Of the host.
        "user:",
        "system:",
        "idle:",
        "iowait:",
        "free :",
        "free   :",
        "free     :",
        "available:",
        "buffers:",
        "buffers  :",
        "cached   :",
        "cached :",
    ];
    match moves.iter().find_map(|key| line.find(key).map(|start| start + key.len())) {
        Some(end) => &line[..end],
        None => line,
    }
}

/// The lines of each domain, or of all: libvirtd lists domains in no order. libvirt reports its own
/// CPU times for an inactive domain: these must not be repeated.
fn pages(text: &str, is_off: impl Fn(&str) -> bool) -> Vec<Vec<&str>> {
    let page = |page| {
        let lines = str::lines(page).map(still);
        lines.filter(|line| !(is_off(page) && line.starts_with("  cpu."))).collect()
    };
    let mut pages: Vec<Vec<&str>> = text.split("\n\n").map(page).collect();
    pages.sort();
    pages
}

#[test]
fn virsh_prints_the_same() {
    alone!();
    let host = host();
    let [name, off] = [host.paused.name.as_str(), host.off.as_str()];
    let xml = said(&host.libvirt.virsh(&["domiflist", name]).output().unwrap()).1;
    let tap = xml.lines().nth(2).unwrap().split_whitespace().next().unwrap();
    for arguments in [
        &["list", "--all"][..],
        &["list", "--name", "--all"],
        &["list", "--uuid", "--all"],
        &["list", "--state-paused"],
        &["list", "--inactive"],
        &["list", "--transient"],
        &["domstate", name, "--reason"],
        &["domstate", off, "--reason"],
        &["domid", name],
        &["domuuid", off],
        &["domblkstat", name, "vda"],
        &["domblkstat", name, "vdb"],
        &["domifstat", name, tap],
        &["dommemstat", name],
        &["vcpucount", name, "--live", "--current"],
        &["nodeinfo"],
        &["nodecpumap"],
        &["hostname"],
        &["domstats"],
        &["domstats", name],
        &["domstats", off, name],
        &["domstats", "--state", "--cpu-total", "--list-active", "--list-paused", "--enforce"],
        &["domstats", "--block", "--backing", "--nowait"],
        &["domstats", "--list-running"],
        &["list", "--all", "--title"],
        &["list", "--all", "--autostart"],
        &["list", "--all", "--no-autostart"],
        &["dominfo", name],
        &["dominfo", off],
        &["dumpxml", name],
        &["dumpxml", off],
        &["domiflist", name],
        &["domifaddr", name],
        &["domblklist", name, "--details"],
        &["domblkinfo", name, "vda"],
        &["domblkinfo", name, "vdb"],
        &["domblkinfo", name, "--all", "--human"],
        &["domblkinfo", off, "vda"],
        &["domblkinfo", off, "vdb"],
        &["domblkerror", name],
        &["domjobinfo", name],
        &["blkdeviotune", name, "vda"],
        &["iothreadinfo", name],
        &["vcpucount", off],
        &["vcpuinfo", name],
        &["vcpuinfo", off],
        &["nodecpustats"],
        &["nodecpustats", "--cpu", "0"],
        &["nodememstats"],
        &["nodememstats", "--cell", "0"],
        &["capabilities"],
        &["version"],
    ] {
        let [(real_ok, real, _), (our_ok, ours, stderr)] = host.both(arguments);
        let is_off = |page: &str| page.starts_with(&format!("Domain: '{off}'"));
        assert_eq!(
            (real_ok, pages(&real, is_off)),
            (our_ok, pages(&ours, |_| false)),
            "{arguments:?}: {stderr}"
        );

        assert_eq!(stderr, "", "{arguments:?}");
    }
}

#[test]
fn virsh_shows_what_is_known_about_a_domain() {
    alone!();
    let host = host();
    let name = host.paused.name.as_str();
    let [(_, real, _), (ok, ours, stderr)] = host.both(&["dominfo", name]);
    assert_eq!((ok, stderr.as_str()), (true, ""));
    for line in ours.lines().filter(|line| !line.starts_with("Managed save")) {
        let line = still(line);
        assert!(real.lines().any(|other| still(other) == line), "{line} in {real}");
    }
    for line in ["State:          paused", "Max memory:     16384 KiB", "CPU(s):         2"] {
        assert!(ours.contains(line), "{line} in {ours}");
    }
    let [(_, real, _), (ok, ours, _)] = host.both(&["domblklist", name]);
    assert_eq!((true, real), (ok, ours));
    let [_, (ok, ours, _)] = host.both(&["vcpuinfo", name]);
    assert!(ok && ours.matches("State:          running").count() == 2, "{ours}");
    let [_, (ok, ours, _)] = host.both(&["version"]);
    assert!(ok && ours.contains("Using API: QEMU 9.0.0"), "{ours}");
}

#[test]
fn refusals_are_the_same_as_libvirts() {
    alone!();
    let host = host();
    let name = host.paused.name.as_str();
    for arguments in [
        &["domstats", "no-such-domain"][..],
        &["domstate", "77777"],
        &["domblkstat", name, "vdz"],
        &["domifstat", name, "no-such-tap"],
        &["domblkstat", host.off.as_str(), "vda"],
        &["dommemstat", host.off.as_str()],
        &["domblkinfo", name, "vdz"],
        &["domblkerror", host.off.as_str()],
        &["vcpucount", host.off.as_str(), "--live", "--current"],
        &["vcpucount", name, "--config", "--current"],
        &["nodecpustats", "--cpu", "4095"],
        &["nodememstats", "--cell", "4095"],
    ] {
        let [real, ours] = host.both(arguments);
        assert_eq!(real, ours, "{arguments:?}");
        assert!(!ours.0);
    }
    for (arguments, function) in [
        (&["shutdown", name][..], "virDomainShutdown"),
        (&["destroy", name], "virDomainDestroy"),
        (&["resume", name], "virDomainResume"),
        (&["setmem", name, "1024"], "virDomainSetMemory"),
        (&["undefine", host.off.as_str()], "virDomainUndefine"),
        (&["domifaddr", name, "--source", "agent"], "virDomainInterfaceAddresses"),
    ] {
        let (ok, _, error) = said(&virsh(&host.daemon.uri(), arguments).output().unwrap());
        let expected = format!("operation forbidden: read only access prevents {function}");
        assert!(!ok && error.contains(&expected), "{arguments:?}: {error}");
    }
    let state = said(&host.libvirt.virsh(&["domstate", name]).output().unwrap());
    assert_eq!(state.1.trim(), "paused");
}

const SCRIPT: &str = r#"
import libvirt, sys
conn = libvirt.openReadOnly(sys.argv[1])
for domain in sorted(conn.listAllDomains(), key=lambda domain: domain.name()):
    active = domain.isActive()
    print(domain.name(), domain.UUIDString(), domain.ID(), active, domain.isPersistent())
    print(domain.state(), domain.info()[:4], domain.maxMemory(), domain.OSType())
    if active:
        print(domain.blockStats("vda"), domain.blockStatsFlags("vda"), domain.maxVcpus())
        print({k: v for k, v in domain.memoryStats().items() if k != "rss"})
print(conn.numOfDomains(), conn.numOfDefinedDomains(), conn.listDefinedDomains())
print(len(conn.listDomainsID()), conn.getInfo()[1:3], conn.getHostname(), conn.getType())
stats = conn.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_BLOCK)
print(sorted((domain.name(), sorted(values)) for domain, values in stats))
print([stats for _, stats in conn.getAllDomainStats(1 << 25)])
conn.close()
"#;

#[test]
fn libvirt_python_gives_the_same() {
    alone!();
    let host = host();
    let ask =
        |uri: &str| lab().run(lab().command_at(python_with_libvirt()).args(["-c", SCRIPT, uri]));
    let (real, ours) = (ask(&host.libvirt.uri()), ask(&host.daemon.uri()));
    assert_eq!(real.lines().collect::<Vec<_>>(), ours.lines().collect::<Vec<_>>());
}

/// The calls of virt-top, round by round, and the values that it shows, except those that change;
/// in the second round it shows processors (`-1`).
const VIRT_TOP: &str = r#"
import libvirt, os, re, sys
libvirt.registerErrorHandler(lambda *_: None, None)
conn = libvirt.openReadOnly(sys.argv[1])
info = conn.getInfo()
print(info[0], info[2], conn.getHostname())
groups = (libvirt.VIR_DOMAIN_STATS_STATE | libvirt.VIR_DOMAIN_STATS_CPU_TOTAL
          | libvirt.VIR_DOMAIN_STATS_BALLOON | libvirt.VIR_DOMAIN_STATS_VCPU
          | libvirt.VIR_DOMAIN_STATS_INTERFACE | libvirt.VIR_DOMAIN_STATS_BLOCK)
is_shown = re.compile(r"state\.state|balloon\.current|vcpu\.current|(block|net)\.count"
                      r"|block\.\d+\.(name|(rd|wr)\.(reqs|bytes))|net\.\d+\..*").fullmatch
for shows_processors in (False, True):
    active = []
    lines = []
    for record, values in conn.getAllDomainStats(groups):
        domain = conn.lookupByUUID(record.UUID())
        is_off = values["state.state"] == libvirt.VIR_DOMAIN_SHUTOFF
        shown = [(key, values[key]) for key in sorted(values) if is_shown(key)]
        lines.append((domain.name(), domain.ID() > 0, [] if is_off else ["cpu.time" in values, shown]))
        active += [] if is_off else [domain]
    print(*sorted(lines), sep="\n")
    for domain in active if shows_processors else []:
        try:
            print(domain.getCPUStats(False) and [vcpu[0] for vcpu in domain.vcpus()[0]])
        except libvirt.libvirtError as error:
            print("refused", error.get_error_code())
sys.stdout.flush()
# It leaves without a word.
os._exit(0)
"#;

#[test]
fn the_calls_of_virt_top_give_the_same() {
    alone!();
    let host = host();
    let directly = Domstatsd::start(&["-c", DIRECTLY, "--timeout", "30s"]);
    let ask = |socket: &Path| {
        let relay = Relay::start(socket);
        let uri = format!("qemu+tcp://localhost:{}/session", relay.port);
        let mut command = lab().command_at(python_with_libvirt());
        let said = lab().run(command.args(["-c", VIRT_TOP, &uri]));
        (said.lines().map(str::to_owned).collect::<Vec<_>>(), relay.take_calls())
    };
    let [real, ours] = [&host.libvirt.socket(), &host.daemon.socket].map(|socket| ask(socket));
    assert_eq!(real, ours);
    // The observed calls of virt-top itself: the domains, and the host; each round all statistics,
    // and each domain by its UUID; for processors, the times of each active domain.
    let round = [344, 24, 24];
    let expected = [&[66, 1, 60, 60, 6, 59][..], &round, &round, &[60, 262]].concat();
    assert_eq!(real.1[..expected.len()], expected);
    // QEMU itself reports the same about the running guest.
    let (directly, _) = ask(&directly.socket);
    let of_paused = |lines: &[String]| {
        let lines =
            lines.iter().filter(|line| line.starts_with(&format!("('{}'", host.paused.name)));
        lines.cloned().collect::<Vec<_>>()
    };
    assert_eq!((&directly[0], of_paused(&directly)), (&real.0[0], of_paused(&real.0)));
    assert_eq!(of_paused(&directly).len(), 2);
}

#[test]
fn collectd_collects() {
    alone!();
    let host = host();
    // It ignores paused domains.
    let working = host.libvirt.create("rpc-works", true);
    working.qmp().ask("cont");
    let collectd = Collectd::start(&host.daemon.uri());
    let found = until(|| {
        ["virt_cpu_total", "memory-total", "disk_octets-vda", "disk_ops-vdb"]
            .iter()
            .all(|what| collectd.has(&working.name, what))
    });
    assert!(found, "{}", collectd.said());
    drop(collectd);
    let name = working.name.clone();
    drop(working);
    assert!(until(|| !said(&host.libvirt.virsh(&["domid", &name]).output().unwrap()).0));
}

fn until(mut happens: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if happens() {
            return true;
        }
        thread::sleep(Duration::from_millis(100));
    }
    false
}

#[test]
fn the_exporter_exports_the_same() {
    alone!();
    let host = host();
    let scrape = |uri: &str| {
        let address = format!("127.0.0.1:{}", lab().port());
        let mut command = lab().command("prometheus-libvirt-exporter");
        command.args(["--web.listen-address", &address, "--libvirt.uri", uri]);
        let mut exporter = command.spawn().unwrap();
        let mut text = String::new();
        assert!(until(|| {
            text.clear();
            let Ok(mut stream) = TcpStream::connect(&address) else { return false };
            stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
            stream.read_to_string(&mut text).is_ok()
        }));
        let _ = exporter.kill();
        let _ = exporter.wait();
        let ours = |line: &&str| line.starts_with("libvirt_") && !line.contains("cpu_time");
        text.lines().filter(ours).map(str::to_owned).collect::<Vec<_>>()
    };
    let (real, ours) = (scrape(&host.libvirt.uri()), scrape(&host.daemon.uri()));
    let names = |lines: &[String]| {
        lines.iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert!(ours.contains(&"libvirt_up 1".to_owned()), "{ours:?}");
    // Its labels have what the real description says about an interface's source, which is nothing.
    assert_eq!(names(&real), names(&ours));
    assert!(ours.len() > 10, "{ours:?}");
}

/// Queries about a domain whose monitor does not answer.
const UNKNOWN: &str = r#"
import libvirt, sys
libvirt.registerErrorHandler(lambda *_: None, None)
conn = libvirt.openReadOnly(sys.argv[1])
domain = conn.lookupByName("vm1")
def refused(question):
    try:
        return print(question())
    except libvirt.libvirtError as error:
        print("refused", error.get_error_code())
refused(lambda: conn.getMaxVcpus(None))
refused(lambda: domain.state())
refused(lambda: domain.info())
print("currentMemory" in domain.XMLDesc(), "type='qemu'" in domain.XMLDesc())
"#;

#[test]
fn unknown_values_are_not_invented() {
    alone!();
    let daemon = Domstatsd::start(&["-c", "test:///default?hang=vm1", "--timeout", "300ms"]);
    let mut command = lab().command_at(python_with_libvirt());
    let said = lab().run(command.args(["-c", UNKNOWN, &daemon.uri()]));
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines, ["refused 3", "refused 68", "refused 68", "False False"]);
}

#[test]
fn it_ends_successfully() {
    alone!();
    let daemon = Domstatsd::start(&["-c", "test:///default"]);
    let socket = daemon.socket.clone();
    assert!(daemon.stop());
    assert!(!socket.exists());
}
