//! The identities of the simulated domains, and the groups of each.

use std::{cell::LazyCell, collections::HashMap, time::Duration};

use uuid::{Builder, Uuid};

use super::numbers::{Numbers, mix};
use crate::model::{
    identity::DomainInfo,
    report::{DomainStats, Missing, MissingGroup, MissingReason},
    request::{DomainFilter, StatsGroups, StatsOptions, StatsRequest},
    stats::{Balloon, Blocks, DomainState, GROUPS, State, Vcpu},
};

/// All simulated domains, numbered from 1.
#[derive(Debug)]
pub(super) struct Guests {
    pub(super) count: u32,
    pub(super) seed: u64,
}

impl Guests {
    pub(super) fn iter(&self) -> impl Iterator<Item = Guest> {
        (1..=self.count).map(|number| Guest::new(number, self.seed))
    }

    /// Returns each of these domains, found by UUID: usually it has the name too.
    pub(super) fn find_all<'a>(
        &self,
        domains: &'a [DomainInfo],
    ) -> impl Iterator<Item = (&'a DomainInfo, Option<Guest>)> {
        let by_uuid = LazyCell::new(|| {
            self.iter().map(|guest| (guest.uuid(), guest)).collect::<HashMap<_, _>>()
        });
        domains.iter().map(move |domain| {
            let by_name = self.find(&domain.name);
            let Some(uuid) = domain.uuid else { return (domain, by_name) };
            let is = |guest: &Guest| guest.uuid() == uuid;
            (domain, by_name.filter(is).or_else(|| by_uuid.get(&uuid).copied()))
        })
    }

    /// Returns the domain of this name.
    pub(super) fn find(&self, name: &str) -> Option<Guest> {
        let digits = name.strip_prefix("vm")?;
        // `vm01` and `vm+1` parse as numbers, but are not names.
        if digits.starts_with(|first: char| !first.is_ascii_digit() || first == '0') {
            return None;
        }
        let number = digits.parse().ok()?;
        (number <= self.count).then(|| Guest::new(number, self.seed))
    }
}

/// The four kinds of domains, which alternate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Profile {
    Running,
    Paused,
    /// Running, with every field of the catalogue.
    Full,
    Off,
}

/// One simulated domain.
#[derive(Debug, Clone, Copy)]
pub(super) struct Guest {
    pub(super) number: u32,
    pub(super) profile: Profile,
    pub(super) seed: u64,
}

impl Guest {
    /// A paused domain ran for one day and then stopped.
    const PAUSED_AFTER: Duration = Duration::from_secs(86_400);

    fn new(number: u32, seed: u64) -> Self {
        let profile = match number % 4 {
            1 => Profile::Running,
            2 => Profile::Paused,
            3 => Profile::Full,
            _ => Profile::Off,
        };
        Self { number, profile, seed: mix(mix(seed) ^ u64::from(number)) }
    }

    pub(super) fn name(&self) -> String {
        format!("vm{}", self.number)
    }

    pub(super) fn info(&self) -> DomainInfo {
        DomainInfo {
            name: self.name().into(),
            uuid: Some(self.uuid()),
            id: self.is_active().then_some(self.number),
            persistent: self.profile != Profile::Paused,
            ..DomainInfo::default()
        }
    }

    fn uuid(&self) -> Uuid {
        let halves = (u128::from(self.seed) << 64) | u128::from(mix(self.seed));
        Builder::from_random_bytes(halves.to_be_bytes()).into_uuid()
    }

    pub(super) fn is_active(&self) -> bool {
        self.profile != Profile::Off
    }

    pub(super) fn matches(&self, filter: DomainFilter) -> bool {
        filter.matches_state(self.state().0) && filter.matches_info(&self.info())
    }

    fn state(&self) -> (DomainState, i32) {
        match self.profile {
            // Reasons: booted, paused by a user, shut down.
            Profile::Running | Profile::Full => (DomainState::Running, 1),
            Profile::Paused => (DomainState::Paused, 1),
            Profile::Off => (DomainState::Shutoff, 1),
        }
    }

    /// Returns the groups that cannot be read in full without the domain's monitor.
    pub(super) fn by_monitor(&self) -> StatsGroups {
        let usual = StatsGroups::STATE
            | StatsGroups::BALLOON
            | StatsGroups::VCPU
            | StatsGroups::BLOCK
            | StatsGroups::IOTHREAD
            | StatsGroups::DIRTYRATE;
        match self.profile {
            // Halt polling is the monitor's part of the CPU group.
            Profile::Full => {
                usual | StatsGroups::CPU_TOTAL | StatsGroups::VM | StatsGroups::CRYPTODEV
            }
            Profile::Running | Profile::Paused => usual,
            // No process and no monitor: only the configuration is known.
            Profile::Off => StatsGroups::empty(),
        }
    }

