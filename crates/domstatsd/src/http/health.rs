//! Whether the daemon lives, and whether it can answer.

use std::{sync::Arc, time::Duration};

use axum::extract::State;
use domstats::{DomainFilter, StatsGroups, StatsOptions};

use super::{Shared, refusal::Refusal};
use crate::share::Question;

/// How old what is known may be: probes come often.
const MAX_AGE: Duration = Duration::from_secs(1);

/// It answers, so it lives.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// It is ready if at least one hypervisor can be asked.
pub(super) async fn readyz(State(shared): State<Arc<Shared>>) -> Result<&'static str, Refusal> {
    let question = Question {
        groups: StatsGroups::STATE,
        filter: DomainFilter::empty(),
        options: StatsOptions::NOWAIT,
        timeout: shared.timeout,
    };
    let pass = shared.passes.ask(question, MAX_AGE).await?;
    match pass.answer.failures.as_slice() {
        failures if !failures.is_empty() && failures.len() == shared.passes.uris().count() => {
            Err(Refusal::unreachable(failures))
        }
        _ => Ok("ready\n"),
    }
}
