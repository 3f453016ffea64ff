//! What the host counts of a guest: its cgroups, the groups of resctrl that its threads are in,
//! and the performance counters that the caller asked for.

use std::{io, time::Instant};

use crate::{
    driver::qemu::{guest::Guest, host::resctrl::Monitors, monitor::query},
    host::process::threads::VcpuThread,
};
use crate::{
    host::{
        cgroup::{Cgroups, CpuTimes, Groups},
        perf::{Counting, Refusal},
        pressure::{DeviceIo, Waits},
        process::{Budget, Folder},
        resctrl::{self, Resctrl, Watched},
    },
    model::{
        report::{Missing, MissingReason},
        request::StatsGroups,
        stats::{BlockDevice, Blocks, Memory, Perf, Pressure},
    },
};

/// Where the host counts.
#[derive(Debug)]
pub(crate) struct Accounts {
    cgroups: Cgroups,
    resctrl: Resctrl,
    /// `None` if no performance counter is wanted.
    counting: Option<Counting>,
}

/// A pass over the guests.
pub(crate) struct Reading<'a> {
    accounts: &'a Accounts,
    groups: StatsGroups,
    deadline: Instant,
    watched: Option<Watched>,
    threads: Option<io::Result<resctrl::Groups>>,
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

    /// Reads what all guests share, for some groups of statistics. No counter is opened after the
    /// deadline.
    pub(crate) fn begin(&self, groups: StatsGroups, deadline: Instant) -> Reading<'_> {
        let watched = self
            .resctrl
            .watched()
            .filter(|_| groups.intersects(StatsGroups::CPU_TOTAL | StatsGroups::MEMORY));
        let watches = watched.filter(|watched| *watched != Watched::default());
        let threads = watches.map(|_| self.resctrl.groups());
        Reading { accounts: self, groups, deadline, watched, threads }
    }
}

impl Reading<'_> {
    /// Reads what there is of a guest, whose vCPUs may be known.
    pub(crate) fn of(
        &self,
        guest: &Guest,
        folder: &Folder<'_>,
        vcpus: Option<&[VcpuThread]>,
    ) -> Account {
        let mut account = Account::default();
        if self.groups.intersects(ACCOUNTED) {
            let budget = folder.proc.budget;
            guest.cgroups(folder, &self.accounts.cgroups, |own| {
                account.fill(own, budget, self.groups);
            });
        }
        if let (Some(watched), Some(Ok(threads))) = (self.watched, &self.threads) {
            let monitors = threads.of(folder);
            account.monitors = Monitors { watched, monitors, vcpus: Vec::new() };
            account.monitors.vcpus = match vcpus {
                Some(vcpus) => vcpus.to_vec(),
                None => {
                    guest.learned(|learned| learned.cpus.iter().map(query::Cpu::thread).collect())
                }
            };
        }
        if self.groups.contains(StatsGroups::MEMORY) {
            let denied = matches!(self.threads, Some(Err(_)));
            account.memory = memory(&account.monitors, self.watched.is_some(), denied);
        }
        if self.groups.contains(StatsGroups::PERF) {
            account.perf = self.accounts.perf(folder, guest, self.deadline);
        }
        account
    }
}

impl Accounts {
    fn perf(&self, folder: &Folder<'_>, guest: &Guest, deadline: Instant) -> Given<Perf> {
        let Some(counting) = &self.counting else {
            let text = "no counter is open: the URI's parameter perf says which to open, such as \
                        ?perf=cpu_cycles,instructions";
            return (None, Some(Missing::new(MissingReason::Unsupported, text)));
        };
        let counts = match guest.counts(folder, counting, deadline) {
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
    fn fill(&mut self, own: &mut Groups, budget: Budget, groups: StatsGroups) {
        if groups.contains(StatsGroups::CPU_TOTAL) {
            self.times = own.cpu_times(budget);
            self.cpu_pressure = own.waits("cpu.pressure", budget).map(pressure);
        }
        if groups.contains(StatsGroups::BALLOON) {
            self.memory_pressure = own.waits("memory.pressure", budget).map(pressure);
        }
        if groups.contains(StatsGroups::BLOCK) {
            let devices = own.io(budget);
            let storage = Blocks {
                pressure: own.waits("io.pressure", budget).map(pressure),
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
