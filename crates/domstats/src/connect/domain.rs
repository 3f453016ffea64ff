//! The handle of a domain.

use std::{fmt, sync::Arc, time::Duration};

use uuid::Uuid;

use crate::{
    connect::{
        Connect,
        connection::{Connection, deadline},
    },
    model::{
        device::{Monitor, Nic},
        error::{Error, ErrorKind, ErrorOrigin, Result},
        identity::DomainInfo,
        report::{DomainStats, MissingReason, StatsReport},
        request::StatsRequest,
    },
};

/// A domain of a [`Connect`]. A cheap handle: clone it, send it to another thread.
///
/// ```
/// use domstats::{Connect, Domain, DomainFilter, StatsGroups, StatsRequest};
///
/// let connect = Connect::open("test:///default")?;
/// let domains = connect.domains(DomainFilter::ACTIVE)?;
/// let request = StatsRequest::new().groups(StatsGroups::CPU);
/// let report = Domain::list_stats(&domains, &request)?;
/// assert_eq!(report.domains.len(), domains.len());
/// # Ok::<(), domstats::Error>(())
/// ```
#[derive(Clone)]
#[doc(alias = "virDomainPtr")]
pub struct Domain {
    pub(crate) connection: Arc<Connection>,
    pub(crate) info: DomainInfo,
}

impl Domain {
    /// Returns the identity of the domain when it was looked up.
    #[must_use]
    pub fn info(&self) -> &DomainInfo {
        &self.info
    }

    /// Returns its name.
    #[must_use]
    #[doc(alias = "virDomainGetName")]
    pub fn name(&self) -> &str {
        &self.info.name
    }

    /// Returns its UUID, if it has one.
    #[must_use]
    #[doc(alias = "virDomainGetUUID")]
    pub fn uuid(&self) -> Option<Uuid> {
        self.info.uuid
    }

    /// Returns its number if it was active when it was looked up.
    #[must_use]
    #[doc(alias = "virDomainGetID")]
    pub fn id(&self) -> Option<u32> {
        self.info.id
    }

    /// Returns the connection that the domain belongs to.
    #[must_use]
    #[doc(alias = "virDomainGetConnect")]
    pub fn connect(&self) -> Connect {
        Connect { connection: Arc::clone(&self.connection) }
    }

    /// Returns the statistics of this domain.
    ///
    /// # Errors
    ///
    /// Those of [`Domain::list_stats`], [`ErrorKind::NoDomain`] if the domain is gone, and
    /// [`ErrorKind::Ambiguous`] if several could be it since then.
    #[doc(alias = "virDomainGetStats")]
    pub fn stats(&self, request: &StatsRequest) -> Result<DomainStats> {
        let report = Self::list_stats(std::slice::from_ref(self), request)?;
        report.domains.into_iter().next().ok_or_else(|| {
            let (kind, reason) = match report.missing.first().map(|missing| &missing.missing) {
                None => {
                    (ErrorKind::NoDomain, "does not match the filter of the request".to_owned())
                }
                Some(missing) if missing.reason == MissingReason::Ambiguous => {
                    (ErrorKind::Ambiguous, format!("is {missing}"))
                }
                Some(missing) => (ErrorKind::NoDomain, format!("is {}", missing.reason)),
            };
            self.error(kind, &reason)
        })
    }

    /// Looks the domain up again: the same process or, if it was restarted, the only domain of its user, or
    /// of a trusted one, that has its UUID or, without one, its name.
    ///
    /// # Errors
    ///
    /// Those of [`Connect::domains`], [`ErrorKind::NoDomain`] if it is gone, and [`ErrorKind::Ambiguous`]
    /// if several could be it.
    pub fn again(&self) -> Result<Self> {
        self.check_open()?;
        let infos = self.connection.domains()?;
        match DomainInfo::place(&infos, &self.info) {
            Ok(Some(place)) => Ok(self.connect().domain(infos[place].clone())),
            Ok(None) => Err(self.error(ErrorKind::NoDomain, "is gone")),
            Err(missing) => Err(self.error(ErrorKind::Ambiguous, &format!("is {missing}"))),
        }
    }

    fn error(&self, kind: ErrorKind, what: &str) -> Error {
        let sentence = format!("domain '{}' {what}", self.info.name);
        Error::new(kind, self.connection.driver.origin(), sentence)
    }

