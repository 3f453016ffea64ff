//! The group `memory`: memory bandwidth, from `/sys/fs/resctrl`.

use crate::{
    driver::qemu::groups::{GroupReader, QueryList, Sources},
    model::{
        report::{DomainStats, Missing, MissingReason},
        request::StatsGroups,
    },
};

pub(super) const READER: GroupReader = GroupReader { group: StatsGroups::MEMORY, ask, fill };

fn ask(_: &mut QueryList<'_>) {}

fn fill(sources: &Sources<'_>, stats: &mut DomainStats) -> Option<Missing> {
    let monitors = &sources.host.account.monitors;
    stats.memory = monitors.memory();
    let (reason, text) = match stats.memory {
        Some(_) => return None,
        None if monitors.is_denied => (MissingReason::Denied, "no right to read /sys/fs/resctrl"),
        None if !monitors.is_mounted => (
            MissingReason::Unsupported,
            "nothing monitors memory bandwidth: resctrl is not mounted at /sys/fs/resctrl",
        ),
        None if !monitors.watched.bandwidth => {
            (MissingReason::Unsupported, "the host's processors do not monitor memory bandwidth")
        }
        None => (
            MissingReason::Unsupported,
            "no group below /sys/fs/resctrl holds only threads of the domain",
        ),
    };
    Some(Missing::new(reason, text))
}
