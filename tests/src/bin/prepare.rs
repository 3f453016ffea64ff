//! Makes once what many tests use, before them: see `scripts/test`.

use domstats_live::{collector, libvirt::Libvirt, python};

fn main() {
    let _ = (python::python(), collector::python());
    // The first libvirtd finds out what QEMU can do, which all that follow read.
    let libvirt = Libvirt::start();
    let _ = libvirt.virsh(&["capabilities"]).output();
}
