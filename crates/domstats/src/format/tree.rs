//! XML as a tree of JSON values, for the reader of documents.
//!
//! ```text
//! <state reason='booted'>running</state>   "state": {"@reason": "booted", "#text": "running"}
//! <time>5</time>                           "time": "5"
//! <cpu id='1'/><cpu id='2'/>               "cpu": [{"@id": "1"}, {"@id": "2"}]
//! ```

use quick_xml::{
    Reader, XmlVersion,
    escape::resolve_predefined_entity,
    events::{BytesStart, Event},
};
use serde_json::{Map, Value as Json};

use super::{read::malformed, xml::ESCAPE};
use crate::model::error::Result;

/// The deepest nesting of elements: far more than the document needs, and within the limit of JSON's
/// reader with a list on every level.
const DEPTH: usize = 60;

/// Returns the name and the tree of the document's element.
pub(super) fn of_xml(text: &str) -> Result<(String, Json)> {
    let mut reader = Reader::from_str(text);
    let mut open: Vec<Element> = Vec::new();
    let mut root = None;
    loop {
        let at = reader.buffer_position();
        let event = reader
            .read_event()
            .map_err(|error| at_position(text, reader.error_position(), &error.to_string()))?;
        let fail = |what: &str| at_position(text, at, what);
        match event {
            Event::Start(start) | Event::Empty(start) if root.is_some() && open.is_empty() => {
                let name = start.name().into_inner();
                return Err(fail(&format!("a second document begins with <{name}>")));
            }
            Event::Start(_) if open.len() == DEPTH => {
                return Err(fail(&format!("elements are nested more than {DEPTH} deep")));
            }
            Event::Start(start) => {
                open.push(Element::begin(&start).map_err(|what| fail(&what))?);
            }
            Event::Empty(start) => {
                let element = Element::begin(&start).map_err(|what| fail(&what))?;
                finish(element, &mut open, &mut root);
            }
            Event::End(_) => {
                if let Some(element) = open.pop() {
                    finish(element, &mut open, &mut root);
                }
            }
            Event::Text(part) => {
                push_text(&mut open, &part.xml10_content()).map_err(fail)?;
            }
            Event::CData(part) => {
                push_text(&mut open, &part.xml10_content()).map_err(fail)?;
            }
            Event::GeneralRef(reference) => {
                let name: &str = &reference;
                match reference.resolve_char_ref() {
                    Ok(Some(character)) => {
                        push_text(&mut open, character.encode_utf8(&mut [0; 4])).map_err(fail)?;
                    }
                    Ok(None) => {
                        let part = resolve_predefined_entity(name)
                            .ok_or_else(|| fail(&format!("the entity '&{name};' is not known")))?;
                        push_text(&mut open, part).map_err(fail)?;
                    }
                    Err(error) => return Err(fail(&error.to_string())),
                }
            }
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
            Event::Eof => {
                if let Some(element) = open.last() {
                    return Err(fail(&format!("the text ends inside <{}>", element.name)));
                }
                return root.ok_or_else(|| fail("there is no element"));
            }
        }
    }
}

/// An element that was not closed yet.
struct Element {
    name: String,
    members: Map<String, Json>,
    text: String,
    has_elements: bool,
}

impl Element {
    fn begin(start: &BytesStart<'_>) -> std::result::Result<Self, String> {
        let mut element = Self {
            name: start.name().into_inner().to_owned(),
            members: Map::new(),
            text: String::new(),
            has_elements: false,
        };
        // The parser's own check for duplicates compares each attribute with all before it.
        for attribute in start.attributes().with_checks(false) {
            let attribute = attribute.map_err(|error| error.to_string())?;
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|error| error.to_string())?;
            let name = attribute.key.into_inner();
            if element.name == ESCAPE && name == "name" {
                element.name = value.into_owned();
            } else {
                let value = Json::String(value.into_owned());
                if element.members.insert(format!("@{name}"), value).is_some() {
                    return Err(format!("the attribute '{name}' comes twice"));
                }
            }
        }
        Ok(element)
    }

    /// Returns the tree; white space around elements is layout, not text.
    fn into_tree(mut self) -> Json {
        if self.members.is_empty() {
            return Json::String(self.text);
        }
        let is_layout = self.has_elements && self.text.trim().is_empty();
        if !self.text.is_empty() && !is_layout {
            self.members.insert("#text".to_owned(), Json::String(self.text));
        }
        Json::Object(self.members)
    }
}

/// Puts a complete element into the one around it.
fn finish(mut element: Element, open: &mut [Element], root: &mut Option<(String, Json)>) {
    let name = std::mem::take(&mut element.name);
    let tree = element.into_tree();
    let Some(around) = open.last_mut() else {
        *root = Some((name, tree));
        return;
    };
    around.has_elements = true;
    match around.members.get_mut(&name) {
        None => {
            around.members.insert(name, tree);
        }
        Some(Json::Array(items)) => items.push(tree),
        Some(first) => *first = Json::Array(vec![first.take(), tree]),
    }
}

fn push_text(open: &mut [Element], part: &str) -> std::result::Result<(), &'static str> {
    match open.last_mut() {
        Some(element) => element.text.push_str(part),
        None if part.trim_matches(['\u{FEFF}', ' ', '\t', '\r', '\n']).is_empty() => {}
        None => return Err("there is text outside of any element"),
    }
    Ok(())
}

/// Returns the error for an offset, with its line and column.
fn at_position(text: &str, offset: u64, what: &str) -> crate::Error {
    let offset = usize::try_from(offset).unwrap_or(usize::MAX);
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
    malformed(format!("XML, line {line}, column {column}: {what}"))
}
