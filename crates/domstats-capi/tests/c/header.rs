//! The header: what `cbindgen` makes of the sources, fit for every compiler, and never beside
//! libvirt's.
//!
//! `DOMSTATS_BLESS=1` writes it anew.

use std::{env, fmt::Write, fs, path::Path};

use domstats::{StatsGroups, stats::GROUPS};
use domstats_live::{c_library, lab::lab};

/// Another version may write another header; `scripts/test` installs this one.
const CBINDGEN: &str = "cbindgen 0.29.4";

const HEADER: &str = "include/domstats.h";

/// The bits of the groups, which `cbindgen` reads with the other sources.
const GROUP_BITS: &str = "src/groups.rs";

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the constants for the groups of the catalogue, in Rust.
fn group_bits() -> String {
    let mut text = "\
//! The bits of the groups. Generated from the catalogue of domstats:
//! `DOMSTATS_BLESS=1 cargo test -p domstats-capi header` writes it anew.

use std::ffi::c_uint;

"
    .to_owned();
    for group in GROUPS {
        let lacking = match StatsGroups::of_libvirt().contains(group.bit) {
            true => "",
            false => " libvirt lacks it: 0 does not include it.",
        };
        let (help, name, bits) = (group.help, group.constant, group.bit.bits());
        let _ = writeln!(text, "/// {help}.{lacking}\npub const {name}: c_uint = {bits};");
    }
    let _ = writeln!(
        text,
        "/// The RFC's group for CPUs: VIR_DOMAIN_STATS_CPU_TOTAL and VIR_DOMAIN_STATS_VCPU.\n\
         pub const VIR_DOMAIN_STATS_CPU: c_uint = {};",
        StatsGroups::CPU.bits()
    );
    text
}

/// Compares a generated file of this crate with what it should be, or writes it.
fn assert_generated(file: &str, fresh: &str) {
    let path = package().join(file);
    if env::var_os("DOMSTATS_BLESS").is_some() {
        fs::write(&path, fresh).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap_or_default() == fresh,
        "{file} is not of today: DOMSTATS_BLESS=1 cargo test -p domstats-capi header"
    );
}

#[test]
fn the_header_is_made_of_the_sources() {
    assert_generated(GROUP_BITS, &group_bits());
    let version = lab().run(lab().command("cbindgen").arg("--version"));
    assert_eq!(version.trim(), CBINDGEN);
    assert_generated(HEADER, &lab().run(lab().command("cbindgen").arg("--quiet").arg(package())));
}

/// Compiles a source that has these lines, and returns what the compiler says.
fn compile(compiler: &str, standard: &str, lines: &[&str]) -> Result<(), String> {
    let language = if compiler.ends_with("++") { "cc" } else { "c" };
    let source = lab().path(format!("{}.{language}", lab().name("header")));
    fs::write(&source, lines.join("\n") + "\n").unwrap();
    let mut command = lab().command(compiler);
    command.args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", standard]);
    let output = command.arg("-I").arg(package().join("include")).arg(source).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    if output.status.success() { Ok(()) } else { Err(errors) }
}

#[test]
fn c_and_cpp_include_it() {
    for (compiler, standards) in [
        ("gcc", ["-std=c99", "-std=c17"]),
        ("clang", ["-std=c99", "-std=c17"]),
        ("g++", ["-std=c++11", "-std=c++20"]),
        ("clang++", ["-std=c++11", "-std=c++20"]),
    ] {
        for standard in standards {
            let twice = ["#include <domstats.h>", "#include <domstats.h>", "virConnectPtr conn;"];
            assert_eq!(compile(compiler, standard, &twice), Ok(()), "{compiler} {standard}");
        }
    }
}

#[test]
fn it_is_refused_beside_libvirts() {
    let ours = "#include <domstats.h>";
    for theirs in ["#include <libvirt/libvirt.h>", "#include <libvirt/virterror.h>"] {
        for compiler in ["gcc", "clang", "g++", "clang++"] {
            let standard = if compiler.ends_with("++") { "-std=c++17" } else { "-std=c99" };
            assert_eq!(compile(compiler, standard, &[theirs]), Ok(()));
            let behind = compile(compiler, standard, &[theirs, ours]).unwrap_err();
            let sentence = "cannot include both <domstats.h> and libvirt's headers";
            assert!(behind.contains(sentence), "{behind}");
            let before = compile(compiler, standard, &[ours, theirs]).unwrap_err();
            assert!(before.contains("poisoned"), "{before}");
        }
    }
}

/// Returns a program that prints these, each with the type that they have.
fn printing(expressions: &[String]) -> String {
    let mut text = "
#ifdef WITH_LIBVIRT
# include <libvirt/libvirt.h>
# include <libvirt/virterror.h>
#else
# include <domstats.h>
#endif
#include <stddef.h>
#include <stdio.h>

int main(void)
{
"
    .to_owned();
    for expression in expressions {
        let _ = writeln!(text, "    printf(\"{expression} %lld\\n\", (long long)({expression}));");
    }
    text + "    return 0;\n}\n"
}

#[test]
fn numbers_and_layouts_are_libvirts() {
    let header = fs::read_to_string(package().join(HEADER)).unwrap();
    let names = header.lines().filter_map(|line| line.strip_prefix("#define ")?.split_once(' '));
    // The RFC's own group is not among those that libvirt shipped.
    let shared =
        names.filter(|(name, _)| name.starts_with("VIR_") && *name != "VIR_DOMAIN_STATS_CPU");
    let mut expressions: Vec<String> = shared.map(|(name, _)| name.to_owned()).collect();
    assert!(expressions.len() > 60, "{expressions:?}");
    expressions.push("sizeof(virError)".to_owned());
    for member in [
        "code", "domain", "message", "level", "conn", "dom", "str1", "str2", "str3", "int1",
        "int2", "net",
    ] {
        expressions.push(format!("offsetof(virError, {member})"));
        expressions.push(format!("sizeof(((virErrorPtr)0)->{member})"));
    }
    let source = lab().path("numbers.c");
    fs::write(&source, printing(&expressions)).unwrap();
    let [ours, libvirt] =
        [&[][..], &["-DWITH_LIBVIRT", "-Wno-deprecated-declarations"]].map(|arguments| {
            lab().run(&mut c_library::with_library(&c_library::compile("gcc", &source, arguments)))
        });
    assert_eq!(ours.lines().collect::<Vec<_>>(), libvirt.lines().collect::<Vec<_>>());
    assert_eq!(ours.lines().count(), expressions.len());
}
