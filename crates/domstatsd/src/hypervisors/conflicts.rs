//! Logs domains that claim the same name or UUID.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    sync::Mutex,
    time::{Duration, Instant},
};

use domstats::{DomainInfo, StatsReport, sync::lock};

/// The domains that were logged. Its size is bounded, however many QEMUs a user starts.
#[derive(Default)]
pub(super) struct Conflicts(Mutex<Logged>);

#[derive(Default)]
struct Logged {
    /// By a hash that no user can foresee.
    known: HashSet<u64>,
    hasher: RandomState,
    last: Option<Instant>,
}

impl Conflicts {
    /// The shortest time between two lines.
    const PAUSE: Duration = Duration::from_secs(10);
    /// The most domains that a line names.
    const NAMED: usize = 8;
    /// The most domains that are remembered.
    const KNOWN: usize = 4096;

    /// Logs new domains in conflict, those of trusted users first.
    pub(super) fn log(&self, report: &StatsReport) {
        if let Some(line) = self.line(report) {
            tracing::warn!("domains in conflict: {line}");
        }
    }

    fn line(&self, report: &StatsReport) -> Option<String> {
        let missing = report.missing.iter().map(|missing| &missing.domain);
        let all = report.domains.iter().map(|stats| &stats.domain).chain(missing);
        let mut all: Vec<&DomainInfo> = all.filter(|info| !info.conflict.is_empty()).collect();
        if all.is_empty() {
            return None;
        }
        let mut logged = lock(&self.0);
        if logged.last.is_some_and(|last| last.elapsed() < Self::PAUSE) {
            return None;
        }
        all.sort_by_key(|info| info.untrusted);
        if logged.known.len() > Self::KNOWN {
            logged.known.clear();
        }
        all.retain(|info| {
            let hash = logged.hasher.hash_one(info);
            logged.known.insert(hash)
        });
        let named = all.iter().take(Self::NAMED);
        let named =
            named.map(|info| format!("{} has another's {}", info.described(), info.conflict));
        let mut line = named.collect::<Vec<_>>().join("; ");
        match all.len() {
            0 => return None,
            count if count > Self::NAMED => line += &format!("; {} more", count - Self::NAMED),
            _ => {}
        }
        logged.last = Some(Instant::now());
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use domstats::DomainStats;

    use super::*;

    #[test]
    fn each_is_logged_once_and_strangers_displace_no_domain() {
        let mut report = StatsReport::new(SystemTime::now());
        let mut add = |name: &str, id: u32, untrusted: bool| {
            let mut info = DomainInfo::default();
            (info.name, info.id, info.untrusted) = (name.into(), Some(id), untrusted);
            report.domains.push(DomainStats::new(info));
        };
        (0..100).for_each(|id| add("crowd", id, true));
        add("vm", 200, false);
        add("vm", 201, true);
        add("alone", 202, false);
        report.note_conflicts();
        let conflicts = Conflicts::default();
        let line = conflicts.line(&report).unwrap();
        assert!(line.starts_with("'vm' (id 200) has another's name; "), "{line}");
        assert!(line.ends_with("; 94 more") && !line.contains("alone"), "{line}");
        assert_eq!(conflicts.line(&report), None, "it was logged a moment ago");
        conflicts.0.lock().unwrap().last = None;
        assert_eq!(conflicts.line(&report), None, "nothing is new");
        report.domains.last_mut().unwrap().domain.name = "vm".into();
        report.note_conflicts();
        let line = conflicts.line(&report).unwrap();
        assert_eq!(line, "'vm' (id 202) has another's name");
    }
}
