//! `/sys/fs/cgroup`: the CPU time of a machine that has a cgroup of its own.
//!
//! Only a group whose name says that it is one machine's is taken for it. That a process is alone
//! in a group proves nothing: a session, a service or a container also counts what ended before.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use rustix::io::Errno;

use super::{
    process::{Budget, Folder, Kept},
    procfs::{CGROUPS, Proc, TICK_NS, read_at_most},
};

/// Where the cgroups with CPU times are mounted, looked up once.
#[derive(Debug, Default)]
pub(crate) struct Cgroups {
    hierarchies: OnceLock<Vec<Hierarchy>>,
}

/// A mount of cgroups.
#[derive(Debug, PartialEq, Eq)]
struct Hierarchy {
    version: Version,
    /// The group that is mounted, `/` unless this is a container.
    root: String,
    mount: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

/// Who made a machine's group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manager {
    /// Puts the helpers of a machine (swtpm, virtiofsd) into its group, and counts them.
    Libvirt,
    Proxmox,
}

/// CPU times, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CpuTimes {
    pub(crate) total_ns: u64,
    pub(crate) user_ns: u64,
    pub(crate) system_ns: u64,
}

/// The group of one machine.
#[derive(Debug)]
struct Group {
    version: Version,
    dir: PathBuf,
    /// The files of its times.
    files: [Kept; 2],
}

/// Which group accounts for a process, from one call to the next: decided once for as long as the
/// process stays where it is, since a counter must not change its source.
#[derive(Debug, Default)]
pub(crate) struct Accounting {
    placement: String,
    file: Kept,
    /// Whether a group of this placement is named after a machine.
    may_be_own: bool,
    group: Option<Group>,
}

/// Tells by a process's number and name whether it is a QEMU.
type IsQemu = fn(&Proc, u32, &str) -> bool;

/// More than a file of a group's times takes.
const TIMES: usize = 2 << 10;

/// More than the cgroups of a process take on nearly any host; a longer list is read each time.
const PLACEMENT: usize = 4 << 10;

/// More than the list of a machine's processes takes.
const PROCESSES: u64 = 4 << 10;

/// More groups than libvirt makes for a machine: one for each vCPU and iothread.
const GROUPS: usize = 2048;

/// More than the mounts of cgroups with CPU times on any host.
const HIERARCHIES: usize = 16;

impl Accounting {
    /// Returns the times of the group that is the process's own, or `None` if there is none or it
    /// cannot be read.
    pub(crate) fn times(
        &mut self,
        cgroups: &Cgroups,
        folder: &Folder<'_>,
        is_qemu: IsQemu,
    ) -> Option<CpuTimes> {
        let is_same = self.is_placed_as_before(folder).ok()?;
        if !is_same {
            self.placement = folder.read_at_most("cgroup", CGROUPS).ok()?;
            self.may_be_own = cgroups.name_a_machine(folder.proc, &self.placement);
        }
        if !is_same || (self.group.is_none() && self.may_be_own) {
            let (proc, pid) = (folder.proc, folder.process.pid);
            self.group = cgroups.find(proc, pid, &self.placement, is_qemu);
        }
        self.group.as_mut()?.cpu_times(folder.proc.budget)
    }

    fn is_placed_as_before(&mut self, folder: &Folder<'_>) -> io::Result<bool> {
        let mut buffer = [0; PLACEMENT];
        let open = || folder.open("cgroup");
        let text = self.file.read(folder.proc.budget, &mut buffer, open)?;
        Ok(!text.is_empty() && text == self.placement.as_bytes())
    }
}

impl Cgroups {
    /// Finds the group that is a QEMU's own. On a host with both versions libvirt prefers the
    /// second, and so do we.
    fn find(&self, proc: &Proc, pid: u32, placement: &str, is_qemu: IsQemu) -> Option<Group> {
        self.hierarchies(proc).iter().find_map(|hierarchy| {
            let (path, manager) = machine_of(placed_in(hierarchy.version, placement)?)?;
            let mut group = Group::new(hierarchy.version, hierarchy.dir_of(path)?);
            let is_own =
                group.is_of(proc, pid, manager, is_qemu) && group.cpu_times(proc.budget).is_some();
            is_own.then_some(group)
        })
    }

    fn name_a_machine(&self, proc: &Proc, placement: &str) -> bool {
        self.hierarchies(proc).iter().any(|hierarchy| {
            placed_in(hierarchy.version, placement).is_some_and(|path| machine_of(path).is_some())
        })
    }

    fn hierarchies(&self, proc: &Proc) -> &[Hierarchy] {
        self.hierarchies.get_or_init(|| parse_mounts(&proc.mounts().unwrap_or_default()))
    }
}

impl Hierarchy {
    fn dir_of(&self, path: &str) -> Option<PathBuf> {
        let below = path.strip_prefix(self.root.trim_end_matches('/'))?;
        let relative = below.strip_prefix('/').or(below.is_empty().then_some(""))?;
        Some(self.mount.join(relative))
    }
}

