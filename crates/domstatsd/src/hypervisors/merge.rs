//! Merges the answers of several hypervisors.
//!
//! Two may have the same domain: libvirt, and its QEMU directly. The UUID tells, and the first hypervisor's
//! record is kept. Anybody can start a QEMU with that UUID, so this applies to domains of trusted users only,
//! and to one domain of each hypervisor: all others are shown.

use std::{
    collections::{HashMap, HashSet},
    time::{Instant, SystemTime},
};

use domstats::{DomainInfo, DomainStats, MissingDomain, MissingReason, Name, StatsReport, Uuid};

use super::Gathered;

/// When asking began.
pub(super) type Start = (SystemTime, Instant);

/// Returns for each domain of each hypervisor, in their order, whether no earlier hypervisor has it.
pub(super) fn are_new(hypervisors: &[Vec<&DomainInfo>]) -> Vec<bool> {
    let mut uuids: HashSet<Uuid> = HashSet::new();
    let mut processes = HashSet::new();
    let mut are_new = Vec::new();
    for domains in hypervisors {
        let trusted = || domains.iter().filter(|info| !info.untrusted).filter_map(|info| info.uuid);
        let mut counts: HashMap<Uuid, usize> = HashMap::new();
        trusted().for_each(|uuid| *counts.entry(uuid).or_default() += 1);
        let is_new = |info: &&DomainInfo| {
            let is_known = |uuid| uuids.contains(&uuid) && counts[&uuid] == 1;
            let is_told = !info.untrusted && info.uuid.is_some_and(is_known);
            !is_told && process(info).is_none_or(|process| !processes.contains(&process))
        };
        are_new.extend(domains.iter().map(is_new));
        uuids.extend(trusted());
        processes.extend(domains.iter().filter_map(|info| process(info)));
    }
    are_new
}

/// Returns the identity of a QEMU process of this host.
fn process(info: &DomainInfo) -> Option<(u32, u32, &str, Option<Uuid>)> {
    Some((info.uid?, info.id?, &info.name, info.uuid))
}

/// Makes one report of all domains.
pub(super) fn all(reports: Gathered<Vec<StatsReport>>, start: Start) -> Gathered<StatsReport> {
    let infos = reports.value.iter().map(|report| {
        let domains = report.domains.iter().map(|stats| &stats.domain);
        domains.chain(report.missing.iter().map(|missing| &missing.domain)).collect()
    });
    let mut are_new = are_new(&infos.collect::<Vec<Vec<_>>>()).into_iter();
    let mut is_new = || are_new.next() == Some(true);
    reports.merge(start, |report, merged| {
        for stats in report.domains {
            if is_new() {
                merged.domains.push(aged(stats, report.taken_at, merged.taken_at));
            }
        }
        merged.missing.extend(report.missing.into_iter().filter(|_| is_new()));
        merged.note_conflicts();
    })
}

/// Makes one report of these domains from the reports of hypervisors that were each asked for all of them: a
/// record for each domain that is there.
pub(super) fn of(
    handles: &[DomainInfo],
    reports: Gathered<Vec<StatsReport>>,
    start: Start,
) -> Gathered<StatsReport> {
    let mut records: HashMap<_, Vec<DomainStats>> = HashMap::new();
    let mut missing: HashMap<_, Vec<MissingDomain>> = HashMap::new();
    let mut gathered = reports.merge(start, |report, merged| {
        for stats in report.domains {
            let stats = aged(stats, report.taken_at, merged.taken_at);
            records.entry(called(&stats.domain)).or_default().push(stats);
        }
        for one in report.missing {
            // Another hypervisor may have it.
            if one.missing.reason != MissingReason::Gone {
                missing.entry(called(&one.domain)).or_default().push(one);
            }
        }
    });
    for handle in handles {
        let called = called(handle);
        if let Some(stats) = find(records.get(&called), handle, |stats| &stats.domain) {
            gathered.value.domains.push(stats.clone());
        } else if let Some(one) = find(missing.get(&called), handle, |missing| &missing.domain) {
            gathered.value.missing.push(one.clone());
        }
    }
    gathered
}

/// Returns the key of a look-up: the UUID, or the name of a domain without one.
fn called(info: &DomainInfo) -> (Option<Uuid>, Name) {
    let name = if info.uuid.is_none() { info.name.clone() } else { Name::default() };
    (info.uuid, name)
}

/// Returns the entry of a handle: that of the very domain, else that of the same domain.
fn find<'a, T>(
    all: Option<&'a Vec<T>>,
    handle: &DomainInfo,
    info: impl Fn(&T) -> &DomainInfo,
) -> Option<&'a T> {
    let mut very = all?.iter().filter(|one| info(one).is_very(handle));
    very.next().or_else(|| all?.iter().find(|one| info(one).is_same(handle)))
}

