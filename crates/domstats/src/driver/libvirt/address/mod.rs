//! Where the daemon is: what libvirt's rules make of a URI. Looks whether files exist, and does
//! nothing else.
//!
//! ```text
//! uri ─┬─ driver, path, parameters that are not ours ─→ name: what the daemon is asked for
//!      └─ transport, host, our parameters ─→ transport
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

/// Drivers that live in a daemon, and `remote`, which lets the daemon choose.
const DRIVERS: [&str; 9] =
    ["bhyve", "ch", "lxc", "parallels", "qemu", "remote", "vbox", "vz", "xen"];

/// Drivers that libvirt has in its client library; a daemon serves them only if a transport says
/// that one is meant.
const DRIVERS_OF_CLIENTS: [&str; 5] =
    ["openvz", "test", "vmwarefusion", "vmwareplayer", "vmwarews"];

const TRANSPORTS: [&str; 7] = ["ext", "libssh", "libssh2", "ssh", "tcp", "tls", "unix"];

/// Returns whether a scheme, in lower case, belongs to the libvirt driver.
pub(crate) fn serves(scheme: &str) -> bool {
    match scheme.split_once('+') {
        None => DRIVERS.contains(&scheme),
        Some((driver, transport)) => {
            TRANSPORTS.contains(&transport)
                && (DRIVERS.contains(&driver) || DRIVERS_OF_CLIENTS.contains(&driver))
        }
    }
}

/// Where a daemon is, and what to tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) transport: Transport,
    /// What the daemon is to open: a URI as it sees it, or nothing for its default.
    pub(super) name: String,
    /// The authentication that the URI insists on.
    pub(super) auth: Option<Auth>,
    /// The file to take credentials from. One that was named may be missing.
    pub(super) auth_file: Option<PathBuf>,
    /// The daemon's host, `localhost` if none is given: credentials and certificates are for it.
    pub(super) host: String,
    pub(super) user: Option<String>,
}

/// How to reach a daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Transport {
    /// A socket of this host: the first of these that exists.
    Unix {
        sockets: Vec<PathBuf>,
    },
    Tcp {
        host: String,
        port: u16,
    },
    /// With `verify`, the server's certificate must be for the host.
    Tls {
        host: String,
        port: u16,
        pki: Pki,
        verify: bool,
    },
    /// A program, most often ssh, whose standard input and output lead to the daemon.
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
    /// Takes apart a URI that [`serves`].
    pub(super) fn new(uri: &Uri, options: &ConnectOptions) -> Result<Self> {
        Self::seen_by(rustix::process::geteuid().is_root(), uri, options)
    }

    /// The address as root or somebody else finds it.
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
                let what = "a Unix socket is on this host: leave out the host, or use ssh or tls";
                return Err(uri.refuse(ErrorOrigin::Remote, what));
            }
            Some("tcp") => Transport::Tcp { host: host.clone(), port: uri.port.unwrap_or(16509) },
            Some("ext") => {
                let program = parameters.get("command").ok_or_else(|| {
                    let what = "the transport ext needs command=PROGRAM, which leads to the daemon";
                    uri.refuse(ErrorOrigin::Remote, what)
                })?;
                Transport::Program { program: program.into(), arguments: Vec::new() }
            }
            Some("ssh" | "libssh" | "libssh2") => {
                ssh::transport(uri, &parameters, &host, &name, &sockets)?
            }
            Some(other) => {
                let what = format!("no transport '{other}': there are {}", TRANSPORTS.join(", "));
                return Err(uri.refuse(ErrorOrigin::Remote, what));
            }
        };
        let auth = auth(uri, &parameters)?;
        let auth_file = auth_file(options, &parameters);
        Ok(Self { transport, name, auth, auth_file, host, user: uri.user.clone() })
    }
}

/// Refuses a GnuTLS priority string, which only GnuTLS understands: to ignore it could be weaker
/// than what it asks for.
fn refuse_priority(uri: &Uri, parameters: &Parameters) -> Result<()> {
    match parameters.get("tls_priority") {
        None | Some("") => Ok(()),
        Some(_) => {
            let what = "tls_priority is for GnuTLS and has no meaning here: leave it out, TLS 1.2 \
                        and 1.3 with strong ciphers are used";
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

/// Returns the file that was named, else the first of the usual ones that exists.
fn auth_file(options: &ConnectOptions, parameters: &Parameters) -> Option<PathBuf> {
    let named = parameters.get("authfile").map(PathBuf::from).or(options.auth_file.clone());
    named.or_else(|| {
        let directories = options.config_dir.iter().cloned().chain([PathBuf::from("/etc")]);
        directories.map(|dir| dir.join("libvirt/auth.conf")).find(|file| file.exists())
    })
}
