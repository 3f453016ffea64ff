#![no_main]
// The daemon is a program and no library: these files of it stand alone.
#[path = "../../crates/domstatsd/src/http/accept.rs"]
mod accept;
#[path = "../../crates/domstatsd/src/http/fuzz.rs"]
mod fuzz;
#[path = "../../crates/domstatsd/src/http/query.rs"]
mod query;
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::http_query(bytes));
