//! The group `cpu-total`: from the VM's own cgroup, else from its process; and from KVM.

use crate::{
    driver::qemu::{
        groups::{GroupReader, QueryList, Sources, hypervisor, pressure},
        monitor::query::Query,
    },
    host::cgroup::CpuTimes,
    model::{
        report::{DomainStats, Missing},
        request::StatsGroups,
        stats::Cpu,
    },
};

pub(super) const READER: GroupReader = GroupReader { group: StatsGroups::CPU_TOTAL, ask, fill };

fn ask(queries: &mut QueryList<'_>) {
    if !queries.request.wants_whole(StatsGroups::CPU_TOTAL) {
        return;
    }
    // The group `vcpu` queries all statistics of the vCPUs.
    let has_all = queries.request.wants_whole(StatsGroups::VCPU);
    if hypervisor::may_count(queries, |counted| &counted.vcpu) && !has_all {
        let names = &[hypervisor::HALT_POLL_SUCCESS, hypervisor::HALT_POLL_FAIL];
        queries.ask(Query::VcpuStats(names));
    }
}

fn fill(sources: &Sources<'_>, stats: &mut DomainStats) -> Option<Missing> {
    let stat = &sources.host.stat;
    let polled =
        |name| hypervisor::total(sources.replies.vcpu_stats.got().map_or(&[], Vec::as_slice), name);
    let account = &sources.host.account;
    let times = account.times.unwrap_or(CpuTimes {
        total_ns: stat.user_ns.saturating_add(stat.system_ns),
        user_ns: stat.user_ns,
        system_ns: stat.system_ns,
    });
    let mut cpu = Cpu {
        time: Some(times.total_ns),
        user: Some(times.user_ns),
        system: Some(times.system_ns),
        haltpoll_success: polled(hypervisor::HALT_POLL_SUCCESS),
        haltpoll_fail: polled(hypervisor::HALT_POLL_FAIL),
        pressure: account.cpu_waits.map(pressure),
        ..Cpu::default()
    };
    account.monitors.fill(&mut cpu);
    stats.cpu = Some(cpu);
    hypervisor::lacks_vcpu_stats(sources)
}
