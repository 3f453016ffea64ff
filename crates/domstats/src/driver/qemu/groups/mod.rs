//! Puts a domain's record together from its replies and what the host says.

pub(crate) mod block;
pub(crate) mod copies;
pub(crate) mod dirtyrate;
pub(crate) mod hypervisor;
pub(crate) mod interface;
pub(crate) mod iothread;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crate::{
    driver::qemu::{
        discovery::command_line::Backend,
        groups::{
            block::{Chains, Images, blocks, needs_files},
            dirtyrate::dirty_rate,
            hypervisor::{self, Counted, Counts},
            interface::{interfaces, places},
            iothread::iothreads,
        },
        guest::{Guest, Learned},
        host::{
            HostSide,
            accounts::Given,
            lacks_time,
            open_files::{OpenFiles, is_confined},
            too_long,
        },
        monitor::query::{self, Answer, DISKS, Query, Replies, Reported},
    },
    host::process::threads::VcpuThread,
};
use crate::{
    host::{
        allowance::Turn,
        cgroup::CpuTimes,
        process::{Folder, Kept},
        procfs::{NetDevices, Proc, SchedStat},
    },
    model::{
        catalogue::keep_first_of_each,
        report::{DomainStats, Missing, MissingReason},
        request::{DomainFilter, StatsGroups, StatsOptions, StatsRequest},
        stats::{Balloon, Blocks, Cpu, DomainState, State, StateReason, Vcpu, VcpuState, Vcpus},
    },
};

/// Returns what a request has to ask a guest's monitor, beyond what the host told.
pub(crate) fn queries(guest: &Guest, host: &HostSide, request: &StatsRequest) -> Vec<Query> {
    let mut queries = Vec::new();
    let wants = |group| request.groups.contains(group);
    let wants_whole = |group| wants(group) && !request.basic.contains(group);
    queries.extend(guest.identity());
    if wants(StatsGroups::STATE) || request.filter.needs_state() {
        queries.push(Query::Status);
    }
    if wants(StatsGroups::BALLOON) {
        queries.push(Query::Balloon);
        if wants_whole(StatsGroups::BALLOON) {
            match guest.learned(|learned| learned.balloon.clone()) {
                Some(path) => queries.push(Query::GuestStats(path)),
                None => queries.push(Query::Devices("/machine/peripheral".to_owned())),
            }
        }
        if guest.line.memory_hotplug || guest.line.memory_kib.is_none() {
            queries.push(Query::MemorySize);
        }
    }
    if wants(StatsGroups::VCPU) && host.vcpu_threads.is_none() {
        queries.push(Query::Cpus);
    }
    if wants_whole(StatsGroups::VCPU)
        && guest.line.maximum_vcpus.is_none()
        && guest.learned(|learned| learned.maximum_vcpus.is_none())
    {
        queries.push(Query::PossibleCpus);
    }
    if wants(StatsGroups::BLOCK) {
        queries.push(Query::BlockStats);
    }
    if wants_whole(StatsGroups::BLOCK) {
        queries.push(Query::BlockNodes);
    }
    if wants(StatsGroups::IOTHREAD) {
        queries.push(Query::Iothreads);
    }
    if wants(StatsGroups::DIRTYRATE) {
        queries.push(Query::DirtyRate);
    }
    // Of the virtual machine as a whole, nothing else is asked.
    let counted = request.groups.difference(request.basic.difference(StatsGroups::VM));
    queries.extend(hypervisor::queries(guest, host.vcpu_threads.as_deref(), counted));
    queries
}

/// What a record is made of.
pub(crate) struct Sources<'a> {
    pub(crate) proc: &'a Proc,
    pub(crate) guest: &'a Guest,
    pub(crate) host: &'a HostSide,
    /// The network devices where the guest is, if they could be read.
    pub(crate) devices: Option<&'a NetDevices>,
    pub(crate) replies: &'a Replies,
    /// Why the answers that are not in `replies` never came.
    pub(crate) missing: Option<&'a Missing>,
}

