//! Splits a monitor's stream into JSON messages, within bounds.
//!
//! QEMU writes an object as one line, which is fast to find, or as several lines with `pretty=on`.

use memchr::memchr;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::model::name::shortened;

/// The longest line that a monitor may send. The largest reply that the driver requests is the
/// block statistics: a domain of 256 disks, each with a chain of 10 images, sends about 8 MiB.
pub const MAX_LINE: usize = 16 << 20;

/// A message from the monitor.
#[derive(Debug)]
pub enum Message<'a> {
    /// The monitor's greeting; says whether it offers out-of-band execution.
    Greeting {
        /// Whether `oob` is among the capabilities.
        oob: bool,
    },
    /// The reply to a command with an id, such as the first one of a session.
    Ready {
        /// The id, in JSON.
        id: &'a str,
        /// Success, or a refusal.
        answer: Result<(), String>,
    },
    /// The reply to the oldest open query, as unparsed JSON.
    Return(&'a str),
    /// The refusal of the oldest open query.
    Error {
        /// The class, such as `CommandNotFound`.
        class: String,
        /// The description.
        description: String,
    },
    /// An event in the guest, sent without a query.
    Event {
        /// Its name, such as `STOP`.
        name: String,
    },
}

/// Collects what a monitor sends, and returns its messages.
#[derive(Debug, Default)]
pub struct Reader {
    buffer: Vec<u8>,
    /// Where the next message begins.
    start: usize,
    /// How far the bytes from `start` were searched for a line end.
    searched: usize,
    /// The object that continues after its first line.
    object: Option<Object>,
}

/// The state of the search for an object's end.
#[derive(Debug, Default, Clone, Copy)]
struct Object {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Object {
    /// Returns how many of the bytes still belong to the object, if it ends among them.
    ///
    /// # Errors
    ///
    /// If a line ends within a string.
    fn end(&mut self, bytes: &[u8]) -> Result<Option<usize>, String> {
        for (position, byte) in bytes.iter().enumerate() {
            match byte {
                b'\n' if self.in_string => {
                    return Err("sent invalid QMP: a line ends within a string".to_owned());
                }
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_string => self.escaped = true,
                b'"' => self.in_string = !self.in_string,
                b'{' | b'[' if !self.in_string => self.depth += 1,
                b'}' | b']' if !self.in_string => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Ok(Some(position + 1));
                    }
                }
                _ => {}
            }
        }
        Ok(None)
    }
}

impl Reader {
    /// Appends received bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns how many bytes of memory the buffer takes.
    pub fn size(&self) -> usize {
        self.buffer.capacity()
    }

    /// Returns the next message, or `None` if it has not arrived completely.
    ///
    /// # Errors
    ///
    /// A phrase, if the monitor sends what no monitor sends or a message longer than [`MAX_LINE`].
    /// The stream is unusable from then on.
    pub fn next_message(&mut self) -> Result<Option<Message<'_>>, String> {
        loop {
            let rest = &self.buffer[self.start..];
            if let Some(object) = &mut self.object {
                let end = object.end(&rest[self.searched..])?;
                let length = end.map_or(rest.len(), |end| self.searched + end);
                if length > MAX_LINE {
                    return Err(format!("sent a message of more than {} MiB", MAX_LINE >> 20));
                }
                if end.is_none() {
                    self.searched = length;
                    return Ok(None);
                }
                let from = self.start;
                self.start += length;
                self.searched = 0;
                self.object = None;
                return parse(&self.buffer[from..from + length]).map(Some);
            }
            let end = memchr(b'\n', &rest[self.searched..]);
            let length = self.searched + end.unwrap_or(rest.len() - self.searched);
            if length > MAX_LINE {
                return Err(format!("sent a line of more than {} MiB", MAX_LINE >> 20));
            }
            if end.is_none() {
                self.searched = length;
                if rest.is_empty() {
                    // Replies can be large and rare: releases their memory.
                    self.buffer = Vec::new();
                    self.start = 0;
                }
                return Ok(None);
            }
            let line = rest[..length].trim_ascii();
            if line.starts_with(b"{") && !line.ends_with(b"}") {
                self.object = Some(Object::default());
                self.searched = 0;
                continue;
            }
            let from = self.start;
            let to = from + length;
            self.start = to + 1;
            self.searched = 0;
            if !self.buffer[from..to].trim_ascii().is_empty() {
                return parse(&self.buffer[from..to]).map(Some);
            }
        }
    }
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, rename = "return")]
    answer: Option<&'a RawValue>,
    error: Option<Refusal>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    event: Option<String>,
    #[serde(borrow, rename = "QMP")]
    greeting: Option<Greeting<'a>>,
}

#[derive(Deserialize)]
struct Refusal {
    class: String,
    desc: String,
}

#[derive(Deserialize)]
struct Greeting<'a> {
    #[serde(borrow)]
    capabilities: Option<&'a RawValue>,
}

