//! Reports for the tests of formats, filled by walking the catalogue: they contain every new row.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::model::{
    catalogue::{Slot, value::leaf},
    identity::{Conflict, DomainInfo},
    report::{DomainStats, Missing, MissingDomain, MissingGroup, MissingReason, StatsReport},
    stats::{
        Block, Blocks, DomainState, Field, GROUPS, Key, KeyKind, Row, Section, State, StateReason,
        ValueType,
    },
};

/// Returns the report of the snapshots: a domain with every field of every group, one with missing
/// groups, one with an odd name, and missing domains.
pub(crate) fn canonical() -> StatsReport {
    let mut report = StatsReport::new(UNIX_EPOCH + Duration::new(1_795_000_000, 123_456_789));
    report.elapsed = Duration::from_nanos(3_210_000);
    report.domains = vec![full("vm1", 4_001), partial(), odd()];
    report.missing = vec![
        MissingDomain::new(
            info("vm4", Some(4_004)),
            Missing::new(MissingReason::Gone, "the process ended during the call"),
        ),
        MissingDomain::new(
            info("vm5", None),
            Missing::new(MissingReason::Other("on-strike".into()), ""),
        ),
    ];
    report
}

fn info(name: &str, id: Option<u32>) -> DomainInfo {
    DomainInfo {
        name: name.into(),
        uuid: id
            .map(|id| Uuid::from_u128(0x1111_2222_3333_4444_5555_6666_0000_0000 + u128::from(id))),
        id,
        persistent: id.is_none(),
        ..DomainInfo::default()
    }
}

/// Returns a domain with every field of every group.
pub(crate) fn full(name: &str, id: u32) -> DomainStats {
    let mut domain = DomainStats::new(info(name, Some(id)));
    let mut number = 0;
    for group in GROUPS {
        fill(group.slot(&mut domain), &mut number);
    }
    domain
}

fn partial() -> DomainStats {
    let mut domain = DomainStats::new(info("vm2", Some(4_002)));
    domain.taken_at = Some(UNIX_EPOCH + Duration::new(1_795_000_000, 125_000_000));
    domain.state = Some(State::new(DomainState::Paused, 5));
    domain.set_param("cpu.time", &crate::Value::ULLong(9_000_000_001));
    domain.missing = vec![
        MissingGroup::new("balloon", Missing::new(MissingReason::Timeout, "no answer within 1s")),
        MissingGroup::new("block", Missing::new(MissingReason::Timeout, "no answer within 1s")),
        MissingGroup::new("perf", Missing::new(MissingReason::Unsupported, "")),
    ];
    domain
}

fn odd() -> DomainStats {
    let mut domain = DomainStats::new(info("<\"Ünïcode\" & 'Söhne'>\\{a=\"b\"}\n\ttwo 日本", None));
    domain.state = Some(State {
        state: Some(DomainState::from_code(77)),
        reason: Some(StateReason::new(DomainState::from_code(77), 78)),
        extra: crate::model::stats::Extra::default(),
    });
    // Its user is not trusted, and another domain has its name.
    domain.domain.uid = Some(1000);
    domain.domain.untrusted = true;
    domain.domain.conflict = Conflict::NAME;
    let path = Some("<\"Ünïcode\" & 'Söhne'>\\{a=\"b\"}\n\ttwo \u{202e}日本".to_owned());
    let disk = Block { path, ..Block::default() };
    domain.block = Some(Blocks { blocks: vec![disk], ..Blocks::default() });
    // Empty and present: requested and read, with nothing in it.
    domain.vm = Some(crate::model::stats::Vm::default());
    domain.set_param("cpu.new.time", &crate::Value::ULLong(5));
    domain.set_param("gpu.0.load", &crate::Value::Double(0.5));
    domain
}

/// Fills every row of a section, two items in every list.
fn fill(section: &mut dyn Section, number: &mut u32) {
    for (row_number, row) in section.schema().rows.iter().enumerate() {
        match (row, section.slot(row_number)) {
            (Row::Field(field), Slot::Field(slot)) => {
                *number += 1;
                let value = value(field, *number);
                assert!(slot.set(&leaf(&value).unwrap()), "{} has a value", field.path);
            }
            (Row::List(row), Slot::List(list)) => {
                for item in [0, 2] {
                    let name = format!("item-{item}");
                    fill(
                        list.entry(match row.key {
                            KeyKind::Index => Key::Index(item),
                            KeyKind::Id => Key::Id(item),
                            KeyKind::Name => Key::Name(&name),
                        }),
                        number,
                    );
                }
            }
            (Row::Part(_), Slot::Part(part)) => fill(part, number),
            _ => unreachable!("a row and its slot are of one shape"),
        }
    }
}

/// Returns a value that identifies the row and the item: all differ where the type allows it.
pub(crate) fn value(field: &Field, number: u32) -> Json {
    match field.value_type {
        // The state's reason is an enumeration without words of its own.
        _ if field.path == "reason" => json!(1),
        _ if !field.words.is_empty() => json!(field.words[1]),
        ValueType::Double => json!(f64::from(number) + 0.5),
        ValueType::Boolean => json!(true),
        ValueType::String => json!(format!("text-{number}")),
        ValueType::Numbers => json!([number, 0]),
        _ => json!(number),
    }
}
