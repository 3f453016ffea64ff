//! The guests of a connection, across calls.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Instant,
};

use crate::{
    driver::qemu::{
        discovery::{
            self, Candidate, Discovery,
            command_line::CommandLine,
            socket::MonitorSocket,
            usable::{no_monitor, unusable},
        },
        guest::Guest,
        reasons::belongs_to_libvirt,
    },
    host::{
        process::Process,
        procfs::{Proc, Stat},
    },
    model::{device::Monitor, error::Result, identity::DomainInfo, report::MissingDomain},
    sync::lock,
};

/// Finds guests; keeps them across calls.
#[derive(Debug)]
pub(crate) struct Guests {
    discovery: Discovery,
    known: Mutex<HashMap<Identity, Arc<Guest>>>,
}

/// Identifies a guest across calls.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Identity {
    process: Process,
    /// The sockets of its monitors.
    monitors: Vec<MonitorSocket>,
}

/// A guest, and its process's `stat` of a moment ago.
pub(crate) type Sighting = (Arc<Guest>, Stat);

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) guests: Vec<Sighting>,
    /// Guests whose name could not even be read.
    pub(crate) missing: Vec<MissingDomain>,
}

impl Guests {
    pub(crate) fn new(discovery: Discovery) -> Self {
        Self { discovery, known: Mutex::default() }
    }

    pub(crate) fn proc(&self) -> &Proc {
        &self.discovery.proc
    }

    /// Finds at least these domains, or all. If all of the domains were found before and their very
    /// processes still run, nothing else is examined.
    ///
    /// # Errors
    ///
    /// Those of [`find`](Self::find).
    pub(crate) fn find_these(&self, of: Option<&[DomainInfo]>, deadline: Instant) -> Result<Found> {
        of.and_then(|of| self.find_again(of)).map_or_else(|| self.find(deadline), Ok)
    }

    /// Finds the guests that exist now. Waits until the deadline at most, and only for command
    /// lines that were never read.
    ///
    /// # Errors
    ///
    /// If `/proc` cannot be read.
    pub(crate) fn find(&self, deadline: Instant) -> Result<Found> {
        let discovery::Found { qemus, missing } = self.discovery.find(deadline)?;
        let mut seen = HashSet::new();
        let mut known = self.known();
        let guests = qemus.into_iter().map(|Candidate { process, stat, line, monitors }| {
            (guest_of(Identity { process, monitors }, &line, &mut known, &mut seen), stat)
        });
        let guests = guests.collect();
        known.retain(|identity, _| seen.contains(identity));
        drop(known);
        let found = Found { guests, missing };
        self.note_identities(&found);
        Ok(found)
    }

    /// Records the guests' owners, and which guests are in conflict.
    fn note_identities(&self, found: &Found) {
        for (guest, _) in &found.guests {
            guest.read_owner(&self.discovery.proc, &self.discovery.trusted);
        }
        let infos: Vec<DomainInfo> = found.guests.iter().map(|(guest, _)| guest.info()).collect();
        let missing = found.missing.iter().map(|missing| &missing.domain);
        let conflicts = DomainInfo::conflicts(infos.iter().chain(missing));
        for ((guest, _), conflict) in found.guests.iter().zip(conflicts) {
            guest.note_conflict(conflict);
        }
    }

    fn find_again(&self, of: &[DomainInfo]) -> Option<Found> {
        if self.discovery.has_patterns() {
            return None;
        }
        let pids: HashSet<u32> = of.iter().map(|info| info.id).collect::<Option<_>>()?;
        let known: Vec<_> = {
            let known = self.known();
            let of_these = known.values().filter(|it| pids.contains(&it.pid()));
            of_these.map(|guest| (Arc::clone(guest), guest.info())).collect()
        };
        if !of.iter().all(|wanted| known.iter().any(|(_, info)| info.is_very(wanted))) {
            return None;
        }
        let again = |(guest, _): (Arc<Guest>, DomainInfo)| {
            let stat = self.discovery.again(guest.process)?;
            Some((guest, stat))
        };
        let guests = known.into_iter().map(again).collect::<Option<_>>()?;
        Some(Found { guests, missing: Vec::new() })
    }

    /// Returns a process's guest, if it was found before and still runs.
    pub(crate) fn known_by_id(&self, pid: u32) -> Option<DomainInfo> {
        if self.discovery.has_patterns() {
            return None;
        }
        let guest = self.known().values().find(|guest| guest.pid() == pid).cloned()?;
        self.discovery.again(guest.process)?;
        guest.identity().is_empty().then(|| guest.info())
    }

