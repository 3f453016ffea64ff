//! What a reader makes of a stream: for the property tests and the fuzz target alike.

use domstats::driver::qemu::reader::Reader;

/// Returns what a reader makes of a stream that arrives in chunks, up to its first error.
pub(crate) fn messages<'a>(
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<Result<String, String>> {
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
