//! Processes of an ordinary user that only look like a VM.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    process::{Child, Stdio},
};

use crate::lab::lab;

/// A process that looks like a QEMU, and is none. Killed on drop.
#[derive(Debug)]
pub struct Impostor(Child);

impl Impostor {
    /// Starts one with these arguments of a QEMU. It runs as root, through the set-user-ID bit of
    /// its program.
    #[must_use]
    pub fn start(arguments: &[&str]) -> Self {
        const SCRIPT: &str = "
import os, time
assert os.geteuid() == 0 != os.getuid()
print(flush=True)
time.sleep(1000)
";
        let dir = lab().path(lab().name("impostor"));
        fs::create_dir_all(&dir).unwrap();
        let disguise = dir.join("qemu-system-x86_64");
        fs::copy("/usr/bin/python3", &disguise).unwrap();
        fs::set_permissions(&disguise, fs::Permissions::from_mode(0o4755)).unwrap();
        let mut command = lab().command_as_nobody(&disguise);
        command.args(["-c", SCRIPT]).args(arguments).env("PYTHONHOME", "/usr");
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "\n");
        Self(process)
    }

    /// Returns its pid.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
