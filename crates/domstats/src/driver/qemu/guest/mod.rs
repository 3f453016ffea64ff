//! One QEMU process, or a monitor whose process is not known.

pub(crate) mod learned;
pub(crate) mod registry;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use crate::{
    driver::qemu::{
        discovery::{
            command_line::CommandLine, named::name_of, socket::MonitorSocket, trust::Trusted,
        },
        guest::learned::Learned,
        monitor::{
            first_client::{self, Stage},
            query::Query,
            session::Session,
            sockets::{self, Endpoint, Unreachable},
        },
    },
    host::{
        process::{Folder, Process, readers::Readers},
        procfs::Proc,
        queues::{Holder, Queues},
    },
    model::{
        device,
        identity::{Conflict, DomainInfo},
        report::Missing,
    },
    sync::lock,
};

/// A guest; outlives a call.
#[derive(Debug)]
pub(super) struct Guest {
    /// The process, with its start time: a reused pid is another guest.
    pub(super) process: Process,
    pub(super) line: Arc<CommandLine>,
    /// The usable monitors, the preferred one first, or why there is none.
    pub(super) monitors: Result<Vec<MonitorSocket>, Missing>,
    /// The readers of the process's files on the host.
    pub(super) readers: Readers,
    state: Mutex<State>,
}

/// What is known of a guest beyond its command line.
#[derive(Debug, Default)]
struct State {
    leased: bool,
    /// Whether it was seen to be past the wait for a monitor's first client.
    has_begun: bool,
    stuck: Option<Duration>,
    session: Option<Session>,
    /// The index of the monitor that was used last.
    preferred: usize,
    /// Whether the last call used a monitor.
    has_served: bool,
    /// Why the last call did not use each monitor.
    unused: Vec<Option<Missing>>,
    /// The listening sockets that QEMU was seen to hold, by inode.
    held: HashSet<u64>,
    learned: Learned,
    owner: Owner,
    /// Which of its name and UUID other guests had too when all were last listed.
    conflict: Conflict,
}

/// The owner of a guest.
#[derive(Debug, Clone, Copy, Default)]
struct Owner {
    uid: Option<u32>,
    is_trusted: bool,
}

