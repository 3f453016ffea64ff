//! Prepares once what many tests use, before they run: see `scripts/test`.

use domstats_live::{collector, libvirt::Libvirt, python};

fn main() {
    let _ = (python::python(), collector::python());
    // The first libvirtd finds out what QEMU can do; all later ones read that from a cache.
    let libvirt = Libvirt::start();
    let _ = libvirt.virsh(&["capabilities"]).output();
}
