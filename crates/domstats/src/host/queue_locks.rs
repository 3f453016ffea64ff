//! Locks by which programs take turns to look at a monitor's queue and to connect.

use std::{
    collections::{HashMap, hash_map::Entry},
    os::fd::OwnedFd,
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use crate::host::{
    process::{Folder, Process},
    procfs::Proc,
};

/// Locks that let one program at a time connect to the monitors of a process: programs that use
/// these locks do not connect meanwhile, so what was seen of a queue stays true. The lock is on
/// `/proc/PID/fd`, which only users with rights over the process can open, and ends with its
/// descriptor. A caller without the right to open that folder has nothing to wait for.
#[derive(Debug)]
pub(crate) struct QueueLocks<'a> {
    proc: &'a Proc,
    taken: HashMap<Process, Option<OwnedFd>>,
}

impl<'a> QueueLocks<'a> {
    pub(crate) fn new(proc: &'a Proc) -> Self {
        Self { proc, taken: HashMap::new() }
    }

    /// Takes the lock of a process, if it is free.
    pub(crate) fn take(&mut self, process: Process) {
        if let Entry::Vacant(entry) = self.taken.entry(process) {
            let folder = Folder::new(self.proc, process).open("fd");
            match folder {
                Ok(folder) => match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
                    Err(Errno::WOULDBLOCK) => {}
                    _ => _ = entry.insert(Some(folder)),
                },
                Err(_) => _ = entry.insert(None),
            }
        }
    }

    pub(crate) fn has(&self, process: Process) -> bool {
        self.taken.contains_key(&process)
    }
}
