//! What tells domains of one name apart in labels.

use std::collections::{HashMap, HashSet, hash_map::Entry};

use uuid::Uuid;

use super::family::push_label;
use crate::{domain::DomainInfo, report::StatsReport};

/// What tells domains of one name apart.
type Identity = (Option<Uuid>, Option<u32>);

/// What is said of a domain by its name: its labels, and whether that was said already.
pub(super) struct Names<'a> {
    /// The names that come more than once, and whether for different domains. Nearly always none,
    /// and then nothing has to be looked up.
    repeated: HashMap<&'a str, bool>,
    written: HashSet<(&'a str, Identity)>,
}

impl<'a> Names<'a> {
    pub(super) fn new(report: &'a StatsReport) -> Self {
        let domains = report.domains.iter().map(|stats| &stats.domain);
        let domains = domains.chain(report.missing.iter().map(|missing| &missing.domain));
        let mut first: HashMap<&str, Identity> = HashMap::with_capacity(report.domains.len());
        let mut repeated = HashMap::new();
        for domain in domains {
            let identity = (domain.uuid, domain.id);
            match first.entry(&domain.name) {
                Entry::Vacant(place) => drop(place.insert(identity)),
                Entry::Occupied(first) => {
                    *repeated.entry(*first.key()).or_default() |= *first.get() != identity;
                }
            }
        }
        Self { repeated, written: HashSet::new() }
    }

    /// Makes the labels of a domain; false if it has its series already.
    pub(super) fn set_labels(&mut self, domain: &'a DomainInfo, labels: &mut String) -> bool {
        labels.clear();
        push_label(labels, "domain", &domain.name);
        let Some(is_shared) = self.repeated.get(domain.name.as_str()) else { return true };
        if *is_shared {
            push_identity(labels, domain);
        }
        self.written.insert((&domain.name, (domain.uuid, domain.id)))
    }
}

pub(super) fn push_identity(labels: &mut String, domain: &DomainInfo) {
    if let Some(uuid) = domain.uuid {
        push_label(labels, "uuid", &uuid.to_string());
    }
    if let Some(id) = domain.id {
        push_label(labels, "id", &id.to_string());
    }
}
