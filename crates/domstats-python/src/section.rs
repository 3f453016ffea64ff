//! Records as Python objects: one walk over the catalogue for all groups.

use domstats::{
    DomainInfo, DomainStats, Missing, MissingDomain, MissingGroup, Value,
    stats::{Attribute, AttributeType, AttributeValue, Cell, GROUPS, Key, Row, Section},
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

/// The attributes that a record always has: those that libvirt knows of every domain.
const ALWAYS: [&str; 4] = ["name", "uuid", "id", "persistent"];

/// Returns the value of an attribute.
fn attribute<'py>(py: Python<'py>, value: &AttributeValue<'_>) -> PyResult<Bound<'py, PyAny>> {
    match value {
        AttributeValue::Text(text) => text.into_bound_py_any(py),
        AttributeValue::Uuid(uuid) => uuid.into_bound_py_any(py),
        AttributeValue::Number(number) => number.into_bound_py_any(py),
        AttributeValue::Flag(flag) => flag.into_bound_py_any(py),
        AttributeValue::Words(words) => {
            Ok(PyTuple::new(py, words.split_whitespace().collect::<Vec<_>>())?.into_any())
        }
        AttributeValue::Time(time) => time.into_bound_py_any(py),
        AttributeValue::Duration(duration) => duration.as_secs_f64().into_bound_py_any(py),
        other => Err(PyTypeError::new_err(format!("no type for the attribute {other:?}"))),
    }
}

/// Sets attributes under their names. Absent ones are left to the class, except those of [`ALWAYS`].
fn set_attributes<T>(values: &Bound<'_, PyDict>, rows: &[Attribute<T>], of: &T) -> PyResult<()> {
    let py = values.py();
    for row in rows {
        match row.get(of) {
            Some(value) => values.set_item(row.name, attribute(py, &value)?)?,
            None if !ALWAYS.contains(&row.name) => {}
            None if row.value_type == AttributeType::Flag => values.set_item(row.name, false)?,
            None => values.set_item(row.name, py.None())?,
        }
    }
    Ok(())
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
        set_attributes(&values, DomainInfo::ATTRIBUTES, &stats.domain)?;
        set_attributes(&values, DomainStats::ATTRIBUTES, stats)?;
        for group in GROUPS {
            if let Some(section) = group.of(stats) {
                values.set_item(group.field, self.section(section, None)?)?;
            }
        }
        if !stats.missing.is_empty() {
            let missing = stats.missing.iter();
            let missing = missing.map(|group| self.missing_group(group));
            values
                .set_item("missing", PyTuple::new(py, missing.collect::<PyResult<Vec<_>>>()?)?)?;
        }
        self.make("DomainStats", values, &stats.extra)
    }

    pub(crate) fn missing_domain(&self, domain: &MissingDomain) -> PyResult<Bound<'py, PyAny>> {
        let values = PyDict::new(self.0.py());
        set_attributes(&values, DomainInfo::ATTRIBUTES, &domain.domain)?;
        self.missing("MissingDomain", &values, &domain.missing)
    }

    fn missing_group(&self, group: &MissingGroup) -> PyResult<Bound<'py, PyAny>> {
        let values = PyDict::new(self.0.py());
        values.set_item("group", group.group.as_str())?;
        self.missing("MissingGroup", &values, &group.missing)
    }

    fn missing(
        &self,
        class: &str,
        values: &Bound<'py, PyDict>,
        missing: &Missing,
    ) -> PyResult<Bound<'py, PyAny>> {
        // A named tuple needs all its members.
        values.set_item("text", "")?;
        set_attributes(values, Missing::ATTRIBUTES, missing)?;
        self.0.getattr(class)?.call((), Some(values))
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
