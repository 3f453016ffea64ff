//! Whatever is in a report, it reads back as it was.

use std::time::{Duration, UNIX_EPOCH};

use proptest::{collection::vec, prelude::*};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::{
    DomainStats, Format, StatsReport,
    format::flat,
    model::{
        catalogue::{
            Slot,
            value::{Leaf, leaf},
        },
        identity::DomainInfo,
        name::Name,
        report::{Missing, MissingDomain, MissingGroup, MissingReason},
        stats::{
            AttributeType, AttributeValue, DomainState, Field, GROUPS, HypervisorValue, Key,
            KeyKind, Row, Section, Value, ValueType,
        },
    },
};

/// A text with whatever could be taken for markup. XML cannot carry every character; those that
/// it cannot are tested apart.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9-]{0,12}",
        "[ -~\t\n\r\u{80}-\u{10ffff}]{0,12}",
        Just("]]> <!-- &amp; &#10; \\u0000 \\\" %s".to_owned()),
        Just(" \n\t ".to_owned()),
    ]
    .prop_map(|text| text.replace(['\u{FFFE}', '\u{FFFF}'], "?"))
}

/// Numbers to fill a report with, taken one after the other.
#[derive(Debug, Clone)]
struct Draws {
    numbers: Vec<u64>,
    texts: Vec<String>,
    next: usize,
}

impl Draws {
    fn number(&mut self) -> u64 {
        self.next += 1;
        let number = self.numbers[self.next % self.numbers.len()];
        // Lists of different lengths, values that are not all the same.
        number.rotate_left(u32::try_from(self.next % 64).unwrap())
    }

    fn text(&mut self) -> String {
        self.next += 1;
        self.texts[self.next % self.texts.len()].clone()
    }

    /// Fills some rows of a section. Keys of lists have holes and are in no order.
    fn fill(&mut self, section: &mut dyn Section, sparse: u64) {
        for (number, row) in section.schema().rows.iter().enumerate() {
            if !self.number().is_multiple_of(sparse + 1) {
                continue;
            }
            // A part comes into being with its slot.
            match (row, section.slot(number)) {
                (Row::Field(field), Slot::Field(slot)) => {
                    slot.set(&leaf(&self.value(field)).unwrap());
                }
                (Row::List(row), Slot::List(list)) => {
                    for _ in 0..self.number() % 4 {
                        let id = u32::try_from(self.number() % 9).unwrap();
                        let name = self.text();
                        self.fill(
                            list.entry(match row.key {
                                KeyKind::Index => Key::Index(id),
                                KeyKind::Id => Key::Id(id),
                                KeyKind::Name => Key::Name(&name),
                            }),
                            sparse,
                        );
                    }
                }
                (Row::Part(_), Slot::Part(part)) => self.fill(part, sparse),
                _ => unreachable!("a row and its slot are of one shape"),
            }
        }
    }

    /// Returns a value of a field's type; the slot rejects a number outside of it.
    fn value(&mut self, field: &Field) -> Json {
        let number = self.number();
        match field.value_type {
            _ if field.path == "reason" => json!(number % 20),
            ValueType::Int if !field.words.is_empty() && !number.is_multiple_of(3) => {
                json!(number % 12)
            }
            ValueType::Int => json!((number >> 32) as i32),
            ValueType::UInt => json!((number >> 32) as u32),
            ValueType::LLong => json!(number as i64),
            ValueType::ULLong => json!(number),
            // Any bits but NaN, which does not equal itself.
            ValueType::Double => match f64::from_bits(number) {
                double if double.is_nan() => json!("inf"),
                double => json!(double.to_string()),
            },
            ValueType::Boolean => json!(number.is_multiple_of(2)),
            ValueType::String => json!(self.text()),
            ValueType::Numbers => (0..number % 3).map(|_| self.number()).collect(),
        }
    }
}

