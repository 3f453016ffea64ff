//! What the host counts of a guest: its cgroups, the groups of resctrl that its threads are in,
//! and the performance counters that the caller asked for.

use std::{sync::Arc, time::Instant};

use super::{guest::Guest, query, resctrl::Monitors};
use crate::{
    host::{
        cgroup::{Cgroups, CpuTimes, Groups},
        perf::{Counting, Refusal},
        pressure::{DeviceIo, Waits},
        procfs::Proc,
        resctrl::{self, Resctrl, Watched},
    },
    report::{Missing, MissingReason},
    request::StatsGroups,
    stats::{BlockDevice, Blocks, Memory, Perf, Pressure},
};

/// Where the host counts.
#[derive(Debug)]
pub(crate) struct Accounts {
    cgroups: Cgroups,
    resctrl: Resctrl,
    /// `None` if no performance counter is wanted.
    counting: Option<Counting>,
}

/// What the host counted of one guest, as far as it was asked for.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// The times of the guest's own cgroup; `None` if it has none.
    pub(crate) times: Option<CpuTimes>,
    pub(crate) cpu_pressure: Option<Pressure>,
    pub(crate) memory_pressure: Option<Pressure>,
    /// The host's part of the group `block`.
    pub(crate) storage: Option<Blocks>,
    pub(crate) monitors: Monitors,
    pub(crate) perf: Given<Perf>,
    pub(crate) memory: Given<Memory>,
}

/// The groups of statistics that a guest's own cgroups tell something of.
const ACCOUNTED: StatsGroups =
    StatsGroups::CPU_TOTAL.union(StatsGroups::BALLOON).union(StatsGroups::BLOCK);

/// What there is of a group, and why not more.
pub(crate) type Given<T> = (Option<T>, Option<Missing>);

impl Accounts {
    pub(crate) fn new(counting: Option<Counting>) -> Self {
        let resctrl = Resctrl::new("/sys/fs/resctrl");
        Self { cgroups: Cgroups::default(), resctrl, counting }
    }

    /// Reads what some groups of statistics need, for each guest. No counter is opened after the
    /// deadline.
    pub(crate) fn read(
        &self,
        proc: &Proc,
        guests: &[Arc<Guest>],
        groups: StatsGroups,
        deadline: Instant,
    ) -> Vec<Account> {
        let watched = self
            .resctrl
            .watched()
            .filter(|_| groups.intersects(StatsGroups::CPU_TOTAL | StatsGroups::MEMORY));
        let watches = watched.filter(|watched| *watched != Watched::default());
        let threads = watches.map(|_| self.resctrl.groups());
        let of_guest = |guest: &Arc<Guest>| {
            let mut account = Account::default();
            let Some(pid) = guest.pid() else { return account };
            if groups.intersects(ACCOUNTED) {
                guest.cgroups(proc, &self.cgroups, |own| account.fill(own, groups));
            }
            if let (Some(watched), Some(Ok(threads))) = (watched, &threads) {
                account.monitors = Monitors { watched, ..monitors(proc, guest, pid, threads) };
            }
            if groups.contains(StatsGroups::MEMORY) {
                let denied = matches!(threads, Some(Err(_)));
                account.memory = memory(&account.monitors, watched.is_some(), denied);
            }
            if groups.contains(StatsGroups::PERF) {
                account.perf = self.perf(proc, guest, deadline);
            }
            account
        };
        guests.iter().map(of_guest).collect()
    }

    fn perf(&self, proc: &Proc, guest: &Guest, deadline: Instant) -> Given<Perf> {
        let Some(counting) = &self.counting else {
            let text = "no counter is open: the URI's parameter perf says which to open, such as \
                        ?perf=cpu_cycles,instructions";
            return (None, Some(Missing::new(MissingReason::Unsupported, text)));
        };
        let counts = match guest.counts(proc, counting, deadline) {
            Ok(counts) => counts,
            Err(missing) => return (None, Some(missing)),
        };
        let mut perf = Perf::default();
        let mut refused = Vec::new();
        for (event, count) in counts {
            match count {
                Ok(count) => *(event.field)(&mut perf) = Some(count),
                Err(refusal) => refused.push((refusal, event.name)),
            }
        }
        let missing = refused.iter().map(|(refusal, _)| *refusal).min().map(|gravest| {
            let alike = refused.iter().filter(|(refusal, _)| *refusal == gravest);
            let names: Vec<_> = alike.map(|(_, name)| *name).collect();
            refusal_of(gravest, &names.join(", "))
        });
        ((perf != Perf::default()).then_some(perf), missing)
    }
}

