//! A private sshd, and what a client needs to log in; no user's home is touched.

use std::{
    fs,
    net::TcpStream,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Child,
    thread,
    time::{Duration, Instant},
};

use crate::{
    lab::{NOBODY, lab},
    libvirt::Libvirt,
    patience::PATIENCE,
    tools::tool,
};

/// A running sshd. Killed on drop.
#[derive(Debug)]
pub struct Sshd {
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// A program like `ssh` that knows the server, and uses none of its user's files.
    pub ssh: PathBuf,
    /// A program like `ssh` that knows another server by this name.
    pub doubting_ssh: PathBuf,
    /// The private key that it accepts.
    pub key: PathBuf,
    /// A private key that it does not know.
    pub strange_key: PathBuf,
    process: Child,
}

/// The programs that a session finds on the server: all that libvirt's client may look for.
pub const PROGRAMS: &[&str] = &["sh", "which", "grep", "nc", "virt-ssh-helper"];

impl Sshd {
    /// Starts an sshd whose sessions run as the daemon's user, with these programs, and returns
    /// when it listens.
    #[must_use]
    pub fn start(libvirt: &Libvirt, programs: &[&str]) -> Self {
        // Where root's sshd confines the part of it that talks to unauthenticated clients.
        fs::create_dir_all("/run/sshd").expect("these tests must run as root");
        let dir = lab().path(lab().name("sshd"));
        fs::create_dir_all(dir.join("bin")).unwrap();
        for program in programs {
            symlink(tool(program), dir.join("bin").join(program)).unwrap();
        }
        let port = lab().port();
        let key = |name: &str| {
            let path = dir.join(name);
            let mut command = lab().command("ssh-keygen");
            command.args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]).arg(&path);
            lab().run(&mut command);
            path
        };
        let public = |key: &Path| fs::read_to_string(key.with_extension("pub")).unwrap();
        let [host, user, strange] = ["host", "user", "strange"].map(key);
        fs::write(dir.join("authorized"), public(&user)).unwrap();
        let session = script(&dir, "session", &session(&dir, libvirt));
        let config = dir.join("config");
        fs::write(&config, server_config(&dir, port, &session)).unwrap();
        let client = |name: &str, host: &str| {
            let known = dir.join(format!("{name}-hosts"));
            fs::write(&known, format!("[localhost]:{port} {host}")).unwrap();
            let config = dir.join(format!("{name}-config"));
            fs::write(&config, client_config(&known)).unwrap();
            let ssh = tool("ssh");
            let text = format!("exec {} -F {} \"$@\"\n", ssh.display(), config.display());
            script(&dir, name, &text)
        };
        let process = lab()
            .command("sshd")
            .args(["-D", "-e", "-f"])
            .arg(&config)
            .stderr(fs::File::create(dir.join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut sshd = Self {
            port,
            ssh: client("ssh", &public(&host)),
            doubting_ssh: client("doubting-ssh", &public(&strange)),
            key: user,
            strange_key: strange,
            process,
        };
        sshd.wait_until_up(&dir);
        sshd
    }

    /// Returns the URI of the daemon through ssh.
    #[must_use]
    pub fn uri(&self) -> String {
        self.uri_with(&self.ssh, &self.key)
    }

    /// Returns the URI of the daemon through ssh, with this program and this private key.
    #[must_use]
    pub fn uri_with(&self, ssh: &Path, key: &Path) -> String {
        let (port, ssh, key) = (self.port, ssh.display(), key.display());
        format!("qemu+ssh://localhost:{port}/session?command={ssh}&keyfile={key}")
    }

    fn wait_until_up(&mut self, dir: &Path) {
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let ended = self.process.try_wait().unwrap();
            if ended.is_some() || Instant::now() > deadline {
                let log = fs::read_to_string(dir.join("log")).unwrap_or_default();
                panic!("sshd did not start: {log}");
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn server_config(dir: &Path, port: u16, session: &Path) -> String {
    let (dir, session) = (dir.display(), session.display());
    // Everyone may write to the folder for temporary files, so no path below it is strict enough.
    format!(
        "ListenAddress 127.0.0.1:{port}
HostKey {dir}/host
AuthorizedKeysFile {dir}/authorized
StrictModes no
PidFile none
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
MaxStartups 100
ForceCommand {session}
"
    )
}

fn client_config(known_hosts: &Path) -> String {
    format!(
        "UserKnownHostsFile {}
GlobalKnownHostsFile none
StrictHostKeyChecking yes
IdentityFile none
IdentityAgent none
",
        known_hosts.display()
    )
}

/// Runs a session's command as the daemon's user, so that it finds the daemon at the default path.
fn session(dir: &Path, libvirt: &Libvirt) -> String {
    let (setpriv, dir, home) = (tool("setpriv"), dir.display(), libvirt.dir.display());
    format!(
        "cd / && exec {} --reuid={NOBODY} --regid={NOBODY} --clear-groups \\
    env -i HOME={home} XDG_RUNTIME_DIR={home}/run LIBVIRT_AUTOSTART=0 PATH={dir}/bin \\
    sh -c \"$SSH_ORIGINAL_COMMAND\"\n",
        setpriv.display(),
    )
}

fn script(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}
