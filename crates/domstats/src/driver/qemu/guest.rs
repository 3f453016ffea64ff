//! One QEMU process, or a monitor whose process is not known.

use std::{
    cell::OnceCell,
    collections::HashSet,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    connect::domain,
    host::{
        cgroup::{Accounting, Cgroups, Groups},
        perf::{Count, Counters, Counting},
        process::{Folder, Process},
        procfs::Proc,
        queues::{Queues, Whose},
    },
    model::{
        identity::{Conflict, DomainInfo},
        name::Name,
        report::{Missing, MissingReason},
    },
};
use crate::{
    driver::qemu::{
        discovery::{
            command_line::{CommandLine, name_given},
            named::name_of,
            processes::runs_qemu,
            trust::Trusted,
        },
        groups::hypervisor::Counted,
        monitor::{
            first_client::{self, Stage},
            nics,
            query::{Answer, Cpu, ObjectPath, PossibleCpu, Query, Replies},
            session::Monitor,
            sockets::{self, Door, MonitorSocket, NoDoor},
        },
    },
    host::process::{
        taps::{Tap, Taps},
        threads::{ThreadTime, Threads, VcpuThread},
    },
};

/// A guest, from one call to the next.
#[derive(Debug)]
pub(crate) struct Guest {
    /// The process, and when it started: a recycled number is another guest.
    pub(crate) process: Process,
    pub(crate) line: Arc<CommandLine>,
    /// The monitors that may be used, the preferred one first, or why there is none.
    pub(crate) monitors: Result<Vec<MonitorSocket>, Missing>,
    state: Mutex<State>,
}

/// What is known of a guest beyond its command line.
#[derive(Debug, Default)]
struct State {
    leased: bool,
    /// Whether it was seen beyond the wait for the first client of a monitor.
    has_begun: bool,
    stuck: Option<Duration>,
    monitor: Option<Monitor>,
    /// Which of the monitors served last.
    preferred: usize,
    /// Whether one served in the last call.
    has_served: bool,
    /// Why the last call did not use a monitor.
    unused: Vec<Option<Missing>>,
    /// The listening sockets that QEMU was seen to hold, by inode.
    held: HashSet<u64>,
    learned: Learned,
    threads: Threads,
    accounting: Accounting,
    counters: Option<Counters>,
    taps: Taps,
    owner: Owner,
    /// What of its name and UUID others had in the last look at all.
    conflict: Conflict,
    /// The network namespace, which a QEMU never leaves.
    namespace: OnceCell<Option<u64>>,
}

/// Whose a guest is.
#[derive(Debug, Clone, Copy, Default)]
struct Owner {
    uid: Option<u32>,
    is_trusted: bool,
}

/// What a monitor told in earlier calls and does not change often.
#[derive(Debug, Default)]
pub(crate) struct Learned {
    pub(crate) name: Option<Name>,
    /// `Some(None)` if QEMU said that it was given none.
    pub(crate) uuid: Option<Option<uuid::Uuid>>,
    /// The vCPUs, their threads and paths.
    pub(crate) cpus: Vec<Cpu>,
    /// The most vCPUs; `Some(None)` if the machine cannot have more than it has.
    pub(crate) maximum_vcpus: Option<Option<u32>>,
    /// What the hypervisor counts; nothing, perhaps.
    pub(crate) counted: Option<Arc<Counted>>,
    /// Where the balloon device is, if that is known.
    pub(crate) balloon: Option<ObjectPath>,
    /// The NICs.
    pub(crate) nics: Option<Arc<nics::Told>>,
}

