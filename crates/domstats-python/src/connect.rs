//! `virConnect`.

use std::sync::{Mutex, MutexGuard};

use domstats::{
    ConnectOptions, DomainFilter, ErrorKind, ErrorOrigin, StatsRequest, Uuid, default_uri,
    sync::lock,
};
use pyo3::{
    prelude::*,
    types::{PyDict, PyList},
};

use crate::{
    domain::{self, Domain},
    error::Failure,
    report::StatsReport,
    request::{Arguments, bits, seconds},
    section,
};

/// The result of `getAllDomainStats`: domains with their statistics by flat keys.
type Records<'py> = Vec<(Bound<'py, Domain>, Bound<'py, PyDict>)>;

/// Opens a connection to the hypervisor at a URI, within `timeout` seconds (5 if not given).
///
/// Every connection is read-only: no call changes a domain. libvirt's URIs have libvirt's meaning;
/// `qemu+qmp:///system` reads QEMU processes without libvirt, `test:///default` simulates domains.
///
/// Without a name, the URI is that of `DOMSTATS_DEFAULT_URI` or `LIBVIRT_DEFAULT_URI` in the
/// environment or of `uri_default` in `libvirt.conf`, else the libvirt daemon of this host, else its
/// QEMU processes.
#[pyfunction]
#[pyo3(signature = (name=None, *, timeout=None))]
pub(crate) fn open(py: Python<'_>, name: Option<&str>, timeout: Option<f64>) -> PyResult<Connect> {
    let timeout = seconds(timeout, ConnectOptions::DEFAULT_TIMEOUT)?;
    // The environment is that of the process: `os.environ` writes it.
    let connect =
        py.detach(|| default_uri::open(name, &ConnectOptions::from_env().timeout(timeout)));
    Ok(Connect(Mutex::new(Some(connect.map_err(Failure::from)?))))
}

/// Opens a connection to the hypervisor at a URI. The same as `open`.
#[pyfunction(name = "openReadOnly")]
#[pyo3(signature = (name=None, *, timeout=None))]
pub(crate) fn open_read_only(
    py: Python<'_>,
    name: Option<&str>,
    timeout: Option<f64>,
) -> PyResult<Connect> {
    open(py, name, timeout)
}

/// A connection to a hypervisor. Calls from several threads run side by side.
#[pyclass(frozen, name = "virConnect", module = "domstats")]
pub(crate) struct Connect(
    /// `None` after `close`: its domains keep the connection.
    Mutex<Option<domstats::Connect>>,
);

impl Connect {
    fn lock(&self) -> MutexGuard<'_, Option<domstats::Connect>> {
        lock(&self.0)
    }

    fn connection(&self) -> Result<domstats::Connect, Failure> {
        self.lock().clone().ok_or_else(|| closed(ErrorOrigin::Domain))
    }

    /// Makes a call without the interpreter's lock.
    fn ask<T: Send>(
        &self,
        py: Python<'_>,
        ask: impl FnOnce(&domstats::Connect) -> domstats::Result<T> + Send,
    ) -> PyResult<T> {
        let connect = self.connection()?;
        Ok(py.detach(|| ask(&connect)).map_err(Failure::from)?)
    }

    fn domain<'py>(
        slf: &Bound<'py, Self>,
        domain: domstats::Domain,
    ) -> PyResult<Bound<'py, Domain>> {
        Bound::new(slf.py(), Domain { domain, connect: slf.clone().unbind() })
    }

    fn lookup<'py>(
        slf: &Bound<'py, Self>,
        ask: impl FnOnce(&domstats::Connect) -> domstats::Result<domstats::Domain> + Send,
    ) -> PyResult<Bound<'py, Domain>> {
        Self::domain(slf, slf.get().ask(slf.py(), ask)?)
    }

    fn report(
        &self,
        py: Python<'_>,
        of: Option<&[Bound<'_, Domain>]>,
        request: &StatsRequest,
    ) -> PyResult<domstats::StatsReport> {
        let Some(of) = of else {
            return self.ask(py, |connect| connect.all_domain_stats(request));
        };
        // As in libvirt, the domains' own connection counts, not the one of this call.
        let domains: Vec<_> = of.iter().map(|domain| domain.get().domain.clone()).collect();
        let report = py.detach(|| domstats::Domain::list_stats(&domains, request));
        Ok(report.map_err(Failure::from)?)
    }

    fn records<'py>(
        slf: &Bound<'py, Self>,
        of: Option<&[Bound<'py, Domain>]>,
        (stats, flags, timeout): (u32, u32, Option<f64>),
    ) -> PyResult<Records<'py>> {
        let timeout = seconds(timeout, StatsRequest::DEFAULT_TIMEOUT)?;
        let request = StatsRequest::from_flags(stats, flags).timeout(timeout);
        // Another thread may close it meanwhile.
        let own = slf.get().connection();
        let report = slf.get().report(slf.py(), of, &request)?;
        let connect = match of.and_then(|of| of.first()) {
            Some(first) => first.get().domain.connect(),
            None => own?,
        };
        let record = |stats: domstats::DomainStats| {
            let values = PyDict::new(slf.py());
            for (key, value) in stats.params() {
                values.set_item(key, section::flat(slf.py(), &value)?)?;
            }
            Ok((Self::domain(slf, connect.domain(stats.domain))?, values))
        };
        report.domains.into_iter().map(record).collect()
    }
}

