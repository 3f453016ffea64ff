//! The QEMU processes of the host.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use super::guest::Process;
use crate::{
    error::{Error, ErrorKind, ErrorOrigin, Result},
    host::procfs::{Proc, Stat},
};

/// Finds the QEMU processes, and remembers which processes are none.
#[derive(Debug)]
pub(crate) struct Processes {
    /// Only the processes of this user.
    user: Option<u32>,
    /// Whether a process with this name is a QEMU. The name belongs to it: a process can run
    /// another program without becoming another process.
    known: Mutex<HashMap<Process, (String, bool)>>,
}

impl Processes {
    pub(crate) fn new(user: Option<u32>) -> Self {
        Self { user, known: Mutex::default() }
    }

    /// Returns the QEMU processes that run now, and what they look like.
    pub(crate) fn list(&self, proc: &Proc) -> Result<Vec<(Process, Stat)>> {
        let pids = proc.pids().map_err(|error| {
            let context = "the processes of this host cannot be listed: is /proc mounted?";
            Error::new(ErrorKind::System, ErrorOrigin::Qemu, context).because(error)
        })?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut seen = HashMap::new();
        let mut processes = Vec::new();
        for pid in pids {
            // A process that ended meanwhile is no error; dead ones and the kernel's threads have
            // no memory.
            let Some(stat) = proc.stat(pid).ok().filter(|stat| stat.virtual_size > 0) else {
                continue;
            };
            let process = Process { pid, start_time: stat.start_time };
            let (comm, is_qemu) = match known.remove(&process) {
                Some((comm, is_qemu)) if comm == stat.comm => (comm, is_qemu),
                _ => (stat.comm.clone(), runs_qemu(proc, pid, &stat.comm)),
            };
            seen.insert(process, (comm, is_qemu));
            if is_qemu && self.is_wanted(proc, pid) {
                processes.push((process, stat));
            }
        }
        *known = seen;
        Ok(processes)
    }

    fn is_wanted(&self, proc: &Proc, pid: u32) -> bool {
        self.user.is_none_or(|user| proc.user(pid).is_ok_and(|of| of == user))
    }
}

/// Decides by the program where the caller may know it, else by the process's name.
pub(crate) fn runs_qemu(proc: &Proc, pid: u32, comm: &str) -> bool {
    match proc.program(pid) {
        Ok(program) => is_qemu(&program),
        // Names are cut after 15 bytes.
        Err(_) => is_qemu(comm) || comm == "qemu-system-x86",
    }
}

/// Returns whether a program is a QEMU system emulator, under the names that distributions use.
fn is_qemu(program: &str) -> bool {
    program.starts_with("qemu-system-") || matches!(program, "qemu-kvm" | "kvm")
}