impl Guest {
    pub(crate) fn new(
        process: Process,
        line: Arc<CommandLine>,
        monitors: Result<Vec<MonitorSocket>, Missing>,
    ) -> Self {
        let learned = Learned {
            // With an id its place is known.
            balloon: line.balloon.clone().flatten().map(|id| format!("/machine/peripheral/{id}")),
            ..Learned::default()
        };
        let state = State { learned, ..State::default() };
        Self { process, line, monitors, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is consistent at every step; a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.pid
    }

    /// Returns what only the monitor can tell of who the guest is, and has not yet. A UUID may also
    /// come from `-smbios type=1,uuid=`, as on every Proxmox VE: QEMU knows which one counts.
    pub(crate) fn identity(&self) -> Vec<Query> {
        let learned = &self.state().learned;
        let mut queries = Vec::new();
        if self.monitors.is_err() {
            return queries;
        }
        // A QEMU without a name says so every time; it is asked as long as it has no UUID either.
        let is_told = learned.uuid.is_some();
        if self.line.name.is_none() && learned.name.is_none() && !is_told {
            queries.push(Query::Name);
        }
        if self.line.uuid.is_none() && !is_told {
            queries.push(Query::Uuid);
        }
        queries
    }

    pub(crate) fn info(&self) -> DomainInfo {
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

    /// Reads whose the process is. root's is read again until its monitor has served: a QEMU gives up
    /// root's rights (`-runas`) before that.
    pub(crate) fn read_owner(&self, proc: &Proc, trusted: &Trusted) {
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

    pub(crate) fn note_conflict(&self, conflict: Conflict) {
        self.state().conflict = conflict;
    }

    /// Reads something of what earlier calls told.
    pub(crate) fn learned<T>(&self, read: impl FnOnce(&Learned) -> T) -> T {
        read(&self.state().learned)
    }

    /// Keeps what the replies tell beyond this call.
    pub(crate) fn learn(&self, replies: &Replies) {
        let mut state = self.state();
        let learned = &mut state.learned;
        if let Some(cpus) = replies.cpus.got() {
            let paths = cpus.iter().filter_map(|cpu| cpu.qom_path.as_ref());
            match is_kept(paths) {
                true => learned.cpus.clone_from(cpus),
                false => learned.cpus.clear(),
            }
        }
        match &replies.possible_cpus {
            Answer::Got(cpus) => {
                let count = |sum: u32, cpu: &PossibleCpu| sum.checked_add(cpu.vcpus_count);
                learned.maximum_vcpus = cpus.iter().try_fold(0, count).map(Some);
            }
            Answer::Missing(_) => learned.maximum_vcpus = Some(None),
            Answer::NotAsked => {}
        }
        match &replies.stats_schemas {
            Answer::Got(schemas) => {
                let stats = schemas.iter().flat_map(|schema| &schema.stats);
                let texts = stats.flat_map(|stat| [Some(&stat.name), stat.unit.as_ref()]).flatten();
                let counted =
                    if is_kept(texts) { Counted::new(schemas) } else { Counted::default() };
                learned.counted = Some(Arc::new(counted));
            }
            // QEMU before 7.1.
            Answer::Missing(missing) if missing.reason == MissingReason::Unsupported => {
                learned.counted = Some(Arc::default());
            }
            _ => {}
        }
        if let Some(reply) = replies.name.got() {
            let name = reply.name.as_deref().and_then(name_given);
            learned.name = name.or(learned.name.take());
        }
        match &replies.uuid {
            Answer::Got(reply) => {
                // QEMU answers with zeros when it was given none.
                let uuid = reply.uuid.parse().ok();
                learned.uuid = Some(uuid.filter(|uuid: &uuid::Uuid| !uuid.is_nil()));
            }
            Answer::Missing(_) => learned.uuid = Some(None),
            Answer::NotAsked => {}
        }
    }

    /// Returns the times of the threads but the first, of which there were so many a moment ago,
    /// and which of them are vCPUs as their names tell, or `None` if they do not; nothing if the
    /// process is gone.
    pub(crate) fn threads(
        &self,
        folder: &Folder<'_>,
        count: u64,
    ) -> Option<(Vec<ThreadTime>, Option<Vec<VcpuThread>>)> {
        let threads = &mut self.state().threads;
        let times = threads.times(folder, count).ok()?;
        Some((times, threads.vcpus().map(<[VcpuThread]>::to_vec)))
    }

    /// Reads something of the guest's own cgroups, unless it is gone.
    pub(crate) fn cgroups(
        &self,
        folder: &Folder<'_>,
        cgroups: &Cgroups,
        read: impl FnOnce(&mut Groups),
    ) {
        if let Some(own) = self.state().accounting.groups(cgroups, folder, runs_qemu) {
            read(own);
        }
    }

    /// Returns what was counted since the first call of this.
    ///
    /// # Errors
    ///
    /// If the process is gone, or counting has not begun and there is no time for it.
    pub(crate) fn counts(
        &self,
        folder: &Folder<'_>,
        counting: &Counting,
        deadline: Instant,
    ) -> Result<Vec<Count>, Missing> {
        let gone = || Missing::new(MissingReason::Gone, "the process ended");
        let mut state = self.state();
        if let Some(counters) = &state.counters {
            return Ok(counters.read());
        }
        if Instant::now() >= deadline {
            let text = "there was no time to open the counters: the next call goes on";
            return Err(Missing::new(MissingReason::Timeout, text));
        }
        let counters = counting.begin(folder);
        // Another process may have got the number meanwhile.
        if !folder.process.is_alive(folder.proc) {
            return Err(gone());
        }
        let counts = counters.read();
        // If nothing is counted, the next call tries again.
        state.counters = Some(counters).filter(Counters::count_something);
        Ok(counts)
    }

    /// Returns the taps that the process holds.
    ///
    /// # Errors
    ///
    /// If the caller may not know, or there is no time to find out.
    pub(crate) fn taps(
        &self,
        folder: &Folder<'_>,
        trusted_from: Option<Instant>,
        name_of: impl Fn(u32) -> Option<String>,
    ) -> io::Result<Vec<Tap>> {
        self.state().taps.read(folder, trusted_from, name_of)
    }

    /// Returns the inode of the network namespace, if the caller may know it.
    pub(crate) fn net_namespace(&self, folder: &Folder<'_>) -> Option<u64> {
        *self.state().namespace.get_or_init(|| folder.net_namespace())
    }

    pub(crate) fn learn_nics(&self, told: nics::Told) {
        let texts = told.nics.iter().flat_map(|(device, _)| device.texts());
        self.state().learned.nics = is_kept(texts).then(|| Arc::new(told));
    }

    /// Returns what the NICs are, if the monitor told lately.
    pub(crate) fn nics(&self) -> Option<Arc<nics::Told>> {
        self.learned(|learned| learned.nics.clone()).filter(|told| told.is_fresh())
    }

    /// Returns what the NICs are, as far as it is true while the process holds these taps.
    pub(crate) fn nics_with(&self, taps: Option<&[Tap]>) -> Option<Arc<nics::Told>> {
        self.learned(|learned| learned.nics.clone()).filter(|told| told.taps.as_deref() == taps)
    }

    /// Returns whether the monitor told of the NICs lately, and the process holds other taps now.
    pub(crate) fn has_other_taps(&self, taps: Option<&[Tap]>) -> bool {
        let is_other = |told: &Arc<nics::Told>| told.is_fresh() && told.taps.as_deref() != taps;
        self.learned(|learned| learned.nics.as_ref().is_some_and(is_other))
    }

    pub(crate) fn learn_balloon(&self, path: Option<ObjectPath>) {
        self.state().learned.balloon = path;
    }

    /// Returns what QEMU does of which a monitor may wait for its first client. A connection would
    /// start the guest then.
    pub(crate) fn stage(&self, proc: &Proc, socket: &MonitorSocket) -> Stage {
        let mut state = self.state();
        if state.has_begun || !(socket.waits || self.line.has_waiting_monitor()) {
            return Stage::Begun;
        }
        let stage = first_client::stage(proc, self.process);
        state.has_begun = stage == Stage::Begun;
        stage
    }

    /// Returns the process, and its network namespace if that may be known.
    pub(crate) fn whose(&self, proc: &Proc) -> Whose {
        let namespace = self.net_namespace(&Folder::new(proc, self.process));
        Whose { process: self.process, namespace }
    }

    /// Looks for the socket of a monitor, with what was seen in earlier calls.
    pub(crate) fn door(
        &self,
        socket: &MonitorSocket,
        queues: &mut Queues<'_>,
    ) -> Result<Door, NoDoor> {
        let whose = self.whose(queues.proc());
        let mut state = self.state();
        let door = sockets::find(socket, whose, &state.held, queues)?;
        if door.is_sure {
            state.held.insert(door.listener.inode);
        }
        Ok(door)
    }

    /// Returns the number of the monitor that is tried first.
    pub(crate) fn preferred(&self) -> usize {
        self.state().preferred
    }

    /// Notes which monitor served, if one did, and why others did not.
    pub(crate) fn note_monitors(&self, served: Option<usize>, unused: Vec<Option<Missing>>) {
        let mut state = self.state();
        state.preferred = served.unwrap_or(state.preferred);
        state.has_served = served.is_some();
        state.unused = unused;
    }

    /// Returns the monitors that may be used, and what the last call made of them.
    pub(crate) fn monitors_used(&self) -> Vec<domain::Monitor> {
        let state = self.state();
        let sockets = self.monitors.iter().flatten().enumerate();
        sockets
            .map(|(number, socket)| domain::Monitor {
                address: socket.to_string().into(),
                is_used: state.has_served && state.preferred == number,
                unused: state.unused.get(number).cloned().flatten(),
            })
            .collect()
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

    /// Notes that the process is stopped: its monitor is silent for that reason, and may have all
    /// the time that there is once it goes on.
    pub(crate) fn excuse(&self) {
        self.state().stuck = None;
    }

    /// Lets go of a held connection.
    pub(crate) fn hang_up(&self) {
        self.state().monitor = None;
    }

    /// Lets go of a held connection, and stops counting.
    pub(crate) fn disconnect(&self) {
        self.hang_up();
        self.state().counters = None;
    }
}

/// The texts of one answer that are kept beyond its call, in bytes: those of the largest machines take a third.
const KEPT: usize = 1 << 20;

fn is_kept<'a>(texts: impl Iterator<Item = &'a String>) -> bool {
    texts.map(String::len).sum::<usize>() <= KEPT
}

/// The right to talk to a guest's monitor; what is in it when it drops is kept for the next call.
#[derive(Debug)]
pub(crate) struct Lease<'a> {
    guest: &'a Guest,
    pub(crate) monitor: Option<Monitor>,
    /// How long a call has waited for the monitor in vain.
    pub(crate) stuck: Option<Duration>,
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let mut state = self.guest.state();
        state.leased = false;
        state.stuck = self.stuck;
        state.monitor = self.monitor.take();
    }
}
