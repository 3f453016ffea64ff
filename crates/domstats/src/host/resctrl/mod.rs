//! `/sys/fs/resctrl`: the caches, memory bandwidth and energy that groups of threads use.
//!
//! ```text
//! GROUP/tasks, GROUP/mon_data                        what is allocated to threads, and monitored
//! GROUP/mon_groups/NAME/tasks, .../mon_data          some of these threads, monitored separately
//! mon_groups/NAME/tasks, .../mon_data                the same, for threads in no other group
//! mon_data/mon_L3_ID/{llc_occupancy,mbm_local_bytes,mbm_total_bytes}
//! mon_data/mon_PERF_PKG_ID/{core_energy,activity}
//! ```
//!
//! A group is a VM's if its threads are, whichever program created it: names prove nothing.

use std::{
    collections::{HashMap, HashSet},
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::OnceLock,
};

use super::{process::Folder, procfs::read_at_most};

/// The mount of resctrl, and what the host can monitor, looked up once.
#[derive(Debug)]
pub(crate) struct Resctrl {
    root: PathBuf,
    watched: OnceLock<Option<Watched>>,
}

/// What a host can monitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Watched {
    /// Cache occupancy.
    pub(crate) caches: bool,
    /// Bytes moved to and from memory.
    pub(crate) bandwidth: bool,
    pub(crate) energy: bool,
}

/// A snapshot of the groups that have threads.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    groups: Vec<Group>,
    /// The groups of each thread: its own, and the one above.
    of_task: HashMap<u32, Vec<usize>>,
}

#[derive(Debug, PartialEq, Eq)]
struct Group {
    name: String,
    dir: PathBuf,
    tasks: Vec<u32>,
}

/// What the host measures for a group of threads.
#[derive(Debug, PartialEq)]
pub(crate) struct MonitoringGroup {
    /// The group's name, without the prefix by which libvirt distinguishes VMs.
    pub(crate) name: String,
    pub(crate) tasks: Vec<u32>,
    /// By number.
    pub(crate) caches: Vec<Cache>,
    /// By number.
    pub(crate) packages: Vec<Package>,
}

/// A cache of the host, and the memory bandwidth behind it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Cache {
    pub(crate) id: u32,
    pub(crate) occupied: Option<u64>,
    pub(crate) local_bytes: Option<u64>,
    pub(crate) total_bytes: Option<u64>,
}

/// A CPU package of the host.
#[derive(Debug, PartialEq)]
pub(crate) struct Package {
    pub(crate) id: u32,
    /// In joules.
    pub(crate) core_energy: Option<f64>,
    /// In farads.
    pub(crate) activity: Option<f64>,
}

/// More groups than processors distinguish.
const GROUPS: usize = 4096;

/// More than the list of a VM's threads takes.
const TASKS: u64 = 64 << 10;

/// More than a number, or the list of monitored features, takes.
const SMALL: u64 = 4 << 10;

impl Resctrl {
    pub(crate) fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), watched: OnceLock::new() }
    }

    /// Returns what the host can monitor; `None` if resctrl is not mounted.
    pub(crate) fn watched(&self) -> Option<Watched> {
        *self.watched.get_or_init(|| {
            let info = self.root.join("info");
            let read = |name| read_at_most(&info.join(name).join("mon_features"), SMALL);
            let [caches, packages] =
                ["L3_MON", "PERF_PKG_MON"].map(|name| read(name).unwrap_or_default());
            let has = |features: &str, wanted: &[&str]| {
                features.lines().any(|feature| wanted.contains(&feature))
            };
            info.is_dir().then(|| Watched {
                caches: has(&caches, &["llc_occupancy"]),
                bandwidth: has(&caches, &["mbm_local_bytes", "mbm_total_bytes"]),
                energy: has(&packages, &["core_energy", "activity"]),
            })
        })
    }

    /// Finds the groups that have threads, except the default group of everything that is in no
    /// other.
    ///
    /// # Errors
    ///
    /// If the caller may not list them.
    pub(crate) fn groups(&self) -> io::Result<Groups> {
        let mut dirs = folders(&self.root.join("mon_groups"))?;
        for dir in folders(&self.root)? {
            // Other folders of resctrl have no threads.
            if dir.join("tasks").is_file() && dirs.len() < GROUPS {
                dirs.extend(folders(&dir.join("mon_groups"))?);
                dirs.push(dir);
            }
        }
        dirs.sort_unstable();
        dirs.truncate(GROUPS);
        let mut all = Groups::default();
        for dir in dirs {
            let Some(tasks) = read_at_most(&dir.join("tasks"), TASKS)
                .ok()
                .and_then(|text| parse_tasks(&text))
                .filter(|tasks| !tasks.is_empty())
            else {
                continue;
            };
            for task in &tasks {
                all.of_task.entry(*task).or_default().push(all.groups.len());
            }
            let name = dir.file_name().unwrap_or_default().to_string_lossy();
            all.groups.push(Group { name: own_name(&name).to_owned(), dir, tasks });
        }
        Ok(all)
    }
}

