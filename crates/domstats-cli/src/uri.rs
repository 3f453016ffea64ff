//! Selects the hypervisor, and the domains in it.

use std::error::Error;

use domstats::{
    Connect, ConnectOptions, Domain, DomainFilter, DomainInfo, ErrorKind, ErrorOrigin, StatsReport,
    StatsRequest, Uuid,
    default_uri::{self, Candidate, PROCESSES},
    error_chain,
};

use crate::exit::{self, Failure, Result};

/// Returns the URIs that `domstats doctor` examines: the given one, or all that are configured or
/// usual.
pub(crate) fn all(option: Option<&str>) -> Result<Vec<String>> {
    let candidates = match option {
        Some(_) => default_uri::candidates(option)?,
        None => default_uri::all()?,
    };
    let mut uris: Vec<_> = candidates.iter().map(|one| one.uri().to_owned()).collect();
    const OWN_PROCESSES: &str = "qemu+qmp:///session";
    if option.is_none() && !uris.iter().any(|uri| uri == OWN_PROCESSES) {
        uris.push(OWN_PROCESSES.to_owned());
    }
    Ok(uris)
}

/// A connection, and how it was found.
pub(crate) struct Hypervisor {
    connect: Connect,
    /// The daemons that did not answer, if no URI was configured and only processes were found.
    tried: Option<Vec<String>>,
}

impl Hypervisor {
    /// Opens the configured URI, else the first libvirt daemon of this host that answers, else its
    /// QEMU processes. Never the test driver unless it is configured.
    pub(crate) fn open(option: Option<&str>, options: &ConnectOptions) -> Result<Self> {
        let candidates = default_uri::candidates(option)?;
        let is_last_resort =
            |candidate: &Candidate| !candidate.is_named() && candidate.uri() == PROCESSES;
        let mut tried = Vec::new();
        for candidate in candidates {
            match candidate.open(options) {
                Ok(connect) => {
                    let tried = is_last_resort(&candidate).then_some(tried);
                    return Ok(Self { connect, tried });
                }
                Err(error) if candidate.is_named() => return Err(error.into()),
                Err(error) => {
                    let (uri, why) = (candidate.uri(), error_chain(&error));
                    if error.kind() == ErrorKind::Timeout {
                        // There is a daemon, and the processes tell less about its domains.
                        exit::warn(&format!("{uri} does not answer: {why}"));
                    }
                    tried.push(format!("{uri} ({why})"));
                }
            }
        }
        Err(none_found(&tried))
    }

    /// Returns the statistics of all domains. An empty report is valid from a configured hypervisor,
    /// and an error if none was configured and there are not even processes.
    pub(crate) fn all_domain_stats(&self, request: &StatsRequest) -> Result<StatsReport> {
        let report = self.connect.all_domain_stats(request)?;
        if report.domains.is_empty() && report.missing.is_empty() {
            // Perhaps nothing matched the filter.
            self.domains()?;
        }
        Ok(report)
    }

    fn domains(&self) -> Result<Vec<Domain>> {
        let domains = self.connect.domains(DomainFilter::empty())?;
        match &self.tried {
            Some(tried) if domains.is_empty() => {
                let mut tried = tried.clone();
                tried.push(format!("{PROCESSES} (no QEMU process runs here)"));
                Err(none_found(&tried))
            }
            _ => Ok(domains),
        }
    }

    /// Returns the domains for the given words, by id, UUID or name in this order, as virsh does; those of
    /// untrusted users by id only. A word that matches nothing any more stands for the domain in its
    /// place in `known`.
    pub(crate) fn find(&self, words: &[&str], known: &[Domain]) -> Result<Vec<Domain>> {
        let all = self.domains()?;
        let find = |(place, word): (usize, &&str)| {
            let error = match (pick(&all, word), known.get(place)) {
                (Ok(domain), _) => return Ok(domain.clone()),
                (Err(error), Some(known)) if error.kind() == ErrorKind::NoDomain => {
                    return Ok(known.clone());
                }
                (Err(error), _) => error,
            };
            let shows = format!("`domstats list -c '{}'` lists the domains", self.connect.uri());
            Err(Failure::new(format!("{error}: {shows}")).into())
        };
        words.iter().enumerate().map(find).collect()
    }
}

fn none_found(tried: &[String]) -> Box<dyn Error> {
    Failure::new(format!(
        "no hypervisor found: tried {}; `domstats -c test:///default` shows simulated domains, \
         `domstats doctor` examines this host",
        tried.join(", ")
    ))
}

fn pick<'a>(all: &'a [Domain], word: &str) -> domstats::Result<&'a Domain> {
    let id = word.parse().ok();
    let uuid = Uuid::parse_str(word).ok();
    let has_id = |domain: &&Domain| id.is_some() && domain.id() == id;
    let is_trusted = |domain: &&Domain| !domain.info().untrusted;
    if let Some(domain) = all.iter().filter(is_trusted).find(has_id) {
        return Ok(domain);
    }
    let with_uuid: Vec<_> =
        all.iter().filter(|domain| uuid.is_some() && domain.uuid() == uuid).collect();
    let claimants = match with_uuid.is_empty() {
        true => all.iter().filter(|domain| domain.name() == word).collect(),
        false => with_uuid,
    };
    let what = format!("the id, UUID or name '{word}'");
    match DomainInfo::meant(claimants, &what, ErrorOrigin::Library) {
        // The word may be both one domain's id and another domain's name.
        Err(error) if error.kind() == ErrorKind::NoDomain => all.iter().find(has_id).ok_or(error),
        meant => meant,
    }
}
