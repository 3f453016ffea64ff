//! The host's side of the guests' statistics, without their monitors.

pub(crate) mod accounts;

use std::{collections::HashMap, sync::Arc, time::Instant};

use crate::{
    driver::qemu::{
        guest::{Guest, registry::Sighting},
        host::accounts::{Account, Accounts},
        reasons::lacks_time,
    },
    host::{
        links::Links,
        perf::Counting,
        process::{
            Folder,
            taps::Tap,
            threads::{ThreadTime, VcpuThread},
        },
        procfs::{NetDevices, Proc, Stat},
    },
    model::{report::Missing, request::StatsGroups},
};

/// What the host shows of a guest.
#[derive(Debug, Default)]
pub(super) struct HostSide {
    pub(super) stat: Stat,
    pub(super) account: Account,
    /// The times of all threads but the first, by number; `None` if they were not read.
    pub(super) threads: Option<Arc<[ThreadTime]>>,
    /// The vCPU threads; `None` if the host cannot distinguish them from others.
    pub(super) vcpu_threads: Option<Vec<VcpuThread>>,
    /// Whether the kernel accounts for the time that threads wait.
    pub(super) accounts_for_waits: bool,
    /// The process's network namespace; `None` if the caller may not read it, and then assumed to
    /// be the caller's own.
    pub(super) namespace: Option<u64>,
    /// The process's taps; `None` if the caller lacks the right or the time.
    pub(super) taps: Option<Arc<[Tap]>>,
    /// Why some network interfaces may be missing.
    pub(super) lacks_interfaces: Option<Missing>,
}

/// The host's sources that outlive a call.
#[derive(Debug)]
pub(super) struct Host {
    accounts: Accounts,
    links: Links,
}

impl Host {
    pub(super) fn new(counting: Option<Counting>) -> Self {
        Self { accounts: Accounts::new(counting), links: Links::default() }
    }

    /// Reads what is needed before any monitor is queried.
    pub(super) fn before(
        &self,
        proc: &Proc,
        guests: Vec<Sighting>,
        groups: StatsGroups,
    ) -> (Vec<Arc<Guest>>, Vec<HostSide>) {
        let wants_vcpus = groups.contains(StatsGroups::VCPU);
        // Threads show whether a guest measures its dirty rate.
        let wants_threads =
            wants_vcpus || groups.intersects(StatsGroups::IOTHREAD | StatsGroups::DIRTYRATE);
        let accounts_for_waits = wants_vcpus && proc.accounts_for_waits();
        let host = |(guest, stat): Sighting| {
            let mut host = HostSide { stat, accounts_for_waits, ..HostSide::default() };
            let threads =
                || guest.readers.threads(&Folder::new(proc, guest.process), host.stat.threads);
            if wants_threads && let Some((times, vcpus)) = threads() {
                (host.threads, host.vcpu_threads) = (Some(times.into()), vcpus);
            }
            (guest, host)
        };
        guests.into_iter().map(host).unzip()
    }

    /// Reads the rest, and returns the network devices.
    pub(super) fn meanwhile(
        &self,
        proc: &Proc,
        guests: &[Arc<Guest>],
        hosts: &mut [HostSide],
        groups: StatsGroups,
        deadline: Instant,
    ) -> Networks {
        let mut networks = Networks::default();
        let wants_interfaces = groups.contains(StatsGroups::INTERFACE);
        let mut trusted_from = None;
        if wants_interfaces {
            networks.own = self.links.namespace();
            trusted_from = self.links.taps_trusted_from();
        }
        let reading = self.accounts.begin(groups, deadline);
        // One process may stand for thousands of named monitors, whose sockets it has open.
        let mut taps = HashMap::new();
        for (guest, host) in guests.iter().zip(hosts) {
            let process = guest.process;
            let folder = Folder::new(proc, process);
            host.account = reading.of(guest, &folder, host.vcpu_threads.as_deref());
            if wants_interfaces {
                host.namespace = guest.readers.net_namespace(&folder);
                let is_ours = networks.is_own(host.namespace);
                let trusted_from = trusted_from.filter(|_| is_ours);
                let name_of = |index| self.links.name_of(index).filter(|_| is_ours);
                let look = || match guest.readers.taps(&folder, trusted_from, name_of) {
                    Ok(taps) => (Some(Arc::from(taps)), None),
                    Err(error) => (None, lacks_time(process, &error)),
                };
                (host.taps, host.lacks_interfaces) =
                    taps.entry(process).or_insert_with(look).clone();
                networks.read(proc, process.pid, host.namespace, &self.links);
            }
        }
        networks
    }
}

/// The network devices of the guests' namespaces, each read once per call.
#[derive(Debug, Default)]
pub(super) struct Networks {
    own: Option<u64>,
    namespaces: HashMap<Option<u64>, NetDevices>,
}

impl Networks {
    fn is_own(&self, namespace: Option<u64>) -> bool {
        namespace.is_none() || namespace == self.own
    }

    /// Reads the devices of a namespace through one of its processes.
    fn read(&mut self, proc: &Proc, pid: u32, namespace: Option<u64>, links: &Links) {
        let is_own = self.is_own(namespace);
        self.namespaces.entry(namespace).or_insert_with(|| {
            let told = if is_own { links.devices() } else { None };
            told.or_else(|| proc.net_devices(pid).ok()).unwrap_or_default()
        });
    }

    pub(super) fn of(&self, namespace: Option<u64>) -> Option<&NetDevices> {
        self.namespaces.get(&namespace)
    }
}
