//! The command `domstats`: the options of `virsh domstats`, and more, over the library.
//!
//! ```text
//! args ─→ uri ─→ commands/* ─→ exit
//!          │        └ missing: reports what could not be read, on standard error
//! ```

mod args;
mod columns;
mod commands;
mod exit;
mod missing;
mod uri;
mod watch;

use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use args::{Cli, Command};
use commands::{completions, doctor, fields, list, man, stats};

fn main() -> ExitCode {
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(instead) => return exit::print(&instead),
    };
    raise_descriptor_limit();
    exit::code(run(&cli))
}

/// Raises the soft limit of descriptors to the hard one. The soft limit, 1024 on most hosts,
/// protects programs that use select(2); this one does not, and keeps a dozen descriptors for each
/// QEMU process to read it cheaply. With fewer it still works, more slowly.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

fn run(cli: &Cli) -> exit::Result {
    let connect = cli.connect.as_deref();
    match &cli.command {
        None => stats::run(connect, &cli.stats),
        Some(Command::List(args)) => list::run(connect, args),
        Some(Command::Fields(args)) => fields::run(args),
        Some(Command::Doctor(args)) => doctor::run(connect, args),
        Some(Command::Completions(args)) => completions::run(args),
        Some(Command::Man) => man::run(),
    }
}
