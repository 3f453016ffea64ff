#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| domstatsd::fuzz::rpc_server(bytes));
