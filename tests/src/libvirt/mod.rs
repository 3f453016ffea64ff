//! A private libvirtd, with guests that may have a second monitor.
//!
//! It runs as the user `nobody` with every directory in the lab. So it touches no libvirt of the
//! host, and does not see `/dev/kvm`: if that device exists and is unusable, libvirtd probes QEMU
//! again, for 40 seconds, before every start of a guest.

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

/// The URI of all QEMUs on this host, with the user of the private libvirtd's QEMUs trusted.
pub const DIRECTLY: &str = "qemu+qmp:///system?trusted=nobody";

/// A running libvirtd. Killed on drop.
#[derive(Debug)]
pub struct Libvirt {
    /// The directory of all its files.
    pub dir: PathBuf,
    spec: LibvirtSpec,
    daemon: Child,
}

/// The threads with which a daemon serves its clients' calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workers {
    /// The maximum number.
    pub maximum: u32,
    /// The current number.
    pub current: u32,
    /// The number of idle threads.
    pub free: u32,
    /// The number of calls that wait for a thread.
    pub queued: u32,
}

impl Libvirt {
    /// Starts a default libvirtd, and returns when it answers.
    #[must_use]
    pub fn start() -> Self {
        LibvirtSpec::default().start()
    }

    /// Returns the path of its Unix socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.dir.join("run/libvirt/libvirt-sock")
    }

    /// Returns the URI for libvirt's programs, with credentials if it needs some.
    #[must_use]
    pub fn uri(&self) -> String {
        self.with_credentials("qemu:///session", &[("socket", &self.socket())])
    }

    /// Returns its TCP URI.
    #[must_use]
    pub fn tcp_uri(&self) -> String {
        let port = self.spec.tcp_port();
        self.with_credentials(&format!("qemu+tcp://localhost:{port}/session"), &[])
    }

    /// Returns its TLS URI, for a client with its certificates in this directory.
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

    /// Writes a file with [`USER`]'s password, for libvirt's clients and every server of these
    /// tests, and returns its path.
    #[must_use]
    pub fn credentials(&self, password: &str) -> PathBuf {
        let path = self.dir.join(lab().name("auth"));
        fs::write(&path, spec::credentials(password)).unwrap();
        path
    }

    /// Reads everything that its guests have. The first time this takes seconds: it examines every
    /// installed emulator.
    pub fn warm_up(&self) {
        lab().run(&mut self.virsh(&["domstats"]));
    }

    /// Returns the command `virsh`, connected.
    #[must_use]
    pub fn virsh(&self, arguments: &[&str]) -> Command {
        virsh(&self.uri(), arguments)
    }

    /// Returns what `virsh domstats` prints about a guest, by flat key.
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

    /// Reads from its administration socket how busy it is.
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

    /// Returns how many calls of its protocol it gets meanwhile, according to its own log.
    pub fn count_calls(&self, meanwhile: impl FnOnce()) -> usize {
        let log = self.dir.join(lab().name("calls"));
        self.admin(&["daemon-log-filters", "2:rpc.netserverclient"]);
        self.admin(&["daemon-log-outputs", &format!("2:file:{}", log.display())]);
        meanwhile();
        self.admin(&["daemon-log-outputs", "3:stderr"]);
        self.admin(&["daemon-log-filters", ""]);
        let text = fs::read_to_string(log).unwrap();
        // Calls of clients to the program REMOTE, without those of `virt-admin`.
        let is_call = |line: &&str| {
            ["RPC_SERVER_CLIENT_MSG_RX", "prog=536903814", "type=0 "]
                .iter()
                .all(|word| line.contains(word))
        };
        text.lines().filter(is_call).count()
    }

    /// Queries its administration socket.
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
        // `setpriv` has become libvirtd.
        self.daemon.id()
    }

    /// Stops the daemon: it answers no calls. Its sockets still accept connections.
    pub fn freeze(&self) {
        process::freeze(self.pid());
    }

    /// Continues the daemon.
    pub fn thaw(&self) {
        process::thaw(self.pid());
    }

    /// Kills the daemon, and returns when it has ended. Its guests live on.
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
    // Some words are translated otherwise, such as `yes`.
    virsh.env("LC_ALL", "C").args(["-c", uri]).args(arguments);
    virsh
}
