//! `/proc`: processes, their threads and network devices.
//!
//! Every reader of a process reads files that do not take the process's memory lock (`stat`,
//! `schedstat`, `fdinfo`, `net/*`), except [`Proc::command_line`], which says so.

use std::{
    fs,
    io::{self, Read},
    mem::MaybeUninit,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use rustix::fs::{Dir, Mode, OFlags, open, readlinkat_raw};

/// A `/proc`, or a tree that looks like one.
#[derive(Debug, Clone)]
pub(crate) struct Proc {
    root: PathBuf,
}

/// What `/proc/PID/stat` says of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stat {
    /// The name of the main thread, at most 15 bytes.
    pub(crate) comm: String,
    /// `R` running, `S` sleeping, `D` in the kernel, `T` stopped, `Z` dead.
    pub(crate) state: char,
    pub(crate) user_ns: u64,
    pub(crate) system_ns: u64,
    /// When it started, in ticks since boot: with the pid, who it is.
    pub(crate) start_time: u64,
    /// Size of its address space in bytes; 0 for kernel threads.
    pub(crate) virtual_size: u64,
    pub(crate) rss_kib: u64,
}

/// What `schedstat` says of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SchedStat {
    /// Time on a CPU, in nanoseconds.
    pub(crate) run_ns: u64,
    /// Time ready without a CPU, in nanoseconds.
    pub(crate) delay_ns: u64,
}

/// One direction of a network device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NetCounters {
    pub(crate) bytes: u64,
    pub(crate) packets: u64,
    pub(crate) errors: u64,
    pub(crate) drops: u64,
}

/// One network device, from the host's side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NetDevice {
    pub(crate) name: String,
    pub(crate) received: NetCounters,
    pub(crate) transmitted: NetCounters,
}

/// More than any file of a few numbers has.
const SMALL: usize = 1024;

/// More than the cgroups of a process take, with long names in a dozen hierarchies.
const CGROUPS: u64 = 64 << 10;

/// More than the mounts of a host take, containers and all.
const MOUNTS: u64 = 4 << 20;

/// Nanoseconds in a clock tick.
pub(crate) static TICK_NS: LazyLock<u64> =
    LazyLock::new(|| 1_000_000_000 / rustix::param::clock_ticks_per_second().max(1));

/// Kibibytes in a page.
static PAGE_KIB: LazyLock<u64> = LazyLock::new(|| rustix::param::page_size() as u64 / 1024);

impl Proc {
    pub(crate) fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Returns the numbers of all processes, in any order.
    pub(crate) fn pids(&self) -> io::Result<Vec<u32>> {
        let entries = fs::read_dir(&self.root)?;
        Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
    }

    /// Returns a file or folder of a process.
    pub(crate) fn of(&self, pid: u32, name: &str) -> PathBuf {
        let mut path = self.root.join(itoa::Buffer::new().format(pid));
        path.push(name);
        path
    }

