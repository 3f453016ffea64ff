//! A connection to a hypervisor, and the bulk call.

mod coalesce;
mod connection;
pub mod default_uri;
pub(crate) mod domain;
pub(crate) mod drivers;
pub(crate) mod libvirt_conf;
#[cfg(feature = "libvirt")]
pub mod wire;

use std::{fmt, sync::Arc};

use uuid::Uuid;

use crate::{
    connect::{
        connection::{Connection, by_name},
        domain::Domain,
    },
    driver::options::ConnectOptions,
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
/// Calls for statistics with the same request that arrive while such a call is in flight share
/// the next pass over the domains. A shared pass begins after each of its calls, so no report is
/// older than its call; it waits at most 20 ms for the pass in flight.
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

impl Connect {
    /// Opens a connection. Connections are read-only: no call of this library changes a domain.
    ///
    /// | URI | what it reads |
    /// |---|---|
    /// | `test:///default` | simulated domains, see [the test driver](crate::driver::test) |
    /// | `test:///path/to/file.xml` | a document that this library wrote |
    /// | `qemu+qmp:///system` | every QEMU process of this host |
    /// | `qemu+qmp:///session` | the caller's own QEMU processes |
    /// | `qemu:///system` | the libvirt daemon of this host |
    /// | `qemu:///session` | the caller's own libvirt daemon |
    /// | `qemu+tls://host/system`, `qemu+ssh://...`, `qemu+tcp://...`, `qemu+unix://...` | a libvirt daemon, by TLS, ssh, TCP or a socket that `?socket=` names |
    /// | `lxc:///system`, `test+unix:///default` and so on | libvirt's other drivers, in its daemon |
    ///
    /// libvirt's URIs mean what they mean to libvirt.
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

    /// Does what [`open`](Self::open) does, with options: how long it may take, and where the user's files
    /// are.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open).
    #[doc(alias = "virConnectOpenAuth")]
    pub fn open_with(uri: &str, options: &ConnectOptions) -> Result<Self> {
        Ok(Self { connection: Arc::new(Connection::open(uri, options)?) })
    }

    /// Checks a URI without contacting the hypervisor, so that a configuration is refused at once rather
    /// than when [`open`](Self::open) is called. Reads the files that the URI names.
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
        drivers::check(&uri.parse()?, options)
    }

    /// Returns the URI that was opened.
    #[must_use]
    #[doc(alias = "virConnectGetURI")]
    pub fn uri(&self) -> String {
        self.connection.uri().to_string()
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

    /// Returns the origin of its driver's errors.
    #[must_use]
    pub fn origin(&self) -> ErrorOrigin {
        self.connection.driver.origin()
    }

    /// Returns whether the connection is open and its hypervisor can be reached.
    #[must_use]
    #[doc(alias = "virConnectIsAlive")]
    pub fn is_alive(&self) -> bool {
        !self.connection.is_closed() && self.connection.driver.is_alive()
    }

    /// Closes the connection for every handle: releases the monitors that it holds, and makes later calls
    /// on it or its domains fail. Dropping the last handle does the same.
    #[doc(alias = "virConnectClose")]
    pub fn close(&self) {
        self.connection.close();
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
            // The state of a domain is a statistic.
            let request = StatsRequest::new().groups(StatsGroups::STATE).filter(filter);
            let report = self.all_domain_stats(&request)?;
            report.domains.into_iter().map(|stats| stats.domain).collect()
        } else {
            let mut infos = self.connection.domains()?;
            DomainInfo::note_conflicts(infos.iter_mut());
            infos.retain(|info| filter.matches_info(info));
            infos.sort_by(by_name);
            infos
        };
        Ok(infos.into_iter().map(|info| self.domain(info)).collect())
    }

    /// Returns the domain of this name. Domains of [untrusted](DomainInfo::untrusted) users are found by
    /// number only.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoDomain`] if there is none, [`ErrorKind::Ambiguous`] if there are several, else those
    /// of [`domains`](Self::domains).
    #[doc(alias = "virDomainLookupByName")]
    pub fn domain_by_name(&self, name: &str) -> Result<Domain> {
        self.lookup(|info| info.name == name, &format!("the name '{name}'"))
    }

    /// Returns the domain with this UUID. Domains of [untrusted](DomainInfo::untrusted) users are found by
    /// number only.
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
        let processes = self.connection.driver.as_processes();
        if let Some(info) = processes.and_then(|processes| processes.known(id)) {
            return Ok(self.domain(info));
        }
        let infos = self.connection.domains()?;
        let info = infos.into_iter().find(|info| info.id == Some(id)).ok_or_else(|| {
            let sentence = format!("no active domain with the id {id}");
            Error::new(ErrorKind::NoDomain, self.origin(), sentence)
        })?;
        Ok(self.domain(info))
    }

    /// Returns the statistics of all domains that match the request, by name.
    ///
    /// The call returns within the request's timeout, whatever the domains do; what could not be
    /// read is listed with its reason in each record and in
    /// [`missing`](crate::StatsReport::missing).
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::InvalidConnection`] after [`close`](Self::close).
    /// - [`ErrorKind::InvalidArgument`] if the request has a flag that does not exist.
    /// - [`ErrorKind::ArgumentUnsupported`] if a group is not supported and the request has
    ///   [`ENFORCE_STATS`](crate::StatsOptions::ENFORCE_STATS).
    /// - The driver's error if nothing at all can be read. One broken domain is never an error.
    #[doc(alias = "virConnectGetAllDomainStats")]
    pub fn all_domain_stats(&self, request: &StatsRequest) -> Result<StatsReport> {
        self.connection.check_open()?;
        self.connection.domain_list_stats(None, request)
    }

    fn lookup(&self, is: impl Fn(&DomainInfo) -> bool, what: &str) -> Result<Domain> {
        self.connection.check_open()?;
        let mut infos = self.connection.domains()?;
        DomainInfo::note_conflicts(infos.iter_mut());
        let claimants = infos.into_iter().filter(is);
        Ok(self.domain(DomainInfo::meant(claimants, what, self.origin())?))
    }

    /// Returns the handle of a domain that a report of this connection names, without a query.
    #[must_use]
    pub fn domain(&self, info: DomainInfo) -> Domain {
        Domain { connection: Arc::clone(&self.connection), info }
    }
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect").field("uri", &self.uri()).finish_non_exhaustive()
    }
}
