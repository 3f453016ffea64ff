//! The fuzz targets of the library.

#[path = "../../../../fuzz/replay.rs"]
mod replay;

#[test]
fn every_target_holds_for_its_corpus() {
    replay::replay(domstats::fuzz::TARGETS);
}
