//! `domstatsd`: the statistics of all virtual machines of a host, for every client.
//!
//! ```text
//! clients ── net/ ─┬─ rpc/   libvirt's protocol ────┬─ hypervisors/ ── libvirt, QEMU
//!                  └─ http/  metrics, documents ────┘  one pass for equal queries
//! ```
//!
//! A library so that the fuzz targets can call it. The program is [`main`].

mod args;
mod config;
mod daemon;
mod http;
mod hypervisors;
mod log;
mod net;
mod rpc;
mod systemd;
#[cfg(test)]
mod tests;

/// What the fuzz targets in `fuzz/` run.
#[doc(hidden)]
pub mod fuzz {
    pub use crate::{http::fuzz::http_query, rpc::fuzz::rpc_server};

    /// Gives bytes to parsers, and panics if what they promise does not hold.
    pub type Target = fn(&[u8]);

    /// Every target, by the name of its file in `fuzz/fuzz_targets` and of its folder in
    /// `fuzz/corpus`.
    pub const TARGETS: [(&str, Target); 2] =
        [("http_query", http_query), ("rpc_server", rpc_server)];
}

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use args::Args;
use log::Log;

/// The passes that can be in flight at a time: each blocks a thread.
const PASSES: usize = 64;

/// Prints help, the version or a mistake of the command line, and returns the exit code.
fn print(instead: &clap::Error) -> ExitCode {
    let printed = instead.print().and_then(|()| io::stdout().flush());
    match printed {
        // A closed pipe has a reader that has seen enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe && !instead.use_stderr() => {
            eprintln!("domstatsd: cannot print: {error}");
            ExitCode::FAILURE
        }
        _ => u8::try_from(instead.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from),
    }
}

/// Runs the daemon with the arguments of the process until a signal ends it.
#[must_use]
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(instead) => return print(&instead),
    };
    let config = match args.settings() {
        Ok(config) => config,
        Err(error) => {
            eprintln!("domstatsd: {error}");
            return ExitCode::FAILURE;
        }
    };
    if args.check {
        return match daemon::check(&config) {
            Ok(()) => ExitCode::SUCCESS,
            Err(daemon::Failure(sentence)) => {
                eprintln!("domstatsd: {sentence}");
                ExitCode::FAILURE
            }
        };
    }
    let log = Log::start(&config.log);
    raise_file_limit();
    give_memory_back();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .max_blocking_threads(PASSES)
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => {
            let result = runtime.block_on(daemon::run(args, config, &log));
            // A pass that waits for a stuck hypervisor does not delay the end.
            runtime.shutdown_background();
            result
        }
        Err(error) => Err(daemon::Failure(format!("cannot start threads: {error}"))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(daemon::Failure(sentence)) => {
            tracing::error!("{sentence}");
            ExitCode::FAILURE
        }
    }
}

/// Raises the limit of open files to the maximum: each client takes a descriptor.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// Returns the memory of an answer to the kernel once the answer is sent. glibc would keep up to 64 MiB in each of
/// eight arenas for every CPU.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "only C's library can tell its allocator")]
fn give_memory_back() {
    /// More than the answer for a hundred domains: smaller ones reuse memory.
    const LARGE: libc::c_int = 4 << 20;
    let settings =
        [(libc::M_ARENA_MAX, 2), (libc::M_MMAP_THRESHOLD, LARGE), (libc::M_TRIM_THRESHOLD, LARGE)];
    for (setting, value) in settings {
        // SAFETY: it sets a number of the allocator, whatever the number is.
        unsafe { libc::mallopt(setting, value) };
    }
}

#[cfg(not(target_env = "gnu"))]
fn give_memory_back() {}
