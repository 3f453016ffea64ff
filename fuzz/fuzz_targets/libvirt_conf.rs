//! `libvirt.conf`, whose reader is in the command: a mistake is said with its line.
#![no_main]

#[path = "../../crates/domstats-cli/src/libvirt_conf/parse.rs"]
mod parse;

use libfuzzer_sys::fuzz_target;
use parse::LibvirtConf;

fuzz_target!(|text: &str| match LibvirtConf::parse(text) {
    Ok(conf) => drop((conf.uri_default.clone(), conf.resolve("name"))),
    Err(what) => assert!(what.starts_with("line ")),
});
