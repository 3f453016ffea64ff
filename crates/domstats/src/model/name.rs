//! Names from outside, made safe to display.
//!
//! Anybody can choose a name: a user who starts a QEMU, a monitor, a daemon, a document. Names reach
//! terminals, logs and dashboards. So every name is a [`Name`], and there is only one way to create one.

use std::{
    borrow::{Borrow, Cow},
    fmt,
    ops::Deref,
};

use crate::model::{
    catalogue::value::Leaf,
    stats::{Value, ValueType},
};

/// The name of a domain, disk, NIC or statistic. U+FFFD replaces [deceptive](is_deceptive) characters.
///
/// ```
/// use domstats::Name;
///
/// assert_eq!(Name::from("web \u{1b}[2J\n\u{202e}1"), "web \u{fffd}[2J\u{fffd}\u{fffd}1");
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Name(String);

impl Name {
    /// Returns the name as a string slice.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The only way to create a name.
impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self(printable(text))
    }
}

impl From<String> for Name {
    fn from(text: String) -> Self {
        match may_deceive(&text) {
            true => Self::from(text.as_str()),
            false => Self(text),
        }
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl PartialEq<String> for Name {
    fn eq(&self, other: &String) -> bool {
        self.0 == *other
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl Leaf for Name {
    const TYPE: ValueType = ValueType::String;

    fn value(&self) -> Value<'_> {
        Value::String(self.0.as_str().into())
    }

    fn from_value(value: &Value<'_>) -> Option<Self> {
        value.as_str().map(Self::from)
    }
}

/// Returns a text with U+FFFD in place of [deceptive](is_deceptive) characters.
#[must_use]
pub fn printable(text: &str) -> String {
    match may_deceive(text) {
        true => text.replace(is_deceptive, "\u{fffd}"),
        false => text.to_owned(),
    }
}

/// The longest foreign text in a message, in bytes: the limit of a path.
const LONGEST: usize = 4096;

/// Returns a text, truncated if it is too long to be repeated with each of a domain's statistics.
pub(crate) fn shortened(text: &str) -> Cow<'_, str> {
    let end = (0..=LONGEST).rev().find(|end| text.is_char_boundary(*end));
    match text.get(..end.unwrap_or_default()) {
        Some(start) if text.len() > LONGEST => format!("{start}…").into(),
        _ => text.into(),
    }
}

/// Returns whether a text has anything but printable ASCII. A fold checks many bytes at a time; a search
/// would check one after the other.
pub(crate) fn may_deceive(text: &str) -> bool {
    text.bytes().fold(false, |found, byte| found | !matches!(byte, b' '..=b'~'))
}

/// Returns whether a character moves a terminal's cursor, ends a line, changes the direction of text, or is
/// invisible, so that people see something other than what is there.
#[must_use]
pub fn is_deceptive(character: char) -> bool {
    // Controls; direction marks and embeddings; line and paragraph separators; invisible characters
    // (Unicode's `Default_Ignorable_Code_Point`, except variation selectors).
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e00ff}' | '\u{e01f0}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn long_text_is_cut_at_a_character() {
        let long = shortened_of(100_000);
        assert!(long.len() <= LONGEST + 4 && long.ends_with("ä…"), "{}", long.len());
        assert_eq!(shortened_of(2048), "ä".repeat(2048));
    }

    fn shortened_of(count: usize) -> String {
        shortened(&"ä".repeat(count)).into_owned()
    }

    use crate::model::{
        catalogue::Slot,
        report::DomainStats,
        stats::{Cell, GROUPS, Key, KeyKind, Row, Section},
    };

    #[test]
    fn deceptive_characters_are_replaced_in_every_constructor() {
        for text in [
            "\u{1b}",
            "\n",
            "\r",
            "\t",
            "\0",
            "\u{7f}",
            "\u{85}",
            "\u{9b}",
            "\u{200b}",
            "\u{200d}",
            "\u{200e}",
            "\u{2028}",
            "\u{2029}",
            "\u{202e}",
            "\u{2060}",
            "\u{2066}",
            "\u{2069}",
            "\u{feff}",
            "\u{ad}",
            "\u{e0041}",
        ] {
            let text = format!("vm{text}1");
            for name in [
                Name::from(text.as_str()),
                Name::from(text.clone()),
                Name::read(&json!(text)).unwrap(),
            ] {
                assert_eq!(name, "vm\u{fffd}1", "{text:?}");
            }
        }
        for text in ["vm-1_a.b", "Ünïcode 日本", "كمبيوتر", "🖥", "a b"] {
            assert_eq!(Name::from(text), text);
            assert_eq!(Name::from(text.to_owned()), text);
        }
    }

    /// Sets every row that is a name to a deceptive one, and returns how many there are.
    fn deceive(section: &mut dyn Section) -> usize {
        let mut count = 0;
        for (number, row) in section.schema().rows.iter().enumerate() {
            match (row, section.slot(number)) {
                (Row::Field(field), Slot::Field(slot)) if field.name == "name" => {
                    assert!(slot.set(&Value::String("a\u{202e}b".into())));
                    let Cell::Field(Some(value)) = section.cell(number) else {
                        panic!("it was set")
                    };
                    assert_eq!(value, Value::String("a\u{fffd}b".into()));
                    count += 1;
                }
                (Row::List(row), Slot::List(list)) => {
                    let key = match row.key {
                        KeyKind::Index => Key::Index(0),
                        KeyKind::Id => Key::Id(0),
                        KeyKind::Name => Key::Name("a\u{202e}b"),
                    };
                    count += deceive(list.entry(key));
                    list.entry(key);
                    assert_eq!(list.len(), 1);
                    if row.key == KeyKind::Name {
                        assert_eq!(list.get(0).unwrap().0, Key::Name("a\u{fffd}b"));
                        count += 1;
                    }
                }
                (Row::Part(_), Slot::Part(part)) => count += deceive(part),
                _ => {}
            }
        }
        count
    }

    #[test]
    fn every_name_in_the_catalogue_is_a_name() {
        let mut stats = DomainStats::default();
        let count: usize = GROUPS.iter().map(|group| deceive(group.slot(&mut stats))).sum();
        assert!(count >= 12, "{count}");
    }
}
