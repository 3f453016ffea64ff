//! The group `state`, from `query-status`.

use crate::{
    driver::qemu::{
        groups::{GroupReader, QueryList, Sources},
        monitor::query::{Query, Replies},
    },
    model::{
        report::{DomainStats, Missing},
        request::StatsGroups,
        stats::{DomainState, State, StateReason},
    },
};

pub(super) const READER: GroupReader = GroupReader { group: StatsGroups::STATE, ask, fill };

fn ask(queries: &mut QueryList<'_>) {
    queries.ask(Query::Status);
}

fn fill(sources: &Sources<'_>, stats: &mut DomainStats) -> Option<Missing> {
    stats.state = state(sources.replies);
    sources.lacks(&sources.replies.status)
}

/// Returns the domain's state, if its monitor reported it.
pub(super) fn state(replies: &Replies) -> Option<State> {
    let status = replies.status.got()?;
    // libvirt's mapping. Only an event says why a guest runs; a paused guest was paused by its
    // user.
    let (state, reason) = match status.status.as_str() {
        "running" => (DomainState::Running, status.why_running),
        "paused" | "prelaunch" => (DomainState::Paused, Some("user")),
        "io-error" => (DomainState::Paused, Some("ioerror")),
        "watchdog" => (DomainState::Paused, Some("watchdog")),
        "save-vm" => (DomainState::Paused, Some("save")),
        "inmigrate" | "postmigrate" | "finish-migrate" => (DomainState::Paused, Some("migration")),
        "shutdown" => (DomainState::Shutdown, None),
        "guest-panicked" => (DomainState::Crashed, Some("panicked")),
        "suspended" => (DomainState::PmSuspended, None),
        "debug" | "internal-error" | "restore-vm" | "colo" => (DomainState::Paused, None),
        _ => (DomainState::NoState, None),
    };
    let reason = reason.and_then(|reason| StateReason::from_word(state, reason));
    Some(State { state: Some(state), reason, ..State::default() })
}
