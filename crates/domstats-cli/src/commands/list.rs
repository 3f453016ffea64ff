//! `domstats list`: the domains.

use std::io::Write;

use clap::builder::styling::{AnsiColor, Style};
use domstats::{DomainInfo, DomainState, StatsGroups, stats::State};

use crate::{
    args::ListArgs,
    columns,
    exit::{Exit, Result},
    missing,
    uri::Hypervisor,
};

/// Prints id, name and state of each domain, or only names or UUIDs.
pub(crate) fn run(connect: Option<&str>, args: &ListArgs) -> Result {
    let hypervisor = Hypervisor::open(connect, &args.connect_options())?;
    let report = hypervisor.all_domain_stats(&args.request())?;
    let read = report.domains.iter().map(|stats| (&stats.domain, stats.state.as_ref()));
    let unread = report.missing.iter().map(|missing| (&missing.domain, None));
    let mut domains: Vec<_> = read.chain(unread).collect();
    domains.sort_by_key(|(info, _)| (&info.name, info.id));

    let page: String = match (args.uuid, args.name) {
        (false, false) => {
            let mut rows = vec![["ID", "NAME", "STATE"].map(str::to_owned)];
            rows.extend(domains.iter().map(|(info, state)| row(info, *state)));
            let notes: Vec<String> = domains.iter().map(|(info, _)| note(info)).collect();
            // Notes are rare.
            match notes.iter().all(String::is_empty) {
                true => columns::align(&rows),
                false => {
                    let notes = ["NOTE".to_owned()].into_iter().chain(notes);
                    let with_note =
                        |([id, name, state], note): ([String; 3], String)| [id, name, state, note];
                    columns::align(&rows.into_iter().zip(notes).map(with_note).collect::<Vec<_>>())
                }
            }
        }
        (false, true) => domains.iter().map(|(info, _)| format!("{}\n", info.name)).collect(),
        (true, false) => domains.iter().map(|(info, _)| format!("{}\n", uuid(info))).collect(),
        (true, true) => {
            domains.iter().map(|(info, _)| format!("{} {}\n", uuid(info), info.name)).collect()
        }
    };
    // Strips the colours where they cannot be shown.
    let mut out = anstream::stdout().lock();
    out.write_all(page.as_bytes())?;
    out.flush()?;
    missing::warn(&report, StatsGroups::STATE);
    Ok(Exit::Ok)
}

fn row(info: &DomainInfo, state: Option<&State>) -> [String; 3] {
    let state = state.and_then(|state| state.state);
    let color = match state {
        Some(DomainState::Running) => Some(AnsiColor::Green),
        Some(DomainState::Paused | DomainState::PmSuspended) => Some(AnsiColor::Yellow),
        Some(DomainState::Crashed) | None => Some(AnsiColor::Red),
        Some(_) => None,
    };
    let style = Style::new().fg_color(color.map(Into::into));
    let state = or_dash(state.map(word));
    [or_dash(info.id), info.name.to_string(), format!("{style}{state}{style:#}")]
}

/// Returns what puts the identity of a domain in doubt.
fn note(info: &DomainInfo) -> String {
    let whose = info.uid.map_or_else(|| "its user".to_owned(), |uid| format!("user {uid}"));
    let untrusted = info.untrusted.then(|| format!("{whose} is not trusted"));
    let has_conflict = !info.conflict.is_empty();
    let conflict = has_conflict.then(|| format!("conflict: {}", info.conflict));
    conflict.into_iter().chain(untrusted).collect::<Vec<_>>().join("; ")
}

/// Returns the word for a state, or the number of one that is unknown here.
fn word(state: DomainState) -> String {
    state.word().map_or_else(|| state.code().to_string(), str::to_owned)
}

fn uuid(info: &DomainInfo) -> String {
    or_dash(info.uuid)
}

fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}
