//! The flat form: writes and reads libvirt's dotted keys.

use serde_json::Value as Json;

use crate::{
    format::append::push_numbers,
    model::{
        catalogue::{Slot, walk::walk},
        report::DomainStats,
        stats::{
            Cell, Extra, Field, GROUPS, Group, Key, KeyKind, ListRow, PartRow, Row, Section, Value,
            Visitor,
        },
    },
};

/// Visits every value of a domain with its flat key, in two parts: the words up to its section,
/// with a dot at the end, and its own; and with its row, if one describes it.
///
/// In two parts, because the values of a section share the first: it is built once for them.
pub(crate) fn for_each_param(
    domain: &DomainStats,
    each: impl FnMut(&str, &str, Option<&'static Field>, &Value<'_>),
) {
    let mut flat = Flat { prefix: String::new(), lengths: Vec::new(), each };
    walk(domain, &mut flat);
    flat.extra(&domain.extra);
}

struct Flat<F> {
    prefix: String,
    /// The lengths of the prefix in the enclosing sections.
    lengths: Vec<usize>,
    each: F,
}

impl<F> Flat<F> {
    fn enter(&mut self, path: &str, key: Option<Key<'_>>) {
        self.lengths.push(self.prefix.len());
        if !path.is_empty() {
            self.prefix.push_str(path);
            self.prefix.push('.');
        }
        match key {
            Some(Key::Index(number) | Key::Id(number)) => {
                self.prefix.push_str(itoa::Buffer::new().format(number));
                self.prefix.push('.');
            }
            Some(Key::Name(name)) => {
                self.prefix.push_str(name);
                self.prefix.push('.');
            }
            None => {}
        }
    }

    fn leave(&mut self) {
        self.prefix.truncate(self.lengths.pop().unwrap_or(0));
    }
}

impl<F: FnMut(&str, &str, Option<&'static Field>, &Value<'_>)> Visitor for Flat<F> {
    fn enter_group(&mut self, group: &'static Group, _: &dyn Section) {
        self.enter(group.flat, None);
    }
    fn leave_group(&mut self, _: &'static Group) {
        self.leave();
    }
    fn enter_item(&mut self, list: &'static ListRow, key: Key<'_>, _: usize, _: &dyn Section) {
        self.enter(list.path, Some(key));
    }
    fn leave_item(&mut self, _: &'static ListRow) {
        self.leave();
    }
    fn enter_part(&mut self, part: &'static PartRow, _: &dyn Section) {
        self.enter(part.path, None);
    }
    fn leave_part(&mut self, _: &'static PartRow) {
        self.leave();
    }
    fn value(&mut self, field: &'static Field, value: &Value<'_>) {
        match value {
            // Of libvirt's types, only a text can hold many.
            Value::Numbers(numbers) => {
                let mut text = String::new();
                push_numbers(&mut text, numbers, " ");
                (self.each)(&self.prefix, field.path, Some(field), &Value::String(text.into()));
            }
            value => (self.each)(&self.prefix, field.path, Some(field), value),
        }
    }
    fn extra(&mut self, extra: &Extra) {
        for (name, value) in extra.params() {
            (self.each)(&self.prefix, &name, None, &value);
        }
    }
}

impl DomainStats {
    /// Returns every value under its flat key, as libvirt's typed parameters have them and in
    /// the same order: `block.0.rd.reqs`, `vcpu.1.delay`. Many numbers, for which libvirt has no
    /// type, are a text with spaces between them.
    ///
    /// ```
    /// use domstats::{Connect, StatsRequest, Value};
    /// let report = Connect::open("test:///default?clock=fixed")?.all_domain_stats(&StatsRequest::new())?;
    /// let params = report.domains[0].params();
    /// assert_eq!(params[0], ("state.state".to_owned(), Value::Word { code: 1, word: Some("running") }));
    /// # Ok::<(), domstats::Error>(())
    /// ```
    #[must_use]
    #[doc(alias = "virTypedParameter")]
    pub fn params(&self) -> Vec<(String, Value<'static>)> {
        let mut params = Vec::new();
        self.visit_params(|key, _, value| {
            params.push((key.to_owned(), value.clone().into_owned()));
        });
        params
    }

    /// Visits what [`params`](Self::params) returns, each value with the row that describes it:
    /// `None` for values of a newer peer that are unknown here.
    ///
    /// ```
    /// use domstats::{Connect, StatsRequest};
    /// let report = Connect::open("test:///default")?.all_domain_stats(&StatsRequest::new())?;
    /// report.domains[0].visit_params(|key, field, value| {
    ///     println!("{key}={value:?} {}", field.map_or("", |field| field.unit.symbol()));
    /// });
    /// # Ok::<(), domstats::Error>(())
    /// ```
    pub fn visit_params(&self, mut each: impl FnMut(&str, Option<&'static Field>, &Value<'_>)) {
        let mut key = String::new();
        for_each_param(self, |prefix, name, field, value| {
            key.clear();
            key.push_str(prefix);
            key.push_str(name);
            each(&key, field, value);
        });
    }

