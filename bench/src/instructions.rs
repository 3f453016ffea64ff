//! Counts the instructions of the hot paths, which do not depend on how busy a machine is.
//!
//! Each path runs under valgrind's callgrind, which counts what happens within one function. The
//! expected counts are in `instructions.txt`; a difference of more than [`TOLERANCE`] fails: the
//! path became more expensive, or so much cheaper that the gain should be recorded.

use std::{collections::BTreeMap, env, fmt::Write, fs, hint::black_box, thread};

use domstats::{
    Connect, Format, StatsReport, StatsRequest,
    fuzz::{Message, Reader},
};
use domstats_live::lab::lab;
use domstats_rpc::{
    Packet,
    message::StatsRecords,
    procedure::{ConnectGetAllDomainStats, Procedure},
};

use crate::{
    arguments::flag,
    measured::{LATER, ask, complete},
    recorded::{Recorded, answers},
};

/// The expected counts.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.txt");

/// A recorded reply of libvirtd to `virsh domstats`.
const FROM_LIBVIRTD: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../crates/domstats-rpc/tests/captures/virsh-domstats-all/s2c.bin"
);

/// How much a count may differ: a new compiler changes a few per cent.
const TOLERANCE: f64 = 0.1;

/// The number of a report's domains, and of a pass's monitors: many, since a pass also examines all
/// other processes of the host, whose number varies.
const DOMAINS: usize = 200;

/// The counted work, once everything is prepared.
type Work = Box<dyn FnMut()>;

/// A path: its name, and a function that prepares it, given the URI of recorded monitors.
type Path = (&'static str, fn(&str) -> Work);

const PATHS: [Path; 10] = [
    ("cut monitors' answers into messages", |_| cut()),
    ("ask held monitors a second later", pass),
    ("decode libvirt's statistics", |_| decode()),
    ("make up records", |_| make_up()),
    ("write XML", |_| write(Format::Xml)),
    ("write JSON", |_| write(Format::Json)),
    ("write text", |_| write(Format::Text)),
    ("write OpenMetrics", |_| write(Format::OpenMetrics)),
    ("read XML", |_| read(StatsReport::to_xml, StatsReport::from_xml)),
    ("read JSON", |_| read(StatsReport::to_json, StatsReport::from_json)),
];

/// Counts, and compares with the expected counts or, with `--bless`, writes them.
pub(crate) fn instructions() {
    let monitors = Recorded::start(DOMAINS);
    let uri = monitors.uri("&monitor_policy=hold");
    let counts = PATHS.map(|(path, _)| {
        eprintln!("{path} ...");
        (path, count(path, &uri))
    });
    if flag("--bless") {
        let mut text = String::new();
        for (path, count) in counts {
            let _ = writeln!(text, "{count:>10} {path}");
        }
        return fs::write(FILE, text).unwrap();
    }
    let kept = fs::read_to_string(FILE).unwrap();
    let kept: BTreeMap<_, u64> = kept
        .lines()
        .filter_map(|line| line.trim().split_once(' '))
        .map(|(count, path)| (path, count.parse().unwrap()))
        .collect();
    let mut differ = false;
    println!("| path | instructions | kept | |\n|---|---:|---:|---:|");
    for (path, count) in counts {
        let before = kept.get(path).copied().unwrap_or_default();
        let change = count as f64 / before as f64 - 1.0;
        println!("| {path} | {count} | {before} | {:+.1} % |", change * 100.0);
        differ |= change.is_nan() || change.abs() > TOLERANCE;
    }
    assert!(
        !differ,
        "a path differs by more than {} %: if that is meant, keep the new counts with\n  \
         cargo run --release -p domstats-bench -- instructions --bless",
        TOLERANCE * 100.0
    );
}

fn count(path: &str, uri: &str) -> u64 {
    let output = lab()
        .command("valgrind")
        .args([
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            "--toggle-collect=*counted_work*",
        ])
        .arg(env::current_exe().unwrap())
        .args(["counted", path, uri])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    let count = text.lines().find_map(|line| line.split_once("Collected :"));
    let (_, count) = count.filter(|_| output.status.success()).unwrap_or_else(|| panic!("{text}"));
    count.trim().parse().unwrap()
}

/// The main function of the process in which a path is counted.
pub(crate) fn counted() {
    let [path, uri] = [2, 3].map(|number| env::args().nth(number).unwrap());
    let (_, prepare) = PATHS.iter().find(|(name, _)| *name == path).unwrap();
    let mut work = prepare(&uri);
    // What happens once per process is not counted.
    work();
    counted_work(&mut work);
}

#[inline(never)]
fn counted_work(work: &mut Work) {
    black_box(work)();
}

fn cut() -> Work {
    let answers = answers();
    Box::new(move || {
        let mut reader = Reader::default();
        for _ in 0..DOMAINS {
            reader.push(answers.as_bytes());
            while let Some(message) = reader.next_message().unwrap() {
                assert!(matches!(black_box(message), Message::Return(_)));
            }
        }
    })
}

fn pass(uri: &str) -> Work {
    let connect = Connect::open(uri).unwrap();
    Box::new(move || {
        // Under valgrind some cached replies would have aged that much, and some would not.
        thread::sleep(LATER);
        assert!(complete(&ask(&connect)) >= DOMAINS);
    })
}

fn decode() -> Work {
    let stream = fs::read(FROM_LIBVIRTD).unwrap();
    Box::new(move || {
        let mut rest = stream.as_slice();
        while let Some((packet, length)) = Packet::split(rest).unwrap() {
            if packet.header.procedure == ConnectGetAllDomainStats::NUMBER {
                black_box(packet.decode::<StatsRecords<'_>>().unwrap());
            }
            rest = &rest[length..];
        }
    })
}

fn made_up() -> StatsReport {
    let connect = Connect::open(&format!("test:///default?domains={DOMAINS}&clock=fixed")).unwrap();
    connect.all_domain_stats(&StatsRequest::new()).unwrap()
}

fn make_up() -> Work {
    Box::new(|| drop(black_box(made_up())))
}

fn write(format: Format) -> Work {
    let report = made_up();
    Box::new(move || format.write(black_box(&report), &mut Vec::new()).unwrap())
}

fn read(
    write: fn(&StatsReport) -> String,
    read: fn(&str) -> domstats::Result<StatsReport>,
) -> Work {
    let text = write(&made_up());
    Box::new(move || drop(black_box(read(&text).unwrap())))
}
