//! What is asked of every domain in a call.

use std::time::Instant;

use crate::request::{StatsGroups, StatsOptions, StatsRequest};

use super::hello::Peer;

/// The groups that libvirt reads without asking a monitor.
const HOST_GROUPS: StatsGroups = StatsGroups::STATE
    .union(StatsGroups::INTERFACE)
    .union(StatsGroups::PERF)
    .union(StatsGroups::MEMORY);

/// The groups whose answer tells whether the monitor was asked, for almost every domain.
const TELLING_GROUPS: StatsGroups = StatsGroups::CPU_TOTAL
    .union(StatsGroups::BALLOON)
    .union(StatsGroups::BLOCK)
    .union(StatsGroups::DIRTYRATE);

/// The version of libvirt that knows `NOWAIT`: 4.5.0.
const KNOWS_NOWAIT: u64 = 4_005_000;

#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    /// The groups that need no monitor.
    pub(super) host: StatsGroups,
    /// The groups that may.
    pub(super) monitor: StatsGroups,
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
        let host = if qemu { groups & HOST_GROUPS } else { StatsGroups::empty() };
        Self {
            host,
            monitor: groups - host,
            wanted: if all { StatsGroups::all_known() } else { request.groups },
            flags: options.bits(),
            partial,
            patient: partial && !nowait,
            deadline,
        }
    }

    /// Returns the groups of a question that may ask monitors. One that would not tell whether the
    /// monitor was asked, and one that is asked again because the answer did not, gets a group that
    /// does.
    pub(super) fn telling(&self, again: bool) -> StatsGroups {
        match self.partial && (again || !self.monitor.intersects(TELLING_GROUPS)) {
            true => self.monitor | StatsGroups::BALLOON,
            false => self.monitor,
        }
    }
}
