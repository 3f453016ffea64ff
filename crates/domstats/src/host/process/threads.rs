//! A QEMU process's threads: their times, and the vCPUs that their names show (`-name
//! debug-threads=on`).
//!
//! A name makes one query unnecessary. Threads and names are listed again whenever a thread has
//! started, ended or got its name; a vCPU's thread has its name before the vCPU is plugged in.

use std::io;

use crate::host::{
    allowance::Quota,
    process::{CachedFile, Folder},
    procfs::{SMALL, SchedStat},
};

/// A vCPU's index and its thread.
pub(crate) type VcpuThread = (u32, u32);

/// One thread's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ThreadTime {
    pub(crate) tid: u32,
    pub(crate) sched: SchedStat,
}

/// A process's threads when they were last listed.
#[derive(Debug, Default)]
pub(super) struct Threads {
    /// All but the first, by number.
    all: Vec<Thread>,
    /// Those that still had the first thread's name, and that name.
    unnamed: Vec<(u32, CachedFile)>,
    name: Vec<u8>,
    /// Those named after a vCPU.
    vcpus: Vec<VcpuThread>,
}

#[derive(Debug)]
struct Thread {
    tid: u32,
    sched: CachedFile,
}

impl Threads {
    /// Returns the times of all threads but the first, by number. `count` is how many threads the
    /// process had a moment ago: if that equals the number of listed threads, and all of those are
    /// alive, the list is complete.
    pub(super) fn times(&mut self, folder: &Folder<'_>, count: u64) -> io::Result<Vec<ThreadTime>> {
        if self.all.len() as u64 + 1 == count
            && self.are_unnamed(folder)
            && let Ok(times) = self.read(folder).collect()
        {
            return Ok(times);
        }
        *self = Self::list(folder)?;
        // A thread that ended since is no error.
        let is_there = |time: &io::Result<_>| match time {
            Ok(_) => true,
            Err(error) => error.kind() == io::ErrorKind::TimedOut,
        };
        self.read(folder).filter(is_there).collect()
    }

    /// Returns the vCPUs and their threads as last listed, or `None` if no thread is named after a
    /// vCPU.
    pub(super) fn vcpus(&self) -> Option<&[VcpuThread]> {
        (!self.vcpus.is_empty()).then_some(&self.vcpus)
    }

    fn read(&mut self, folder: &Folder<'_>) -> impl Iterator<Item = io::Result<ThreadTime>> {
        let mut quota = Quota::new(folder);
        self.all.iter_mut().map(move |Thread { tid, sched }| {
            quota.step()?;
            Ok(ThreadTime { tid: *tid, sched: folder.sched_stat(*tid, sched)? })
        })
    }

    fn list(folder: &Folder<'_>) -> io::Result<Self> {
        let mut list = Self::default();
        let first = folder.process.pid;
        let _ =
            name_of(folder, first, &mut CachedFile::default(), |name| list.name = name.to_owned());
        let mut quota = Quota::new(folder);
        for tid in folder.threads()?.into_iter().filter(|tid| *tid != first) {
            quota.step()?;
            list.all.push(Thread { tid, sched: CachedFile::default() });
            let mut file = CachedFile::default();
            let vcpu = name_of(folder, tid, &mut file, |name| match name == list.name {
                true => Err(()),
                false => Ok(vcpu_of(name)),
            });
            match vcpu {
                Ok(Ok(vcpu)) => list.vcpus.extend(vcpu.map(|index| (index, tid))),
                Ok(Err(())) => list.unnamed.push((tid, file)),
                Err(_) => {}
            }
        }
        list.vcpus.sort_unstable();
        Ok(list)
    }

    /// Returns whether the unnamed threads still have no name. This matters only where other
    /// threads have one; where none has, the driver queries QEMU.
    fn are_unnamed(&mut self, folder: &Folder<'_>) -> bool {
        let name = &self.name;
        let mut quota = Quota::new(folder);
        let mut is_unnamed = |(tid, file): &mut (u32, CachedFile)| {
            quota.step().is_ok() && name_of(folder, *tid, file, |now| now == name).unwrap_or(false)
        };
        self.vcpus.is_empty() || self.unnamed.iter_mut().all(&mut is_unnamed)
    }
}

/// Reads a thread's name: at most 15 bytes and a line end.
fn name_of<T>(
    folder: &Folder<'_>,
    tid: u32,
    file: &mut CachedFile,
    read: impl FnOnce(&[u8]) -> T,
) -> io::Result<T> {
    let mut buffer = [0; SMALL];
    let open = || folder.open(&format!("task/{tid}/comm"));
    Ok(read(file.read(folder.proc.budget, &mut buffer, open)?))
}

/// Returns the vCPU that a thread is named after: `CPU 0/KVM`, `CPU 0/TCG`.
fn vcpu_of(name: &[u8]) -> Option<u32> {
    std::str::from_utf8(name).ok()?.strip_prefix("CPU ")?.split('/').next()?.parse().ok()
}
