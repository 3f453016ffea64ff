//! `/sys/fs/cgroup`: the CPU time of a VM that has a cgroup of its own, how long it waited for host
//! resources, and what it read and wrote.
//!
//! A cgroup counts as a VM's own only if its name says so. A process being alone in a group proves
//! nothing: the group of a session, a service or a container also counts processes that have ended.

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

/// The mounts of cgroup hierarchies that count something, looked up once.
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

/// One VM's group in one hierarchy.
#[derive(Debug)]
struct Group {
    kind: Kind,
    dir: PathBuf,
    /// The files read so far, by name.
    files: Vec<(&'static str, CachedFile)>,
}

/// The groups that are one VM's own; possibly none.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    unified: Option<Group>,
    cpuacct: Option<Group>,
    blkio: Option<Group>,
}

/// Which groups account for a process; outlives a call. The decision holds for as long as the
/// process stays in its groups, since a counter must not change its source.
#[derive(Debug, Default)]
pub(super) struct Accounting {
    placement: String,
    file: CachedFile,
    /// Whether a group in this placement is named after a VM.
    may_be_own: bool,
    groups: Groups,
}

/// Decides by a process's pid and name whether it is a QEMU.
pub(super) type IsQemu = fn(&Proc, u32, &str) -> bool;

/// More than a file of a group's counters takes.
const COUNTS: usize = 16 << 10;

/// More than a process's `cgroup` file takes on nearly any host; a longer one is read every time.
const PLACEMENT: usize = 4 << 10;

/// More than the list of a VM's processes takes.
const PROCESSES: u64 = 4 << 10;

/// More groups than libvirt creates for a VM: one per vCPU and iothread.
const GROUPS: usize = 2048;

impl Accounting {
    /// Returns the process's own groups.
    pub(super) fn groups(
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

    /// Returns the CPU times; `None` if they cannot be read. On a host with both versions, prefers
    /// version 2, as libvirt does.
    pub(crate) fn cpu_times(&mut self, budget: Budget) -> Option<CpuTimes> {
        let groups = [&mut self.unified, &mut self.cpuacct];
        groups.into_iter().flatten().find_map(|group| group.cpu_times(budget))
    }

    /// Returns how long the VM waited, from one resource's file: `cpu.pressure`, `memory.pressure`
    /// or `io.pressure`. Only version 2 has these files, in every group, on a kernel with
    /// `CONFIG_PSI`.
    pub(crate) fn waits(&mut self, file: &'static str, budget: Budget) -> Option<Waits> {
        parse_pressure(&self.unified.as_mut()?.read(file, budget)?)
    }

    /// Returns what the VM read and wrote, by host device; `None` if nothing counts it.
    pub(crate) fn io(&mut self, budget: Budget) -> Option<Vec<DeviceIo>> {
        let text = self.unified.as_mut().and_then(|group| group.read("io.stat", budget));
        if let Some(text) = text {
            return Some(parse_io_stat(&text));
        }
        let group = self.blkio.as_mut()?;
        // On a kernel that can count recursively, includes the groups below.
        let mut read =
            |recursive, plain| group.read(recursive, budget).or_else(|| group.read(plain, budget));
        let bytes =
            read("blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_service_bytes")?;
        let requests = read("blkio.throttle.io_serviced_recursive", "blkio.throttle.io_serviced")?;
        let devices = parse_blkio(&bytes, &requests);
        // Since Linux 6.9, version 1 counts only where a limit is set.
        (!devices.is_empty()).then_some(devices)
    }
}

impl Group {
    /// Returns whether the group holds a QEMU and nothing foreign to its VM. Kernel threads are not
    /// foreign: the kernel puts those that work for a process (vhost) into its group.
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
        // A text that fills the buffer may be truncated.
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

/// Returns the processes of a group and of the groups below it, in any order; `None` if they cannot
/// be listed or are too many for a VM.
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
            // A threaded group: a group above it lists its processes.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::OPNOTSUPP) => {}
            Err(_) => return None,
        }
        // A folder has one link from each subfolder, besides two of its own.
        if dir.metadata().ok()?.nlink() == 2 {
            continue;
        }
        let entries = fs::read_dir(&dir).ok()?.flatten();
        let below = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        groups.extend(below.map(|entry| entry.path()).take(GROUPS));
    }
    // A process with threads in many groups appears in each.
    pids.sort_unstable();
    pids.dedup();
    Some(pids)
}

/// Returns the number after a key, in a text with one pair per line.
fn value_of(text: &str, key: &str) -> Option<u64> {
    let mut pairs = text.lines().filter_map(|line| line.split_once(' '));
    pairs.find(|(word, _)| *word == key)?.1.parse().ok()
}

/// Passes a text to every cgroup parser, for [`super::fuzz`].
pub(super) fn fuzz(text: &str) {
    placement::fuzz(text);
    let _ = value_of(text, "usage_usec");
}
