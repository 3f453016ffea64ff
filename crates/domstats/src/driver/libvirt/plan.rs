//! What is asked of every domain in a call.

use std::time::Instant;

use crate::model::request::{StatsGroups, StatsOptions, StatsRequest};

use super::hello::Peer;

/// What is asked of a domain in one question, apart from the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// What libvirt reads without asking a monitor.
    Host,
    /// The same, but for the first such question of its life a daemon looks for 1.5 s at what the
    /// host can do (libvirt 9.0).
    Memory,
    /// What may ask the monitor.
    Monitor,
}

impl Part {
    pub(super) const ALL: [Self; 3] = [Self::Host, Self::Memory, Self::Monitor];
}

const HOST_GROUPS: StatsGroups =
    StatsGroups::STATE.union(StatsGroups::INTERFACE).union(StatsGroups::PERF);

/// The groups whose answer tells whether the monitor was asked, for almost every domain.
const TELLING_GROUPS: StatsGroups = StatsGroups::CPU_TOTAL
    .union(StatsGroups::BALLOON)
    .union(StatsGroups::BLOCK)
    .union(StatsGroups::DIRTYRATE);

/// The version of libvirt that knows `NOWAIT`: 4.5.0.
const KNOWS_NOWAIT: u64 = 4_005_000;

#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    /// The groups of each part; with drivers that have no monitors, all are of the last.
    groups: [StatsGroups; Part::ALL.len()],
    /// The groups to name if they are missing.
    pub(super) wanted: StatsGroups,
    /// The flags of every question.
    pub(super) flags: u32,
    /// Whether an answer can lack what the monitor would have said (`NOWAIT`).
    pub(super) partial: bool,
    /// Whether a domain whose answer lacks that is asked again.
    pub(super) patient: bool,
    pub(super) deadline: Instant,
}

impl Plan {
    pub(super) fn new(request: &StatsRequest, peer: &Peer, deadline: Instant) -> Self {
        let all = request.groups.is_empty();
        // All: those of a newer libvirt too. It leaves out the ones that it does not have, unless
        // it is told to refuse them.
        let groups = if all { StatsGroups::from_bits_retain(!0) } else { request.groups };
        let mut options = request.options;
        if all {
            options.remove(StatsOptions::ENFORCE_STATS);
        }
        let nowait = options.contains(StatsOptions::NOWAIT);
        // Other drivers have no monitors, and refuse what they do not know.
        let qemu = peer.driver == "QEMU";
        let partial = qemu && peer.version >= KNOWS_NOWAIT;
        options.set(StatsOptions::NOWAIT, nowait || partial);
        let apart = |part| if qemu { groups & part } else { StatsGroups::empty() };
        let (host, memory) = (apart(HOST_GROUPS), apart(StatsGroups::MEMORY));
        Self {
            groups: [host, memory, groups - host - memory],
            wanted: if all { StatsGroups::of_libvirt() } else { request.groups },
            flags: options.bits(),
            partial,
            patient: partial && !nowait,
            deadline,
        }
    }

    /// Returns the groups of a part; none if it is not asked for.
    pub(super) fn groups(&self, part: Part) -> StatsGroups {
        self.groups[part as usize]
    }

    /// Returns the groups of all parts.
    pub(super) fn all_groups(&self) -> StatsGroups {
        self.groups.into_iter().fold(StatsGroups::empty(), StatsGroups::union)
    }

    pub(super) fn asks(&self, part: Part) -> bool {
        !self.groups(part).is_empty()
    }

    /// Returns the part in which a group of one bit is asked for.
    pub(super) fn part_of(&self, group: StatsGroups) -> Part {
        let mut parts = Part::ALL.into_iter();
        parts.find(|part| self.groups(*part).contains(group)).unwrap_or(Part::Monitor)
    }

    /// Returns the groups of a question that may ask monitors. One that would not tell whether the
    /// monitor was asked, and one that is asked again because the answer did not, gets a group that
    /// does.
    pub(super) fn telling(&self, again: bool) -> StatsGroups {
        let groups = self.groups(Part::Monitor);
        match self.partial && (again || !groups.intersects(TELLING_GROUPS)) {
            true => groups | StatsGroups::BALLOON,
            false => groups,
        }
    }
}
