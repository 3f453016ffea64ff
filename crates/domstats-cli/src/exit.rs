//! Exit codes and error messages.

use std::{
    error::Error,
    fmt,
    io::{self, Write},
    process::ExitCode,
};

use clap::builder::styling::{AnsiColor, Style};
use domstats::{error_chain, printable};

/// The outcome of a command that did not fail. The parser exits with 2 on usage errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0.
    Ok,
    /// 1: the command has reported the failure itself.
    Failed,
    /// 3: something requested is missing, and `--strict` was given.
    Partial,
}

/// The result of every command.
pub(crate) type Result<T = Exit> = std::result::Result<T, Box<dyn Error>>;

/// An error of the command itself.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    /// Returns an error with this message.
    pub(crate) fn new(sentence: impl Into<String>) -> Box<Self> {
        Box::new(Self(sentence.into()))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Failure {}

/// Reports the error, if there is one, and returns the exit code.
pub(crate) fn code(result: Result) -> ExitCode {
    match result {
        Ok(Exit::Ok) => ExitCode::SUCCESS,
        Ok(Exit::Failed) => ExitCode::FAILURE,
        Ok(Exit::Partial) => ExitCode::from(3),
        // The reader closed the pipe: `domstats | head -1`.
        Err(error) if is_closed_pipe(error.as_ref()) => ExitCode::SUCCESS,
        Err(error) => {
            say(AnsiColor::Red, &error_chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

/// Prints help, the version or a usage error, and returns the exit code.
pub(crate) fn print(instead: &clap::Error) -> ExitCode {
    let printed = instead.print().and_then(|()| io::stdout().flush());
    match printed {
        Err(error) if !instead.use_stderr() => code(Err(error.into())),
        _ => u8::try_from(instead.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from),
    }
}

/// Prints one line about something that could not be read.
pub(crate) fn warn(line: &str) {
    say(AnsiColor::Yellow, line);
}

fn say(color: AnsiColor, line: &str) {
    let style = Style::new().fg_color(Some(color.into()));
    // Nothing can be reported when standard error is closed.
    let _ = writeln!(anstream::stderr(), "{style}domstats:{style:#} {}", printable(line));
}

fn is_closed_pipe(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
