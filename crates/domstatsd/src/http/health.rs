//! Health checks: whether the daemon is alive, and whether it can answer.

use std::{sync::Arc, time::Duration};

use axum::extract::State;
use domstats::{StatsGroups, StatsOptions};

use super::{App, refusal::Refusal};
use crate::{hypervisors::StatsQuery, net::source::Source};

/// The greatest age of the snapshot: probes come often.
const MAX_AGE: Duration = Duration::from_secs(1);

/// A daemon that answers is alive.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// The daemon is ready if at least one hypervisor can be asked.
pub(super) async fn readyz(State(app): State<Arc<App>>) -> Result<&'static str, Refusal> {
    let options = StatsOptions::NOWAIT;
    let query = StatsQuery { options, ..StatsQuery::new(StatsGroups::STATE) };
    // All probes send the same query, so it needs no limit.
    let snapshot = app.admission.snapshot(query, MAX_AGE, Source::Daemon).await?;
    match snapshot.gathered.unreachable() {
        Some(failures) => Err(Refusal::unreachable(failures)),
        None => Ok("ready\n"),
    }
}
