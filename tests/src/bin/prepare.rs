//! Makes once what many tests use, before them: see `scripts/test`.

use domstats_live::{c_library, collector, command, domstatsd, libvirt::Libvirt, python};

fn main() {
    let _ = (command::domstats(), domstatsd::program(), c_library::library(), python::python());
    let _ = collector::python();
    // The first libvirtd finds out what QEMU can do, which all that follow read.
    let libvirt = Libvirt::start();
    let _ = libvirt.virsh(&["capabilities"]).output();
}
