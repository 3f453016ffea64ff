//! XML: the RFC's document, `schemas/domainstats.rng`.
//!
//! A name that XML cannot spell is the element `_` with the attribute `name`: a newer libvirt's
//! flat key `gpu.0.load` becomes `<gpu><_ name='0'><load>…</load></_></gpu>`.

use std::{fmt::Write as _, io, ops::Range};

use quick_xml::escape;
use serde_json::{Map, Value as Json};

use super::{
    Flush,
    append::{has_any, push_double, push_new_line, push_number, push_numbers},
    document::{self, Frame, Writer, is_scalar},
    read::{self, malformed},
    tree,
};
use crate::model::{
    catalogue::extra, error::Result, name::is_deceptive, report::StatsReport, stats::Value,
};

/// The element for a name that is not valid in XML.
pub(super) const ESCAPE: &str = "_";

pub(super) fn write(report: &StatsReport, buffer: &mut String, flush: Flush<'_>) -> io::Result<()> {
    let mut xml = Xml { out: buffer, depth: 0, start: None, inline: None };
    document::write(report, &mut xml, flush)
}

/// Reads a document.
pub(super) fn read(text: &str) -> Result<StatsReport> {
    let (name, tree) = tree::of_xml(text)?;
    match tree {
        _ if name != "domainstats" => {
            Err(malformed(format!("the document is a <{name}>, not a <domainstats>")))
        }
        Json::Object(members) => read::report(members, "domain"),
        _ => read::report(Map::new(), "domain"),
    }
}

struct Xml<'a> {
    out: &'a mut String,
    depth: usize,
    /// The start tag that still waits for its `>`: where it begins, and where its known attributes
    /// end.
    start: Option<Range<usize>>,
    /// The depth of the outermost open element with text, inside which white space would be content.
    inline: Option<usize>,
}

impl Xml<'_> {
    fn finish_start(&mut self) {
        if self.start.take().is_some() {
            self.out.push('>');
        }
    }

    fn new_line(&mut self) {
        if self.inline.is_none() {
            push_new_line(self.out, self.depth);
        }
    }

    /// Writes `<name`.
    fn start(&mut self, name: &str) {
        self.finish_start();
        if self.depth > 0 {
            self.new_line();
        }
        let start = self.out.len();
        self.out.push('<');
        self.out.push_str(name);
        self.start = Some(start..self.out.len());
    }

    fn end(&mut self, name: &str) {
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push('>');
    }

    fn push_attribute(&mut self, name: &str, value: impl FnOnce(&mut String)) {
        self.out.push(' ');
        self.out.push_str(name);
        self.out.push_str("='");
        value(self.out);
        self.out.push('\'');
    }
}

impl Writer for Xml<'_> {
    fn buffer(&mut self) -> &mut String {
        self.out
    }

    fn open(&mut self, name: &str) {
        self.start(name);
        self.depth += 1;
    }

    fn close(&mut self, name: &str) {
        let has_text = self.inline == Some(self.depth);
        self.depth -= 1;
        if self.start.take().is_some() {
            self.out.push_str("/>");
        } else {
            if !has_text {
                self.new_line();
            }
            self.end(name);
        }
        if has_text {
            self.inline = None;
        }
        if self.depth == 0 {
            self.out.push('\n');
        }
    }

    fn open_list(&mut self, _: &str) {}

    fn close_list(&mut self) {}

    fn attribute(&mut self, name: &str, value: &Value<'_>, _: bool) {
        self.push_attribute(name, |out| push_value(out, value, push_attribute_text));
        if let Some(start) = &mut self.start {
            start.end = self.out.len();
        }
    }

    fn text(&mut self, _: &str, value: &Value<'_>) {
        self.finish_start();
        self.inline.get_or_insert(self.depth);
        push_value(self.out, value, push_text);
    }

    fn frame(&self, name: &str) -> Frame {
        let mut before = String::new();
        push_new_line(&mut before, self.depth);
        before.extend(["<", name, ">"]);
        Frame { before, after: format!("</{name}>") }
    }

    fn element(&mut self, frame: &Frame, value: &Value<'_>) {
        self.finish_start();
        let before = &frame.before;
        self.out.push_str(if self.inline.is_none() { before } else { before.trim_start() });
        push_value(self.out, value, push_text);
        self.out.push_str(&frame.after);
    }

    fn extra_attribute(&mut self, name: &str, value: &Json) -> bool {
        let Some(bare) = name.strip_prefix('@').filter(|name| is_name(name)) else {
            return false;
        };
        // Values never hold a bare `'`, so this finds attributes only; unknown ones all differ.
        let taken = format!(" {bare}='");
        let known = self.start.clone().and_then(|start| self.out.get(start));
        if !is_scalar(value) || known.is_none_or(|known| known.contains(&taken)) {
            return false;
        }
        let value = extra::scalar(value);
        self.push_attribute(bare, |out| push_value(out, &value, push_attribute_text));
        true
    }

    fn extra(&mut self, name: &str, value: &Json) {
        match value {
            scalar if name == "#text" && is_scalar(scalar) => {
                self.text(name, &extra::scalar(scalar));
            }
            // Repeated elements are a list; a list in a list has the positions as names.
            Json::Array(items) => {
                for item in items {
                    self.unknown(name, |xml| match item {
                        Json::Array(inner) => {
                            for (position, item) in inner.iter().enumerate() {
                                xml.extra(&position.to_string(), item);
                            }
                        }
                        item => xml.content(item),
                    });
                }
            }
            value => self.unknown(name, |xml| xml.content(value)),
        }
    }
}

