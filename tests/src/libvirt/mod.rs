//! A private libvirtd, and guests of it that may have a second monitor.
//!
//! It runs as the user `nobody` with every directory in the lab. That touches no libvirt of the
//! host, and keeps `/dev/kvm` out of sight: where that device exists and cannot be used, libvirtd
//! probes QEMU again, for 40 seconds, before every start of a guest.

mod guest;
mod spec;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

use crate::{lab::lab, oracle::Params, patience::PATIENCE, process, tools::tool};

pub use guest::LibvirtGuest;
pub use spec::{LibvirtSpec, PASSWORD, USER};

/// The URI of all QEMUs of this host, those of the private libvirtd among them, whose user is trusted.
pub const DIRECTLY: &str = "qemu+qmp:///system?trusted=nobody";

/// A running libvirtd. Killed when dropped.
#[derive(Debug)]
pub struct Libvirt {
    /// Where everything of it is.
    pub dir: PathBuf,
    spec: LibvirtSpec,
    daemon: Child,
}

/// The threads of a daemon that serve its clients' calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workers {
    /// As many as it may have.
    pub maximum: u32,
    /// As many as it has now.
    pub current: u32,
    /// Those of them that have nothing to do.
    pub free: u32,
    /// Calls that wait for one.
    pub queued: u32,
}

impl Libvirt {
    /// Starts a libvirtd that has nothing special, and returns when it answers.
    #[must_use]
    pub fn start() -> Self {
        LibvirtSpec::default().start()
    }

