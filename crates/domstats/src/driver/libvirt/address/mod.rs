//! Resolves a URI to a daemon's address by libvirt's rules. The only I/O is checking whether files
//! exist.
//!
//! ```text
//! uri ─┬─ driver, path, parameters that are not the client's ─→ name: the URI for the daemon
//!      └─ transport, host, the client's parameters ─→ transport
//! ```

mod name;
mod parameters;
mod pki;
mod ssh;
#[cfg(test)]
mod tests;
mod unix;

use std::{ffi::OsString, path::PathBuf};

use parameters::Parameters;
pub(super) use pki::Pki;

use crate::{
    driver::{options::ConnectOptions, uri::Uri},
    model::error::{ErrorOrigin, Result},
};

/// Drivers that run in a daemon, and `remote`, which lets the daemon choose.
const DRIVERS: [&str; 9] =
    ["bhyve", "ch", "lxc", "parallels", "qemu", "remote", "vbox", "vz", "xen"];

/// Drivers that run inside libvirt's client library; a daemon serves them only if the URI names a
/// transport.
const DRIVERS_OF_CLIENTS: [&str; 5] =
    ["openvz", "test", "vmwarefusion", "vmwareplayer", "vmwarews"];

const TRANSPORTS: [&str; 7] = ["ext", "libssh", "libssh2", "ssh", "tcp", "tls", "unix"];

/// Returns whether the libvirt driver serves a scheme, given in lower case.
pub(crate) fn serves(scheme: &str) -> bool {
    match scheme.split_once('+') {
        None => DRIVERS.contains(&scheme),
        Some((driver, transport)) => {
            TRANSPORTS.contains(&transport)
                && (DRIVERS.contains(&driver) || DRIVERS_OF_CLIENTS.contains(&driver))
        }
    }
}

/// A daemon's address, and what to open there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) transport: Transport,
    /// The URI that the daemon opens, from its own point of view; empty for its default.
    pub(super) name: String,
    /// The authentication that the URI requires.
    pub(super) auth: Option<Auth>,
    /// The credentials file. If the caller named it, it may be missing.
    pub(super) auth_file: Option<PathBuf>,
    /// The daemon's host, `localhost` by default. Credentials are looked up and certificates
    /// verified for it.
    pub(super) host: String,
    pub(super) user: Option<String>,
}

/// How to reach a daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Transport {
    /// A socket on this host: the first of these that exists.
    Unix {
        sockets: Vec<PathBuf>,
    },
    Tcp {
        host: String,
        port: u16,
    },
    /// With `verify`, the server's certificate must be trusted and issued for the host.
    Tls {
        host: String,
        port: u16,
        pki: Pki,
        verify: bool,
    },
    /// A program, usually ssh, whose standard input and output are connected to the daemon.
    Program {
        program: OsString,
        arguments: Vec<OsString>,
    },
}

/// The value of `auth`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Auth {
    /// SASL, with this mechanism or any.
    Sasl {
        mechanism: Option<String>,
    },
    Polkit,
}

impl Address {
    /// Parses a URI whose scheme passes [`serves`].
    pub(super) fn new(uri: &Uri, options: &ConnectOptions) -> Result<Self> {
        Self::seen_by(rustix::process::geteuid().is_root(), uri, options)
    }

    /// Resolves the address as root or as another user sees it.
    fn seen_by(root: bool, uri: &Uri, options: &ConnectOptions) -> Result<Self> {
        let parameters = Parameters::of(uri);
        let host = match uri.host.as_str() {
            "" => "localhost".to_owned(),
            host => host.to_owned(),
        };
        let name = name::of(uri, &parameters);
        let sockets = unix::Sockets::of(root, uri, options, &parameters)?;
        let transport = match uri.scheme.split_once('+').map(|(_, transport)| transport) {
            None if uri.host.is_empty() => Transport::Unix { sockets: sockets.to_try() },
            None | Some("tls") => {
                refuse_priority(uri, &parameters)?;
                Transport::Tls {
                    host: host.clone(),
                    port: uri.port.unwrap_or(16514),
                    pki: Pki::find(root, options, &parameters),
                    verify: !parameters.is_set("no_verify")?,
                }
            }
            Some("unix") if uri.host.is_empty() => Transport::Unix { sockets: sockets.to_try() },
            Some("unix") => {
                let what = "a Unix socket is always local: leave out the host, or use ssh or tls";
                return Err(uri.refuse(ErrorOrigin::Remote, what));
            }
            Some("tcp") => Transport::Tcp { host: host.clone(), port: uri.port.unwrap_or(16509) },
            Some("ext") => {
                let program = parameters.get("command").ok_or_else(|| {
                    let what = "the transport ext needs command=PROGRAM to connect to the daemon";
                    uri.refuse(ErrorOrigin::Remote, what)
                })?;
                Transport::Program { program: program.into(), arguments: Vec::new() }
            }
            Some("ssh" | "libssh" | "libssh2") => {
                ssh::transport(uri, &parameters, &host, &name, &sockets)?
            }
            Some(other) => {
                let what = format!("unknown transport '{other}': use {}", TRANSPORTS.join(", "));
                return Err(uri.refuse(ErrorOrigin::Remote, what));
            }
        };
        let auth = auth(uri, &parameters)?;
        let auth_file = auth_file(options, &parameters);
        Ok(Self { transport, name, auth, auth_file, host, user: uri.user.clone() })
    }
}

/// Refuses a GnuTLS priority string. Only GnuTLS understands it, and ignoring it could give weaker
/// encryption than it asks for.
fn refuse_priority(uri: &Uri, parameters: &Parameters) -> Result<()> {
    match parameters.get("tls_priority") {
        None | Some("") => Ok(()),
        Some(_) => {
            let what = "tls_priority is for GnuTLS only: leave it out; TLS 1.2 and 1.3 are used \
                        with strong ciphers";
            Err(uri.refuse(ErrorOrigin::Remote, what))
        }
    }
}

fn auth(uri: &Uri, parameters: &Parameters) -> Result<Option<Auth>> {
    let Some(auth) = parameters.get("auth") else {
        return Ok(None);
    };
    let (kind, mechanism) = auth.split_once('.').map_or((auth, None), |(a, b)| (a, Some(b)));
    match (kind.to_ascii_lowercase().as_str(), mechanism) {
        ("sasl", mechanism) => {
            let mechanism = mechanism.filter(|name| !name.is_empty()).map(str::to_owned);
            Ok(Some(Auth::Sasl { mechanism }))
        }
        ("polkit", None) => Ok(Some(Auth::Polkit)),
        _ => {
            let what = format!("auth is '{auth}', use sasl, sasl.MECHANISM or polkit");
            Err(uri.refuse(ErrorOrigin::Remote, what))
        }
    }
}

/// Returns the file that the URI or the options name, else the first default one that exists.
fn auth_file(options: &ConnectOptions, parameters: &Parameters) -> Option<PathBuf> {
    let named = parameters.get("authfile").map(PathBuf::from).or(options.auth_file.clone());
    named.or_else(|| {
        let directories = options.config_dir.iter().cloned().chain([PathBuf::from("/etc")]);
        directories.map(|dir| dir.join("libvirt/auth.conf")).find(|file| file.exists())
    })
}