impl Xml<'_> {
    /// Writes an element of any name.
    fn unknown(&mut self, name: &str, content: impl FnOnce(&mut Self)) {
        let element = if is_name(name) { name } else { ESCAPE };
        self.open(element);
        if element == ESCAPE {
            self.push_attribute("name", |out| push_attribute_text(out, name));
        }
        content(self);
        self.close(element);
    }

    fn content(&mut self, value: &Json) {
        match value {
            Json::Object(members) => document::write_members(members, self),
            value => self.text("", &extra::scalar(value)),
        }
    }
}

/// Appends a value; texts go through `push_string`, which escapes them.
fn push_value(out: &mut String, value: &Value<'_>, push_string: impl Fn(&mut String, &str)) {
    match value {
        Value::Boolean(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Value::String(text) => push_string(out, text),
        Value::Numbers(numbers) => push_numbers(out, numbers, " "),
        Value::Word { word: Some(word), .. } => out.push_str(word),
        // The infinities and NaN by the names that Rust reads.
        Value::Double(number) => push_double(out, *number),
        number => {
            push_number(out, number);
        }
    }
}

fn push_text(out: &mut String, text: &str) {
    push_escaped(out, text, |byte| matches!(byte, b'<' | b'>' | b'&' | b'\r' | b'\n' | b'\t'));
}

fn push_attribute_text(out: &mut String, text: &str) {
    push_escaped(out, text, |byte| {
        matches!(byte, b'<' | b'>' | b'&' | b'\'' | b'\r' | b'\n' | b'\t')
    });
}

/// Appends a text with special and deceptive characters as references, and those that XML forbids as
/// U+FFFD. All of `special` are ASCII.
fn push_escaped(out: &mut String, text: &str, special: impl Fn(u8) -> bool) {
    if !has_any(text, |byte| special(byte) | !matches!(byte, b' '..=b'~')) {
        return out.push_str(text);
    }
    for character in text.chars() {
        match u8::try_from(character) {
            Ok(byte) if byte.is_ascii() && special(byte) => match byte {
                b'\r' => out.push_str("&#13;"),
                b'\n' => out.push_str("&#10;"),
                b'\t' => out.push_str("&#9;"),
                _ => out.push_str(&escape::escape(character.encode_utf8(&mut [0; 4]) as &str)),
            },
            _ => match character {
                '\n' | '\t' | '\r' => out.push(character),
                '\0'..' ' | '\u{FFFE}' | '\u{FFFF}' => out.push(char::REPLACEMENT_CHARACTER),
                // Writing to a string cannot fail.
                _ if is_deceptive(character) => drop(write!(out, "&#{};", u32::from(character))),
                _ => out.push(character),
            },
        }
    }
}

/// Returns whether this can be the name of an element or attribute. A name with a colon would need a
/// declaration of its prefix, so it is escaped instead.
fn is_name(name: &str) -> bool {
    let starts = |character| {
        matches!(character,
            'A'..='Z' | 'a'..='z' | '_'
            | '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{2FF}'
            | '\u{370}'..='\u{37D}' | '\u{37F}'..='\u{1FFF}' | '\u{200C}'..='\u{200D}'
            | '\u{2070}'..='\u{218F}' | '\u{2C00}'..='\u{2FEF}' | '\u{3001}'..='\u{D7FF}'
            | '\u{F900}'..='\u{FDCF}' | '\u{FDF0}'..='\u{FFFD}' | '\u{10000}'..='\u{EFFFF}')
    };
    let continues = |character| {
        starts(character)
            || matches!(character,
                '0'..='9' | '-' | '.' | '\u{B7}' | '\u{300}'..='\u{36F}' | '\u{203F}'..='\u{2040}')
    };
    name != ESCAPE
        && name.starts_with(starts)
        && name.chars().all(continues)
        && !name.contains(is_deceptive)
}