    /// Reads a small file of a process in one go: the kernel makes it up on each read, so its size
    /// says nothing and a second read nothing more.
    fn small<'a>(&self, pid: u32, name: &str, buffer: &'a mut [u8; SMALL]) -> io::Result<&'a [u8]> {
        let length = fs::File::open(self.of(pid, name))?.read(buffer)?;
        Ok(&buffer[..length])
    }

    pub(crate) fn stat(&self, pid: u32) -> io::Result<Stat> {
        let mut buffer = [0; SMALL];
        let text = self.small(pid, "stat", &mut buffer)?;
        parse_stat(&String::from_utf8_lossy(text)).ok_or_else(invalid)
    }

    /// Returns the cgroups that a process is in: a line for each hierarchy.
    pub(crate) fn cgroups(&self, pid: u32) -> io::Result<String> {
        read_at_most(&self.of(pid, "cgroup"), CGROUPS)
    }

    /// Returns the mounts that the caller sees.
    pub(crate) fn mounts(&self) -> io::Result<String> {
        read_at_most(&self.root.join("self/mountinfo"), MOUNTS)
    }

    /// Returns the user that a process runs as.
    pub(crate) fn user(&self, pid: u32) -> io::Result<u32> {
        use std::os::unix::fs::MetadataExt;
        Ok(fs::metadata(self.of(pid, ""))?.uid())
    }

    /// Returns the arguments of a process. May block for as long as the process is stuck in the
    /// kernel: never call it where a caller waits.
    pub(crate) fn command_line(&self, pid: u32) -> io::Result<Vec<String>> {
        let bytes = fs::read(self.of(pid, "cmdline"))?;
        let bytes = bytes.strip_suffix(b"\0").unwrap_or(&bytes);
        Ok(bytes.split(|byte| *byte == 0).map(|arg| String::from_utf8_lossy(arg).into()).collect())
    }

    /// Returns the file name of the program that a process runs, without its folder.
    pub(crate) fn program(&self, pid: u32) -> io::Result<String> {
        let path = fs::read_link(self.of(pid, "exe"))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // The kernel marks a program that was replaced on disk since.
        Ok(name.strip_suffix(" (deleted)").unwrap_or(&name).to_owned())
    }

    pub(crate) fn thread_sched_stat(&self, pid: u32, tid: u32) -> io::Result<SchedStat> {
        let mut buffer = [0; SMALL];
        let text = self.small(pid, &format!("task/{tid}/schedstat"), &mut buffer)?;
        let text = std::str::from_utf8(text).map_err(|_| invalid())?;
        let mut numbers = text.split_ascii_whitespace().map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(run_ns)), Some(Ok(delay_ns))) => Ok(SchedStat { run_ns, delay_ns }),
            _ => Err(invalid()),
        }
    }

    /// Returns whether the kernel accounts for the time that threads wait.
    pub(crate) fn accounts_for_waits(&self) -> bool {
        fs::read_to_string(self.root.join("sys/kernel/sched_schedstats"))
            .is_ok_and(|text| text.trim() == "1")
    }

    /// Returns the time that a thread waited, in nanoseconds. Of no use unless the kernel
    /// [accounts](Self::accounts_for_waits) for it.
    pub(crate) fn thread_wait(&self, pid: u32, tid: u32) -> Option<u64> {
        let text = fs::read_to_string(self.of(pid, &format!("task/{tid}/sched"))).ok()?;
        parse_wait_sum(&text)
    }

    /// Returns the threads of a process, in the order of their numbers.
    pub(crate) fn threads(&self, pid: u32) -> io::Result<Vec<u32>> {
        let tids = fs::read_dir(self.of(pid, "task"))?.flatten();
        let mut tids: Vec<u32> =
            tids.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        tids.sort_unstable();
        Ok(tids)
    }

    /// Returns the name of a thread, at most 15 bytes.
    pub(crate) fn thread_name(&self, pid: u32, tid: u32) -> io::Result<String> {
        let mut buffer = [0; SMALL];
        let name = self.small(pid, &format!("task/{tid}/comm"), &mut buffer)?;
        Ok(String::from_utf8_lossy(name).trim_end().to_owned())
    }

    /// Returns the taps that a process holds, by file descriptor.
    pub(crate) fn taps(&self, pid: u32) -> io::Result<Vec<(u32, String)>> {
        // Relative to the folder: a path would be resolved anew for each of many descriptors.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = open(self.of(pid, "fd"), flags, Mode::empty())?;
        let mut taps = Vec::new();
        let mut target = [MaybeUninit::uninit(); 64];
        for entry in Dir::read_from(&folder)?.flatten() {
            let fd = entry.file_name();
            let is_tun = readlinkat_raw(&folder, fd, &mut target)
                .is_ok_and(|(target, _)| *target == *b"/dev/net/tun");
            let Some(fd) = fd.to_str().ok().and_then(|name| name.parse().ok()) else { continue };
            if is_tun
                && let Ok(info) = fs::read_to_string(self.of(pid, &format!("fdinfo/{fd}")))
                && let Some(name) = info.lines().find_map(|line| line.strip_prefix("iff:"))
            {
                taps.push((fd, name.trim().to_owned()));
            }
        }
        taps.sort_unstable();
        Ok(taps)
    }

    /// Returns the network devices in the network namespace of a process.
    pub(crate) fn net_devices(&self, pid: u32) -> io::Result<Vec<NetDevice>> {
        Ok(parse_net_devices(&fs::read_to_string(self.of(pid, "net/dev"))?))
    }

    /// Returns the inode of a process's network namespace, if the caller may know it.
    pub(crate) fn net_namespace(&self, pid: u32) -> Option<u64> {
        use std::os::unix::fs::MetadataExt;
        fs::metadata(self.of(pid, "ns/net")).ok().map(|metadata| metadata.ino())
    }
}