    /// Returns the flat keys of the values that no row describes: they came from a newer peer, and
    /// have no metric.
    ///
    /// ```
    /// use domstats::{DomainStats, Value};
    /// let mut domain = DomainStats::default();
    /// domain.set_param("block.0.rd.reqs", &Value::ULLong(7));
    /// domain.set_param("block.0.rd.retries", &Value::ULLong(1));
    /// assert_eq!(domain.unknown_keys(), ["block.0.rd.retries"]);
    /// ```
    #[must_use]
    pub fn unknown_keys(&self) -> Vec<String> {
        let mut keys = Vec::new();
        // Usually there are none, which is known without visiting the values.
        let mut sections = GROUPS.iter().filter_map(|group| group.of(self));
        if !self.extra.is_empty() || sections.any(has_extra) {
            self.visit_params(|key, field, _| {
                if field.is_none() {
                    keys.push(key.to_owned());
                }
            });
        }
        keys
    }

    /// Sets a value by its flat key, the inverse of [`params`](Self::params). A value that no row
    /// describes is kept in the `extra` of the section that the key leads to.
    ///
    /// ```
    /// use domstats::{DomainStats, Value};
    /// let mut domain = DomainStats::default();
    /// domain.set_param("block.0.rd.reqs", &Value::ULLong(7));
    /// assert_eq!(domain.block.unwrap().blocks[0].rd_reqs, Some(7));
    /// ```
    pub fn set_param(&mut self, key: &str, value: &Value<'_>) {
        let (flat, rest) = key.split_once('.').unwrap_or((key, ""));
        match GROUPS.iter().find(|group| group.flat == flat) {
            Some(group) => set_in(group.slot(self), rest, value),
            None => self.extra.insert(key, json(value)),
        }
    }
}

/// Returns whether a section holds something, at any depth, that no row describes.
fn has_extra(section: &dyn Section) -> bool {
    let is_in_row = |(number, row): (usize, &Row)| match row {
        Row::Field(_) => false,
        Row::List(_) | Row::Part(_) => match section.cell(number) {
            Cell::List(list) => {
                let mut items = (0..list.len()).filter_map(|position| list.get(position));
                items.any(|(_, item)| has_extra(item))
            }
            Cell::Part(part) => part.is_some_and(has_extra),
            Cell::Field(_) => false,
        },
    };
    !section.extra().is_empty() || section.schema().rows.iter().enumerate().any(is_in_row)
}

/// Returns a value in the form of [`Extra`], the tree of what no row describes.
pub(super) fn json(value: &Value<'_>) -> Json {
    match value {
        Value::Int(number) | Value::Word { code: number, .. } => (*number).into(),
        Value::UInt(number) => (*number).into(),
        Value::LLong(number) => (*number).into(),
        Value::ULLong(number) => (*number).into(),
        // JSON has no infinities.
        Value::Double(number) => serde_json::Number::from_f64(*number)
            .map_or_else(|| number.to_string().into(), Json::Number),
        Value::Boolean(truth) => (*truth).into(),
        Value::String(text) => text.as_ref().into(),
        Value::Numbers(numbers) => numbers.as_ref().into(),
    }
}

fn set_in(section: &mut dyn Section, key: &str, value: &Value<'_>) {
    for (number, row) in section.schema().rows.iter().enumerate() {
        match row {
            Row::Field(field) if field.path == key => {
                if let Slot::Field(slot) = section.slot(number)
                    && slot.set(value)
                {
                    return;
                }
            }
            Row::List(list) => {
                if let Some((item, rest)) =
                    below(key, list.path).and_then(|rest| rest.split_once('.'))
                    && let Some(item) = key_of(list, item, rest)
                    && let Slot::List(slot) = section.slot(number)
                {
                    return set_in(slot.entry(item), rest, value);
                }
            }
            Row::Part(part) => {
                if let Some(rest) = below(key, part.path)
                    && let Slot::Part(slot) = section.slot(number)
                {
                    return set_in(slot, rest, value);
                }
            }
            Row::Field(_) => {}
        }
    }
    section.extra_mut().insert(key, json(value));
}

/// Returns the rest of a key below a path.
fn below<'a>(key: &'a str, path: &str) -> Option<&'a str> {
    if path.is_empty() { Some(key) } else { key.strip_prefix(path)?.strip_prefix('.') }
}

/// Returns the key of a list's item, if the word is one. A name is one only if the rest is a
/// field of the item: names stand where fields of the section stand too.
fn key_of<'a>(list: &ListRow, word: &'a str, rest: &str) -> Option<Key<'a>> {
    match list.key {
        KeyKind::Index => word.parse().ok().map(Key::Index),
        KeyKind::Id => word.parse().ok().map(Key::Id),
        KeyKind::Name => list
            .schema
            .rows
            .iter()
            .any(|row| matches!(row, Row::Field(field) if field.path == rest))
            .then_some(Key::Name(word)),
    }
}
