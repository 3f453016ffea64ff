//! All hypervisors together, asked as one.
//!
//! A domain that several of them have is the first one's (`merge.rs`). All calls here wait, each no
//! longer than its request allows: they belong on a thread that may.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime},
};

use domstats::{
    Connect, ConnectOptions, Domain, DomainFilter, DomainInfo, Error, ErrorKind, ErrorOrigin, Nic,
    StatsReport, StatsRequest,
    default_uri::{self, PROCESSES},
    wire::{self, Call, Relay, Relayed},
};
use domstats_rpc::{Xdr, message, procedure::ProcedureId, xdr::Decoder};

use crate::{config::Config, conflicts::Conflicts, merge, source::Source};

/// Every hypervisor of the configuration, in its order.
pub(crate) struct Host {
    sources: Vec<Source>,
    timeout: Duration,
    conflicts: Conflicts,
}

/// What a question to all hypervisors came to.
pub(crate) struct Answer<T> {
    pub(crate) of_all: T,
    /// How many hypervisors there are.
    pub(crate) asked: usize,
    /// The hypervisors that could not be asked.
    pub(crate) failures: Vec<Failure>,
}

/// What a call that is handed on is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    /// The host, which is that of the first hypervisor.
    Host,
    /// Which domains there are, where there is one hypervisor: several have theirs merged here.
    Domains,
    /// A domain, of whichever hypervisor.
    Domain,
    /// A domain whose monitor may have to be asked.
    Monitor,
    /// The same, where a pass can answer too: it does for a domain whose monitor is stuck, and when
    /// too many are asked.
    Counters,
}

impl About {
    /// Returns whether a monitor may have to be asked.
    pub(crate) fn is_monitor(self) -> bool {
        matches!(self, Self::Monitor | Self::Counters)
    }
}

/// A hypervisor that could not be asked, and why.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) uri: String,
    pub(crate) error: Arc<Error>,
}

impl Host {
    pub(crate) fn new(config: &Config) -> Self {
        let options = ConnectOptions::from_env().timeout(config.timeout);
        let source = |uri: &String| Source::new(uri.clone(), options.clone());
        let default = [default_uri(&options)];
        let uris = if config.connect.is_empty() { &default } else { config.connect.as_slice() };
        let sources = uris.iter().map(source).collect();
        Self { sources, timeout: config.timeout, conflicts: Conflicts::default() }
    }

    /// Returns the URIs of all hypervisors.
    pub(crate) fn uris(&self) -> impl Iterator<Item = &str> {
        self.sources.iter().map(|source| source.uri.as_str())
    }

    /// Returns the domains that match, of every hypervisor.
    pub(crate) fn domains(&self, filter: DomainFilter) -> Answer<Vec<Domain>> {
        let deadline = Instant::now() + self.timeout;
        let Answer { of_all, asked, failures } =
            self.ask(|source| source.connect(deadline)?.domains(filter).map_err(Arc::new));
        let infos: Vec<Vec<_>> =
            of_all.iter().map(|domains| domains.iter().map(Domain::info).collect()).collect();
        let mut are_new = merge::are_new(&infos).into_iter();
        let mut domains: Vec<Domain> = of_all.into_iter().flatten().collect();
        domains.retain(|_| are_new.next() == Some(true));
        let mut infos: Vec<_> = domains.iter().map(|domain| domain.info().clone()).collect();
        DomainInfo::note_conflicts(infos.iter_mut());
        let noted = domains.iter().zip(infos).map(|(domain, info)| domain.connect().domain(info));
        Answer { of_all: noted.collect(), asked, failures }
    }

    /// Returns the active domain with this number, if there is one hypervisor and it has it. Of several,
    /// one may have a domain that another has under its own number.
    pub(crate) fn domain_by_id(&self, id: u32) -> Option<Domain> {
        let [source] = self.sources.as_slice() else { return None };
        source.connect(Instant::now() + self.timeout).ok()?.domain_by_id(id).ok()
    }

