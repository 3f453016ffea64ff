//! The command line and the environment.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use axum::http::Uri;
use clap::Parser;

use crate::config::{self, Config, ConfigError, LogFormat, LogLevel};

/// Statistics of all virtual machines, for every client: libvirt's protocol, metrics, documents
///
/// Options win over the environment, and both over the configuration file.
#[derive(Debug, Parser)]
#[command(name = "domstatsd", version, args_override_self = true)]
pub(crate) struct Args {
    /// Configuration file, in TOML
    #[arg(long, value_name = "FILE", env = "DOMSTATSD_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Hypervisor to ask, such as qemu:///system or qemu+qmp:///system; can be repeated
    #[arg(short, long, value_name = "URI", env = "DOMSTATSD_CONNECT", value_delimiter = ' ')]
    connect: Vec<String>,
    /// Longest time that an answer may take
    #[arg(long, value_name = "DURATION", env = "DOMSTATSD_TIMEOUT", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
    /// Unix socket for clients of libvirt
    #[arg(long, value_name = "PATH", env = "DOMSTATSD_RPC_SOCKET")]
    rpc_socket: Option<PathBuf>,
    /// Address for clients of libvirt by TLS, such as 0.0.0.0:16514
    #[arg(long, value_name = "ADDR", env = "DOMSTATSD_RPC_TLS")]
    rpc_tls: Option<SocketAddr>,
    /// Address for HTTP
    #[arg(long, value_name = "ADDR", env = "DOMSTATSD_HTTP")]
    http: Option<SocketAddr>,
    /// Exporter whose metric names are served beside the usual ones: tinkoff, vexxhost, opennebula,
    /// kubevirt
    #[arg(long, value_name = "EXPORTER", env = "DOMSTATSD_COMPAT", value_delimiter = ',')]
    compat: Vec<String>,
    /// Collector to push metrics to by OTLP, such as http://localhost:4318
    #[arg(long, value_name = "URL", env = "DOMSTATSD_OTLP", value_parser = config::collector)]
    otlp: Option<Uri>,
    /// Form of the log
    #[arg(long, value_name = "FORM", env = "DOMSTATSD_LOG_FORMAT")]
    log_format: Option<LogFormat>,
    /// What is logged: this, and what is worse
    #[arg(long, value_name = "LEVEL", env = "DOMSTATSD_LOG")]
    log: Option<LogLevel>,
    /// Check the configuration, say what is wrong with it, and end
    #[arg(long)]
    pub(crate) check: bool,
}

impl Args {
    /// Returns the configuration: the file's, then what the environment and the options say.
    ///
    /// # Errors
    ///
    /// Those of [`Config::read`].
    pub(crate) fn settings(&self) -> Result<Config, ConfigError> {
        let mut config =
            self.config.as_deref().map_or_else(|| Ok(Config::default()), Config::read)?;
        if !self.connect.is_empty() {
            config.connect.clone_from(&self.connect);
        }
        if !self.compat.is_empty() {
            config.http.compat.clone_from(&self.compat);
        }
        set(&mut config.timeout, self.timeout.as_ref());
        set(&mut config.http.listen, self.http.as_ref());
        set(&mut config.log.format, self.log_format.as_ref());
        set(&mut config.log.level, self.log.as_ref());
        config.rpc.socket = self.rpc_socket.clone().or(config.rpc.socket);
        config.otlp.endpoint = self.otlp.clone().or(config.otlp.endpoint);
        config.rpc.tls = self.rpc_tls.or(config.rpc.tls);
        Ok(config)
    }
}

fn set<T: Clone>(setting: &mut T, given: Option<&T>) {
    if let Some(given) = given {
        setting.clone_from(given);
    }
}