    /// Returns the monitors of a domain that was found, and the last pass's outcome for each.
    pub(crate) fn monitors(&self, domain: &DomainInfo) -> Option<Vec<Monitor>> {
        let guest = self.known().values().find(|guest| guest.info().is_very(domain)).cloned()?;
        let others = guest.line.monitors.iter().filter_map(|monitor| {
            let why = if monitor.is_libvirts() { belongs_to_libvirt() } else { unusable(monitor)? };
            let address = monitor.to_string().into();
            Some(Monitor { address, is_used: false, unused: Some(why) })
        });
        Some(guest.monitors_used().into_iter().chain(others).collect())
    }

    /// Closes every held session.
    pub(crate) fn disconnect(&self) {
        self.known().values().for_each(|guest| guest.disconnect());
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Identity, Arc<Guest>>> {
        lock(&self.known)
    }
}

/// Returns the guest from an earlier call if it is the same, else a new one.
fn guest_of(
    identity: Identity,
    line: &Arc<CommandLine>,
    known: &mut HashMap<Identity, Arc<Guest>>,
    seen: &mut HashSet<Identity>,
) -> Arc<Guest> {
    let new = || {
        let monitors = Some(identity.monitors.clone()).filter(|all| !all.is_empty());
        let monitors = monitors.ok_or_else(|| no_monitor(line));
        Arc::new(Guest::new(identity.process, Arc::clone(line), monitors))
    };
    let guest = known.entry(identity.clone()).or_insert_with(new);
    // More of its command line may be known now.
    if !Arc::ptr_eq(&guest.line, line) && guest.line != *line {
        *guest = new();
    }
    seen.insert(identity);
    Arc::clone(guest)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        driver::qemu::discovery::trust::Trusted,
        host::process::tests::{Sleeper, in_own_namespace, sleep_named},
    };

    #[test]
    fn known_guests_are_found_again_while_they_are_the_same() {
        if !in_own_namespace(
            "driver::qemu::guest::registry::tests::known_guests_are_found_again_while_they_are_the_same",
        ) {
            return;
        }
        let qemu = sleep_named("qemu-system-again");
        let discovery = Discovery::new(Proc::new("/proc"), None, Trusted::usual(), Vec::new());
        let guests = Guests::new(discovery);
        let find = || {
            let found = guests.find(Instant::now() + domstats_patience::PATIENCE).unwrap();
            found.guests.iter().map(|(guest, _)| guest.info()).collect::<Vec<_>>()
        };
        let again = |of: &[DomainInfo]| {
            let mut found = guests.find_again(of)?.guests;
            found.sort_by_key(|(guest, _)| guest.pid());
            Some(found.iter().map(|(guest, _)| guest.info()).collect::<Vec<_>>())
        };
        let (first, second) = (Sleeper::start(&qemu), Sleeper::start(&qemu));
        let unknown = DomainInfo { id: Some(first.pid()), ..DomainInfo::default() };
        assert_eq!(again(std::slice::from_ref(&unknown)), None, "nothing was found before");
        let mut both = find();
        both.sort_by_key(|info| info.id);
        assert_eq!(both.len(), 2);
        assert_eq!(again(&both), Some(both.clone()));
        let one = [both[1].clone(), both[1].clone()];
        assert_eq!(again(&one), Some(vec![both[1].clone()]), "and no other");
        assert_eq!(again(&[unknown]), None, "another domain with its id");
        assert_eq!(again(&[DomainInfo { id: None, ..both[0].clone() }]), None, "without an id");
        let pid = first.pid();
        // Three times the precision of start times, by which processes are distinguished.
        std::thread::sleep(Duration::from_millis(30));
        drop(first);
        assert_eq!(again(&both), None, "one has ended");
        assert_eq!(guests.known_by_id(pid), None);
        assert_eq!(guests.known_by_id(second.pid()).as_ref(), Some(&both[1]));
        assert_eq!(again(&both[1..]), Some(both[1..].to_vec()));
        let _next = Sleeper::start_as(pid, &qemu);
        assert_eq!(again(&both), None, "its pid was reused");
        assert_eq!(guests.known_by_id(pid), None, "not examined yet");
        assert_eq!(find().len(), 2);
        drop(second);
        assert_eq!(again(&both[1..]), None);
    }
}
