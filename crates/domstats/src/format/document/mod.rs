//! The document: the structure that XML and JSON share, walked once for both.
//!
//! ```text
//! domainstats ─ domains[] ─ name, uuid, id, …     attributes first,
//!             │           ├ group ─ values         then rows in libvirt's order,
//!             │           │       └ unknown        then what a newer peer said
//!             │           └ missing[]
//!             └ missing[]
//! ```
//!
//! A path such as `rd.reqs` is `reqs` inside a wrapper `rd` that all its neighbours share. What no
//! row describes is a tree of the same words, and is joined: an unknown `rd.zeroed` is written
//! inside that wrapper, an unknown attribute of `time` on that element.

mod unknown;

use std::io;

use serde_json::{Map, Value as Json};
use unknown::Unknown;

use super::{Flush, attribute};
use crate::model::{
    identity::DomainInfo,
    report::{DomainStats, Missing, StatsReport},
    stats::{Attribute, Cell, GROUPS, Key, List, ListRow, Place, Row, Schema, Section, Value},
};

/// What XML and JSON do with each part of the document.
pub(super) trait Writer {
    /// The text so far.
    fn buffer(&mut self) -> &mut String;
    /// An element or object begins; inside a list, an item.
    fn open(&mut self, name: &str);
    /// It ends.
    fn close(&mut self, name: &str);
    /// Items of this name follow.
    fn open_list(&mut self, name: &str);
    /// No more of them.
    fn close_list(&mut self);
    /// A value that describes the element at hand; `clash` if something unknown in it has the
    /// same name.
    fn attribute(&mut self, name: &str, value: &Value<'_>, clash: bool);
    /// The value that the element at hand stands for.
    fn text(&mut self, name: &str, value: &Value<'_>);
    /// What stands around a value of this name, for every one in this place of the document.
    fn frame(&self, name: &str) -> Frame;
    /// A value.
    fn element(&mut self, frame: &Frame, value: &Value<'_>);
    /// Something unknown whose name begins with `@`, while attributes are still possible. False
    /// if it has to come as [`extra`](Self::extra).
    fn extra_attribute(&mut self, name: &str, value: &Json) -> bool;
    /// Something unknown.
    fn extra(&mut self, name: &str, value: &Json);
}

/// The text before a value and after it.
#[derive(Default)]
pub(super) struct Frame {
    pub(super) before: String,
    pub(super) after: String,
}

/// Writes a report, handing on the text after every domain.
pub(super) fn write(
    report: &StatsReport,
    out: &mut impl Writer,
    flush: Flush<'_>,
) -> io::Result<()> {
    let mut unknown = Unknown::of(&report.extra);
    out.open("domainstats");
    write_attributes(report, StatsReport::ATTRIBUTES, &mut unknown, out);
    unknown.begin(out);
    out.open_list("domains");
    let mut plans: Vec<_> = GROUPS.iter().map(|group| Plan::new(group.schema)).collect();
    for domain in &report.domains {
        write_domain(domain, &mut plans, out);
        flush(out.buffer())?;
    }
    out.close_list();
    let missing = report.missing.iter();
    write_missing(
        missing.map(|domain| (Absent::Domain(&domain.domain), &domain.missing)),
        &mut unknown,
        out,
    );
    unknown.end(out);
    out.close("domainstats");
    flush(out.buffer())
}

fn write_domain(domain: &DomainStats, plans: &mut [Plan], out: &mut impl Writer) {
    let mut unknown = Unknown::of(&domain.extra);
    out.open("domain");
    write_identity("name", &domain.domain, &mut unknown, out);
    write_attributes(domain, DomainStats::ATTRIBUTES, &mut unknown, out);
    unknown.begin(out);
    for (group, plan) in GROUPS.iter().zip(plans) {
        if let Some(section) = group.of(domain) {
            out.open(group.element);
            write_section(section, plan, unknown.take(group.element), out);
            out.close(group.element);
        }
    }
    let missing = domain.missing.iter();
    write_missing(
        missing.map(|group| (Absent::Group(&group.group), &group.missing)),
        &mut unknown,
        out,
    );
    unknown.end(out);
    out.close("domain");
}

/// Writes a domain's identity; `name` is the word for its name.
fn write_identity(
    name: &str,
    domain: &DomainInfo,
    unknown: &mut Unknown<'_>,
    out: &mut impl Writer,
) {
    let (first, others) = DomainInfo::NAME_AND_OTHERS;
    write_attribute(name, domain, first, unknown, out);
    write_attributes(domain, others, unknown, out);
}

fn write_attributes<T>(
    of: &T,
    rows: &[Attribute<T>],
    unknown: &mut Unknown<'_>,
    out: &mut impl Writer,
) {
    for row in rows {
        write_attribute(row.name, of, row, unknown, out);
    }
}

fn write_attribute<T>(
    name: &str,
    of: &T,
    row: &Attribute<T>,
    unknown: &mut Unknown<'_>,
    out: &mut impl Writer,
) {
    if let Some(value) = row.get(of) {
        unknown.attribute(name, &attribute::value(value), out);
    }
}

/// What is missing: a domain of the report, or a group of a domain.
enum Absent<'a> {
    Domain(&'a DomainInfo),
    Group(&'a str),
}

fn write_missing<'a>(
    all: impl ExactSizeIterator<Item = (Absent<'a>, &'a Missing)>,
    outer: &mut Unknown<'_>,
    out: &mut impl Writer,
) {
    if all.len() == 0 {
        return;
    }
    out.open_list("missing");
    let is_attribute = |row: &&Attribute<Missing>| row.place == Place::Attribute;
    for (absent, missing) in all {
        let mut unknown = Unknown::of(&missing.extra);
        out.open("missing");
        match absent {
            Absent::Domain(domain) => write_identity("domain", domain, &mut unknown, out),
            Absent::Group(group) => unknown.attribute("group", &text(group), out),
        }
        for row in Missing::ATTRIBUTES.iter().filter(is_attribute) {
            write_attribute(row.name, missing, row, &mut unknown, out);
        }
        unknown.begin(out);
        for row in Missing::ATTRIBUTES.iter().filter(|row| !is_attribute(row)) {
            if let Some(value) = row.get(missing) {
                out.text(row.name, &attribute::value(value));
            }
        }
        unknown.end(out);
        out.close("missing");
    }
    outer.append("missing", out);
    out.close_list();
}

fn text(text: &str) -> Value<'_> {
    Value::String(text.into())
}

/// What is the same for every section of a type in one place of the document.
struct Plan {
    /// The rows that are attributes, with their names.
    attributes: Vec<(usize, &'static str)>,
    /// All other rows.
    steps: Vec<Step>,
}

/// What is the same for every value, list or part of one row.
struct Step {
    number: usize,
    row: &'static Row,
    /// The names of the wrappers around it, joined by dots.
    wrappers: &'static str,
    /// The number of its run of neighbours with the same wrappers. 0 for those without any at the
    /// beginning.
    run: usize,
    name: &'static str,
    /// Made at the first value.
    frame: Option<Frame>,
    /// For the section of a part and those of a list.
    inside: Option<Plan>,
}

impl Plan {
    fn new(schema: &'static Schema) -> Self {
        let mut plan = Self { attributes: Vec::new(), steps: Vec::new() };
        let (mut last, mut run) = ("", 0);
        for (number, row) in schema.rows.iter().enumerate() {
            let (path, inside) = match row {
                Row::Field(field) if field.place == Place::Attribute => {
                    plan.attributes.push((number, field.doc_path));
                    continue;
                }
                Row::Field(field) => (field.doc_path, None),
                Row::List(row) => (row.doc_path, Some(row.schema)),
                Row::Part(row) => (row.path, Some(row.schema)),
            };
            let (wrappers, name) = path.rsplit_once('.').unwrap_or(("", path));
            run += usize::from(wrappers != last);
            last = wrappers;
            let inside = inside.map(Self::new);
            plan.steps.push(Step { number, row, wrappers, run, name, frame: None, inside });
        }
        plan
    }
}

/// Writes the inside of a section. `beside` is what is unknown of its name in the section around
/// it, which only a flat key can leave there.
fn write_section(
    section: &dyn Section,
    plan: &mut Plan,
    beside: Option<&Json>,
    out: &mut impl Writer,
) {
    let mut unknown = Unknown::of(section.extra());
    for (number, name) in &plan.attributes {
        if let Cell::Field(Some(value)) = &section.cell(*number) {
            unknown.attribute(name, value, out);
        }
    }
    unknown.begin(out);
    if let Some(beside) = beside.filter(|json| is_scalar(json)) {
        out.extra("#text", beside);
    }
    let mut wrappers = Wrappers { section: unknown, run: 0, open: Vec::new() };
    for step in &mut plan.steps {
        // By reference: a value is slow to move, because it is copied a byte and a word at a time.
        match (step.row, &section.cell(step.number)) {
            (Row::Field(field), Cell::Field(Some(value))) => match field.place {
                Place::Text => out.text(step.name, value),
                Place::Element | Place::Attribute => {
                    let unknown = wrappers.enter(step, out).take(step.name);
                    write_value(step, value, unknown, out);
                }
            },
            (Row::List(row), Cell::List(list)) if !list.is_empty() => {
                let unknown = wrappers.enter(step, out);
                out.open_list(step.name);
                if let Some(plan) = &mut step.inside {
                    write_items(step.name, row, *list, plan, out);
                }
                unknown.append(step.name, out);
                out.close_list();
            }
            (Row::Part(_), Cell::Part(Some(part))) => {
                let beside = wrappers.enter(step, out).take(step.name);
                out.open(step.name);
                if let Some(plan) = &mut step.inside {
                    write_section(*part, plan, beside, out);
                }
                out.close(step.name);
            }
            _ => {}
        }
    }
    wrappers.close(0, out);
    wrappers.section.end(out);
}

fn write_items(name: &str, row: &ListRow, list: &dyn List, plan: &mut Plan, out: &mut impl Writer) {
    for position in 0..list.len() {
        if let Some((key, item)) = list.get(position) {
            out.open(name);
            match key {
                Key::Index(index) if usize::try_from(index) == Ok(position) => {}
                Key::Index(number) | Key::Id(number) => {
                    out.attribute(row.key.attribute(), &Value::UInt(number), false);
                }
                Key::Name(name) => out.attribute(row.key.attribute(), &text(name), false),
            }
            write_section(item, plan, None, out);
            out.close(name);
        }
    }
}

/// Writes a value, with the attributes and elements that a newer peer gave it.
fn write_value(step: &mut Step, value: &Value<'_>, unknown: Option<&Json>, out: &mut impl Writer) {
    let Some(Json::Object(map)) = unknown else {
        let frame = step.frame.get_or_insert_with(|| out.frame(step.name));
        return out.element(frame, value);
    };
    let mut unknown = Unknown::within(map);
    unknown.take("#text");
    out.open(step.name);
    unknown.begin(out);
    out.text("#text", value);
    unknown.end(out);
    out.close(step.name);
}

/// The wrappers that are open in a section.
struct Wrappers<'a> {
    section: Unknown<'a>,
    /// The run of rows that they are for.
    run: usize,
    open: Vec<(&'static str, Unknown<'a>)>,
}

impl<'a> Wrappers<'a> {
    /// Opens and closes wrappers until those of a row are open; returns what is unknown in them.
    fn enter(&mut self, step: &Step, out: &mut impl Writer) -> &mut Unknown<'a> {
        if step.run != self.run {
            self.run = step.run;
            self.change(step.wrappers, out);
        }
        self.innermost()
    }

    fn change(&mut self, wrappers: &'static str, out: &mut impl Writer) {
        let words = || wrappers.split('.').filter(|word| !word.is_empty());
        let open = self.open.iter().zip(words());
        let shared = open.take_while(|((open, _), word)| open == word).count();
        self.close(shared, out);
        for word in words().skip(shared) {
            let mut unknown = match self.innermost().take(word) {
                Some(Json::Object(map)) => Unknown::within(map),
                Some(scalar) => Unknown::text(scalar),
                None => Unknown::default(),
            };
            out.open(word);
            unknown.begin(out);
            self.open.push((word, unknown));
        }
    }

    fn innermost(&mut self) -> &mut Unknown<'a> {
        match self.open.last_mut() {
            Some((_, unknown)) => unknown,
            None => &mut self.section,
        }
    }

    /// Closes all but the outermost `keep`.
    fn close(&mut self, keep: usize, out: &mut impl Writer) {
        for (name, unknown) in self.open.drain(keep..).rev() {
            unknown.end(out);
            out.close(name);
        }
    }
}

/// Writes the members of something unknown, inside it.
pub(super) fn write_members(members: &Map<String, Json>, out: &mut impl Writer) {
    let mut unknown = Unknown::within(members);
    unknown.begin(out);
    unknown.end(out);
}

/// Returns whether a value is a leaf of the tree.
pub(super) fn is_scalar(json: &Json) -> bool {
    !json.is_object() && !json.is_array()
}
