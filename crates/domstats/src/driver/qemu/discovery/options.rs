//! QEMU's command line options: their syntax, and how repeated options are merged.

use std::{collections::HashMap, iter::Peekable};

use serde_json::Value as Json;

/// An option's keys and values: `implied,key=value,key=value`, or the same as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Options(Vec<(String, String)>);

impl Options {
    /// Parses an option. `implied` is the key of a first value without a key.
    pub(super) fn parse(text: &str, implied: &str) -> Self {
        let mut pairs = Vec::new();
        let mut rest = text.chars().peekable();
        while rest.peek().is_some() {
            let (key, end) = word(&mut rest.clone(), |c| c == ',' || c == '=');
            if end == Some('=') {
                rest.nth(key.chars().count());
                pairs.push((key, value(&mut rest)));
            } else if pairs.is_empty() && !implied.is_empty() {
                pairs.push((implied.to_owned(), value(&mut rest)));
            } else {
                word(&mut rest, |c| c == ',');
                pairs.push((key, "on".to_owned()));
            }
        }
        Self(pairs)
    }

    /// Parses an option that may be JSON.
    pub(super) fn parse_either(text: &str, implied: &str) -> Self {
        if !text.starts_with('{') {
            return Self::parse(text, implied);
        }
        let mut pairs = Vec::new();
        // serde_json limits the nesting.
        if let Ok(json) = serde_json::from_str(text) {
            flatten("", json, &mut pairs);
        }
        Self(pairs)
    }

    /// Applies another option; its value wins for keys that both have.
    pub(super) fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(super) fn set(&mut self, key: &str, value: &str) {
        self.0.push((key.to_owned(), value.to_owned()));
    }

    /// Returns these options with `prefix` before their keys.
    pub(super) fn below(self, prefix: &str) -> Self {
        let below = |(key, value): (String, String)| (format!("{prefix}{key}"), value);
        Self(self.0.into_iter().map(below).collect())
    }

    /// Returns a value: QEMU takes the last one.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// Returns a boolean: `key=on` in any of QEMU's spellings, `key`, or the old `nokey`.
    pub(super) fn boolean(&self, key: &str) -> Option<bool> {
        self.0.iter().rev().find_map(|(name, value)| match name.strip_prefix("no") {
            Some(name) if name == key => Some(false),
            _ if name != key => None,
            _ => Some(matches!(value.as_str(), "on" | "yes" | "true" | "y")),
        })
    }

    /// Returns a number: `4`, `0x4`, `04`; `None` for zero, which to QEMU means the default.
    pub(super) fn number(&self, key: &str) -> Option<u32> {
        let text = self.get(key)?;
        let number = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            Some(digits) => u32::from_str_radix(digits, 16),
            None if text.starts_with('0') => u32::from_str_radix(text, 8),
            None => text.parse(),
        };
        number.ok().filter(|number| *number > 0)
    }
}

/// Reads up to and including a delimiter.
fn word(
    text: &mut impl Iterator<Item = char>,
    is_end: impl Fn(char) -> bool,
) -> (String, Option<char>) {
    let mut word = String::new();
    for c in text {
        if is_end(c) {
            return (word, Some(c));
        }
        word.push(c);
    }
    (word, None)
}

/// Reads a value and the comma after it. A comma in the value is doubled.
fn value(text: &mut Peekable<impl Iterator<Item = char>>) -> String {
    let mut value = String::new();
    while let Some(c) = text.next() {
        if c == ',' && text.next_if_eq(&',').is_none() {
            break;
        }
        value.push(c);
    }
    value
}

/// Nested keys are joined with dots: `addr.type`.
fn flatten(key: &str, json: Json, pairs: &mut Vec<(String, String)>) {
    match json {
        Json::Object(map) => {
            for (name, value) in map {
                let key = if key.is_empty() { name } else { format!("{key}.{name}") };
                flatten(&key, value, pairs);
            }
        }
        Json::String(text) => pairs.push((key.to_owned(), text)),
        other => pairs.push((key.to_owned(), other.to_string())),
    }
}