impl Groups {
    /// Returns what the host measures for the groups that hold only threads of this process, in the
    /// order of their folders.
    pub(crate) fn of(&self, folder: &Folder<'_>) -> Vec<MonitoringGroup> {
        if self.groups.is_empty() {
            return Vec::new();
        }
        let threads: HashSet<u32> = folder.threads().unwrap_or_default().into_iter().collect();
        let mut found: Vec<usize> =
            threads.iter().filter_map(|tid| self.of_task.get(tid)).flatten().copied().collect();
        found.sort_unstable();
        found.dedup();
        // A thread that started or ended between the two lists is not foreign.
        let (proc, pid) = (folder.proc, folder.process.pid);
        let is_ours = |tid: &u32| {
            threads.contains(tid)
                || proc.of(pid, &format!("task/{tid}")).exists()
                || !proc.of(*tid, "").exists()
        };
        let groups = found.into_iter().filter_map(|number| self.groups.get(number));
        groups.filter(|group| group.tasks.iter().all(is_ours)).map(Group::read).collect()
    }
}

impl Group {
    fn read(&self) -> MonitoringGroup {
        let (mut caches, mut packages) = (Vec::new(), Vec::new());
        for dir in folders(&self.dir.join("mon_data")).unwrap_or_default() {
            let name = dir.file_name().unwrap_or_default().to_string_lossy();
            let text = |name| read_at_most(&dir.join(name), SMALL).unwrap_or_default();
            match parse_domain(&name) {
                Some(("L3", id)) => caches.push(Cache {
                    id,
                    occupied: parse_number(&text("llc_occupancy")),
                    local_bytes: parse_number(&text("mbm_local_bytes")),
                    total_bytes: parse_number(&text("mbm_total_bytes")),
                }),
                Some(("PERF_PKG", id)) => packages.push(Package {
                    id,
                    core_energy: parse_amount(&text("core_energy")),
                    activity: parse_amount(&text("activity")),
                }),
                _ => {}
            }
        }
        caches.sort_unstable_by_key(|cache| cache.id);
        packages.sort_unstable_by_key(|package| package.id);
        MonitoringGroup { name: self.name.clone(), tasks: self.tasks.clone(), caches, packages }
    }
}

/// Returns a folder's subfolders; none if it does not exist.
fn folders(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let is_folder = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    let folders = entries.flatten().filter(is_folder).take(GROUPS);
    Ok(folders.map(|entry| entry.path()).collect())
}

/// Parses a list of threads, one per line; `None` if it is malformed.
pub(super) fn parse_tasks(text: &str) -> Option<Vec<u32>> {
    text.lines().map(|line| line.trim().parse().ok()).collect()
}

/// Returns the resource of a `mon_data` folder, and its number: `mon_L3_00` is cache 0.
pub(super) fn parse_domain(name: &str) -> Option<(&str, u32)> {
    let (resource, id) = name.strip_prefix("mon_")?.rsplit_once('_')?;
    Some((resource, id.parse().ok()?))
}

/// Parses a counter; `None` for `Unavailable`, `Unassigned` and `Error`.
pub(super) fn parse_number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// Parses a decimal amount.
pub(super) fn parse_amount(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|amount: &f64| amount.is_finite() && *amount >= 0.0)
}

/// Returns libvirt's own name for a group, `vcpus_0-3` of `qemu-3-web-vcpus_0-3`, or the unchanged
/// name if libvirt did not choose it.
pub(super) fn own_name(name: &str) -> &str {
    let own = || {
        let (id, rest) = name.strip_prefix("qemu-")?.split_once('-')?;
        id.parse::<u32>().ok()?;
        let start = rest.rfind("-vcpus_")? + 1;
        rest.get(start..)
    };
    own().unwrap_or(name)
}

#[cfg(test)]
mod tests;
