//! What a monitor sends, cut anywhere: never a panic, and the cuts change nothing.
#![no_main]

use domstats::driver::qemu::reader::Reader;
use libfuzzer_sys::fuzz_target;

/// Returns what the reader makes of a stream, up to its first error.
fn messages<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> Vec<Result<String, String>> {
    let mut reader = Reader::default();
    let mut messages = Vec::new();
    for chunk in chunks {
        reader.push(chunk);
        loop {
            match reader.next_message() {
                Ok(Some(message)) => messages.push(Ok(format!("{message:?}"))),
                Ok(None) => break,
                Err(error) => {
                    messages.push(Err(error));
                    return messages;
                }
            }
        }
    }
    messages
}

fuzz_target!(|input: (u8, &[u8])| {
    let (size, stream) = input;
    let whole = messages(std::iter::once(stream));
    let cut = messages(stream.chunks(usize::from(size) + 1));
    assert_eq!(whole, cut);
});
