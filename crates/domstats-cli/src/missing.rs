//! What could not be read: one line per domain on standard error, never in the data.

use domstats::{DomainStats, Missing, StatsGroups, StatsReport, stats::Group};

use crate::exit;

/// Reports what is missing.
///
/// An unsupported group or an inactive domain is worth a line only if the group was `requested` by
/// name.
pub(crate) fn warn(report: &StatsReport, requested: StatsGroups) {
    for domain in &report.missing {
        exit::warn(&format!("{}: {}", domain.domain.name, domain.missing));
    }
    for stats in &report.domains {
        let parts: Vec<String> = by_reason(stats)
            .into_iter()
            .filter_map(|(why, mut groups)| {
                groups.retain(|group| {
                    !why.reason.is_expected()
                        || Group::by_name(group).is_some_and(|g| requested.contains(g.bit))
                });
                (!groups.is_empty()).then(|| sentence(why, &groups))
            })
            .collect();
        if !parts.is_empty() {
            exit::warn(&format!("{}: {}", stats.domain.name, parts.join("; ")));
        }
    }
}

/// Returns the groups that are missing in whole or in part, grouped by reason.
pub(crate) fn by_reason(stats: &DomainStats) -> Vec<(&Missing, Vec<&str>)> {
    let mut reasons: Vec<(&Missing, Vec<&str>)> = Vec::new();
    for missing in &stats.missing {
        match reasons.iter_mut().find(|(why, _)| **why == missing.missing) {
            Some((_, groups)) => groups.push(&missing.group),
            None => reasons.push((&missing.missing, vec![&missing.group])),
        }
    }
    reasons
}

/// Returns `timeout: balloon block (the monitor did not answer)`.
pub(crate) fn sentence(why: &Missing, groups: &[&str]) -> String {
    let groups = groups.join(" ");
    match why.text.as_str() {
        "" => format!("{}: {groups}", why.reason),
        text => format!("{}: {groups} ({text})", why.reason),
    }
}
