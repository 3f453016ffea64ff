//! Merges what no row describes into what the rows do.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

use super::{Writer, is_scalar};
use crate::model::stats::{Extra, Value};

/// What is unknown in the current element, and which of it has been written.
#[derive(Default)]
pub(super) struct Unknown<'a> {
    map: Option<&'a Map<String, Json>>,
    text: Option<&'a Json>,
    written: BTreeSet<&'a str>,
}

impl<'a> Unknown<'a> {
    pub(super) fn of(extra: &'a Extra) -> Self {
        Self::within(&extra.0)
    }

    pub(super) fn within(map: &'a Map<String, Json>) -> Self {
        if map.is_empty() {
            return Self::default();
        }
        Self { map: Some(map), text: map.get("#text"), written: BTreeSet::new() }
    }

    pub(super) fn text(scalar: &'a Json) -> Self {
        Self { text: Some(scalar), ..Self::default() }
    }

    /// Returns what has this name, for the caller to write.
    #[inline]
    pub(super) fn take(&mut self, name: &str) -> Option<&'a Json> {
        let (name, value) = self.map?.get_key_value(name)?;
        self.written.insert(name);
        Some(value)
    }

    /// Writes a known attribute. It replaces an unknown one of the same name, which was unreadable.
    pub(super) fn attribute(&mut self, name: &str, value: &Value<'_>, out: &mut impl Writer) {
        let Some(map) = self.map else {
            return out.attribute(name, value, false);
        };
        self.take(&format!("@{name}"));
        out.attribute(name, value, map.contains_key(name));
    }

    /// Writes what has to come first: attributes, then text.
    pub(super) fn begin(&mut self, out: &mut impl Writer) {
        for (name, value) in self.map.into_iter().flatten() {
            if name.starts_with('@')
                && !self.written.contains(name.as_str())
                && out.extra_attribute(name, value)
            {
                self.written.insert(name);
            }
        }
        if let Some(text) = self.text.take()
            && is_scalar(text)
            && !self.written.contains("#text")
        {
            self.written.insert("#text");
            out.extra("#text", text);
        }
    }

    /// Writes the items that could not be read, after those that could.
    pub(super) fn append(&mut self, name: &str, out: &mut impl Writer) {
        match self.take(name) {
            Some(Json::Array(items)) => items.iter().for_each(|item| out.extra(name, item)),
            Some(item) => out.extra(name, item),
            None => {}
        }
    }

    /// Writes the rest.
    pub(super) fn end(&self, out: &mut impl Writer) {
        for (name, value) in self.map.into_iter().flatten() {
            if !self.written.contains(name.as_str()) {
                out.extra(name, value);
            }
        }
    }
}
