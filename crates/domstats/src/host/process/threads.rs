//! The threads of a QEMU process: their times, and the vCPUs that they are named after
//! (`-name debug-threads=on`).
//!
//! A name spares QEMU a question. Threads and names are listed again whenever a thread has come or
//! gone, or was given its name; the thread of a vCPU has its name before the vCPU is plugged in.

use std::io;

use crate::host::{
    allowance::Quota,
    process::{CachedFile, Folder},
    procfs::{SMALL, SchedStat},
};

/// A vCPU's index and its thread.
pub(crate) type VcpuThread = (u32, u32);

/// The time of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ThreadTime {
    pub(crate) tid: u32,
    pub(crate) sched: SchedStat,
}

/// The threads of a process when they were listed.
#[derive(Debug, Default)]
pub(crate) struct Threads {
    /// All but the first, by number.
    all: Vec<Thread>,
    /// Those that still bore the name of the first, and that name.
    unnamed: Vec<(u32, CachedFile)>,
    name: Vec<u8>,
    /// Those that are named after a vCPU.
    vcpus: Vec<VcpuThread>,
}

#[derive(Debug)]
struct Thread {
    tid: u32,
    sched: CachedFile,
}

impl Threads {
    /// Returns the times of all threads but the first, by number. `count` is how many the process
    /// had a moment ago: if it had as many as were listed and those all live, it had these and no
    /// other.
    pub(crate) fn times(&mut self, folder: &Folder<'_>, count: u64) -> io::Result<Vec<ThreadTime>> {
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

    /// Returns the vCPUs and their threads as of the last look, or `None` if no thread is named
    /// after a vCPU.
    pub(crate) fn vcpus(&self) -> Option<&[VcpuThread]> {
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

    /// Returns whether the threads without a name still have none. It matters only where others
    /// have one; where none has, QEMU is asked.
    fn are_unnamed(&mut self, folder: &Folder<'_>) -> bool {
        let name = &self.name;
        let mut quota = Quota::new(folder);
        let mut is_unnamed = |(tid, file): &mut (u32, CachedFile)| {
            quota.step().is_ok() && name_of(folder, *tid, file, |now| now == name).unwrap_or(false)
        };
        self.vcpus.is_empty() || self.unnamed.iter_mut().all(&mut is_unnamed)
    }
}

/// Reads the name of a thread, at most 15 bytes and a line's end.
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
