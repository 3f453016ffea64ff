//! Calls of libvirt's protocol that are relayed to a libvirt, as bytes both ways.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use domstats::{
    Error, ErrorKind, ErrorOrigin,
    wire::{self, Call, Relay, Relayed},
};
use domstats_rpc::{Xdr, message, procedure::ProcedureId, xdr::Decoder};
use tokio::{sync::Semaphore, time};

use super::{Failure, Gathered, Generation, Host, Hypervisors, blocking, hypervisor::Hypervisor};

/// The calls that are relayed at a time: a libvirt daemon works on 20, and has other clients.
const RELAYS: usize = 4;

/// The subject of a relayed call, which decides which hypervisors are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The host: that of the first hypervisor.
    Host,
    /// The list of domains, if there is one hypervisor: the lists of several are merged here.
    Domains,
    /// A domain, of whichever hypervisor.
    Domain,
    /// A domain whose monitor may have to be asked.
    Monitor,
    /// The same, where a pass can answer too: it does for a domain whose monitor is stuck, and when too many
    /// calls are in flight.
    Counters,
}

impl Scope {
    /// Returns whether a monitor may have to be asked.
    fn is_monitor(self) -> bool {
        matches!(self, Self::Monitor | Self::Counters)
    }
}

/// A permit for each call in flight: for calls that ask no monitor, and for those that may.
#[derive(Clone)]
pub(super) struct Relays([Arc<Semaphore>; 2]);

impl Default for Relays {
    fn default() -> Self {
        Self([RELAYS; 2].map(|most| Arc::new(Semaphore::new(most))))
    }
}

impl Hypervisors {
    /// Relays a call; `None` if there is no libvirt, none has the domain, or a pass is the better answer.
    pub(crate) async fn relay(
        &self,
        scope: Scope,
        procedure: ProcedureId,
        arguments: Vec<u8>,
    ) -> Option<Result<Relayed, Failure>> {
        let Generation { host, timeout, .. } = self.current();
        let arrived = Instant::now();
        let permits = Arc::clone(&self.relays.0[usize::from(scope.is_monitor())]);
        let permit = match scope {
            // A pass answers meanwhile.
            Scope::Counters => permits.try_acquire_owned().ok()?,
            _ => match time::timeout(timeout, permits.acquire_owned()).await {
                Ok(Ok(permit)) => permit,
                _ => return Some(Err(overloaded(&host))),
            },
        };
        blocking(move || {
            let _permit = permit;
            host.relay(scope, procedure, &arguments, timeout.saturating_sub(arrived.elapsed()))
        })
        .await
    }
}

impl Host {
    /// Relays a call within this time; `None` if there is no libvirt, none has the domain, or a pass is the
    /// better answer.
    fn relay(
        &self,
        scope: Scope,
        procedure: ProcedureId,
        arguments: &[u8],
        timeout: Duration,
    ) -> Option<Result<Relayed, Failure>> {
        let deadline = Instant::now() + timeout;
        // Arguments about a domain begin with it.
        let domain = scope
            .is_monitor()
            .then(|| message::Domain::decode(&mut Decoder::new(arguments)).ok())
            .flatten()
            .map(|domain| wire::domain_info(&domain));
        let is_of_one = matches!(scope, Scope::Host | Scope::Domains);
        let ask = |hypervisor: &Hypervisor| {
            if !is_of_one && self.hypervisors.len() > 1 && hypervisor.is_failing() {
                // A domain of another one would wait for it twice: here, and in its pass.
                return Err(Arc::new(late("it did not answer the last time")));
            }
            let connect = hypervisor.connect(deadline)?;
            let left = deadline.saturating_duration_since(Instant::now());
            let Some(relay) = Relay::of(&connect) else { return Ok(None) };
            let call = Call { procedure, arguments };
            let relayed = match &domain {
                Some(domain) if scope == Scope::Counters => {
                    relay.call_free_monitor(domain, call, left)
                }
                Some(domain) => relay.call_monitor(domain, call, left).map(Some),
                None => relay.call(call, left).map(Some),
            };
            match relayed {
                // The domain may be at fault: that says nothing about the hypervisor.
                Err(error) if scope.is_monitor() && error.kind() == ErrorKind::Timeout => {
                    Ok(Some(Err(hypervisor.failure(Arc::new(error)))))
                }
                relayed => Ok(relayed?.map(Ok)),
            }
        };
        match scope {
            Scope::Domains if self.hypervisors.len() > 1 => None,
            Scope::Host | Scope::Domains => {
                let first = self.hypervisors.first()?;
                let relayed = ask(first);
                first.note(relayed.as_ref().err().map(AsRef::as_ref));
                relayed.unwrap_or_else(|error| Some(Err(first.failure(error))))
            }
            Scope::Domain | Scope::Monitor | Scope::Counters => {
                let Gathered { value, mut failures, .. } = self.ask(ask);
                let are_all = value.iter().all(Option::is_some);
                let mut replies: Vec<Relayed> = Vec::new();
                for relayed in value.into_iter().flatten() {
                    match relayed {
                        Ok(reply) => replies.push(reply),
                        Err(failure) => failures.push(failure),
                    }
                }
                let absent = ErrorKind::NoDomain.code();
                let has = |reply: &Relayed| !matches!(reply, Err(error) if error.code == absent);
                match replies.iter().position(has) {
                    Some(place) => Some(Ok(replies.swap_remove(place))),
                    None if !are_all => None,
                    // A hypervisor that could not be asked may have the domain.
                    None => failures.into_iter().next().map(Err).or_else(|| replies.pop().map(Ok)),
                }
            }
        }
    }
}

/// Returns why a call was not relayed in time.
fn overloaded(host: &Host) -> Failure {
    let uri = host.uris().next().unwrap_or_default().to_owned();
    Failure { uri, error: Arc::new(late("calls that came before still wait for an answer")) }
}

fn late(sentence: &str) -> Error {
    Error::new(ErrorKind::Timeout, ErrorOrigin::Library, sentence)
}
