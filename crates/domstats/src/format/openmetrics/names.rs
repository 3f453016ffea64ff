//! The names of domains in labels.
//!
//! A domain keeps its series whatever names others choose, and a join by `domain` or `uuid` finds one series
//! for each. So a name or UUID chosen by an untrusted user comes after that user: `1000/vm1`, or with the
//! process, `1000:4242/vm1`, if the user has several domains with that name or UUID; the second domain of one
//! process is `1000:4242.2/vm1`. Names in libvirt have no slash. Only domains of trusted users that share a
//! name need more labels.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use uuid::Uuid;

use super::{
    super::attribute,
    LabelSet,
    labels::{Labels, TextLabels},
};
use crate::model::{
    identity::DomainInfo,
    report::{DomainStats, StatsReport},
};

/// A domain of a report, and its names in labels.
#[derive(Debug)]
#[non_exhaustive]
pub struct Labelled<'a, L = TextLabels> {
    /// The labels that identify it: `domain`, and if trusted users share the name, `uuid`, `id` and `uid`.
    pub labels: LabelSet<L>,
    /// The value of its label `domain`.
    pub name: Cow<'a, str>,
    /// The value of its label `uuid`, if it has one.
    pub uuid: Option<String>,
    /// Its record.
    pub stats: &'a DomainStats,
}

/// Returns the domains of a report with the labels that identify them. A domain that was listed twice comes
/// once.
pub fn labelled<L: Labels>(report: &StatsReport) -> impl Iterator<Item = Labelled<'_, L>> {
    let mut names = Names::new(report);
    report.domains.iter().filter_map(move |stats| {
        let mut labels = LabelSet::new();
        let is_new = names.push_labels(&stats.domain, &mut labels.0);
        let (name, uuid) = (names.name(&stats.domain), names.uuid(&stats.domain));
        is_new.then_some(Labelled { labels, name, uuid, stats })
    })
}

/// Identifies a domain, whatever names others choose.
type Identity = (Option<Uuid>, Option<u32>, Option<u32>);

fn identity(domain: &DomainInfo) -> Identity {
    (domain.uuid, domain.id, domain.uid)
}