/// Returns the reply in a line that contains nothing else, as QEMU writes it, so that it is parsed
/// only once, by its recipient. After a reply comes the id if there is one, no object and no list.
fn bare_answer(line: &[u8]) -> Option<&str> {
    let answer = line.trim_ascii_end().strip_prefix(br#"{"return": "#)?.strip_suffix(b"}")?;
    let answer = Some(answer).filter(|answer| matches!(answer.last(), Some(b'}' | b']')))?;
    str::from_utf8(answer).ok()
}

fn parse(line: &[u8]) -> Result<Message<'_>, String> {
    if let Some(answer) = bare_answer(line) {
        return Ok(Message::Return(answer));
    }
    let line: Line<'_> = serde_json::from_slice(line).map_err(|error| {
        let start = &line[..line.len().min(160)];
        let start: String = String::from_utf8_lossy(start).chars().take(40).collect();
        format!("sent invalid QMP ({}): {start:?}", shortened(&error.to_string()))
    })?;
    match line {
        Line { answer: Some(_), id: Some(id), .. } => {
            Ok(Message::Ready { id: id.get(), answer: Ok(()) })
        }
        Line { error: Some(error), id: Some(id), .. } => {
            Ok(Message::Ready { id: id.get(), answer: Err(error.desc) })
        }
        Line { answer: Some(answer), .. } => Ok(Message::Return(answer.get())),
        Line { error: Some(error), .. } => {
            Ok(Message::Error { class: error.class, description: error.desc })
        }
        Line { greeting: Some(greeting), .. } => {
            let capabilities = greeting.capabilities.map_or("", RawValue::get);
            Ok(Message::Greeting { oob: capabilities.contains("\"oob\"") })
        }
        Line { event: Some(name), .. } => Ok(Message::Event { name }),
        _ => Err("sent a message that is no greeting, answer, error or event".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = concat!(
        r#"{"QMP": {"version": {}, "capabilities": ["oob"]}}"#,
        "\r\n\r\n",
        r#"{"return": {}, "id": 0}"#,
        "\r\n",
        r#"{"timestamp": {"seconds": 1}, "event": "STOP"}"#,
        "\r\n",
        r#"{"return": [1, 2]}"#,
        "\n",
        r#"{"id": 7, "return": {}}"#,
        "\r\n",
        r#"{"return": [], "id": "libvirt-7"}"#,
        "\r\n",
        r#"{"return":{"a": "}"}}"#,
        "\r\n",
        r#"{"return": "text"}"#,
        "\r\n",
        r#"{"error": {"class": "CommandNotFound", "desc": "no"}}"#,
        "\r\n",
    );

    fn names(reader: &mut Reader) -> Vec<String> {
        let mut names = Vec::new();
        while let Some(message) = reader.next_message().unwrap() {
            names.push(match message {
                Message::Greeting { oob } => format!("greeting {oob}"),
                Message::Ready { id, answer } => format!("ready {id} {answer:?}"),
                Message::Return(json) => format!("return {json}"),
                Message::Error { class, .. } => format!("error {class}"),
                Message::Event { name } => format!("event {name}"),
            });
        }
        names
    }

    const NAMES: [&str; 9] = [
        "greeting true",
        "ready 0 Ok(())",
        "event STOP",
        "return [1, 2]",
        "ready 7 Ok(())",
        "ready \"libvirt-7\" Ok(())",
        r#"return {"a": "}"}"#,
        r#"return "text""#,
        "error CommandNotFound",
    ];

    #[test]
    fn any_split_of_the_stream_gives_the_same_messages() {
        for size in 1..=STREAM.len() {
            let mut reader = Reader::default();
            let mut all = Vec::new();
            for bytes in STREAM.as_bytes().chunks(size) {
                reader.push(bytes);
                all.extend(names(&mut reader));
            }
            assert_eq!(all, NAMES, "split every {size} bytes");
        }
    }

    #[test]
    fn objects_on_several_lines() {
        // As QEMU writes them with `pretty=on`.
        let mut text = String::new();
        for line in STREAM.lines().filter(|line| !line.is_empty()) {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            text += &serde_json::to_string_pretty(&value).unwrap().replace("\n", "\r\n");
            text += "\r\n";
        }
        text += "{\r\n    \"return\": \"a } \\\" { \\\\\"\r\n}\r\n";
        let mut whole = Reader::default();
        whole.push(text.as_bytes());
        let whole = names(&mut whole);
        assert_eq!(whole.len(), NAMES.len() + 1);
        assert_eq!(whole[..3], NAMES[..3]);
        assert_eq!(whole[9], r#"return "a } \" { \\""#);
        for size in 1..=text.len() {
            let mut reader = Reader::default();
            let mut all = Vec::new();
            for bytes in text.as_bytes().chunks(size) {
                reader.push(bytes);
                all.extend(names(&mut reader));
            }
            assert_eq!(all, whole, "split every {size} bytes");
        }
        let mut endless = Reader::default();
        endless.push(b"{\n");
        let refused = (0..32).any(|_| {
            endless.push(&vec![b' '; 1 << 20]);
            endless.next_message().is_err()
        });
        assert!(refused);
    }

    #[test]
    fn half_a_line_is_no_message() {
        let mut reader = Reader::default();
        reader.push(br#"{"return": "#);
        assert!(reader.next_message().unwrap().is_none());
    }

    #[test]
    fn garbage_and_endless_lines_are_rejected() {
        for garbage in ["HTTP/1.1 400\r\n", "{}\n", "[]\n", "{\"return\n", "\u{0}\u{1}\n"] {
            let mut reader = Reader::default();
            reader.push(garbage.as_bytes());
            assert!(reader.next_message().is_err(), "{garbage:?}");
        }
        let mut reader = Reader::default();
        let chunk = vec![b'x'; 1 << 20];
        let refused = (0..32).any(|_| {
            reader.push(&chunk);
            reader.next_message().is_err()
        });
        assert!(refused);
        assert!(reader.buffer.len() <= MAX_LINE + chunk.len());
    }
}
