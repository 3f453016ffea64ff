//! Finds the guests: QEMU processes in `/proc`, and monitors that the URI names.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use crate::driver::qemu::{
    discovery::{
        command_line::CommandLine,
        command_lines::{CommandLines, Reading},
        monitor_option::{Address, MonitorOption, Role},
        named::{NamedMonitor, NamedMonitors, belongs_to_libvirt},
        processes::{Processes, runs_qemu},
        trust::Trusted,
    },
    guest::Guest,
    monitor::sockets::MonitorSocket,
};
use crate::{
    host::{
        process::{Folder, Process},
        procfs::{Proc, Stat},
    },
    model::{
        device::Monitor,
        error::Result,
        identity::DomainInfo,
        report::{Missing, MissingDomain, MissingReason},
    },
};

/// Looks for guests, and remembers those it found.
#[derive(Debug)]
pub(crate) struct Discovery {
    pub(crate) proc: Proc,
    processes: Processes,
    command_lines: CommandLines,
    named: NamedMonitors,
    trusted: Trusted,
    guests: Mutex<HashMap<Identity, Arc<Guest>>>,
}

/// What makes a guest the same in the next call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Identity {
    process: Process,
    /// The sockets of its monitors.
    monitors: Vec<MonitorSocket>,
}

/// A guest, and what its process looked like a moment ago.
pub(crate) type Sighting = (Arc<Guest>, Stat);

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) guests: Vec<Sighting>,
    /// Guests of which not even the name could be read.
    pub(crate) missing: Vec<MissingDomain>,
}

/// Returns why a domain that was asked for is not there.
pub(crate) fn gone(proc: &Proc) -> Missing {
    if proc.hides_others() {
        let text = "no such QEMU process is seen: /proc hides those of other users (hidepid)";
        return Missing::new(MissingReason::Denied, text);
    }
    Missing::new(MissingReason::Gone, "no such QEMU process is running")
}

impl Discovery {
    /// Prepares to look for the QEMU processes of a user, or of all, and for the monitors that
    /// match the patterns. Whose user is trusted is who it says.
    pub(crate) fn new(
        proc: Proc,
        user: Option<u32>,
        trusted: Trusted,
        patterns: Vec<String>,
    ) -> Self {
        Self {
            proc,
            processes: Processes::new(user),
            command_lines: CommandLines::default(),
            named: NamedMonitors::new(patterns),
            trusted,
            guests: Mutex::default(),
        }
    }

    /// Finds the guests that exist now. Waits until the deadline at most, and only for command
    /// lines that were never read.
    pub(crate) fn find(&self, deadline: Instant) -> Result<Found> {
        let mut found = Found::default();
        let mut processes = self.processes.list(&self.proc)?;
        let mut named: HashMap<Process, Vec<NamedMonitor>> = HashMap::new();
        let proc = &self.proc.for_call(deadline);
        for monitor in self.named.list(proc, &processes, deadline, &mut found.missing) {
            named.entry(monitor.process).or_default().push(monitor);
        }
        // A named monitor may belong to a process that does not look like a QEMU.
        let known: HashSet<Process> = processes.iter().map(|(process, _)| *process).collect();
        for process in named.keys().filter(|process| !known.contains(process)) {
            if let Ok(stat) = self.proc.stat(process.pid) {
                processes.push((*process, stat));
            }
        }
        let ids: Vec<_> =
            processes.iter().map(|(process, stat)| (*process, stat.comm.as_str())).collect();
        let lines = self.command_lines.get(&self.proc, &ids, deadline);
        let mut seen = HashSet::new();
        for ((process, stat), line) in processes.into_iter().zip(lines) {
            let mine = named.remove(&process).unwrap_or_default();
            let line = match line {
                Reading::NoQemu(_) if !mine.is_empty() => Reading::Done(Some(Arc::default())),
                line => line,
            };
            match line {
                // libvirtd asks such a QEMU what it can do; its monitor is libvirtd's.
                Reading::Done(Some(line)) if line.is_probe => {}
                Reading::NoQemu(_) => {}
                // It may be a QEMU, or not.
                Reading::Going
                    if mine.is_empty() && !runs_qemu(&self.proc, process.pid, &stat.comm) => {}
                Reading::Done(Some(line)) => {
                    let is_qemu = known.contains(&process);
                    let guests = self.guests_of(process, &line, mine, is_qemu, &mut seen);
                    found.guests.extend(guests.into_iter().map(|guest| (guest, stat.clone())));
                }
                reading => found.missing.push(self.nameless(process, &reading)),
            }
        }
        self.guests().retain(|identity, _| seen.contains(identity));
        self.note_identities(&mut found);
        Ok(found)
    }

