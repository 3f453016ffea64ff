//! Answers one statistics call: selects the guests, queries their monitors, and builds their
//! records.

use std::time::Instant;

use crate::{
    driver::qemu::{
        Qemu,
        groups::{self, Sources},
        guest::{
            Guest,
            registry::{Found, Sighting},
        },
        host::{HostSide, Networks},
        monitor::{cache::HostView, nics::NicSnapshot},
        pass::{self, Conversation, Rules},
        reasons,
    },
    host::procfs::Proc,
    model::{
        identity::DomainInfo,
        report::{DomainStats, Missing, MissingDomain, MissingReason, Phase, StatsReport},
        request::{DomainFilter, StatsGroups, StatsOptions, StatsRequest},
    },
};

impl Qemu {
    /// Queries guests and returns their records; `None` for a guest that the filter leaves out.
    pub(super) fn ask(
        &self,
        guests: Vec<Sighting>,
        request: &StatsRequest,
        deadline: Instant,
        report: &mut StatsReport,
    ) -> Vec<Option<DomainStats>> {
        let proc = &self.guests.proc().for_call(deadline);
        let start = Instant::now();
        let (guests, mut hosts) = self.host.before(proc, guests, request.groups);
        let view = |guest: &Guest, host: &HostSide| {
            self.hold.then(|| HostView::new(proc, guest.process, host.threads.clone()))
        };
        let mut conversations: Vec<Conversation<'_>> = guests
            .iter()
            .zip(&hosts)
            .map(|(guest, host)| begin(guest, host, request, view(guest, host)))
            .collect();
        let rules = self.rules(proc, deadline, request.options.contains(StatsOptions::NOWAIT));
        let mut networks = Networks::default();
        let mut host_time = start.elapsed();
        pass::converse(&mut conversations, &rules, proc, || {
            let start = Instant::now();
            networks = self.host.meanwhile(proc, &guests, &mut hosts, request.groups, deadline);
            host_time += start.elapsed();
        });
        if request.groups.contains(StatsGroups::INTERFACE) {
            for (conversation, host) in conversations.iter_mut().zip(&mut hosts) {
                learn_nics(conversation, host);
            }
            ask_for_new_nics(proc, &conversations, &mut hosts, &rules);
        }
        let monitor_time = start.elapsed().saturating_sub(host_time);
        let start = Instant::now();
        let records = conversations.iter().zip(&hosts).map(|(conversation, host)| {
            let guest = conversation.guest();
            guest.learn(&conversation.replies);
            let devices = networks.of(host.namespace);
            let replies = &conversation.replies;
            let missing = conversation.missing.as_ref();
            let sources = Sources { proc, guest, host, devices, replies, missing, request };
            record(&sources).unwrap_or_else(|missing| {
                report.missing.push(MissingDomain::new(guest.info(), missing));
                None
            })
        });
        let records = records.collect();
        report.phases.extend([
            Phase::new("host", host_time),
            Phase::new("monitors", monitor_time),
            Phase::new("assembling", start.elapsed()),
        ]);
        records
    }
}

