//! What the management layers say of the domains: fetched beside the scrapes, and rarely.
//!
//! A scrape shows what is known. If it has domains of which nothing is known yet, their
//! descriptions are fetched once it was answered, so that the next one shows theirs. A domain is
//! asked again when it has started again.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use domstats::{
    DomainFilter, DomainInfo, ErrorKind, StatsReport, Uuid, Value,
    format::{LabelSet, Labelled, Metrics, labelled},
    stats::{Kind, Unit},
    sync::lock,
};

use super::description::{self, Said};
use crate::hypervisors::Host;

/// The pause between two rounds, when something is left to fetch.
const PAUSE: Duration = Duration::from_secs(5);
/// How long a hypervisor may take for one description.
const PATIENCE: Duration = Duration::from_secs(1);

/// A domain in one of its lives.
type Life = (Uuid, Option<u32>);

#[derive(Default)]
pub(super) struct Metadata(Mutex<State>);

#[derive(Default)]
struct State {
    known: HashMap<Life, Arc<[Said]>>,
    is_fetching: bool,
    /// When the last round ended.
    ended: Option<Instant>,
}

fn life(domain: &DomainInfo) -> Option<Life> {
    Some((domain.uuid?, domain.id))
}

impl Metadata {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }

    /// Returns what is known of a domain.
    pub(super) fn of(&self, domain: &DomainInfo) -> Arc<[Said]> {
        let known = life(domain).and_then(|life| self.state().known.get(&life).cloned());
        known.unwrap_or_default()
    }

    /// Adds what is known of the domains of a report.
    pub(super) fn push(&self, report: &StatsReport, metrics: &mut Metrics) {
        let state = self.state();
        for Labelled { labels, stats, .. } in labelled(report) {
            let Some(life) = life(&stats.domain) else { continue };
            for said in state.known.get(&life).into_iter().flat_map(|said| said.iter()) {
                let mut labels = labels.clone();
                if said.layer.is_instance {
                    labels = labels.with("instance_id", &life.0.to_string());
                }
                let with = |labels: LabelSet, (name, value)| labels.with(name, value);
                let labels = said.labels().fold(labels, with);
                let family = metrics.family(said.layer.metric, Kind::Gauge, said.layer.help);
                metrics.push(family, &labels, Unit::None, &Value::Int(1));
            }
        }
    }

    /// Fetches what is not known of the domains of a report, on a thread of its own, unless that is
    /// being done.
    pub(super) fn fetch(self: &Arc<Self>, report: &StatsReport, host: Arc<Host>) {
        let mut state = self.state();
        let is_early = state.ended.is_some_and(|ended| ended.elapsed() < PAUSE);
        if state.is_fetching || is_early {
            return;
        }
        let mut lives = report.domains.iter().filter_map(|record| life(&record.domain));
        if lives.all(|life| state.known.contains_key(&life)) {
            return;
        }
        let its = Arc::clone(self);
        let round = move || {
            its.round(&host);
            let mut state = its.state();
            (state.is_fetching, state.ended) = (false, Some(Instant::now()));
        };
        let started = std::thread::Builder::new().name("metadata".to_owned()).spawn(round);
        state.is_fetching = started.is_ok();
    }

    /// Asks every domain that is not known, until one does not answer in time.
    fn round(&self, host: &Host) {
        let listed = host.domains(DomainFilter::empty());
        if listed.failures.is_empty() {
            let lives: HashSet<_> =
                listed.value.iter().filter_map(|domain| life(domain.info())).collect();
            self.state().known.retain(|life, _| lives.contains(life));
        }
        for domain in listed.value {
            let Some(life) = life(domain.info()) else { continue };
            if self.state().known.contains_key(&life) {
                continue;
            }
            let said = match domain.xml(PATIENCE) {
                Ok(xml) => description::read(&xml),
                Err(error)
                    if matches!(error.kind(), ErrorKind::NoSupport | ErrorKind::NoDomain) =>
                {
                    Vec::new()
                }
                Err(error) => {
                    tracing::debug!(domain = domain.name(), %error, "no description");
                    return;
                }
            };
            self.state().known.insert(life, said.into());
        }
    }
}
