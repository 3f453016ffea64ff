//! What a libvirt client or server sends, cut anywhere: never a panic, the cuts change nothing, and
//! every message that the bytes could be is settled by encoding it once.
#![no_main]

#[path = "../../crates/domstats-rpc/tests/wire/again.rs"]
mod again;

use again::{packets, settles};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (size, stream) = input;
    let whole = packets([stream]);
    let cut = packets(stream.chunks(usize::from(size) + 1));
    assert_eq!(whole, cut);
    for (_, payload) in whole.iter().flatten() {
        settles(payload);
    }
});