    /// Notes whose the guests are, and which of them are in conflict.
    fn note_identities(&self, found: &mut Found) {
        for (guest, _) in &found.guests {
            guest.read_owner(&self.proc, &self.trusted);
        }
        let infos: Vec<DomainInfo> = found.guests.iter().map(|(guest, _)| guest.info()).collect();
        let missing = found.missing.iter().map(|missing| &missing.domain);
        let conflicts = DomainInfo::conflicts(infos.iter().chain(missing));
        for ((guest, _), conflict) in found.guests.iter().zip(conflicts) {
            guest.note_conflict(conflict);
        }
    }

    /// Finds these domains only, if they were all found before and are still there, the very
    /// processes: nobody else's is looked at.
    pub(crate) fn find_again(&self, of: &[DomainInfo]) -> Option<Found> {
        // Which monitors a pattern means can change at any time.
        if !self.named.are_none() {
            return None;
        }
        let pids: HashSet<u32> = of.iter().map(|info| info.id).collect::<Option<_>>()?;
        let known: Vec<_> = {
            let guests = self.guests();
            let of_these = guests.values().filter(|it| pids.contains(&it.pid()));
            of_these.map(|guest| (Arc::clone(guest), guest.info())).collect()
        };
        if !of.iter().all(|wanted| known.iter().any(|(_, info)| info.is_very(wanted))) {
            return None;
        }
        let again = |(guest, _): (Arc<Guest>, DomainInfo)| {
            let stat = self.processes.again(&self.proc, guest.process)?;
            Some((guest, stat))
        };
        let guests = known.into_iter().map(again).collect::<Option<_>>()?;
        Some(Found { guests, missing: Vec::new() })
    }

    /// Returns the guest of a process, if it was found before and is still there.
    pub(crate) fn known(&self, pid: u32) -> Option<DomainInfo> {
        if !self.named.are_none() {
            return None;
        }
        let guest = self.guests().values().find(|guest| guest.pid() == pid).cloned()?;
        self.processes.again(&self.proc, guest.process)?;
        guest.identity().is_empty().then(|| guest.info())
    }

    /// Returns the monitors of a domain that was found, and what the last pass made of them.
    pub(crate) fn monitors(&self, domain: &DomainInfo) -> Option<Vec<Monitor>> {
        let guest = self.guests().values().find(|guest| guest.info().is_very(domain)).cloned()?;
        let others = guest.line.monitors.iter().filter_map(|monitor| {
            let why = if monitor.is_libvirts() { belongs_to_libvirt() } else { unusable(monitor)? };
            let address = monitor.to_string().into();
            Some(Monitor { address, is_used: false, unused: Some(why) })
        });
        Some(guest.monitors_used().into_iter().chain(others).collect())
    }

    /// Returns what to say of a process whose command line was not read.
    fn nameless(&self, process: Process, reading: &Reading) -> MissingDomain {
        let pid = process.pid;
        let missing = match reading {
            Reading::Going => Missing::new(
                MissingReason::Timeout,
                format!(
                    "the command line of process {pid} cannot be read: it is starting, or stuck in \
                     the kernel"
                ),
            ),
            _ => Missing::new(
                MissingReason::Denied,
                format!("no right to read the command line of process {pid}: run as root"),
            ),
        };
        let uid = Folder::new(&self.proc, process).owner();
        let info = DomainInfo {
            name: format!("qemu-{pid}").into(),
            id: Some(pid),
            uid,
            untrusted: !self.trusted.has(uid),
            ..DomainInfo::default()
        };
        MissingDomain::new(info, missing)
    }

    /// Lets go of every held monitor.
    pub(crate) fn disconnect(&self) {
        self.guests().values().for_each(|guest| guest.disconnect());
    }

    fn guests(&self) -> MutexGuard<'_, HashMap<Identity, Arc<Guest>>> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the guests of a process: a QEMU is one, whose named monitors come before those of its
    /// command line. Another process, which serves monitors of others, stands for one with each.
    fn guests_of(
        &self,
        process: Process,
        line: &Arc<CommandLine>,
        named: Vec<NamedMonitor>,
        is_qemu: bool,
        seen: &mut HashSet<Identity>,
    ) -> Vec<Arc<Guest>> {
        let own: Vec<_> = line.sockets().collect();
        let named = named.into_iter().map(|monitor| {
            let own = own.iter().find(|own| own.path() == Some(&*monitor.path));
            // What else a socket is, a serial port perhaps, may wait too.
            let waits = own.map_or(is_qemu, |own| own.waits);
            MonitorSocket::named(monitor.path, waits)
        });
        let named: Vec<_> = named.collect();
        if !is_qemu {
            return named
                .into_iter()
                .map(|one| self.guest(process, line, vec![one], seen))
                .collect();
        }
        let mut monitors = named;
        for own in own {
            if !monitors.iter().any(|named| named.address == own.address) {
                monitors.push(own);
            }
        }
        vec![self.guest(process, line, monitors, seen)]
    }

