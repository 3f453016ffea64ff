//! What a call requests for every domain.

use std::time::Instant;

use crate::model::request::{StatsGroups, StatsOptions, StatsRequest};

use super::hello::Peer;

/// A part of the request that goes into an RPC call of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// What libvirt reads without a monitor.
    Host,
    /// The same, but the first such call after its start makes a daemon probe the host's
    /// capabilities for 1.5 s (libvirt 9.0).
    Memory,
    /// What may query the monitor.
    Monitor,
}

impl Part {
    pub(super) const ALL: [Self; 3] = [Self::Host, Self::Memory, Self::Monitor];
}

const HOST_GROUPS: StatsGroups =
    StatsGroups::STATE.union(StatsGroups::INTERFACE).union(StatsGroups::PERF);

/// The groups whose answer shows, for almost every domain, whether the monitor was queried.
const TELLING_GROUPS: StatsGroups = StatsGroups::CPU_TOTAL
    .union(StatsGroups::BALLOON)
    .union(StatsGroups::BLOCK)
    .union(StatsGroups::DIRTYRATE);

/// The first version of libvirt that knows `NOWAIT`: 4.5.0.
const KNOWS_NOWAIT: u64 = 4_005_000;

#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    /// The groups of each part. With drivers that have no monitors, all are in the last.
    groups: [StatsGroups; Part::ALL.len()],
    /// The groups to report if they are missing.
    pub(super) wanted: StatsGroups,
    /// The flags of every call.
    pub(super) flags: u32,
    /// Whether an answer can lack the monitor's values (`NOWAIT`).
    pub(super) partial: bool,
    /// Whether to request a domain again if its answer lacks them.
    pub(super) patient: bool,
    pub(super) deadline: Instant,
}

impl Plan {
    pub(super) fn new(request: &StatsRequest, peer: &Peer, deadline: Instant) -> Self {
        let all = request.groups.is_empty();
        // All, including those of a newer libvirt: a daemon leaves out the groups that it lacks,
        // unless a flag makes it refuse them.
        let groups = if all { StatsGroups::from_bits_retain(!0) } else { request.groups };
        let mut options = request.options;
        if all {
            options.remove(StatsOptions::ENFORCE_STATS);
        }
        let nowait = options.contains(StatsOptions::NOWAIT);
        // Other drivers have no monitors, and refuse flags that they do not know.
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

    /// Returns the groups of a part; none if it is not requested.
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

    /// Returns the part that requests a group of one bit.
    pub(super) fn part_of(&self, group: StatsGroups) -> Part {
        let mut parts = Part::ALL.into_iter();
        parts.find(|part| self.groups(*part).contains(group)).unwrap_or(Part::Monitor)
    }

    /// Returns the groups of a call that may query monitors. If its answer would not show whether
    /// the monitor was queried, or if the call is repeated because the answer did not, adds a group
    /// that does.
    pub(super) fn telling(&self, again: bool) -> StatsGroups {
        let groups = self.groups(Part::Monitor);
        match self.partial && (again || !groups.intersects(TELLING_GROUPS)) {
            true => groups | StatsGroups::BALLOON,
            false => groups,
        }
    }
}
