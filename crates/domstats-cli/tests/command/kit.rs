//! Helpers for the tests of the command.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// Simulated domains that never change.
pub(crate) const FIXED: &str = "test:///default?clock=fixed";

/// Returns the command without arguments, in an environment without settings for hypervisors and
/// colours.
pub(crate) fn domstats() -> Command {
    quiet(Command::new(env!("CARGO_BIN_EXE_domstats")))
}

/// Returns a shell command that finds `domstats`.
pub(crate) fn shell(script: &str) -> Command {
    let mut command = quiet(Command::new("bash"));
    let binary = Path::new(env!("CARGO_BIN_EXE_domstats"));
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", binary.parent().unwrap().display());
    command.args(["-o", "pipefail", "-c", script]).env("PATH", path);
    command
}

fn quiet(mut command: Command) -> Command {
    for variable in ["DOMSTATS_DEFAULT_URI", "LIBVIRT_DEFAULT_URI", "NO_COLOR", "CLICOLOR_FORCE"] {
        command.env_remove(variable);
    }
    for variable in ["XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"] {
        command.env(variable, "/nonexistent");
    }
    command.stdin(Stdio::null());
    command
}

/// Runs the command with arguments, separated by spaces.
pub(crate) fn run(line: &str) -> Finished {
    finish(domstats().args(line.split_whitespace()))
}

/// Runs a command to its end.
pub(crate) fn finish(command: &mut Command) -> Finished {
    let Output { status, stdout, stderr } = command.output().unwrap();
    Finished {
        code: status.code(),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}

/// The result of a command.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Returns a path below the root of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// Whether to regenerate the committed files: `DOMSTATS_BLESS=1 cargo test`.
pub(crate) fn is_blessing() -> bool {
    std::env::var_os("DOMSTATS_BLESS").is_some()
}
