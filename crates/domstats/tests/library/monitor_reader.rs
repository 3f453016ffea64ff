//! The monitor's lines, however they arrive.

use domstats::fuzz::{MAX_LINE, Message, Reader, messages};
use proptest::prelude::*;

/// Lines that monitors send, and some that they do not.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z]{0,8}".prop_map(|text| format!("{{\"return\": {{\"status\": \"{text}\"}}}}\r\n")),
        2 => "[A-Z]{1,8}".prop_map(|name| {
            format!("{{\"timestamp\": {{\"seconds\": 1}}, \"event\": \"{name}\"}}\r\n")
        }),
        2 => "[ -~]{0,20}".prop_map(|text| {
            let text = serde_json::Value::from(text);
            format!("{{\"error\": {{\"class\": \"GenericError\", \"desc\": {text}}}}}\n")
        }),
        1 => Just("{\"QMP\": {\"version\": {}, \"capabilities\": [\"oob\"]}}\r\n".to_owned()),
        1 => Just("\r\n".to_owned()),
    ]
}

proptest! {
    #[test]
    fn cuts_change_nothing(lines in prop::collection::vec(line(), 0..20), size in 1_usize..200) {
        let stream = lines.concat();
        let whole = messages([stream.as_bytes()]);
        prop_assert!(whole.iter().all(Result::is_ok));
        prop_assert_eq!(whole.len(), lines.iter().filter(|line| line.len() > 2).count());
        prop_assert_eq!(whole, messages(stream.as_bytes().chunks(size)));
    }

    #[test]
    fn nothing_panics(stream in prop::collection::vec(any::<u8>(), 0..400), size in 1_usize..50) {
        prop_assert_eq!(messages([stream.as_slice()]), messages(stream.chunks(size)));
    }
}

#[test]
fn the_longest_line_is_read_and_a_longer_one_refused() {
    let line = |length: usize| {
        let frame = r#"{"return": ""}"#.len();
        format!("{{\"return\": \"{}\"}}", "x".repeat(length - frame))
    };
    let mut reader = Reader::default();
    reader.push(line(MAX_LINE).as_bytes());
    reader.push(b"\n");
    assert!(matches!(reader.next_message(), Ok(Some(Message::Return(_)))));

    let mut reader = Reader::default();
    reader.push(line(MAX_LINE + 1).as_bytes());
    assert!(reader.next_message().unwrap_err().contains("16 MiB"));
}
