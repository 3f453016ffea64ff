//! The threads of a QEMU process, as their names tell (`-name debug-threads=on`).
//!
//! A name spares QEMU a question. The names are read again whenever a thread has come or gone, or
//! was given its name; the thread of a vCPU has its name before the vCPU is plugged in.

use crate::host::procfs::{Proc, SchedStat};

/// A vCPU's index and its thread.
pub(crate) type VcpuThread = (u32, u32);

/// The time of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ThreadTime {
    pub(crate) tid: u32,
    pub(crate) sched: SchedStat,
}

/// Returns the times of the threads of a process, by number.
pub(crate) fn times(proc: &Proc, pid: u32) -> Vec<ThreadTime> {
    let time = |tid| Some(ThreadTime { tid, sched: proc.thread_sched_stat(pid, tid).ok()? });
    proc.threads(pid).unwrap_or_default().into_iter().filter_map(time).collect()
}

/// The threads of a process when their names were read.
#[derive(Debug, Default)]
pub(crate) struct Threads {
    /// All of them, by number.
    all: Vec<u32>,
    /// Those that still bear the name of the first.
    unnamed: Vec<u32>,
    /// Those that are named after a vCPU.
    vcpus: Vec<VcpuThread>,
}

impl Threads {
    /// Returns the vCPUs and their threads, or `None` if no thread is named after a vCPU.
    pub(crate) fn vcpus(&mut self, proc: &Proc, pid: u32) -> Option<Vec<VcpuThread>> {
        let all = proc.threads(pid).ok()?;
        if !self.are_still(proc, pid, &all) {
            *self = Self::read(proc, pid, all);
        }
        (!self.vcpus.is_empty()).then(|| self.vcpus.clone())
    }

    fn read(proc: &Proc, pid: u32, all: Vec<u32>) -> Self {
        let name = |tid| proc.thread_name(pid, tid).unwrap_or_default();
        let first = name(pid);
        let (mut unnamed, mut vcpus) = (Vec::new(), Vec::new());
        for tid in all.iter().copied().filter(|tid| *tid != pid) {
            match name(tid) {
                name if name == first => unnamed.push(tid),
                // `CPU 0/KVM`, `CPU 0/TCG`
                name => vcpus.extend(vcpu_of(&name).map(|index| (index, tid))),
            }
        }
        vcpus.sort_unstable();
        Self { all, unnamed, vcpus }
    }

    /// Returns whether the process has these threads, and those without a name still have none.
    fn are_still(&self, proc: &Proc, pid: u32, all: &[u32]) -> bool {
        let name = |tid| proc.thread_name(pid, tid).ok();
        self.all == all
            && (self.unnamed.is_empty() || {
                let first = name(pid);
                self.unnamed.iter().all(|tid| name(*tid) == first)
            })
    }
}

/// Returns the vCPU that a thread is named after.
fn vcpu_of(name: &str) -> Option<u32> {
    name.strip_prefix("CPU ")?.split('/').next()?.parse().ok()
}
