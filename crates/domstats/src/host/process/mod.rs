//! One process in `/proc`, and its files that are read repeatedly.
//!
//! A path in `/proc` leads to whichever process has the number now; an open file or folder belongs
//! to one process or thread for good. Once that has ended, reading fails with `ESRCH`, even if its
//! number was reused. So every file is opened below a folder that was verified to be the process's
//! own, and open files need no further check.

pub(crate) mod open_files;
pub(crate) mod readers;
pub(crate) mod taps;
pub(crate) mod threads;

use std::{
    cell::OnceCell,
    ffi::CString,
    fs::File,
    io::{self, Read},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    path::PathBuf,
};

use rustix::{
    fs::{AtFlags, Dir, DirEntry, Mode, OFlags, open, openat, readlinkat, statat},
    io::{Errno, pread},
    process::{Resource, getrlimit},
};

use super::{
    allowance::Quota,
    procfs::{Proc, SMALL, SchedStat, Stat, parse_sched_stat, parse_stat, parse_wait_sum},
};

/// Identifies a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) start_time: u64,
}

impl Process {
    /// Returns whether the process still exists: it is not dead, and its number was not reused.
    pub(crate) fn is_alive(self, proc: &Proc) -> bool {
        proc.stat(self.pid)
            .is_ok_and(|stat| stat.start_time == self.start_time && stat.virtual_size > 0)
    }
}

/// Which descriptors may stay open: those with a lower number. New descriptors get the lowest free
/// number, so this accounts for everything that the program has open.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget(RawFd);

impl Budget {
    /// Returns a quarter of the process's limit: the rest is for monitors and for the program
    /// itself.
    pub(crate) fn of_this_process() -> Self {
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        Self(RawFd::try_from(limit / 4).unwrap_or(RawFd::MAX))
    }

    /// Returns half of this budget, for less useful files.
    pub(crate) fn half(self) -> Self {
        Self(self.0 / 2)
    }

    #[cfg(test)]
    pub(crate) const NONE: Self = Self(0);

    fn allows(self, fd: &OwnedFd) -> bool {
        fd.as_raw_fd() < self.0
    }
}

/// A file or folder that stays open if the budget allows, and otherwise is opened for each use.
#[derive(Debug, Default)]
pub(crate) struct CachedFile(Option<OwnedFd>);

impl CachedFile {
    /// Opens the file if necessary, and uses it. After an error it is closed: its process has
    /// ended.
    pub(super) fn with<T>(
        &mut self,
        budget: Budget,
        open: impl FnOnce() -> io::Result<OwnedFd>,
        read: impl FnOnce(BorrowedFd<'_>) -> io::Result<T>,
    ) -> io::Result<T> {
        let fd = match self.0.take() {
            Some(fd) => fd,
            None => open()?,
        };
        let value = read(fd.as_fd())?;
        self.0 = Some(fd).filter(|fd| budget.allows(fd));
        Ok(value)
    }

    /// Reads the file from its start in one call: the kernel generates it on each read.
    pub(crate) fn read<'a>(
        &mut self,
        budget: Budget,
        buffer: &'a mut [u8],
        open: impl FnOnce() -> io::Result<OwnedFd>,
    ) -> io::Result<&'a [u8]> {
        let length = self.with(budget, open, |fd| Ok(pread(fd, &mut *buffer, 0)?))?;
        Ok(&buffer[..length])
    }
}

/// A process's folder in `/proc`. It is opened, and verified to be the process's own, on first use.
#[derive(Debug)]
pub(crate) struct Folder<'a> {
    pub(crate) proc: &'a Proc,
    pub(crate) process: Process,
    fd: OnceCell<OwnedFd>,
}

impl<'a> Folder<'a> {
    pub(crate) fn new(proc: &'a Proc, process: Process) -> Self {
        Self { proc, process, fd: OnceCell::new() }
    }

    /// Opens the folder of the process that has the number now, and returns its `stat` too.
    pub(crate) fn of(proc: &'a Proc, pid: u32) -> io::Result<(Self, Stat)> {
        let fd = open_folder(proc, pid)?;
        let stat = stat_below(&fd)?;
        let process = Process { pid, start_time: stat.start_time };
        Ok((Self { proc, process, fd: OnceCell::from(fd) }, stat))
    }

    fn fd(&self) -> io::Result<&OwnedFd> {
        if self.fd.get().is_none() {
            let fd = open_folder(self.proc, self.process.pid)?;
            if stat_below(&fd)?.start_time != self.process.start_time {
                return Err(Errno::SRCH.into());
            }
            let _ = self.fd.set(fd);
        }
        self.fd.get().ok_or_else(|| Errno::SRCH.into())
    }