    /// Returns the statistics of all domains that match, within this time.
    pub(crate) fn stats(&self, request: &StatsRequest, timeout: Duration) -> Answer<StatsReport> {
        let start = (SystemTime::now(), Instant::now());
        let deadline = start.1 + timeout;
        let reports = self.ask(|source| {
            let connect = source.connect(deadline)?;
            connect.all_domain_stats(&until(request, deadline)).map_err(Arc::new)
        });
        let answer = merge::all(reports, start);
        self.conflicts.log(&answer.of_all);
        answer
    }

    /// Returns the statistics of these domains, within this time: a record for each that is there.
    /// Each hypervisor is asked for all of them: which it has is not asked before.
    pub(crate) fn stats_of(
        &self,
        domains: &[DomainInfo],
        request: &StatsRequest,
        timeout: Duration,
    ) -> Answer<StatsReport> {
        let start = (SystemTime::now(), Instant::now());
        let deadline = start.1 + timeout;
        let reports = self.ask(|source| {
            let connect = source.connect(deadline)?;
            let its: Vec<Domain> =
                domains.iter().map(|info| connect.domain(info.clone())).collect();
            Domain::list_stats(&its, &until(request, deadline)).map_err(Arc::new)
        });
        merge::of(domains, reports, start)
    }

    /// Returns what the NICs of a domain are, by the first hypervisor that tells any within this
    /// time: one that is not told is not known.
    pub(crate) fn nics(&self, domain: &DomainInfo, timeout: Duration) -> Vec<Nic> {
        let deadline = Instant::now() + timeout;
        let answer = self.ask(|source| {
            let connect = source.connect(deadline)?;
            let left = deadline.saturating_duration_since(Instant::now());
            // Another one may have the domain.
            Ok(connect.domain(domain.clone()).nics(left).unwrap_or_else(|error| {
                tracing::debug!(uri = source.uri, domain = domain.name.as_str(), %error, "no NICs");
                Vec::new()
            }))
        });
        answer.of_all.into_iter().find(|nics| !nics.is_empty()).unwrap_or_default()
    }

    /// Hands a call of libvirt's protocol on, and returns what it came to within this time; `None`
    /// if there is no libvirt to ask, or none that has the domain, and if a pass is the better answer.
    pub(crate) fn relay(
        &self,
        about: About,
        procedure: ProcedureId,
        arguments: &[u8],
        timeout: Duration,
    ) -> Option<Result<Relayed, Failure>> {
        let deadline = Instant::now() + timeout;
        // Arguments about a domain begin with it.
        let domain = about
            .is_monitor()
            .then(|| message::Domain::decode(&mut Decoder::new(arguments)).ok())
            .flatten()
            .map(|domain| wire::domain_info(&domain));
        let is_of_one = matches!(about, About::Host | About::Domains);
        let ask = |source: &Source| {
            if !is_of_one && self.sources.len() > 1 && source.is_failing() {
                // A domain of another one would wait for it twice: here, and in its pass.
                return Err(Arc::new(late("it did not answer the last time")));
            }
            let connect = source.connect(deadline)?;
            let left = deadline.saturating_duration_since(Instant::now());
            let Some(relay) = Relay::of(&connect) else { return Ok(None) };
            let call = Call { procedure, arguments };
            let relayed = match &domain {
                Some(domain) if about == About::Counters => {
                    relay.call_free_monitor(domain, call, left)
                }
                Some(domain) => relay.call_monitor(domain, call, left).map(Some),
                None => relay.call(call, left).map(Some),
            };
            match relayed {
                // That may be the domain's fault, and says nothing of the hypervisor.
                Err(error) if about.is_monitor() && error.kind() == ErrorKind::Timeout => {
                    Ok(Some(Err(source.failure(Arc::new(error)))))
                }
                relayed => Ok(relayed?.map(Ok)),
            }
        };
        match about {
            About::Domains if self.sources.len() > 1 => None,
            About::Host | About::Domains => {
                let first = self.sources.first()?;
                let relayed = ask(first);
                first.note(relayed.as_ref().err().map(AsRef::as_ref));
                relayed.unwrap_or_else(|error| Some(Err(first.failure(error))))
            }
            About::Domain | About::Monitor | About::Counters => {
                let Answer { of_all, mut failures, .. } = self.ask(ask);
                let are_all = of_all.iter().all(Option::is_some);
                let mut said: Vec<Relayed> = Vec::new();
                for relayed in of_all.into_iter().flatten() {
                    match relayed {
                        Ok(relayed) => said.push(relayed),
                        Err(failure) => failures.push(failure),
                    }
                }
                let has = |relayed: &Relayed| !matches!(relayed, Err(e) if e.code == ErrorKind::NoDomain.code());
                match said.iter().position(has) {
                    Some(place) => Some(Ok(said.swap_remove(place))),
                    None if !are_all => None,
                    // One that could not be asked may be the one that has it.
                    None => failures.into_iter().next().map(Err).or_else(|| said.pop().map(Ok)),
                }
            }
        }
    }

