//! Tinkoff/libvirt-exporter, which Kolla and Canonical's snap have too: what it calls otherwise.

use domstats::{Value, stats::Unit};

use super::{Alias, LabelNames, Of, Profile, one, state, used_percent};

pub(super) const PROFILE: Profile = Profile {
    name: "tinkoff",
    is_beside: true,
    help: "A name of Tinkoff/libvirt-exporter.",
    labels: LabelNames {
        domain: |labels, _| Some(labels),
        vcpu: |labels, vcpu| labels.with("vcpu", &vcpu.id.to_string()),
        interface: |labels, _, one| {
            labels.with("target_device", one.name.as_deref().unwrap_or_default())
        },
        block: |labels, _, one| {
            labels.with("target_device", one.name.as_deref().unwrap_or_default())
        },
    },
    aliases: &[
        Alias::gauge("libvirt_domain_info_vstate", Unit::None, Of::Domain(state)),
        Alias::gauge(
            "libvirt_domain_memory_stats_disk_cache_bytes",
            Unit::Kibibytes,
            Of::Domain(|stats| Some(Value::ULLong(stats.balloon.as_ref()?.disk_caches?))),
        ),
        Alias::gauge(
            "libvirt_domain_memory_stats_used_percent",
            Unit::None,
            Of::Domain(used_percent),
        ),
        Alias::gauge(
            "libvirt_domain_block_stats_allocation",
            Unit::Bytes,
            Of::Block(|one| one.allocation),
        ),
        Alias::gauge("libvirt_domain_info_meta", Unit::None, Of::Domain(|_| one())),
        Alias::gauge("libvirt_domain_block_meta", Unit::None, Of::Block(|_| Some(1))),
        Alias::gauge("libvirt_domain_interface_meta", Unit::None, Of::Interface(|_| Some(1))),
    ],
};
