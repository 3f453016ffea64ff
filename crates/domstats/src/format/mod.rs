//! Formats: each is a walk over the catalogue, in a file of its own.

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

use openmetrics::Dialect;
pub use openmetrics::{
    FamilyId, LabelPairs, LabelSet, Labelled, MetricFamily, MetricSample, Metrics, Number, labelled,
};

use crate::model::{
    error::{Error, ErrorKind, ErrorOrigin, Result},
    report::StatsReport,
};

/// Hands on the text that a format has so far. Whoever takes it away clears the buffer.
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
    /// One line a domain, for eyes.
    Table,
    /// OpenMetrics 1.0, with the metric names that existing dashboards use.
    OpenMetrics,
    /// The same metrics in the older text form of Prometheus, version 0.0.4.
    Prometheus,
}

impl Format {
    /// Every format, in the order of the documentation.
    pub const ALL: [Self; 6] =
        [Self::Xml, Self::Json, Self::Text, Self::Table, Self::OpenMetrics, Self::Prometheus];

    /// Returns the name that people type: `xml`, `json`, `text`, `table`, `openmetrics`,
    /// `prometheus`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Xml => "xml",
            Self::Json => "json",
            Self::Text => "text",
            Self::Table => "table",
            Self::OpenMetrics => "openmetrics",
            Self::Prometheus => "prometheus",
        }
    }

    /// Writes a report, a domain at a time where the format allows it.
    ///
    /// # Errors
    ///
    /// Those of the writer.
    pub fn write(self, report: &StatsReport, out: &mut dyn io::Write) -> io::Result<()> {
        self.write_in_pieces(report, &mut String::new(), &mut |buffer| {
            out.write_all(buffer.as_bytes())?;
            buffer.clear();
            Ok(())
        })
    }

    fn write_to_string(self, report: &StatsReport) -> String {
        let mut text = String::new();
        // Nothing takes the pieces away, so nothing can fail.
        let _ = self.write_in_pieces(report, &mut text, &mut |_| Ok(()));
        text
    }

    fn write_in_pieces(
        self,
        report: &StatsReport,
        buffer: &mut String,
        flush: Flush<'_>,
    ) -> io::Result<()> {
        match self {
            Self::Xml => xml::write(report, buffer, flush),
            Self::Json => json::write(report, buffer, flush),
            Self::Text => text::write(report, buffer, flush),
            Self::Table => table::write(report, buffer, flush),
            Self::OpenMetrics => openmetrics::write(report, Dialect::OpenMetrics, buffer, flush),
            Self::Prometheus => openmetrics::write(report, Dialect::Prometheus, buffer, flush),
        }
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

    /// Returns one line a domain, for eyes.
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
            Error::new(
                ErrorKind::InvalidArgument,
                ErrorOrigin::Library,
                format!(
                    "no format '{name}': use xml, json, text, table, openmetrics or prometheus"
                ),
            )
        })
    }
}
