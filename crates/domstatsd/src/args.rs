//! The command line and the environment.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use axum::http::Uri;
use clap::Parser;

use crate::config::{self, Config, ConfigError, LogFormat, LogLevel};

/// The end of `--help` and of the manual page.
const AFTER_HELP: &str = "\
Examples:
  domstatsd                           this host's libvirt, else its QEMU processes
  domstatsd -c qemu+qmp:///system     its QEMU processes, without libvirt
  domstatsd --rpc-socket /run/domstatsd/sock
                                      libvirt's protocol too, for virsh -c
                                      'qemu+unix:///system?socket=/run/domstatsd/sock'
  domstatsd --config d.toml --check   check a configuration
  curl http://127.0.0.1:9177/metrics  the metrics
  curl 'http://127.0.0.1:9177/v1/domains/vm1?stats=cpu-total,block'
                                      two groups of one domain, as a document

Signals:
  SIGHUP           reload the configuration, certificates and tokens
  SIGTERM, SIGINT  exit

Exit status:
  0  ended by a signal, or the configuration is valid
  1  failure: the reason is on standard error
  2  usage error";

/// Statistics of all virtual machines, for every client: libvirt's protocol, metrics, documents
///
/// Options override the environment, and both override the configuration file.
#[derive(Debug, Parser)]
#[command(name = "domstatsd", version, args_override_self = true, after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Configuration file, in TOML
    #[arg(long, value_name = "FILE", env = "DOMSTATSD_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Hypervisor to ask, such as qemu:///system or qemu+qmp:///system; can be repeated
    ///
    /// Without it: this host's libvirt, else its QEMU processes.
    #[arg(short, long, value_name = "URI", env = "DOMSTATSD_CONNECT", value_delimiter = ' ', value_parser = config::hypervisor)]
    connect: Vec<String>,
    /// Timeout of an answer [default: 1s]
    #[arg(long, value_name = "DURATION", env = "DOMSTATSD_TIMEOUT", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
    /// Unix socket for clients of libvirt [default: none]
    #[arg(long, value_name = "PATH", env = "DOMSTATSD_RPC_SOCKET")]
    rpc_socket: Option<PathBuf>,
    /// Address for clients of libvirt over TLS, such as 0.0.0.0:16514 [default: none]
    #[arg(long, value_name = "ADDR", env = "DOMSTATSD_RPC_TLS")]
    rpc_tls: Option<SocketAddr>,
    /// Address for HTTP [default: 127.0.0.1:9177]
    #[arg(long, value_name = "ADDR", env = "DOMSTATSD_HTTP")]
    http: Option<SocketAddr>,
    /// Exporter whose metrics are served beside ours: tinkoff, vexxhost, opennebula, kubevirt
    #[arg(long, value_name = "EXPORTER", env = "DOMSTATSD_COMPAT", value_delimiter = ',')]
    compat: Vec<String>,
    /// Collector to push metrics to over OTLP, such as http://localhost:4318
    #[arg(long, value_name = "URL", env = "DOMSTATSD_OTLP", value_parser = config::collector)]
    otlp: Option<Uri>,
    /// Format of the log [default: text]
    #[arg(long, value_name = "FORMAT", env = "DOMSTATSD_LOG_FORMAT")]
    log_format: Option<LogFormat>,
    /// Least severe level that is logged [default: info]
    #[arg(long, value_name = "LEVEL", env = "DOMSTATSD_LOG")]
    log: Option<LogLevel>,
    /// Check the configuration and exit
    #[arg(long)]
    pub(crate) check: bool,
}

impl Args {
    /// Returns the configuration: the file, overridden by the environment and the options.
    ///
    /// # Errors
    ///
    /// Those of [`Config::read`], and a sentence about settings that cannot work.
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
        config::check::check(&config).map_err(ConfigError::Unusable)?;
        Ok(config)
    }
}

fn set<T: Clone>(setting: &mut T, given: Option<&T>) {
    if let Some(given) = given {
        setting.clone_from(given);
    }
}

#[cfg(test)]
mod tests {
    use std::{env, fs};

    use clap::CommandFactory;
    use clap_mangen::{
        Man,
        roff::{Roff, roman},
    };

    use super::*;

    #[test]
    fn the_committed_manual_page_is_fresh() {
        let mut page = Vec::new();
        let man = Man::new(Args::command()).section("8").manual("System Administration");
        man.render_title(&mut page).unwrap();
        man.render_name_section(&mut page).unwrap();
        man.render_synopsis_section(&mut page).unwrap();
        man.render_description_section(&mut page).unwrap();
        man.render_options_section(&mut page).unwrap();
        let mut roff = Roff::new();
        for section in AFTER_HELP.split("\n\n") {
            let (title, lines) = section.split_once(":\n").unwrap();
            roff.control("SH", [title.to_uppercase().as_str()]).control("nf", []);
            roff.text([roman(lines)]).control("fi", []);
        }
        roff.to_writer(&mut page).unwrap();
        let page = String::from_utf8(page).unwrap();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/man/domstatsd.8");
        if env::var_os("DOMSTATS_BLESS").is_some() {
            fs::write(path, &page).unwrap();
        }
        assert!(
            fs::read_to_string(path).is_ok_and(|committed| committed == page),
            "docs/man/domstatsd.8 is stale: DOMSTATS_BLESS=1 cargo test -p domstatsd --lib args"
        );
    }

    #[test]
    fn the_defaults_of_the_help_are_those_of_the_configuration() {
        let config = Args::parse_from(["domstatsd"]).settings().unwrap_or_default();
        let told = [
            ("timeout", humantime::format_duration(config.timeout).to_string()),
            ("http", config.http.listen.to_string()),
            ("log_format", format!("{:?}", config.log.format).to_lowercase()),
            ("log", format!("{:?}", config.log.level).to_lowercase()),
        ];
        let command = Args::command();
        for (id, default) in told {
            let argument = command.get_arguments().find(|argument| argument.get_id() == id);
            let help = argument.unwrap().get_help().unwrap().to_string();
            assert!(help.ends_with(&format!("[default: {default}]")), "{help}");
        }
    }
}
