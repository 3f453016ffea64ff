//! `domstatsd`: the statistics of all virtual machines of a host, for every client.
//!
//! ```text
//! hypervisors ── Source ─┐
//!                        ├─ Host ─ one pass for all that ask ─┬─ rpc/   libvirt's protocol
//! hypervisors ── Source ─┘                                    └─ http/  metrics and documents
//! ```
#![expect(dead_code, reason = "the servers come next")]

mod args;
mod config;
mod host;
mod source;

use std::process::ExitCode;

use clap::Parser;

use args::Args;
use config::{Config, LogFormat};

fn main() -> ExitCode {
    let args = Args::parse();
    let config = match args.settings() {
        Ok(config) => config,
        Err(error) => {
            eprintln!("domstatsd: {error}");
            return ExitCode::FAILURE;
        }
    };
    if args.check {
        return ExitCode::SUCCESS;
    }
    start_log(&config);
    ExitCode::SUCCESS
}

fn start_log(config: &Config) {
    let builder =
        tracing_subscriber::fmt().with_env_filter(&config.log.level).with_writer(std::io::stderr);
    match config.log.format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
}
