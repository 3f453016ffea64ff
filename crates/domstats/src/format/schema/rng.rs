//! `schemas/domainstats.rng`: RELAX NG, in its XML syntax.
//!
//! Strict for the names that are known: their order, place and type. Open for others: a newer
//! version's attributes, and its elements at the end of each section.

use std::{collections::BTreeSet, fmt::Write, slice};

use super::{Node, tree};
use crate::model::{
    identity::DomainInfo,
    report::{DomainStats, Missing, StatsReport},
    stats::{
        Attribute, AttributeType, Field, GROUPS, KeyKind, Place, Row, Schema, Unit, ValueType,
    },
};

/// Returns the RELAX NG schema of the document that [`to_xml`](crate::StatsReport::to_xml)
/// writes.
#[must_use]
pub fn rng() -> String {
    let mut rng = Rng::default();
    rng.open("grammar", HEADER);
    rng.open("start", "");
    rng.open("element", "name='domainstats'");
    rng.attributes(StatsReport::ATTRIBUTES);
    rng.open("zeroOrMore", "");
    rng.line("<ref name='domain'/>");
    rng.close("zeroOrMore");
    rng.missing("domain");
    rng.foreign(&names(StatsReport::ATTRIBUTES), Some(&["domain", "missing"]));
    rng.close("element");
    rng.close("start");

    rng.open("define", "name='domain'");
    rng.open("element", "name='domain'");
    rng.attributes(DomainInfo::ATTRIBUTES);
    rng.attributes(DomainStats::ATTRIBUTES);
    for group in GROUPS {
        rng.open("optional", "");
        rng.section(group.element, group.schema);
        rng.close("optional");
    }
    rng.missing("group");
    let elements: Vec<_> = GROUPS.iter().map(|group| group.element).chain(["missing"]).collect();
    let attributes = [names(DomainInfo::ATTRIBUTES), names(DomainStats::ATTRIBUTES)].concat();
    rng.foreign(&attributes, Some(&elements));
    rng.close("element");
    rng.close("define");

    let mut defined = BTreeSet::new();
    for group in GROUPS {
        rng.define(group.schema, None, &mut defined);
    }
    rng.out.push_str(ANYTHING);
    rng.close("grammar");
    rng.out
}

const HEADER: &str = "xmlns='http://relaxng.org/ns/structure/1.0' \
                      datatypeLibrary='http://www.w3.org/2001/XMLSchema-datatypes'";

const ANYTHING: &str = "  <define name='anything'>
    <zeroOrMore>
      <choice>
        <attribute>
          <anyName/>
        </attribute>
        <text/>
        <element>
          <anyName/>
          <ref name='anything'/>
        </element>
      </choice>
    </zeroOrMore>
  </define>
";

#[derive(Default)]
struct Rng {
    out: String,
    depth: usize,
}

