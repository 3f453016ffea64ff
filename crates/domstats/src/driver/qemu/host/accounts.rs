//! What the host counts for a guest: its cgroups, the resctrl groups of its threads, and the
//! performance counters that the caller requested.

use std::{io, time::Instant};

use crate::{
    driver::qemu::{discovery::processes::runs_qemu, guest::Guest, monitor::query::Cpu},
    host::{
        cgroup::{Cgroups, CpuTimes, Groups},
        perf::{Count, Counting},
        pressure::{DeviceIo, Waits},
        process::{Budget, Folder, readers::NotCounted, threads::VcpuThread},
        resctrl::{self, MonitoringGroup, Resctrl, Watched},
    },
    model::request::StatsGroups,
};

/// The places where the host counts.
#[derive(Debug)]
pub(super) struct Accounts {
    cgroups: Cgroups,
    resctrl: Resctrl,
    /// `None` if no performance counters are requested.
    counting: Option<Counting>,
}

/// A pass over the guests.
pub(super) struct Reading<'a> {
    accounts: &'a Accounts,
    groups: StatsGroups,
    deadline: Instant,
    watched: Option<Watched>,
    threads: Option<io::Result<resctrl::Groups>>,
}

/// What the host counted for one guest, as far as it was requested.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// The CPU times of the guest's own cgroup; `None` if it has none.
    pub(crate) times: Option<CpuTimes>,
    pub(crate) cpu_waits: Option<Waits>,
    pub(crate) memory_waits: Option<Waits>,
    pub(crate) io_waits: Option<Waits>,
    /// The host devices that the guest's own cgroup used.
    pub(crate) devices: Option<Vec<DeviceIo>>,
    pub(crate) monitors: MonitoringGroups,
    /// The values of the performance counters; `None` if none are requested.
    pub(crate) counts: Option<Result<Vec<Count>, NotCounted>>,
}

/// The resctrl groups that hold only threads of one guest.
#[derive(Debug, Default)]
pub(crate) struct MonitoringGroups {
    pub(crate) is_mounted: bool,
    pub(crate) is_denied: bool,
    pub(crate) watched: Watched,
    pub(crate) monitors: Vec<MonitoringGroup>,
    /// The vCPUs, as far as they are known.
    pub(crate) vcpus: Vec<VcpuThread>,
}

/// The groups of statistics that use a guest's own cgroups.
const ACCOUNTED: StatsGroups =
    StatsGroups::CPU_TOTAL.union(StatsGroups::BALLOON).union(StatsGroups::BLOCK);

impl Accounts {
    pub(super) fn new(counting: Option<Counting>) -> Self {
        let resctrl = Resctrl::new("/sys/fs/resctrl");
        Self { cgroups: Cgroups::default(), resctrl, counting }
    }

    /// Reads what all guests share, for some groups of statistics. Opens no counter after the
    /// deadline.
    pub(super) fn begin(&self, groups: StatsGroups, deadline: Instant) -> Reading<'_> {
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
    /// Reads the accounts of a guest; `vcpus` are its vCPUs, if known.
    pub(super) fn of(
        &self,
        guest: &Guest,
        folder: &Folder<'_>,
        vcpus: Option<&[VcpuThread]>,
    ) -> Account {
        let mut account = Account::default();
        if self.groups.intersects(ACCOUNTED) {
            let budget = folder.proc.budget;
            guest.readers.cgroups(folder, &self.accounts.cgroups, runs_qemu, |own| {
                account.fill(own, budget, self.groups);
            });
        }
        account.monitors.is_mounted = self.watched.is_some();
        account.monitors.is_denied = matches!(self.threads, Some(Err(_)));
        if let (Some(watched), Some(Ok(threads))) = (self.watched, &self.threads) {
            account.monitors.watched = watched;
            account.monitors.monitors = threads.of(folder);
            account.monitors.vcpus = match vcpus {
                Some(vcpus) => vcpus.to_vec(),
                None => guest.learned(|learned| learned.cpus.iter().map(Cpu::thread).collect()),
            };
        }
        if self.groups.contains(StatsGroups::PERF) {
            let counting = self.accounts.counting.as_ref();
            account.counts =
                counting.map(|counting| guest.readers.counts(folder, counting, self.deadline));
        }
        account
    }
}

impl Account {
    /// Reads what some groups of statistics need from a guest's own cgroups.
    fn fill(&mut self, own: &mut Groups, budget: Budget, groups: StatsGroups) {
        if groups.contains(StatsGroups::CPU_TOTAL) {
            self.times = own.cpu_times(budget);
            self.cpu_waits = own.waits("cpu.pressure", budget);
        }
        if groups.contains(StatsGroups::BALLOON) {
            self.memory_waits = own.waits("memory.pressure", budget);
        }
        if groups.contains(StatsGroups::BLOCK) {
            self.devices = own.io(budget);
            self.io_waits = own.waits("io.pressure", budget);
        }
    }
}
