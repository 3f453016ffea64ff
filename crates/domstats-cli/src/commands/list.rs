//! `domstats list`: the domains.

use std::io::Write;

use clap::builder::styling::{AnsiColor, Style};
use domstats::{DomainInfo, DomainState, StatsGroups};

use crate::{
    args::ListArgs,
    columns,
    exit::{Exit, Result},
    missing,
    uri::Target,
};

/// Prints id, name and state of each domain, or only what scripts ask for.
pub(crate) fn run(target: &Target, args: &ListArgs) -> Result {
    let connect = target.open()?;
    let report = connect.all_domain_stats(&args.request())?;
    if report.domains.is_empty() && report.missing.is_empty() {
        target.domains(&connect)?;
    }
    let gone = report.missing.iter().map(|missing| (&missing.domain, None));
    let mut domains: Vec<_> = report
        .domains
        .iter()
        .map(|stats| {
            (
                &stats.domain,
                stats.state.as_ref().and_then(|state| state.state),
            )
        })
        .chain(gone)
        .collect();
    domains.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));

    // Takes the colour out where it cannot be seen.
    let mut out = anstream::stdout().lock();
    match (args.uuid, args.name) {
        (false, false) => {
            let mut rows = vec![["ID", "NAME", "STATE"].map(str::to_owned)];
            rows.extend(domains.into_iter().map(|(info, state)| row(info, state)));
            columns::write(&mut out, &rows)?;
        }
        (uuid, name) => {
            for (info, _) in domains {
                let uuid = uuid.then(|| or_dash(info.uuid));
                let words: Vec<_> = uuid
                    .into_iter()
                    .chain(name.then(|| info.name.clone()))
                    .collect();
                writeln!(out, "{}", words.join(" "))?;
            }
        }
    }
    out.flush()?;
    missing::warn(&report, StatsGroups::STATE);
    Ok(Exit::Ok)
}

fn row(info: &DomainInfo, state: Option<DomainState>) -> [String; 3] {
    let color = match state {
        Some(DomainState::Running) => Some(AnsiColor::Green),
        Some(DomainState::Paused | DomainState::PmSuspended) => Some(AnsiColor::Yellow),
        Some(DomainState::Crashed) | None => Some(AnsiColor::Red),
        Some(_) => None,
    };
    let style = Style::new().fg_color(color.map(Into::into));
    // A newer peer may know states without a word here.
    let word = |state: DomainState| {
        state
            .word()
            .map_or_else(|| state.code().to_string(), str::to_owned)
    };
    let state = or_dash(state.map(word));
    [
        or_dash(info.id),
        info.name.clone(),
        format!("{style}{state}{style:#}"),
    ]
}

fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}
