//! Finds the guests: QEMU processes in `/proc`, and monitors that the URI names.

use std::{
    collections::{HashMap, HashSet},
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use super::{
    command_line::{CommandLine, MonitorOption, is_libvirt_monitor},
    command_lines::CommandLines,
    guest::{Guest, MonitorSocket, Process},
    monitor::Monitor,
};
use crate::{
    domain::DomainInfo,
    error::{Error, ErrorKind, ErrorOrigin, Result},
    host::procfs::{Proc, Stat},
    report::{Missing, MissingDomain, MissingReason},
};

/// Looks for guests, and remembers those it found.
#[derive(Debug)]
pub(crate) struct Discovery {
    pub(crate) proc: Proc,
    /// Only the processes of this user.
    user: Option<u32>,
    /// The patterns of the monitors that the URI names.
    patterns: Vec<String>,
    command_lines: CommandLines,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Whether a process with this name is a QEMU. The name is part of it: a process can run
    /// another program without becoming another process.
    programs: HashMap<Process, (String, bool)>,
    guests: HashMap<Identity, Arc<Guest>>,
    /// Who listens on a named monitor, by the socket's device and inode.
    listeners: HashMap<(u64, u64), Option<Process>>,
}

/// What makes a guest the same in the next call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Identity {
    process: Option<Process>,
    monitor: Option<PathBuf>,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The guests, and what their process looked like a moment ago.
    pub(crate) guests: Vec<(Arc<Guest>, Option<Stat>)>,
    /// Guests of which not even the name could be read.
    pub(crate) missing: Vec<MissingDomain>,
}

/// A monitor that the URI names.
#[derive(Debug)]
struct NamedMonitor {
    path: PathBuf,
    process: Option<Process>,
    connection: Option<Monitor>,
}

impl Discovery {
    pub(crate) fn new(proc: Proc, user: Option<u32>, patterns: Vec<String>) -> Self {
        Self {
            proc,
            user,
            patterns,
            command_lines: CommandLines::default(),
            known: Mutex::default(),
        }
    }

    /// Finds the guests that exist now. Waits until the deadline at most, and only for command
    /// lines that were never read.
    pub(crate) fn find(&self, deadline: Instant) -> Result<Found> {
        let mut found = Found::default();
        let mut processes = self.qemu_processes()?;
        let mut named = self.named_monitors(&mut found.missing);
        // A named monitor may belong to a process that does not look like a QEMU.
        for monitor in &named {
            if let Some(process) = monitor.process
                && !processes.iter().any(|(known, _)| *known == process)
                && let Ok(stat) = self.proc.stat(process.pid)
            {
                processes.push((process, stat));
            }
        }
        let ids: Vec<Process> = processes.iter().map(|(process, _)| *process).collect();
        let lines = self.command_lines.get(&self.proc, &ids, deadline);
        let mut seen = HashSet::new();
        for ((process, stat), line) in processes.into_iter().zip(lines) {
            let of_process = |monitor: &NamedMonitor| monitor.process == Some(process);
            let mine: Vec<_> = named
                .extract_if(.., |monitor| of_process(monitor))
                .collect();
            let line = match line {
                Some(line) if mine.is_empty() && !is_qemu(&line.program) => continue,
                Some(line) => line.parsed.ok_or_else(|| denied_line(process)),
                None => Err(Missing::new(
                    MissingReason::Timeout,
                    format!(
                        "the command line of process {} cannot be read: it is stuck in the kernel",
                        process.pid
                    ),
                )),
            };
            let line = match line {
                Ok(line) if line.is_probe => continue,
                Ok(line) => line,
                Err(missing) => {
                    let info = DomainInfo {
                        name: format!("qemu-{}", process.pid),
                        id: Some(process.pid),
                        ..DomainInfo::default()
                    };
                    found.missing.push(MissingDomain::new(info, missing));
                    continue;
                }
            };
            // One process can own several named monitors: a test kit, or a VM with two of them.
            let own = line.monitor().map(|path| self.socket(process, path));
            let is_vm = own.is_some() || mine.is_empty();
            if is_vm {
                let is_own = |monitor: &NamedMonitor| {
                    own.as_ref().is_some_and(|own| own.path == monitor.path)
                };
                let connection = mine
                    .into_iter()
                    .find(is_own)
                    .and_then(|named| named.connection);
                let monitor = own.ok_or_else(|| no_monitor(&line));
                let guest = self.guest(Some(process), &line, monitor, connection, &mut seen);
                found.guests.push((guest, Some(stat)));
            } else {
                for monitor in mine {
                    let socket = MonitorSocket {
                        bound: monitor.path.clone(),
                        path: monitor.path,
                    };
                    let guest = self.guest(
                        Some(process),
                        &line,
                        Ok(socket),
                        monitor.connection,
                        &mut seen,
                    );
                    found.guests.push((guest, Some(stat.clone())));
                }
            }
        }
        for monitor in named {
            let socket = MonitorSocket {
                bound: monitor.path.clone(),
                path: monitor.path,
            };
            let line = CommandLine::default();
            let guest = self.guest(None, &line, Ok(socket), monitor.connection, &mut seen);
            found.guests.push((guest, None));
        }
        self.known()
            .guests
            .retain(|identity, _| seen.contains(identity));
        Ok(found)
    }

