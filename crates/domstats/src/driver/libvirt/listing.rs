//! Which domains there are, and which of them a call is about.

use std::{
    collections::{HashMap, HashSet},
    time::Instant,
};

use domstats_rpc::{
    message::{DomainStatsArgs, ListDomainsArgs},
    procedure::{ConnectGetAllDomainStats, ConnectListAllDomains},
    xdr::List,
};
use uuid::Uuid;

use super::{
    link::{Answer, decode, silent, wait},
    pass::{Purpose, refusal},
    plan::Plan,
    pool::{InFlight, Lease, Link},
    wire,
};
use crate::model::{
    error::Result,
    identity::DomainInfo,
    report::{Missing, MissingDomain, MissingReason},
    request::DomainFilter,
};

/// What the daemon has.
pub(super) struct Listing {
    /// The domains that match the filter.
    pub(super) matching: Vec<DomainInfo>,
    /// All of them: to tell those that do not match from those that do not exist.
    pub(super) exists: HashSet<Uuid>,
}

/// Lists the domains.
pub(super) fn list(
    lease: &mut Lease<'_>,
    call: u64,
    filter: DomainFilter,
    deadline: Instant,
) -> Result<Listing> {
    let mut filters = vec![DomainFilter::PERSISTENT, DomainFilter::empty()];
    filters.extend(Some(filter).filter(|filter| !filter.is_empty()));
    let mut lists = each(lease, call, &filters, deadline)?;
    // The last one is of the filter, which may be that of all.
    let mut matching = lists.pop().unwrap_or_default();
    let mut uuids = lists.iter().map(|list| list.iter().filter_map(|info| info.uuid).collect());
    let persistent: HashSet<Uuid> = uuids.next().unwrap_or_default();
    let exists =
        uuids.next().unwrap_or_else(|| matching.iter().filter_map(|info| info.uuid).collect());
    for info in &mut matching {
        info.persistent = info.uuid.is_some_and(|uuid| persistent.contains(&uuid));
    }
    Ok(Listing { matching, exists })
}

/// Lists the domains that match each filter.
fn each(
    lease: &mut Lease<'_>,
    call: u64,
    filters: &[DomainFilter],
    deadline: Instant,
) -> Result<Vec<Vec<DomainInfo>>> {
    let Some(link) = lease.front.first_mut() else { return Err(silent()) };
    for (place, filter) in filters.iter().enumerate() {
        let args = ListDomainsArgs { need_results: true, flags: filter.bits() };
        let purpose = Purpose::List(place);
        link.ask::<ConnectListAllDomains>(
            &args,
            InFlight { call, purpose, ..InFlight::default() },
        )?;
    }
    answers(link, filters.len(), deadline, |answer| {
        decode::<ConnectListAllDomains, _>(answer, |reply| {
            reply.domains.0.iter().map(wire::domain_info).collect()
        })
    })
}

/// Asks for the statistics of all domains of a daemon that has none to list: one that could not
/// tell them, or does not know what is asked for, says so.
pub(super) fn ask_about_none(
    lease: &mut Lease<'_>,
    call: u64,
    filter: DomainFilter,
    plan: &Plan,
) -> Result<()> {
    let Some(link) = lease.front.first_mut() else { return Err(silent()) };
    let args = DomainStatsArgs {
        domains: List(Vec::new()),
        stats: plan.all_groups().bits(),
        flags: plan.flags | filter.bits(),
    };
    let question = InFlight { call, purpose: Purpose::List(0), ..InFlight::default() };
    link.ask::<ConnectGetAllDomainStats>(&args, question)?;
    let refusal = |answer: Answer<'_>| answer.err().as_ref().and_then(refusal).map_or(Ok(()), Err);
    answers(link, 1, plan.deadline, refusal).map(drop)
}

/// Waits for the answers to so many questions, each about the list in its place.
fn answers<R: Clone>(
    link: &mut Link,
    count: usize,
    deadline: Instant,
    decode: impl Fn(Answer<'_>) -> Result<R>,
) -> Result<Vec<R>> {
    let mut answers = vec![None; count];
    let mut refused = None;
    while refused.is_none() && answers.iter().any(Option::is_none) {
        if !wait(&[&*link], deadline)? {
            return Err(silent());
        }
        link.pump(|question, answer| {
            let Purpose::List(place) = question.purpose else { return };
            match (decode(answer), answers.get_mut(place)) {
                (Ok(decoded), Some(slot)) => *slot = Some(decoded),
                (Err(error), _) => refused = Some(error),
                _ => {}
            }
        })?;
    }
    match refused {
        Some(error) => Err(error),
        None => Ok(answers.into_iter().flatten().collect()),
    }
}

/// Which records there will be.
pub(super) struct Selection {
    /// For a list of domains, the places of their records: one for each occurrence.
    pub(super) order: Option<Vec<usize>>,
    /// The listed domains that do not exist.
    pub(super) missing: Vec<MissingDomain>,
}

/// Chooses the domains of a list among those that match the filter.
pub(super) fn select(listed: &[DomainInfo], listing: Listing) -> (Vec<DomainInfo>, Selection) {
    let Listing { matching, exists } = listing;
    let mut matching: HashMap<_, _> = matching.into_iter().map(|info| (info.uuid, info)).collect();
    let mut places = HashMap::new();
    let mut chosen = Vec::new();
    let mut order = Vec::new();
    let mut missing = Vec::new();
    for wanted in listed {
        if let Some(info) = matching.remove(&wanted.uuid) {
            places.insert(wanted.uuid, chosen.len());
            chosen.push(info);
        }
        match places.get(&wanted.uuid) {
            Some(place) => order.push(*place),
            // It does not match the filter: dropped, as libvirt does.
            None if wanted.uuid.is_some_and(|uuid| exists.contains(&uuid)) => {}
            None => missing.push(MissingDomain::new(
                wanted.clone(),
                Missing::new(MissingReason::Gone, "libvirt does not know it any more"),
            )),
        }
    }
    (chosen, Selection { order: Some(order), missing })
}
