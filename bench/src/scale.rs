//! How the cost of a call grows with the number of guests: real ones compared with libvirt, and
//! thousands of recorded monitors.
//!
//! Checks the growth: from each size to the next, the time, memory and descriptors per guest may
//! not grow beyond a generous factor, and more calls may not take more memory.

use std::{fs, time::Duration};

use domstats::Connect;
use domstats_live::libvirt::Libvirt;

use crate::{
    arguments::{number, word},
    clients::{Python, virsh},
    measured::{Measured, Sample},
    plot::{Line, Plot},
    recorded::Recorded,
};

const REAL: &str = "10,100,300";
const RECORDED: &str = "100,1000,5000";

const SHARED: &str = "domstats, shared";
const HELD: &str = "domstats, held";
const HELD_LATER: &str = "domstats, held, a second later";
const FLOOR: &str = "floor";
const STEADY_FLOOR: &str = "floor of one query";
const BULK: &str = "libvirt, bulk call";
const VIRSH: &str = "libvirt, `virsh domstats`";

/// How much the cost per guest may grow from one size to the next; the sizes grow by more.
const GROWTH: f64 = 2.0;

/// The same for time, which a busy machine stretches.
const GROWTH_OF_TIME: f64 = 5.0;

/// What a process may take besides its guests.
const MEMORY_KIB: f64 = 8192.0;

