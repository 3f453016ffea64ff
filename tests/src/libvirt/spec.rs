//! The specification of a private libvirtd: who may connect, and how.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, Write},
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

use serde_json::Value;

use super::Libvirt;
use crate::{
    lab::{NOBODY, lab},
    roots::release,
    tools::tool,
};

/// The user that a libvirtd with SASL knows.
pub const USER: &str = "alice";

/// The password of [`USER`].
pub const PASSWORD: &str = "correct horse, staple";

/// The client's file with the right password.
pub(super) const CREDENTIALS: &str = "auth.conf";

/// The specification of a libvirtd. The default listens on its Unix socket, and lets everyone in.
#[derive(Debug, Clone)]
pub struct LibvirtSpec {
    /// Settings in `libvirtd.conf`.
    settings: BTreeMap<&'static str, Value>,
    /// The mechanisms of SASL; none without SASL.
    mechanisms: &'static str,
}

impl Default for LibvirtSpec {
    fn default() -> Self {
        let spec = Self { settings: BTreeMap::new(), mechanisms: "" };
        spec.setting("listen_addr", "127.0.0.1")
            .setting("listen_tcp", 0)
            .setting("listen_tls", 0)
            .setting("auth_unix_rw", "none")
            .setting("auth_tcp", "none")
            .setting("auth_tls", "none")
    }
}

impl LibvirtSpec {
    /// Listens on a TCP port.
    #[must_use]
    pub fn tcp(self) -> Self {
        self.setting("listen_tcp", 1).setting("tcp_port", lab().port().to_string())
    }

    /// Listens on a TCP port for TLS, with the server certificates in this directory.
    #[must_use]
    pub fn tls(self, server: &Path) -> Self {
        let file = |name| server.join(name).display().to_string();
        self.setting("listen_tls", 1)
            .setting("tls_port", lab().port().to_string())
            .setting("ca_file", file("cacert.pem"))
            .setting("cert_file", file("servercert.pem"))
            .setting("key_file", file("serverkey.pem"))
    }

    /// Asks for a user's password on every socket, with one of these mechanisms, separated by
    /// spaces; `scram-sha-256` is what libvirt's own documentation suggests.
    #[must_use]
    pub fn sasl(mut self, mechanisms: &'static str) -> Self {
        self.mechanisms = mechanisms;
        self.setting("auth_unix_rw", "sasl").setting("auth_tcp", "sasl").setting("auth_tls", "sasl")
    }

    /// Sets a value of `libvirtd.conf`, such as `max_workers`.
    #[must_use]
    pub fn setting(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.settings.insert(key, value.into());
        self
    }

    /// Starts it, and returns when it answers.
    #[must_use]
    pub fn start(self) -> Libvirt {
        let name = lab().name("libvirt");
        let dir = lab().directory_of_nobody(&name);
        for part in ["run", "config", "config/libvirt", "sasl2"] {
            let _ = lab().directory_of_nobody(&format!("{name}/{part}"));
        }
        let config = dir.join("config/libvirt");
        // Otherwise it would start another daemon for the guests' logs.
        fs::write(config.join("qemu.conf"), "stdio_handler = \"file\"\n").unwrap();
        // Numbers and strings have the same form there as in JSON.
        let settings = self.settings.iter().map(|(key, value)| format!("{key} = {value}\n"));
        fs::write(config.join("libvirtd.conf"), settings.collect::<String>()).unwrap();
        if self.wants_credentials() {
            self.make_user(&dir);
        }
        let daemon = spawn(&dir, &self);
        let mut libvirt = Libvirt { dir, spec: self, daemon };
        libvirt.wait_until_up();
        libvirt
    }

    fn make_user(&self, dir: &Path) {
        let users = dir.join("sasl2/users.db");
        let text = format!("mech_list: {}\nsasldb_path: {}\n", self.mechanisms, users.display());
        fs::write(dir.join("sasl2/libvirt.conf"), text).unwrap();
        let mut command = lab().command("saslpasswd2");
        command.args(["-p", "-c", "-a", "libvirt", "-f"]).arg(&users).arg(USER);
        let mut process = command.stdin(Stdio::piped()).spawn().unwrap();
        process.stdin.take().unwrap().write_all(PASSWORD.as_bytes()).unwrap();
        assert!(process.wait().unwrap().success(), "{command:?} failed");
        chown(users, Some(NOBODY), Some(NOBODY)).unwrap();
        fs::write(dir.join(CREDENTIALS), credentials(PASSWORD)).unwrap();
    }

    pub(super) fn wants_credentials(&self) -> bool {
        !self.mechanisms.is_empty()
    }

    pub(super) fn tcp_port(&self) -> &str {
        self.settings["tcp_port"].as_str().unwrap()
    }

    pub(super) fn tls_port(&self) -> &str {
        self.settings["tls_port"].as_str().unwrap()
    }
}

/// Returns the text of a client's credentials file.
pub(super) fn credentials(password: &str) -> String {
    let servers = ["localhost", "127.0.0.1"]
        .map(|server| format!("[auth-libvirt-{server}]\ncredentials=tests\n"))
        .concat();
    format!("[credentials-tests]\nauthname={USER}\npassword={password}\n{servers}")
}

/// Returns where daemons cache what QEMU can do: finding that out takes seconds, so all tests share
/// it. They check it against the installed QEMU.
fn cache() -> PathBuf {
    let release = release().map_or_else(String::new, |release| format!("-{release}"));
    let dir = env::temp_dir().join(format!("domstats-libvirt-cache{release}"));
    match fs::create_dir(&dir) {
        Ok(()) => chown(&dir, Some(NOBODY), Some(NOBODY)).expect("these tests must run as root"),
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "{error}"),
    }
    dir
}

/// Starts the daemon in a directory.
pub(super) fn spawn(dir: &Path, spec: &LibvirtSpec) -> Child {
    let listens = ["listen_tcp", "listen_tls"].iter().any(|key| spec.settings[key] == 1);
    lab()
        .command_as_nobody(&tool("libvirtd"))
        .args(listens.then_some("--listen"))
        .arg("--pid-file")
        .arg(dir.join("libvirtd.pid"))
        .env("HOME", dir)
        .env("XDG_RUNTIME_DIR", dir.join("run"))
        .env("XDG_CACHE_HOME", cache())
        .env("XDG_CONFIG_HOME", dir.join("config"))
        .env("SASL_CONF_PATH", dir.join("sasl2"))
        .stdout(fs::File::create(dir.join("out")).unwrap())
        .stderr(fs::File::create(dir.join("log")).unwrap())
        .spawn()
        .unwrap()
}
