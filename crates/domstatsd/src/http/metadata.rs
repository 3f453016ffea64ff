//! Metadata that management layers store in the descriptions of domains, fetched rarely and beside the scrapes.
//!
//! A scrape shows what is known. If it has domains without known metadata, their descriptions are fetched after the
//! answer, for the next scrape. A domain that was restarted is fetched again.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use domstats::{
    DomainFilter, DomainInfo, ErrorKind, StatsReport, Uuid, Value,
    format::{LabelSet, Labelled, Labels, Metrics, labelled},
    stats::{Kind, Unit},
    sync::lock,
};

use super::description::{self, Metadatum};
use crate::hypervisors::Host;

/// The pause between two rounds.
const PAUSE: Duration = Duration::from_secs(5);
/// The timeout of one description.
const PATIENCE: Duration = Duration::from_secs(1);

/// A domain in one of its lives: its UUID and id.
type Life = (Uuid, Option<u32>);

#[derive(Default)]
pub(super) struct Metadata(Mutex<State>);

#[derive(Default)]
struct State {
    known: HashMap<Life, Arc<[Metadatum]>>,
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

    /// Returns the known metadata of a domain.
    pub(super) fn of(&self, domain: &DomainInfo) -> Arc<[Metadatum]> {
        let known = life(domain).and_then(|life| self.state().known.get(&life).cloned());
        known.unwrap_or_default()
    }

    /// Adds the known metadata of the domains of a report.
    pub(super) fn push<L: Labels>(&self, report: &StatsReport, metrics: &mut Metrics<L>) {
        let state = self.state();
        for Labelled { labels, stats, .. } in labelled(report) {
            let Some(life) = life(&stats.domain) else { continue };
            for metadatum in state.known.get(&life).into_iter().flat_map(|all| all.iter()) {
                let mut labels = labels.clone();
                if metadatum.layer.is_instance {
                    labels = labels.with("instance_id", &life.0.to_string());
                }
                let with = |labels: LabelSet<L>, (name, value)| labels.with(name, value);
                let labels = metadatum.labels().fold(labels, with);
                let family =
                    metrics.family(metadatum.layer.metric, Kind::Gauge, metadatum.layer.help);
                metrics.push(family, &labels, Unit::None, &Value::Int(1));
            }
        }
    }

    /// Fetches unknown metadata of the domains of a report, on a thread of its own, unless a round is in flight.
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

    /// Fetches the descriptions of all unknown domains, until one is late.
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
            let metadata = match domain.xml(PATIENCE) {
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
            self.state().known.insert(life, metadata.into());
        }
    }
}
