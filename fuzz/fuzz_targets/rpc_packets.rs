#![no_main]

#[path = "../../crates/domstats-rpc/tests/wire/again.rs"]
mod again;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| again::stream_settles(bytes));