/// Returns what to say of events that are not counted.
fn refusal_of(refusal: Refusal, events: &str) -> Missing {
    let (reason, text) = match refusal {
        Refusal::Denied => (
            MissingReason::Denied,
            format!(
                "no right to count {events}: run as root, with CAP_PERFMON, or with a lower \
                 kernel.perf_event_paranoid"
            ),
        ),
        Refusal::Exhausted => (
            MissingReason::Failed,
            format!(
                "no descriptors are left to count {events}: raise the limit of open files \
                 (ulimit -n)"
            ),
        ),
        Refusal::Failed => (MissingReason::Gone, "the process ended".to_owned()),
        Refusal::Unsupported => {
            (MissingReason::Unsupported, format!("this machine does not count {events}"))
        }
    };
    Missing::new(reason, text)
}

fn monitors(proc: &Proc, guest: &Guest, pid: u32, threads: &resctrl::Groups) -> Monitors {
    let monitors = threads.of(proc, pid);
    let learned = || guest.learned(|learned| learned.cpus.iter().map(query::Cpu::thread).collect());
    let vcpus = match monitors.as_slice() {
        [] => Vec::new(),
        _ => guest.named_vcpu_threads(proc).unwrap_or_else(learned),
    };
    Monitors { monitors, vcpus, ..Monitors::default() }
}

fn memory(monitors: &Monitors, is_mounted: bool, is_denied: bool) -> Given<Memory> {
    let memory = monitors.memory();
    let lacks = match memory {
        Some(_) => return (memory, None),
        None if is_denied => (MissingReason::Denied, "no right to read /sys/fs/resctrl"),
        None if !is_mounted => (
            MissingReason::Unsupported,
            "nothing monitors memory bandwidth: resctrl is not mounted at /sys/fs/resctrl",
        ),
        None if !monitors.watched.bandwidth => {
            (MissingReason::Unsupported, "the host's processors do not monitor memory bandwidth")
        }
        None => (
            MissingReason::Unsupported,
            "no group below /sys/fs/resctrl holds threads of the domain alone",
        ),
    };
    (None, Some(Missing::new(lacks.0, lacks.1)))
}

impl Account {
    /// Reads what some groups of statistics need of a guest's own cgroups.
    fn fill(&mut self, own: &Groups, groups: StatsGroups) {
        if groups.contains(StatsGroups::CPU_TOTAL) {
            self.times = own.cpu_times();
            self.cpu_pressure = own.waits("cpu").map(pressure);
        }
        if groups.contains(StatsGroups::BALLOON) {
            self.memory_pressure = own.waits("memory").map(pressure);
        }
        if groups.contains(StatsGroups::BLOCK) {
            let devices = own.io();
            let storage = Blocks {
                pressure: own.waits("io").map(pressure),
                device_count: devices.as_ref().and_then(|all| u32::try_from(all.len()).ok()),
                devices: (0..).zip(devices.unwrap_or_default()).map(device).collect(),
                ..Blocks::default()
            };
            self.storage = (storage != Blocks::default()).then_some(storage);
        }
    }
}

fn pressure(waits: Waits) -> Pressure {
    Pressure { some: waits.some_ns, full: waits.full_ns, ..Pressure::default() }
}

fn device((index, io): (u32, DeviceIo)) -> BlockDevice {
    BlockDevice {
        index,
        number: Some(io.number),
        rd_reqs: io.rd_reqs,
        rd_bytes: io.rd_bytes,
        wr_reqs: io.wr_reqs,
        wr_bytes: io.wr_bytes,
        unmap_reqs: io.unmap_reqs,
        unmap_bytes: io.unmap_bytes,
        ..BlockDevice::default()
    }
}