impl Guest {
    pub(super) fn new(
        process: Process,
        line: Arc<CommandLine>,
        monitors: Result<Vec<MonitorSocket>, Missing>,
    ) -> Self {
        let learned = Learned {
            // The path of a balloon with an id is known.
            balloon: line.balloon.clone().flatten().map(|id| format!("/machine/peripheral/{id}")),
            ..Learned::default()
        };
        let state = State { learned, ..State::default() };
        Self { process, line, monitors, readers: Readers::default(), state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is consistent at every step, so a panic elsewhere does not spoil it.
        lock(&self.state)
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.pid
    }

    /// Returns the queries for those parts of the identity that only the monitor can report and has
    /// not yet. A UUID may also come from `-smbios type=1,uuid=`, as on every Proxmox VE: QEMU
    /// knows which one counts.
    pub(super) fn identity(&self) -> Vec<Query> {
        let learned = &self.state().learned;
        let mut queries = Vec::new();
        if self.monitors.is_err() {
            return queries;
        }
        // A QEMU without a name reports that each time; it is queried as long as the UUID is
        // unknown too.
        let is_told = learned.uuid.is_some();
        if self.line.name.is_none() && learned.name.is_none() && !is_told {
            queries.push(Query::Name);
        }
        if self.line.uuid.is_none() && !is_told {
            queries.push(Query::Uuid);
        }
        queries
    }

    pub(super) fn info(&self) -> DomainInfo {
        let (name, uuid) = self.learned(|learned| (learned.name.clone(), learned.uuid));
        let name = self.line.name.clone().or(name).unwrap_or_else(|| {
            let path = self.monitors.as_ref().ok().and_then(|sockets| sockets.first()?.path());
            path.map_or_else(|| format!("qemu-{}", self.pid()).into(), name_of)
        });
        let state = self.state();
        DomainInfo {
            name,
            uuid: self.line.uuid.or(uuid.flatten()),
            id: Some(self.pid()),
            persistent: false,
            uid: state.owner.uid,
            untrusted: !state.owner.is_trusted,
            conflict: state.conflict,
        }
    }

    /// Reads the process's owner. root's is read again until the monitor has been used: a QEMU
    /// drops root's rights (`-runas`) before that.
    pub(super) fn read_owner(&self, proc: &Proc, trusted: &Trusted) {
        let mut state = self.state();
        let is_final = match state.owner.uid {
            None => false,
            Some(0) => state.has_served,
            Some(_) => true,
        };
        if !is_final {
            let uid = Folder::new(proc, self.process).owner();
            state.owner = Owner { uid, is_trusted: trusted.has(uid) };
        }
    }

    pub(super) fn note_conflict(&self, conflict: Conflict) {
        self.state().conflict = conflict;
    }

    /// Reads from what earlier calls learned.
    pub(super) fn learned<T>(&self, read: impl FnOnce(&Learned) -> T) -> T {
        read(&self.state().learned)
    }

    /// Returns what a QEMU does whose monitor may wait for its first client, in which case a
    /// connection would start the guest.
    pub(super) fn stage(&self, proc: &Proc, socket: &MonitorSocket) -> Stage {
        let mut state = self.state();
        if state.has_begun || !(socket.waits || self.line.has_waiting_monitor()) {
            return Stage::Begun;
        }
        let stage = first_client::stage(proc, self.process);
        state.has_begun = stage == Stage::Begun;
        stage
    }

    /// Returns the process, and its network namespace if that may be read.
    pub(super) fn holder(&self, proc: &Proc) -> Holder {
        let namespace = self.readers.net_namespace(&Folder::new(proc, self.process));
        Holder { process: self.process, namespace }
    }

    /// Finds a monitor's socket, using what earlier calls have seen.
    pub(super) fn endpoint(
        &self,
        socket: &MonitorSocket,
        queues: &mut Queues<'_>,
    ) -> Result<Endpoint, Unreachable> {
        let holder = self.holder(queues.proc());
        let mut state = self.state();
        let endpoint = sockets::find(socket, holder, &state.held, queues)?;
        if endpoint.is_sure {
            state.held.insert(endpoint.listener.inode);
        }
        Ok(endpoint)
    }

    /// Returns the index of the monitor to try first.
    pub(super) fn preferred(&self) -> usize {
        self.state().preferred
    }

    /// Records which monitor was used, if any, and why others were not.
    pub(super) fn note_monitors(&self, served: Option<usize>, unused: Vec<Option<Missing>>) {
        let mut state = self.state();
        state.preferred = served.unwrap_or(state.preferred);
        state.has_served = served.is_some();
        state.unused = unused;
    }

    /// Returns the usable monitors, and the last call's outcome for each.
    pub(super) fn monitors_used(&self) -> Vec<device::Monitor> {
        let state = self.state();
        let sockets = self.monitors.iter().flatten().enumerate();
        sockets
            .map(|(number, socket)| device::Monitor {
                address: socket.to_string().into(),
                is_used: state.has_served && state.preferred == number,
                unused: state.unused.get(number).cloned().flatten(),
            })
            .collect()
    }

    /// Leases the guest's monitor for one conversation; `None` while another call has the lease.
    pub(super) fn lease(&self) -> Option<Lease<'_>> {
        let mut state = self.state();
        if state.leased {
            return None;
        }
        state.leased = true;
        Some(Lease { guest: self, session: state.session.take(), stuck: state.stuck })
    }

    /// Records that the process is stopped: that explains why its monitor is silent, so the monitor
    /// may use all of the remaining time once the process continues.
    pub(super) fn excuse(&self) {
        self.state().stuck = None;
    }

    /// Closes a held session.
    pub(super) fn hang_up(&self) {
        self.state().session = None;
    }

    /// Closes a held session, and stops counting.
    pub(super) fn disconnect(&self) {
        self.hang_up();
        self.readers.stop_counting();
    }
}

/// The right to talk to a guest's monitor. What it contains when it is dropped is kept for the next
/// call.
#[derive(Debug)]
pub(super) struct Lease<'a> {
    guest: &'a Guest,
    pub(super) session: Option<Session>,
    /// The longest time that a call waited for the monitor without an answer.
    pub(super) stuck: Option<Duration>,
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let mut state = self.guest.state();
        state.leased = false;
        state.stuck = self.stuck;
        state.session = self.session.take();
    }
}
