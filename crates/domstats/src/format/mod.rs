//! Formats: each walks the catalogue, in a file of its own.

pub(crate) mod append;
mod attribute;
mod document;
pub(crate) mod flat;
mod json;
mod openmetrics;
mod read;
#[cfg(test)]
pub(crate) mod sample;
pub mod schema;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod tree;
mod xml;

use std::{fmt, io, str::FromStr};

pub use openmetrics::{
    FamilyId, LabelSet, Labelled, Labels, MetricFamily, MetricSample, Metrics, Number, TextLabels,
    labelled, push_label_value,
};

use crate::model::{
    error::{Error, ErrorKind, ErrorOrigin, Result},
    report::StatsReport,
};

/// Takes the text that a format has so far: it may clear the buffer.
type Flush<'a> = &'a mut dyn FnMut(&mut String) -> io::Result<()>;

/// The forms in which a report can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// The RFC's document. Valid against `schemas/domainstats.rng`.
    Xml,
    /// The same document in JSON. Valid against `schemas/domainstats.schema.json`.
    Json,
    /// What `virsh domstats` prints.
    Text,
    /// One line per domain, to be read by people.
    Table,
    /// OpenMetrics 1.0, with the metric names that existing dashboards use.
    OpenMetrics,
    /// The same metrics in the older text form of Prometheus, version 0.0.4.
    Prometheus,
}

/// The name of a format, and its writer.
struct FormatRow {
    format: Format,
    name: &'static str,
    write: fn(&StatsReport, &mut String, Flush<'_>) -> io::Result<()>,
}

/// Every format, in the order of [`Format`].
const FORMATS: [FormatRow; 6] = [
    FormatRow { format: Format::Xml, name: "xml", write: xml::write },
    FormatRow { format: Format::Json, name: "json", write: json::write },
    FormatRow { format: Format::Text, name: "text", write: text::write },
    FormatRow { format: Format::Table, name: "table", write: table::write },
    FormatRow {
        format: Format::OpenMetrics,
        name: "openmetrics",
        write: openmetrics::write_openmetrics,
    },
    FormatRow {
        format: Format::Prometheus,
        name: "prometheus",
        write: openmetrics::write_prometheus,
    },
];

impl Format {
    /// Every format, in the order of the documentation.
    pub const ALL: [Self; FORMATS.len()] = {
        let mut all = [Self::Xml; FORMATS.len()];
        let mut place = 0;
        while place < all.len() {
            all[place] = FORMATS[place].format;
            assert!(all[place] as usize == place, "the rows are in the order of the variants");
            place += 1;
        }
        all
    };

    fn row(self) -> &'static FormatRow {
        &FORMATS[self as usize]
    }

    /// Returns the name for options and files: `xml`, `json`, `text`, `table`, `openmetrics`,
    /// `prometheus`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Writes a report, one domain at a time if the format allows it.
    ///
    /// # Errors
    ///
    /// Those of the writer.
    pub fn write(self, report: &StatsReport, out: &mut dyn io::Write) -> io::Result<()> {
        (self.row().write)(report, &mut String::new(), &mut |buffer| {
            out.write_all(buffer.as_bytes())?;
            buffer.clear();
            Ok(())
        })
    }

    fn write_to_string(self, report: &StatsReport) -> String {
        let mut text = String::new();
        // The pieces stay in the buffer, so nothing can fail.
        let _ = (self.row().write)(report, &mut text, &mut |_| Ok(()));
        text
    }
}

impl StatsReport {
    /// Returns the RFC's document. [`from_xml`](Self::from_xml) reads it back.
    #[must_use]
    pub fn to_xml(&self) -> String {
        Format::Xml.write_to_string(self)
    }

    /// Returns the same document in JSON. [`from_json`](Self::from_json) reads it back.
    #[must_use]
    pub fn to_json(&self) -> String {
        Format::Json.write_to_string(self)
    }

    /// Returns what `virsh domstats` prints.
    #[must_use]
    pub fn to_text(&self) -> String {
        Format::Text.write_to_string(self)
    }

    /// Returns one line per domain, to be read by people.
    #[must_use]
    pub fn to_table(&self) -> String {
        Format::Table.write_to_string(self)
    }

    /// Returns the metrics in OpenMetrics 1.0.
    #[must_use]
    pub fn to_openmetrics(&self) -> String {
        Format::OpenMetrics.write_to_string(self)
    }

    /// Returns the metrics in the older text form of Prometheus.
    #[must_use]
    pub fn to_prometheus(&self) -> String {
        Format::Prometheus.write_to_string(self)
    }

    /// Reads what [`to_xml`](Self::to_xml) wrote, by this version or a newer one: elements and
    /// attributes that are not known here are kept in the `extra` of their section.
    ///
    /// XML cannot carry every character: those that it forbids were written as U+FFFD.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Malformed`] if the text is not XML, or not this document.
    pub fn from_xml(text: &str) -> Result<Self> {
        xml::read(text)
    }

    /// Reads what [`to_json`](Self::to_json) wrote, by this version or a newer one: keys that are
    /// not known here are kept in the `extra` of their section.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Malformed`] if the text is not JSON, or not this document.
    pub fn from_json(text: &str) -> Result<Self> {
        json::read(text)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            let sentence = format!("no format '{name}': use one of {names}");
            Error::new(ErrorKind::InvalidArgument, ErrorOrigin::Library, sentence)
        })
    }
}
