//! Whether the daemon lives, and whether it can answer.

use std::{sync::Arc, time::Duration};

use axum::extract::State;
use domstats::{StatsGroups, StatsOptions};

use super::{Shared, refusal::Refusal};
use crate::{client::Source, pass};

/// How old what is known may be: probes come often.
const MAX_AGE: Duration = Duration::from_secs(1);

/// It answers, so it lives.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// It is ready if at least one hypervisor can be asked.
pub(super) async fn readyz(State(shared): State<Arc<Shared>>) -> Result<&'static str, Refusal> {
    let mut of_domains = pass::Question::new(StatsGroups::STATE);
    of_domains.options = StatsOptions::NOWAIT;
    let question = shared.answers.question(of_domains, None);
    // One question for all who probe, so it needs no limit.
    let pass = shared.answers.ask(question, MAX_AGE, Source::Daemon).await?;
    match pass.is_down() {
        true => Err(Refusal::unreachable(&pass.answer.failures)),
        false => Ok("ready\n"),
    }
}
