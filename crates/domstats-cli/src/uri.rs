//! Which hypervisor to ask, and the domains that it has.

use std::{env, error::Error};

use domstats::{
    Connect, ConnectOptions, Domain, DomainFilter, ErrorKind, StatsReport, StatsRequest, Uuid,
};

use crate::{
    exit::{self, Failure, Result},
    libvirt_conf::LibvirtConf,
};

/// What is asked when nobody says and no libvirt daemon answers: every QEMU process of this host.
const PROCESSES: &str = "qemu+qmp:///system";

/// The variables that can say, the stronger one first. libvirt's own tools read the second.
const VARIABLES: [&str; 2] = ["DOMSTATS_DEFAULT_URI", "LIBVIRT_DEFAULT_URI"];

/// Returns the libvirt daemons of this host, as root or somebody else finds them.
fn daemons() -> &'static [&'static str] {
    match rustix::process::geteuid().is_root() {
        true => &["qemu:///system"],
        false => &["qemu:///system", "qemu:///session"],
    }
}

/// A URI that somebody named.
struct Named {
    uri: String,
    /// Where it stands, if it is not on the command line.
    place: Option<String>,
}

impl Named {
    /// Returns what the command line, a variable or `libvirt.conf` names, the strongest of them.
    /// That file is read only when it matters.
    fn strongest(option: Option<&str>) -> Result<Option<Self>> {
        let option = option.map(|uri| Self { uri: uri.to_owned(), place: None });
        let named = option.or_else(|| Self::of_variables().next());
        if named.as_ref().is_some_and(|named| named.uri.contains("://")) {
            return Ok(named);
        }
        let conf = LibvirtConf::read()?;
        let named = named.or_else(|| Self::of_conf(&conf));
        Ok(named.map(|named| Self { uri: conf.resolve(&named.uri).to_owned(), ..named }))
    }

    fn of_variables() -> impl Iterator<Item = Self> {
        VARIABLES.into_iter().filter_map(|variable| {
            let uri = env::var_os(variable)?.to_string_lossy().into_owned();
            (!uri.is_empty()).then(|| Self { uri, place: Some(variable.to_owned()) })
        })
    }

    fn of_conf(conf: &LibvirtConf) -> Option<Self> {
        let uri = conf.uri_default.clone()?;
        let path = LibvirtConf::path()?;
        Some(Self { uri, place: Some(format!("uri_default in {}", path.display())) })
    }

    fn open(&self, options: &ConnectOptions) -> Result<Connect> {
        Connect::open_with(&self.uri, options).map_err(|error| match &self.place {
            None => error.into(),
            Some(place) => Failure::because(format!("{place} is '{}'", self.uri), error).into(),
        })
    }
}

/// Returns all that can be asked on this host, for `domstats doctor`: what is named, or everything
/// that was named anywhere and that is usual.
pub(crate) fn all(option: Option<&str>) -> Result<Vec<String>> {
    if option.is_some() {
        return Ok(Named::strongest(option)?.into_iter().map(|named| named.uri).collect());
    }
    let conf = LibvirtConf::read()?;
    let named = Named::of_variables().chain(Named::of_conf(&conf));
    let named = named.map(|named| conf.resolve(&named.uri).to_owned());
    let usual = daemons().iter().chain(&[PROCESSES, "qemu+qmp:///session"]);
    let mut uris: Vec<String> = Vec::new();
    for uri in named.chain(usual.map(|uri| (*uri).to_owned())) {
        if !uris.contains(&uri) {
            uris.push(uri);
        }
    }
    Ok(uris)
}

/// The hypervisor that is asked.
pub(crate) struct Hypervisor {
    connect: Connect,
    /// What was tried in vain, if nobody named a hypervisor and none but processes was found.
    tried: Option<Vec<String>>,
}

impl Hypervisor {
    /// Opens what somebody named, else the first libvirt daemon of this host that answers, else
    /// its QEMU processes. Never the test driver unless it is named.
    pub(crate) fn open(option: Option<&str>, options: &ConnectOptions) -> Result<Self> {
        if let Some(named) = Named::strongest(option)? {
            return Ok(Self { connect: named.open(options)?, tried: None });
        }
        let mut tried = Vec::new();
        for uri in daemons() {
            match Connect::open_with(uri, options) {
                Ok(connect) => return Ok(Self { connect, tried: None }),
                Err(error) => {
                    let why = exit::chain(&error);
                    if error.kind() == ErrorKind::Timeout {
                        // There is a daemon, and what comes next knows less of its domains.
                        exit::warn(&format!("{uri} does not answer: {why}"));
                    }
                    tried.push(format!("{uri} ({why})"));
                }
            }
        }
        match Connect::open_with(PROCESSES, options) {
            Ok(connect) => Ok(Self { connect, tried: Some(tried) }),
            Err(error) => Err(none_found(&tried, &exit::chain(&error))),
        }
    }

    /// Returns the statistics of all domains. No domain at all is an answer from a hypervisor, and
    /// an error where nobody named one and there are not even processes.
    pub(crate) fn all_domain_stats(&self, request: &StatsRequest) -> Result<StatsReport> {
        let report = self.connect.all_domain_stats(request)?;
        if report.domains.is_empty() && report.missing.is_empty() {
            // Perhaps the filter of the request left nothing.
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

    /// Returns the domains that the words name, by id, UUID or name in this order, as virsh does.
    /// A word that names nothing any more stands for the domain in its place in `known`.
    pub(crate) fn find(&self, words: &[&str], known: &[Domain]) -> Result<Vec<Domain>> {
        let all = self.domains()?;
        let find = |(place, word): (usize, &&str)| {
            let domain = pick(&all, word).or(known.get(place)).cloned();
            domain.ok_or_else(|| {
                let sentence = format!(
                    "no domain has the id, UUID or name '{word}': `domstats list -c '{}'` shows \
                     those that exist",
                    self.connect.uri()
                );
                Failure::new(sentence).into()
            })
        };
        words.iter().enumerate().map(find).collect()
    }
}

/// `tried` are the daemons; `why` says what is wrong with the processes.
fn none_found(tried: &[String], why: &str) -> Box<dyn Error> {
    let mut tried = tried.to_vec();
    tried.push(format!("{PROCESSES} ({why})"));
    Failure::new(format!(
        "no hypervisor found: tried {}; `domstats -c test:///default` shows made-up domains, \
         `domstats doctor` looks further",
        tried.join(", ")
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