/// Queries the NICs again of guests whose taps have changed.
fn ask_for_new_nics(
    proc: &Proc,
    conversations: &[Conversation<'_>],
    hosts: &mut [HostSide],
    rules: &Rules<'_>,
) {
    let has_other_taps = |(conversation, host): &(&Conversation<'_>, &mut HostSide)| {
        conversation.missing.is_none() && conversation.guest().has_other_taps(host.taps.as_deref())
    };
    let (mut again, hosts): (Vec<_>, Vec<_>) = conversations
        .iter()
        .zip(hosts)
        .filter(has_other_taps)
        .map(|(conversation, host)| {
            (Conversation::new(conversation.guest(), Vec::new(), None).find_nics(false), host)
        })
        .unzip();
    pass::converse(&mut again, rules, proc, || {});
    for (conversation, host) in again.iter_mut().zip(hosts) {
        learn_nics(conversation, host);
    }
}

/// Stores what a conversation found out about the NICs, or why it found nothing.
fn learn_nics(conversation: &mut Conversation<'_>, host: &mut HostSide) {
    match conversation.nics.take() {
        Some(Ok(told)) => {
            conversation.guest().learn_nics(NicSnapshot { taps: host.taps.clone(), ..told });
        }
        Some(Err(missing)) => host.lacks_interfaces = Some(missing),
        None => {}
    }
}

/// Prepares the queries to a guest. A stopped process is not asked: it cannot answer, and the
/// queries would wait in its socket.
fn begin<'a>(
    guest: &'a Guest,
    host: &HostSide,
    request: &StatsRequest,
    view: Option<HostView<'a>>,
) -> Conversation<'a> {
    let queries = groups::queries(guest, host, request);
    let is_held = view.is_some();
    let mut conversation = Conversation::new(guest, queries, view);
    if request.options.contains(StatsOptions::BACKING) {
        conversation = conversation.find_copies();
    }
    if request.groups.contains(StatsGroups::INTERFACE) && guest.monitors.is_ok() {
        conversation = match guest.nics() {
            None => conversation.find_nics(false),
            Some(_) if is_held => conversation.watch_nics(),
            Some(_) => conversation,
        };
    }
    if let Some(missing) = stopped(host) {
        guest.excuse();
        conversation.refuse(missing);
    }
    conversation
}

/// Returns why a guest cannot be asked, if its process is stopped.
pub(super) fn stopped(host: &HostSide) -> Option<Missing> {
    let text = "the QEMU process is stopped (SIGSTOP) and cannot answer";
    (host.stat.state == 'T').then(|| Missing::new(MissingReason::Timeout, text))
}

/// Returns a guest's record, `None` if it does not match the filter, or why there is none.
fn record(sources: &Sources<'_>) -> Result<Option<DomainStats>, Missing> {
    if let Some(missing) = sources.missing.filter(|_| is_gone(sources.proc, sources.guest)) {
        return Err(Missing::new(MissingReason::Gone, missing.text.clone()));
    }
    match groups::matches(sources.request.filter, sources.replies) {
        Some(true) => Ok(Some(sources.record())),
        Some(false) => Ok(None),
        None => Err(sources.missing.cloned().unwrap_or_else(|| {
            Missing::new(MissingReason::Failed, "the monitor did not report the domain's state")
        })),
    }
}

/// Returns whether a guest's process has ended.
fn is_gone(proc: &Proc, guest: &Guest) -> bool {
    !guest.process.is_alive(proc)
}

/// Selects the guests to ask. For a list, also returns the positions of their records: one for each
/// occurrence.
pub(super) fn select(
    proc: &Proc,
    found: Found,
    of: Option<&[DomainInfo]>,
    filter: DomainFilter,
    report: &mut StatsReport,
) -> (Vec<Sighting>, Option<Vec<usize>>) {
    let matches = |(guest, _): &Sighting| filter.matches_info(&guest.info());
    let Some(of) = of else {
        report.missing.extend(found.missing);
        return (found.guests.into_iter().filter(matches).collect(), None);
    };
    let infos: Vec<DomainInfo> = found.guests.iter().map(|(guest, _)| guest.info()).collect();
    // The position of each found guest among the selected ones.
    let mut places: Vec<Option<usize>> = vec![None; infos.len()];
    let mut chosen = Vec::new();
    let mut order = Vec::new();
    for wanted in of {
        match DomainInfo::place(&infos, wanted) {
            // Drops a listed domain that does not match the filter, as libvirt does.
            Ok(Some(number)) if !matches(&found.guests[number]) => {}
            Ok(Some(number)) => order.push(*places[number].get_or_insert_with(|| {
                chosen.push(found.guests[number].clone());
                chosen.len() - 1
            })),
            Err(missing) => report.missing.push(MissingDomain::new(wanted.clone(), missing)),
            Ok(None) => {
                let unnamed = found.missing.iter().find(|missing| missing.domain.is_very(wanted));
                let gone = || reasons::gone(proc);
                let missing = unnamed.map_or_else(gone, |missing| missing.missing.clone());
                report.missing.push(MissingDomain::new(wanted.clone(), missing));
            }
        }
    }
    (chosen, Some(order))
}
