//! The progress of each domain in a call, and its record.

use std::time::SystemTime;

use domstats_rpc::{
    Xdr,
    message::{self, StatsRecord, StatsRecords},
    xdr::{Decoder, Fault},
};

use super::{
    health::Stuck,
    plan::{Part, Plan},
    wire,
};
use crate::model::{
    identity::DomainInfo,
    report::{DomainStats, Missing, MissingReason},
    request::StatsGroups,
    stats::GROUPS,
};

/// Decodes the reply to a call for statistics.
pub(super) fn decode(payload: &[u8]) -> Result<StatsRecords<'_>, Fault> {
    StatsRecords::decode(&mut Decoder::new(payload))
}

/// One domain of a call.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) info: DomainInfo,
    /// Why the pass does not wait for it, if it is stuck.
    pub(super) stuck: Option<Stuck>,
    /// The calls in flight that may need its monitor.
    pub(super) in_flight: usize,
    /// How often another job had its monitor.
    pub(super) pauses: u32,
    stats: DomainStats,
    progress: [Progress; Part::ALL.len()],
    gone: bool,
}

/// The progress of a call about one part.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Progress {
    /// No answer yet.
    Open,
    /// Answered without what only the monitor knows.
    Partial,
    /// Answered.
    Done,
    /// It will not be answered.
    Failed(Missing),
}

impl Slot {
    pub(super) fn new(info: DomainInfo, stuck: Option<Stuck>) -> Self {
        Self {
            stats: DomainStats::new(info.clone()),
            info,
            stuck,
            in_flight: 0,
            pauses: 0,
            progress: [const { Progress::Open }; Part::ALL.len()],
            gone: false,
        }
    }

    /// Returns whether it is the domain on the wire.
    pub(super) fn is(&self, domain: &message::Domain<'_>) -> bool {
        self.info.uuid.is_some_and(|uuid| uuid.as_bytes() == &domain.uuid)
    }

    fn progress(&mut self, part: Part) -> &mut Progress {
        &mut self.progress[part as usize]
    }

    /// Returns whether a part needs no further call.
    pub(super) fn is_over(&self, part: Part, plan: &Plan) -> bool {
        self.gone
            || !plan.asks(part)
            || match self.progress[part as usize] {
                Progress::Open => false,
                // No pass waits for a stuck domain.
                Progress::Partial => !plan.patient || self.stuck.is_some(),
                Progress::Done | Progress::Failed(_) => true,
            }
    }

    /// Returns whether its answer was complete.
    pub(super) fn monitor_is_done(&self) -> bool {
        self.progress[Part::Monitor as usize] == Progress::Done
    }

    /// Returns whether it was asked for the group `vm`, answered, and has none of it.
    pub(super) fn is_without_vm(&self, plan: &Plan) -> bool {
        plan.partial
            && plan.groups(Part::Monitor).contains(StatsGroups::VM)
            && self.monitor_is_done()
            && self.stats.vm.is_none()
    }

    /// Returns whether the daemon answered anything about it.
    pub(super) fn is_answered(&self) -> bool {
        self.gone || self.progress.iter().any(|progress| *progress != Progress::Open)
    }

    /// Takes the record from a call made at this time; `None` if libvirt left the domain out, because
    /// it no longer exists.
    pub(super) fn take(
        &mut self,
        part: Part,
        record: Option<&StatsRecord<'_>>,
        asked: SystemTime,
        plan: &Plan,
    ) {
        let Some(record) = record else {
            self.gone = true;
            return;
        };
        if *self.progress(part) == Progress::Done {
            return;
        }
        self.set(record);
        let oldest = self.stats.taken_at.map_or(asked, |oldest| oldest.min(asked));
        self.stats.taken_at = Some(oldest);
        let is_partial = part == Part::Monitor
            && plan.partial
            && self.info.id.is_some()
            && !asked_monitor(record);
        *self.progress(part) = if is_partial { Progress::Partial } else { Progress::Done };
    }

    pub(super) fn fail(&mut self, part: Part, missing: &Missing) {
        *self.progress(part) = Progress::Failed(missing.clone());
    }

    fn set(&mut self, record: &StatsRecord<'_>) {
        for param in &record.params.0 {
            self.stats.set_param(&param.field, &wire::value(&param.value));
        }
    }

    /// Notes what was not answered in time; `starved` if the share was used up. Returns the reason if
    /// the domain is stuck.
    pub(super) fn time_is_up(&mut self, starved: bool) -> Option<Missing> {
        let known = self.stuck.as_ref();
        let timeout = |text: &str| Missing::new(MissingReason::Timeout, text);
        let missing = match self.progress[Part::Monitor as usize] {
            Progress::Open | Progress::Partial if self.in_flight > 0 => {
                timeout("libvirt waits for its monitor: QEMU is stopped or stuck")
            }
            Progress::Open => match known {
                Some(stuck) => stuck.missing.clone(),
                None => {
                    let missing = timeout(match starved {
                        true => "not asked: too many other domains are stuck",
                        false => "libvirt had no time for it",
                    });
                    *self.progress(Part::Monitor) = Progress::Failed(missing);
                    return None;
                }
            },
            Progress::Partial => match known.filter(|stuck| stuck.abandoned > 0) {
                Some(stuck) => stuck.missing.clone(),
                None => Missing::new(
                    MissingReason::Busy,
                    "another job of libvirt has its monitor: a migration, a save, a stuck question",
                ),
            },
            Progress::Done | Progress::Failed(_) => return None,
        };
        *self.progress(Part::Monitor) = Progress::Failed(missing.clone());
        Some(missing)
    }

    /// Returns the record, or why there is none.
    pub(super) fn into_record(mut self, plan: &Plan) -> Result<DomainStats, Missing> {
        if self.gone {
            return Err(Missing::new(MissingReason::Gone, "libvirt does not know it any more"));
        }
        if !plan.wanted.contains(StatsGroups::BALLOON) {
            // Requested only to see whether the monitor answers.
            self.stats.balloon = None;
        }
        let inactive = self.info.id.is_none();
        if inactive {
            // libvirt 8.8 and later give the times of the daemon itself here.
            self.stats.cpu = None;
        }
        let nothing = match inactive {
            true => Missing::new(MissingReason::Inactive, "the domain is not active"),
            false => Missing::new(MissingReason::Unsupported, "libvirt has none of this domain"),
        };
        for group in GROUPS.iter().filter(|group| plan.wanted.contains(group.bit)) {
            let missing = match &self.progress[plan.part_of(group.bit) as usize] {
                Progress::Failed(missing) => missing.clone(),
                Progress::Open => {
                    Missing::new(MissingReason::Timeout, "libvirt's daemon did not answer in time")
                }
                Progress::Partial | Progress::Done if group.of(&self.stats).is_none() => {
                    nothing.clone()
                }
                Progress::Partial | Progress::Done => continue,
            };
            self.stats.note_missing(group.bit, &missing);
        }
        Ok(self.stats)
    }
}

/// Returns whether a record has values that only the monitor knows.
fn asked_monitor(record: &StatsRecord<'_>) -> bool {
    record.params.0.iter().any(|param| {
        let field = param.field.as_ref();
        matches!(field, "balloon.rss" | "dirtyrate.calc_status" | "iothread.count")
            || field.starts_with("cpu.haltpoll.")
            || (field.starts_with("block.") && field.ends_with(".rd.reqs"))
    })
}
