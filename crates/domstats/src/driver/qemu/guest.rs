//! One QEMU process, or a monitor whose process is not known.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    command_line::CommandLine,
    monitor::Monitor,
    named::name_of,
    query::{Cpu, Query, Replies},
};
use crate::{domain::DomainInfo, host::procfs::Proc, report::Missing};

/// A guest, from one call to the next.
#[derive(Debug)]
pub(crate) struct Guest {
    /// The process, and when it started: a recycled number is another guest.
    pub(crate) process: Option<Process>,
    pub(crate) line: Arc<CommandLine>,
    /// The monitor that may be used, or why there is none.
    pub(crate) monitor: Result<MonitorSocket, Missing>,
    state: Mutex<State>,
}

/// Who a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) start_time: u64,
}

impl Process {
    /// Returns whether the process is still there: not dead, not another one with its number.
    pub(crate) fn is_alive(self, proc: &Proc) -> bool {
        proc.stat(self.pid)
            .is_ok_and(|stat| stat.start_time == self.start_time && stat.virtual_size > 0)
    }
}

/// A monitor's socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MonitorSocket {
    /// Where to connect.
    pub(crate) path: PathBuf,
    /// The path that QEMU bound, which may be relative to its folder.
    pub(crate) bound: PathBuf,
}

/// What is known of a guest beyond its command line.
#[derive(Debug, Default)]
struct State {
    leased: bool,
    stuck: bool,
    monitor: Option<Monitor>,
    learned: Learned,
    threads: Threads,
}

/// The threads of a process, as their names told.
#[derive(Debug, Default)]
struct Threads {
    /// All of them, by number.
    all: Vec<u32>,
    /// Those that still bear the name of the first.
    unnamed: Vec<u32>,
    /// Those that are named after a vCPU.
    vcpus: Vec<VcpuThread>,
}

/// A vCPU's index and its thread.
pub(crate) type VcpuThread = (u32, u32);

/// What a monitor told in earlier calls and does not change often.
#[derive(Debug, Default, Clone)]
pub(crate) struct Learned {
    pub(crate) name: Option<String>,
    pub(crate) uuid: Option<uuid::Uuid>,
    /// The threads of the vCPUs, by their index.
    pub(crate) vcpu_threads: Vec<VcpuThread>,
    /// Where the balloon device is; `Some(None)` if there is none.
    pub(crate) balloon: Option<Option<String>>,
}

