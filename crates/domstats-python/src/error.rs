//! Errors of the library as `libvirtError`.

use domstats::{Error, ErrorKind, ErrorOrigin, error_chain};
use pyo3::{prelude::*, sync::PyOnceLock};

/// `VIR_ERR_ERROR`: libvirt has warnings too, but never raises them.
const LEVEL: i32 = 2;

/// The failure of a call.
pub(crate) struct Failure {
    code: i32,
    domain: i32,
    message: String,
}

impl Failure {
    pub(crate) fn new(kind: ErrorKind, origin: ErrorOrigin, message: impl Into<String>) -> Self {
        Self { code: kind.code(), domain: origin.code(), message: message.into() }
    }

    /// The error of an argument that libvirt rejects without a call.
    pub(crate) fn invalid(what: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, ErrorOrigin::Domain, what)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (code, domain) = (error.code(), error.origin().code());
        Self { code, domain, message: error_chain(&error) }
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        Python::attach(|py| raise(py, failure).unwrap_or_else(|error| error))
    }
}

fn raise(py: Python<'_>, Failure { code, domain, message }: Failure) -> PyResult<PyErr> {
    static FUNCTION: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let function = FUNCTION.import(py, "domstats._error", "failure")?;
    Ok(PyErr::from_value(function.call1((code, domain, message, LEVEL))?))
}
