//! `/sys/fs/cgroup`: the CPU time of a machine that has a cgroup of its own, how long it waited
//! for the host, and what it read and wrote.
//!
//! Only a group whose name says that it is one machine's is taken for it. That a process is alone
//! in a group proves nothing: a session, a service or a container also counts what ended before.

mod placement;
#[cfg(test)]
mod tests;

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use placement::{Hierarchy, Kind, Manager, machine_of, parse_mounts, placed_in};
use rustix::io::Errno;

use super::{
    allowance::Quota,
    pressure::{DeviceIo, Waits, parse_blkio, parse_io_stat, parse_pressure},
    process::{Budget, CachedFile, Folder},
    procfs::{CGROUPS, Proc, TICK_NS, read_at_most},
};

/// Where the cgroups that count something are mounted, looked up once.
#[derive(Debug, Default)]
pub(crate) struct Cgroups {
    hierarchies: OnceLock<Vec<Hierarchy>>,
}

/// CPU times, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CpuTimes {
    pub(crate) total_ns: u64,
    pub(crate) user_ns: u64,
    pub(crate) system_ns: u64,
}

/// The group of one machine in one hierarchy.
#[derive(Debug)]
struct Group {
    kind: Kind,
    dir: PathBuf,
    /// The files that were read, by name.
    files: Vec<(&'static str, CachedFile)>,
}

/// The groups that are one machine's own, none perhaps.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    unified: Option<Group>,
    cpuacct: Option<Group>,
    blkio: Option<Group>,
}

/// Which groups account for a process, from one call to the next: decided once for as long as the
/// process stays where it is, since a counter must not change its source.
#[derive(Debug, Default)]
pub(crate) struct Accounting {
    placement: String,
    file: CachedFile,
    /// Whether a group of this placement is named after a machine.
    may_be_own: bool,
    groups: Groups,
}

/// Tells by a process's number and name whether it is a QEMU.
pub(crate) type IsQemu = fn(&Proc, u32, &str) -> bool;

/// More than a file of what a group did takes.
const COUNTS: usize = 16 << 10;

/// More than the cgroups of a process take on nearly any host; a longer list is read each time.
const PLACEMENT: usize = 4 << 10;

/// More than the list of a machine's processes takes.
const PROCESSES: u64 = 4 << 10;

/// More groups than libvirt makes for a machine: one for each vCPU and iothread.
const GROUPS: usize = 2048;

impl Accounting {
    /// Returns the groups that are the process's own.
    pub(crate) fn groups(
        &mut self,
        cgroups: &Cgroups,
        folder: &Folder<'_>,
        is_qemu: IsQemu,
    ) -> Option<&mut Groups> {
        let is_same = self.is_placed_as_before(folder).ok()?;
        if !is_same {
            self.placement = folder.read_at_most("cgroup", CGROUPS).ok()?;
            self.may_be_own = cgroups.name_a_machine(folder.proc, &self.placement);
        }
        if !is_same || (self.groups.are_none() && self.may_be_own) {
            self.groups = cgroups.find(folder, &self.placement, is_qemu);
        }
        Some(&mut self.groups)
    }

    fn is_placed_as_before(&mut self, folder: &Folder<'_>) -> io::Result<bool> {
        let mut buffer = [0; PLACEMENT];
        let open = || folder.open("cgroup");
        let text = self.file.read(folder.proc.budget, &mut buffer, open)?;
        Ok(!text.is_empty() && text == self.placement.as_bytes())
    }
}

impl Cgroups {
    fn name_a_machine(&self, proc: &Proc, placement: &str) -> bool {
        self.hierarchies(proc).iter().any(|hierarchy| {
            placed_in(hierarchy.kind, placement).is_some_and(|path| machine_of(path).is_some())
        })
    }

    fn hierarchies(&self, proc: &Proc) -> &[Hierarchy] {
        self.hierarchies.get_or_init(|| parse_mounts(&proc.mounts().unwrap_or_default()))
    }

    fn find(&self, folder: &Folder<'_>, placement: &str, is_qemu: IsQemu) -> Groups {
        let own = |kind: Kind| {
            let (path, manager) = machine_of(placed_in(kind, placement)?)?;
            let of_kind =
                self.hierarchies(folder.proc).iter().filter(|hierarchy| hierarchy.kind == kind);
            of_kind
                .filter_map(|hierarchy| {
                    Some(Group { kind, dir: hierarchy.dir_of(path)?, files: Vec::new() })
                })
                .find(|group| group.is_of(folder, manager, is_qemu))
        };
        Groups { unified: own(Kind::Unified), cpuacct: own(Kind::CpuAcct), blkio: own(Kind::BlkIo) }
    }
}

impl Groups {
    fn are_none(&self) -> bool {
        [&self.unified, &self.cpuacct, &self.blkio].into_iter().all(Option::is_none)
    }

    /// Returns the CPU times; `None` if they cannot be read. On a host with both versions libvirt
    /// prefers the second, and so do we.
    pub(crate) fn cpu_times(&mut self, budget: Budget) -> Option<CpuTimes> {
        let groups = [&mut self.unified, &mut self.cpuacct];
        groups.into_iter().flatten().find_map(|group| group.cpu_times(budget))
    }

