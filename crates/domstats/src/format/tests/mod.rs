//! Tests of the formats. Those that need a tool of another project (xmllint, promtool, Python)
//! are in the crate's `tests/`.

mod round_trip;