/// Reads a file that the kernel makes up; one that is longer than it can be is refused.
pub(crate) fn read_at_most(path: &Path, limit: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(invalid());
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn invalid() -> io::Error {
    io::Error::from(io::ErrorKind::InvalidData)
}

fn parse_stat(text: &str) -> Option<Stat> {
    // The name may hold spaces and parentheses: it ends at the last one.
    let (name, rest) = text.rsplit_once(')')?;
    let (_, comm) = name.split_once('(')?;
    // proc(5) counts fields from 1; the state is number 3 and comes first here.
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some(Stat {
        comm: comm.to_owned(),
        state: fields.first()?.chars().next()?,
        user_ns: number(14)?.saturating_mul(*TICK_NS),
        system_ns: number(15)?.saturating_mul(*TICK_NS),
        start_time: number(22)?,
        virtual_size: number(23)?,
        rss_kib: number(24)?.saturating_mul(*PAGE_KIB),
    })
}

fn parse_wait_sum(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| {
        let key = line.split([' ', ':']).next().unwrap_or_default();
        matches!(key, "wait_sum" | "se.statistics.wait_sum" | "se.wait_sum")
    })?;
    let (_, milliseconds) = line.rsplit_once(':')?;
    let milliseconds: f64 = milliseconds.trim().parse().ok()?;
    // The cast saturates; a negative or absurd number cannot come out.
    Some((milliseconds * 1e6) as u64)
}

fn parse_net_devices(text: &str) -> Vec<NetDevice> {
    let device = |line: &str| {
        // A name may hold colons: the counters start after the last one.
        let (name, counters) = line.rsplit_once(':')?;
        let numbers: Vec<u64> =
            counters.split_ascii_whitespace().map_while(|number| number.parse().ok()).collect();
        let direction = |first: usize| {
            Some(NetCounters {
                bytes: *numbers.get(first)?,
                packets: *numbers.get(first + 1)?,
                errors: *numbers.get(first + 2)?,
                drops: *numbers.get(first + 3)?,
            })
        };
        Some(NetDevice {
            name: name.trim().to_owned(),
            received: direction(0)?,
            transmitted: direction(8)?,
        })
    };
    text.lines().skip(2).filter_map(device).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_with_a_nasty_name() {
        let text = "7 (qemu) S (x) T 1 7 7 0 -1 138412480 4190 0 4 0 3 2 0 0 20 0 6 0 195125 1652412416 7139 1";
        let stat = parse_stat(text).unwrap();
        assert_eq!((stat.comm.as_str(), stat.state), ("qemu) S (x", 'T'));
        assert_eq!((stat.user_ns, stat.system_ns), (3 * *TICK_NS, 2 * *TICK_NS));
        assert_eq!((stat.start_time, stat.rss_kib), (195_125, 7139 * *PAGE_KIB));
        for cut in 0..text.len() - 2 {
            let _ = parse_stat(&text[..cut]);
        }
    }

    #[test]
    fn own_stat_is_read() {
        let stat = Proc::new("/proc").stat(std::process::id()).unwrap();
        assert!(stat.rss_kib > 0 && stat.virtual_size > 0 && stat.start_time > 0, "{stat:?}");
    }

    #[test]
    fn wait_sum_in_every_spelling() {
        for key in ["wait_sum", "se.statistics.wait_sum", "se.wait_sum"] {
            let text =
                format!("x (1, #threads: 2)\n---\n{key}      :     12.500000\nwait_count : 3\n");
            assert_eq!(parse_wait_sum(&text), Some(12_500_000), "{key}");
        }
        assert_eq!(parse_wait_sum("nr_switches : 3\n"), None);
    }

    #[test]
    fn net_devices_by_column() {
        let text = "Inter-|   Receive  |  Transmit\n face |bytes ...\n\
                    eth0:1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n  broken: 1 2\n";
        let devices = parse_net_devices(text);
        assert_eq!(devices.len(), 1);
        assert_eq!(devices[0].name, "eth0:1");
        assert_eq!(devices[0].received, NetCounters { bytes: 1, packets: 2, errors: 3, drops: 4 });
        assert_eq!(
            devices[0].transmitted,
            NetCounters { bytes: 9, packets: 10, errors: 11, drops: 12 }
        );
    }
}
