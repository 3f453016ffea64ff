//! The answer: what was read, what was not and why, and when.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use crate::model::{
    error::{Error, ErrorKind, ErrorOrigin},
    identity::DomainInfo,
    name::{Name, printable},
    request::StatsGroups,
    stats::{
        Balloon, Blocks, Cpu, Cryptodevs, DirtyRate, Extra, GROUPS, Group, Interfaces, Iothreads,
        Memory, Perf, State, Vcpus, Vm,
    },
};

/// The statistics of many domains, taken by one call.
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
    /// One record per domain: in the order of the list that was asked for, or by name.
    pub domains: Vec<DomainStats>,
    /// The domains that belong to the answer and have no record, and why.
    pub missing: Vec<MissingDomain>,
    /// When the reading began, by the host's clock.
    pub taken_at: SystemTime,
    /// How long the call took.
    pub elapsed: Duration,
    /// How long the parts of the call took, as far as the driver tells. In no document.
    pub phases: Vec<Phase>,
    /// What a newer peer said of the whole report.
    pub extra: Extra,
}

/// A part of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Phase {
    /// One word for what was done.
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
    /// Returns a report without domains that was taken at this time.
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

    /// Takes the records of a call: all of them, or for a list of domains those in these places, a
    /// place for each occurrence.
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

    /// Returns the record of the domain of this name: of several, that of the only one whose user is
    /// trusted. `None` if which is meant cannot be told.
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

    /// Notes which of its domains have a name or a UUID in common with others of them.
    pub fn note_conflicts(&mut self) {
        let domains = self.domains.iter_mut().map(|stats| &mut stats.domain);
        let missing = self.missing.iter_mut().map(|missing| &mut missing.domain);
        DomainInfo::note_conflicts(domains.chain(missing));
    }

    /// Returns whether everything that was asked for was read, apart from what is inactive or
    /// not supported at all.
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

/// The statistics of one domain. A group that was not asked for, or not read, is `None`.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
#[doc(alias = "virDomainStatsRecord")]
pub struct DomainStats {
    /// Who it is.
    pub domain: DomainInfo,
    /// When the oldest of its values was asked for, by the host's clock; `None` if that was when
    /// the reading of the report began.
    pub taken_at: Option<SystemTime>,
    /// Group `state`.
    pub state: Option<State>,
    /// Group `cpu-total`.
    pub cpu: Option<Cpu>,
    /// Group `balloon`.
    pub balloon: Option<Balloon>,
    /// Group `vcpu`.
    pub vcpu: Option<Vcpus>,
    /// Group `interface`.
    pub interface: Option<Interfaces>,
    /// Group `block`.
    pub block: Option<Blocks>,
    /// Group `perf`.
    pub perf: Option<Perf>,
    /// Group `iothread`.
    pub iothread: Option<Iothreads>,
    /// Group `memory`.
    pub memory: Option<Memory>,
    /// Group `dirtyrate`.
    pub dirtyrate: Option<DirtyRate>,
    /// Group `vm`.
    pub vm: Option<Vm>,
    /// Group `cryptodev`.
    pub cryptodev: Option<Cryptodevs>,
    /// The groups that were asked for and are missing in whole or in part, by bit. A group can
    /// stand here and above: what needs no monitor was read, the rest is missing.
    pub missing: Vec<MissingGroup>,
    /// What a newer peer said of the domain.
    pub extra: Extra,
}

impl DomainStats {
    /// Returns a record without statistics.
    #[must_use]
    pub fn new(domain: DomainInfo) -> Self {
        Self { domain, ..Self::default() }
    }

    /// Returns the groups of which anything was read.
    #[must_use]
    pub fn groups(&self) -> StatsGroups {
        GROUPS.iter().filter(|group| group.of(self).is_some()).map(|group| group.bit).collect()
    }

