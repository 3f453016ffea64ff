#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| domstatsd::fuzz::http_query(bytes));