/// The names of a report.
pub(super) struct Names<'a> {
    /// The repeated names of trusted users, and whether different domains have them. Usually none, so that
    /// nothing has to be looked up.
    repeated: HashMap<&'a str, bool>,
    /// The names and UUIDs that untrusted users gave to several of their domains.
    claimed: HashSet<(Option<u32>, Claim<'a>)>,
    /// The number of an untrusted user's domain among those of its process, from 1.
    numbers: HashMap<(&'a str, Identity), usize>,
    written: HashSet<(&'a str, Identity)>,
}

#[derive(PartialEq, Eq, Hash)]
enum Claim<'a> {
    Name(&'a str),
    Uuid(Uuid),
}

impl<'a> Names<'a> {
    pub(super) fn new(report: &'a StatsReport) -> Self {
        let domains = report.domains.iter().map(|stats| &stats.domain);
        let missing = report.missing.iter().map(|missing| &missing.domain);
        let (untrusted, mut trusted): (Vec<&DomainInfo>, Vec<&DomainInfo>) =
            domains.chain(missing).partition(|domain| domain.untrusted);
        // They come sorted, or nearly so.
        trusted.sort_by_key(|domain| &domain.name);
        let namesakes = trusted.chunk_by(|one, next| one.name == next.name);
        let repeated = namesakes.filter_map(|domains| match domains {
            [] | [_] => None,
            [first, others @ ..] => {
                let differ = others.iter().any(|other| identity(other) != identity(first));
                Some((first.name.as_str(), differ))
            }
        });
        let mut firsts = HashMap::new();
        let mut claimed = HashSet::new();
        let (mut numbers, mut counts) = (HashMap::new(), HashMap::new());
        for domain in untrusted {
            numbers.entry((domain.name.as_str(), identity(domain))).or_insert_with(|| {
                let count = counts.entry((domain.uid, domain.id)).or_insert(0);
                *count += 1;
                *count
            });
            for claim in claims(domain) {
                let first = firsts
                    .entry((domain.uid, claim))
                    .or_insert((domain.name.as_str(), identity(domain)));
                if *first != (domain.name.as_str(), identity(domain)) {
                    claimed.extend(claims(domain).map(|claim| (domain.uid, claim)));
                }
            }
        }
        Self { repeated: repeated.collect(), claimed, numbers, written: HashSet::new() }
    }

    /// Appends the labels of a domain; false if its series were written already.
    pub(super) fn push_labels<L: Labels>(
        &mut self,
        domain: &'a DomainInfo,
        labels: &mut L,
    ) -> bool {
        labels.push_text("domain", &self.name(domain));
        let is_shared = match domain.untrusted {
            true => Some(false),
            false => self.repeated.get(domain.name.as_str()).copied(),
        };
        if is_shared == Some(true) {
            self.push_identity(labels, domain);
        } else if L::WITH_UUID {
            self.push_uuid(labels, domain);
        }
        is_shared.is_none() || self.written.insert((&domain.name, identity(domain)))
    }

    /// Adds the labels of a domain's identity, apart from its name.
    pub(super) fn push_identity<L: Labels>(&self, labels: &mut L, domain: &DomainInfo) {
        self.push_uuid(labels, domain);
        for row in DomainInfo::ATTRIBUTES.iter().filter(|row| row.is_label) {
            if let Some(value) = row.get(domain) {
                labels.push(row.name, &attribute::value(value));
            }
        }
    }

    fn push_uuid<L: Labels>(&self, labels: &mut L, domain: &DomainInfo) {
        if let Some(uuid) = self.uuid(domain) {
            labels.push_text("uuid", &uuid);
        }
    }

    /// Returns the value of the label `domain`.
    pub(super) fn name<'b>(&self, domain: &'b DomainInfo) -> Cow<'b, str> {
        match self.whose(domain) {
            None => Cow::Borrowed(&domain.name),
            Some(whose) => Cow::Owned(format!("{whose}/{}", domain.name)),
        }
    }

    /// Returns the value of the label `uuid`.
    pub(super) fn uuid(&self, domain: &DomainInfo) -> Option<String> {
        match (self.whose(domain), domain.uuid) {
            (None, uuid) => uuid.map(|uuid| uuid.to_string()),
            (Some(whose), Some(uuid)) => Some(format!("{whose}/{uuid}")),
            // A join by `uuid` would match all domains without one.
            (Some(_), None) => Some(self.process(domain)),
        }
    }

    /// Returns who chose the name and the UUID; `None` for a trusted user.
    fn whose(&self, domain: &DomainInfo) -> Option<String> {
        let is_claimed = |claim| self.claimed.contains(&(domain.uid, claim));
        domain.untrusted.then(|| match claims(domain).any(is_claimed) {
            true => self.process(domain),
            false => user(domain),
        })
    }

    /// Returns the numbers of a domain's user and process, and its own among several of the process.
    fn process(&self, domain: &DomainInfo) -> String {
        let process = domain.id.map_or_else(|| "?".to_owned(), |id| id.to_string());
        match self.numbers.get(&(domain.name.as_str(), identity(domain))) {
            None | Some(1) => format!("{}:{process}", user(domain)),
            Some(number) => format!("{}:{process}.{number}", user(domain)),
        }
    }
}

fn claims(domain: &DomainInfo) -> impl Iterator<Item = Claim<'_>> {
    let uuid = domain.uuid.map(Claim::Uuid);
    [Claim::Name(&domain.name)].into_iter().chain(uuid)
}

/// Returns the number of a domain's user.
fn user(domain: &DomainInfo) -> String {
    domain.uid.map_or_else(|| "?".to_owned(), |uid| uid.to_string())
}
