//! Guests of other architectures and machines: every value is the same as a PC's.

use std::fs;

use domstats::{Connect, StatsRequest};
use domstats_live::{
    alone,
    compare::{differences, lacks, params},
    guest::{Guest, Spec},
    lab::lab,
    oracle,
    tools::tool,
};

/// Boots a guest that has everything, and compares every value with the oracle's.
fn check(spec: Spec) -> Guest {
    let guest = spec.boot();
    for uri in ["qemu+qmp:///system", "qemu+qmp:///system?monitor_policy=hold"] {
        let connect = Connect::open(uri).unwrap();
        // The second call over a held session sends fewer queries.
        for call in 0..2 {
            let before = oracle::read(&guest, false);
            let report = connect.all_domain_stats(&StatsRequest::new()).unwrap();
            let after = oracle::read(&guest, false);
            let record = report.domain(guest.name()).unwrap();
            assert_eq!(lacks(record), [""; 0], "{uri}, call {call}");
            assert_eq!(
                differences(&before, &params(record), &after),
                [""; 0],
                "{uri}, call {call}"
            );
        }
    }
    guest
}

fn other(architecture: &str, machine: &'static str) -> Spec {
    let program = tool(&format!("qemu-system-{architecture}"));
    Spec::full(architecture).program(&program).machine(machine)
}

/// Options for the firmware and its variables, in flash of this many MiB.
fn flash(mib: u64) -> Vec<String> {
    let drive = |unit| {
        let path = lab().path(lab().name("flash"));
        fs::File::create(&path).unwrap().set_len(mib << 20).unwrap();
        let drive = format!("if=pflash,format=raw,unit={unit},file={}", path.display());
        ["-drive".to_owned(), drive]
    };
    [drive(0), drive(1)].concat()
}

#[test]
fn an_arm_with_flash() {
    alone!(in "sid");
    check(other("aarch64", "virt").options(flash(64)));
}

#[test]
fn an_arm_without_pci_devices() {
    alone!(in "sid");
    check(other("aarch64", "virt").bus("device").options(["-cpu", "cortex-a53"]));
}

#[test]
fn a_riscv() {
    alone!(in "sid");
    check(other("riscv64", "virt").options(flash(32)).options(["-bios", "none"]));
}

#[test]
fn a_mainframe() {
    alone!(in "sid");
    check(other("s390x", "s390-ccw-virtio").bus("ccw"));
}

#[test]
fn a_power() {
    alone!(in "sid");
    check(other("ppc64", "pseries").memory(256));
}

#[test]
fn a_microvm() {
    alone!();
    // With this QEMU its disks cannot have an iothread.
    check(Spec::full("microvm").machine("microvm").bus("device").iothreads(0));
}

#[test]
fn a_microvm_of_a_newer_qemu() {
    alone!(in "sid");
    check(Spec::full("microvm").machine("microvm").bus("device"));
}

/// Without `-smp`, nothing on the command line mentions vCPUs.
#[test]
fn the_maximum_of_vcpus_is_known_on_every_machine() {
    alone!(in "sid");
    for (architecture, machine) in [
        ("aarch64", "virt"),
        ("riscv64", "virt"),
        ("s390x", "s390-ccw-virtio"),
        ("ppc64", "pseries"),
        ("x86_64", "microvm"),
        ("x86_64", "q35"),
    ] {
        let program = tool(&format!("qemu-system-{architecture}"));
        let spec = Spec::new(architecture).program(&program).machine(machine);
        let guest = spec.memory(256).vcpus(0, 0).boot();
        let connect = Connect::open("qemu+qmp:///system").unwrap();
        let report = connect.all_domain_stats(&StatsRequest::new()).unwrap();
        let vcpu = report.domain(guest.name()).unwrap().vcpu.as_ref().unwrap();
        assert_eq!((vcpu.current, vcpu.maximum), (Some(1), Some(1)), "{architecture} {machine}");
    }
}
