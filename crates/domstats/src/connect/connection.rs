//! What the handles of one connection share: its driver, and the checks that all drivers need.

use std::{
    cmp::Ordering,
    sync::atomic::{self, AtomicBool},
    time::{Duration, Instant},
};

use crate::{
    connect::{coalesce::Coalescer, drivers},
    driver::{Driver, options::ConnectOptions, uri::Uri},
    model::{
        error::{Error, ErrorKind, ErrorOrigin, Result},
        identity::DomainInfo,
        report::StatsReport,
        request::{DomainFilter, StatsGroups, StatsOptions, StatsRequest},
        stats::GROUPS,
    },
};

/// What the handles share.
pub(crate) struct Connection {
    pub(super) driver: Box<dyn Driver>,
    uri: Uri,
    /// The timeout of calls that read no statistics and have no timeout of their own.
    timeout: Duration,
    closed: AtomicBool,
    passes: Coalescer,
}

impl Connection {
    pub(super) fn open(uri: &str, options: &ConnectOptions) -> Result<Self> {
        let uri: Uri = uri.parse()?;
        let driver = drivers::open(&uri, options)?;
        let (timeout, closed) = (options.timeout, AtomicBool::new(false));
        Ok(Self { driver, uri, timeout, closed, passes: Coalescer::default() })
    }

    pub(super) fn uri(&self) -> &Uri {
        &self.uri
    }

    pub(super) fn close(&self) {
        self.closed.store(true, atomic::Ordering::Release);
        self.driver.close();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(atomic::Ordering::Acquire)
    }

    pub(super) fn check_open(&self) -> Result<()> {
        if self.is_closed() {
            return Err(Error::new(
                ErrorKind::InvalidConnection,
                ErrorOrigin::Domain,
                format!("the connection to {} was closed", self.uri),
            ));
        }
        Ok(())
    }

    pub(super) fn check_filter(&self, filter: DomainFilter) -> Result<()> {
        let unknown = filter.difference(DomainFilter::all_known());
        if unknown.is_empty() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::InvalidArgument,
            self.driver.origin(),
            format!("unsupported flags {:#x}", unknown.bits()),
        ))
    }

    /// Returns every domain, in any order.
    pub(super) fn domains(&self) -> Result<Vec<DomainInfo>> {
        self.driver.domains(deadline(self.timeout))
    }

    /// Returns a capability of the driver.
    ///
    /// # Errors
    ///
    /// If the driver lacks it.
    pub(super) fn capability<T>(&self, capability: Option<T>, lacks: &str) -> Result<T> {
        capability.ok_or_else(|| {
            let sentence = format!("the {} driver {lacks}", self.driver.name());
            Error::new(ErrorKind::NoSupport, self.driver.origin(), sentence)
        })
    }

    /// Calls the driver once, with `None` for all domains or with the list.
    pub(super) fn domain_list_stats(
        &self,
        listed: Option<&[DomainInfo]>,
        request: &StatsRequest,
    ) -> Result<StatsReport> {
        self.check_filter(request.filter)?;
        let mut request = request.clone();
        request.groups = self.groups(&request)?;
        self.passes.report(listed, &request, |request| {
            let mut report = self.driver.domain_list_stats(listed, request)?;
            if listed.is_none() {
                report.note_conflicts();
                report.domains.sort_by(|a, b| by_name(&a.domain, &b.domain));
            }
            Ok(report)
        })
    }

    /// Returns the groups to read: those of the request, or all of libvirt's. Refuses what is not
    /// supported, if the request says so.
    fn groups(&self, request: &StatsRequest) -> Result<StatsGroups> {
        if self.driver.leaves_groups_to_peer() {
            return Ok(request.groups);
        }
        let supported = self.driver.supported();
        let unsupported = request.groups.difference(supported);
        if request.options.contains(StatsOptions::ENFORCE_STATS) && !unsupported.is_empty() {
            return Err(Error::new(
                ErrorKind::ArgumentUnsupported,
                self.driver.origin(),
                format!(
                    "the {} driver does not support the stats groups {}",
                    self.driver.name(),
                    names(unsupported)
                ),
            ));
        }
        Ok(match request.groups.is_empty() {
            true => supported & StatsGroups::of_libvirt(),
            false => request.groups,
        })
    }
}

/// Returns when a call that starts now must return.
pub(super) fn deadline(timeout: Duration) -> Instant {
    Instant::now() + timeout.min(StatsRequest::MAX_TIMEOUT)
}

/// The order of "all" domains; several processes can have one name.
pub(super) fn by_name(a: &DomainInfo, b: &DomainInfo) -> Ordering {
    a.name.cmp(&b.name).then(a.id.cmp(&b.id))
}

/// Returns the names of groups, and unknown bits as a number.
fn names(groups: StatsGroups) -> String {
    let known = GROUPS.iter().filter(|group| groups.contains(group.bit));
    let mut names: Vec<_> = known.map(|group| group.name.to_owned()).collect();
    let unknown = groups.difference(StatsGroups::all_known());
    if !unknown.is_empty() {
        names.push(format!("{:#x}", unknown.bits()));
    }
    names.join(", ")
}
