//! What a newer peer said that no row of the catalogue describes.

use std::borrow::Cow;

use serde_json::{Map, Value as Json};

use crate::model::stats::Value;

/// Unknown statistics, kept as they came and written again by every format.
///
/// A tree of the words that the documents use: the flat key `rd.zeroed` is `zeroed` inside `rd`.
/// XML's attributes keep an `@` before their name, and an element's own text is `#text`.
///
/// ```
/// let xml = "<domainstats><domain name='a'><state hue='red'>running</state></domain></domainstats>";
/// let report = domstats::StatsReport::from_xml(xml)?;
/// let state = report.domains[0].state.as_ref().unwrap();
/// assert_eq!(state.extra.params()[0].0, "hue");
/// assert!(report.to_xml().contains("<state hue='red'>running</state>"));
/// # Ok::<(), domstats::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extra(pub(crate) Map<String, Json>);

impl Extra {
    /// Returns whether it is empty, as with every peer of this version.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the values with their keys below the section, in the order in which they came.
    #[must_use]
    pub fn params(&self) -> Vec<(String, Value<'_>)> {
        let mut params = Vec::new();
        for (name, value) in &self.0 {
            flatten(&mut String::new(), name, value, &mut params);
        }
        params
    }

    /// Inserts a value by its flat key. A key whose prefix is a value already is ignored.
    pub(crate) fn insert(&mut self, key: &str, value: Json) {
        let (branch, leaf) = key.rsplit_once('.').unwrap_or(("", key));
        let mut map = &mut self.0;
        for word in branch.split('.').filter(|word| !word.is_empty()) {
            let inner = map.entry(word).or_insert_with(|| Json::Object(Map::new()));
            let Json::Object(inner) = inner else { return };
            map = inner;
        }
        map.insert(leaf.to_owned(), value);
    }
}

fn flatten<'a>(
    prefix: &mut String,
    name: &str,
    json: &'a Json,
    params: &mut Vec<(String, Value<'a>)>,
) {
    let length = prefix.len();
    if name != "#text" {
        if !prefix.is_empty() {
            prefix.push('.');
        }
        prefix.push_str(name.strip_prefix('@').unwrap_or(name));
    }
    match json {
        Json::Object(map) => {
            map.iter().for_each(|(name, value)| flatten(prefix, name, value, params));
        }
        Json::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                flatten(prefix, &index.to_string(), item, params);
            }
        }
        leaf => params.push((prefix.clone(), scalar(leaf))),
    }
    prefix.truncate(length);
}

/// Returns a JSON leaf as a value; a branch as its text, which never happens to a leaf.
pub(crate) fn scalar(json: &Json) -> Value<'_> {
    match json {
        Json::Bool(truth) => Value::Boolean(*truth),
        Json::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => Value::ULLong(number),
            (None, Some(number)) => Value::LLong(number),
            (None, None) => Value::Double(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::String(Cow::Borrowed(text)),
        Json::Null => Value::String(Cow::Borrowed("")),
        branch => Value::String(Cow::Owned(branch.to_string())),
    }
}
