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
use crate::pass::Question;

pub(super) async fn all(
    client: &Client,
    args: DomainStatsArgs<'_>,
) -> Result<StatsRecords<'static>, Refusal> {
    let (question, is_of_nothing) = question(args.stats, args.flags)?;
    let answer = if args.domains.0.is_empty() {
        client.server.passes.report(question, Duration::ZERO).await
    } else {
        // Those that are not there any more have no record.
        let domains = domains::meant(client, &args.domains.0).await?;
        client.server.passes.report_of(domains, question).await
    };
    check(&answer)?;
    let records = answer.of_all.domains.len();
    if records > limits::DOMAINS {
        return Err(refuse::internal(format!(
            "Number of domain stats records is {records}, which exceeds max limit: {}",
            limits::DOMAINS
        )));
    }
    // Thousands take a while, and memory: one answer of a client is made at a time, and no more than
    // there are threads; others have the thread in between.
    let _its_only = client.making.lock().await;
    let _one_of_few = client.server.making.acquire().await;
    let mut sent = Vec::with_capacity(records);
    for part in answer.of_all.domains.chunks(64) {
        sent.extend(part.iter().map(|stats| record(stats, is_of_nothing)));
        task::yield_now().await;
    }
    Ok(List(sent))
}

/// Understands libvirt's two numbers. Who asks only for groups that do not exist gets records with
/// nothing in them, as libvirt gives.
fn question(stats: u32, flags: u32) -> Result<(Question, bool), Refusal> {
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
        // To ask for nothing would be to ask for everything: the least that gives records.
        return Ok((Question { filter, options, ..Question::new(StatsGroups::STATE) }, true));
    }
    Ok((Question { filter, options, ..Question::new(known) }, false))
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
