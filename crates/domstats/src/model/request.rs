//! What to ask for: groups, a filter, options and a timeout.

use std::time::{Duration, Instant};

use bitflags::bitflags;

use crate::model::{identity::DomainInfo, stats::DomainState};

bitflags! {
    /// The groups of statistics, with libvirt's bits (`virDomainStatsTypes`).
    ///
    /// The empty set asks for every group of libvirt's that the driver supports. Groups that
    /// libvirt lacks have bits above its own, and are read only if they are named. Bits that this
    /// version does not know are kept, and are an unsupported group like any other.
    ///
    /// ```
    /// use domstats::StatsGroups;
    /// assert_eq!(StatsGroups::CPU, StatsGroups::CPU_TOTAL | StatsGroups::VCPU);
    /// assert_eq!(StatsGroups::of_libvirt().bits(), 0x7ff);
    /// assert_eq!(StatsGroups::from_bits_retain(1 << 20).bits(), 1 << 20);
    /// ```
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    #[doc(alias = "virDomainStatsTypes")]
    pub struct StatsGroups: u32 {
        /// State of the domain and its reason. Flat keys `state.*`.
        #[doc(alias = "VIR_DOMAIN_STATS_STATE")]
        const STATE = 1;
        /// CPU time of the whole domain. Flat keys `cpu.*`.
        #[doc(alias = "VIR_DOMAIN_STATS_CPU_TOTAL")]
        const CPU_TOTAL = 1 << 1;
        /// Memory: balloon, guest statistics, resident set. Flat keys `balloon.*`.
        #[doc(alias = "VIR_DOMAIN_STATS_BALLOON")]
        const BALLOON = 1 << 2;
        /// Each vCPU. Flat keys `vcpu.*`.
        #[doc(alias = "VIR_DOMAIN_STATS_VCPU")]
        const VCPU = 1 << 3;
        /// Each network interface, seen from the guest. Flat keys `net.*`.
        #[doc(alias = "VIR_DOMAIN_STATS_INTERFACE")]
        const INTERFACE = 1 << 4;
        /// Each disk. Flat keys `block.*`.
        #[doc(alias = "VIR_DOMAIN_STATS_BLOCK")]
        const BLOCK = 1 << 5;
        /// Performance counters of the host. Flat keys `perf.*`.
        #[doc(alias = "VIR_DOMAIN_STATS_PERF")]
        const PERF = 1 << 6;
        /// Each iothread. Flat keys `iothread.*`.
        #[doc(alias = "VIR_DOMAIN_STATS_IOTHREAD")]
        const IOTHREAD = 1 << 7;
        /// Memory bandwidth monitors. Flat keys `memory.*`.
        #[doc(alias = "VIR_DOMAIN_STATS_MEMORY")]
        const MEMORY = 1 << 8;
        /// The last dirty rate measurement. Flat keys `dirtyrate.*`.
        #[doc(alias = "VIR_DOMAIN_STATS_DIRTYRATE")]
        const DIRTYRATE = 1 << 9;
        /// Hypervisor statistics of the domain. Flat keys `vm.*`.
        #[doc(alias = "VIR_DOMAIN_STATS_VM")]
        const VM = 1 << 10;
        /// Each crypto device; not in libvirt. Flat keys `cryptodev.*`.
        const CRYPTODEV = 1 << 25;
        /// The RFC's group for CPU statistics: the totals and each vCPU.
        #[doc(alias = "VIR_DOMAIN_STATS_CPU")]
        const CPU = Self::CPU_TOTAL.bits() | Self::VCPU.bits();

        // Unknown bits belong to a newer peer; they are kept, not truncated.
        const _ = !0;
    }
}

impl StatsGroups {
    /// Returns the 11 groups of libvirt, which the empty set stands for.
    #[must_use]
    pub const fn of_libvirt() -> Self {
        Self::from_bits_retain((1 << 11) - 1)
    }

    /// Returns the groups that this version knows: libvirt's, and those that it lacks.
    #[must_use]
    pub const fn all_known() -> Self {
        Self::of_libvirt().union(Self::CRYPTODEV)
    }
}

bitflags! {
    /// Which domains "all" means, with libvirt's bits
    /// (`virConnectGetAllDomainStatsFlags`, `virConnectListAllDomainsFlags`).
    ///
    /// The bits form three classes: active or not, persistent or not, and the state. A domain
    /// matches when it has one of the given bits of every class; a class without bits matches
    /// every domain. `ACTIVE | SHUTOFF` therefore matches nothing, and that is not an error.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    #[doc(alias = "virConnectGetAllDomainStatsFlags")]
    pub struct DomainFilter: u32 {
        /// Domains that have a process: running, paused, crashed but kept.
        const ACTIVE = 1;
        /// Domains that are defined but have no process.
        const INACTIVE = 1 << 1;
        /// Domains that stay defined when they stop.
        const PERSISTENT = 1 << 2;
        /// Domains that vanish when they stop.
        const TRANSIENT = 1 << 3;
        /// Domains whose state is running.
        const RUNNING = 1 << 4;
        /// Domains whose state is paused.
        const PAUSED = 1 << 5;
        /// Domains whose state is shut off.
        const SHUTOFF = 1 << 6;
        /// Domains in any other state.
        const OTHER = 1 << 7;

        // Unknown bits are kept so that the driver can refuse them by name.
        const _ = !0;
    }
}

impl DomainFilter {
    const BY_STATE: Self =
        Self::RUNNING.union(Self::PAUSED).union(Self::SHUTOFF).union(Self::OTHER);

    /// Returns the 8 filter bits that exist.
    #[must_use]
    pub const fn all_known() -> Self {
        Self::from_bits_retain(0xff)
    }

