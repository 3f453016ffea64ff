//! The fuzz targets of the daemon.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../../../fuzz/replay.rs"]
mod replay;

#[test]
fn every_target_holds_for_its_corpus() {
    replay::replay(&domstatsd::fuzz::TARGETS);
}
