//! The group `vcpu`: the threads of the vCPUs, their times, and what KVM counts for each.

use std::collections::{HashMap, HashSet};

use crate::{
    driver::qemu::{
        groups::{
            GroupReader, QueryList, Sources,
            hypervisor::{self, Counts},
        },
        guest::learned::Learned,
        monitor::query::{Cpu, Query},
        reasons::too_long,
    },
    host::{allowance::Quota, process::threads::VcpuThread},
    model::{
        report::{DomainStats, Missing},
        request::StatsGroups,
        stats::{Vcpu, VcpuState, Vcpus},
    },
};

pub(super) const READER: GroupReader = GroupReader { group: StatsGroups::VCPU, ask, fill };

fn ask(queries: &mut QueryList<'_>) {
    let threads = queries.host.vcpu_threads.as_deref();
    if threads.is_none() {
        queries.ask(Query::Cpus);
    }
    if !queries.request.wants_whole(StatsGroups::VCPU) {
        return;
    }
    let guest = queries.guest;
    if guest.line.maximum_vcpus.is_none()
        && guest.learned(|learned| learned.maximum_vcpus.is_none())
    {
        queries.ask(Query::PossibleCpus);
    }
    if hypervisor::may_count(queries, |counted| &counted.vcpu) {
        queries.ask(Query::VcpuStats(&[]));
        // KVM's statistics have a vCPU's path, not its index.
        let known: HashSet<VcpuThread> =
            guest.learned(|learned| learned.cpus.iter().map(Cpu::thread).collect());
        if threads.is_some_and(|threads| threads.iter().any(|thread| !known.contains(thread))) {
            queries.ask(Query::Cpus);
        }
    }
}

fn fill(sources: &Sources<'_>, stats: &mut DomainStats) -> Option<Missing> {
    let (mut threads, lacks) = threads_of(sources);
    threads.sort_by_key(|(id, _)| *id);
    threads.dedup_by_key(|(id, _)| *id);
    let mut counts = counts(sources);
    let current = (!threads.is_empty()).then(|| u32::try_from(threads.len()).unwrap_or(u32::MAX));
    // A machine without vCPU hotplug reports that, and has them all.
    let told = sources.guest.learned(|learned| learned.maximum_vcpus);
    let told = told.and_then(|told| told.or(current.filter(|_| lacks.is_none())));
    let maximum = sources.guest.line.maximum_vcpus.or(told);
    // If several vCPUs share a thread, its time belongs to none of them.
    let distinct: HashSet<u32> = threads.iter().map(|(_, tid)| *tid).collect();
    let shared = distinct.len() < threads.len();
    let folder = sources.folder();
    let mut quota = Quota::new(&folder);
    let cpus = threads.into_iter().map(|(id, tid)| {
        let sched = sources.thread(tid, &folder, &mut quota).filter(|_| !shared);
        let counts = counts.remove(&(id, tid)).unwrap_or_default();
        Vcpu {
            id,
            state: Some(VcpuState::Running),
            time: sched.map(|sched| sched.run_ns),
            wait: sched
                .filter(|_| sources.host.accounts_for_waits && quota.step().is_ok())
                .and_then(|_| folder.thread_wait(tid)),
            delay: sched.map(|sched| sched.delay_ns),
            stats: counts.stats,
            histograms: counts.histograms,
            ..Vcpu::default()
        }
    });
    let vcpus = Vcpus { current, maximum, cpus: cpus.collect(), ..Vcpus::default() };
    stats.vcpu = (vcpus != Vcpus::default()).then_some(vcpus);
    let lacks = lacks.or_else(|| hypervisor::lacks_vcpu_stats(sources));
    lacks.or_else(|| quota.is_over().then(|| too_long(sources.guest.process)))
}

/// Returns the vCPU threads, and why they may be outdated.
fn threads_of(sources: &Sources<'_>) -> (Vec<VcpuThread>, Option<Missing>) {
    if let Some(threads) = &sources.host.vcpu_threads {
        return (threads.clone(), None);
    }
    match sources.replies.cpus.got() {
        Some(cpus) => (cpus.iter().map(Cpu::thread).collect(), None),
        None => {
            let threads = |learned: &Learned| learned.cpus.iter().map(Cpu::thread).collect();
            (sources.guest.learned(threads), sources.lacks(&sources.replies.cpus))
        }
    }
}

/// Returns the hypervisor's statistics of each vCPU, by thread.
fn counts(sources: &Sources<'_>) -> HashMap<VcpuThread, Counts> {
    match (sources.counted(), sources.replies.vcpu_stats.got()) {
        (Some(counted), Some(replies)) => sources
            .guest
            .learned(|learned| hypervisor::counts_by_thread(&counted.vcpu, &learned.cpus, replies)),
        _ => HashMap::new(),
    }
}
