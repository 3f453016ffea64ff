//! The daemon's clients compared with the same clients of libvirtd: `virsh`, libvirt-python, and
//! scrapes compared with those of Debian's exporter.
//!
//! All read the same paused guests of a private libvirtd, in turn, each round starting with another
//! client; a first round is not counted. The kernel provides the costs of all programs involved,
//! and libvirtd itself the number of calls it got. At the end three guests are stopped.

use std::{
    io::{Read, Write},
    time::{Duration, Instant},
};

use domstats::StatsGroups;
use domstats_live::{
    domstatsd::{self, Domstatsd},
    exporter::Exporter,
    http::Http,
    lab::lab,
    libvirt::{Libvirt, LibvirtGuest, virsh},
    procfs::{self, cpu_times},
};

use crate::{
    arguments::{number, word},
    clients::{self, Python},
    measured::cpu_time,
    table::Row,
};

/// The number of guests that are stopped at the end.
const STOPPED: usize = 3;

/// How long to wait for an answer when some guests are stopped.
const PATIENCE: Duration = Duration::from_secs(30);

/// The daemon's timeout: enough for all guests, and its default when some are stopped.
const TIMES: [&str; 2] = ["10s", "1s"];

pub(crate) fn daemon() {
    let (guests, rounds) = (number("--guests", 100), number("--rounds", 9));
    // Builds it before others have to wait.
    let _ = domstatsd::program();
    eprintln!("starting libvirtd and {guests} guests ...");
    let libvirt = Libvirt::start();
    let guests = libvirt.create_many("daemon", guests, true);
    working(&libvirt, &guests, rounds);
    stopped(&libvirt, &guests);
}

/// What the clients connect to: one of these daemons, or libvirtd.
struct Servers {
    through_libvirt: Domstatsd,
    directly: Domstatsd,
    /// Debian's, for libvirtd and for each daemon.
    exporters: [Exporter; 3],
}

/// The daemon's policy for monitors that it queries directly. Held sessions keep other clients out.
fn policy() -> String {
    word("--policy").unwrap_or_else(|| "shared".to_owned())
}

impl Servers {
    fn start(libvirt: &Libvirt, timeout: &str) -> Self {
        let daemon = |uri: &str| Domstatsd::start(&["-c", uri, "--timeout", timeout]);
        let through_libvirt = daemon(&libvirt.uri());
        let directly = daemon(&format!("qemu+qmp:///system?monitor_policy={}", policy()));
        let uris = [libvirt.uri(), through_libvirt.uri(), directly.uri()];
        Self { through_libvirt, directly, exporters: uris.map(|uri| Exporter::start(&uri)) }
    }
}

/// Queries once, and returns how many guests were complete; `None` if there was no answer.
type Ask<'a> = Box<dyn FnMut() -> Option<usize> + 'a>;

/// A client with what it queries, and the costs.
struct Way<'a> {
    ask: Ask<'a>,
    row: Row,
    cpu: Cpu,
    /// The calls that libvirtd got.
    calls: usize,
}

impl<'a> Way<'a> {
    fn new(name: &'static str, ask: impl FnMut() -> Option<usize> + 'a) -> Self {
        Self { ask: Box::new(ask), row: Row::new(name), cpu: Cpu::default(), calls: 0 }
    }
}

/// The CPU time, in user mode and in the kernel, of all programs involved.
#[derive(Debug, Clone, Copy, Default)]
struct Cpu([Duration; 4]);

impl Cpu {
    fn add(&mut self, before: Self, after: Self) {
        for (sum, (before, after)) in self.0.iter_mut().zip(before.0.into_iter().zip(after.0)) {
            *sum += after.saturating_sub(before);
        }
    }
}

/// The processes whose CPU time is read.
struct Processes {
    clients: Vec<u32>,
    daemons: Vec<u32>,
    libvirtd: u32,
    guests: Vec<u32>,
}

