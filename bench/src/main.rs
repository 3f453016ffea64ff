//! Benchmarks, by name.
//!
//! ```text
//! cargo run --release -p domstats-bench -- [NAME ...] [--OPTION VALUE ...]
//! ```
//!
//! | name | what it measures | options |
//! |---|---|---|
//! | `calls` | the bulk call against libvirt's, on real guests | `--guests 100 --rounds 15` |
//! | `formats` | reports written in every format | `--rounds 15` |
//! | `cost` | the CPU time of a pass, without QEMU's | `--guests 100 --rounds 15` |
//! | `queries` | what each query costs a QEMU | |
//! | `scale` | how the cost of a call grows with the number of guests | `--real 10,100,300 --recorded 100,1000,5000 --rounds 7 --plot FILE.svg` |
//! | `daemon` | clients of `domstatsd` compared with those of libvirtd, and Debian's exporter | `--guests 100 --rounds 9 --policy shared` |
//! | `instructions` | instructions of the hot paths, independent of the machine's load | `--bless` |
//! | `soak` | guests that come and go, and the truth of every report | `--minutes 30 --seed 1` |
//! | `record` | records what a real guest's monitor replies, for `scale` and `instructions` | |
//!
//! Without a name it runs the short ones. Progress goes to standard error, results to standard
//! output.
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot continue has no result")]

mod arguments;
mod calls;
mod clients;
mod cost;
mod daemon;
mod formats;
mod instructions;
mod limits;
mod measured;
mod plot;
mod queries;
mod recorded;
mod scale;
mod soak;
mod table;

use std::{env, process};

use domstats_live::{alone, lab::benchmark};

/// A benchmark.
struct Bench {
    name: &'static str,
    /// Whether it runs when none is named.
    short: bool,
    run: fn(),
}

const BENCHES: &[Bench] = &[
    Bench { name: "calls", short: true, run: calls::calls },
    Bench { name: "formats", short: true, run: formats::formats },
    Bench { name: "cost", short: true, run: cost::cost },
    Bench { name: "queries", short: true, run: queries::queries },
    Bench { name: "scale", short: false, run: scale::scale },
    Bench { name: "daemon", short: false, run: daemon::daemon },
    Bench { name: "instructions", short: false, run: instructions::instructions },
    Bench { name: "soak", short: false, run: soak::run },
    Bench { name: "record", short: false, run: recorded::record },
];

fn main() {
    // Child processes of benchmarks.
    match env::args().nth(1).as_deref() {
        Some("serve") => return recorded::serve(),
        Some("counted") => return instructions::counted(),
        Some("measured") => return measured::measured(),
        _ => {}
    }
    // Guests and daemons of other programs would be measured too.
    if let Some(code) = alone::program_ran_elsewhere() {
        process::exit(code);
    }
    let _one_at_a_time = benchmark();
    let names = arguments::names();
    let known: Vec<_> = BENCHES.iter().map(|bench| bench.name).collect();
    for name in &names {
        assert!(known.contains(&name.as_str()), "no benchmark '{name}', only {known:?}");
    }
    for bench in BENCHES {
        if names.iter().any(|name| name == bench.name) || (names.is_empty() && bench.short) {
            (bench.run)();
        }
    }
}
