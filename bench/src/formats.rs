//! What writing a report costs.

use std::{
    io,
    time::{Duration, Instant},
};

use domstats::{Connect, Format, StatsReport, StatsRequest};

use crate::{
    arguments::number,
    recorded::guest,
    table::{self, MILLISECONDS, Row},
};

/// The number of domains written.
const WRITTEN: usize = 10_000;

pub(crate) fn formats() {
    let rounds = number("--rounds", 15);
    measure("a real guest", &many_of(&real()), rounds);
    let uri = format!("test:///default?domains={WRITTEN}&clock=fixed");
    measure("made up with every statistic", &ask(&uri), rounds);
}

/// Returns the report of one guest of the shape that the other benchmarks use.
fn real() -> StatsReport {
    let guest = guest("written").boot();
    ask(&format!("qemu+qmp:///system?monitor={}", guest.monitor.display()))
}

fn ask(uri: &str) -> StatsReport {
    let connect = Connect::open(uri).unwrap();
    let report = connect.all_domain_stats(&StatsRequest::new()).unwrap();
    assert!(report.is_complete() && !report.domains.is_empty(), "{:?}", report.missing);
    report
}

fn many_of(report: &StatsReport) -> StatsReport {
    let mut many = StatsReport::new(report.taken_at);
    many.domains = report.domains.iter().cycle().take(WRITTEN).cloned().collect();
    for (number, stats) in many.domains.iter_mut().enumerate() {
        stats.domain.name = format!("vm{number:05}").into();
    }
    many
}

fn measure(what: &str, report: &StatsReport, rounds: usize) {
    assert_eq!(report.domains.len(), WRITTEN);
    let values = report.to_text().lines().filter(|line| line.starts_with("  ")).count() / WRITTEN;
    let mut rows = Format::ALL.map(|format| (Row::new(format.name()), format));
    for _ in 0..rounds {
        for (row, format) in &mut rows {
            row.add(write(report, *format));
        }
    }
    let rows = rows.each_ref().map(|(row, _)| row);
    let head = format!("{WRITTEN} domains written, each {what}: {values} values");
    table::print(&head, MILLISECONDS, &rows, &[]);
}

/// Discards the text: otherwise the kernel's work for its memory would be measured.
fn write(report: &StatsReport, format: Format) -> Duration {
    let start = Instant::now();
    format.write(report, &mut io::sink()).unwrap();
    start.elapsed()
}
