//! Cgroups for guests, as VM managers create them.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rustix::io::Errno;

use crate::{lab::lab, procfs::TICK};

/// The cgroup version of a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// The controller that counts CPU time, mounted alone.
    V1,
    /// All controllers.
    V2,
}

/// Returns the mounts of cgroups with CPU times.
#[must_use]
pub fn mounts() -> Vec<(Version, PathBuf)> {
    mounts_of("cpuacct")
}

/// Returns the mounts of cgroup version 2, and of version 1 with this controller.
#[must_use]
pub fn mounts_of(controller: &str) -> Vec<(Version, PathBuf)> {
    let text = fs::read_to_string("/proc/mounts").unwrap();
    let mounts = text.lines().filter_map(|line| {
        let words: Vec<_> = line.split(' ').collect();
        let version = match words[2] {
            "cgroup2" => Version::V2,
            "cgroup" if words[3].split(',').any(|option| option == controller) => Version::V1,
            _ => return None,
        };
        Some((version, words[1].into()))
    });
    mounts.collect()
}

/// A cgroup. Removed on drop; its guest must have ended by then.
#[derive(Debug)]
pub struct Group {
    version: Version,
    path: PathBuf,
}

impl Group {
    /// Creates a group; the janitor removes it if the test program is killed.
    #[must_use]
    pub fn make(version: Version, path: PathBuf) -> Self {
        let mut list = fs::File::options().create(true).append(true).open(lab().cgroups()).unwrap();
        writeln!(list, "{}", path.display()).unwrap();
        fs::create_dir(&path).unwrap_or_else(|error| {
            panic!("{}: {error}; these tests must run as root of a host", path.display())
        });
        Self { version, path }
    }

    /// Creates a group below, for threads.
    #[must_use]
    pub fn for_threads(&self, name: &str) -> Self {
        let below = Self::make(self.version, self.path.join(name));
        if below.version == Version::V2 {
            fs::write(below.path.join("cgroup.type"), "threaded").unwrap();
        }
        below
    }

    /// Moves a process here, with all its threads.
    pub fn take(&self, pid: u32) {
        fs::write(self.path.join("cgroup.procs"), pid.to_string()).unwrap();
    }

    /// Moves a thread here, from a process of the group above, unless it has ended.
    pub fn take_thread(&self, tid: u32) {
        let list = if self.version == Version::V2 { "cgroup.threads" } else { "tasks" };
        let moved = fs::write(self.path.join(list), tid.to_string());
        let error = moved.err().and_then(|error| Errno::from_io_error(&error));
        assert!(matches!(error, None | Some(Errno::SRCH)), "{error:?}");
    }

    /// Returns the CPU time: total, in user mode and in the kernel, in nanoseconds.
    #[must_use]
    pub fn cpu_times(&self) -> [u64; 3] {
        let read = |name| fs::read_to_string(self.path.join(name)).unwrap();
        let number = |text: &str, key: &str| -> u64 {
            let line = text.lines().find(|line| line.starts_with(key)).unwrap();
            line.split(' ').nth(1).unwrap().parse().unwrap()
        };
        match self.version {
            Version::V2 => {
                let text = read("cpu.stat");
                ["usage_usec", "user_usec", "system_usec"].map(|key| number(&text, key) * 1000)
            }
            Version::V1 => {
                let text = read("cpuacct.stat");
                let tick = u64::try_from(TICK.as_nanos()).unwrap();
                let [user, system] = ["user", "system"].map(|key| number(&text, key) * tick);
                [read("cpuacct.usage").trim().parse().unwrap(), user, system]
            }
        }
    }

    /// Returns its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Its guest still lives: the janitor will remove the group.
        if thread::panicking() {
            return;
        }
        // A process that was killed takes a moment to leave.
        let deadline = Instant::now() + Duration::from_secs(5);
        while fs::remove_dir(&self.path).is_err() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
    }
}