    /// Returns the guest of an earlier call if it is the same, else a new one.
    fn guest(
        &self,
        process: Process,
        line: &Arc<CommandLine>,
        monitors: Vec<MonitorSocket>,
        seen: &mut HashSet<Identity>,
    ) -> Arc<Guest> {
        let identity = Identity { process, monitors };
        let new = || {
            let monitors = Some(identity.monitors.clone()).filter(|all| !all.is_empty());
            let monitors = monitors.ok_or_else(|| no_monitor(line));
            Arc::new(Guest::new(process, Arc::clone(line), monitors))
        };
        let mut guests = self.guests();
        let guest = guests.entry(identity.clone()).or_insert_with(new);
        // More of a command line may be known now.
        if !Arc::ptr_eq(&guest.line, line) && guest.line != *line {
            *guest = new();
        }
        seen.insert(identity);
        Arc::clone(guest)
    }
}

/// Returns why a QEMU has no monitor that can be used, and what would help.
fn no_monitor(line: &CommandLine) -> Missing {
    if line.monitors.iter().any(MonitorOption::is_libvirts) {
        return belongs_to_libvirt();
    }
    if let Some(unread) = &line.unread {
        let text = format!("QEMU's monitors may stand where they cannot be read: {unread}");
        return Missing::new(MissingReason::Denied, text);
    }
    let named = |monitor| {
        let missing = unusable(monitor)?;
        Some(format!("{monitor} {}", missing.text))
    };
    let all: Vec<_> = line.monitors.iter().filter_map(named).collect();
    let text = match all.is_empty() {
        true => "QEMU was started without a QMP socket".to_owned(),
        false => format!("QEMU has no monitor that can be shared: {}", all.join(", ")),
    };
    let help = "add -qmp unix:PATH,server=on,wait=off";
    Missing::new(MissingReason::Unsupported, format!("{text}: {help}"))
}

/// Returns what is wrong with a monitor that is no listening Unix socket.
fn unusable(monitor: &MonitorOption) -> Option<Missing> {
    let what = match (&monitor.address, monitor.role) {
        (_, Role::Client) => "connects to its manager",
        (Address::Tcp { .. }, _) => "is open to every user of the host, so it is not asked",
        (Address::Other(_), _) => "is no socket",
        _ => return None,
    };
    Some(Missing::new(MissingReason::Unsupported, what))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::host::process::tests::{Sleeper, in_own_namespace, sleep_named};

    #[test]
    fn known_guests_are_found_again_as_long_as_they_are_the_same() {
        if !in_own_namespace(
            "driver::qemu::discover::tests::known_guests_are_found_again_as_long_as_they_are_the_same",
        ) {
            return;
        }
        let qemu = sleep_named("qemu-system-again");
        let discovery = Discovery::new(Proc::new("/proc"), None, Trusted::usual(), Vec::new());
        let find = || {
            let found = discovery.find(Instant::now() + domstats_patience::PATIENCE).unwrap();
            found.guests.iter().map(|(guest, _)| guest.info()).collect::<Vec<_>>()
        };
        let again = |of: &[DomainInfo]| {
            let mut found = discovery.find_again(of)?.guests;
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
        assert_eq!(again(&[unknown]), None, "another domain with its number");
        assert_eq!(again(&[DomainInfo { id: None, ..both[0].clone() }]), None, "whichever it is");
        let pid = first.pid();
        // Three ticks, by which processes are told apart.
        std::thread::sleep(Duration::from_millis(30));
        drop(first);
        assert_eq!(again(&both), None, "one has ended");
        assert_eq!(discovery.known(pid), None);
        assert_eq!(discovery.known(second.pid()).as_ref(), Some(&both[1]));
        assert_eq!(again(&both[1..]), Some(both[1..].to_vec()));
        let _next = Sleeper::start_as(pid, &qemu);
        assert_eq!(again(&both), None, "another process has its number");
        assert_eq!(discovery.known(pid), None, "not looked at yet");
        assert_eq!(find().len(), 2);
        drop(second);
        assert_eq!(again(&both[1..]), None);
    }
}
