//! KubeVirt, whose domains are called `NAMESPACE_NAME`. The labels that Kubernetes knows are not here.

use domstats::{Value, format::LabelSet, stats::Unit};

use super::{Alias, LabelNames, Per, Profile, number};

pub(super) const PROFILE: Profile = Profile {
    name: "kubevirt",
    is_beside: true,
    help: "A name of KubeVirt.",
    whole: &[],
    labels: LabelNames {
        domain: |_, domain| {
            let name = &domain.name;
            Some(match name.split_once('_') {
                // What a stranger calls a domain has no parts.
                Some((space, name)) if !domain.stats.domain.untrusted => {
                    LabelSet::new().with("namespace", space).with("name", name)
                }
                _ => LabelSet::new().with("name", name),
            })
        },
        vcpu: |labels, vcpu| labels.with("id", &vcpu.id.to_string()),
        interface: |labels, _, one| {
            labels.with("interface", one.name.as_deref().unwrap_or_default())
        },
        block: |labels, _, one| labels.with("drive", one.name.as_deref().unwrap_or_default()),
    },
    aliases: &[
        Alias::counter(
            "kubevirt_vmi_cpu_usage_seconds",
            Unit::Nanoseconds,
            Per::Domain(|stats| number(stats.cpu.as_ref()?.time)),
        ),
        Alias::counter(
            "kubevirt_vmi_cpu_user_usage_seconds",
            Unit::Nanoseconds,
            Per::Domain(|stats| number(stats.cpu.as_ref()?.user)),
        ),
        Alias::counter(
            "kubevirt_vmi_cpu_system_usage_seconds",
            Unit::Nanoseconds,
            Per::Domain(|stats| number(stats.cpu.as_ref()?.system)),
        ),
        Alias::counter("kubevirt_vmi_vcpu_seconds", Unit::Nanoseconds, Per::Vcpu(|one| one.time)),
        Alias::counter(
            "kubevirt_vmi_vcpu_wait_seconds",
            Unit::Nanoseconds,
            Per::Vcpu(|one| one.wait),
        ),
        Alias::counter(
            "kubevirt_vmi_vcpu_delay_seconds",
            Unit::Nanoseconds,
            Per::Vcpu(|one| one.delay),
        ),
        Alias::gauge(
            "kubevirt_vmi_memory_domain_bytes",
            Unit::Kibibytes,
            Per::Domain(|stats| number(stats.balloon.as_ref()?.maximum)),
        ),
        Alias::gauge(
            "kubevirt_vmi_memory_resident_bytes",
            Unit::Kibibytes,
            Per::Domain(|stats| number(stats.balloon.as_ref()?.rss)),
        ),
        Alias::gauge(
            "kubevirt_vmi_memory_available_bytes",
            Unit::Kibibytes,
            Per::Domain(|stats| number(stats.balloon.as_ref()?.available)),
        ),
        Alias::gauge(
            "kubevirt_vmi_memory_unused_bytes",
            Unit::Kibibytes,
            Per::Domain(|stats| number(stats.balloon.as_ref()?.unused)),
        ),
        Alias::gauge(
            "kubevirt_vmi_memory_usable_bytes",
            Unit::Kibibytes,
            Per::Domain(|stats| number(stats.balloon.as_ref()?.usable)),
        ),
        Alias::gauge(
            "kubevirt_vmi_memory_cached_bytes",
            Unit::Kibibytes,
            Per::Domain(|stats| number(stats.balloon.as_ref()?.disk_caches)),
        ),
        Alias::gauge(
            "kubevirt_vmi_memory_actual_balloon_bytes",
            Unit::Kibibytes,
            Per::Domain(|stats| number(stats.balloon.as_ref()?.current)),
        ),
        Alias::gauge(
            "kubevirt_vmi_memory_swap_in_traffic_bytes",
            Unit::Kibibytes,
            Per::Domain(|stats| number(stats.balloon.as_ref()?.swap_in)),
        ),
        Alias::gauge(
            "kubevirt_vmi_memory_swap_out_traffic_bytes",
            Unit::Kibibytes,
            Per::Domain(|stats| number(stats.balloon.as_ref()?.swap_out)),
        ),
        Alias::counter(
            "kubevirt_vmi_memory_pgmajfault",
            Unit::Count,
            Per::Domain(|stats| number(stats.balloon.as_ref()?.major_fault)),
        ),
        Alias::counter(
            "kubevirt_vmi_memory_pgminfault",
            Unit::Count,
            Per::Domain(|stats| number(stats.balloon.as_ref()?.minor_fault)),
        ),
        Alias::counter(
            "kubevirt_vmi_storage_iops_read",
            Unit::Count,
            Per::Block(|one| one.rd_reqs),
        ),
        Alias::counter(
            "kubevirt_vmi_storage_read_traffic_bytes",
            Unit::Bytes,
            Per::Block(|one| one.rd_bytes),
        ),
        Alias::counter(
            "kubevirt_vmi_storage_read_times_seconds",
            Unit::Nanoseconds,
            Per::Block(|one| one.rd_times),
        ),
        Alias::counter(
            "kubevirt_vmi_storage_iops_write",
            Unit::Count,
            Per::Block(|one| one.wr_reqs),
        ),
        Alias::counter(
            "kubevirt_vmi_storage_write_traffic_bytes",
            Unit::Bytes,
            Per::Block(|one| one.wr_bytes),
        ),
        Alias::counter(
            "kubevirt_vmi_storage_write_times_seconds",
            Unit::Nanoseconds,
            Per::Block(|one| one.wr_times),
        ),
        Alias::counter(
            "kubevirt_vmi_storage_flush_times_seconds",
            Unit::Nanoseconds,
            Per::Block(|one| one.fl_times),
        ),
        Alias::counter(
            "kubevirt_vmi_storage_flush_requests",
            Unit::Count,
            Per::Block(|one| one.fl_reqs),
        ),
        Alias::counter(
            "kubevirt_vmi_network_receive_bytes",
            Unit::Count,
            Per::Interface(|one| one.rx_bytes),
        ),
        Alias::counter(
            "kubevirt_vmi_network_receive_packets",
            Unit::Count,
            Per::Interface(|one| one.rx_pkts),
        ),
        Alias::counter(
            "kubevirt_vmi_network_receive_errors",
            Unit::Count,
            Per::Interface(|one| one.rx_errs),
        ),
        Alias::counter(
            "kubevirt_vmi_network_receive_packets_dropped",
            Unit::Count,
            Per::Interface(|one| one.rx_drop),
        ),
        Alias::counter(
            "kubevirt_vmi_network_transmit_bytes",
            Unit::Count,
            Per::Interface(|one| one.tx_bytes),
        ),
        Alias::counter(
            "kubevirt_vmi_network_transmit_packets",
            Unit::Count,
            Per::Interface(|one| one.tx_pkts),
        ),
        Alias::counter(
            "kubevirt_vmi_network_transmit_errors",
            Unit::Count,
            Per::Interface(|one| one.tx_errs),
        ),
        Alias::counter(
            "kubevirt_vmi_network_transmit_packets_dropped",
            Unit::Count,
            Per::Interface(|one| one.tx_drop),
        ),
        Alias::gauge(
            "kubevirt_vmi_dirty_rate_bytes_per_second",
            Unit::MebibytesPerSecond,
            Per::Domain(|stats| stats.dirtyrate.as_ref()?.megabytes_per_second.map(Value::LLong)),
        ),
    ],
};