/// Parses a size: `512k`, `1.5G`, `0x20M`. A number without a suffix is in units of `default`
/// bytes.
pub(super) fn size(text: &str, default: u64) -> Option<u64> {
    let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let body = hex.unwrap_or(text);
    let is_digit = |c: char| match hex {
        Some(_) => c.is_ascii_hexdigit(),
        None => c.is_ascii_digit() || c == '.',
    };
    let (digits, suffix) = body.split_at(body.find(|c| !is_digit(c)).unwrap_or(body.len()));
    let unit = match suffix.to_ascii_lowercase().as_str() {
        "" => default,
        "b" => 1,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        "t" => 1 << 40,
        "p" => 1 << 50,
        "e" => 1 << 60,
        _ => return None,
    };
    if hex.is_some() {
        return u64::from_str_radix(digits, 16).ok()?.checked_mul(unit);
    }
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = match fraction {
        "" => 0.0,
        digits => format!("0.{digits}").parse::<f64>().ok()?,
    };
    // As in QEMU, the fraction is rounded to a byte.
    whole.parse::<u64>().ok()?.checked_mul(unit)?.checked_add((fraction * unit as f64) as u64)
}

/// All options that the driver reads, from every source, merged as QEMU does.
#[derive(Debug, Default)]
pub(super) struct OptionGroups {
    groups: Vec<OptionGroup>,
    /// The positions of options with an id.
    ids: HashMap<(String, String), usize>,
    /// QEMU has one each of these: every option adds to it.
    name: Options,
    memory: Options,
    machine: Options,
}

/// One option group.
#[derive(Debug)]
pub(super) struct OptionGroup {
    pub(super) name: String,
    pub(super) id: Option<String>,
    pub(super) options: Options,
}

impl OptionGroups {
    /// Adds an option.
    pub(super) fn add(&mut self, name: &str, id: Option<&str>, options: Options) {
        match name {
            "name" => return self.name.merge(options),
            "memory" => return self.memory.merge(options),
            "machine" => return self.machine.merge(options),
            "smp-opts" => return self.machine.merge(options.below("smp.")),
            _ => {}
        }
        let id = id.or_else(|| options.get("id")).map(str::to_owned);
        if let Some(id) = &id {
            // QEMU accepts no second one.
            let key = (name.to_owned(), id.clone());
            self.ids.entry(key).or_insert(self.groups.len());
        }
        self.groups.push(OptionGroup { name: name.to_owned(), id, options });
    }

    /// Changes a given option: `group.id.key=value`.
    pub(super) fn set(&mut self, text: &str) {
        let mut words = text.splitn(3, '.');
        let (Some(name), Some(id), Some(pair)) = (words.next(), words.next(), words.next()) else {
            return;
        };
        if let Some((key, value)) = pair.split_once('=')
            && let Some(at) = self.ids.get(&(name.to_owned(), id.to_owned()))
        {
            self.groups[*at].options.set(key, value);
        }
    }

