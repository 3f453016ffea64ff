//! Compares a report with the oracle.

use domstats::{DomainStats, MissingReason, StatsGroups, Value as Ours, stats::Interface};
use serde_json::Value;

use crate::{oracle::Params, procfs::TICK};

/// Returns a record's statistics by flat key, like the oracle's.
#[must_use]
pub fn params(record: &DomainStats) -> Params {
    let json = |value: &Ours<'_>| match value {
        Ours::Int(number) | Ours::Word { code: number, .. } => (*number).into(),
        Ours::UInt(number) => (*number).into(),
        Ours::LLong(number) => (*number).into(),
        Ours::ULLong(number) => (*number).into(),
        Ours::Double(number) => (*number).into(),
        Ours::Boolean(truth) => (*truth).into(),
        Ours::String(text) => text.as_ref().into(),
        Ours::Numbers(numbers) => numbers.as_ref().into(),
        other => panic!("the tests know no values such as {other:?}"),
    };
    let params = record.params();
    params.iter().map(|(key, value)| (key.clone(), json(value))).collect()
}

/// Returns a line for every group that a record of all groups lacks under TCG although it should
/// not: it has no `vm`, which only KVM has, no `perf`, which was not requested, and no `memory`,
/// which needs resctrl, and it must say so.
#[must_use]
pub fn lacks(record: &DomainStats) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let none = StatsGroups::VM | StatsGroups::PERF | StatsGroups::MEMORY;
    for group in none {
        match record.why_missing(group) {
            Some(why) if why.reason == MissingReason::Unsupported => {}
            why => lines.push(format!("{group:?}: not unsupported, but {why:?}")),
        }
        if record.groups().contains(group) {
            lines.push(format!("{group:?}: is there"));
        }
    }
    // A NIC without a host device has no counters, and the group must say so.
    let is_bare = |interface: &Interface| interface.name.is_none();
    let has_bare = record.interface.as_ref().is_some_and(|it| it.interfaces.iter().any(is_bare));
    match record.why_missing(StatsGroups::INTERFACE) {
        Some(why) if has_bare && why.reason == MissingReason::Unsupported => {}
        None if !has_bare => {}
        why => lines.push(format!("interface: {why:?}, {:?}", record.interface)),
    }
    let none = ["vm", "perf", "memory", "interface"];
    let others = record.missing.iter().filter(|missing| !none.contains(&missing.group.as_str()));
    lines.extend(others.map(|missing| format!("{}: {}", missing.group, missing.missing)));
    lines
}

/// Returns a line for every key that `ours` lacks, has in excess, or whose value the guest did not
/// have between the oracle's two readings.
#[must_use]
pub fn differences(before: &Params, ours: &Params, after: &Params) -> Vec<String> {
    let mut lines = wrong_values(before, ours, after);
    // What appeared between the readings may be there or not.
    let known = |key: &str| before.contains_key(key) || after.contains_key(key);
    let excess = ours.keys().filter(|key| !known(key));
    lines.extend(excess.map(|key| format!("{key}: in excess")));
    lines
}

/// Like [`differences`], but `ours` may have more keys.
#[must_use]
pub fn wrong_values(before: &Params, ours: &Params, after: &Params) -> Vec<String> {
    let mut lines = Vec::new();
    for (key, low) in before {
        let Some(high) = after.get(key) else {
            lines.push(format!("{key}: vanished from the oracle"));
            continue;
        };
        match ours.get(key) {
            None => lines.push(format!("{key}: lacking, should be {low}")),
            Some(value) if !between(key, low, value, high) => {
                lines.push(format!("{key}: {value} is not between {low} and {high}"));
            }
            Some(_) => {}
        }
    }
    lines
}

fn between(key: &str, low: &Value, value: &Value, high: &Value) -> bool {
    let (Some(low), Some(value), Some(high)) = (low.as_i64(), value.as_i64(), high.as_i64()) else {
        return low == value || high == value;
    };
    let slack = slack(key);
    (low.min(high) - slack..=low.max(high) + slack).contains(&value)
}

/// How far the memory of a process may lie outside of the two readings around it, in KiB. The
/// kernel keeps a part of it per CPU, not summed up, and QEMU takes and returns buffers while its
/// guest works: on a busy machine it was seen at 58 MiB between readings of 49 and 46.
pub const RSS_SLACK: i64 = 16 << 10;

/// How far two correct readings of a value at the same moment can differ.
fn slack(key: &str) -> i64 {
    let tick = i64::try_from(TICK.as_nanos()).unwrap();
    match key {
        // One reader counts in ticks; total, user and system are each rounded.
        "cpu.time" | "cpu.user" | "cpu.system" => 2 * tick,
        "balloon.rss" => RSS_SLACK,
        // Restarts with every access to the disk: it need not lie between two readings.
        key if key.ends_with("idle_time") => 1_000_000_000,
        _ => 0,
    }
}