impl Group {
    fn new(version: Version, dir: PathBuf) -> Self {
        Self { version, dir, files: Default::default() }
    }

    /// Returns whether the group holds a QEMU and nothing that is foreign to its machine. Threads
    /// of the kernel are not: it puts those that work for a process (vhost) into its group.
    fn is_of(&self, proc: &Proc, pid: u32, manager: Manager, is_qemu: IsQemu) -> bool {
        let Some(pids) = processes(&self.dir) else { return false };
        let is_ours = |other: u32| {
            proc.stat(other).is_ok_and(|stat| {
                let is_kernels = stat.virtual_size == 0 && !matches!(stat.state, 'Z' | 'X');
                is_kernels || (manager == Manager::Libvirt && !is_qemu(proc, other, &stat.comm))
            })
        };
        pids.contains(&pid) && pids.into_iter().all(|other| other == pid || is_ours(other))
    }

    fn cpu_times(&mut self, budget: Budget) -> Option<CpuTimes> {
        let Self { dir, files: [first, second], .. } = self;
        let read = |file: &mut Kept, name| {
            let mut buffer = [0; TIMES];
            let open = || Ok(fs::File::open(dir.join(name))?.into());
            let text = file.read(budget, &mut buffer, open).ok()?;
            String::from_utf8(text.to_vec()).ok()
        };
        match self.version {
            Version::V2 => {
                let text = read(first, "cpu.stat")?;
                let time = |key| value_of(&text, key)?.checked_mul(1000);
                Some(CpuTimes {
                    total_ns: time("usage_usec")?,
                    user_ns: time("user_usec")?,
                    system_ns: time("system_usec")?,
                })
            }
            Version::V1 => {
                let text = read(first, "cpuacct.stat")?;
                let time = |key| value_of(&text, key)?.checked_mul(*TICK_NS);
                Some(CpuTimes {
                    total_ns: read(second, "cpuacct.usage")?.trim().parse().ok()?,
                    user_ns: time("user")?,
                    system_ns: time("system")?,
                })
            }
        }
    }
}

/// Returns the processes of a group and of those below it, in any order; `None` if they cannot be
/// told or are too many for a machine.
fn processes(group: &Path) -> Option<Vec<u32>> {
    let mut pids = Vec::new();
    let mut groups = vec![group.to_owned()];
    let mut seen = 0;
    while let Some(dir) = groups.pop() {
        seen += 1;
        if seen + groups.len() > GROUPS {
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

/// Returns the group of a process in the hierarchy that counts CPU time, by `/proc/PID/cgroup`.
fn placed_in(version: Version, placement: &str) -> Option<&str> {
    placement.lines().find_map(|line| {
        let (number, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let is_it = match version {
            Version::V1 => controllers.split(',').any(|controller| controller == "cpuacct"),
            Version::V2 => number == "0" && controllers.is_empty(),
        };
        is_it.then_some(path)
    })
}

/// Returns the part of a path that ends with the innermost group of a machine.
fn machine_of(path: &str) -> Option<(&str, Manager)> {
    let mut found = None;
    let mut above = "";
    let mut end = 0;
    for name in path.split('/') {
        end += name.len();
        match manager_of(above, name) {
            // Outside of what the caller may see.
            _ if name == ".." => return None,
            Some(manager) => found = Some((path.get(..end)?, manager)),
            None => {}
        }
        above = name;
        end += 1;
    }
    found
}

/// Returns who gives a group such a name, if it is a machine's.
fn manager_of(above: &str, name: &str) -> Option<Manager> {
    let scope = name.strip_suffix(".scope");
    let is_number = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    if name.ends_with(".libvirt-qemu")
        || scope.is_some_and(|scope| scope.starts_with(r"machine-qemu\x2d"))
    {
        Some(Manager::Libvirt)
    } else if above == "qemu.slice" && scope.is_some_and(is_number) {
        Some(Manager::Proxmox)
    } else {
        None
    }
}

/// Returns the mounts of cgroups with CPU times, version 2 first.
fn parse_mounts(text: &str) -> Vec<Hierarchy> {
    let hierarchy = |line: &str| {
        let (mount, filesystem) = line.split_once(" - ")?;
        let mut filesystem = filesystem.split(' ');
        let version = match filesystem.next()? {
            "cgroup2" => Version::V2,
            "cgroup" if filesystem.nth(1)?.split(',').any(|option| option == "cpuacct") => {
                Version::V1
            }
            _ => return None,
        };
        let mut words = mount.split(' ').skip(3).map(unescape);
        Some(Hierarchy { version, root: words.next()?, mount: words.next()?.into() })
    };
    let mut hierarchies: Vec<_> = text.lines().filter_map(hierarchy).take(HIERARCHIES).collect();
    hierarchies.sort_by_key(|hierarchy| hierarchy.version == Version::V1);
    hierarchies
}

/// Undoes the kernel's `\040` for a space, and the like.
fn unescape(word: &str) -> String {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if first == b'\\' => {
                bytes.push(byte);
                rest = after.get(3..).unwrap_or_default();
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests;