/// Sets the time of a record that is younger than the merged report.
fn aged(mut stats: DomainStats, report: SystemTime, merged: SystemTime) -> DomainStats {
    stats.taken_at = Some(stats.taken_at.unwrap_or(report)).filter(|taken_at| *taken_at > merged);
    stats
}

impl Gathered<Vec<StatsReport>> {
    /// Puts the reports into one.
    fn merge(
        self,
        start: Start,
        mut put: impl FnMut(StatsReport, &mut StatsReport),
    ) -> Gathered<StatsReport> {
        // The merged report is as old as its oldest part.
        let times = self.value.iter().map(|report| report.taken_at);
        let mut merged = StatsReport::new(times.fold(start.0, SystemTime::min));
        self.value.into_iter().for_each(|report| put(report, &mut merged));
        merged.elapsed = start.1.elapsed();
        Gathered { value: merged, asked: self.asked, failures: self.failures }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(name: &str, uuid: u128, id: u32, uid: Option<u32>) -> DomainInfo {
        let mut info = DomainInfo::default();
        info.name = name.into();
        info.uuid = (uuid > 0).then(|| Uuid::from_u128(uuid));
        (info.id, info.uid, info.untrusted) = (Some(id), uid, uid == Some(1000));
        info
    }

    fn answer(hypervisors: &[&[&DomainInfo]]) -> Gathered<Vec<StatsReport>> {
        let report = |infos: &&[&DomainInfo]| {
            let mut report = StatsReport::new(SystemTime::now());
            report.domains = infos.iter().map(|info| DomainStats::new((*info).clone())).collect();
            report
        };
        let value: Vec<_> = hypervisors.iter().map(report).collect();
        Gathered { asked: value.len(), value, failures: Vec::new() }
    }

    fn start() -> Start {
        (SystemTime::now(), Instant::now())
    }

    fn ids(answer: &Gathered<StatsReport>) -> Vec<u32> {
        answer.value.domains.iter().filter_map(|stats| stats.domain.id).collect()
    }

    #[test]
    fn a_stranger_with_a_uuid_hides_no_domain_and_is_not_hidden() {
        let told = info("vm", 1, 3, None);
        let (qemu, stranger) = (info("vm", 1, 70, Some(64055)), info("fake", 1, 80, Some(1000)));
        let (nameless, other) = (info("a", 0, 90, Some(0)), info("b", 2, 91, Some(0)));
        let merged = all(answer(&[&[&told], &[&stranger, &qemu, &nameless]]), start());
        assert_eq!(ids(&merged), [3, 80, 90]);
        let conflicts = merged.value.domains.iter().map(|stats| stats.domain.conflict.to_string());
        assert_eq!(conflicts.collect::<Vec<_>>(), ["uuid", "uuid", ""]);
        // Before it: the first one's is another domain.
        let merged =
            all(answer(&[&[&stranger, &qemu, &nameless, &other], &[&told, &other]]), start());
        assert_eq!(ids(&merged), [80, 70, 90, 91]);
        // The same process by two ways, and two of trusted users of which one is libvirt's.
        let merged = all(answer(&[&[&stranger, &nameless], &[&nameless, &stranger]]), start());
        assert_eq!(ids(&merged), [80, 90]);
        let escaped = info("vm", 1, 71, Some(64055));
        assert_eq!(ids(&all(answer(&[&[&told], &[&qemu, &escaped]]), start())), [3, 70, 71]);
    }

    #[test]
    fn a_handle_gets_its_own_numbers() {
        let told = info("vm", 1, 3, None);
        let (qemu, stranger) = (info("vm", 1, 70, Some(64055)), info("vm", 1, 80, Some(1000)));
        // As clients of libvirt's protocol say it.
        let handle = |id| info("vm", 1, id, None);
        for hypervisors in [[&[&told][..], &[&stranger, &qemu]], [&[&stranger, &qemu], &[&told]]] {
            let of = |id| ids(&of(&[handle(id), handle(id)], answer(&hypervisors), start()));
            assert_eq!(of(3), [3, 3]);
            assert_eq!(of(80), [80, 80]);
            assert_eq!(of(70), [70, 70]);
            assert_ne!(of(71), [80, 80], "in its next life");
        }
        let alone = ids(&of(&[handle(3)], answer(&[&[&stranger]]), start()));
        assert!(alone.is_empty(), "no handle becomes a stranger's");
    }
}
