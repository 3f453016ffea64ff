//! The bulk call.

use std::{borrow::Cow, time::Duration};

use domstats::{DomainFilter, DomainStats, StatsGroups, StatsOptions, printable, wire};
use domstats_rpc::{
    limits,
    message::{DomainStatsArgs, StatsRecord, StatsRecords, TypedParam},
    xdr::List,
};
use tokio::task;

use super::{
    connect::Client,
    domains::{self, check},
    refuse::{self, Refusal},
};
use crate::hypervisors::StatsQuery;

pub(super) async fn all(
    client: &Client,
    args: DomainStatsArgs<'_>,
) -> Result<StatsRecords<'static>, Refusal> {
    let (query, is_empty) = query(args.stats, args.flags)?;
    let hypervisors = &client.server.hypervisors;
    let snapshot = if args.domains.0.is_empty() {
        hypervisors.snapshot(query, Duration::ZERO, ()).await
    } else {
        // Domains that no longer exist have no record.
        let domains = domains::meant(client, &args.domains.0).await?;
        hypervisors.snapshot_of(domains, query).await
    };
    check(&snapshot.gathered)?;
    let records = snapshot.report().domains.len();
    if records > limits::DOMAINS {
        return Err(refuse::internal(format!(
            "Number of domain stats records is {records}, which exceeds max limit: {}",
            limits::DOMAINS
        )));
    }
    // Thousands of records take time and memory: a client's replies are built one at a time, and no more at a
    // time than there are CPUs; other tasks run in between.
    let _one_of_client = client.building.lock().await;
    let _one_of_all = client.server.building.acquire().await;
    let mut sent = Vec::with_capacity(records);
    for part in snapshot.report().domains.chunks(64) {
        sent.extend(part.iter().map(|stats| record(stats, is_empty)));
        task::yield_now().await;
    }
    Ok(List(sent))
}

/// Reads libvirt's two masks. A request for unknown groups only gets records with nothing in them, as from
/// libvirt.
fn query(stats: u32, flags: u32) -> Result<(StatsQuery, bool), Refusal> {
    let options = StatsOptions::from_bits_truncate(flags);
    let filter = DomainFilter::from_bits_retain(flags & !options.bits());
    let unknown = filter.difference(DomainFilter::all_known());
    if !unknown.is_empty() {
        return Err(refuse::unsupported_flags(unknown.bits(), "qemuConnectGetAllDomainStats"));
    }
    let groups = StatsGroups::from_bits_retain(stats);
    let unknown = groups.difference(StatsGroups::all_known());
    if options.contains(StatsOptions::ENFORCE_STATS) && !unknown.is_empty() {
        return Err(refuse::unsupported_groups(unknown.bits()));
    }
    let known = groups & StatsGroups::all_known();
    if known.is_empty() && !unknown.is_empty() {
        // The empty set means all groups: the state is the least that gives records.
        return Ok((StatsQuery { filter, options, ..StatsQuery::new(StatsGroups::STATE) }, true));
    }
    Ok((StatsQuery { filter, options, ..StatsQuery::new(known) }, false))
}

fn record(stats: &DomainStats, is_empty: bool) -> StatsRecord<'static> {
    let mut params = Vec::new();
    if is_empty {
        return StatsRecord { domain: domains::sent(&stats.domain), params: List(params) };
    }
    stats.visit_params(|key, _, value| {
        if let Some(value) = wire::param(value)
            && key.len() <= limits::PARAM_NAME
        {
            params.push(TypedParam { field: Cow::Owned(printable(key)), value });
        }
    });
    StatsRecord { domain: domains::sent(&stats.domain), params: List(params) }
}
