//! The daemon `domstatsd`, built from this tree.

use std::{
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::LazyLock,
    thread,
    time::{Duration, Instant},
};

use crate::{command::build, lab::lab, process};

/// A running domstatsd. Killed when dropped.
#[derive(Debug)]
pub struct Domstatsd {
    /// The socket that serves libvirt's protocol.
    pub socket: PathBuf,
    child: Child,
}

impl Domstatsd {
    /// Starts a daemon for a hypervisor, with more options, and returns when it listens.
    #[must_use]
    pub fn start(connect: &str, options: &[&str]) -> Self {
        let socket = lab().path(lab().name("domstatsd"));
        let mut command = lab().command_at(domstatsd());
        command.args(["--connect", connect, "--rpc-socket"]).arg(&socket).args(options);
        let child = command.stderr(Stdio::inherit()).spawn().unwrap();
        let mut daemon = Self { socket, child };
        let deadline = Instant::now() + Duration::from_secs(20);
        while !daemon.socket.exists() {
            let ended = daemon.child.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < deadline, "domstatsd did not start");
            thread::sleep(Duration::from_millis(10));
        }
        daemon
    }

    /// Returns the URI by which libvirt's programs reach it.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("qemu+unix:///system?socket={}", self.socket.display())
    }

    /// Returns its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Tells it to end, and returns whether it ended well.
    #[must_use]
    pub fn stop(mut self) -> bool {
        process::terminate(self.pid());
        self.child.wait().unwrap().success()
    }
}

impl Drop for Domstatsd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn domstatsd() -> &'static Path {
    static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| build("domstatsd").join("domstatsd"));
    &PROGRAM
}
