//! What is known about domains across calls.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard},
};

use uuid::Uuid;

use crate::{
    model::{identity::DomainInfo, report::Missing},
    sync::lock,
};

/// A domain that did not answer. No call waits for it until it answers again.
#[derive(Debug, Clone)]
pub(super) struct Stuck {
    pub(super) missing: Missing,
    /// Abandoned calls about it that the daemon still works on.
    pub(super) abandoned: usize,
}

#[derive(Debug, Default)]
pub(super) struct Health {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    stuck_domains: HashMap<Uuid, Stuck>,
    /// Active domains, by their ids, whose QEMU has no statistics of the group `vm`, as without
    /// KVM: a property of the process. libvirt looks for them anew in every call.
    without_vm: HashMap<Uuid, u32>,
}

impl Health {
    fn known(&self) -> MutexGuard<'_, Known> {
        lock(&self.known)
    }

    pub(super) fn stuck(&self, domain: Uuid) -> Option<Stuck> {
        self.known().stuck_domains.get(&domain).cloned()
    }

    /// Notes that a domain did not answer, and whether a call about it was abandoned.
    pub(super) fn note_stuck(&self, domain: Uuid, missing: Missing, abandoned: bool) {
        let stuck_domains = &mut self.known().stuck_domains;
        let before = stuck_domains.get(&domain).map_or(0, |stuck| stuck.abandoned);
        let abandoned = before + usize::from(abandoned);
        stuck_domains.insert(domain, Stuck { missing, abandoned });
    }

    /// Notes that domains answered, or that nothing is left to answer.
    pub(super) fn note_answered(&self, domains: &[Uuid]) {
        let stuck_domains = &mut self.known().stuck_domains;
        domains.iter().for_each(|domain| drop(stuck_domains.remove(domain)));
    }

    pub(super) fn is_without_vm(&self, domain: &DomainInfo) -> bool {
        let (Some(uuid), Some(id)) = (domain.uuid, domain.id) else { return false };
        self.known().without_vm.get(&uuid) == Some(&id)
    }

    pub(super) fn note_without_vm(&self, domain: &DomainInfo) {
        if let (Some(uuid), Some(id)) = (domain.uuid, domain.id) {
            self.known().without_vm.insert(uuid, id);
        }
    }

    /// Keeps only these domains, which exist.
    pub(super) fn retain(&self, exists: &HashSet<Uuid>) {
        let mut known = self.known();
        known.stuck_domains.retain(|uuid, _| exists.contains(uuid));
        known.without_vm.retain(|uuid, _| exists.contains(uuid));
    }
}
