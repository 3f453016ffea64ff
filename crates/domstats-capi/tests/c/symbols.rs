//! The symbols of the shared library, also in a process that has loaded libvirt.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use domstats_live::{
    c_library::{compile, library, with_library},
    lab::lab,
    tools::python_with_libvirt,
};

const HEADER: &str = include_str!("../../include/domstats.h");

fn program(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs").join(name)
}

/// Returns the functions that the header declares.
fn declared() -> BTreeSet<String> {
    let declarations = HEADER.lines().filter(|line| !line.starts_with([' ', '/', '#', '*']));
    let names = declarations.filter_map(|line| {
        let (head, _) = line.split_once('(')?;
        let name = head.rsplit([' ', '*']).next()?;
        (name.starts_with("vir") || name.starts_with("domstats")).then(|| name.to_owned())
    });
    names.collect()
}

#[test]
fn the_library_exports_the_header_and_nothing_else() {
    let library = library();
    let read = |option| lab().run(lab().command("readelf").args([option, "--wide"]).arg(&library));
    let symbols = read("--dyn-syms");
    // Value, size, type, binding, visibility, section, name@@node.
    let exported: BTreeSet<_> = symbols
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|words| {
            words.len() == 8 && words[6] != "UND" && matches!(words[4], "GLOBAL" | "WEAK")
        })
        .map(|words| words[7].to_owned())
        .collect();
    let node = "libdomstats.so.0";
    let mut expected: BTreeSet<_> =
        declared().iter().map(|name| format!("{name}@@{node}")).collect();
    assert!(expected.len() > 25, "{expected:?}");
    expected.insert(node.to_owned());
    assert_eq!(exported.difference(&expected).collect::<Vec<_>>(), Vec::<&String>::new());
    assert_eq!(expected.difference(&exported).collect::<Vec<_>>(), Vec::<&String>::new());
    assert!(read("--dynamic").contains("Library soname: [libdomstats.so.0]"));
}

#[test]
fn a_program_that_also_has_libvirt_reaches_both() {
    let with_libvirt = lab().path("with_libvirt.so");
    lab().run(
        lab()
            .command("gcc")
            .args(["-Wall", "-Werror", "-shared", "-fPIC"])
            .arg(program("with_libvirt.c"))
            .arg("-o")
            .arg(&with_libvirt)
            .arg("-lvirt"),
    );
    let with_libvirt = with_libvirt.to_str().unwrap();
    // In either order of the libraries.
    for arguments in [&[with_libvirt][..], &["-ldomstats", with_libvirt]] {
        let both = compile("gcc", &program("beside_libvirt.c"), arguments);
        let printed = lab().run(&mut with_library(&both));
        assert_eq!(printed, "libdomstats: vm1, <domainstats\nlibvirt: test, 1\n");
    }
}

#[test]
fn a_program_of_libvirt_does_not_notice_the_library() {
    let mut python = with_library(python_with_libvirt());
    python.env("LD_PRELOAD", "libdomstats.so.0").args([
        "-c",
        "import libvirt; c = libvirt.open('test:///default'); print(c.lookupByID(1).name())",
    ]);
    assert_eq!(lab().run(&mut python), "test\n");
}

/// A plain build, loaded by hand into a process that has libvirt, and used by its handle.
const BY_HAND: &str = r#"
import ctypes, sys
import libvirt

theirs = libvirt.open("test:///default")
ours = ctypes.CDLL(sys.argv[1])
ours.virConnectOpen.restype = ctypes.c_void_p
ours.virConnectGetAllDomainStats.restype = ctypes.c_void_p
ours.virConnectGetAllDomainStats.argtypes = [ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
ours.virConnectClose.argtypes = [ctypes.c_void_p]
connection = ours.virConnectOpen(b"test:///default")
document = ours.virConnectGetAllDomainStats(connection, 1, 0)
print(ctypes.string_at(document)[:12].decode(), theirs.lookupByID(1).name())
ctypes.CDLL(None).free(ctypes.c_void_p(document))
print(ours.virConnectClose(connection), theirs.close())
"#;

#[test]
fn a_plain_build_can_be_loaded_by_hand() {
    let mut python = lab().command_at(python_with_libvirt());
    let printed = lab().run(python.args(["-c", BY_HAND]).arg(library()));
    assert_eq!(printed, "<domainstats test\n0 0\n");
}
