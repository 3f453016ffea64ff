//! The report: what was read and when, what was not and why.

use std::time::{Duration, SystemTime};

use crate::model::{
    catalogue::attribute::{Attribute, AttributeField},
    groups::{GROUPS, StatsGroups},
    identity::DomainInfo,
    stats::{Extra, Group},
};
pub(crate) use crate::model::{
    groups::DomainStats,
    missing::{Missing, MissingDomain, MissingGroup, MissingReason},
};

/// The statistics of many domains, read by one call.
///
/// ```
/// use domstats::{Connect, StatsReport, StatsRequest};
/// let report = Connect::open("test:///default")?.all_domain_stats(&StatsRequest::new())?;
/// assert_eq!(StatsReport::from_xml(&report.to_xml())?, report);
/// assert_eq!(StatsReport::from_json(&report.to_json())?, report);
/// # Ok::<(), domstats::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct StatsReport {
    /// One record per domain: in the order of the requested list, or by name.
    pub domains: Vec<DomainStats>,
    /// The domains that match the request and have no record, and why.
    pub missing: Vec<MissingDomain>,
    /// When the reading began, by the host's clock.
    pub taken_at: SystemTime,
    /// How long the call took.
    pub elapsed: Duration,
    /// How long the phases of the call took, as far as the driver reports them. Not in documents.
    pub phases: Vec<Phase>,
    /// What a newer peer added to the report.
    pub extra: Extra,
}

/// A phase of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Phase {
    /// Its name: one word.
    pub name: &'static str,
    /// How long it took.
    pub elapsed: Duration,
}

impl Phase {
    pub(crate) fn new(name: &'static str, elapsed: Duration) -> Self {
        Self { name, elapsed }
    }
}

impl StatsReport {
    /// The rows of the catalogue that describe a report beside its domains.
    pub const ATTRIBUTES: &'static [Attribute<Self>] = &[
        Attribute::new::<SystemTime>(
            "time",
            &["When the call began."],
            |report: &Self| report.taken_at.get(),
            |report: &mut Self, value| report.taken_at.set(value),
        ),
        Attribute::new::<Duration>(
            "elapsed",
            &["How long the call took."],
            |report: &Self| report.elapsed.get(),
            |report: &mut Self, value| report.elapsed.set(value),
        ),
    ];

    /// Returns a report without domains, taken at this time.
    #[must_use]
    pub fn new(taken_at: SystemTime) -> Self {
        Self {
            domains: Vec::new(),
            missing: Vec::new(),
            taken_at,
            elapsed: Duration::ZERO,
            phases: Vec::new(),
            extra: Extra::default(),
        }
    }

    /// Sets the records: all of them, or for a list of domains those at the given positions, one for
    /// each occurrence.
    pub(crate) fn take_records(
        &mut self,
        records: Vec<Option<DomainStats>>,
        order: Option<Vec<usize>>,
    ) {
        self.domains = match order {
            None => records.into_iter().flatten().collect(),
            Some(order) => order.into_iter().filter_map(|place| records[place].clone()).collect(),
        };
    }

    /// Returns the record of the domain with this name; of several, that of the only one whose user is
    /// trusted. `None` if that is ambiguous.
    #[must_use]
    pub fn domain(&self, name: &str) -> Option<&DomainStats> {
        let named = || self.domains.iter().filter(|stats| stats.domain.name == name);
        let mut trusted = named().filter(|stats| !stats.domain.untrusted);
        match (trusted.next(), trusted.next()) {
            (Some(one), None) => Some(one),
            (Some(_), Some(_)) => None,
            (None, _) => Some(named()).filter(|all| all.clone().count() == 1)?.next(),
        }
    }

    /// Notes the domains that share a name or a UUID.
    pub fn note_conflicts(&mut self) {
        let domains = self.domains.iter_mut().map(|stats| &mut stats.domain);
        let missing = self.missing.iter_mut().map(|missing| &mut missing.domain);
        DomainInfo::note_conflicts(domains.chain(missing));
    }

    /// Returns whether everything requested was read, except what is inactive or not supported at
    /// all.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
            && self
                .domains
                .iter()
                .flat_map(|domain| &domain.missing)
                .all(|group| group.missing.reason.is_expected())
    }
}

impl DomainStats {
    /// The rows of the catalogue that describe a record beside its identity and its groups.
    pub const ATTRIBUTES: &'static [Attribute<Self>] = &[Attribute::new::<Option<SystemTime>>(
        "time",
        &["When its oldest value was requested, if later than the call began."],
        |stats: &Self| stats.taken_at.get(),
        |stats: &mut Self, value| stats.taken_at.set(value),
    )];

    /// Returns a record without statistics.
    #[must_use]
    pub fn new(domain: DomainInfo) -> Self {
        Self { domain, ..Self::default() }
    }

    /// Returns the groups that were read, in whole or in part.
    #[must_use]
    pub fn groups(&self) -> StatsGroups {
        GROUPS.iter().filter(|group| group.of(self).is_some()).map(|group| group.bit).collect()
    }

    /// Returns why a group is missing in whole or in part; `None` if it is complete or was not
    /// requested.
    #[must_use]
    pub fn why_missing(&self, group: StatsGroups) -> Option<&Missing> {
        let name = Group::by_bit(group)?.name;
        self.missing.iter().find(|missing| missing.group == name).map(|missing| &missing.missing)
    }

    /// Notes that groups are missing.
    pub(crate) fn note_missing(&mut self, groups: StatsGroups, missing: &Missing) {
        for group in GROUPS.iter().filter(|group| groups.contains(group.bit)) {
            self.missing.push(MissingGroup { group: group.name.into(), missing: missing.clone() });
        }
    }
}
