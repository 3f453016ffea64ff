//! `virDomain`.

use domstats::{ErrorKind, ErrorOrigin, Missing, MissingReason, StatsGroups, StatsRequest};
use pyo3::{CastIntoError, prelude::*, types::PyBytes};

use crate::{connect::Connect, error::Failure, request::bits};

/// A domain of a connection, as it was when it was looked up. `state`, `isActive` and
/// `isPersistent` query it again.
#[pyclass(frozen, name = "virDomain", module = "domstats")]
pub(crate) struct Domain {
    pub(crate) domain: domstats::Domain,
    pub(crate) connect: Py<Connect>,
}

/// Returns the domains of an iterable.
pub(crate) fn list<'py>(domains: &Bound<'py, PyAny>) -> PyResult<Vec<Bound<'py, Domain>>> {
    let domain = |item: PyResult<Bound<'py, PyAny>>| {
        let wrong = |item: CastIntoError<'_>| {
            Failure::invalid(format!("{} in the list is no domain", item.into_inner()))
        };
        Ok(item?.cast_into().map_err(wrong)?)
    };
    domains.try_iter()?.map(domain).collect()
}

impl Domain {
    fn fail(&self, kind: ErrorKind, origin: ErrorOrigin, why: &str) -> Failure {
        Failure::new(kind, origin, format!("domain '{}' {why}", self.domain.name()))
    }

    fn known_uuid(&self) -> Result<domstats::Uuid, Failure> {
        self.domain.uuid().ok_or_else(|| {
            let why = "has no UUID: its QEMU was started without one";
            // For its number, `VIR_ERR_OPERATION_INVALID`.
            self.fail(ErrorKind::Ambiguous, ErrorOrigin::Domain, why)
        })
    }

    /// Looks it up again.
    fn again(&self, py: Python<'_>) -> Result<domstats::Domain, Failure> {
        Ok(py.detach(|| self.domain.again())?)
    }

    fn no_state(&self, why: Option<&Missing>) -> Failure {
        let kind = match why.map(|missing| &missing.reason) {
            Some(MissingReason::Denied) => ErrorKind::AccessDenied,
            Some(MissingReason::Timeout | MissingReason::Busy) => ErrorKind::Timeout,
            _ => ErrorKind::NoSupport,
        };
        let why = why.map_or_else(|| "nobody says why".to_owned(), ToString::to_string);
        self.fail(kind, ErrorOrigin::Domain, &format!("does not say its state: {why}"))
    }
}

#[pymethods]
impl Domain {
    /// Returns its name.
    fn name(&self) -> &str {
        self.domain.name()
    }

    /// Returns its UUID as text. It is an error if a QEMU that was started by hand has none.
    #[pyo3(name = "UUIDString")]
    fn uuid_string(&self) -> PyResult<String> {
        Ok(self.known_uuid()?.to_string())
    }

    /// Returns its UUID as 16 bytes. It is an error if a QEMU that was started by hand has none.
    #[pyo3(name = "UUID")]
    fn uuid<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, self.known_uuid()?.as_bytes()))
    }

    /// Returns its number, -1 if it was not active: libvirt's id, or the process id of a QEMU
    /// without libvirt.
    #[pyo3(name = "ID")]
    fn id(&self) -> i64 {
        self.domain.id().map_or(-1, i64::from)
    }

    /// Returns the connection that it belongs to.
    fn connect(&self, py: Python<'_>) -> Py<Connect> {
        self.connect.clone_ref(py)
    }

    /// Returns its state and the reason, as libvirt's numbers. `flags` must be 0.
    #[pyo3(signature = (flags=0))]
    fn state(&self, py: Python<'_>, #[pyo3(from_py_with = bits)] flags: u32) -> PyResult<[i32; 2]> {
        if flags != 0 {
            let why = format!("has no flags for its state, unlike {flags:#x}");
            let driver = self.domain.connect().origin();
            return Err(self.fail(ErrorKind::InvalidArgument, driver, &why).into());
        }
        let request = StatsRequest::new().groups(StatsGroups::STATE);
        let record = py.detach(|| self.domain.stats(&request)).map_err(Failure::from)?;
        match record.state.as_ref().map(|state| (state.state, state.reason)) {
            Some((Some(state), reason)) => {
                Ok([state.code(), reason.map_or(0, domstats::StateReason::code)])
            }
            _ => Err(self.no_state(record.why_missing(StatsGroups::STATE)).into()),
        }
    }

    /// Returns 1 if it is active, else 0.
    #[pyo3(name = "isActive")]
    fn is_active(&self, py: Python<'_>) -> PyResult<i32> {
        Ok(self.again(py)?.id().is_some().into())
    }

    /// Returns 1 if it stays defined when it stops, else 0.
    #[pyo3(name = "isPersistent")]
    fn is_persistent(&self, py: Python<'_>) -> PyResult<i32> {
        Ok(self.again(py)?.info().persistent.into())
    }

    fn __repr__(&self) -> String {
        format!("<virDomain '{}'>", self.domain.name())
    }
}
