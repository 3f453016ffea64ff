//! Errors of the library as `libvirtError`.

use domstats::{Error, ErrorKind, ErrorOrigin, error_chain};
use pyo3::{prelude::*, sync::PyOnceLock, types::PyType};

/// `VIR_ERR_ERROR`: libvirt knows warnings too, and raises none.
const LEVEL: i32 = 2;

/// What a call of this module ends with when it fails.
pub(crate) struct Failure {
    code: i32,
    domain: i32,
    message: String,
}

impl Failure {
    pub(crate) fn new(kind: ErrorKind, origin: ErrorOrigin, message: impl Into<String>) -> Self {
        Self { code: kind.code(), domain: origin.code(), message: message.into() }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(error.kind(), error.origin(), error_chain(&error))
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        Python::attach(|py| raise(py, &failure).unwrap_or_else(|error| error))
    }
}

fn raise(py: Python<'_>, failure: &Failure) -> PyResult<PyErr> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let class = CLASS.import(py, "domstats", "libvirtError")?;
    let Failure { code, domain, message } = failure;
    // The texts and numbers that libvirt adds for a few errors are not known here.
    let error = (code, domain, message, LEVEL, None::<&str>, None::<&str>, None::<&str>, -1, -1);
    Ok(PyErr::from_value(class.call1((message, error))?))
}