fn closed(origin: ErrorOrigin) -> Failure {
    Failure::new(ErrorKind::InvalidConnection, origin, "the connection was closed")
}

#[pymethods]
impl Connect {
    /// Returns the statistics of all domains, by name: a list of `(virDomain, dict)`.
    ///
    /// `stats` is a mask of `VIR_DOMAIN_STATS_*`, 0 for all of libvirt's groups; `flags` a mask of
    /// `VIR_CONNECT_GET_ALL_DOMAINS_STATS_*`. The dict has libvirt's keys, types and numbers. The
    /// call returns within `timeout` seconds (1 if not given) with everything it has; `stats()` also
    /// reports what is missing and why.
    #[pyo3(name = "getAllDomainStats", signature = (stats=0, flags=0, *, timeout=None))]
    fn get_all_domain_stats<'py>(
        slf: &Bound<'py, Self>,
        #[pyo3(from_py_with = bits)] stats: u32,
        #[pyo3(from_py_with = bits)] flags: u32,
        timeout: Option<f64>,
    ) -> PyResult<Records<'py>> {
        Self::records(slf, None, (stats, flags, timeout))
    }

    /// Returns the statistics of these domains, in their order; otherwise like `getAllDomainStats`.
    #[pyo3(name = "domainListGetStats", signature = (doms, stats=0, flags=0, *, timeout=None))]
    #[expect(clippy::needless_pass_by_value, reason = "what an argument of Python becomes")]
    fn domain_list_get_stats<'py>(
        slf: &Bound<'py, Self>,
        #[pyo3(from_py_with = domain::list)] doms: Vec<Bound<'py, Domain>>,
        #[pyo3(from_py_with = bits)] stats: u32,
        #[pyo3(from_py_with = bits)] flags: u32,
        timeout: Option<f64>,
    ) -> PyResult<Records<'py>> {
        Self::records(slf, Some(&doms), (stats, flags, timeout))
    }

    /// Returns a report: typed statistics, and what is missing and why.
    ///
    /// `groups` and `filter` are names such as "cpu-total" and "running", several names, or libvirt's
    /// bits; by default all of libvirt's groups and all domains. `domains` are `virDomain`s. The call
    /// returns within `timeout` seconds (1 if not given), whatever the domains do. `nowait` skips busy
    /// monitors, `backing` lists every image of a disk's backing chain, `enforce` makes an
    /// unsupported group an error.
    #[pyo3(signature = (groups=None, *, domains=None, timeout=None, nowait=false, backing=false, enforce=false, filter=None))]
    #[expect(clippy::too_many_arguments, reason = "they have names in Python")]
    fn stats<'py>(
        slf: &Bound<'py, Self>,
        groups: Option<&Bound<'py, PyAny>>,
        domains: Option<&Bound<'py, PyAny>>,
        timeout: Option<f64>,
        nowait: bool,
        backing: bool,
        enforce: bool,
        filter: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<StatsReport> {
        let arguments = Arguments { groups, filter, timeout, nowait, backing, enforce };
        let domains = domains.map(domain::list).transpose()?;
        let report = slf.get().report(slf.py(), domains.as_deref(), &arguments.request()?);
        report.map(StatsReport::from)
    }

    /// Returns the domains that match a mask of `VIR_CONNECT_LIST_DOMAINS_*`, by name; 0 is all.
    #[pyo3(name = "listAllDomains", signature = (flags=0))]
    fn list_all_domains<'py>(
        slf: &Bound<'py, Self>,
        #[pyo3(from_py_with = bits)] flags: u32,
    ) -> PyResult<Bound<'py, PyList>> {
        let filter = DomainFilter::from_bits_retain(flags);
        let domains = slf.get().ask(slf.py(), |connect| connect.domains(filter))?;
        let domains = domains.into_iter().map(|domain| Self::domain(slf, domain));
        PyList::new(slf.py(), domains.collect::<PyResult<Vec<_>>>()?)
    }

    /// Returns the domain with this name.
    #[pyo3(name = "lookupByName")]
    fn lookup_by_name<'py>(
        slf: &Bound<'py, Self>,
        name: Option<&str>,
    ) -> PyResult<Bound<'py, Domain>> {
        let name = name.ok_or_else(|| Failure::invalid("no name was given"))?;
        Self::lookup(slf, |connect| connect.domain_by_name(name))
    }

    /// Returns the domain with this UUID, in any of its spellings.
    #[pyo3(name = "lookupByUUIDString")]
    fn lookup_by_uuid_string<'py>(
        slf: &Bound<'py, Self>,
        uuidstr: Option<&str>,
    ) -> PyResult<Bound<'py, Domain>> {
        let uuidstr = uuidstr.ok_or_else(|| Failure::invalid("no UUID was given"))?;
        let uuid = Uuid::parse_str(uuidstr)
            .map_err(|error| Failure::invalid(format!("'{uuidstr}' is no UUID: {error}")))?;
        Self::lookup(slf, |connect| connect.domain_by_uuid(uuid))
    }

    /// Returns the domain with this UUID, which is 16 bytes.
    #[pyo3(name = "lookupByUUID")]
    fn lookup_by_uuid<'py>(slf: &Bound<'py, Self>, uuid: &[u8]) -> PyResult<Bound<'py, Domain>> {
        let uuid = Uuid::from_slice(uuid)
            .map_err(|error| Failure::invalid(format!("{uuid:?} is no UUID: {error}")))?;
        Self::lookup(slf, |connect| connect.domain_by_uuid(uuid))
    }

    /// Returns the active domain with this number.
    #[pyo3(name = "lookupByID")]
    fn lookup_by_id<'py>(slf: &Bound<'py, Self>, id: i64) -> PyResult<Bound<'py, Domain>> {
        let id = u32::try_from(id)
            .map_err(|error| Failure::invalid(format!("{id} is no number of a domain: {error}")))?;
        Self::lookup(slf, |connect| connect.domain_by_id(id))
    }

    /// Returns the URI of the connection.
    #[pyo3(name = "getURI")]
    fn uri(&self) -> PyResult<String> {
        Ok(self.connection()?.uri())
    }

    /// Returns the driver's name, as libvirt spells it: `QEMU` or `TEST`.
    #[pyo3(name = "getType")]
    fn driver_name(&self) -> PyResult<String> {
        Ok(self.connection()?.driver_name().to_owned())
    }

    /// Returns the name of the host that the domains run on.
    #[pyo3(name = "getHostname")]
    fn hostname(&self, py: Python<'_>) -> PyResult<String> {
        self.ask(py, |connect| Ok(connect.hostname()))
    }

    /// Returns 1 if the hypervisor is reachable, else 0.
    #[pyo3(name = "isAlive")]
    fn is_alive(&self, py: Python<'_>) -> PyResult<i32> {
        self.ask(py, |connect| Ok(connect.is_alive().into()))
    }

    /// Closes the connection: later calls on it are errors. Its domains still work, as in libvirt,
    /// and keep it open until the last of them is gone. Returns 0.
    fn close(&self, py: Python<'_>) -> PyResult<i32> {
        // As in libvirt, for this function only.
        let connect = self.lock().take().ok_or_else(|| closed(ErrorOrigin::Library))?;
        py.detach(|| drop(connect));
        Ok(0)
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*_args))]
    fn __exit__(&self, py: Python<'_>, _args: &Bound<'_, PyAny>) -> PyResult<()> {
        self.close(py).map(drop)
    }

    fn __repr__(&self) -> String {
        let uri = self.lock().as_ref().map_or_else(|| "closed".to_owned(), domstats::Connect::uri);
        format!("<virConnect {uri}>")
    }
}
