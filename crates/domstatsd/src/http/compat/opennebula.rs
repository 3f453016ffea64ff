//! OpenNebula's exporter of libvirt. Its domains are called `one-` and the number of the VM.

use domstats::{Value, stats::Unit};

use super::{Alias, LabelNames, Per, Profile, number, state, vcpu_state};

pub(super) const PROFILE: Profile = Profile {
    name: "opennebula",
    is_beside: true,
    help: "A name of OpenNebula's exporter.",
    whole: &[("opennebula_libvirt_daemon_up", |snapshot| Value::Boolean(!snapshot.is_down()))],
    labels: LabelNames {
        domain: |labels, domain| {
            Some(match domain.name.strip_prefix("one-") {
                Some(number) => labels.with("one_vm_id", number),
                None => labels,
            })
        },
        vcpu: |labels, vcpu| labels.with("vcpu", &vcpu.id.to_string()),
        interface: |labels, place, one| {
            let labels = labels.with("vnic", &place.to_string());
            labels.with("device", one.name.as_deref().unwrap_or_default())
        },
        block: |labels, place, one| {
            let labels = labels.with("disk", &place.to_string());
            labels.with("device", one.name.as_deref().unwrap_or_default())
        },
    },
    aliases: &[
        Alias::gauge("opennebula_libvirt_state", Unit::None, Per::Domain(state)),
        Alias::counter(
            "opennebula_libvirt_cpu_seconds",
            Unit::Nanoseconds,
            Per::Domain(|stats| number(stats.cpu.as_ref()?.time)),
        ),
        Alias::counter(
            "opennebula_libvirt_cpu_system_seconds",
            Unit::Nanoseconds,
            Per::Domain(|stats| number(stats.cpu.as_ref()?.system)),
        ),
        Alias::counter(
            "opennebula_libvirt_cpu_user_seconds",
            Unit::Nanoseconds,
            Per::Domain(|stats| number(stats.cpu.as_ref()?.user)),
        ),
        Alias::gauge(
            "opennebula_libvirt_memory_total_bytes",
            Unit::Kibibytes,
            Per::Domain(|stats| number(stats.balloon.as_ref()?.current)),
        ),
        Alias::gauge(
            "opennebula_libvirt_memory_maximum_bytes",
            Unit::Kibibytes,
            Per::Domain(|stats| number(stats.balloon.as_ref()?.maximum)),
        ),
        Alias::gauge(
            "opennebula_libvirt_memory_unsed_bytes",
            Unit::Kibibytes,
            Per::Domain(|stats| number(stats.balloon.as_ref()?.unused)),
        ),
        Alias::gauge(
            "opennebula_libvirt_memory_available_bytes",
            Unit::Kibibytes,
            Per::Domain(|stats| number(stats.balloon.as_ref()?.available)),
        ),
        Alias::gauge(
            "opennebula_libvirt_memory_rss_bytes",
            Unit::Kibibytes,
            Per::Domain(|stats| number(stats.balloon.as_ref()?.rss)),
        ),
        Alias::counter(
            "opennebula_libvirt_memory_swapin_bytes",
            Unit::Kibibytes,
            Per::Domain(|stats| number(stats.balloon.as_ref()?.swap_in)),
        ),
        Alias::counter(
            "opennebula_libvirt_memory_swapout_bytes",
            Unit::Kibibytes,
            Per::Domain(|stats| number(stats.balloon.as_ref()?.swap_out)),
        ),
        Alias::gauge(
            "opennebula_libvirt_vcpu_online",
            Unit::Count,
            Per::Domain(|stats| stats.vcpu.as_ref()?.current.map(Value::UInt)),
        ),
        Alias::gauge(
            "opennebula_libvirt_vcpu_maximum",
            Unit::Count,
            Per::Domain(|stats| stats.vcpu.as_ref()?.maximum.map(Value::UInt)),
        ),
        Alias::gauge("opennebula_libvirt_vcpu_state", Unit::None, Per::Vcpu(vcpu_state)),
        Alias::counter(
            "opennebula_libvirt_vcpu_time_seconds",
            Unit::Nanoseconds,
            Per::Vcpu(|one| one.time),
        ),
        Alias::counter(
            "opennebula_libvirt_vcpu_wait_seconds",
            Unit::Nanoseconds,
            Per::Vcpu(|one| one.wait),
        ),
        Alias::gauge(
            "opennebula_libvirt_net_devices",
            Unit::Count,
            Per::Domain(|stats| stats.interface.as_ref()?.count.map(Value::UInt)),
        ),
        Alias::gauge(
            "opennebula_libvirt_net_rx_total_bytes",
            Unit::None,
            Per::Interface(|one| one.rx_bytes),
        ),
        Alias::gauge(
            "opennebula_libvirt_net_rx_packets",
            Unit::None,
            Per::Interface(|one| one.rx_pkts),
        ),
        Alias::gauge(
            "opennebula_libvirt_net_rx_errors",
            Unit::None,
            Per::Interface(|one| one.rx_errs),
        ),
        Alias::gauge(
            "opennebula_libvirt_net_rx_drops",
            Unit::None,
            Per::Interface(|one| one.rx_drop),
        ),
        Alias::gauge(
            "opennebula_libvirt_net_tx_total_bytes",
            Unit::None,
            Per::Interface(|one| one.tx_bytes),
        ),
        Alias::gauge(
            "opennebula_libvirt_net_tx_packets",
            Unit::None,
            Per::Interface(|one| one.tx_pkts),
        ),
        Alias::gauge(
            "opennebula_libvirt_net_tx_errors",
            Unit::None,
            Per::Interface(|one| one.tx_errs),
        ),
        Alias::gauge(
            "opennebula_libvirt_net_tx_drops",
            Unit::None,
            Per::Interface(|one| one.tx_drop),
        ),
        Alias::gauge(
            "opennebula_libvirt_block_devices",
            Unit::Count,
            Per::Domain(|stats| stats.block.as_ref()?.count.map(Value::UInt)),
        ),
        Alias::gauge(
            "opennebula_libvirt_block_rd_requests",
            Unit::None,
            Per::Block(|one| one.rd_reqs),
        ),
        Alias::gauge(
            "opennebula_libvirt_block_rd_bytes",
            Unit::None,
            Per::Block(|one| one.rd_bytes),
        ),
        Alias::gauge(
            "opennebula_libvirt_block_rd_time_seconds",
            Unit::Nanoseconds,
            Per::Block(|one| one.rd_times),
        ),
        Alias::gauge(
            "opennebula_libvirt_block_wr_requests",
            Unit::None,
            Per::Block(|one| one.wr_reqs),
        ),
        Alias::gauge(
            "opennebula_libvirt_block_wr_bytes",
            Unit::None,
            Per::Block(|one| one.wr_bytes),
        ),
        Alias::gauge(
            "opennebula_libvirt_block_wr_time_seconds",
            Unit::Nanoseconds,
            Per::Block(|one| one.wr_times),
        ),
        Alias::gauge(
            "opennebula_libvirt_block_virtual_bytes",
            Unit::None,
            Per::Block(|one| one.capacity),
        ),
        Alias::gauge(
            "opennebula_libvirt_block_physical_bytes",
            Unit::None,
            Per::Block(|one| one.physical),
        ),
    ],
};