    /// Returns why a call was not handed on in its time.
    pub(crate) fn overloaded(&self) -> Failure {
        let uri = self.uris().next().unwrap_or_default().to_owned();
        Failure { uri, error: Arc::new(late("calls that came before still wait for an answer")) }
    }

    /// Returns the connection to the first hypervisor, on whose host the domains are said to be.
    pub(crate) fn first(&self) -> Result<Option<Connect>, Failure> {
        let deadline = Instant::now() + self.timeout;
        let first = self.sources.first();
        first
            .map(|source| source.connect(deadline).map_err(|error| source.failure(error)))
            .transpose()
    }

    /// Lets go of all connections.
    pub(crate) fn close(&self) {
        self.sources.iter().for_each(Source::close);
    }

    /// Asks every hypervisor at once: a slow one keeps no other waiting.
    fn ask<T: Send>(
        &self,
        question: impl Fn(&Source) -> Result<T, Arc<Error>> + Sync,
    ) -> Answer<Vec<T>> {
        let question = &question;
        let results: Vec<_> = thread::scope(|scope| {
            let (first, others) = match self.sources.split_first() {
                Some(split) => split,
                None => return Vec::new(),
            };
            let asked: Vec<_> =
                others.iter().map(|source| scope.spawn(move || question(source))).collect();
            let first = question(first);
            let others = asked.into_iter().map(|thread| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            });
            [first].into_iter().chain(others).collect()
        });
        let mut answer =
            Answer { of_all: Vec::new(), asked: self.sources.len(), failures: Vec::new() };
        for (source, result) in self.sources.iter().zip(results) {
            source.note(result.as_ref().err().map(AsRef::as_ref));
            match result {
                Ok(one) => answer.of_all.push(one),
                Err(error) => answer.failures.push(source.failure(error)),
            }
        }
        answer
    }
}

fn late(sentence: &str) -> Error {
    Error::new(ErrorKind::Timeout, ErrorOrigin::Library, sentence)
}

/// Returns the request with the time that opening left.
fn until(request: &StatsRequest, deadline: Instant) -> StatsRequest {
    request.clone().timeout(deadline.saturating_duration_since(Instant::now()))
}

/// Returns the hypervisor of a configuration that names none: libvirt's daemon if its socket is
/// there, else the QEMU processes. Settings of clients do not count: they may name this daemon.
fn default_uri(options: &ConnectOptions) -> String {
    let mut candidates = default_uri::of_this_host();
    let found = candidates.find(|candidate| candidate.is_there(options));
    found.map_or(PROCESSES.to_owned(), |candidate| candidate.uri().to_owned())
}
