//! What every call reads from one process, with files that stay open between calls.

use std::{
    cell::OnceCell,
    io,
    sync::{Mutex, MutexGuard},
    time::Instant,
};

use crate::{
    host::{
        cgroup::{Accounting, Cgroups, Groups, IsQemu},
        perf::{Count, Counters, Counting},
        process::{
            Folder,
            taps::{Tap, Taps},
            threads::{ThreadTime, Threads, VcpuThread},
        },
    },
    sync::lock,
};

/// The readers for one process.
#[derive(Debug, Default)]
pub(crate) struct Readers(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    threads: Threads,
    accounting: Accounting,
    counters: Option<Counters>,
    taps: Taps,
    /// The network namespace; later changes of it go unnoticed.
    namespace: OnceCell<Option<u64>>,
}

/// Why there are no counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotCounted {
    /// The process ended.
    Gone,
    /// Counters are not open, and there is no time to open them.
    NoTime,
}

impl Readers {
    fn state(&self) -> MutexGuard<'_, State> {
        // The state is consistent at every step, so a panic elsewhere does not spoil it.
        lock(&self.0)
    }

    /// Returns the times of all threads but the first, of which there were `count` a moment ago,
    /// and the vCPU threads, or `None` if the names do not tell; nothing if the process has ended.
    pub(crate) fn threads(
        &self,
        folder: &Folder<'_>,
        count: u64,
    ) -> Option<(Vec<ThreadTime>, Option<Vec<VcpuThread>>)> {
        let threads = &mut self.state().threads;
        let times = threads.times(folder, count).ok()?;
        Some((times, threads.vcpus().map(<[VcpuThread]>::to_vec)))
    }

    /// Reads the process's own cgroups, unless it has ended.
    pub(crate) fn cgroups(
        &self,
        folder: &Folder<'_>,
        cgroups: &Cgroups,
        is_qemu: IsQemu,
        read: impl FnOnce(&mut Groups),
    ) {
        if let Some(own) = self.state().accounting.groups(cgroups, folder, is_qemu) {
            read(own);
        }
    }

    /// Returns the counts since the first call of this function.
    ///
    /// # Errors
    ///
    /// If the process has ended, or there is no time to open counters.
    pub(crate) fn counts(
        &self,
        folder: &Folder<'_>,
        counting: &Counting,
        deadline: Instant,
    ) -> Result<Vec<Count>, NotCounted> {
        let mut state = self.state();
        if let Some(counters) = &state.counters {
            return Ok(counters.read());
        }
        if Instant::now() >= deadline {
            return Err(NotCounted::NoTime);
        }
        let counters = counting.begin(folder);
        // Another process may have got the number meanwhile.
        if !folder.process.is_alive(folder.proc) {
            return Err(NotCounted::Gone);
        }
        let counts = counters.read();
        // If nothing is counted, the next call tries again.
        state.counters = Some(counters).filter(Counters::count_something);
        Ok(counts)
    }

    /// Closes the counters.
    pub(crate) fn stop_counting(&self) {
        self.state().counters = None;
    }

    /// Returns the process's taps.
    ///
    /// # Errors
    ///
    /// If the caller lacks the right or the time.
    pub(crate) fn taps(
        &self,
        folder: &Folder<'_>,
        trusted_from: Option<Instant>,
        name_of: impl Fn(u32) -> Option<String>,
    ) -> io::Result<Vec<Tap>> {
        self.state().taps.read(folder, trusted_from, name_of)
    }

    /// Returns the inode of the network namespace, if the caller may read it.
    pub(crate) fn net_namespace(&self, folder: &Folder<'_>) -> Option<u64> {
        *self.state().namespace.get_or_init(|| folder.net_namespace())
    }
}
