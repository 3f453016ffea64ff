//! What a monitor sends, cut anywhere: never a panic, and the cuts change nothing.
#![no_main]

#[path = "../../crates/domstats/tests/monitor_reader/messages.rs"]
mod messages;

use libfuzzer_sys::fuzz_target;
use messages::messages;

fuzz_target!(|input: (u8, &[u8])| {
    let (size, stream) = input;
    let whole = messages([stream]);
    let cut = messages(stream.chunks(usize::from(size) + 1));
    assert_eq!(whole, cut);
});