    /// Returns the domain's record `lived` after its start. `lost` is the reason if its monitor does not
    /// answer; values that need no monitor are present anyway.
    pub(super) fn stats(
        &self,
        request: &StatsRequest,
        lived: Duration,
        lost: Option<&Missing>,
    ) -> DomainStats {
        let mut stats = DomainStats::new(self.info());
        for group in GROUPS {
            if request.groups.contains(group.bit)
                && let Some(missing) = self.why_missing(group.bit, lost)
            {
                stats.missing.push(MissingGroup::new(group.name, missing));
            }
        }
        self.fill(&mut stats, request, lived);
        if lost.is_some() {
            keep_host_side(&mut stats);
        }
        stats
    }

    fn why_missing(&self, group: StatsGroups, lost: Option<&Missing>) -> Option<Missing> {
        let missing = |reason, text| Some(Missing::new(reason, text));
        if !self.has(group) {
            return match group {
                _ if !self.is_active() => {
                    missing(MissingReason::Inactive, "the domain is shut off")
                }
                StatsGroups::PERF => missing(
                    MissingReason::Unsupported,
                    "no performance counter is enabled for the domain",
                ),
                StatsGroups::MEMORY => missing(
                    MissingReason::Unsupported,
                    "the domain has no memory bandwidth monitor",
                ),
                StatsGroups::CRYPTODEV => missing(
                    MissingReason::Unsupported,
                    "the domain's hypervisor tells nothing of crypto devices",
                ),
                _ => missing(
                    MissingReason::Unsupported,
                    "the domain's hypervisor keeps no statistics of its own",
                ),
            };
        }
        lost.filter(|_| self.by_monitor().contains(group)).cloned()
    }

    fn has(&self, group: StatsGroups) -> bool {
        let special =
            StatsGroups::PERF | StatsGroups::MEMORY | StatsGroups::VM | StatsGroups::CRYPTODEV;
        let offline =
            StatsGroups::STATE | StatsGroups::BALLOON | StatsGroups::VCPU | StatsGroups::BLOCK;
        match self.profile {
            Profile::Full => true,
            Profile::Running | Profile::Paused => !special.contains(group),
            Profile::Off => offline.contains(group),
        }
    }

    fn fill(&self, stats: &mut DomainStats, request: &StatsRequest, lived: Duration) {
        let lived = match self.profile {
            Profile::Paused => lived.min(Self::PAUSED_AFTER),
            _ => lived,
        };
        let numbers = Numbers::new(self.seed, lived);
        let wants = |group| request.groups.contains(group) && self.has(group);
        if wants(StatsGroups::STATE) {
            let (state, reason) = self.state();
            stats.state = Some(State::new(state, reason));
        }
        if wants(StatsGroups::CPU_TOTAL) {
            stats.cpu = Some(self.cpu(numbers));
        }
        if wants(StatsGroups::BALLOON) {
            stats.balloon = Some(self.balloon(numbers));
        }
        if wants(StatsGroups::VCPU) {
            stats.vcpu = Some(self.vcpus(numbers));
        }
        if wants(StatsGroups::INTERFACE) {
            stats.interface = Some(self.interfaces(numbers));
        }
        if wants(StatsGroups::BLOCK) {
            let backing = request.options.contains(StatsOptions::BACKING);
            stats.block = Some(self.blocks(numbers, backing));
        }
        if wants(StatsGroups::PERF) {
            stats.perf = Some(self.perf(numbers));
        }
        if wants(StatsGroups::IOTHREAD) {
            stats.iothread = Some(self.iothreads(numbers));
        }
        if wants(StatsGroups::MEMORY) {
            stats.memory = Some(self.memory(numbers));
        }
        if wants(StatsGroups::DIRTYRATE) {
            stats.dirtyrate = Some(self.dirtyrate(numbers));
        }
        if wants(StatsGroups::VM) {
            stats.vm = Some(self.vm(numbers));
        }
        if wants(StatsGroups::CRYPTODEV) {
            stats.cryptodev = Some(self.cryptodevs(numbers));
        }
    }
}

/// Removes what only a monitor can provide.
fn keep_host_side(stats: &mut DomainStats) {
    stats.state = None;
    stats.block = stats
        .block
        .take()
        .filter(|block| block.device_count.is_some())
        .map(|block| Blocks { count: None, blocks: Vec::new(), ..block });
    stats.iothread = None;
    stats.dirtyrate = None;
    stats.vm = None;
    stats.cryptodev = None;
    if let Some(cpu) = &mut stats.cpu {
        cpu.haltpoll_success = None;
        cpu.haltpoll_fail = None;
    }
    if let Some(balloon) = &mut stats.balloon {
        *balloon = Balloon {
            maximum: balloon.maximum,
            rss: balloon.rss,
            pressure: balloon.pressure.take(),
            ..Balloon::default()
        };
    }
    if let Some(vcpus) = &mut stats.vcpu {
        vcpus.current = None;
        for vcpu in &mut vcpus.cpus {
            *vcpu = Vcpu {
                id: vcpu.id,
                time: vcpu.time,
                wait: vcpu.wait,
                delay: vcpu.delay,
                ..Vcpu::default()
            };
        }
    }
}
