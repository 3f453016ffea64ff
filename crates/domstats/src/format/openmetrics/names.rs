//! What tells domains of one name apart in labels.

use std::collections::{HashMap, HashSet};

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
        let missing = report.missing.iter().map(|missing| &missing.domain);
        let mut all: Vec<&DomainInfo> = domains.chain(missing).collect();
        // They come sorted, or nearly so.
        all.sort_by_key(|domain| &domain.name);
        let namesakes = all.chunk_by(|one, next| one.name == next.name);
        let repeated = namesakes.filter_map(|domains| match domains {
            [] | [_] => None,
            [first, others @ ..] => {
                let differ = others.iter().any(|other| identity(other) != identity(first));
                Some((first.name.as_str(), differ))
            }
        });
        Self { repeated: repeated.collect(), written: HashSet::new() }
    }

    /// Makes the labels of a domain; false if it has its series already.
    pub(super) fn set_labels(&mut self, domain: &'a DomainInfo, labels: &mut String) -> bool {
        labels.clear();
        push_label(labels, "domain", &domain.name);
        let Some(is_shared) = self.repeated.get(domain.name.as_str()) else { return true };
        if *is_shared {
            push_identity(labels, domain);
        }
        self.written.insert((&domain.name, identity(domain)))
    }
}

fn identity(domain: &DomainInfo) -> Identity {
    (domain.uuid, domain.id)
}

pub(super) fn push_identity(labels: &mut String, domain: &DomainInfo) {
    if let Some(uuid) = domain.uuid {
        push_label(labels, "uuid", &uuid.to_string());
    }
    if let Some(id) = domain.id {
        push_label(labels, "id", &id.to_string());
    }
}
