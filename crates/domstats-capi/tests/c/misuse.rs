//! Misuses of the library: they get libvirt's errors, and never access invalid memory.

use std::path::{Path, PathBuf};

use domstats_live::{
    alone,
    c_library::{compile, under_valgrind},
    lab::lab,
    libvirt::Libvirt,
};

/// The output for misuses that crash libvirt or that it does not have.
const OURS: &str = include_str!("../programs/misuse.expected");

fn compiled(arguments: &[&str]) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/misuse.c");
    compile("gcc", &source, arguments)
}

/// Misuses both libraries at this URI, and returns the output of this one for misuses that crash
/// libvirt.
fn compare(uri: &str) -> String {
    let ours = lab().run(under_valgrind(&compiled(&[])).arg(uri));
    let libvirt = compiled(&["-DWITH_LIBVIRT", "-lvirt"]);
    let libvirt = lab().run(lab().command_at(&libvirt).arg(uri));
    let (shared, more) = ours.split_once("\n\n").unwrap();
    assert_eq!(shared.lines().collect::<Vec<_>>(), libvirt.lines().collect::<Vec<_>>());
    assert!(shared.lines().count() > 45, "{shared}");
    more.to_owned()
}

#[test]
fn every_misuse_has_libvirts_error() {
    let more = compare("test:///default");
    assert_eq!(more.lines().collect::<Vec<_>>(), OURS.lines().collect::<Vec<_>>());
}

#[test]
fn every_misuse_of_a_daemon_has_libvirts_error() {
    alone!();
    let libvirt = Libvirt::start();
    let _active = libvirt.create("misuse", false);
    let _off = libvirt.define("misuse-off");
    compare(&libvirt.uri());
}
