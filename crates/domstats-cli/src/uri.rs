//! Selects the hypervisor, and the domains in it.

use std::error::Error;

use domstats::{
    Connect, ConnectOptions, Domain, DomainFilter, DomainInfo, ErrorKind, ErrorOrigin, StatsReport,
    StatsRequest, Uuid,
    default_uri::{NamedUri, PROCESSES, daemons},
    error_chain,
};

use crate::exit::{self, Failure, Result};

/// Returns the URIs that `domstats doctor` examines: the given one, or all that are configured or
/// usual.
pub(crate) fn all(option: Option<&str>) -> Result<Vec<String>> {
    if option.is_some() {
        return Ok(NamedUri::find(option)?.iter().map(|named| named.uri().to_owned()).collect());
    }
    let named = NamedUri::all()?;
    let named = named.iter().map(NamedUri::uri);
    let usual = daemons().iter().copied().chain([PROCESSES, "qemu+qmp:///session"]);
    let mut uris: Vec<String> = Vec::new();
    for uri in named.chain(usual) {
        if !uris.iter().any(|known| known == uri) {
            uris.push(uri.to_owned());
        }
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
        if let Some(named) = NamedUri::find(option)? {
            return Ok(Self { connect: named.open(options)?, tried: None });
        }
        let mut tried = Vec::new();
        for uri in daemons() {
            match Connect::open_with(uri, options) {
                Ok(connect) => return Ok(Self { connect, tried: None }),
                Err(error) => {
                    let why = error_chain(&error);
                    if error.kind() == ErrorKind::Timeout {
                        // There is a daemon, and the processes tell less about its domains.
                        exit::warn(&format!("{uri} does not answer: {why}"));
                    }
                    tried.push(format!("{uri} ({why})"));
                }
            }
        }
        match Connect::open_with(PROCESSES, options) {
            Ok(connect) => Ok(Self { connect, tried: Some(tried) }),
            Err(error) => Err(none_found(&tried, &error_chain(&error))),
        }
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
                Err(none_found(tried, "no QEMU process runs here"))
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

/// `tried` are the daemons that failed; `why` is what is wrong with the processes.
fn none_found(tried: &[String], why: &str) -> Box<dyn Error> {
    let mut tried = tried.to_vec();
    tried.push(format!("{PROCESSES} ({why})"));
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