impl Processes {
    /// Returns what they have used so far; reads this process's time last, or first.
    fn used(&self, is_last: bool) -> Cpu {
        let own = cpu_time();
        let all = |pids: &[u32]| -> Duration {
            let times = pids.iter().map(|pid| cpu_times(*pid));
            times.map(|times| times.user + times.system).sum()
        };
        let times = [
            all(&self.clients) + procfs::children(),
            all(&self.daemons),
            all(&[self.libvirtd]),
            all(&self.guests),
        ];
        let own = if is_last { cpu_time() } else { own };
        Cpu([times[0] + own, times[1], times[2], times[3]])
    }
}

fn working(libvirt: &Libvirt, guests: &[LibvirtGuest], rounds: usize) {
    let count = guests.len();
    let servers = Servers::start(libvirt, TIMES[0]);
    let Servers { through_libvirt, directly, exporters } = &servers;
    let uris = [libvirt.uri(), through_libvirt.uri(), directly.uri()];
    let mut pythons = uris.each_ref().map(|uri| Python::start(uri, StatsGroups::empty()));
    let processes = Processes {
        clients: pythons
            .iter()
            .map(Python::pid)
            .chain(exporters.iter().map(|exporter| exporter.pid()))
            .collect(),
        daemons: [through_libvirt, directly].map(Domstatsd::pid).into(),
        libvirtd: libvirt.pid(),
        guests: guests.iter().map(|guest| guest.pid).collect(),
    };
    let [libvirtd, ours, direct] = &uris;
    let [by_libvirtd, by_ours, by_direct] = &mut pythons;
    let mut ways = [
        Way::new("`virsh domstats` via libvirtd", || whole(libvirtd, count)),
        Way::new("`virsh domstats` via domstatsd, source libvirtd", || whole(ours, count)),
        Way::new("`virsh domstats` via domstatsd, source QEMU", || whole(direct, count)),
        Way::new("libvirt-python via libvirtd", || bulk(by_libvirtd, count)),
        Way::new("libvirt-python via domstatsd, source libvirtd", || bulk(by_ours, count)),
        Way::new("libvirt-python via domstatsd, source QEMU", || bulk(by_direct, count)),
        Way::new("scrape of Debian's exporter, via libvirtd", || scrape(exporters[0].http())),
        Way::new("scrape of Debian's exporter, via domstatsd, source libvirtd", || {
            scrape(exporters[1].http())
        }),
        Way::new("scrape of Debian's exporter, via domstatsd, source QEMU", || {
            scrape(exporters[2].http())
        }),
        Way::new("scrape of domstatsd, source libvirtd", || scrape(through_libvirt.http())),
        Way::new("scrape of domstatsd, source QEMU", || scrape(directly.http())),
    ];
    for round in 0..=rounds {
        eprint!("\rdaemon, round {round} of {rounds}");
        let first = round % ways.len();
        ways.rotate_left(first);
        for way in &mut ways {
            let before = processes.used(true);
            let start = Instant::now();
            let told = (way.ask)();
            let time = start.elapsed();
            let after = processes.used(false);
            assert_eq!(told, Some(count), "{}", way.row.name());
            if round > 0 {
                way.row.add(time);
                way.cpu.add(before, after);
            }
        }
        ways.rotate_right(first);
    }
    eprintln!();
    for way in &mut ways {
        way.calls = libvirt.count_calls(|| assert_eq!((way.ask)(), Some(count)));
    }
    print(count, rounds, &ways);
}

/// Runs `virsh domstats`, which must list all guests.
fn whole(uri: &str, guests: usize) -> Option<usize> {
    clients::virsh(uri, StatsGroups::empty(), guests);
    Some(guests)
}

/// Makes the bulk call over an open connection.
fn bulk(python: &mut Python, guests: usize) -> Option<usize> {
    python.call("bulk", guests);
    Some(guests)
}

