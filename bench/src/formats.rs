//! What it costs to write a report down.

use std::{
    io,
    time::{Duration, Instant},
};

use domstats::{Connect, Format, StatsReport, StatsRequest};

use crate::{
    arguments::number,
    table::{self, MILLISECONDS, Row},
};

/// Domains of the test driver that the formats write.
const WRITTEN: usize = 10_000;

pub(crate) fn formats() {
    let rounds = number("--rounds", 15);
    let uri = format!("test:///default?domains={WRITTEN}&clock=fixed");
    let connect = Connect::open(&uri).unwrap();
    let report = connect.all_domain_stats(&StatsRequest::new()).unwrap();
    assert_eq!(report.domains.len(), WRITTEN);
    let mut rows = Format::ALL.map(|format| (Row::new(format.name()), format));
    for _ in 0..rounds {
        for (row, format) in &mut rows {
            row.add(write(&report, *format));
        }
    }
    let rows = rows.each_ref().map(|(row, _)| row);
    table::print(&format!("{WRITTEN} domains written as"), MILLISECONDS, &rows, &[]);
}

/// Writes to nowhere: the kernel's work for the memory of the whole text would be measured else.
fn write(report: &StatsReport, format: Format) -> Duration {
    let start = Instant::now();
    format.write(report, &mut io::sink()).unwrap();
    start.elapsed()
}
