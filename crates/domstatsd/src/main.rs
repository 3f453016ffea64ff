//! `domstatsd`: the statistics of all virtual machines of a host, for every client.
//!
//! ```text
//! hypervisors ── Source ─┐
//!                        ├─ Host ─ one pass for all that ask ─┬─ rpc/   libvirt's protocol
//! hypervisors ── Source ─┘                                    └─ http/  metrics and documents
//! ```
#![expect(dead_code, reason = "the server of libvirt's protocol comes next")]

mod args;
mod config;
mod host;
mod http;
mod share;
mod source;

use std::{error::Error, process::ExitCode, sync::Arc};

use clap::Parser;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use args::Args;
use config::{Config, LogFormat};
use host::Host;
use http::Http;

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
    match run(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("domstatsd: {error}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(config: &Config) -> Result<(), Box<dyn Error>> {
    let host = Arc::new(Host::new(config));
    let http = Http::new(config, Arc::clone(&host))?;
    let listener = TcpListener::bind(config.http.listen)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", config.http.listen))?;
    tracing::info!(address = %listener.local_addr()?, "HTTP is served");
    let (stop, stopped) = watch::channel(false);
    let server = tokio::spawn(http.serve(listener, stopped));
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    stop.send_replace(true);
    server.await?;
    host.close();
    Ok(())
}

fn start_log(config: &Config) {
    let builder =
        tracing_subscriber::fmt().with_env_filter(&config.log.level).with_writer(std::io::stderr);
    match config.log.format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
}
