//! Tinkoff/libvirt-exporter, which Kolla and Canonical's snap have too: what it calls otherwise.

use domstats::{Value, format::LabelSet, stats::Unit};

use super::{Alias, Domain, LabelNames, Per, Profile, number, state, used_percent};

pub(super) const PROFILE: Profile = Profile {
    name: "tinkoff",
    is_beside: true,
    help: "A name of Tinkoff/libvirt-exporter.",
    whole: &[],
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
        Alias::gauge("libvirt_domain_info_vstate", Unit::None, Per::Domain(state)),
        Alias::gauge(
            "libvirt_domain_memory_stats_disk_cache_bytes",
            Unit::Kibibytes,
            Per::Domain(|stats| number(stats.balloon.as_ref()?.disk_caches)),
        ),
        Alias::gauge(
            "libvirt_domain_memory_stats_used_percent",
            Unit::None,
            Per::Domain(used_percent),
        ),
        Alias::gauge(
            "libvirt_domain_block_stats_allocation",
            Unit::Bytes,
            Per::Block(|one| one.allocation),
        ),
        Alias::gauge("libvirt_domain_info_meta", Unit::None, Per::LabelledDomain(meta)),
        Alias::gauge(
            "libvirt_domain_block_meta",
            Unit::None,
            Per::LabelledBlock(|labels, one| {
                labels.with("source_file", one.path.as_deref().unwrap_or_default())
            }),
        ),
        Alias::gauge("libvirt_domain_interface_meta", Unit::None, Per::Interface(|_| Some(1))),
    ],
};

/// The identity of the domain, and OpenStack's metadata.
fn meta(labels: LabelSet, domain: &Domain<'_>) -> Option<(LabelSet, Value<'static>)> {
    // Domains of one name have it already.
    let labels = match labels.has("uuid") {
        true => labels,
        false => labels.with("uuid", &domain.uuid),
    };
    let said = [
        ("instance_name", "instance_name"),
        ("flavor", "flavor_name"),
        ("user_name", "user_name"),
        ("user_uuid", "user_id"),
        ("project_name", "project_name"),
        ("project_uuid", "project_id"),
        ("root_type", "root_type"),
        ("root_uuid", "root_id"),
    ];
    let with = |labels: LabelSet, (label, its)| labels.with(label, domain.nova(its));
    Some((said.into_iter().fold(labels, with), Value::UInt(1)))
}