impl Rng {
    fn line(&mut self, text: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.out, "{:1$}{text}", "", self.depth * 2);
    }

    fn open(&mut self, name: &str, attributes: &str) {
        let space = if attributes.is_empty() { "" } else { " " };
        self.line(&format!("<{name}{space}{attributes}>"));
        self.depth += 1;
    }

    fn close(&mut self, name: &str) {
        self.depth -= 1;
        self.line(&format!("</{name}>"));
    }

    /// Writes an attribute that may be absent; one without a type is any text.
    fn attribute(&mut self, name: &str, content: Option<&str>) {
        self.open("optional", "");
        match content {
            None => self.line(&format!("<attribute name='{name}'/>")),
            Some(content) => {
                self.open("attribute", &format!("name='{name}'"));
                self.line(content);
                self.close("attribute");
            }
        }
        self.close("optional");
    }

    fn attributes<T>(&mut self, rows: &[Attribute<T>]) {
        for row in rows {
            match row.value_type {
                AttributeType::Text if row.is_required => {
                    self.line(&format!("<attribute name='{}'/>", row.name));
                }
                value_type => self.attribute(row.name, attribute_content(value_type)),
            }
        }
    }

    /// Writes the elements that say what is missing, where `what` names the group or domain.
    fn missing(&mut self, what: &str) {
        self.open("zeroOrMore", "");
        self.open("element", "name='missing'");
        self.line(&format!("<attribute name='{what}'/>"));
        let mut known = vec![what];
        if what == "domain" {
            let (_, others) = DomainInfo::NAME_AND_OTHERS;
            self.attributes(others);
            known.extend(names(others));
        }
        for row in Missing::ATTRIBUTES {
            match row.place {
                Place::Text => self.line("<text/>"),
                Place::Attribute | Place::Element => {
                    self.attributes(slice::from_ref(row));
                    known.push(row.name);
                }
            }
        }
        self.foreign(&known, Some(&[]));
        self.close("element");
        self.close("zeroOrMore");
    }

    /// Allows every attribute and, if there can be elements, every element but the known ones.
    fn foreign(&mut self, attributes: &[&str], elements: Option<&[&str]>) {
        let mut any = |what: &str, known: &[&str], inside: Option<&str>| {
            self.open("zeroOrMore", "");
            self.open(what, "");
            if known.is_empty() {
                self.line("<anyName/>");
            } else {
                self.open("anyName", "");
                self.open("except", "");
                for name in known.iter().collect::<BTreeSet<_>>() {
                    self.line(&format!("<name>{name}</name>"));
                }
                self.close("except");
                self.close("anyName");
            }
            inside.into_iter().for_each(|inside| self.line(inside));
            self.close(what);
            self.close("zeroOrMore");
        };
        any("attribute", attributes, None);
        if let Some(elements) = elements {
            any("element", elements, Some("<ref name='anything'/>"));
        }
    }

    /// Writes an element that is a section.
    fn section(&mut self, name: &str, schema: &Schema) {
        self.open("element", &format!("name='{name}'"));
        self.line(&format!("<ref name='{}'/>", schema.name));
        self.close("element");
    }

    /// Writes what a section is, and those inside it.
    fn define(
        &mut self,
        schema: &'static Schema,
        key: Option<KeyKind>,
        defined: &mut BTreeSet<&'static str>,
    ) {
        if !defined.insert(schema.name) {
            return;
        }
        self.open("define", &format!("name='{}'", schema.name));
        let mut attributes = Vec::new();
        match key {
            Some(KeyKind::Index) => self.attribute("index", Some("<data type='unsignedInt'/>")),
            Some(KeyKind::Id) => {
                self.open("attribute", "name='id'");
                self.line("<data type='unsignedInt'/>");
                self.close("attribute");
            }
            Some(KeyKind::Name) => self.line("<attribute name='name'/>"),
            None => {}
        }
        attributes.extend(key.map(KeyKind::attribute));
        let mut is_text = false;
        for row in schema.rows {
            if let Row::Field(field) = row {
                match field.place {
                    Place::Attribute => {
                        self.attribute(field.doc_path, content(field).as_deref());
                        attributes.push(field.doc_path);
                    }
                    Place::Text => {
                        is_text = true;
                        self.open("optional", "");
                        self.line(content(field).as_deref().unwrap_or("<text/>"));
                        self.close("optional");
                    }
                    Place::Element => {}
                }
            }
        }
        self.elements(&attributes, tree(schema), is_text);
        self.close("define");
        for row in schema.rows {
            match row {
                Row::Field(_) => {}
                Row::List(row) => self.define(row.schema, Some(row.key), defined),
                Row::Part(row) => self.define(row.schema, None, defined),
            }
        }
    }

    /// Writes the elements of a section or wrapper, and what else may be in it.
    fn elements(&mut self, attributes: &[&str], nodes: Vec<Node>, is_text: bool) {
        let mut names = Vec::new();
        for node in nodes {
            let (name, repeat) = match &node {
                Node::Row(_, Row::Field(field)) if field.place != Place::Element => continue,
                Node::Row(name, Row::List(_)) => (*name, "zeroOrMore"),
                Node::Row(name, _) | Node::Wrapper(name, _) => (*name, "optional"),
            };
            names.push(name);
            self.open(repeat, "");
            match node {
                Node::Row(_, Row::Field(field)) => {
                    self.open("element", &format!("name='{name}'"));
                    self.line(content(field).as_deref().unwrap_or("<text/>"));
                    self.close("element");
                }
                Node::Row(_, Row::List(row)) => self.section(name, row.schema),
                Node::Row(_, Row::Part(row)) => self.section(name, row.schema),
                Node::Wrapper(_, inside) => {
                    self.open("element", &format!("name='{name}'"));
                    self.elements(&[], inside, false);
                    self.close("element");
                }
            }
            self.close(repeat);
        }
        // RELAX NG knows no typed text with elements beside it.
        self.foreign(attributes, (!is_text).then_some(&names));
    }
}

fn names<T>(rows: &[Attribute<T>]) -> Vec<&'static str> {
    rows.iter().map(|row| row.name).collect()
}

/// Returns what an attribute of a record can be; `None` for any text.
fn attribute_content(value_type: AttributeType) -> Option<&'static str> {
    Some(match value_type {
        AttributeType::Text | AttributeType::Words => return None,
        AttributeType::Uuid => {
            "<data type='string'><param name='pattern'>\
             [0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}</param></data>"
        }
        AttributeType::Number => "<data type='unsignedInt'/>",
        AttributeType::Flag => "<data type='boolean'/>",
        AttributeType::Time => "<data type='dateTime'/>",
        AttributeType::Duration => "<data type='unsignedLong'/>",
    })
}

/// Returns what a value can be; `None` for any text.
fn content(field: &Field) -> Option<String> {
    if !field.words.is_empty() {
        let words: String =
            field.words.iter().map(|word| format!("<value>{word}</value>")).collect();
        // Any other number is a member that this version has no word for.
        return Some(format!("<choice>{words}<data type='int'/></choice>"));
    }
    let content = match field.value_type {
        ValueType::String => return None,
        // The words depend on another field.
        ValueType::Int if field.unit == Unit::None => "<text/>",
        ValueType::Int => "<data type='int'/>",
        ValueType::UInt => "<data type='unsignedInt'/>",
        ValueType::LLong => "<data type='long'/>",
        // Whatever the hypervisor defines.
        ValueType::ULLong if field.unit == Unit::None => {
            "<choice><data type='unsignedLong'/><data type='boolean'/></choice>"
        }
        ValueType::ULLong => "<data type='unsignedLong'/>",
        ValueType::Double => {
            "<choice><data type='double'/><value>inf</value><value>-inf</value></choice>"
        }
        ValueType::Boolean => "<data type='boolean'/>",
        ValueType::Numbers => "<list><zeroOrMore><data type='unsignedLong'/></zeroOrMore></list>",
    };
    Some(content.to_owned())
}
