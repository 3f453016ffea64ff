//! All hypervisors, asked as one.
//!
//! A domain that several of them have is the first one's (`merge.rs`). All calls here block, each no longer
//! than its timeout.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime},
};

use domstats::{
    Connect, ConnectOptions, Domain, DomainFilter, DomainInfo, Error, Nic, StatsReport,
    StatsRequest,
    default_uri::{self, PROCESSES},
};

use super::{Failure, Gathered, conflicts::Conflicts, hypervisor::Hypervisor, merge};
use crate::config::Config;

/// Every hypervisor of the configuration, in its order.
pub(crate) struct Host {
    pub(super) hypervisors: Vec<Hypervisor>,
    timeout: Duration,
    conflicts: Conflicts,
}

impl Host {
    pub(crate) fn new(config: &Config) -> Self {
        let options = ConnectOptions::from_env().timeout(config.timeout);
        let hypervisor = |uri: &String| Hypervisor::new(uri.clone(), options.clone());
        let default = [default_uri(&options)];
        let uris = if config.connect.is_empty() { &default } else { config.connect.as_slice() };
        let hypervisors = uris.iter().map(hypervisor).collect();
        Self { hypervisors, timeout: config.timeout, conflicts: Conflicts::default() }
    }

    /// Returns the URIs of all hypervisors.
    pub(crate) fn uris(&self) -> impl Iterator<Item = &str> {
        self.hypervisors.iter().map(|hypervisor| hypervisor.uri.as_str())
    }

    /// Returns the domains that match, of every hypervisor.
    pub(crate) fn domains(&self, filter: DomainFilter) -> Gathered<Vec<Domain>> {
        let deadline = Instant::now() + self.timeout;
        let lists =
            self.ask(|hypervisor| hypervisor.connect(deadline)?.domains(filter).map_err(Arc::new));
        lists.map(|lists| {
            let infos: Vec<Vec<_>> =
                lists.iter().map(|domains| domains.iter().map(Domain::info).collect()).collect();
            let mut are_new = merge::are_new(&infos).into_iter();
            let mut domains: Vec<Domain> = lists.into_iter().flatten().collect();
            domains.retain(|_| are_new.next() == Some(true));
            let mut infos: Vec<_> = domains.iter().map(|domain| domain.info().clone()).collect();
            DomainInfo::note_conflicts(infos.iter_mut());
            let noted =
                domains.iter().zip(infos).map(|(domain, info)| domain.connect().domain(info));
            noted.collect()
        })
    }

    /// Returns the active domain with this number, if there is one hypervisor and it has it. Of several,
    /// one may have a domain that another has under its own number.
    pub(crate) fn domain_by_id(&self, id: u32) -> Option<Domain> {
        let [hypervisor] = self.hypervisors.as_slice() else { return None };
        hypervisor.connect(Instant::now() + self.timeout).ok()?.domain_by_id(id).ok()
    }

    /// Returns the statistics of all domains that match, within this time.
    pub(crate) fn stats(&self, request: &StatsRequest, timeout: Duration) -> Gathered<StatsReport> {
        let start = (SystemTime::now(), Instant::now());
        let deadline = start.1 + timeout;
        let reports = self.ask(|hypervisor| {
            let connect = hypervisor.connect(deadline)?;
            connect.all_domain_stats(&until(request, deadline)).map_err(Arc::new)
        });
        let gathered = merge::all(reports, start);
        self.conflicts.log(&gathered.value);
        gathered
    }

    /// Returns the statistics of these domains, within this time: a record for each that is there.
    /// Each hypervisor is asked for all of them: to look up first which it has would take longer.
    pub(crate) fn stats_of(
        &self,
        domains: &[DomainInfo],
        request: &StatsRequest,
        timeout: Duration,
    ) -> Gathered<StatsReport> {
        let start = (SystemTime::now(), Instant::now());
        let deadline = start.1 + timeout;
        let reports = self.ask(|hypervisor| {
            let connect = hypervisor.connect(deadline)?;
            let its: Vec<Domain> =
                domains.iter().map(|info| connect.domain(info.clone())).collect();
            Domain::list_stats(&its, &until(request, deadline)).map_err(Arc::new)
        });
        merge::of(domains, reports, start)
    }

    /// Returns the NICs of a domain, from the first hypervisor that has any within this time; those that it
    /// leaves out are unknown.
    pub(crate) fn nics(&self, domain: &DomainInfo, timeout: Duration) -> Vec<Nic> {
        let deadline = Instant::now() + timeout;
        let gathered = self.ask(|hypervisor| {
            let connect = hypervisor.connect(deadline)?;
            let left = deadline.saturating_duration_since(Instant::now());
            // Another hypervisor may have the domain.
            Ok(connect.domain(domain.clone()).nics(left).unwrap_or_else(|error| {
                tracing::debug!(uri = hypervisor.uri, domain = domain.name.as_str(), %error, "no NICs");
                Vec::new()
            }))
        });
        gathered.value.into_iter().find(|nics| !nics.is_empty()).unwrap_or_default()
    }

    /// Returns the connection to the first hypervisor, whose host is taken for that of all domains.
    pub(crate) fn first(&self) -> Result<Option<Connect>, Failure> {
        let deadline = Instant::now() + self.timeout;
        let first = self.hypervisors.first();
        first.map(|first| first.connect(deadline).map_err(|error| first.failure(error))).transpose()
    }

    /// Closes all connections.
    pub(crate) fn close(&self) {
        self.hypervisors.iter().for_each(Hypervisor::close);
    }

    /// Asks all hypervisors at once, so that a slow one does not delay the others.
    pub(super) fn ask<T: Send>(
        &self,
        question: impl Fn(&Hypervisor) -> Result<T, Arc<Error>> + Sync,
    ) -> Gathered<Vec<T>> {
        let question = &question;
        let results: Vec<_> = thread::scope(|scope| {
            let Some((first, others)) = self.hypervisors.split_first() else { return Vec::new() };
            let asked: Vec<_> =
                others.iter().map(|other| scope.spawn(move || question(other))).collect();
            let first = question(first);
            let others = asked.into_iter().map(|thread| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            });
            [first].into_iter().chain(others).collect()
        });
        let (mut value, mut failures) = (Vec::new(), Vec::new());
        for (hypervisor, result) in self.hypervisors.iter().zip(results) {
            hypervisor.note(result.as_ref().err().map(AsRef::as_ref));
            match result {
                Ok(one) => value.push(one),
                Err(error) => failures.push(hypervisor.failure(error)),
            }
        }
        Gathered { value, asked: self.hypervisors.len(), failures }
    }
}

/// Returns the request with what is left of its time after connecting.
fn until(request: &StatsRequest, deadline: Instant) -> StatsRequest {
    request.clone().timeout(deadline.saturating_duration_since(Instant::now()))
}

/// Returns the hypervisor of a configuration that names none: this host's libvirt daemon if its socket exists,
/// else the QEMU processes. Settings of clients do not count: they may name this daemon.
fn default_uri(options: &ConnectOptions) -> String {
    let mut candidates = default_uri::of_this_host();
    let found = candidates.find(|candidate| candidate.is_there(options));
    found.map_or(PROCESSES.to_owned(), |candidate| candidate.uri().to_owned())
}