    /// Returns the path of its Unix socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.dir.join("run/libvirt/libvirt-sock")
    }

    /// Returns the URI by which programs of libvirt reach it; with credentials, if it wants some.
    #[must_use]
    pub fn uri(&self) -> String {
        self.with_credentials("qemu:///session", &[("socket", &self.socket())])
    }

    /// Returns its URI by TCP.
    #[must_use]
    pub fn tcp_uri(&self) -> String {
        let port = self.spec.tcp_port();
        self.with_credentials(&format!("qemu+tcp://localhost:{port}/session"), &[])
    }

    /// Returns its URI by TLS, for a client that has its certificates in this directory.
    #[must_use]
    pub fn tls_uri(&self, client: &Path) -> String {
        let port = self.spec.tls_port();
        let uri = format!("qemu+tls://localhost:{port}/session");
        self.with_credentials(&uri, &[("pkipath", client)])
    }

    fn with_credentials(&self, uri: &str, parameters: &[(&str, &Path)]) -> String {
        let file = self.dir.join(spec::CREDENTIALS);
        let credentials = self.spec.wants_credentials().then_some(("authfile", file.as_path()));
        let parameters = parameters.iter().copied().chain(credentials);
        let words: Vec<_> =
            parameters.map(|(key, path)| format!("{key}={}", path.display())).collect();
        let mark = if words.is_empty() { "" } else { "?" };
        format!("{uri}{mark}{}", words.join("&"))
    }

    /// Makes a file from which a client of libvirt takes [`USER`]'s password, this one, for every
    /// server of these tests, and returns its path.
    #[must_use]
    pub fn credentials(&self, password: &str) -> PathBuf {
        let path = self.dir.join(lab().name("auth"));
        fs::write(&path, spec::credentials(password)).unwrap();
        path
    }

    /// Asks for all that its guests have. The first time this takes it seconds: it looks at every
    /// emulator that is installed.
    pub fn warm_up(&self) {
        lab().run(&mut self.virsh(&["domstats"]));
    }

    /// Returns the command `virsh`, connected.
    #[must_use]
    pub fn virsh(&self, arguments: &[&str]) -> Command {
        virsh(&self.uri(), arguments)
    }

    /// Returns what `virsh domstats` says of a guest, by flat keys.
    #[must_use]
    pub fn domstats(&self, guest: &LibvirtGuest, options: &[&str]) -> Params {
        let mut arguments = vec!["domstats", &guest.name];
        arguments.extend(options);
        lab()
            .run(&mut self.virsh(&arguments))
            .lines()
            .filter_map(|line| line.trim().split_once('='))
            .map(|(key, value)| {
                let value = value.parse::<i64>().map_or_else(|_| value.into(), Into::into);
                (key.to_owned(), value)
            })
            .collect()
    }

    /// Asks its administration socket how busy it is.
    #[must_use]
    pub fn workers(&self) -> Workers {
        let text = self.admin(&["srv-threadpool-info", "libvirtd"]);
        let field = |name: &str| {
            let mut fields = text.lines().filter_map(|line| line.split_once(':'));
            let field = fields.find(|(field, _)| field.trim() == name);
            let (_, number) = field.unwrap_or_else(|| panic!("no {name} in {text}"));
            number.trim().parse().unwrap()
        };
        Workers {
            maximum: field("maxWorkers"),
            current: field("nWorkers"),
            free: field("freeWorkers"),
            queued: field("jobQueueDepth"),
        }
    }

    /// Returns how many calls of its protocol it gets meanwhile, by its own log.
    pub fn count_calls(&self, meanwhile: impl FnOnce()) -> usize {
        let log = self.dir.join(lab().name("calls"));
        self.admin(&["daemon-log-filters", "2:rpc.netserverclient"]);
        self.admin(&["daemon-log-outputs", &format!("2:file:{}", log.display())]);
        meanwhile();
        self.admin(&["daemon-log-outputs", "3:stderr"]);
        self.admin(&["daemon-log-filters", ""]);
        let text = fs::read_to_string(log).unwrap();
        // The calls of clients to the program REMOTE, not those of `virt-admin`.
        let is_call = |line: &&str| {
            ["RPC_SERVER_CLIENT_MSG_RX", "prog=536903814", "type=0 "]
                .iter()
                .all(|word| line.contains(word))
        };
        text.lines().filter(is_call).count()
    }

    /// Asks its administration socket.
    fn admin(&self, arguments: &[&str]) -> String {
        let socket = self.dir.join("run/libvirt/libvirt-admin-sock");
        let uri = format!("libvirtd:///session?socket={}", socket.display());
        // It answers its own user only.
        let mut command = lab().command_as_nobody(&tool("virt-admin"));
        command.env("LC_ALL", "C").args(["-c", &uri]).args(arguments);
        lab().run(&mut command)
    }

    /// Returns the process id of the daemon.
    #[must_use]
    pub fn pid(&self) -> u32 {
        // `setpriv` became libvirtd.
        self.daemon.id()
    }

    /// Stops the daemon: it answers nobody. Its sockets still take connections.
    pub fn freeze(&self) {
        process::freeze(self.pid());
    }

    /// Lets the daemon go on.
    pub fn thaw(&self) {
        process::thaw(self.pid());
    }

    /// Kills the daemon, and returns when it is gone. Its guests live on.
    pub fn kill(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }

    /// Starts the daemon again in the same directories, on the same ports, and returns when it
    /// answers.
    pub fn restart(&mut self) {
        self.kill();
        self.daemon = spec::spawn(&self.dir, &self.spec);
        self.wait_until_up();
    }

    fn wait_until_up(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.virsh(&["uri"]).output().unwrap().status.success() {
            let ended = self.daemon.try_wait().unwrap();
            if ended.is_some() || Instant::now() > deadline {
                let log = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
                panic!("libvirtd did not start: {log}");
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Libvirt {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Returns the version of libvirt: `[11, 3]`.
#[must_use]
pub fn version() -> [u32; 2] {
    let text = lab().run(lab().command("libvirtd").arg("--version"));
    let version = text.split_whitespace().last().unwrap();
    let mut parts = version.split('.').map(|part| part.parse().unwrap());
    [(); 2].map(|()| parts.next().unwrap())
}

/// Returns the command `virsh`, connected to a URI.
#[must_use]
pub fn virsh(uri: &str, arguments: &[&str]) -> Command {
    let mut virsh = lab().command("virsh");
    // Words are translated otherwise, `yes` among them.
    virsh.env("LC_ALL", "C").args(["-c", uri]).args(arguments);
    virsh
}
