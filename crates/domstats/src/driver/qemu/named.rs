//! The monitors that the URI names (`?monitor=GLOB`).

use std::{
    collections::HashMap,
    fs::{self, Metadata},
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use super::{guest::MonitorSocket, monitor::Monitor, monitor_option::is_libvirt_monitor};
use crate::{
    domain::DomainInfo,
    host::{
        process::Process,
        procfs::{Proc, Stat},
        queues::{Listeners, Queues},
    },
    report::{Missing, MissingDomain, MissingReason},
};

/// Finds the named monitors, and remembers who listens on them.
#[derive(Debug)]
pub(crate) struct NamedMonitors {
    patterns: Vec<String>,
    /// Who listens, by the socket's device and inode; nobody whom `/proc` shows, perhaps.
    listeners: Mutex<HashMap<(u64, u64), Option<Process>>>,
}

/// A monitor that the URI names.
#[derive(Debug)]
pub(crate) struct NamedMonitor {
    pub(crate) path: PathBuf,
    pub(crate) process: Option<Process>,
}

impl NamedMonitor {
    pub(crate) fn socket(self) -> MonitorSocket {
        MonitorSocket { bound: self.path.clone(), path: self.path }
    }
}

impl NamedMonitors {
    pub(crate) fn new(patterns: Vec<String>) -> Self {
        Self { patterns, listeners: Mutex::default() }
    }

    /// Returns whether the URI names none.
    pub(crate) fn are_none(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Returns the sockets that match and have a listener; those that must not or cannot be used
    /// go to `missing`.
    pub(crate) fn list(
        &self,
        proc: &Proc,
        processes: &[(Process, Stat)],
        missing: &mut Vec<MissingDomain>,
    ) -> Vec<NamedMonitor> {
        let mut look: Option<Look<'_>> = None;
        let mut known = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        let mut seen = HashMap::new();
        let mut monitors = Vec::new();
        for (path, metadata) in self.sockets() {
            let inode = (metadata.dev(), metadata.ino());
            let known = known.remove(&inode).filter(|listener| is_alive(proc, *listener));
            let ask = || look.get_or_insert_with(|| Look::new(proc, processes)).listener(&path);
            match known.map_or_else(ask, Ok) {
                Ok(process) => {
                    seen.insert(inode, process);
                    monitors.push(NamedMonitor { path, process });
                }
                // A socket without a listener is what a VM leaves behind when it is killed.
                Err(reason) if reason.reason == MissingReason::Failed => {}
                Err(reason) => {
                    let info = DomainInfo { name: name_of(&path), ..DomainInfo::default() };
                    missing.push(MissingDomain::new(info, reason));
                }
            }
        }
        *known = seen;
        monitors
    }

    /// Returns the sockets that match. The patterns were checked when the connection was opened;
    /// what cannot be listed matches nothing.
    fn sockets(&self) -> impl Iterator<Item = (PathBuf, Metadata)> {
        let paths = self.patterns.iter().filter_map(|pattern| glob::glob(pattern).ok()).flatten();
        paths.flatten().filter_map(|path| {
            let metadata = path.metadata().ok()?;
            metadata.file_type().is_socket().then_some((path, metadata))
        })
    }
}

/// A look at all sockets of the host, for those whose listener is not known.
struct Look<'a> {
    proc: &'a Proc,
    listeners: Listeners,
    /// Which QEMU holds a socket, by the socket's inode.
    holders: HashMap<String, Process>,
    queues: Queues<'a>,
}

impl<'a> Look<'a> {
    fn new(proc: &'a Proc, processes: &[(Process, Stat)]) -> Self {
        let mut holders = HashMap::new();
        for (process, _) in processes {
            let links = fs::read_dir(proc.of(process.pid, "fd")).into_iter().flatten().flatten();
            for target in links.filter_map(|link| fs::read_link(link.path()).ok()) {
                let target = target.to_string_lossy();
                let inode = target.strip_prefix("socket:[").and_then(|it| it.strip_suffix(']'));
                if let Some(inode) = inode {
                    holders.entry(inode.to_owned()).or_insert(*process);
                }
            }
        }
        Self { proc, listeners: Listeners::read(proc), holders, queues: Queues::new(proc) }
    }

    /// Returns who listens on a socket: a QEMU that holds it, as the kernel tells, which disturbs
    /// nobody. Of others only a connection tells; it is let go at once, since the monitor may not be
    /// ours to keep.
    fn listener(&mut self, path: &Path) -> Result<Option<Process>, Missing> {
        if is_libvirt_monitor(path) {
            return Err(belongs_to_libvirt());
        }
        if let Some(process) = self.listeners.at(path).find_map(|inode| self.holders.get(inode)) {
            return Ok(Some(*process));
        }
        if self.queues.is_awaited(None, path) {
            return Err(Missing::new(
                MissingReason::Timeout,
                format!("a connection waits for the monitor {} already", path.display()),
            ));
        }
        let Some(pid) = Monitor::connect(path)?.peer() else { return Ok(None) };
        Ok(self.proc.stat(pid).ok().map(|stat| Process { pid, start_time: stat.start_time }))
    }
}

fn is_alive(proc: &Proc, listener: Option<Process>) -> bool {
    listener.is_none_or(|process| process.is_alive(proc))
}

/// Returns the name of a guest of which only the monitor is known.
pub(crate) fn name_of(socket: &Path) -> String {
    socket.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

pub(crate) fn belongs_to_libvirt() -> Missing {
    Missing::new(
        MissingReason::Busy,
        "the monitor belongs to libvirtd: give the VM a second one, or ask libvirtd",
    )
}
