//! The tests of this program again, with the libvirt and QEMU of newer Debian releases.

use domstats_live::{again_in_an_older_release, again_in_newer_releases, alone, machine};

again_in_newer_releases! {
    parity::everything_agrees,
    parity::every_group_agrees,
    parity::the_options_agree,
    parity::named_domains_agree,
    guests::every_field_of_virsh_domstats_agrees,
    guests::every_field_of_virsh_domstats_agrees_with_backing_chains,
    guests::keys_come_in_libvirts_order,
    guests::a_paused_guest_agrees_in_its_state_and_reason_too,
    guests::a_guest_with_only_libvirts_monitor_yields_what_the_host_knows,
    guests::libvirts_monitor_is_never_connected_to,
    disks::disks_chains_and_running_jobs_are_those_of_virsh,
}

again_in_an_older_release! {
    parity::everything_agrees,
    parity::the_options_agree,
    guests::every_field_of_virsh_domstats_agrees,
    guests::every_field_of_virsh_domstats_agrees_with_backing_chains,
    guests::keys_come_in_libvirts_order,
    guests::a_paused_guest_agrees_in_its_state_and_reason_too,
    guests::a_guest_with_only_libvirts_monitor_yields_what_the_host_knows,
    guests::libvirts_monitor_is_never_connected_to,
}

#[test]
#[ignore = "on request: scripts/test --all"]
fn cgroups_of_version_2_alone() {
    machine::prepare();
    alone!();
    machine::run(&["parity::everything_agrees"]);
}
