//! Which hypervisor to ask, and the domains that it has.

use std::{env, error::Error};

use domstats::{Connect, Domain, DomainFilter, StatsReport, StatsRequest, Uuid};

use crate::exit::{self, Failure, Result};

/// What is asked when nobody says: every QEMU process of this host.
pub(crate) const DEFAULT: &str = "qemu+qmp:///system";

/// The variables that can say, the stronger one first. libvirt's own tools read the second.
pub(crate) const VARIABLES: [&str; 2] = ["DOMSTATS_DEFAULT_URI", "LIBVIRT_DEFAULT_URI"];

/// The hypervisor to ask.
#[derive(Debug)]
pub(crate) struct Target {
    /// Its URI.
    pub(crate) uri: String,
    source: Source,
}

/// Who said so.
#[derive(Debug)]
enum Source {
    Option,
    Variable(&'static str),
    Nobody,
}

impl Target {
    /// Takes the URI of `--connect`, of a variable, or the default. Never the test driver unless
    /// it is named.
    pub(crate) fn choose(option: Option<&str>) -> Self {
        if let Some(uri) = option {
            return Self { uri: uri.to_owned(), source: Source::Option };
        }
        Self::of_variables()
            .next()
            .unwrap_or_else(|| Self { uri: DEFAULT.to_owned(), source: Source::Nobody })
    }

    /// Returns what the variables name.
    pub(crate) fn of_variables() -> impl Iterator<Item = Self> {
        VARIABLES.into_iter().filter_map(|variable| {
            let uri = env::var_os(variable)?.to_string_lossy().into_owned();
            let source = Source::Variable(variable);
            (!uri.is_empty()).then_some(Self { uri, source })
        })
    }

    /// Opens the connection.
    pub(crate) fn open(&self) -> Result<Connect> {
        Connect::open(&self.uri).map_err(|error| match self.source {
            Source::Option => error.into(),
            Source::Variable(name) => {
                Failure::because(format!("{name} is '{}'", self.uri), error).into()
            }
            Source::Nobody => none_found(&exit::chain(&error)),
        })
    }

    /// Returns the statistics of all domains. No domain at all is an answer from a hypervisor that
    /// was named, and an error where nobody named one: then there is no hypervisor.
    pub(crate) fn all_domain_stats(
        &self,
        connect: &Connect,
        request: &StatsRequest,
    ) -> Result<StatsReport> {
        let report = connect.all_domain_stats(request)?;
        if report.domains.is_empty() && report.missing.is_empty() {
            // Perhaps the filter of the request left nothing.
            self.domains(connect)?;
        }
        Ok(report)
    }

    fn domains(&self, connect: &Connect) -> Result<Vec<Domain>> {
        let domains = connect.domains(DomainFilter::empty())?;
        if domains.is_empty() && matches!(self.source, Source::Nobody) {
            return Err(none_found("no QEMU process runs here"));
        }
        Ok(domains)
    }

    /// Returns the domains that the words name, by id, UUID or name in this order, as virsh does.
    /// A word that names nothing any more stands for the domain in its place in `known`.
    pub(crate) fn find(
        &self,
        connect: &Connect,
        words: &[&str],
        known: &[Domain],
    ) -> Result<Vec<Domain>> {
        let all = self.domains(connect)?;
        let find = |(place, word): (usize, &&str)| {
            let domain = pick(&all, word).or(known.get(place)).cloned();
            domain.ok_or_else(|| {
                let sentence = format!(
                    "no domain has the id, UUID or name '{word}': `domstats list -c '{}'` shows \
                     those that exist",
                    self.uri
                );
                Failure::new(sentence).into()
            })
        };
        words.iter().enumerate().map(find).collect()
    }
}

fn none_found(why: &str) -> Box<dyn Error> {
    Failure::new(format!(
        "no hypervisor found: tried {DEFAULT} ({why}); `domstats -c test:///default` shows made-up \
         domains, `domstats doctor` looks further"
    ))
}

fn pick<'a>(all: &'a [Domain], word: &str) -> Option<&'a Domain> {
    let id = word.parse().ok();
    let uuid = Uuid::parse_str(word).ok();
    all.iter()
        .find(|domain| id.is_some() && domain.id() == id)
        .or_else(|| all.iter().find(|domain| uuid.is_some() && domain.uuid() == uuid))
        .or_else(|| all.iter().find(|domain| domain.name() == word))
}
