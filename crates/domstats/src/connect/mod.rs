//! A connection to a hypervisor, and the bulk call.

mod coalesce;
pub mod default_uri;
pub(crate) mod domain;
pub(crate) mod libvirt_conf;

use std::{
    cmp::Ordering,
    fmt,
    sync::{
        Arc,
        atomic::{self, AtomicBool},
    },
    time::{Duration, Instant},
};

use domstats_rpc::procedure::ProcedureId;
use uuid::Uuid;

use crate::{
    connect::{coalesce::SharedPasses, domain::Domain},
    driver::{self, Asks, Driver, Relayed, options::ConnectOptions, uri::Uri},
    model::{
        error::{Error, ErrorKind, ErrorOrigin, Result},
        identity::DomainInfo,
        report::StatsReport,
        request::{DomainFilter, StatsGroups, StatsRequest},
    },
};

/// A connection to a hypervisor. A cheap handle: clone it, send it to another thread. Calls from
/// several threads at once are safe and do not wait for each other's stuck domains.
///
/// Calls for statistics that have the same request and come while such a call is under way share
/// the next pass over the domains, and each gets its report. A pass that several share begins
/// after each of them did, so nobody gets numbers older than the call; it waits for the one under
/// way for at most 20 ms.
///
/// ```
/// use domstats::{Connect, StatsRequest};
///
/// let connect = Connect::open("test:///default")?;
/// let report = connect.all_domain_stats(&StatsRequest::new())?;
/// for domain in &report.domains {
///     println!("{}: {:?}", domain.domain.name, domain.cpu.as_ref().and_then(|cpu| cpu.time));
/// }
/// # Ok::<(), domstats::Error>(())
/// ```
#[derive(Clone)]
#[doc(alias = "virConnectPtr")]
pub struct Connect {
    pub(crate) connection: Arc<Connection>,
}

/// What the handles share.
pub(crate) struct Connection {
    pub(crate) driver: Box<dyn Driver>,
    uri: Uri,
    closed: AtomicBool,
    passes: SharedPasses,
}

impl Connect {
    /// Opens a connection. Connections are read-only: no call of this library changes a domain.
    ///
    /// | URI | what it reads |
    /// |---|---|
    /// | `test:///default` | domains made up by the library, see [the test driver](crate::driver::test) |
    /// | `test:///path/to/file.xml` | a document that this library wrote |
    /// | `qemu+qmp:///system` | every QEMU process of this host |
    /// | `qemu+qmp:///session` | the caller's own QEMU processes |
    /// | `qemu:///system` | the libvirt daemon of this host |
    /// | `qemu:///session` | the caller's own libvirt daemon |
    /// | `qemu+tls://host/system`, `qemu+ssh://...`, `qemu+tcp://...`, `qemu+unix://...` | a libvirt daemon, by TLS, ssh, TCP or a socket that `?socket=` names |
    /// | `lxc:///system`, `test+unix:///default` and so on | libvirt's other drivers, in its daemon |
    ///
    /// URIs of libvirt mean what they mean to libvirt.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`] for a malformed URI or an unknown parameter,
    /// [`ErrorKind::NoConnect`] for a URI that no driver serves, and whatever the driver finds.
    #[doc(alias = "virConnectOpen")]
    #[doc(alias = "virConnectOpenReadOnly")]
    pub fn open(uri: &str) -> Result<Self> {
        Self::open_with(uri, &ConnectOptions::new())
    }

