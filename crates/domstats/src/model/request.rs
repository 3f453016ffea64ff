//! The request: groups, a filter, options and a timeout.

use std::time::{Duration, Instant};

use bitflags::bitflags;

pub(crate) use crate::model::groups::StatsGroups;
use crate::model::{identity::DomainInfo, stats::DomainState};

bitflags! {
    /// Which domains to read, with libvirt's bits
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

        // Unknown bits are kept so that the call can reject them by number.
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

    /// Returns whether a domain matches, its state aside.
    #[must_use]
    pub fn matches_info(self, domain: &DomainInfo) -> bool {
        let class = |yes: Self, no: Self, is: bool| {
            !self.intersects(yes | no) || self.contains(if is { yes } else { no })
        };
        class(Self::ACTIVE, Self::INACTIVE, domain.id.is_some())
            && class(Self::PERSISTENT, Self::TRANSIENT, domain.persistent)
    }

    /// Returns whether a domain in this state matches.
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
    /// The options of a call, with libvirt's bits (`virConnectGetAllDomainStatsFlags`).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct StatsOptions: u32 {
        /// Skip busy monitors.
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

/// A request for statistics. Cheap to clone, usable for any number of calls.
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
    /// The default timeout: 1 second.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);

    /// Returns a request for all of libvirt's groups of all domains, with a timeout of 1 second.
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
    /// `flags`, the mask of filter bits and options. Unknown bits stay in the filter, and the call
    /// rejects them.
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

    /// Selects groups. The empty set, the default, selects all of libvirt's that the driver supports.
    #[must_use]
    pub fn groups(mut self, groups: StatsGroups) -> Self {
        self.groups = groups;
        self
    }

    /// Reads these groups, if they are selected, without what costs the hypervisor a query of its
    /// own: the images of disks ([`BLOCK`](StatsGroups::BLOCK)), the guest's memory statistics
    /// ([`BALLOON`](StatsGroups::BALLOON)), the hypervisor's statistics of vCPUs
    /// ([`CPU_TOTAL`](StatsGroups::CPU_TOTAL), [`VCPU`](StatsGroups::VCPU)). Those values are absent,
    /// and not listed as missing. libvirt always returns a whole group.
    #[must_use]
    pub fn basic(mut self, groups: StatsGroups) -> Self {
        self.basic = groups;
        self
    }

    /// Returns whether it selects a group, and not only as [`basic`](Self::basic).
    pub(crate) fn wants_whole(&self, group: StatsGroups) -> bool {
        self.groups.contains(group) && !self.basic.contains(group)
    }

    /// Selects the domains that match. The empty filter, the default, matches all.
    #[must_use]
    pub fn filter(mut self, filter: DomainFilter) -> Self {
        self.filter = filter;
        self
    }

    /// Sets the options.
    #[must_use]
    pub fn options(mut self, options: StatsOptions) -> Self {
        self.options = options;
        self
    }

    /// The longest timeout: a day.
    pub const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

    /// Sets the timeout, at most [`MAX_TIMEOUT`](Self::MAX_TIMEOUT): the call returns by then with
    /// everything it has.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.min(Self::MAX_TIMEOUT);
        self
    }

    /// Returns the deadline for the queries of a call that began at `start`: the rest of the timeout is
    /// for assembling the report.
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