    /// Returns the domain's current description in libvirt's XML, within this time.
    ///
    /// It is what a read-only client gets: without passwords. Only libvirt daemons have descriptions.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::InvalidDomain`] if the connection was closed.
    /// - [`ErrorKind::NoSupport`] if the driver has none, [`ErrorKind::NoDomain`] if the domain is
    ///   gone, [`ErrorKind::Timeout`] if the daemon did not answer in time.
    #[doc(alias = "virDomainGetXMLDesc")]
    pub fn xml(&self, timeout: Duration) -> Result<String> {
        self.check_open()?;
        let descriptions = self.connection.driver.as_descriptions();
        let lacks = "has no descriptions of domains";
        self.connection.capability(descriptions, lacks)?.xml(&self.info, deadline(timeout))
    }

    /// Returns the NICs whose network device on the host is certain, within this time. Queries the
    /// QEMU, because NICs are plugged in and out after its command line. libvirt has them in
    /// [descriptions](Self::xml).
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::InvalidDomain`] if the connection was closed.
    /// - [`ErrorKind::NoSupport`] if the driver does not know, or the QEMU has no usable monitor,
    ///   [`ErrorKind::NoDomain`] if the domain is gone, [`ErrorKind::Timeout`] if its monitor did not
    ///   answer in time, [`ErrorKind::AccessDenied`] and [`ErrorKind::Internal`] if it cannot be
    ///   queried for another reason.
    pub fn nics(&self, timeout: Duration) -> Result<Vec<Nic>> {
        self.check_open()?;
        let nics = self.connection.driver.as_nics();
        let lacks = "tells NICs in descriptions only";
        self.connection.capability(nics, lacks)?.nics(&self.info, deadline(timeout))
    }

    /// Returns the monitors of the domain's QEMU, as the last call for its statistics found them, without
    /// a query.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::InvalidDomain`] if the connection was closed.
    /// - [`ErrorKind::NoSupport`] if the driver queries no monitors itself, [`ErrorKind::NoDomain`] if it
    ///   was not among the domains of the last call.
    pub fn monitors(&self) -> Result<Vec<Monitor>> {
        self.check_open()?;
        let processes = self.connection.driver.as_processes();
        let lacks = "asks no monitors itself";
        self.connection.capability(processes, lacks)?.monitors(&self.info)
    }

    fn check_open(&self) -> Result<()> {
        if self.connection.is_closed() {
            return Err(Error::new(
                ErrorKind::InvalidDomain,
                ErrorOrigin::Domain,
                format!("domain '{}' belongs to a closed connection", self.name()),
            ));
        }
        Ok(())
    }

    /// Returns the statistics of these domains, in one call to their driver: a record for every
    /// occurrence in the list, in its order. A domain that vanished has no record; the report's
    /// [`missing`](StatsReport::missing) names it.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::InvalidArgument`] if the list is empty or the domains belong to different
    ///   connections, or if the request has a flag that does not exist.
    /// - [`ErrorKind::InvalidDomain`] if a domain's connection was closed.
    /// - [`ErrorKind::ArgumentUnsupported`] if a group is not supported and the request has
    ///   [`ENFORCE_STATS`](crate::StatsOptions::ENFORCE_STATS).
    #[doc(alias = "virDomainListGetStats")]
    pub fn list_stats(domains: &[Self], request: &StatsRequest) -> Result<StatsReport> {
        let refuse = |kind, context| Err(Error::new(kind, ErrorOrigin::Domain, context));
        let Some(first) = domains.first() else {
            return refuse(
                ErrorKind::InvalidArgument,
                "the list of domains is empty: name at least one domain".to_owned(),
            );
        };
        // Every domain is checked and queried, the first one included: the RFC's draft left it out of
        // both.
        for domain in domains {
            domain.check_open()?;
            if !Arc::ptr_eq(&domain.connection, &first.connection) {
                return refuse(
                    ErrorKind::InvalidArgument,
                    format!(
                        "domain '{}' belongs to another connection than '{}': ask each connection \
                         for its own domains",
                        domain.name(),
                        first.name()
                    ),
                );
            }
        }
        let infos: Vec<DomainInfo> = domains.iter().map(|domain| domain.info.clone()).collect();
        first.connection.domain_list_stats(Some(&infos), request)
    }
}

impl AsRef<DomainInfo> for Domain {
    fn as_ref(&self) -> &DomainInfo {
        &self.info
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Domain").field("info", &self.info).finish_non_exhaustive()
    }
}
