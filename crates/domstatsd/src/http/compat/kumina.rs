//! kumina/libvirt_exporter, which Debian and Ubuntu install: names of ours, with more labels.

use domstats::{Value, format::LabelSet, stats::Unit};

use super::{Alias, LabelNames, Per, Profile, number, state};

pub(super) const PROFILE: Profile = Profile {
    name: "kumina",
    is_beside: false,
    help: "A name of kumina/libvirt_exporter.",
    whole: &[
        ("libvirt_up", |snapshot| Value::Boolean(!snapshot.is_down())),
        (
            "libvirt_domains_number",
            |snapshot| Value::ULLong(snapshot.report().domains.len() as u64),
        ),
    ],
    labels: LabelNames {
        domain: |_, domain| {
            let labels = LabelSet::new().with("domain", &domain.name);
            let labels = labels.with("uuid", &domain.uuid);
            if !domain.is_of_nova() {
                return Some(labels);
            }
            let labels = labels.with("name", domain.nova("instance_name"));
            let labels = labels.with("flavor", domain.nova("flavor_name"));
            Some(labels.with("project_name", domain.nova("project_name")))
        },
        vcpu: |labels, vcpu| labels.with("vcpu", &vcpu.id.to_string()),
        interface: |labels, _, one| {
            labels.with("target_device", one.name.as_deref().unwrap_or_default())
        },
        block: |labels, _, one| {
            let labels = labels.with("source_file", one.path.as_deref().unwrap_or_default());
            labels.with("target_device", one.name.as_deref().unwrap_or_default())
        },
    },
    aliases: &[
        Alias::gauge("libvirt_domain_state_code", Unit::None, Per::Domain(state)),
        Alias::gauge(
            "libvirt_domain_info_maximum_memory_bytes",
            Unit::Kibibytes,
            Per::Domain(|stats| number(stats.balloon.as_ref()?.maximum)),
        ),
        Alias::gauge(
            "libvirt_domain_info_memory_usage_bytes",
            Unit::Kibibytes,
            Per::Domain(|stats| number(stats.balloon.as_ref()?.current)),
        ),
        Alias::gauge(
            "libvirt_domain_info_virtual_cpus",
            Unit::Count,
            Per::Domain(|stats| stats.vcpu.as_ref()?.current.map(Value::UInt)),
        ),
        Alias::counter(
            "libvirt_domain_info_cpu_time_seconds",
            Unit::Nanoseconds,
            Per::Domain(|stats| number(stats.cpu.as_ref()?.time)),
        ),
        Alias::counter(
            "libvirt_domain_block_stats_read_bytes",
            Unit::Bytes,
            Per::Block(|one| one.rd_bytes),
        ),
        Alias::counter(
            "libvirt_domain_block_stats_read_requests",
            Unit::Count,
            Per::Block(|one| one.rd_reqs),
        ),
        Alias::counter(
            "libvirt_domain_block_stats_write_bytes",
            Unit::Bytes,
            Per::Block(|one| one.wr_bytes),
        ),
        Alias::counter(
            "libvirt_domain_block_stats_write_requests",
            Unit::Count,
            Per::Block(|one| one.wr_reqs),
        ),
        Alias::counter(
            "libvirt_domain_block_stats_read_seconds",
            Unit::Nanoseconds,
            Per::Block(|one| one.rd_times),
        ),
        Alias::counter(
            "libvirt_domain_block_stats_write_seconds",
            Unit::Nanoseconds,
            Per::Block(|one| one.wr_times),
        ),
        Alias::counter(
            "libvirt_domain_block_stats_flush_seconds",
            Unit::Nanoseconds,
            Per::Block(|one| one.fl_times),
        ),
        Alias::counter(
            "libvirt_domain_block_stats_flush_requests",
            Unit::Count,
            Per::Block(|one| one.fl_reqs),
        ),
        Alias::counter(
            "libvirt_domain_interface_stats_receive_bytes",
            Unit::Count,
            Per::Interface(|one| one.rx_bytes),
        ),
        Alias::counter(
            "libvirt_domain_interface_stats_receive_packets",
            Unit::Count,
            Per::Interface(|one| one.rx_pkts),
        ),
        Alias::counter(
            "libvirt_domain_interface_stats_receive_errors",
            Unit::Count,
            Per::Interface(|one| one.rx_errs),
        ),
        Alias::counter(
            "libvirt_domain_interface_stats_receive_drops",
            Unit::Count,
            Per::Interface(|one| one.rx_drop),
        ),
        Alias::counter(
            "libvirt_domain_interface_stats_transmit_bytes",
            Unit::Count,
            Per::Interface(|one| one.tx_bytes),
        ),
        Alias::counter(
            "libvirt_domain_interface_stats_transmit_packets",
            Unit::Count,
            Per::Interface(|one| one.tx_pkts),
        ),
        Alias::counter(
            "libvirt_domain_interface_stats_transmit_errors",
            Unit::Count,
            Per::Interface(|one| one.tx_errs),
        ),
        Alias::counter(
            "libvirt_domain_interface_stats_transmit_drops",
            Unit::Count,
            Per::Interface(|one| one.tx_drop),
        ),
    ],
};
