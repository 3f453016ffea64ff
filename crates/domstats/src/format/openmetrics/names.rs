//! How domains are called in labels.
//!
//! A series of a domain is the same whatever others call themselves, and a join by `domain` or `uuid` finds
//! one series for each. So what a user says who is not trusted stands behind whose word it is:
//! `1000/vm1`, and `1000:4242/vm1` (the process) where that user has several of one name or UUID; the second
//! of one process is `1000:4242.2/vm1`. No name of libvirt's has a slash. Only domains
//! of trusted users that have one name need more labels.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use uuid::Uuid;

use super::{
    super::attribute,
    LabelSet,
    family::{push_label, push_label_of},
};
use crate::model::{
    identity::DomainInfo,
    report::{DomainStats, StatsReport},
};

/// A domain of a report, and how it is called in labels.
#[derive(Debug)]
#[non_exhaustive]
pub struct Labelled<'a> {
    /// The labels that tell it from others: `domain`, and where trusted users share a name, `uuid`, `id` and `uid`.
    pub labels: LabelSet,
    /// What its label `domain` is.
    pub name: Cow<'a, str>,
    /// What its label `uuid` is, where it has one.
    pub uuid: Option<String>,
    /// Its record.
    pub stats: &'a DomainStats,
}

/// Returns the domains of a report with the labels that tell them apart. A domain that was listed twice comes
/// once.
pub fn labelled(report: &StatsReport) -> impl Iterator<Item = Labelled<'_>> {
    let mut names = Names::new(report);
    report.domains.iter().filter_map(move |stats| {
        let mut labels = LabelSet::new();
        let is_new = names.set_labels(&stats.domain, &mut labels.0);
        let (name, uuid) = (names.name(&stats.domain), names.uuid(&stats.domain));
        is_new.then_some(Labelled { labels, name, uuid, stats })
    })
}

/// Which domain it is, whatever others call themselves.
type Identity = (Option<Uuid>, Option<u32>, Option<u32>);

fn identity(domain: &DomainInfo) -> Identity {
    (domain.uuid, domain.id, domain.uid)
}

/// The names of a report.
pub(super) struct Names<'a> {
    /// The names of trusted users that come more than once, and whether for different domains. Nearly
    /// always none, and then nothing has to be looked up.
    repeated: HashMap<&'a str, bool>,
    /// What untrusted users call several domains of theirs.
    claimed: HashSet<(Option<u32>, Claim<'a>)>,
    /// Which of the domains of its process an untrusted user's is, from 1.
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

    /// Makes the labels of a domain; false if it has its series already.
    pub(super) fn set_labels(&mut self, domain: &'a DomainInfo, labels: &mut String) -> bool {
        labels.clear();
        push_label(labels, "domain", &self.name(domain));
        let is_shared = match domain.untrusted {
            true => Some(false),
            false => self.repeated.get(domain.name.as_str()).copied(),
        };
        let Some(is_shared) = is_shared else { return true };
        if is_shared {
            self.push_identity(labels, domain);
        }
        self.written.insert((&domain.name, identity(domain)))
    }

    /// Adds the labels that say who a domain is, beside its name.
    pub(super) fn push_identity(&self, labels: &mut String, domain: &DomainInfo) {
        if let Some(uuid) = self.uuid(domain) {
            push_label(labels, "uuid", &uuid);
        }
        for row in DomainInfo::ATTRIBUTES.iter().filter(|row| row.is_label) {
            if let Some(value) = row.get(domain) {
                push_label_of(labels, row.name, &attribute::value(value));
            }
        }
    }

    /// Returns what the label `domain` is.
    pub(super) fn name<'b>(&self, domain: &'b DomainInfo) -> Cow<'b, str> {
        match self.whose(domain) {
            None => Cow::Borrowed(&domain.name),
            Some(whose) => Cow::Owned(format!("{whose}/{}", domain.name)),
        }
    }

    /// Returns what the label `uuid` is.
    pub(super) fn uuid(&self, domain: &DomainInfo) -> Option<String> {
        match (self.whose(domain), domain.uuid) {
            (None, uuid) => uuid.map(|uuid| uuid.to_string()),
            (Some(whose), Some(uuid)) => Some(format!("{whose}/{uuid}")),
            // A join by `uuid` takes all that have none for the same.
            (Some(_), None) => Some(self.process(domain)),
        }
    }

    /// Returns whose word the name and the UUID are; `None` for one that is trusted.
    fn whose(&self, domain: &DomainInfo) -> Option<String> {
        let is_claimed = |claim| self.claimed.contains(&(domain.uid, claim));
        domain.untrusted.then(|| match claims(domain).any(is_claimed) {
            true => self.process(domain),
            false => user(domain),
        })
    }

    /// Returns the numbers of a domain's user and process, and of it among several of that.
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