    /// Opens a file for reading.
    pub(crate) fn open(&self, name: &str) -> io::Result<OwnedFd> {
        Ok(openat(self.fd()?, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
    }

    /// Reads a file of at most `limit` bytes.
    pub(crate) fn read_at_most(&self, name: &str, limit: u64) -> io::Result<String> {
        let mut bytes = Vec::new();
        File::from(self.open(name)?).take(limit + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Returns the entries of an open folder of the process; iteration ends after an error.
    ///
    /// # Errors
    ///
    /// Besides the kernel's, `TimedOut` as for [`Quota::step`].
    pub(super) fn entries<'s>(
        &'s self,
        folder: &OwnedFd,
    ) -> io::Result<impl Iterator<Item = io::Result<DirEntry>> + use<'s, 'a>> {
        let mut quota = Quota::new(self);
        let entries = Dir::read_from(folder)?.flatten();
        Ok(entries.map(move |entry| quota.step().map(|()| entry)))
    }

    /// Returns the threads, sorted by number.
    pub(crate) fn threads(&self) -> io::Result<Vec<u32>> {
        let mut tids: Vec<u32> = Vec::new();
        for entry in self.entries(&self.open("task")?)? {
            tids.extend(entry?.file_name().to_str().ok().and_then(|name| name.parse::<u32>().ok()));
        }
        tids.sort_unstable();
        Ok(tids)
    }

    pub(crate) fn sched_stat(&self, tid: u32, file: &mut CachedFile) -> io::Result<SchedStat> {
        let mut buffer = [0; SMALL];
        let open = || self.open(&format!("task/{tid}/schedstat"));
        parse_sched_stat(file.read(self.proc.budget, &mut buffer, open)?)
            .ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Returns the time that a thread waited, in nanoseconds. Meaningless unless the kernel
    /// [accounts](Proc::accounts_for_waits) for it.
    pub(crate) fn thread_wait(&self, tid: u32) -> Option<u64> {
        parse_wait_sum(&self.read_at_most(&format!("task/{tid}/sched"), SCHED).ok()?)
    }

    /// Opens a folder of the process, such as `root` or `cwd`, as a path only (`O_PATH`).
    pub(crate) fn open_path(&self, name: &str) -> rustix::io::Result<OwnedFd> {
        let folder =
            self.fd().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::SRCH))?;
        openat(folder, name, FOLDER, Mode::empty())
    }

    /// Returns the folder where the process was started, if its environment has it. May block as
    /// [`Proc::command_line`] does.
    pub(crate) fn started_in(&self) -> Option<PathBuf> {
        let environment = self.read_at_most("environ", ENVIRONMENT).ok()?;
        let path = environment.split('\0').find_map(|variable| variable.strip_prefix("PWD="))?;
        Some(PathBuf::from(path)).filter(|path| path.is_absolute())
    }

    /// Returns the effective user of the process.
    pub(crate) fn user(&self) -> Option<u32> {
        self.users()?[1]
    }

    /// Returns the real user of the process: it stays the same when the process runs a set-user-ID
    /// program.
    pub(crate) fn owner(&self) -> Option<u32> {
        self.users()?[0]
    }

    /// Returns the real and the effective user. A process cannot forge this line: in its name,
    /// which comes first, the kernel escapes line breaks.
    fn users(&self) -> Option<[Option<u32>; 2]> {
        let status = self.read_at_most("status", STATUS).ok()?;
        let users = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
        let mut users = users.split_ascii_whitespace().map(|user| user.parse().ok());
        Some([users.next()?, users.next()?])
    }

    /// Returns the targets of the descriptors, as text; none without the right to read them.
    /// Iteration ends after an error.
    pub(crate) fn descriptors(&self) -> io::Result<impl Iterator<Item = io::Result<Vec<u8>>>> {
        let folder = self.open("fd")?;
        let entries = self.entries(&folder)?;
        Ok(entries.filter_map(move |entry| {
            let link = |entry: DirEntry| {
                readlinkat(&folder, entry.file_name(), Vec::with_capacity(64)).ok()
            };
            entry.map(link).transpose().map(|target| target.map(CString::into_bytes))
        }))
    }

    /// Returns the inode of the network namespace, if the caller may read it.
    pub(super) fn net_namespace(&self) -> Option<u64> {
        self.namespace("net").ok()
    }

    /// Returns the inode of a namespace: `mnt`, `net`.
    pub(crate) fn namespace(&self, kind: &str) -> io::Result<u64> {
        let path = format!("ns/{kind}");
        Ok(statat(self.fd()?, path, AtFlags::empty())?.st_ino)
    }
}

/// Opens a folder as a path only.
pub(crate) const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The usual upper limit for a program's environment.
const ENVIRONMENT: u64 = 2 << 20;

/// More than `status` takes.
const STATUS: u64 = 64 << 10;

/// More than a thread's `sched` takes.
const SCHED: u64 = 64 << 10;

fn open_folder(proc: &Proc, pid: u32) -> io::Result<OwnedFd> {
    Ok(open(proc.of(pid, ""), FOLDER, Mode::empty())?)
}

fn stat_below(folder: &OwnedFd) -> io::Result<Stat> {
    let mut buffer = [0; SMALL];
    let file = openat(folder, "stat", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let length = pread(&file, &mut buffer, 0)?;
    parse_stat(&buffer[..length]).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
pub(crate) mod tests;
