//! `domstats completions SHELL`.

use std::io::{self, Write};

use clap::CommandFactory;

use crate::{
    args::{Cli, CompletionsArgs},
    exit::{Exit, Result},
};

/// Prints the completion script of a shell.
pub(crate) fn run(args: &CompletionsArgs) -> Result {
    // Into memory first: the generator panics when its writer fails, on a closed pipe too.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "domstats", &mut script);
    io::stdout().write_all(&script)?;
    Ok(Exit::Ok)
}