fn value() -> impl Strategy<Value = Value<'static>> {
    prop_oneof![
        any::<i32>().prop_map(Value::Int),
        any::<u32>().prop_map(Value::UInt),
        any::<i64>().prop_map(Value::LLong),
        any::<u64>().prop_map(Value::ULLong),
        (-9_i64..9).prop_map(|number| Value::Double(number as f64 / 2.0)),
        any::<f64>().prop_map(Value::Double),
        any::<bool>().prop_map(Value::Boolean),
        vec(any::<u64>(), 0..3).prop_map(|numbers| Value::Numbers(numbers.into())),
        any::<i32>().prop_map(|code| Value::Word { code, word: None }),
        any::<u64>().prop_map(|number| Value::String(number.to_string().into())),
        prop_oneof!["-?[0-9]{1,20}", "[0-9.e ]{0,6}", "true|no|running|inf"]
            .prop_map(|text| Value::String(text.into())),
    ]
}

/// Takes a value as the wire has it, and as a document would.
fn both<T: Leaf>(value: &Value<'_>) -> (Option<T>, Option<T>) {
    (T::from_value(value), T::read(&flat::json(value)))
}

proptest! {
    /// A peer's value goes into the model directly, to the same effect as through a document.
    #[test]
    fn a_value_of_the_wire_is_that_of_a_document(value in value()) {
        macro_rules! agree {
            ($($leaf:ty)*) => {$({
                let (direct, read) = both::<$leaf>(&value);
                prop_assert_eq!(direct, read, "{}", stringify!($leaf));
            })*};
        }
        agree!(i32 u32 i64 u64 f64 bool String Vec<u64> Name DomainState HypervisorValue);
    }
}

prop_compose! {
    /// A domain with some of its attributes.
    fn info()(name in text(), id in any::<u64>(), given in any::<u32>()) -> DomainInfo {
        let mut info = DomainInfo { name: name.into(), ..DomainInfo::default() };
        let (_, others) = DomainInfo::NAME_AND_OTHERS;
        for (place, row) in others.iter().enumerate() {
            let number = id.rotate_left(place as u32 * 7);
            let value = match row.value_type {
                AttributeType::Text => AttributeValue::Text("a text"),
                AttributeType::Uuid => AttributeValue::Uuid(Uuid::from_u128(number.into())),
                AttributeType::Number => AttributeValue::Number(number as u32),
                AttributeType::Flag => AttributeValue::Flag(true),
                AttributeType::Words => {
                    let count = number as usize % (row.words.len() + 1);
                    AttributeValue::Words(row.words[..count].join(" ").into())
                }
                AttributeType::Time => {
                    AttributeValue::Time(UNIX_EPOCH + Duration::from_nanos(number))
                }
                AttributeType::Duration => AttributeValue::Duration(Duration::from_nanos(number)),
            };
            if given >> place & 1 == 1 {
                assert!(row.set(&mut info, value), "{}", row.name);
            }
        }
        info
    }
}

prop_compose! {
    fn missing()(word in prop_oneof!["timeout|gone|failed", text()], text in text()) -> Missing {
        Missing::new(MissingReason::from_word(&word), text)
    }
}

prop_compose! {
    fn domain()(info in info(), numbers in vec(any::<u64>(), 1..50), texts in vec(text(), 1..9),
        groups in any::<u32>(), sparse in 0..4u64,
        missing in vec((text(), missing()), 0..3)) -> DomainStats
    {
        let mut domain = DomainStats::new(info);
        let mut draws = Draws { numbers, texts, next: 0 };
        for group in GROUPS.iter().filter(|group| groups & group.bit.bits() != 0) {
            draws.fill(group.slot(&mut domain), sparse);
        }
        // A reason without its state reads as one of no state.
        if let Some(state) = &mut domain.state && state.state.is_none() {
            state.reason = None;
        }
        domain.missing = missing
            .into_iter()
            .map(|(group, missing)| MissingGroup::new(group, missing))
            .collect();
        domain
    }
}

prop_compose! {
    fn report()(domains in vec(domain(), 0..4), missing in vec((info(), missing()), 0..3),
        seconds in 0..253_402_300_800u64, nanoseconds in 0..1_000_000_000u32,
        elapsed in any::<u64>()) -> StatsReport
    {
        let mut report = StatsReport::new(UNIX_EPOCH + Duration::new(seconds, nanoseconds));
        report.elapsed = Duration::from_nanos(elapsed);
        report.domains = domains;
        report.missing = missing
            .into_iter()
            .map(|(info, missing)| MissingDomain::new(info, missing))
            .collect();
        report
    }
}

