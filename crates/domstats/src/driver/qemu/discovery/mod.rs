//! Finds QEMUs in `/proc` and through the monitors that the URI names, and reads what they claim.

pub(crate) mod command_line;
pub(crate) mod command_lines;
pub(crate) mod config_file;
pub(crate) mod monitor_option;
pub(crate) mod named;
pub(crate) mod nic_models;
pub(crate) mod options;
pub(crate) mod processes;
pub(crate) mod socket;
pub(crate) mod trust;
pub(crate) mod usable;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Instant,
};

use crate::{
    driver::qemu::discovery::{
        command_line::CommandLine,
        command_lines::{CommandLines, Reading},
        named::{NamedMonitor, NamedMonitors},
        processes::{Processes, runs_qemu},
        socket::MonitorSocket,
        trust::Trusted,
    },
    host::{
        process::{Folder, Process},
        procfs::{Proc, Stat},
    },
    model::{
        error::Result,
        identity::DomainInfo,
        report::{Missing, MissingDomain, MissingReason},
    },
};

/// Finds QEMUs; caches their command lines.
#[derive(Debug)]
pub(super) struct Discovery {
    pub(super) proc: Proc,
    pub(super) trusted: Trusted,
    processes: Processes,
    command_lines: CommandLines,
    named: NamedMonitors,
}

/// A QEMU that was found, or a monitor whose QEMU is not known.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) process: Process,
    /// The process's `stat` of a moment ago.
    pub(super) stat: Stat,
    pub(super) line: Arc<CommandLine>,
    /// The sockets of its monitors, the preferred one first.
    pub(super) monitors: Vec<MonitorSocket>,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) qemus: Vec<Candidate>,
    /// QEMUs whose name could not even be read.
    pub(crate) missing: Vec<MissingDomain>,
}

impl Discovery {
    /// Prepares to find the QEMU processes of one user, or of all, and the monitors that match the
    /// patterns.
    pub(super) fn new(
        proc: Proc,
        user: Option<u32>,
        trusted: Trusted,
        patterns: Vec<String>,
    ) -> Self {
        Self {
            proc,
            trusted,
            processes: Processes::new(user),
            command_lines: CommandLines::default(),
            named: NamedMonitors::new(patterns),
        }
    }

    /// Finds the QEMUs that exist now. Waits until the deadline at most, and only for command lines
    /// that were never read.
    pub(super) fn find(&self, deadline: Instant) -> Result<Found> {
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
        for ((process, stat), line) in processes.into_iter().zip(lines) {
            let mine = named.remove(&process).unwrap_or_default();
            let line = match line {
                Reading::NoQemu(_) if !mine.is_empty() => Reading::Done(Some(Arc::default())),
                line => line,
            };
            match line {
                // libvirtd probes the capabilities of such a QEMU; its monitor is libvirtd's.
                Reading::Done(Some(line)) if line.is_probe => {}
                Reading::NoQemu(_) => {}
                // It may or may not be a QEMU.
                Reading::Going
                    if mine.is_empty() && !runs_qemu(&self.proc, process.pid, &stat.comm) => {}
                Reading::Done(Some(line)) => {
                    let is_qemu = known.contains(&process);
                    let groups = monitors_of(&line, mine, is_qemu);
                    found.qemus.extend(groups.into_iter().map(|monitors| Candidate {
                        process,
                        stat: stat.clone(),
                        line: Arc::clone(&line),
                        monitors,
                    }));
                }
                reading => found.missing.push(self.nameless(process, &reading)),
            }
        }
        Ok(found)
    }

    /// Reads one known process again; `None` if it has ended.
    pub(super) fn again(&self, process: Process) -> Option<Stat> {
        self.processes.again(&self.proc, process)
    }

    /// Returns whether the URI has monitor patterns; what they match can change at any time.
    pub(super) fn has_patterns(&self) -> bool {
        !self.named.are_none()
    }

    /// Returns the entry for a process whose command line was not read.
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
}

/// Returns the monitors of each guest of a process. A QEMU is one guest, and its named monitors
/// come before those of its command line. Any other process, which proxies the monitors of others,
/// stands for one guest per monitor.
fn monitors_of(
    line: &CommandLine,
    named: Vec<NamedMonitor>,
    is_qemu: bool,
) -> Vec<Vec<MonitorSocket>> {
    let own: Vec<_> = line.sockets().collect();
    let named = named.into_iter().map(|monitor| {
        let own = own.iter().find(|own| own.path() == Some(&*monitor.path));
        // Another socket of the process, perhaps a serial port, may wait for a client too.
        let waits = own.map_or(is_qemu, |own| own.waits);
        MonitorSocket::named(monitor.path, waits)
    });
    let mut monitors: Vec<_> = named.collect();
    if !is_qemu {
        return monitors.into_iter().map(|one| vec![one]).collect();
    }
    for own in own {
        if !monitors.iter().any(|named| named.address == own.address) {
            monitors.push(own);
        }
    }
    vec![monitors]
}