    /// Returns for how long the machine waited, by the file of a resource: `cpu.pressure`,
    /// `memory.pressure` or `io.pressure`. Only version 2 tells, in any of its groups, on a kernel
    /// with `CONFIG_PSI`.
    pub(crate) fn waits(&mut self, file: &'static str, budget: Budget) -> Option<Waits> {
        parse_pressure(&self.unified.as_mut()?.read(file, budget)?)
    }

    /// Returns what the machine read and wrote, by the host's devices; `None` if nobody counts.
    pub(crate) fn io(&mut self, budget: Budget) -> Option<Vec<DeviceIo>> {
        let text = self.unified.as_mut().and_then(|group| group.read("io.stat", budget));
        if let Some(text) = text {
            return Some(parse_io_stat(&text));
        }
        let group = self.blkio.as_mut()?;
        // The groups below count as well, on a kernel that can tell.
        let mut read =
            |recursive, plain| group.read(recursive, budget).or_else(|| group.read(plain, budget));
        let bytes =
            read("blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_service_bytes")?;
        let requests = read("blkio.throttle.io_serviced_recursive", "blkio.throttle.io_serviced")?;
        let devices = parse_blkio(&bytes, &requests);
        // Version 1 counts from Linux 6.9 on only where somebody set a limit.
        (!devices.is_empty()).then_some(devices)
    }
}

impl Group {
    /// Returns whether the group holds a QEMU and nothing that is foreign to its machine. Threads
    /// of the kernel are not: it puts those that work for a process (vhost) into its group.
    fn is_of(&self, folder: &Folder<'_>, manager: Manager, is_qemu: IsQemu) -> bool {
        let (proc, pid) = (folder.proc, folder.process.pid);
        let mut turn = Quota::new(folder);
        let Some(pids) = processes(&self.dir, &mut turn) else { return false };
        let mut is_ours = |other: u32| {
            turn.step().is_ok()
                && proc.stat(other).is_ok_and(|stat| {
                    let is_kernels = stat.virtual_size == 0 && !matches!(stat.state, 'Z' | 'X');
                    is_kernels || (manager == Manager::Libvirt && !is_qemu(proc, other, &stat.comm))
                })
        };
        pids.contains(&pid) && pids.into_iter().all(|other| other == pid || is_ours(other))
    }

    /// Reads a file of the group, which stays open if the budget allows.
    fn read(&mut self, name: &'static str, budget: Budget) -> Option<String> {
        let position = match self.files.iter().position(|(known, _)| *known == name) {
            Some(position) => position,
            None => {
                self.files.push((name, CachedFile::default()));
                self.files.len() - 1
            }
        };
        let mut buffer = [0; COUNTS];
        let open = || Ok(fs::File::open(self.dir.join(name))?.into());
        let text = self.files.get_mut(position)?.1.read(budget, &mut buffer, open).ok()?;
        // One that fills the buffer may be cut off.
        (text.len() < COUNTS).then(|| String::from_utf8_lossy(text).into_owned())
    }

    fn cpu_times(&mut self, budget: Budget) -> Option<CpuTimes> {
        match self.kind {
            Kind::Unified => {
                let text = self.read("cpu.stat", budget)?;
                let time = |key| value_of(&text, key)?.checked_mul(1000);
                Some(CpuTimes {
                    total_ns: time("usage_usec")?,
                    user_ns: time("user_usec")?,
                    system_ns: time("system_usec")?,
                })
            }
            Kind::CpuAcct => {
                let text = self.read("cpuacct.stat", budget)?;
                let time = |key| value_of(&text, key)?.checked_mul(*TICK_NS);
                Some(CpuTimes {
                    total_ns: self.read("cpuacct.usage", budget)?.trim().parse().ok()?,
                    user_ns: time("user")?,
                    system_ns: time("system")?,
                })
            }
            Kind::BlkIo => None,
        }
    }
}

/// Returns the processes of a group and of those below it, in any order; `None` if they cannot be
/// told or are too many for a machine.
fn processes(group: &Path, turn: &mut Quota<'_>) -> Option<Vec<u32>> {
    let mut pids = Vec::new();
    let mut groups = vec![group.to_owned()];
    let mut seen = 0;
    while let Some(dir) = groups.pop() {
        seen += 1;
        if seen + groups.len() > GROUPS || turn.step().is_err() {
            return None;
        }
        match read_at_most(&dir.join("cgroup.procs"), PROCESSES) {
            Ok(text) => {
                for line in text.lines() {
                    pids.push(line.parse().ok()?);
                }
            }
            // A group of threads: their processes are in the list of a group above.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::OPNOTSUPP) => {}
            Err(_) => return None,
        }
        // A folder has a link from each one in it, besides two of its own.
        if dir.metadata().ok()?.nlink() == 2 {
            continue;
        }
        let entries = fs::read_dir(&dir).ok()?.flatten();
        let below = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        groups.extend(below.map(|entry| entry.path()).take(GROUPS));
    }
    // A process with threads in many groups was met in each.
    pids.sort_unstable();
    pids.dedup();
    Some(pids)
}

/// Returns the number after a word, one pair a line.
fn value_of(text: &str, key: &str) -> Option<u64> {
    let mut pairs = text.lines().filter_map(|line| line.split_once(' '));
    pairs.find(|(word, _)| *word == key)?.1.parse().ok()
}

/// Gives a text to every parser of cgroups, for [`super::fuzz`].
pub(super) fn fuzz(text: &str) {
    placement::fuzz(text);
    let _ = value_of(text, "usage_usec");
}
