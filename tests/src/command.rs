//! The command `domstats`, built from this tree, where every user may run it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use crate::lab::lab;

/// Returns the path of the program.
#[must_use]
pub fn domstats() -> &'static Path {
    static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
        cargo.args(["build", "--quiet", "--package", "domstats-cli"]);
        lab().run(cargo.current_dir(env!("CARGO_MANIFEST_DIR")));
        let tests = env::current_exe().unwrap();
        // target/debug/deps/users-...
        let built = tests.ancestors().nth(2).unwrap().join("domstats");
        let program = lab().path("domstats");
        fs::copy(built, &program).unwrap();
        program
    });
    &PROGRAM
}
