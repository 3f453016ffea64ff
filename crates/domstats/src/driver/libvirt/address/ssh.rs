//! The ssh command line, and the shell command that finds the daemon on the remote host.
//!
//! libvirt can speak ssh itself (`libssh`, `libssh2`). Here the system's ssh serves those URIs too;
//! it chooses keys and agents by its own configuration, so `sshauth` has no effect.

use std::ffi::OsString;

use super::{
    Transport,
    parameters::Parameters,
    unix::{Mode, Sockets},
};
use crate::{
    driver::uri::Uri,
    model::error::{ErrorOrigin, Result},
};

/// What the remote host runs to reach the daemon.
#[derive(Clone, Copy)]
enum Proxy {
    /// The helper if it is installed, else netcat.
    Auto,
    /// libvirt's `virt-ssh-helper`, which finds the socket by itself.
    Native,
    Netcat,
}

pub(super) fn transport(
    uri: &Uri,
    parameters: &Parameters,
    host: &str,
    name: &str,
    sockets: &Sockets,
) -> Result<Transport> {
    let program = parameters.get("command").unwrap_or("ssh").into();
    let remote = format!("sh -c {}", quote(&script(uri, parameters, name, sockets)?));
    let mut arguments: Vec<OsString> = Vec::new();
    let mut add = |words: &[&str]| arguments.extend(words.iter().map(OsString::from));
    if let Some(port) = uri.port {
        add(&["-p", &port.to_string()]);
    }
    let in_process = uri.scheme.ends_with("+libssh") || uri.scheme.ends_with("+libssh2");
    if let Some(user) = uri.user.as_deref().or(in_process.then_some("root")) {
        add(&["-l", user]);
    }
    if let Some(key) = parameters.get("keyfile") {
        add(&["-i", key]);
    }
    // No terminal, no escape characters: the bytes are libvirt's, and must pass unchanged.
    add(&["-T", "-e", "none"]);
    if parameters.is_set("no_tty")? {
        add(&["-o", "BatchMode=yes"]);
    }
    if parameters.is_set("no_verify")? {
        add(&["-o", "StrictHostKeyChecking=no"]);
    }
    if in_process {
        let policies = [("normal", "ask"), ("auto", "accept-new"), ("ignore", "no")];
        if let Some(policy) = parameters.choice("known_hosts_verify", policies)? {
            add(&["-o", &format!("StrictHostKeyChecking={policy}")]);
        }
        if let Some(file) = parameters.get("known_hosts") {
            add(&["-o", &format!("UserKnownHostsFile=\"{file}\"")]);
        }
    }
    add(&["--", host, &remote]);
    Ok(Transport::Program { program, arguments })
}

/// Returns the script for the remote shell.
fn script(uri: &Uri, parameters: &Parameters, name: &str, sockets: &Sockets) -> Result<String> {
    let refuse = |what| Err(uri.refuse(ErrorOrigin::Remote, what));
    if sockets.mode == Mode::Direct {
        return refuse("mode=direct does not work over ssh: the remote host chooses the daemon");
    }
    let netcat = parameters.get("netcat");
    let proxies = [("auto", Proxy::Auto), ("native", Proxy::Native), ("netcat", Proxy::Netcat)];
    let proxy = parameters.choice("proxy", proxies)?.unwrap_or(match () {
        () if netcat.is_some() || parameters.get("socket").is_some() => Proxy::Netcat,
        () if sockets.session => Proxy::Native,
        () => Proxy::Auto,
    });
    let by_helper = format!("exec virt-ssh-helper -r {}", quote(name));
    let socket = quote(&sockets.of_remote_host().to_string_lossy());
    // Without -q0, some netcats keep running when their input ends, and keep the connection open.
    let by_netcat = format!(
        "q=; if {netcat} -h 2>&1 </dev/null | grep -q -e '-q '; then q=-q0; fi; \
         exec {netcat} $q -U {socket}",
        netcat = quote(netcat.unwrap_or("nc")),
    );
    match proxy {
        Proxy::Native if netcat.is_some() => refuse("netcat cannot be combined with proxy=native"),
        Proxy::Native => Ok(by_helper),
        Proxy::Netcat => Ok(by_netcat),
        Proxy::Auto => Ok(format!(
            "if command -v virt-ssh-helper >/dev/null 2>&1; then {by_helper}; fi; {by_netcat}"
        )),
    }
}

/// Quotes a text as one word for any shell.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
