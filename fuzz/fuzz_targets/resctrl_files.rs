#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| domstats::fuzz::resctrl_files(bytes));
