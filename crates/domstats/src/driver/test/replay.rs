//! Replays a saved document: `test:///path/to/file.xml`.

use std::{
    collections::{HashMap, HashSet},
    error, fs,
    time::Instant,
};

use uuid::Uuid;

use super::{gone, hostname};
use crate::{
    driver::{Driver, uri::Uri},
    model::{
        error::{Error, ErrorKind, ErrorOrigin, Result},
        identity::DomainInfo,
        report::{DomainStats, MissingDomain, StatsReport},
        request::{StatsGroups, StatsRequest},
        stats::{DomainState, GROUPS, Group},
    },
};

/// The document.
pub(super) struct Replay {
    saved: StatsReport,
}

impl Replay {
    pub(super) fn open(uri: &Uri, file: &str) -> Result<Self> {
        if let Some((key, _)) = uri.query.first() {
            return Err(uri.refuse(
                ErrorOrigin::Test,
                format_args!("unknown parameter '{key}': a saved document takes none"),
            ));
        }
        let refuse = |kind, what| {
            Error::new(
                kind,
                ErrorOrigin::Test,
                format!("cannot {what} '{file}': name a document that domstats wrote"),
            )
        };
        let bytes = fs::read(file).map_err(|e| refuse(ErrorKind::System, "read").because(e))?;
        let saved =
            understand(bytes).map_err(|e| refuse(ErrorKind::Malformed, "understand").because(e))?;
        Ok(Self { saved })
    }
}

impl Driver for Replay {
    fn name(&self) -> &'static str {
        "TEST"
    }

    fn origin(&self) -> ErrorOrigin {
        ErrorOrigin::Test
    }

    /// The groups of the document, including those it only reports as missing.
    fn supported(&self) -> StatsGroups {
        let mut groups = StatsGroups::empty();
        for stats in &self.saved.domains {
            groups |= stats.groups();
            let missing = stats.missing.iter();
            groups.extend(
                missing.filter_map(|missing| Group::by_name(&missing.group)).map(|group| group.bit),
            );
        }
        groups
    }

    fn hostname(&self) -> String {
        hostname()
    }

    fn domains(&self, _: Instant) -> Result<Vec<DomainInfo>> {
        let records = self.saved.domains.iter().map(|stats| &stats.domain);
        let missing = self.saved.missing.iter().map(|missing| &missing.domain);
        let mut seen = HashSet::new();
        Ok(records.chain(missing).filter(|domain| seen.insert(*domain)).cloned().collect())
    }

    fn domain_list_stats(
        &self,
        listed: Option<&[DomainInfo]>,
        request: &StatsRequest,
    ) -> Result<StatsReport> {
        let saved = &self.saved;
        let mut report = StatsReport {
            elapsed: saved.elapsed,
            extra: saved.extra.clone(),
            ..StatsReport::new(saved.taken_at)
        };
        let Some(domains) = listed else {
            let matches = |missing: &&MissingDomain| request.filter.matches_info(&missing.domain);
            report.missing = saved.missing.iter().filter(matches).cloned().collect();
            report.domains =
                saved.domains.iter().filter_map(|stats| select(stats, request)).collect();
            return Ok(report);
        };
        let records: HashMap<_, _> = saved.domains.iter().map(|s| (key(&s.domain), s)).collect();
        let missing: HashMap<_, _> = saved.missing.iter().map(|m| (key(&m.domain), m)).collect();
        let infos: Vec<_> = saved.domains.iter().map(|stats| stats.domain.clone()).collect();
        for domain in domains {
            let record = match records.get(&key(domain)).copied() {
                None => DomainInfo::place(&infos, domain)
                    .map(|place| place.map(|place| &saved.domains[place])),
                known => Ok(known),
            };
            match record {
                Ok(Some(stats)) => report.domains.extend(select(stats, request)),
                Err(why) => report.missing.push(MissingDomain::new(domain.clone(), why)),
                Ok(None) if request.filter.matches_info(domain) => {
                    let why = missing.get(&key(domain)).map(|missing| (*missing).clone());
                    report.missing.push(why.unwrap_or_else(|| gone(domain.clone())));
                }
                Ok(None) => {}
            }
        }
        Ok(report)
    }
}

/// Returns what distinguishes a domain from others of a document, without the marks that a listing adds.
fn key(domain: &DomainInfo) -> (&str, Option<Uuid>, Option<u32>, Option<u32>) {
    (&domain.name, domain.uuid, domain.id, domain.uid)
}

/// Returns the report in a document, which is JSON if it begins with a brace.
fn understand(
    bytes: Vec<u8>,
) -> std::result::Result<StatsReport, Box<dyn error::Error + Send + Sync>> {
    let text = String::from_utf8(bytes)?;
    let report = if text.trim_start().starts_with('{') {
        StatsReport::from_json(&text)
    } else {
        StatsReport::from_xml(&text)
    };
    Ok(report?)
}

/// Returns what a request selects of a saved record; `None` if the domain does not match.
fn select(saved: &DomainStats, request: &StatsRequest) -> Option<DomainStats> {
    let state = saved.state.as_ref().and_then(|state| state.state);
    let matches = request.filter.matches_info(&saved.domain)
        && request.filter.matches_state(state.unwrap_or(DomainState::NoState));
    if !matches {
        return None;
    }
    let mut stats = saved.clone();
    for group in GROUPS {
        if !request.groups.contains(group.bit) {
            group.clear(&mut stats);
        }
    }
    // Groups that only newer versions know cannot be requested, and stay.
    stats.missing.retain(|missing| {
        Group::by_name(&missing.group).is_none_or(|group| request.groups.contains(group.bit))
    });
    Some(stats)
}
