//! Reads a document: one walk over the catalogue, for XML and JSON alike.
//!
//! Both come as a tree of JSON values; from XML, attributes have an `@` before their name and an
//! element's own text is `#text`. Each row takes its value out of the tree. What remains came from a
//! newer peer, and is kept unchanged in the `extra` of its section.

use std::{collections::HashSet, time::UNIX_EPOCH};

use serde_json::{Map, Value as Json};

use super::attribute;
use crate::model::{
    catalogue::{
        Slot,
        value::{Leaf, leaf},
    },
    error::{Error, ErrorKind, ErrorOrigin, Result},
    identity::DomainInfo,
    name::Name,
    report::{DomainStats, Missing, MissingDomain, MissingGroup, MissingReason, StatsReport},
    stats::{Attribute, GROUPS, Key, KeyKind, List, ListRow, Place, Row, Section},
};

type Members = Map<String, Json>;

/// Returns the error for a document that is not of this kind.
pub(super) fn malformed(context: String) -> Error {
    Error::new(ErrorKind::Malformed, ErrorOrigin::Library, context)
}

/// Reads a report from the members of the document. `domains` is the name of the list of domains.
pub(super) fn report(mut members: Members, domains: &str) -> Result<StatsReport> {
    let mut report = StatsReport::new(UNIX_EPOCH);
    for (position, domain) in items(members.shift_remove(domains)).enumerate() {
        let number = position + 1;
        let domain = into_members(domain)
            .map_err(|_| malformed(format!("domain {number} of the document is not an object")))?;
        report.domains.push(read_domain(domain, number)?);
    }
    read_attributes(&mut members, StatsReport::ATTRIBUTES, &mut report);
    read_missing(&mut members, |item| {
        let domain = read_identity(item, "domain")?;
        let missing = read_reason(item)?;
        report.missing.push(MissingDomain::new(domain, missing));
        Some(())
    });
    report.extra.0 = members;
    Ok(report)
}

fn read_domain(mut members: Members, number: usize) -> Result<DomainStats> {
    let identity = read_identity(&mut members, "name")
        .ok_or_else(|| malformed(format!("domain {number} of the document has no name")))?;
    let mut domain = DomainStats::new(identity);
    read_attributes(&mut members, DomainStats::ATTRIBUTES, &mut domain);
    for group in GROUPS {
        if let Some(inside) = take_section(&mut members, group.element) {
            read_section(inside, group.slot(&mut domain));
        }
    }
    read_missing(&mut members, |item| {
        let group = take(item, "group", Place::Attribute, String::read)?;
        let missing = read_reason(item)?;
        domain.missing.push(MissingGroup::new(group, missing));
        Some(())
    });
    domain.extra.0 = members;
    Ok(domain)
}

/// Reads the identity of a domain; `name` is the word for its name. `None` without that.
fn read_identity(members: &mut Members, name: &str) -> Option<DomainInfo> {
    let mut domain = DomainInfo::default();
    let (first, others) = DomainInfo::NAME_AND_OTHERS;
    read_attribute(members, name, first, &mut domain)?;
    read_attributes(members, others, &mut domain)?;
    Some(domain)
}

/// Reads attributes; `None` if one that is required is not there.
fn read_attributes<T>(members: &mut Members, rows: &[Attribute<T>], of: &mut T) -> Option<()> {
    for row in rows {
        let read = read_attribute(members, row.name, row, of);
        if row.is_required {
            read?;
        }
    }
    Some(())
}

fn read_attribute<T>(
    members: &mut Members,
    name: &str,
    row: &Attribute<T>,
    of: &mut T,
) -> Option<()> {
    let read = |json: &Json| row.set(of, attribute::read(json, row.value_type)?).then_some(());
    take(members, name, row.place, read)
}

/// Passes each entry of `missing` to the reader; entries that it cannot read stay.
fn read_missing(members: &mut Members, mut read: impl FnMut(&mut Members) -> Option<()>) {
    let unreadable = items(members.shift_remove("missing"))
        .filter_map(|item| match into_members(item) {
            Ok(mut item) => read(&mut item).is_none().then_some(Json::Object(item)),
            Err(item) => Some(item),
        })
        .collect();
    put_back(members, "missing", unreadable);
}

fn read_reason(members: &mut Members) -> Option<Missing> {
    let mut missing = Missing::new(MissingReason::Failed, "");
    read_attributes(members, Missing::ATTRIBUTES, &mut missing)?;
    missing.extra.0 = std::mem::take(members);
    Some(missing)
}

fn read_section(mut members: Members, section: &mut dyn Section) {
    for (number, row) in section.schema().rows.iter().enumerate() {
        match row {
            Row::Field(field) => within(&mut members, field.doc_path, &mut |members, name| {
                if let Slot::Field(slot) = section.slot(number) {
                    take(members, name, field.place, |json| slot.set(&leaf(json)?).then_some(()));
                }
            }),
            Row::List(row) => within(&mut members, row.doc_path, &mut |members, name| {
                if let Slot::List(list) = section.slot(number) {
                    read_items(members, name, row, list);
                }
            }),
            Row::Part(row) => within(&mut members, row.path, &mut |members, name| {
                // Taking the slot creates the part, so only a part in the document is taken.
                if let Some(inside) = take_section(members, name)
                    && let Slot::Part(part) = section.slot(number)
                {
                    read_section(inside, part);
                }
            }),
        }
    }
    section.extra_mut().0 = members;
}

