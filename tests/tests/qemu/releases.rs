//! The QEMUs of newer Debian releases: runs tests of this program again, and tests what only those
//! QEMUs have.

use domstats::{Connect, StatsRequest};
use domstats_live::{
    again_in_an_older_release, again_in_newer_releases, alone,
    compare::{differences, lacks, params},
    guest::Spec,
    lab::lab,
    machine, oracle,
};

again_in_newer_releases! {
    changes::plugged_and_unplugged_between_calls,
    cryptodevs::crypto_devices_are_read_on_request,
    disks::a_chain_of_three_images_is_one_disk_or_three_images,
    disks::filters_are_not_images,
    disks::a_running_job_changes_no_disk_and_no_chain,
    disks::a_drive_without_a_medium_has_no_sizes,
    disks::disks_on_every_bus,
    disks::a_network_image_has_no_path,
    disks::the_threshold_is_the_files,
    disks::latencies_are_counted_in_bins_once_qemu_counts_them,
    disks::drives_with_intervals_have_timed_groups,
    filters::nodes_between_a_disk_and_its_file_are_not_images,
    filters::a_quorum_is_one_image_without_a_path,
    held::every_change_is_seen_in_the_next_call,
    held::unchanged_values_are_not_queried,
    nics::nics_are_as_qemu_reports_now,
    nics::the_machines_own_nics_are_known,
    processes::a_qemus_cleanup_process_is_not_a_vm,
    values::a_uuid_comes_from_qemu_if_the_command_line_has_none,
    values::a_plugged_in_balloon_is_read,
    values::the_maximum_of_vcpus_comes_from_qemu_if_necessary,
    values::disks_have_qemus_ids_and_flash_is_not_a_disk,
    values::a_sparse_image_with_a_relative_name_has_its_path_and_size,
    waiting::a_call_starts_no_guest_that_waits_for_its_manager,
}

again_in_an_older_release! {
    changes::plugged_and_unplugged_between_calls,
    disks::a_chain_of_three_images_is_one_disk_or_three_images,
    disks::filters_are_not_images,
    disks::disks_on_every_bus,
    disks::a_network_image_has_no_path,
    held::every_change_is_seen_in_the_next_call,
    nics::nics_are_as_qemu_reports_now,
    nics::the_machines_own_nics_are_known,
    values::a_uuid_comes_from_qemu_if_the_command_line_has_none,
    values::the_maximum_of_vcpus_comes_from_qemu_if_necessary,
    values::disks_have_qemus_ids_and_flash_is_not_a_disk,
    waiting::a_call_starts_no_guest_that_waits_for_its_manager,
}

#[test]
#[ignore = "on request: scripts/test --all"]
fn cgroups_of_version_2_alone() {
    machine::prepare();
    alone!();
    machine::run(&["cgroups::"]);
}

/// Every notation in which QEMU 11.1 accepts a monitor as an object; libvirt 12.8 writes the last
/// one.
#[test]
fn a_monitor_object_is_used() {
    alone!(in "sid");
    for object in [
        "monitor-qmp,id=monitor,chardev=charmonitor",
        "qom-type=monitor-qmp,id=monitor,chardev=charmonitor,pretty=on",
        r#"{"qom-type":"monitor-qmp","id":"monitor","chardev":"charmonitor"}"#,
    ] {
        let path = lab().path(lab().name("object"));
        let chardev = format!("socket,id=charmonitor,path={},server=on,wait=off", path.display());
        let guest = Spec::full("object")
            .without_monitor()
            .options(["-chardev", &chardev, "-object", object])
            .boot();
        let connect = Connect::open("qemu+qmp:///system").unwrap();
        let before = oracle::read(&guest, false);
        let report = connect.all_domain_stats(&StatsRequest::new()).unwrap();
        let after = oracle::read(&guest, false);
        let record = report.domain(guest.name()).unwrap();
        assert_eq!(lacks(record), [""; 0], "{object}");
        assert_eq!(differences(&before, &params(record), &after), [""; 0], "{object}");
    }
}
