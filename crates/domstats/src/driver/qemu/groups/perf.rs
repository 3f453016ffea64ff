//! The group `perf`: the kernel's counters for the QEMU process that the URI requests.

use crate::{
    driver::qemu::groups::{GroupReader, QueryList, Sources},
    host::{perf::Refusal, process::readers::NotCounted},
    model::{
        catalogue::{Section, Slot, row::Row},
        report::{DomainStats, Missing, MissingReason},
        request::StatsGroups,
        stats::{Perf, Value},
    },
};

pub(super) const READER: GroupReader = GroupReader { group: StatsGroups::PERF, ask, fill };

fn ask(_: &mut QueryList<'_>) {}

fn fill(sources: &Sources<'_>, stats: &mut DomainStats) -> Option<Missing> {
    let counts = match sources.host.account.counts.as_ref() {
        None => {
            let text = "no counter is open: the URI's parameter perf says which to open, such as \
                        ?perf=cpu_cycles,instructions";
            return Some(Missing::new(MissingReason::Unsupported, text));
        }
        Some(Err(NotCounted::Gone)) => {
            return Some(Missing::new(MissingReason::Gone, "the process ended"));
        }
        Some(Err(NotCounted::NoTime)) => {
            let text = "there was no time to open the counters: the next call continues";
            return Some(Missing::new(MissingReason::Timeout, text));
        }
        Some(Ok(counts)) => counts,
    };
    let mut perf = Perf::default();
    let mut refused = Vec::new();
    for (event, count) in counts {
        match count {
            Ok(count) => set(&mut perf, event.name, *count),
            Err(refusal) => refused.push((*refusal, event.name)),
        }
    }
    stats.perf = (perf != Perf::default()).then_some(perf);
    refused.iter().map(|(refusal, _)| *refusal).min().map(|gravest| {
        let alike = refused.iter().filter(|(refusal, _)| *refusal == gravest);
        let names: Vec<_> = alike.map(|(_, name)| *name).collect();
        refusal_of(gravest, &names.join(", "))
    })
}

/// Sets the field with an event's name.
fn set(perf: &mut Perf, name: &str, count: u64) {
    let is_it = |row: &Row| matches!(row, Row::Field(field) if field.name == name);
    if let Some(row) = perf.schema().rows.iter().position(is_it)
        && let Slot::Field(slot) = perf.slot(row)
    {
        slot.set(&Value::ULLong(count));
    }
}

/// Returns the reason for events that are not counted.
fn refusal_of(refusal: Refusal, events: &str) -> Missing {
    let (reason, text) = match refusal {
        Refusal::Denied => (
            MissingReason::Denied,
            format!(
                "no right to count {events}: run as root, with CAP_PERFMON, or with a lower \
                 kernel.perf_event_paranoid"
            ),
        ),
        Refusal::Exhausted => (
            MissingReason::Failed,
            format!(
                "no descriptors are left to count {events}: raise the limit of open files \
                 (ulimit -n)"
            ),
        ),
        Refusal::Failed => (MissingReason::Gone, "the process ended".to_owned()),
        Refusal::Unsupported => {
            (MissingReason::Unsupported, format!("this machine does not count {events}"))
        }
    };
    Missing::new(reason, text)
}