/// Returns the state that a domain is in, if its monitor told.
pub(crate) fn state(replies: &Replies) -> Option<State> {
    let status = replies.status.got()?;
    // libvirt's mapping. Why a guest runs only an event tells; one that was paused was so by its
    // user.
    let (state, reason) = match status.status.as_str() {
        "running" => (DomainState::Running, status.why_running),
        "paused" | "prelaunch" => (DomainState::Paused, Some("user")),
        "io-error" => (DomainState::Paused, Some("ioerror")),
        "watchdog" => (DomainState::Paused, Some("watchdog")),
        "save-vm" => (DomainState::Paused, Some("save")),
        "inmigrate" | "postmigrate" | "finish-migrate" => (DomainState::Paused, Some("migration")),
        "shutdown" => (DomainState::Shutdown, None),
        "guest-panicked" => (DomainState::Crashed, Some("panicked")),
        "suspended" => (DomainState::PmSuspended, None),
        "debug" | "internal-error" | "restore-vm" | "colo" => (DomainState::Paused, None),
        _ => (DomainState::NoState, None),
    };
    let reason = reason.and_then(|reason| StateReason::from_word(state, reason));
    Some(State { state: Some(state), reason, ..State::default() })
}

impl Sources<'_> {
    /// Returns the record of the domain: the groups that were asked for, and why others are
    /// missing.
    pub(crate) fn record(&self, request: &StatsRequest) -> DomainStats {
        let mut stats = DomainStats::new(self.guest.info());
        for group in request.groups & StatsGroups::all_known() {
            let missing = match group {
                StatsGroups::STATE => self.state(&mut stats),
                StatsGroups::CPU_TOTAL => self.cpu(&mut stats),
                StatsGroups::BALLOON => self.balloon(&mut stats),
                StatsGroups::VCPU => self.vcpu(&mut stats),
                StatsGroups::INTERFACE => self.interface(&mut stats),
                StatsGroups::BLOCK => self.block(&mut stats, request),
                StatsGroups::IOTHREAD => self.iothread(&mut stats),
                StatsGroups::DIRTYRATE => self.dirty_rate(&mut stats),
                StatsGroups::VM => self.vm(&mut stats),
                StatsGroups::CRYPTODEV => self.cryptodev(&mut stats),
                StatsGroups::PERF => self.give(&self.host.account.perf, &mut stats.perf),
                StatsGroups::MEMORY => self.give(&self.host.account.memory, &mut stats.memory),
                _ => Some(Missing::new(
                    MissingReason::Unsupported,
                    "this driver does not read the group",
                )),
            };
            if let Some(missing) = missing {
                stats.note_missing(group, &missing);
            }
        }
        stats
    }

    /// Returns why an answer is not there.
    fn lacks<T>(&self, answer: &Answer<T>) -> Option<Missing> {
        match answer {
            Answer::Got(_) => None,
            Answer::Missing(missing) => Some(missing.clone()),
            Answer::NotAsked => self.missing.cloned(),
        }
    }

    fn state(&self, stats: &mut DomainStats) -> Option<Missing> {
        stats.state = state(self.replies);
        self.lacks(&self.replies.status)
    }

    fn cpu(&self, stats: &mut DomainStats) -> Option<Missing> {
        let stat = &self.host.stat;
        let polled = |name| {
            hypervisor::total(self.replies.vcpu_stats.got().map_or(&[], Vec::as_slice), name)
        };
        let account = &self.host.account;
        let times = account.times.unwrap_or(CpuTimes {
            total_ns: stat.user_ns.saturating_add(stat.system_ns),
            user_ns: stat.user_ns,
            system_ns: stat.system_ns,
        });
        let mut cpu = Cpu {
            time: Some(times.total_ns),
            user: Some(times.user_ns),
            system: Some(times.system_ns),
            haltpoll_success: polled(hypervisor::HALT_POLL_SUCCESS),
            haltpoll_fail: polled(hypervisor::HALT_POLL_FAIL),
            pressure: account.cpu_pressure.clone(),
            ..Cpu::default()
        };
        account.monitors.fill(&mut cpu);
        stats.cpu = Some(cpu);
        self.lacks_vcpu_stats()
    }

    fn counted(&self) -> Option<Arc<Counted>> {
        self.guest.learned(|learned| learned.counted.clone())
    }

    /// Returns why the hypervisor's part of the vCPUs is not there. A guest that is not known to
    /// have one lacks nothing.
    fn lacks_vcpu_stats(&self) -> Option<Missing> {
        let counts = self.counted().is_some_and(|counted| !counted.vcpu.is_empty());
        self.lacks(&self.replies.vcpu_stats).filter(|_| counts)
    }

    /// Returns what the hypervisor counted for each vCPU, by its thread.
    fn vcpu_counts(&self) -> HashMap<VcpuThread, Counts> {
        match (self.counted(), self.replies.vcpu_stats.got()) {
            (Some(counted), Some(replies)) => self.guest.learned(|learned| {
                hypervisor::counts_by_thread(&counted.vcpu, &learned.cpus, replies)
            }),
            _ => HashMap::new(),
        }
    }

    fn vm(&self, stats: &mut DomainStats) -> Option<Missing> {
        let Some(counted) = self.counted() else {
            return self.lacks(&self.replies.stats_schemas);
        };
        if counted.vm.is_empty() {
            return Some(Missing::new(
                MissingReason::Unsupported,
                "QEMU tells nothing of its hypervisor: only KVM counts, and QEMU 7.1 or later tells",
            ));
        }
        if let Some(replies) = self.replies.vm_stats.got() {
            let vm = stats.vm.get_or_insert_default();
            for of in replies {
                let counts = Counts::new(&counted.vm, of);
                vm.stats.extend(counts.stats);
                vm.histograms.extend(counts.histograms);
            }
            keep_first_of_each(&mut vm.stats);
            keep_first_of_each(&mut vm.histograms);
        }
        self.lacks(&self.replies.vm_stats)
    }

    fn cryptodev(&self, stats: &mut DomainStats) -> Option<Missing> {
        let Some(counted) = self.counted() else {
            return self.lacks(&self.replies.stats_schemas);
        };
        if counted.cryptodev.is_empty() {
            let text = "QEMU tells nothing of crypto devices: QEMU 8.0 or later does";
            return Some(Missing::new(MissingReason::Unsupported, text));
        }
        let replies = self.replies.cryptodev_stats.got();
        stats.cryptodev = replies.map(|told| hypervisor::cryptodevs(&counted.cryptodev, told));
        self.lacks(&self.replies.cryptodev_stats)
    }

    fn balloon(&self, stats: &mut DomainStats) -> Option<Missing> {
        let replies = self.replies;
        let plugged = replies
            .memory_size
            .got()
            .map(|size| size.base_memory.saturating_add(size.plugged_memory) / 1024);
        // Memory that can be plugged in makes the command line a lower bound, not the size.
        let at_start = self.guest.line.memory_kib.filter(|_| !self.guest.line.memory_hotplug);
        let maximum = plugged.or(at_start);
        let actual = replies.balloon.got().map(|balloon| balloon.actual / 1024);
        let has_none = |answer: Option<&Missing>| {
            answer.is_some_and(|missing| missing.reason == MissingReason::Unsupported)
        };
        let no_balloon = has_none(replies.balloon.missing());
        let mut balloon = Balloon {
            current: actual.or(maximum.filter(|_| no_balloon)),
            maximum,
            rss: Some(self.host.stat.rss_kib),
            actual,
            pressure: self.host.account.memory_pressure.clone(),
            ..Balloon::default()
        };
        if let Some(guest) = replies.guest_stats.got() {
            let count = |Reported(value)| value;
            let kib = |Reported(bytes)| bytes.map(|bytes| bytes / 1024);
            let memory = &guest.stats;
            balloon.swap_in = kib(memory.stat_swap_in);
            balloon.swap_out = kib(memory.stat_swap_out);
            balloon.major_fault = count(memory.stat_major_faults);
            balloon.minor_fault = count(memory.stat_minor_faults);
            balloon.unused = kib(memory.stat_free_memory);
            balloon.available = kib(memory.stat_total_memory);
            balloon.usable = kib(memory.stat_available_memory);
            balloon.last_update = count(guest.last_update);
            balloon.disk_caches = kib(memory.stat_disk_caches);
            balloon.hugetlb_pgalloc = count(memory.stat_htlb_pgalloc);
            balloon.hugetlb_pgfail = count(memory.stat_htlb_pgfail);
            balloon.oom_kills = count(memory.stat_oom_kills);
            balloon.alloc_stalls = count(memory.stat_alloc_stalls);
            balloon.async_scans = kib(memory.stat_async_scans);
            balloon.direct_scans = kib(memory.stat_direct_scans);
            balloon.async_reclaims = kib(memory.stat_async_reclaims);
            balloon.direct_reclaims = kib(memory.stat_direct_reclaims);
        }
        stats.balloon = Some(balloon);
        // A guest without a balloon device lacks nothing.
        let lacks = if no_balloon { None } else { self.lacks(&replies.balloon) };
        lacks
            .or_else(|| {
                let missing = replies.guest_stats.missing();
                missing.filter(|it| !no_balloon && !has_none(Some(it))).cloned()
            })
            .or_else(|| replies.memory_size.missing().cloned())
    }

    /// Returns the threads of the vCPUs, and why they may not be up to date.
    fn vcpu_threads(&self) -> (Vec<VcpuThread>, Option<Missing>) {
        if let Some(threads) = &self.host.vcpu_threads {
            return (threads.clone(), None);
        }
        match self.replies.cpus.got() {
            Some(cpus) => (cpus.iter().map(query::Cpu::thread).collect(), None),
            None => {
                let threads =
                    |learned: &Learned| learned.cpus.iter().map(query::Cpu::thread).collect();
                (self.guest.learned(threads), self.lacks(&self.replies.cpus))
            }
        }
    }

    fn folder(&self) -> Folder<'_> {
        Folder::new(self.proc, self.guest.process)
    }

    /// Returns the time of a thread, read now if it began after the others were read.
    fn thread(&self, tid: u32, folder: &Folder<'_>, turn: &mut Turn<'_>) -> Option<SchedStat> {
        let threads = self.host.threads.as_deref().unwrap_or_default();
        match threads.binary_search_by_key(&tid, |thread| thread.tid) {
            Ok(place) => Some(threads[place].sched),
            Err(_) => {
                turn.step().ok()?;
                folder.sched_stat(tid, &mut Kept::default()).ok()
            }
        }
    }

    fn vcpu(&self, stats: &mut DomainStats) -> Option<Missing> {
        let (mut threads, lacks) = self.vcpu_threads();
        threads.sort_by_key(|(id, _)| *id);
        threads.dedup_by_key(|(id, _)| *id);
        let mut counts = self.vcpu_counts();
        let current =
            (!threads.is_empty()).then(|| u32::try_from(threads.len()).unwrap_or(u32::MAX));
        // A machine to which none can be plugged in says so, and has them all.
        let told = self.guest.learned(|learned| learned.maximum_vcpus);
        let told = told.and_then(|told| told.or(current.filter(|_| lacks.is_none())));
        let maximum = self.guest.line.maximum_vcpus.or(told);
        // One thread for several vCPUs: its time is nobody's.
        let distinct: HashSet<u32> = threads.iter().map(|(_, tid)| *tid).collect();
        let shared = distinct.len() < threads.len();
        let folder = self.folder();
        let mut turn = Turn::new(&folder);
        let cpus = threads.into_iter().map(|(id, tid)| {
            let sched = self.thread(tid, &folder, &mut turn).filter(|_| !shared);
            let counts = counts.remove(&(id, tid)).unwrap_or_default();
            Vcpu {
                id,
                state: Some(VcpuState::Running),
                time: sched.map(|sched| sched.run_ns),
                wait: sched
                    .filter(|_| self.host.accounts_for_waits && turn.step().is_ok())
                    .and_then(|_| folder.thread_wait(tid)),
                delay: sched.map(|sched| sched.delay_ns),
                stats: counts.stats,
                histograms: counts.histograms,
                ..Vcpu::default()
            }
        });
        let vcpus = Vcpus { current, maximum, cpus: cpus.collect(), ..Vcpus::default() };
        stats.vcpu = (vcpus != Vcpus::default()).then_some(vcpus);
        let lacks = lacks.or_else(|| self.lacks_vcpu_stats());
        lacks.or_else(|| turn.is_over().then(|| too_long(self.guest.process)))
    }

    fn interface(&self, stats: &mut DomainStats) -> Option<Missing> {
        let taps = self.host.taps.as_deref();
        let told = self.guest.nics_with(taps);
        let places = places(&self.guest.line, told.as_deref(), taps);
        stats.interface = Some(interfaces(&places, taps, self.devices));
        if let Some(missing) = &self.host.lacks_interfaces {
            return Some(missing.clone());
        }
        let networks = &self.guest.line.networks;
        let needs_taps =
            networks.iter().any(|network| matches!(network.backend, Backend::TapFds(_)));
        if needs_taps && taps.is_none() {
            let text =
                "no right to see which taps the process holds: run as root or as the VM's user";
            return Some(Missing::new(MissingReason::Denied, text));
        }
        if !places.is_all {
            let text = "the monitor did not tell whether the machine has a NIC";
            let unasked = || Missing::new(MissingReason::Failed, text);
            let why = self.missing.or(self.guest.monitors.as_ref().err());
            return Some(why.cloned().unwrap_or_else(unasked));
        }
        places.uncounted().map(|text| Missing::new(MissingReason::Unsupported, text))
    }

    fn block(&self, stats: &mut DomainStats, request: &StatsRequest) -> Option<Missing> {
        let storage = self.host.account.storage.clone();
        let mut lacks_files = None;
        let counters = self.replies.block_stats.got();
        let number = counters.map_or(0, Vec::len);
        if number > DISKS {
            stats.block = storage;
            let text = format!("the guest has {number} disks, more than the {DISKS} that are read");
            return Some(Missing::new(MissingReason::Failed, text));
        }
        if let Some(counters) = counters {
            // What a held monitor told before may be older than an answer can be: it was not asked.
            let is_whole = !request.basic.contains(StatsGroups::BLOCK);
            let nodes = self.replies.block_nodes.got().filter(|_| is_whole);
            let nodes = nodes.map_or(&[][..], Vec::as_slice);
            let pid = self.guest.pid();
            let needs_files = || nodes.iter().any(needs_files) || is_confined(self.proc, pid);
            let process = self.guest.process;
            let files = (!nodes.is_empty() && needs_files()).then(|| {
                OpenFiles::of(self.proc, process)
                    .inspect_err(|error| lacks_files = lacks_time(process, error))
            });
            let files = files.and_then(Result::ok);
            let sets = self.replies.fd_sets.got().map_or(&[][..], Vec::as_slice);
            let images = Images::new(nodes, files.as_ref(), sets);
            let chains = Chains {
                graph: self.replies.block_graph.got(),
                stats: self.replies.node_stats.got().map_or(&[][..], Vec::as_slice),
            };
            let wants_chains = request.options.contains(StatsOptions::BACKING);
            let Blocks { count, blocks, .. } =
                blocks(counters, &images, wants_chains.then_some(&chains));
            stats.block = Some(Blocks { count, blocks, ..storage.unwrap_or_default() });
        } else {
            stats.block = storage;
        }
        let lacks_copies = || {
            let (graph, stats) = (&self.replies.block_graph, &self.replies.node_stats);
            graph.missing().or_else(|| stats.missing()).cloned()
        };
        self.lacks(&self.replies.block_stats)
            .or_else(|| self.lacks(&self.replies.block_nodes))
            .or_else(lacks_copies)
            .or(lacks_files)
    }

    /// Gives a group that the host alone tells.
    fn give<T: Clone>(&self, given: &Given<T>, group: &mut Option<T>) -> Option<Missing> {
        let (stats, missing) = given;
        group.clone_from(stats);
        missing.clone()
    }

    fn iothread(&self, stats: &mut DomainStats) -> Option<Missing> {
        let folder = self.folder();
        let mut turn = Turn::new(&folder);
        if let Some(replies) = self.replies.iothreads.got() {
            let time = |tid| self.thread(tid, &folder, &mut turn);
            stats.iothread = Some(iothreads(replies, time));
        }
        let lacks = self.lacks(&self.replies.iothreads);
        lacks.or_else(|| turn.is_over().then(|| too_long(self.guest.process)))
    }

    fn dirty_rate(&self, stats: &mut DomainStats) -> Option<Missing> {
        stats.dirtyrate = self.replies.dirty_rate.got().map(dirty_rate);
        self.lacks(&self.replies.dirty_rate)
    }
}

/// Returns whether a domain belongs to the answer; `None` if only its monitor could tell and did
/// not.
pub(crate) fn matches(filter: DomainFilter, replies: &Replies) -> Option<bool> {
    if !filter.needs_state() {
        return Some(true);
    }
    let state = state(replies)?.state?;
    Some(filter.matches_state(state))
}
