//! The command `domstats`, built from this tree, in a place where every user may run it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use crate::{alone::is_prepared, lab::lab};

/// Returns the path of the program.
#[must_use]
pub fn domstats() -> &'static Path {
    static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
        let program = lab().path("domstats");
        fs::copy(build("domstats-cli").join("domstats"), &program).unwrap();
        program
    });
    &PROGRAM
}

/// Builds a package of this tree in the profile of the running program (release for a benchmark),
/// and returns the build directory.
pub(crate) fn build(package: &str) -> PathBuf {
    let built = built();
    if is_prepared() {
        return built;
    }
    let profile = built.file_name().unwrap().to_str().unwrap();
    let profile = if profile == "debug" { "dev" } else { profile };
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.args(["build", "--quiet", "--profile", profile]);
    if profile == "dev" {
        // Includes a test program, so that dependencies have the features that tests use: with
        // those of a single package, cargo would compile all of them again.
        cargo.args(["--workspace", "--lib", "--bins", "--test", "corpus"]);
    } else {
        cargo.args(["--package", package]);
    }
    forget_package(&mut cargo);
    lab().run(cargo.current_dir(env!("CARGO_MANIFEST_DIR")));
    built
}

/// Returns the directory where cargo built the running program: `target/debug`, `target/release`.
pub(crate) fn built() -> PathBuf {
    let running = env::current_exe().unwrap();
    // target/debug/deps/users-... or target/release/domstats-bench
    let mut folders = running.ancestors().skip(1);
    folders.find(|folder| !folder.ends_with("deps")).unwrap().to_owned()
}

/// Removes from a command's environment what cargo tells a test about its package: it would make
/// build scripts run again, and everything above them compile again.
pub(crate) fn forget_package(command: &mut Command) {
    for (name, _) in env::vars_os() {
        if ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|of| name.to_string_lossy().starts_with(of))
        {
            command.env_remove(name);
        }
    }
}
