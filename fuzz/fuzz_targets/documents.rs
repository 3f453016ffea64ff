//! Documents from anywhere: never a panic, and what was read can be written and read again.
#![no_main]

use domstats::StatsReport;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(report) = StatsReport::from_xml(text) {
        let again = StatsReport::from_xml(&report.to_xml()).expect("our own document is read");
        assert_eq!(again.to_xml(), report.to_xml());
    }
    if let Ok(report) = StatsReport::from_json(text) {
        let again = StatsReport::from_json(&report.to_json()).expect("our own document is read");
        assert_eq!(again.to_json(), report.to_json());
    }
});
