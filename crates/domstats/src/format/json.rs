//! JSON: the same document, `schemas/domainstats.schema.json`.
//!
//! The words are those of XML. A list is an array under the name of its items, an element's own
//! text stands under the element's name. A number that JSON cannot spell (`NaN`, `inf`, `-inf`)
//! is a string.

use std::{fmt::Write, io};

use serde_json::Value as Json;

use super::{
    Flush,
    append::{has_any, push_double, push_new_line, push_number, push_numbers},
    document::{self, Frame, Writer},
    read::{self, malformed},
};
use crate::model::{error::Result, name::is_deceptive, report::StatsReport, stats::Value};

pub(super) fn write(report: &StatsReport, buffer: &mut String, flush: Flush<'_>) -> io::Result<()> {
    let mut json = JsonWriter { out: buffer, scopes: Vec::new() };
    document::write(report, &mut json, flush)
}

/// Reads a document.
pub(super) fn read(text: &str) -> Result<StatsReport> {
    match serde_json::from_str(text) {
        Ok(Json::Object(members)) if members.contains_key("domains") => {
            read::report(members, "domains")
        }
        Ok(_) => {
            Err(malformed("the JSON document is not an object with a list of 'domains'".to_owned()))
        }
        // serde_json's sentence ends with the line and the column.
        Err(error) => Err(malformed(format!("JSON: {error}"))),
    }
}

struct JsonWriter<'a> {
    out: &'a mut String,
    /// The objects and arrays that are open.
    scopes: Vec<Scope>,
}

#[derive(Clone, Copy)]
struct Scope {
    is_list: bool,
    is_empty: bool,
}

impl JsonWriter<'_> {
    /// Begins a member or item: everything before its value. The name is escaped already, or a
    /// word of the catalogue, which needs no escapes.
    fn begin(&mut self, name: &str, clash: bool) {
        let Some(is_list) = self.separate() else { return };
        push_new_line(self.out, self.scopes.len());
        if !is_list {
            self.out.push('"');
            if clash {
                self.out.push('@');
            }
            self.out.push_str(name);
            self.out.push_str("\": ");
        }
    }

    /// Separates a member or item from the one before; returns whether it is an item, or `None` at the
    /// top level.
    fn separate(&mut self) -> Option<bool> {
        let scope = self.scopes.last_mut()?;
        if !scope.is_empty {
            self.out.push(',');
        }
        scope.is_empty = false;
        Some(scope.is_list)
    }

    fn open_scope(&mut self, name: &str, is_list: bool) {
        self.begin(name, false);
        self.out.push(if is_list { '[' } else { '{' });
        self.scopes.push(Scope { is_list, is_empty: true });
    }

    fn close_scope(&mut self) {
        if let Some(scope) = self.scopes.pop() {
            if !scope.is_empty {
                push_new_line(self.out, self.scopes.len());
            }
            self.out.push(if scope.is_list { ']' } else { '}' });
        }
        if self.scopes.is_empty() {
            self.out.push('\n');
        }
    }

    fn push_value(&mut self, value: &Value<'_>) {
        match value {
            Value::Boolean(truth) => self.out.push_str(if *truth { "true" } else { "false" }),
            Value::String(text) => self.push_string(text),
            Value::Numbers(numbers) => {
                self.out.push('[');
                push_numbers(self.out, numbers, ", ");
                self.out.push(']');
            }
            Value::Word { word: Some(word), .. } => self.push_string(word),
            Value::Double(number) if !number.is_finite() => {
                self.out.push('"');
                push_double(self.out, *number);
                self.out.push('"');
            }
            number => {
                push_number(self.out, number);
            }
        }
    }

    fn push_string(&mut self, text: &str) {
        self.out.push('"');
        push_escaped(self.out, text);
        self.out.push('"');
    }
}

impl Writer for JsonWriter<'_> {
    fn buffer(&mut self) -> &mut String {
        self.out
    }

    fn open(&mut self, name: &str) {
        self.open_scope(name, false);
    }

    fn close(&mut self, _: &str) {
        self.close_scope();
    }

    fn open_list(&mut self, name: &str) {
        self.open_scope(name, true);
    }

    fn close_list(&mut self) {
        self.close_scope();
    }

    fn attribute(&mut self, name: &str, value: &Value<'_>, clash: bool) {
        self.begin(name, clash);
        self.push_value(value);
    }

    fn text(&mut self, name: &str, value: &Value<'_>) {
        self.begin(name, false);
        self.push_value(value);
    }

    fn frame(&self, name: &str) -> Frame {
        let mut before = String::new();
        push_new_line(&mut before, self.scopes.len());
        before.extend(["\"", name, "\": "]);
        Frame { before, after: String::new() }
    }

    fn element(&mut self, frame: &Frame, value: &Value<'_>) {
        self.separate();
        self.out.push_str(&frame.before);
        self.push_value(value);
    }

    fn extra_attribute(&mut self, _: &str, _: &Json) -> bool {
        false
    }

    fn extra(&mut self, name: &str, value: &Json) {
        let mut escaped = String::new();
        push_escaped(&mut escaped, name);
        match value {
            Json::Object(members) => {
                self.open(&escaped);
                document::write_members(members, self);
                self.close(&escaped);
            }
            Json::Array(items) => {
                self.open_list(&escaped);
                items.iter().for_each(|item| self.extra(name, item));
                self.close_list();
            }
            Json::String(text) => {
                self.begin(&escaped, false);
                self.push_string(text);
            }
            scalar => {
                self.begin(&escaped, false);
                // Writing to a string cannot fail.
                let _ = write!(self.out, "{scalar}");
            }
        }
    }
}

/// Appends a text with escapes for special and deceptive characters.
fn push_escaped(out: &mut String, text: &str) {
    let special = |byte| matches!(byte, b'"' | b'\\') | !matches!(byte, b' '..=b'~');
    if !has_any(text, special) {
        return out.push_str(text);
    }
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if is_deceptive(character) => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            _ => out.push(character),
        }
    }
}