fn print(guests: usize, rounds: usize, ways: &[Way<'_>]) {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    println!(
        "| {guests} paused guests on {cpus} CPUs, QEMU's monitors: {} | median ms | of libvirtd's | calls to libvirtd | CPU ms of the client | of domstatsd | of libvirtd | of all QEMUs |",
        policy()
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    let mut reference = 1.0;
    for way in ways {
        if way.row.name().ends_with("via libvirtd") {
            reference = way.row.median();
        }
        print!(
            "| {} | {:.0} | {:.2} | {} |",
            way.row.name(),
            way.row.median() * 1e3,
            way.row.median() / reference,
            way.calls
        );
        for cpu in way.cpu.0 {
            print!(" {:.0} |", cpu.as_secs_f64() * 1e3 / rounds as f64);
        }
        println!();
    }
    println!();
}

/// Queries while some guests are stopped with SIGSTOP.
fn stopped(libvirt: &Libvirt, guests: &[LibvirtGuest]) {
    let servers = Servers::start(libvirt, TIMES[1]);
    let Servers { through_libvirt, directly, exporters } = &servers;
    let [ours, direct] = [through_libvirt, directly].map(Domstatsd::uri);
    let libvirtd = libvirt.uri();
    let mut ways: [(&str, Ask<'_>); 8] = [
        ("`virsh domstats` via domstatsd, source libvirtd", Box::new(|| hasty_virsh(&ours))),
        ("`virsh domstats` via domstatsd, source QEMU", Box::new(|| hasty_virsh(&direct))),
        ("scrape of domstatsd, source libvirtd", Box::new(|| scrape(through_libvirt.http()))),
        ("scrape of domstatsd, source QEMU", Box::new(|| scrape(directly.http()))),
        (
            "scrape of Debian's exporter, via domstatsd, source libvirtd",
            Box::new(|| scrape(exporters[1].http())),
        ),
        (
            "scrape of Debian's exporter, via domstatsd, source QEMU",
            Box::new(|| scrape(exporters[2].http())),
        ),
        ("`virsh domstats` via libvirtd", Box::new(|| hasty_virsh(&libvirtd))),
        ("scrape of Debian's exporter, via libvirtd", Box::new(|| scrape(exporters[0].http()))),
    ];
    // Every client has seen the host before.
    ways.iter_mut().for_each(|(name, ask)| assert!(ask().is_some(), "{name}"));
    guests[..STOPPED].iter().for_each(LibvirtGuest::freeze);
    println!(
        "| {STOPPED} of {} guests stopped | first call, ms | second call, ms | complete guests |",
        guests.len()
    );
    println!("|---|---:|---:|---:|");
    for (name, ask) in &mut ways {
        eprintln!("stopped guests: {name}");
        let calls = [(); 2].map(|()| {
            let start = Instant::now();
            (ask(), start.elapsed())
        });
        print!("| {name} |");
        for (told, time) in calls {
            match told {
                Some(_) => print!(" {:.0} |", time.as_secs_f64() * 1e3),
                None => print!(" no answer in {} s |", PATIENCE.as_secs()),
            }
        }
        println!(" {} |", calls[1].0.map_or_else(String::new, |told| told.to_string()));
    }
    guests[..STOPPED].iter().for_each(LibvirtGuest::thaw);
    println!();
}

/// Runs `virsh domstats`, and returns for how many guests it has data from the monitor.
fn hasty_virsh(uri: &str) -> Option<usize> {
    let virsh = virsh(uri, &["domstats"]);
    let mut command = lab().command("timeout");
    command.arg(PATIENCE.as_secs().to_string()).arg(virsh.get_program()).args(virsh.get_args());
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    output.status.success().then(|| text.matches("dirtyrate.calc_status").count())
}

/// Scrapes, and returns for how many guests it has data from the monitor: each has two disks.
fn scrape(http: Http) -> Option<usize> {
    let mut stream = http.connect();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.0\r\nhost: here\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    assert!(text.lines().next().unwrap_or_default().contains(" 200 "), "{text}");
    Some(text.matches("\nlibvirt_domain_block_stats_read_bytes_total{").count() / 2)
}