fn read_items(members: &mut Members, name: &str, row: &ListRow, list: &mut dyn List) {
    let mut unreadable = Vec::new();
    let mut seen = HashSet::new();
    for item in items(members.shift_remove(name)) {
        match into_members(item) {
            Ok(mut inside) => match key_of(&inside, row.key, list.len()) {
                Some((word, key)) if !seen.contains(&key) => {
                    inside.shift_remove(&word);
                    read_section(inside, list.push(key.as_key()));
                    seen.insert(key);
                }
                _ => unreadable.push(Json::Object(inside)),
            },
            Err(item) => unreadable.push(item),
        }
    }
    put_back(members, name, unreadable);
}

/// The key of an item, apart from the tree that it was found in.
#[derive(PartialEq, Eq, Hash)]
enum ItemKey {
    Index(u32),
    Id(u32),
    Name(Name),
}

impl ItemKey {
    fn as_key(&self) -> Key<'_> {
        match self {
            Self::Index(number) => Key::Index(*number),
            Self::Id(number) => Key::Id(*number),
            Self::Name(name) => Key::Name(name),
        }
    }
}

/// Returns the key of an item and the member that holds it. An index that is not given is the
/// position, and no member holds it.
fn key_of(members: &Members, kind: KeyKind, position: usize) -> Option<(String, ItemKey)> {
    let (word, place) = (kind.attribute(), Place::Attribute);
    match kind {
        KeyKind::Index => match find(members, word, place, u32::read) {
            None if members.contains_key("index") || members.contains_key("@index") => None,
            None => Some((String::new(), ItemKey::Index(position.try_into().ok()?))),
            Some((word, index)) => Some((word, ItemKey::Index(index))),
        },
        KeyKind::Id => {
            find(members, word, place, u32::read).map(|(word, id)| (word, ItemKey::Id(id)))
        }
        KeyKind::Name => {
            find(members, word, place, Name::read).map(|(word, name)| (word, ItemKey::Name(name)))
        }
    }
}

/// Descends the wrappers of a path to the members that hold its last word. A wrapper that is empty
/// afterwards is removed.
fn within(members: &mut Members, path: &str, read: &mut dyn FnMut(&mut Members, &str)) {
    let Some((wrapper, rest)) = path.split_once('.') else {
        return read(members, path);
    };
    if let Some(Json::Object(inner)) = members.get_mut(wrapper)
        && !inner.is_empty()
    {
        within(inner, rest, read);
        if inner.is_empty() {
            members.shift_remove(wrapper);
        }
    }
}

/// Takes a value by its name, in the forms that XML and JSON have for its place. What cannot be
/// read stays, except JSON's `null`, which means absent.
fn take<T>(
    members: &mut Members,
    name: &str,
    place: Place,
    mut read: impl FnMut(&Json) -> Option<T>,
) -> Option<T> {
    if members.get(name).is_some_and(Json::is_null) {
        members.shift_remove(name);
    }
    let (word, value) = find(members, name, place, &mut read)?;
    match members.get_mut(&word) {
        // A newer peer added something to the value.
        Some(Json::Object(inner)) if inner.len() > 1 => inner.shift_remove("#text"),
        _ => members.shift_remove(&word),
    };
    Some(value)
}

/// Finds a value by its name; returns it with the member that holds it.
fn find<T>(
    members: &Members,
    name: &str,
    place: Place,
    mut read: impl FnMut(&Json) -> Option<T>,
) -> Option<(String, T)> {
    let attribute = || format!("@{name}");
    let words = match place {
        Place::Attribute => [attribute(), name.to_owned(), String::new()],
        Place::Element => [name.to_owned(), attribute(), String::new()],
        Place::Text => ["#text".to_owned(), name.to_owned(), attribute()],
    };
    words.into_iter().find_map(|word| {
        let value = match members.get(&word)? {
            Json::Object(inner) => inner.get("#text")?,
            value => value,
        };
        let value = read(value).or_else(|| {
            // White space around a number or word is layout, not content.
            let text = value.as_str()?;
            let trimmed = text.trim();
            (trimmed.len() < text.len()).then(|| read(&trimmed.into()))?
        })?;
        Some((word, value))
    })
}

/// Takes the members of a section, if its name holds one.
fn take_section(members: &mut Members, name: &str) -> Option<Members> {
    match into_members(members.shift_remove(name)?) {
        Ok(inside) => Some(inside),
        Err(Json::Null) => None,
        Err(other) => {
            members.insert(name.to_owned(), other);
            None
        }
    }
}

/// Returns the members of an element or object; an element with only text has `#text`.
fn into_members(tree: Json) -> std::result::Result<Members, Json> {
    match tree {
        Json::Object(members) => Ok(members),
        Json::String(text) if text.trim().is_empty() => Ok(Members::new()),
        Json::String(_) => Ok(Members::from_iter([("#text".to_owned(), tree)])),
        other => Err(other),
    }
}

/// Returns the items of a list: XML shows a list of one as the item itself.
fn items(tree: Option<Json>) -> impl Iterator<Item = Json> {
    match tree {
        None | Some(Json::Null) => Vec::new(),
        Some(Json::Array(items)) => items,
        Some(item) => vec![item],
    }
    .into_iter()
}

/// Keeps the items that could not be read.
fn put_back(members: &mut Members, name: &str, mut unreadable: Vec<Json>) {
    let rest = match unreadable.len() {
        0 => return,
        1 => unreadable.remove(0),
        _ => Json::Array(unreadable),
    };
    members.insert(name.to_owned(), rest);
}
