//! vexxhost/libvirtd_exporter, which Atmosphere has: libvirt's numbers as they are, by UUID.

use domstats::{Value, format::LabelSet, stats::Unit};

use super::{Alias, Domain, LabelNames, Per, Profile, number, state, vcpu_state};

pub(super) const PROFILE: Profile = Profile {
    name: "vexxhost",
    is_beside: true,
    help: "A name of vexxhost/libvirtd_exporter.",
    whole: &[],
    labels: LabelNames {
        domain: |_, domain| {
            let uuid = Some(&domain.uuid).filter(|uuid| !uuid.is_empty())?;
            Some(LabelSet::new().with("uuid", uuid))
        },
        vcpu: |labels, vcpu| labels.with("vcpu", &vcpu.id.to_string()),
        interface: |labels, _, one| {
            labels.with("interface", one.name.as_deref().unwrap_or_default())
        },
        block: |labels, _, one| {
            let labels = labels.with("device", one.name.as_deref().unwrap_or_default());
            labels.with("path", one.path.as_deref().unwrap_or_default())
        },
    },
    aliases: &[
        Alias::gauge("libvirtd_domain_seconds", Unit::None, Per::LabelledDomain(seconds)),
        Alias::gauge("libvirtd_domain_domain_state", Unit::None, Per::Domain(state)),
        Alias::gauge(
            "libvirtd_domain_domain_state_reason",
            Unit::None,
            Per::Domain(|stats| Some(Value::Int(stats.state.as_ref()?.reason?.code()))),
        ),
        Alias::gauge(
            "libvirtd_domain_cpu_time",
            Unit::None,
            Per::Domain(|stats| number(stats.cpu.as_ref()?.time)),
        ),
        Alias::gauge(
            "libvirtd_domain_cpu_user",
            Unit::None,
            Per::Domain(|stats| number(stats.cpu.as_ref()?.user)),
        ),
        Alias::gauge(
            "libvirtd_domain_cpu_system",
            Unit::None,
            Per::Domain(|stats| number(stats.cpu.as_ref()?.system)),
        ),
        Alias::gauge(
            "libvirtd_domain_balloon_current",
            Unit::None,
            Per::Domain(|stats| number(stats.balloon.as_ref()?.current)),
        ),
        Alias::gauge(
            "libvirtd_domain_balloon_maximum",
            Unit::None,
            Per::Domain(|stats| number(stats.balloon.as_ref()?.maximum)),
        ),
        Alias::gauge(
            "libvirtd_domain_balloon_swap_in",
            Unit::None,
            Per::Domain(|stats| number(stats.balloon.as_ref()?.swap_in)),
        ),
        Alias::gauge(
            "libvirtd_domain_balloon_swap_out",
            Unit::None,
            Per::Domain(|stats| number(stats.balloon.as_ref()?.swap_out)),
        ),
        Alias::gauge(
            "libvirtd_domain_balloon_major_fault",
            Unit::None,
            Per::Domain(|stats| number(stats.balloon.as_ref()?.major_fault)),
        ),
        Alias::gauge(
            "libvirtd_domain_balloon_minor_fault",
            Unit::None,
            Per::Domain(|stats| number(stats.balloon.as_ref()?.minor_fault)),
        ),
        Alias::gauge(
            "libvirtd_domain_balloon_unused",
            Unit::None,
            Per::Domain(|stats| number(stats.balloon.as_ref()?.unused)),
        ),
        Alias::gauge(
            "libvirtd_domain_balloon_available",
            Unit::None,
            Per::Domain(|stats| number(stats.balloon.as_ref()?.available)),
        ),
        Alias::gauge(
            "libvirtd_domain_balloon_rss",
            Unit::None,
            Per::Domain(|stats| number(stats.balloon.as_ref()?.rss)),
        ),
        Alias::gauge(
            "libvirtd_domain_balloon_usable",
            Unit::None,
            Per::Domain(|stats| number(stats.balloon.as_ref()?.usable)),
        ),
        Alias::gauge(
            "libvirtd_domain_balloon_disk_caches",
            Unit::None,
            Per::Domain(|stats| number(stats.balloon.as_ref()?.disk_caches)),
        ),
        Alias::gauge(
            "libvirtd_domain_balloon_hugetlb_pgalloc",
            Unit::None,
            Per::Domain(|stats| number(stats.balloon.as_ref()?.hugetlb_pgalloc)),
        ),
        Alias::gauge(
            "libvirtd_domain_balloon_hugetlb_pgfail",
            Unit::None,
            Per::Domain(|stats| number(stats.balloon.as_ref()?.hugetlb_pgfail)),
        ),
        Alias::gauge("libvirtd_domain_vcpu_state", Unit::None, Per::Vcpu(vcpu_state)),
        Alias::gauge("libvirtd_domain_vcpu_time", Unit::None, Per::Vcpu(|one| one.time)),
        Alias::gauge(
            "libvirtd_domain_net_rx_bytes",
            Unit::None,
            Per::Interface(|one| one.rx_bytes),
        ),
        Alias::gauge(
            "libvirtd_domain_net_rx_packets",
            Unit::None,
            Per::Interface(|one| one.rx_pkts),
        ),
        Alias::gauge(
            "libvirtd_domain_net_rx_errors",
            Unit::None,
            Per::Interface(|one| one.rx_errs),
        ),
        Alias::gauge("libvirtd_domain_net_rx_drop", Unit::None, Per::Interface(|one| one.rx_drop)),
        Alias::gauge(
            "libvirtd_domain_net_tx_bytes",
            Unit::None,
            Per::Interface(|one| one.tx_bytes),
        ),
        Alias::gauge(
            "libvirtd_domain_net_tx_packets",
            Unit::None,
            Per::Interface(|one| one.tx_pkts),
        ),
        Alias::gauge(
            "libvirtd_domain_net_tx_errors",
            Unit::None,
            Per::Interface(|one| one.tx_errs),
        ),
        Alias::gauge("libvirtd_domain_net_tx_drop", Unit::None, Per::Interface(|one| one.tx_drop)),
        Alias::gauge(
            "libvirtd_domain_block_read_requests",
            Unit::None,
            Per::Block(|one| one.rd_reqs),
        ),
        Alias::gauge(
            "libvirtd_domain_block_read_bytes",
            Unit::None,
            Per::Block(|one| one.rd_bytes),
        ),
        Alias::gauge(
            "libvirtd_domain_block_read_times",
            Unit::None,
            Per::Block(|one| one.rd_times),
        ),
        Alias::gauge(
            "libvirtd_domain_block_write_requests",
            Unit::None,
            Per::Block(|one| one.wr_reqs),
        ),
        Alias::gauge(
            "libvirtd_domain_block_write_bytes",
            Unit::None,
            Per::Block(|one| one.wr_bytes),
        ),
        Alias::gauge(
            "libvirtd_domain_block_write_times",
            Unit::None,
            Per::Block(|one| one.wr_times),
        ),
        Alias::gauge(
            "libvirtd_domain_block_flush_requests",
            Unit::None,
            Per::Block(|one| one.fl_reqs),
        ),
        Alias::gauge(
            "libvirtd_domain_block_flush_times",
            Unit::None,
            Per::Block(|one| one.fl_times),
        ),
        Alias::gauge(
            "libvirtd_domain_block_allocation",
            Unit::None,
            Per::Block(|one| one.allocation),
        ),
        Alias::gauge("libvirtd_domain_block_capacity", Unit::None, Per::Block(|one| one.capacity)),
        Alias::gauge("libvirtd_domain_block_physical", Unit::None, Per::Block(|one| one.physical)),
    ],
};

/// The time since OpenStack made the domain, in seconds. Nova writes it in UTC, without saying so.
fn seconds(labels: LabelSet, domain: &Domain<'_>) -> Option<(LabelSet, Value<'static>)> {
    let created = humantime::parse_rfc3339_weak(domain.nova("created")).ok()?;
    let labels = labels.with("instance_type", domain.nova("flavor_name"));
    let labels = labels.with("user_id", domain.nova("user_id"));
    let labels = labels.with("project_id", domain.nova("project_id"));
    Some((labels, Value::Double(created.elapsed().ok()?.as_secs_f64())))
}