    /// Lets go of every held monitor.
    pub(crate) fn disconnect(&self) {
        self.known()
            .guests
            .values()
            .for_each(|guest| guest.disconnect());
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn guest(
        &self,
        process: Option<Process>,
        line: &CommandLine,
        monitor: std::result::Result<MonitorSocket, Missing>,
        connection: Option<Monitor>,
        seen: &mut HashSet<Identity>,
    ) -> Arc<Guest> {
        let path = monitor.as_ref().ok().map(|socket| socket.path.clone());
        let identity = Identity {
            process,
            monitor: path,
        };
        seen.insert(identity.clone());
        let mut known = self.known();
        let guest = known
            .guests
            .entry(identity)
            .or_insert_with(|| Arc::new(Guest::new(process, line.clone(), monitor, connection)));
        Arc::clone(guest)
    }

    fn qemu_processes(&self) -> Result<Vec<(Process, Stat)>> {
        let pids = self.proc.pids().map_err(|error| {
            Error::new(
                ErrorKind::System,
                ErrorOrigin::Qemu,
                "the processes of this host cannot be listed: is /proc mounted?",
            )
            .because(error)
        })?;
        let mut known = self.known();
        let mut programs = HashMap::new();
        let mut processes = Vec::new();
        for pid in pids {
            // A process that ended meanwhile is no error. Dead ones and threads of the kernel
            // have no memory.
            let Ok(stat) = self.proc.stat(pid) else {
                continue;
            };
            if stat.virtual_size == 0 {
                continue;
            }
            let process = Process {
                pid,
                start_time: stat.start_time,
            };
            let (comm, is_qemu) = match known.programs.remove(&process) {
                Some((comm, is_qemu)) if comm == stat.comm => (comm, is_qemu),
                _ => (stat.comm.clone(), self.may_be_qemu(pid, &stat.comm)),
            };
            programs.insert(process, (comm, is_qemu));
            if is_qemu
                && self
                    .user
                    .is_none_or(|user| self.proc.user(pid).is_ok_and(|of| of == user))
            {
                processes.push((process, stat));
            }
        }
        known.programs = programs;
        Ok(processes)
    }

    /// Decides by the program where the caller may know it; else by the name of the process, which
    /// the command line will confirm.
    fn may_be_qemu(&self, pid: u32, comm: &str) -> bool {
        match self.proc.program(pid) {
            Ok(program) => is_qemu(&program),
            // Names are cut after 15 bytes.
            Err(_) => is_qemu(comm) || comm == "qemu-system-x86",
        }
    }

    /// Returns the sockets that match the patterns of the URI and have a listener.
    fn named_monitors(&self, missing: &mut Vec<MissingDomain>) -> Vec<NamedMonitor> {
        let mut monitors = Vec::new();
        // Patterns were checked when the connection was opened; what cannot be listed matches
        // nothing.
        let paths = self
            .patterns
            .iter()
            .filter_map(|pattern| glob::glob(pattern).ok())
            .flatten();
        for path in paths.flatten() {
            let Ok(metadata) = path.metadata() else {
                continue;
            };
            if !metadata.file_type().is_socket() {
                continue;
            }
            let mut refuse = |reason: Missing| {
                let name = path
                    .file_stem()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                let info = DomainInfo {
                    name,
                    ..DomainInfo::default()
                };
                missing.push(MissingDomain::new(info, reason));
            };
            if is_libvirt_monitor(&path) {
                refuse(of_libvirt());
                continue;
            }
            let inode = (metadata.dev(), metadata.ino());
            let known = self.known().listeners.get(&inode).copied();
            let is_alive = |process: Option<Process>| {
                process.is_none_or(|process| {
                    self.proc
                        .stat(process.pid)
                        .is_ok_and(|stat| stat.start_time == process.start_time)
                })
            };
            if let Some(process) = known.filter(|process| is_alive(*process)) {
                monitors.push(NamedMonitor {
                    path,
                    process,
                    connection: None,
                });
                continue;
            }
            match Monitor::connect(&path) {
                Ok(connection) => {
                    let process = connection.peer().and_then(|pid| {
                        let stat = self.proc.stat(pid).ok()?;
                        Some(Process {
                            pid,
                            start_time: stat.start_time,
                        })
                    });
                    self.known().listeners.insert(inode, process);
                    monitors.push(NamedMonitor {
                        path,
                        process,
                        connection: Some(connection),
                    });
                }
                // A socket without a listener is what a VM leaves behind when it is killed.
                Err(reason) if reason.reason == MissingReason::Failed => {}
                Err(reason) => refuse(reason),
            }
        }
        monitors
    }

    /// Returns where to connect to a monitor of a command line: its path is relative to the
    /// process's folder.
    fn socket(&self, process: Process, path: &Path) -> MonitorSocket {
        let folder = match path.is_relative() {
            true => std::fs::read_link(self.proc.of(process.pid, "cwd")).unwrap_or_default(),
            false => PathBuf::new(),
        };
        MonitorSocket {
            path: folder.join(path),
            bound: path.to_owned(),
        }
    }
}

/// Returns whether a program is a QEMU system emulator, under the names that distributions use.
fn is_qemu(program: &str) -> bool {
    program.starts_with("qemu-system-") || matches!(program, "qemu-kvm" | "kvm")
}

fn denied_line(process: Process) -> Missing {
    Missing::new(
        MissingReason::Denied,
        format!(
            "no right to read the command line of process {}: run as root",
            process.pid
        ),
    )
}

fn of_libvirt() -> Missing {
    Missing::new(
        MissingReason::Busy,
        "the monitor belongs to libvirtd: give the VM a second one, or ask libvirtd",
    )
}

fn no_monitor(line: &CommandLine) -> Missing {
    if line.monitors.contains(&MonitorOption::Libvirt) {
        return of_libvirt();
    }
    Missing::new(
        MissingReason::Unsupported,
        "QEMU was started without a QMP socket: add -qmp unix:PATH,server=on,wait=off",
    )
}