    /// Opens a connection with options: how long it may take, where the user's files are. Else it
    /// is [`open`](Self::open).
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open).
    #[doc(alias = "virConnectOpenAuth")]
    pub fn open_with(uri: &str, options: &ConnectOptions) -> Result<Self> {
        let uri: Uri = uri.parse()?;
        let driver = driver::open(&uri, options)?;
        let passes = SharedPasses::default();
        let connection = Connection { driver, uri, closed: AtomicBool::new(false), passes };
        Ok(Self { connection: Arc::new(connection) })
    }

    /// Says what is wrong with a URI, before anything is asked by it: whoever keeps one in a
    /// configuration learns at once what [`open`](Self::open) would find only later. Files that a
    /// URI names are read; whether the hypervisor answers is not looked at.
    ///
    /// ```
    /// use domstats::{Connect, ConnectOptions};
    ///
    /// let error = Connect::check("qemu+qmp:///system?hold=1", &ConnectOptions::new()).unwrap_err();
    /// assert!(error.to_string().contains("no parameter 'hold'"));
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open) that do not depend on the hypervisor.
    pub fn check(uri: &str, options: &ConnectOptions) -> Result<()> {
        driver::check(&uri.parse()?, options)
    }

    /// Returns the URI that was opened.
    #[must_use]
    #[doc(alias = "virConnectGetURI")]
    pub fn uri(&self) -> String {
        self.connection.uri.to_string()
    }

    /// Returns the name of the host that the domains run on.
    #[must_use]
    #[doc(alias = "virConnectGetHostname")]
    pub fn hostname(&self) -> String {
        self.connection.driver.hostname()
    }

    /// Returns the driver's name, as libvirt spells it: `QEMU` or `TEST`.
    #[must_use]
    #[doc(alias = "virConnectGetType")]
    pub fn driver_name(&self) -> &str {
        self.connection.driver.name()
    }

    /// Returns who says the errors of its driver.
    #[must_use]
    pub fn origin(&self) -> ErrorOrigin {
        self.connection.driver.origin()
    }

    /// Returns whether the connection was not closed and its hypervisor can be asked.
    #[must_use]
    #[doc(alias = "virConnectIsAlive")]
    pub fn is_alive(&self) -> bool {
        !self.connection.is_closed() && self.connection.driver.is_alive()
    }

    /// Closes the connection for every handle: monitors that it holds are let go, and later calls
    /// on it or its domains are errors. Dropping the last handle does the same.
    #[doc(alias = "virConnectClose")]
    pub fn close(&self) {
        self.connection.closed.store(true, atomic::Ordering::Release);
        self.connection.driver.close();
    }

    /// Returns the groups that the driver can give for at least some domains.
    #[must_use]
    pub fn supported_groups(&self) -> StatsGroups {
        self.connection.driver.supported()
    }

    /// Returns the domains that match, by name.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConnection`] after [`close`](Self::close),
    /// [`ErrorKind::InvalidArgument`] for a filter bit that does not exist, and whatever the
    /// driver finds.
    #[doc(alias = "virConnectListAllDomains")]
    pub fn domains(&self, filter: DomainFilter) -> Result<Vec<Domain>> {
        self.connection.check_open()?;
        self.connection.check_filter(filter)?;
        let infos = if filter.needs_state() {
            // The state of a domain is a statistic like any other.
            let request = StatsRequest::new().groups(StatsGroups::STATE).filter(filter);
            let report = self.all_domain_stats(&request)?;
            report.domains.into_iter().map(|stats| stats.domain).collect()
        } else {
            let mut infos = self.connection.driver.domains()?;
            DomainInfo::note_conflicts(infos.iter_mut());
            infos.retain(|info| filter.matches_info(info));
            infos.sort_by(by_name);
            infos
        };
        Ok(infos.into_iter().map(|info| self.domain(info)).collect())
    }

    /// Returns the domain of this name. What a user calls a domain who is not
    /// [trusted](DomainInfo::untrusted) does not count: those are found by their number.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoDomain`] if there is none, [`ErrorKind::Ambiguous`] if there are several, else those
    /// of [`domains`](Self::domains).
    #[doc(alias = "virDomainLookupByName")]
    pub fn domain_by_name(&self, name: &str) -> Result<Domain> {
        self.lookup(|info| info.name == name, &format!("the name '{name}'"))
    }

    /// Returns the domain with this UUID. That of a user who is not [trusted](DomainInfo::untrusted) does
    /// not count: such a domain is found by its number.
    ///
    /// # Errors
    ///
    /// Those of [`domain_by_name`](Self::domain_by_name).
    #[doc(alias = "virDomainLookupByUUID")]
    pub fn domain_by_uuid(&self, uuid: Uuid) -> Result<Domain> {
        self.lookup(|info| info.uuid == Some(uuid), &format!("the UUID {uuid}"))
    }

    /// Returns the active domain with this number.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoDomain`] if there is none, else those of [`domains`](Self::domains).
    #[doc(alias = "virDomainLookupByID")]
    pub fn domain_by_id(&self, id: u32) -> Result<Domain> {
        self.connection.check_open()?;
        if let Some(info) = self.connection.driver.known(id) {
            return Ok(self.domain(info));
        }
        let infos = self.connection.driver.domains()?;
        let info = infos.into_iter().find(|info| info.id == Some(id)).ok_or_else(|| {
            let sentence = format!("no active domain with the id {id}");
            Error::new(ErrorKind::NoDomain, self.origin(), sentence)
        })?;
        Ok(self.domain(info))
    }

    /// Returns the statistics of all domains that match the request, by name.
    ///
    /// The call returns within the request's timeout, whatever the domains do; what could not be
    /// had is listed with its reason in each record and in
    /// [`missing`](crate::StatsReport::missing).
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::InvalidConnection`] after [`close`](Self::close).
    /// - [`ErrorKind::InvalidArgument`] if the request has a flag that does not exist.
    /// - [`ErrorKind::ArgumentUnsupported`] if a group is not supported and the request has
    ///   [`ENFORCE_STATS`](crate::StatsOptions::ENFORCE_STATS).
    /// - Whatever the driver finds when nothing at all can be read. One broken domain is never an
    ///   error.
    #[doc(alias = "virConnectGetAllDomainStats")]
    pub fn all_domain_stats(&self, request: &StatsRequest) -> Result<StatsReport> {
        self.connection.check_open()?;
        self.connection.domain_list_stats(None, request)
    }

    /// Hands a call of libvirt's protocol on to the daemon behind the connection, for a server that
    /// speaks that protocol too: a procedure, which can only be one that reads, and the bytes of its
    /// arguments. Returns the bytes of its result, or the daemon's own error; `None` if there is no
    /// such daemon. A procedure that may ask the monitor of a domain is to be called by
    /// [`Domain::relay`] or [`Domain::relay_if_free`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConnection`] after [`close`](Self::close), [`ErrorKind::Timeout`] if the
    /// daemon did not answer in time, and whatever keeps from reaching it.
    pub fn relay(
        &self,
        procedure: ProcedureId,
        arguments: &[u8],
        timeout: Duration,
    ) -> Option<Result<Relayed>> {
        if let Err(error) = self.connection.check_open() {
            return Some(Err(error));
        }
        self.connection.relay(Asks::Nobody, procedure, arguments, timeout)
    }

    fn lookup(&self, is: impl Fn(&DomainInfo) -> bool, what: &str) -> Result<Domain> {
        self.connection.check_open()?;
        let mut infos = self.connection.driver.domains()?;
        DomainInfo::note_conflicts(infos.iter_mut());
        let claimants = infos.into_iter().filter(is);
        Ok(self.domain(DomainInfo::meant(claimants, what, self.origin())?))
    }

    /// Returns the handle of a domain that a report of this connection names. Nobody is asked.
    #[must_use]
    pub fn domain(&self, info: DomainInfo) -> Domain {
        Domain { connection: Arc::clone(&self.connection), info }
    }
}