    /// Returns the options given with an id.
    pub(super) fn find(&self, name: &str, id: &str) -> Option<&Options> {
        let at = self.ids.get(&(name.to_owned(), id.to_owned()))?;
        Some(&self.groups[*at].options)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &OptionGroup> {
        self.groups.iter()
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.name.get("guest")
    }

    /// Returns the memory options.
    pub(super) fn memory(&self) -> &Options {
        &self.memory
    }

    /// Returns the machine options; those of `-smp` start with `smp.`.
    pub(super) fn machine(&self) -> &Options {
        &self.machine
    }

    /// Adds the content of an option file.
    ///
    /// # Errors
    ///
    /// The number of the first line that QEMU would not accept; the lines before it count.
    pub(super) fn add_file(&mut self, text: &str) -> Result<(), usize> {
        let mut section: Option<(String, Option<String>, Options)> = None;
        for (number, line) in text.lines().enumerate() {
            let line_is_bad = number + 1;
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(head) = line.strip_prefix('[') {
                self.add_section(section.take());
                let head = head.split_once(']').ok_or(line_is_bad)?.0;
                let (name, id) = match head.split_once('"') {
                    Some((name, id)) => (name.trim_end(), Some(id.trim_end_matches('"'))),
                    None => (head, None),
                };
                section = Some((name.to_owned(), id.map(str::to_owned), Options::default()));
                continue;
            }
            let (key, value) = line.split_once('=').ok_or(line_is_bad)?;
            let value = value.trim_start().strip_prefix('"').ok_or(line_is_bad)?;
            let value = value.split_once('"').ok_or(line_is_bad)?.0;
            section.as_mut().ok_or(line_is_bad)?.2.set(key.trim(), value);
        }
        self.add_section(section);
        Ok(())
    }

    fn add_section(&mut self, section: Option<(String, Option<String>, Options)>) {
        if let Some((name, id, options)) = section {
            self.add(&name, id.as_deref(), options);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(options: &Options) -> Vec<(&str, &str)> {
        options.0.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
    }

    #[test]
    fn parses_commas() {
        for (text, implied, expected) in [
            ("a", "x", vec![("x", "a")]),
            ("a,b=c", "x", vec![("x", "a"), ("b", "c")]),
            ("a,,b=c,d=e", "x", vec![("x", "a,b=c"), ("d", "e")]),
            ("k=a,,b,,,,c", "x", vec![("k", "a,b,,c")]),
            ("k=a=b,flag,l=", "x", vec![("k", "a=b"), ("flag", "on"), ("l", "")]),
            ("flag,k=v", "", vec![("flag", "on"), ("k", "v")]),
            ("", "x", vec![]),
            ("k=ä,ö", "x", vec![("k", "ä"), ("ö", "on")]),
        ] {
            assert_eq!(pairs(&Options::parse(text, implied)), expected, "{text}");
        }
    }

    #[test]
    fn parses_json() {
        let text = r#"{"a":"x","b":{"c":true,"d":{"e":7}},"f":[1]}"#;
        let expected = [("a", "x"), ("b.c", "true"), ("b.d.e", "7"), ("f", "[1]")];
        assert_eq!(pairs(&Options::parse_either(text, "x")), expected);
        assert_eq!(pairs(&Options::parse_either("{", "x")), []);
        assert_eq!(pairs(&Options::parse_either(&r#"{"a":"#.repeat(100_000), "x")), []);
    }

    #[test]
    fn parses_sizes() {
        for (text, bytes) in [
            ("512", Some(512 << 20)),
            ("2G", Some(2 << 30)),
            ("1024k", Some(1 << 20)),
            ("1t", Some(1 << 40)),
            ("1.5M", Some(3 << 19)),
            ("0.3B", Some(0)),
            ("0x10", Some(16 << 20)),
            ("0x10k", Some(16 << 10)),
            ("15E", Some(15 << 60)),
            ("16E", None),
            ("1.", Some(1 << 20)),
            ("", None),
            (".", None),
            ("many", None),
            ("1.2.3", None),
            ("-1", None),
            ("1kk", None),
        ] {
            assert_eq!(size(text, 1 << 20), bytes, "{text}");
        }
    }

    #[test]
    fn parses_files() {
        let mut groups = OptionGroups::default();
        groups.add("memory", None, Options::parse("32", "size"));
        let text = "# a\n\n[memory]\n  size = \"64M\"\n[device \"d0\"]\n driver = \"x,y\"\n[smp-opts]\ncpus=\"2\"";
        assert_eq!(groups.add_file(text), Ok(()));
        assert_eq!(groups.memory().get("size"), Some("64M"));
        assert_eq!(groups.machine().number("smp.cpus"), Some(2));
        assert_eq!(groups.find("device", "d0").unwrap().get("driver"), Some("x,y"));
        for (text, line) in [
            ("a = \"b\"", 1),
            ("[a]\nb = c", 2),
            ("[a]\n\nb", 3),
            ("[a", 1),
            ("[a]\nb = \"c", 2),
            ("root:x:0:0:root:/root:/bin/sh", 1),
        ] {
            assert_eq!(OptionGroups::default().add_file(text), Err(line), "{text}");
        }
    }
}
