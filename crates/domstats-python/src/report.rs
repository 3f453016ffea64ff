//! The report of a call: what was read, what is missing and why.

use std::time::SystemTime;

use pyo3::{prelude::*, sync::PyOnceLock, types::PyTuple};

use crate::section::Classes;

/// The statistics of many domains, read by one call.
#[pyclass(frozen, module = "domstats")]
pub(crate) struct StatsReport {
    report: domstats::StatsReport,
    /// Created on first use: a program that writes a document needs none of it.
    domains: PyOnceLock<Py<PyTuple>>,
}

impl From<domstats::StatsReport> for StatsReport {
    fn from(report: domstats::StatsReport) -> Self {
        Self { report, domains: PyOnceLock::new() }
    }
}

#[pymethods]
impl StatsReport {
    /// One record per domain: in the order of the requested list, or by name.
    #[getter]
    fn domains(&self, py: Python<'_>) -> PyResult<Py<PyTuple>> {
        let domains = self.domains.get_or_try_init(py, || {
            let classes = Classes::new(py)?;
            let records = self.report.domains.iter().map(|stats| classes.record(stats));
            PyTuple::new(py, records.collect::<PyResult<Vec<_>>>()?).map(Bound::unbind)
        })?;
        Ok(domains.clone_ref(py))
    }

    /// The domains that match the request and have no record, and why.
    #[getter]
    fn missing<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let classes = Classes::new(py)?;
        let missing = self.report.missing.iter().map(|domain| classes.missing_domain(domain));
        PyTuple::new(py, missing.collect::<PyResult<Vec<_>>>()?)
    }

    /// When the call began, by the host's clock: a `datetime` in UTC.
    #[getter]
    fn time(&self) -> SystemTime {
        self.report.taken_at
    }

    /// How long the call took, in seconds.
    #[getter]
    fn elapsed(&self) -> f64 {
        self.report.elapsed.as_secs_f64()
    }

    /// Whether everything requested was read, except what is inactive or not supported at all.
    #[getter]
    fn complete(&self) -> bool {
        self.report.is_complete()
    }

    /// Returns the RFC's document.
    fn to_xml(&self, py: Python<'_>) -> String {
        py.detach(|| self.report.to_xml())
    }

    /// Returns the same document in JSON.
    fn to_json(&self, py: Python<'_>) -> String {
        py.detach(|| self.report.to_json())
    }

    /// Returns what `virsh domstats` prints.
    fn to_text(&self, py: Python<'_>) -> String {
        py.detach(|| self.report.to_text())
    }

    /// Returns one line per domain, to be read by people.
    fn to_table(&self, py: Python<'_>) -> String {
        py.detach(|| self.report.to_table())
    }

    /// Returns the metrics in OpenMetrics 1.0.
    fn to_openmetrics(&self, py: Python<'_>) -> String {
        py.detach(|| self.report.to_openmetrics())
    }

    /// Returns the metrics in the older text form of Prometheus.
    fn to_prometheus(&self, py: Python<'_>) -> String {
        py.detach(|| self.report.to_prometheus())
    }

    fn __repr__(&self) -> String {
        let (domains, missing) = (self.report.domains.len(), self.report.missing.len());
        format!("<StatsReport: {domains} domains, {missing} missing>")
    }
}
