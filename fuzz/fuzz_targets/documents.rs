//! Documents from anywhere: never a panic, and what was written once is read without loss.
#![no_main]

use domstats::{Result, StatsReport};
use libfuzzer_sys::fuzz_target;

/// The first writing may change a report: characters that XML cannot carry are replaced.
fn settles(
    report: &StatsReport,
    write: fn(&StatsReport) -> String,
    read: fn(&str) -> Result<StatsReport>,
) {
    let written = read(&write(report)).expect("our own document is read");
    let again = read(&write(&written)).expect("our own document is read");
    assert_eq!(again, written);
}

fuzz_target!(|text: &str| {
    if let Ok(report) = StatsReport::from_xml(text) {
        settles(&report, StatsReport::to_xml, StatsReport::from_xml);
    }
    if let Ok(report) = StatsReport::from_json(text) {
        settles(&report, StatsReport::to_json, StatsReport::from_json);
    }
});