/// A cost that must not grow faster than the number of guests: its unit, its value, the factor by
/// which the cost per guest may grow, and a constant that may be added.
type Linear = (&'static str, fn(&Cost) -> Option<f64>, f64, f64);

const LINEAR: [Linear; 4] = [
    ("ms", |cost| Some(cost.fastest()), GROWTH_OF_TIME, 0.0),
    ("ms of CPU", Cost::cpu, GROWTH, 0.0),
    ("KiB", Cost::memory, GROWTH, MEMORY_KIB),
    ("descriptors", Cost::descriptors, GROWTH, 64.0),
];

/// The costs of one way to query a number of guests.
struct Cost {
    what: &'static str,
    guests: usize,
    samples: Vec<Sample>,
    /// For a process of ours: the sample before its first call.
    start: Option<Sample>,
}

pub(crate) fn scale() {
    let recorded = recorded(&sizes("--recorded", RECORDED));
    let real = real(&sizes("--real", REAL));
    print("guests of a private libvirtd", &real);
    print("recorded monitors", &recorded);
    if let Some(path) = word("--plot") {
        fs::write(path, plot(&real, &recorded).svg()).unwrap();
    }
    check(&real);
    check(&recorded);
    println!(
        "None of our costs grew faster than the number of guests, and memory did not grow with the calls."
    );
}

fn sizes(option: &str, default: &str) -> Vec<usize> {
    let text = word(option).unwrap_or_else(|| default.to_owned());
    text.split(',').map(|size| size.parse().unwrap()).collect()
}

fn real(sizes: &[usize]) -> Vec<Cost> {
    let libvirt = Libvirt::start();
    let mut guests = Vec::new();
    let mut costs = Vec::new();
    let groups = Connect::open("qemu+qmp:///system").unwrap().supported_groups();
    for size in sizes.iter().copied() {
        eprintln!("starting guests: {size} ...");
        guests.extend(libvirt.create_many("scale", size - guests.len(), true));
        let mut ours =
            Ours::start("qemu+qmp:///system?", &format!("{}/*.qmp", libvirt.dir.display()));
        let mut python = Python::start(&libvirt.uri(), groups);
        let [mut bulk, mut whole] = [BULK, VIRSH].map(|what| Cost::new(what, size, None));
        for round in 1..=rounds() {
            eprint!("\r{size} guests, round {round}");
            ours.again();
            python.call("bulk", size);
            bulk.add(python.call("bulk", size));
            whole.add(virsh(&libvirt.uri(), groups, size));
        }
        eprintln!();
        costs.extend(ours.costs(size).into_iter().chain([bulk, whole]));
    }
    costs
}

fn recorded(sizes: &[usize]) -> Vec<Cost> {
    let mut costs = Vec::new();
    for size in sizes.iter().copied() {
        let monitors = Recorded::start(size);
        let mut ours = Ours::start(&monitors.uri("&"), &monitors.pattern());
        for round in 1..=rounds() {
            eprint!("\r{size} recorded monitors, round {round}");
            ours.again();
        }
        eprintln!();
        costs.extend(ours.costs(size));
    }
    costs
}

fn rounds() -> usize {
    number("--rounds", 7)
}

/// Our own ways to query, each in a process of its own.
struct Ours([(&'static str, Measured, Vec<Sample>); 5]);

impl Ours {
    fn start(uri: &str, pattern: &str) -> Self {
        let uri = |policy| format!("{uri}monitor_policy={policy}");
        let ways = [
            (SHARED, "call", uri("shared")),
            (HELD, "call", uri("hold")),
            (HELD_LATER, "later", uri("hold")),
            (FLOOR, "floor", pattern.to_owned()),
            (STEADY_FLOOR, "steady floor", pattern.to_owned()),
        ];
        Self(ways.map(|(name, what, of)| (name, Measured::start(what, &of), Vec::new())))
    }

    fn again(&mut self) {
        for (_, process, samples) in &mut self.0 {
            samples.push(process.again());
        }
    }

    fn costs(self, guests: usize) -> Vec<Cost> {
        let cost = |(what, process, samples): (_, Measured, Vec<Sample>)| {
            assert!(samples.iter().all(|sample| sample.guests == guests), "{what}: {samples:?}");
            Cost { what, guests, samples, start: Some(process.start) }
        };
        self.0.into_iter().map(cost).collect()
    }
}

impl Cost {
    fn new(what: &'static str, guests: usize, start: Option<Sample>) -> Self {
        Self { what, guests, samples: Vec::new(), start }
    }

    /// Adds a call of which only the time is known.
    fn add(&mut self, wall: Duration) {
        let guests = self.guests;
        self.samples.push(Sample { wall, cpu: Duration::ZERO, rss_kib: 0, descriptors: 0, guests });
    }

    /// Returns the matching floor: right after another call, a held session only queries what can
    /// have changed.
    fn floor(&self) -> &'static str {
        if [HELD, STEADY_FLOOR].contains(&self.what) { STEADY_FLOOR } else { FLOOR }
    }

    fn median(&self, of: impl Fn(&Sample) -> f64) -> f64 {
        let mut values: Vec<_> = self.samples.iter().map(of).collect();
        values.sort_unstable_by(f64::total_cmp);
        values[values.len() / 2]
    }

    /// Milliseconds.
    fn wall(&self) -> f64 {
        self.median(|sample| sample.wall.as_secs_f64() * 1e3)
    }

    /// Milliseconds, in the least disturbed call.
    fn fastest(&self) -> f64 {
        self.samples.iter().map(|sample| sample.wall.as_secs_f64() * 1e3).fold(f64::MAX, f64::min)
    }

    /// Milliseconds; only for a process of ours.
    fn cpu(&self) -> Option<f64> {
        self.start.map(|_| self.median(|sample| sample.cpu.as_secs_f64() * 1e3))
    }

    /// KiB that remain after the last call, beyond those before the first; only for a process of
    /// ours.
    fn memory(&self) -> Option<f64> {
        let (start, last) = (self.start?, self.samples.last()?);
        Some(last.rss_kib as f64 - start.rss_kib as f64)
    }

    fn descriptors(&self) -> Option<f64> {
        let (start, last) = (self.start?, self.samples.last()?);
        Some(last.descriptors as f64 - start.descriptors as f64)
    }
}

fn print(head: &str, costs: &[Cost]) {
    println!(
        "| {head} | ms | µs per guest | CPU µs per guest | KiB per guest | descriptors per guest | to libvirt's bulk call | to the floor |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    for cost in costs {
        let guests = cost.guests as f64;
        let cell = |value: Option<f64>, digits| {
            value.map_or("".to_owned(), |value| format!("{value:.digits$}"))
        };
        let to = |what| {
            let mut same = costs.iter().filter(|other| other.guests == cost.guests);
            same.find(|other| other.what == what).map(|other| cost.wall() / other.wall())
        };
        println!(
            "| {}, {} | {:.1} | {:.0} | {} | {} | {} | {} | {} |",
            cost.guests,
            cost.what,
            cost.wall(),
            cost.wall() * 1e3 / guests,
            cell(cost.cpu().map(|cpu| cpu * 1e3 / guests), 0),
            cell(cost.memory().map(|memory| memory / guests), 1),
            cell(cost.descriptors().map(|descriptors| descriptors / guests), 2),
            cell(to(BULK), 2),
            cell(to(cost.floor()), 2),
        );
    }
    println!();
}

/// Checks that none of our costs grows faster than the number of guests, and that memory does not
/// grow with the number of calls.
fn check(costs: &[Cost]) {
    for cost in costs.iter().filter(|cost| [SHARED, HELD, HELD_LATER].contains(&cost.what)) {
        let about = format!("{} guests, {}", cost.guests, cost.what);
        let mut smaller = costs.iter().filter(|other| other.what == cost.what);
        if let Some(smaller) = smaller.rfind(|other| other.guests < cost.guests) {
            let factor = cost.guests as f64 / smaller.guests as f64;
            for (unit, of, growth, base) in LINEAR {
                let (now, before) = (of(cost).unwrap(), of(smaller).unwrap());
                let most = before.max(0.0) * factor * growth + base;
                assert!(now <= most, "{about}: {now} {unit}, from {before}");
            }
        }
        let rss = |sample: Option<&Sample>| sample.unwrap().rss_kib as f64;
        let (first, last) = (rss(cost.samples.first()), rss(cost.samples.last()));
        assert!(last <= first * GROWTH.sqrt() + MEMORY_KIB, "{about}: {first} KiB, then {last}");
    }
}

fn plot(real: &[Cost], recorded: &[Cost]) -> Plot {
    let line = |costs: &[Cost], what, label: &str, colour, dashed| Line {
        label: label.to_owned(),
        colour,
        dashed,
        points: costs
            .iter()
            .filter(|cost| cost.what == what)
            .map(|cost| (cost.guests as f64, cost.wall()))
            .collect(),
    };
    Plot {
        title: "One call for all guests: real ones (solid) and recorded monitors (dashed)",
        x: "guests",
        y: "milliseconds",
        lines: vec![
            line(real, BULK, "libvirt, bulk call", 0, false),
            line(real, SHARED, "domstats, shared", 1, false),
            line(real, HELD, "domstats, held", 2, false),
            line(real, HELD_LATER, "domstats, held, a second later", 4, false),
            line(real, FLOOR, "floor", 3, false),
            line(real, STEADY_FLOOR, "floor of one query", 5, false),
            line(recorded, SHARED, "domstats, shared, recorded", 1, true),
            line(recorded, HELD, "domstats, held, recorded", 2, true),
            line(recorded, FLOOR, "floor, recorded", 3, true),
            line(recorded, STEADY_FLOOR, "floor of one, recorded", 5, true),
        ],
    }
}
