//! `libdomstats`, built from this tree and installed for C and C++ programs.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use crate::{command::build, lab::lab, page};

/// The library's `pkg-config` file.
const PKG_CONFIG: &str = "\
Name: domstats
Description: as the tests build it
Version: 0
Cflags: -I${pcfiledir}/../include
Libs: -L${pcfiledir} -ldomstats
";

/// The exit code of a program under valgrind that accessed invalid memory, or leaked memory.
pub const FOUND: i32 = 99;

/// "Possibly lost" memory is not lost: Rust's tables and shared pointers point into the middle of
/// their allocations, and some live to the end: the main thread's handle, a thread that still
/// reads.
const VALGRIND: &[&str] =
    &["--quiet", "--leak-check=full", "--errors-for-leak-kinds=definite,indirect"];

/// Returns the prefix below which the header and the library are installed.
fn prefix() -> &'static Path {
    static PREFIX: LazyLock<PathBuf> = LazyLock::new(|| {
        let prefix = lab().path("libdomstats");
        let [include, lib] = ["include", "lib"].map(|name| prefix.join(name));
        for directory in [&include, &lib] {
            fs::create_dir_all(directory).unwrap();
        }
        let header = "../crates/domstats-capi/include/domstats.h";
        let header = Path::new(env!("CARGO_MANIFEST_DIR")).join(header);
        fs::copy(header, include.join("domstats.h")).unwrap();
        fs::copy(library(), lib.join("libdomstats.so.0")).unwrap();
        symlink("libdomstats.so.0", lib.join("libdomstats.so")).unwrap();
        fs::write(lib.join("domstats.pc"), PKG_CONFIG).unwrap();
        prefix
    });
    &PREFIX
}

/// Returns the library as cargo builds it.
#[must_use]
pub fn library() -> PathBuf {
    build("domstats-capi").join("libdomstats_c.so")
}

/// Returns a command that finds the library: a compiler through `pkg-config`, a program at run
/// time.
#[must_use]
pub fn with_library(program: &Path) -> Command {
    let lib = prefix().join("lib");
    let mut command = lab().command_at(program);
    command.env("PKG_CONFIG_PATH", &lib).env("LD_LIBRARY_PATH", &lib);
    command
}

/// Returns a command that runs a program under valgrind.
#[must_use]
pub fn under_valgrind(program: &Path) -> Command {
    let mut command = with_library(&crate::tools::tool("valgrind"));
    command.args(VALGRIND).arg(format!("--error-exitcode={FOUND}")).arg(program);
    command
}

/// Compiles a program, with all warnings as errors, and returns its path.
#[track_caller]
pub fn compile(compiler: &str, source: &Path, arguments: &[&str]) -> PathBuf {
    let program = lab().path(lab().name(&source.file_stem().unwrap().to_string_lossy()));
    let mut command = with_library(&crate::tools::tool(compiler));
    command.args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-g", "-pthread"]);
    let prefix = prefix().display();
    command.arg(format!("-I{prefix}/include")).arg(source).arg("-o").arg(&program);
    command.args(arguments).args([&format!("-L{prefix}/lib"), "-ldomstats"]);
    lab().run(&mut command);
    program
}

/// The page that describes the library.
pub const PAGE: &str = "docs/c.md";

/// Returns the page's programs, compiled by one of the two compiler families.
#[must_use]
pub fn programs(clang: bool) -> Vec<(String, PathBuf)> {
    let directory = lab().path(lab().name("page"));
    fs::create_dir_all(&directory).unwrap();
    let names = page::write_files(PAGE, &directory).into_iter();
    let compiled = names.map(|name| {
        let compiler = match (name.ends_with(".c"), clang) {
            (true, false) => "gcc",
            (true, true) => "clang",
            (false, false) => "g++",
            (false, true) => "clang++",
        };
        let program = compile(compiler, &directory.join(&name), &[]);
        (name, program)
    });
    compiled.collect()
}