    /// Returns whether the filter depends on the state of a domain, which may need its monitor.
    #[must_use]
    pub fn needs_state(self) -> bool {
        self.intersects(Self::BY_STATE)
    }

    /// Returns whether a domain belongs to the answer, as far as its state does not decide it.
    #[must_use]
    pub fn matches_info(self, domain: &DomainInfo) -> bool {
        let class = |yes: Self, no: Self, is: bool| {
            !self.intersects(yes | no) || self.contains(if is { yes } else { no })
        };
        class(Self::ACTIVE, Self::INACTIVE, domain.id.is_some())
            && class(Self::PERSISTENT, Self::TRANSIENT, domain.persistent)
    }

    /// Returns whether a domain in this state belongs to the answer.
    #[must_use]
    pub fn matches_state(self, state: DomainState) -> bool {
        !self.needs_state()
            || self.contains(match state {
                DomainState::Running => Self::RUNNING,
                DomainState::Paused => Self::PAUSED,
                DomainState::Shutoff => Self::SHUTOFF,
                _ => Self::OTHER,
            })
    }
}

bitflags! {
    /// How to ask, with libvirt's bits (`virConnectGetAllDomainStatsFlags`).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct StatsOptions: u32 {
        /// Ask no monitor that is not free at once.
        #[doc(alias = "VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT")]
        const NOWAIT = 1 << 29;
        /// List every image of a disk's backing chain, not only the top one.
        #[doc(alias = "VIR_CONNECT_GET_ALL_DOMAINS_STATS_BACKING")]
        const BACKING = 1 << 30;
        /// An unsupported group is an error, not an omission.
        #[doc(alias = "VIR_CONNECT_GET_ALL_DOMAINS_STATS_ENFORCE_STATS")]
        const ENFORCE_STATS = 1 << 31;
    }
}

/// What to ask for. Cheap to clone, usable for any number of calls.
///
/// ```
/// use std::time::Duration;
/// use domstats::{DomainFilter, StatsGroups, StatsRequest};
///
/// let request = StatsRequest::new()
///     .groups(StatsGroups::STATE | StatsGroups::BLOCK)
///     .filter(DomainFilter::RUNNING)
///     .timeout(Duration::from_millis(300));
/// # let report = domstats::Connect::open("test:///default")?.all_domain_stats(&request)?;
/// # assert!(report.domains.iter().all(|domain| domain.block.is_some()));
/// # Ok::<(), domstats::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatsRequest {
    pub(crate) groups: StatsGroups,
    pub(crate) basic: StatsGroups,
    pub(crate) filter: DomainFilter,
    pub(crate) options: StatsOptions,
    pub(crate) timeout: Duration,
}

impl StatsRequest {
    /// The time a call may take when the request does not say: 1 second.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);

    /// Returns a request for every group of libvirt's of every domain, with a timeout of 1 second.
    #[must_use]
    pub fn new() -> Self {
        Self {
            groups: StatsGroups::empty(),
            basic: StatsGroups::empty(),
            filter: DomainFilter::empty(),
            options: StatsOptions::empty(),
            timeout: Self::DEFAULT_TIMEOUT,
        }
    }

    /// Returns the request that libvirt's two integers describe: `stats`, the mask of groups, and
    /// `flags`, the mask of filter bits and options. Bits that neither know stay in the filter,
    /// where the call refuses them.
    #[must_use]
    pub fn from_flags(stats: u32, flags: u32) -> Self {
        let options = StatsOptions::from_bits_truncate(flags);
        Self {
            groups: StatsGroups::from_bits_retain(stats),
            filter: DomainFilter::from_bits_retain(flags & !options.bits()),
            options,
            ..Self::new()
        }
    }

    /// Asks for these groups. The empty set, the default, asks for all of libvirt's that the driver
    /// supports.
    #[must_use]
    pub fn groups(mut self, groups: StatsGroups) -> Self {
        self.groups = groups;
        self
    }

    /// Of these groups, among those that are asked for, leaves out what costs the hypervisor a
    /// question of its own: the images of disks ([`BLOCK`](StatsGroups::BLOCK)), what the guest says
    /// of its memory ([`BALLOON`](StatsGroups::BALLOON)), what the hypervisor counts of vCPUs
    /// ([`CPU_TOTAL`](StatsGroups::CPU_TOTAL), [`VCPU`](StatsGroups::VCPU)). Those values are
    /// absent, and not listed as missing. A libvirt daemon is not
    /// asked for less than a group, and gives it whole.
    #[must_use]
    pub fn basic(mut self, groups: StatsGroups) -> Self {
        self.basic = groups;
        self
    }

    /// Asks for the domains that match. The empty filter, the default, matches all.
    #[must_use]
    pub fn filter(mut self, filter: DomainFilter) -> Self {
        self.filter = filter;
        self
    }

    /// Sets how to ask.
    #[must_use]
    pub fn options(mut self, options: StatsOptions) -> Self {
        self.options = options;
        self
    }

    /// The longest time that a call may take: a day.
    pub const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

    /// Sets the time after which the call returns with what it has, at most
    /// [`MAX_TIMEOUT`](Self::MAX_TIMEOUT).
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.min(Self::MAX_TIMEOUT);
        self
    }

    /// Returns until when a call that began then may ask: what is left of its time is for putting
    /// the answer together.
    pub(crate) fn deadline_to_ask(&self, start: Instant) -> Instant {
        const ASSEMBLY: Duration = Duration::from_millis(20);
        start + self.timeout.saturating_sub(ASSEMBLY.min(self.timeout / 4))
    }
}

impl Default for StatsRequest {
    fn default() -> Self {
        Self::new()
    }
}