/// A tree of things that no version knows, with names that are known elsewhere.
fn unknown() -> impl Strategy<Value = Json> {
    let name = || prop_oneof!["[a-z_@#.:0-9 é]{0,4}", "time|cpu|@id|#text|name|_|rd|missing|index"];
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<u64>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        text().prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Json::from),
            vec((name(), inner), 0..4).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reports_read_back(report in report()) {
        prop_assert_eq!(&StatsReport::from_json(&report.to_json()).unwrap(), &report);
        prop_assert_eq!(&StatsReport::from_xml(&report.to_xml()).unwrap(), &report);
    }

    #[test]
    fn no_report_is_too_odd_for_a_format(report in report()) {
        for line in report.to_table().lines() {
            prop_assert!(unicode_width::UnicodeWidthStr::width(line) <= 80);
        }
        let mut seen = std::collections::HashSet::new();
        let metrics = report.to_openmetrics();
        for line in metrics.lines().filter(|line| !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').unwrap();
            prop_assert!(value.parse::<f64>().is_ok(), "{}", line);
            prop_assert!(seen.insert(series), "{} twice", series);
        }
        prop_assert_eq!(
            report.to_text().lines().filter(|line| line.is_empty()).count() >= report.domains.len(),
            true
        );
    }

    /// Once read, a document is as it will be: writing and reading change nothing more.
    #[test]
    fn unknown_members_survive(unknown in vec(("[a-z@_#]{1,3}|[a-z ]{2}", unknown()), 0..6)) {
        let unknown: Json = unknown.into_iter().collect();
        let members = unknown.as_object().unwrap();
        let mut group = members.clone();
        group.insert("time".to_owned(), json!(5));
        let mut domain = members.clone();
        domain.insert("name".to_owned(), json!("vm1"));
        domain.insert("cpu".to_owned(), group.into());
        let document = json!({"domains": [domain], "unknown": members});
        let report = StatsReport::from_json(&document.to_string()).unwrap();
        prop_assert_eq!(report.domains[0].cpu.as_ref().unwrap().time, Some(5));
        let json = StatsReport::from_json(&report.to_json()).unwrap();
        prop_assert_eq!(&json, &report);
        // XML makes texts of numbers and of what is empty, and keeps them from then on.
        let xml = StatsReport::from_xml(&report.to_xml()).unwrap();
        let xml = StatsReport::from_xml(&xml.to_xml()).unwrap();
        prop_assert_eq!(xml.domains[0].cpu.as_ref().unwrap().time, Some(5));
        let again = StatsReport::from_xml(&xml.to_xml()).unwrap();
        prop_assert_eq!(&again, &xml);
    }

    #[test]
    fn no_text_makes_the_readers_panic(text in "[<>/='\"a-c!&;#x0-9 ?\\[\\]{}:,-]{0,60}") {
        let _ = StatsReport::from_xml(&text);
        let _ = StatsReport::from_xml(&format!("<domainstats>{text}</domainstats>"));
        let _ = StatsReport::from_json(&text);
    }

    #[test]
    fn no_damage_makes_the_readers_panic(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let report = super::super::sample::canonical();
        for format in [Format::Xml, Format::Json] {
            let mut bytes = format.write_to_string(&report).into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let text = String::from_utf8_lossy(&bytes);
            let _ = StatsReport::from_xml(&text);
            let _ = StatsReport::from_json(&text);
        }
    }
}

#[test]
fn characters_that_xml_forbids_are_replaced() {
    let mut report = StatsReport::new(UNIX_EPOCH);
    let mut domain = DomainStats::default();
    domain.domain.name = "vm".into();
    domain.set_param("block.0.path", &crate::Value::String("a\0b\u{1b}c\u{FFFE}d\u{7f}".into()));
    report.domains.push(domain);
    let xml = StatsReport::from_xml(&report.to_xml()).unwrap();
    let path = xml.domains[0].block.as_ref().unwrap().blocks[0].path.as_deref();
    assert_eq!(path, Some("a\u{FFFD}b\u{FFFD}c\u{FFFD}d\u{7f}"));
    assert_eq!(StatsReport::from_json(&report.to_json()).unwrap(), report);
}