impl Connection {
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(atomic::Ordering::Acquire)
    }

    fn check_open(&self) -> Result<()> {
        if self.is_closed() {
            return Err(Error::new(
                ErrorKind::InvalidConnection,
                ErrorOrigin::Domain,
                format!("the connection to {} was closed", self.uri),
            ));
        }
        Ok(())
    }

    fn check_filter(&self, filter: DomainFilter) -> Result<()> {
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

    /// Hands a call on to the daemon behind the driver.
    pub(crate) fn relay(
        &self,
        asks: Asks<'_>,
        procedure: ProcedureId,
        arguments: &[u8],
        timeout: Duration,
    ) -> Option<Result<Relayed>> {
        let deadline = Instant::now() + timeout.min(StatsRequest::MAX_TIMEOUT);
        self.driver.relay(asks, procedure, arguments, deadline)
    }

    /// The one way to the driver: called once, with `None` for all domains or with the list.
    pub(crate) fn domain_list_stats(
        &self,
        of: Option<&[DomainInfo]>,
        request: &StatsRequest,
    ) -> Result<StatsReport> {
        self.check_filter(request.filter)?;
        let mut request = request.clone();
        request.groups = self.driver.groups(&request)?;
        self.passes.report(of, &request, |request| {
            let mut report = self.driver.domain_list_stats(of, request)?;
            if of.is_none() {
                report.note_conflicts();
                report.domains.sort_by(|a, b| by_name(&a.domain, &b.domain));
            }
            Ok(report)
        })
    }
}

/// The order of "all" domains; several processes can bear one name.
fn by_name(a: &DomainInfo, b: &DomainInfo) -> Ordering {
    a.name.cmp(&b.name).then(a.id.cmp(&b.id))
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect").field("uri", &self.uri()).finish_non_exhaustive()
    }
}