    /// Returns why a group is missing in whole or in part; `None` if it is complete or was not
    /// asked for.
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

/// A group of a domain that is missing in whole or in part.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MissingGroup {
    /// The group's name, such as `cpu-total`; a newer peer may name one that is unknown here.
    pub group: Name,
    /// Why it is missing.
    pub missing: Missing,
}

impl MissingGroup {
    pub(crate) fn new(group: impl Into<Name>, missing: Missing) -> Self {
        Self { group: group.into(), missing }
    }
}

/// A domain without a record.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MissingDomain {
    /// Who it is.
    pub domain: DomainInfo,
    /// Why it is missing.
    pub missing: Missing,
}

impl MissingDomain {
    pub(crate) fn new(domain: DomainInfo, missing: Missing) -> Self {
        Self { domain, missing }
    }
}

/// Why something is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Missing {
    /// The reason that a program decides on.
    pub reason: MissingReason,
    /// The sentence for people, without characters that deceive; may be empty.
    pub text: String,
    /// What a newer peer said beside it.
    pub extra: Extra,
}

impl Missing {
    pub(crate) fn new(reason: MissingReason, text: impl Into<String>) -> Self {
        Self { reason, text: printable(&text.into()), extra: Extra::default() }
    }

    /// Returns the error of a call for nothing but what is missing.
    pub(crate) fn error(&self, origin: ErrorOrigin) -> Error {
        let kind = match self.reason {
            MissingReason::Timeout | MissingReason::Busy => ErrorKind::Timeout,
            MissingReason::Unsupported => ErrorKind::NoSupport,
            MissingReason::Denied => ErrorKind::AccessDenied,
            MissingReason::Gone => ErrorKind::NoDomain,
            MissingReason::Ambiguous => ErrorKind::Ambiguous,
            _ => ErrorKind::Internal,
        };
        Error::new(kind, origin, self.to_string())
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text.as_str() {
            "" => self.reason.fmt(f),
            text => write!(f, "{}: {text}", self.reason),
        }
    }
}

/// The reasons for which something can be missing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MissingReason {
    /// The driver, this domain's hypervisor or its version cannot give it.
    Unsupported,
    /// It did not answer in time.
    Timeout,
    /// Another client owns the monitor.
    Busy,
    /// The caller lacks the right.
    Denied,
    /// The domain went away.
    Gone,
    /// The domain is not active.
    Inactive,
    /// It answered with an error, or with nonsense.
    Failed,
    /// Several domains could be meant.
    Ambiguous,
    /// A reason of a newer peer.
    Other(Name),
}

impl MissingReason {
    /// Returns the word that documents use.
    #[must_use]
    pub fn word(&self) -> &str {
        match self {
            Self::Unsupported => "unsupported",
            Self::Timeout => "timeout",
            Self::Busy => "busy",
            Self::Denied => "denied",
            Self::Gone => "gone",
            Self::Inactive => "inactive",
            Self::Failed => "failed",
            Self::Ambiguous => "ambiguous",
            Self::Other(word) => word,
        }
    }

    /// The words that this version writes, for the schemas.
    pub(crate) const WORDS: [&'static str; 8] =
        ["unsupported", "timeout", "busy", "denied", "gone", "inactive", "failed", "ambiguous"];

    /// Returns whether there is nothing to read, so that a report without it is complete.
    #[must_use]
    pub fn is_expected(&self) -> bool {
        matches!(self, Self::Unsupported | Self::Inactive)
    }

    /// Returns the reason that documents call by this word.
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        match word {
            "unsupported" => Self::Unsupported,
            "timeout" => Self::Timeout,
            "busy" => Self::Busy,
            "denied" => Self::Denied,
            "gone" => Self::Gone,
            "inactive" => Self::Inactive,
            "failed" => Self::Failed,
            "ambiguous" => Self::Ambiguous,
            other => Self::Other(other.into()),
        }
    }
}

impl fmt::Display for MissingReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
