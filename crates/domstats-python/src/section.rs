//! A record as Python's objects: one walk over the catalogue, whatever the group.

use domstats::{
    Conflict, DomainInfo, DomainStats, Missing, MissingDomain, Value,
    stats::{Cell, GROUPS, Key, Row, Section},
};
use pyo3::{
    IntoPyObjectExt,
    exceptions::PyTypeError,
    prelude::*,
    types::{PyDict, PyString, PyTuple},
};

/// Returns a value in libvirt's flat form: enumerations are numbers.
pub(crate) fn flat<'py>(py: Python<'py>, value: &Value<'_>) -> PyResult<Bound<'py, PyAny>> {
    match value {
        Value::Int(number) | Value::Word { code: number, .. } => number.into_bound_py_any(py),
        Value::UInt(number) => number.into_bound_py_any(py),
        Value::LLong(number) => number.into_bound_py_any(py),
        Value::ULLong(number) => number.into_bound_py_any(py),
        Value::Double(number) => number.into_bound_py_any(py),
        Value::Boolean(truth) => truth.into_bound_py_any(py),
        Value::String(text) => text.into_bound_py_any(py),
        other => Err(PyTypeError::new_err(format!("the flat form has no type for {other:?}"))),
    }
}

/// Returns a value in the form of documents: enumerations are words, where a word is known, and
/// many numbers a tuple.
fn typed<'py>(py: Python<'py>, value: &Value<'_>) -> PyResult<Bound<'py, PyAny>> {
    match value {
        Value::Word { word: Some(word), .. } => word.into_bound_py_any(py),
        Value::Numbers(numbers) => Ok(PyTuple::new(py, numbers.iter())?.into_any()),
        value => flat(py, value),
    }
}

/// Returns the words for what is in conflict.
fn words(py: Python<'_>, conflict: Conflict) -> PyResult<Bound<'_, PyTuple>> {
    PyTuple::new(py, conflict.words().collect::<Vec<_>>())
}

/// The classes of the package, those of sections each with the name of its struct.
pub(crate) struct Classes<'py>(Bound<'py, PyModule>);

impl<'py> Classes<'py> {
    pub(crate) fn new(py: Python<'py>) -> PyResult<Self> {
        py.import("domstats").map(Self)
    }

    /// Returns a record as a `DomainStats`.
    pub(crate) fn record(&self, stats: &DomainStats) -> PyResult<Bound<'py, PyAny>> {
        let py = self.0.py();
        let values = PyDict::new(py);
        let domain = &stats.domain;
        values.set_item("name", domain.name.as_str())?;
        values.set_item("uuid", domain.uuid)?;
        values.set_item("id", domain.id)?;
        values.set_item("persistent", domain.persistent)?;
        if let Some(uid) = domain.uid {
            values.set_item("uid", uid)?;
        }
        if domain.untrusted {
            values.set_item("untrusted", true)?;
        }
        if !domain.conflict.is_empty() {
            values.set_item("conflict", words(py, domain.conflict)?)?;
        }
        if let Some(taken_at) = stats.taken_at {
            values.set_item("time", taken_at)?;
        }
        for group in GROUPS {
            if let Some(section) = group.of(stats) {
                values.set_item(group.field, self.section(section, None)?)?;
            }
        }
        if !stats.missing.is_empty() {
            let missing = stats.missing.iter();
            let missing = missing.map(|group| self.missing_group(&group.group, &group.missing));
            values
                .set_item("missing", PyTuple::new(py, missing.collect::<PyResult<Vec<_>>>()?)?)?;
        }
        self.make("DomainStats", values, &stats.extra)
    }

    pub(crate) fn missing_domain(&self, domain: &MissingDomain) -> PyResult<Bound<'py, PyAny>> {
        let (info, missing) = (&domain.domain, &domain.missing);
        let class = self.0.getattr("MissingDomain")?;
        let reason = missing.reason.word();
        let conflict = words(self.0.py(), info.conflict)?;
        let DomainInfo { name, uuid, id, persistent, uid, untrusted, .. } = info;
        let (name, text) = (name.as_str(), &missing.text);
        class.call1((name, uuid, id, persistent, reason, text, uid, untrusted, conflict))
    }

    fn missing_group(&self, group: &str, missing: &Missing) -> PyResult<Bound<'py, PyAny>> {
        let class = self.0.getattr("MissingGroup")?;
        class.call1((group, missing.reason.word(), &missing.text))
    }

    fn section(&self, section: &dyn Section, key: Option<Key<'_>>) -> PyResult<Bound<'py, PyAny>> {
        let py = self.0.py();
        let values = PyDict::new(py);
        match key {
            Some(Key::Index(index)) => values.set_item("index", index)?,
            Some(Key::Id(id)) => values.set_item("id", id)?,
            Some(Key::Name(name)) => values.set_item("name", name)?,
            None => {}
        }
        let schema = section.schema();
        for (number, row) in schema.rows.iter().enumerate() {
            let (name, value) = match (row, section.cell(number)) {
                (Row::Field(field), Cell::Field(Some(value))) => (field.name, typed(py, &value)?),
                (Row::List(row), Cell::List(list)) if !list.is_empty() => {
                    let items = (0..list.len()).filter_map(|position| list.get(position));
                    let items = items.map(|(key, item)| self.section(item, Some(key)));
                    let items = PyTuple::new(py, items.collect::<PyResult<Vec<_>>>()?)?;
                    (row.name, items.into_any())
                }
                (Row::Part(row), Cell::Part(Some(part))) => (row.name, self.section(part, None)?),
                _ => continue,
            };
            values.set_item(PyString::intern(py, name), value)?;
        }
        self.make(schema.name, values, section.extra())
    }

    fn make(
        &self,
        name: &str,
        values: Bound<'py, PyDict>,
        extra: &domstats::stats::Extra,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = self.0.py();
        if !extra.is_empty() {
            let unknown = PyDict::new(py);
            for (key, value) in extra.params() {
                unknown.set_item(key, typed(py, &value)?)?;
            }
            values.set_item("extra", unknown)?;
        }
        self.0.getattr(PyString::intern(py, name))?.call1((values,))
    }
}