impl Guest {
    pub(crate) fn new(
        process: Option<Process>,
        line: Arc<CommandLine>,
        monitor: Result<MonitorSocket, Missing>,
    ) -> Self {
        let learned = Learned {
            balloon: match &line.balloon {
                Some(Some(id)) => Some(Some(format!("/machine/peripheral/{id}"))),
                // Without an id its place has to be asked for.
                Some(None) => None,
                // A known command line without a balloon; one can still be plugged in later, and
                // then the monitor knows its size but not its guest's statistics.
                None if *line != CommandLine::default() => Some(None),
                None => None,
            },
            ..Learned::default()
        };
        let state = State { learned, ..State::default() };
        Self { process, line, monitor, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is consistent at every step; a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.map(|process| process.pid)
    }

    /// Returns whether only the monitor can tell the guest's name, and has not yet.
    pub(crate) fn is_nameless(&self) -> bool {
        self.monitor.is_ok() && self.line.name.is_none() && self.state().learned.name.is_none()
    }

    pub(crate) fn info(&self) -> DomainInfo {
        let learned = self.learned();
        let name = self.line.name.clone().or(learned.name).unwrap_or_else(|| {
            match (&self.monitor, self.process) {
                (Ok(socket), _) => name_of(&socket.path),
                (Err(_), Some(process)) => format!("qemu-{}", process.pid),
                (Err(_), None) => "qemu".to_owned(),
            }
        });
        DomainInfo {
            name,
            uuid: self.line.uuid.or(learned.uuid),
            id: self.pid(),
            persistent: false,
        }
    }

    pub(crate) fn learned(&self) -> Learned {
        self.state().learned.clone()
    }

    /// Keeps what the replies tell beyond this call.
    pub(crate) fn learn(&self, replies: &Replies) {
        let mut state = self.state();
        let learned = &mut state.learned;
        if let Some(cpus) = replies.cpus.got() {
            learned.vcpu_threads = cpus.iter().map(Cpu::thread).collect();
        }
        if let Some(reply) = replies.name.got() {
            learned.name = reply.name.clone().or(learned.name.take());
        }
        if let Some(reply) = replies.uuid.got() {
            // QEMU answers with zeros when it was given none.
            learned.uuid = reply.uuid.parse().ok().filter(|uuid: &uuid::Uuid| !uuid.is_nil());
        }
    }

    /// Returns the threads of the vCPUs as their names tell (`-name debug-threads=on`), or `None`
    /// if they do not.
    ///
    /// This spares QEMU a question. The names are read again whenever a thread has come or gone,
    /// or was given its name; the thread of a vCPU has its name before the vCPU is plugged in.
    pub(crate) fn named_vcpu_threads(&self, proc: &Proc) -> Option<Vec<VcpuThread>> {
        let pid = self.pid()?;
        let all = proc.threads(pid).ok()?;
        let threads = &mut self.state().threads;
        if !threads.are_still(proc, pid, &all) {
            *threads = Threads::read(proc, pid, all);
        }
        (!threads.vcpus.is_empty()).then(|| threads.vcpus.clone())
    }

    pub(crate) fn learn_balloon(&self, path: Option<String>) {
        self.state().learned.balloon = Some(path);
    }

    /// Takes the guest's monitor for one conversation; `None` while another call has it.
    pub(crate) fn lease(&self) -> Option<Lease<'_>> {
        let mut state = self.state();
        if state.leased {
            return None;
        }
        state.leased = true;
        Some(Lease { guest: self, monitor: state.monitor.take(), stuck: state.stuck })
    }

    /// Lets go of a held connection.
    pub(crate) fn disconnect(&self) {
        self.state().monitor = None;
    }
}

/// The right to talk to a guest's monitor; what is in it when it drops is kept for the next call.
#[derive(Debug)]
pub(crate) struct Lease<'a> {
    guest: &'a Guest,
    pub(crate) monitor: Option<Monitor>,
    pub(crate) stuck: bool,
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let mut state = self.guest.state();
        state.leased = false;
        state.stuck = self.stuck;
        state.monitor = self.monitor.take();
    }
}

/// Returns where a list of devices has the balloon.
pub(crate) fn find_balloon(replies: &Replies, folder: &str) -> Option<Query> {
    let devices = replies.devices.got()?;
    let balloon = devices.iter().find(|device| device.kind.starts_with("child<virtio-balloon"))?;
    Some(Query::GuestStats(format!("{folder}/{}", balloon.name)))
}

impl Threads {
    fn read(proc: &Proc, pid: u32, all: Vec<u32>) -> Self {
        let name = |tid| proc.thread_name(pid, tid).unwrap_or_default();
        let first = name(pid);
        let (mut unnamed, mut vcpus) = (Vec::new(), Vec::new());
        for tid in all.iter().copied().filter(|tid| *tid != pid) {
            match name(tid) {
                name if name == first => unnamed.push(tid),
                // `CPU 0/KVM`, `CPU 0/TCG`
                name => vcpus.extend(vcpu_of(&name).map(|index| (index, tid))),
            }
        }
        vcpus.sort_unstable();
        Self { all, unnamed, vcpus }
    }

    /// Returns whether the process has these threads, and those without a name still have none.
    fn are_still(&self, proc: &Proc, pid: u32, all: &[u32]) -> bool {
        let name = |tid| proc.thread_name(pid, tid).ok();
        self.all == all
            && (self.unnamed.is_empty() || {
                let first = name(pid);
                self.unnamed.iter().all(|tid| name(*tid) == first)
            })
    }
}

/// Returns the vCPU that a thread is named after.
fn vcpu_of(name: &str) -> Option<u32> {
    name.strip_prefix("CPU ")?.split('/').next()?.parse().ok()
}
