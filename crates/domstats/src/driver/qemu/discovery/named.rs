//! The monitors that the URI names (`?monitor=GLOB`).

use std::{
    collections::HashMap,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
    sync::Mutex,
    time::Instant,
};

use crate::{
    driver::qemu::{
        discovery::monitor_option::is_libvirt_monitor,
        reasons::{belongs_to_libvirt, too_long},
    },
    host::{
        blocking::{Blocked, BlockingCall},
        process::Process,
        procfs::{Proc, Stat},
        queues::{Holder, Queues, SocketKey, Unseen},
    },
    model::{
        identity::DomainInfo,
        name::Name,
        report::{Missing, MissingDomain, MissingReason},
    },
    sync::lock,
};

/// The most files that are considered per pattern.
const MOST: usize = 1 << 16;

/// Finds the named monitors; caches which process listens on each.
#[derive(Debug)]
pub(super) struct NamedMonitors {
    patterns: Vec<String>,
    /// The listening process, by the device and inode of the socket's file.
    listeners: Mutex<HashMap<(u64, u64), Process>>,
}

/// A monitor that the URI names.
#[derive(Debug)]
pub(super) struct NamedMonitor {
    pub(super) path: PathBuf,
    pub(super) process: Process,
}

impl NamedMonitors {
    pub(super) fn new(patterns: Vec<String>) -> Self {
        Self { patterns, listeners: Mutex::default() }
    }

    /// Returns whether the URI names none.
    pub(super) fn are_none(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Returns the matching sockets that have a listener; adds those that must not or cannot be
    /// used to `missing`. If storage does not answer, waits for half of the remaining time, once.
    pub(super) fn list(
        &self,
        proc: &Proc,
        processes: &[(Process, Stat)],
        deadline: Instant,
        missing: &mut Vec<MissingDomain>,
    ) -> Vec<NamedMonitor> {
        let mut look: Option<HolderSearch<'_>> = None;
        let mut known = lock(&self.listeners);
        let mut seen = HashMap::new();
        let mut monitors = Vec::new();
        for (path, file) in self.sockets(deadline, missing) {
            if seen.contains_key(&file) {
                continue;
            }
            let known = known.remove(&file).filter(|process| process.is_alive(proc));
            let ask = || {
                look.get_or_insert_with(|| HolderSearch::new(proc, processes)).holder(&path, file)
            };
            match known.map_or_else(ask, Ok) {
                Ok(process) => {
                    seen.insert(file, process);
                    monitors.push(NamedMonitor { path, process });
                }
                // A VM that was killed leaves a socket without a listener behind.
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

    /// Returns the matching sockets, with the device and inode of their files.
    fn sockets(
        &self,
        deadline: Instant,
        missing: &mut Vec<MissingDomain>,
    ) -> Vec<(PathBuf, (u64, u64))> {
        let mut all = Vec::new();
        let now = Instant::now();
        let until = now + deadline.saturating_duration_since(now) / 2;
        let start = |pattern: &String| {
            let (call, own) = (BlockingCall { user: None, path: pattern.into() }, pattern.clone());
            let time = until.saturating_duration_since(Instant::now());
            (pattern.clone(), call.start(time, move || matches(&own)))
        };
        // Starts all before waiting for the first.
        let started: Vec<_> = self.patterns.iter().map(start).collect();
        for (pattern, started) in started {
            let time = until.saturating_duration_since(Instant::now());
            match started.and_then(|started| started.wait(time)) {
                Ok(sockets) => all.extend(sockets),
                Err(Blocked) => {
                    let name = Name::from(pattern);
                    let text = format!("the storage of the monitors {name} does not answer");
                    let info = DomainInfo { name, ..DomainInfo::default() };
                    let reason = Missing::new(MissingReason::Timeout, text);
                    missing.push(MissingDomain::new(info, reason));
                }
            }
        }
        all
    }
}

/// Returns the sockets that match a pattern. The pattern was checked when the connection was
/// opened; what cannot be listed matches nothing. May block forever.
fn matches(pattern: &str) -> Vec<(PathBuf, (u64, u64))> {
    let paths = glob::glob(pattern).into_iter().flatten().flatten().take(MOST);
    let socket = |path: PathBuf| {
        let metadata = path.metadata().ok()?;
        let file = (metadata.dev(), metadata.ino());
        metadata.file_type().is_socket().then_some((path, file))
    };
    paths.filter_map(socket).collect()
}

/// A search through the host's sockets for those whose holder is not known.
struct HolderSearch<'a> {
    proc: &'a Proc,
    queues: Queues<'a>,
    qemus: Vec<Holder>,
    /// All other processes, searched when no QEMU holds a socket.
    others: Option<Vec<Process>>,
}

impl<'a> HolderSearch<'a> {
    fn new(proc: &'a Proc, processes: &[(Process, Stat)]) -> Self {
        let qemus = processes.iter().map(|(process, _)| Holder::of(proc, *process)).collect();
        Self { proc, queues: Queues::new(proc), qemus, others: None }
    }

    /// Returns the process that holds the socket listening on a file, as the kernel reports it:
    /// this disturbs nothing, while a connection might start a guest.
    fn holder(&mut self, path: &Path, file: (u64, u64)) -> Result<Process, Missing> {
        if is_libvirt_monitor(path) {
            return Err(belongs_to_libvirt());
        }
        let unknown = || {
            let text = format!(
                "no right to see which process listens on {}, or whether a guest waits for a client \
                 there: run as root, in the namespaces of the host",
                path.display()
            );
            Missing::new(MissingReason::Denied, text)
        };
        let no_listener = || Missing::new(MissingReason::Failed, "no process listens");
        let key = SocketKey::File(file.0, file.1);
        let places = std::iter::once(None).chain(self.qemus.iter().copied().map(Some));
        let mut is_unseen = false;
        let mut listener = None;
        for place in places {
            match self.queues.listener(place, key) {
                Ok(None) => {}
                Ok(found) => {
                    listener = found;
                    break;
                }
                Err(_) => is_unseen = true,
            }
        }
        let listener = listener.ok_or_else(|| if is_unseen { unknown() } else { no_listener() })?;
        let queues = &mut self.queues;
        let mut too_many = None;
        let mut is_holder = |it: &Process| match queues.holds(*it, listener.inode) {
            Ok(holds) => holds,
            Err(unseen) => {
                too_many = too_many.or((unseen == Unseen::TooMany).then_some(*it));
                false
            }
        };
        let mut qemus = self.qemus.iter().map(|qemu| qemu.process);
        if let Some(qemu) = qemus.find(&mut is_holder) {
            return Ok(qemu);
        }
        let proc = self.proc;
        let others = self.others.get_or_insert_with(|| {
            let pids = proc.pids().unwrap_or_default().into_iter();
            let process = |pid| {
                let stat = proc.stat(pid).ok()?;
                Some(Process { pid, start_time: stat.start_time })
            };
            pids.filter_map(process).collect()
        });
        let found = others.iter().copied().find(is_holder);
        found.ok_or_else(|| too_many.map_or_else(unknown, too_long))
    }
}

/// Returns the name of a guest that is known only by its monitor.
pub(crate) fn name_of(socket: &Path) -> Name {
    socket.file_stem().unwrap_or_default().to_string_lossy().as_ref().into()
}
