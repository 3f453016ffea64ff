//! What happens to a program that misuses the library: libvirt's own errors, and no bad access.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use domstats_live::{
    c_library::{compile, under_valgrind},
    lab::lab,
};

/// What is printed of misuses that libvirt does not survive or does not have.
const OURS: &str = include_str!("programs/misuse.expected");

#[test]
fn every_misuse_has_libvirts_error() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/misuse.c");
    let ours = lab().run(&mut under_valgrind(&compile("gcc", &source, &[])));
    let libvirt = compile("gcc", &source, &["-DWITH_LIBVIRT", "-lvirt"]);
    let libvirt = lab().run(&mut lab().command_at(&libvirt));

    let (shared, more) = ours.split_once("\n\n").unwrap();
    assert_eq!(shared.lines().collect::<Vec<_>>(), libvirt.lines().collect::<Vec<_>>());
    assert!(shared.lines().count() > 40, "{shared}");
    assert_eq!(more.lines().collect::<Vec<_>>(), OURS.lines().collect::<Vec<_>>());
}
