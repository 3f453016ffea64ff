//! The command `domstats`: the options of `virsh domstats`, and more, over the library.
//!
//! ```text
//! args ─→ uri ─→ commands/* ─→ exit
//!          │        └ missing: what could not be read, on standard error
//! ```

mod args;
mod columns;
mod commands;
mod exit;
mod missing;
mod uri;
mod watch;

use std::process::ExitCode;

use args::{Cli, Command};
use commands::{completions, doctor, fields, list, man, stats};

fn main() -> ExitCode {
    let cli = Cli::read();
    exit::code(run(&cli))
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
