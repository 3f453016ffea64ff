//! `/proc`: processes, their threads and network devices.
//!
//! The readers of a process read only files that do not take the process's memory lock (`stat`,
//! `schedstat`, `fdinfo`, `net/*`). [`Proc::command_line`] is the documented exception.

use std::{
    collections::HashMap,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use rustix::fs::Dir;

use super::{
    allowance::{Allowance, WAIT},
    process::Budget,
};

/// A `/proc`, or a tree that looks like one.
#[derive(Debug, Clone)]
pub(crate) struct Proc {
    root: PathBuf,
    /// Limits the descriptors that may stay open.
    pub(crate) budget: Budget,
    /// Limits the time for reading lists; `None` for no limit.
    pub(super) allowance: Option<Arc<Allowance>>,
}

/// The fields of `/proc/PID/stat` that the library uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Stat {
    /// The name of the main thread, at most 15 bytes.
    pub(crate) comm: String,
    /// `R` running, `S` sleeping, `D` in the kernel, `T` stopped, `Z` dead.
    pub(crate) state: char,
    /// Set for kernel threads, which never run a program.
    pub(crate) is_kernel_thread: bool,
    pub(crate) user_ns: u64,
    pub(crate) system_ns: u64,
    /// The number of its threads.
    pub(crate) threads: u64,
    /// When it started, in ticks since boot. With the pid, this identifies the process.
    pub(crate) start_time: u64,
    /// The size of its address space in bytes; 0 for kernel threads.
    pub(crate) virtual_size: u64,
    pub(crate) rss_kib: u64,
}

/// The times in a thread's `schedstat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SchedStat {
    /// Time on a CPU, in nanoseconds.
    pub(crate) run_ns: u64,
    /// Time ready to run without a CPU, in nanoseconds.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NetDevice {
    pub(crate) received: NetCounters,
    pub(crate) transmitted: NetCounters,
}

/// Network devices by name.
pub(crate) type NetDevices = HashMap<String, NetDevice>;

/// More than any file with a few numbers takes.
pub(crate) const SMALL: usize = 1024;

/// The flag of kernel threads.
const PF_KTHREAD: u64 = 0x0020_0000;

/// More than a process's `cgroup` file takes, with long names in a dozen hierarchies.
pub(super) const CGROUPS: u64 = 64 << 10;

/// More than a host's mounts take, containers included.
const MOUNTS: u64 = 4 << 20;

/// More than a network namespace's devices take: enough for some 8,000.
const NET_DEVICES: u64 = 1 << 20;

/// More than a program's arguments usually take.
const ARGUMENTS: u64 = 6 << 20;

/// Nanoseconds in a clock tick.
pub(crate) static TICK_NS: LazyLock<u64> =
    LazyLock::new(|| 1_000_000_000 / rustix::param::clock_ticks_per_second().max(1));

/// Kibibytes in a page.
static PAGE_KIB: LazyLock<u64> = LazyLock::new(|| rustix::param::page_size() as u64 / 1024);

impl Proc {
    pub(crate) fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), budget: Budget::of_this_process(), allowance: None }
    }

    /// Returns the same `/proc` for one call, with a time budget for long lists that ends at
    /// `until`.
    pub(crate) fn for_call(&self, until: Instant) -> Self {
        Self { allowance: Some(Arc::new(Allowance::new(until))), ..self.clone() }
    }

    /// Returns how long a call may wait for a blocking call on behalf of a user.
    pub(crate) fn blocking_time(&self, user: Option<u32>) -> Duration {
        self.allowance.as_ref().map_or(WAIT, |allowance| allowance.wait(user))
    }

    #[cfg(test)]
    pub(crate) fn with_budget(self, budget: Budget) -> Self {
        Self { budget, ..self }
    }

    /// Returns whether other users' processes are hidden from the caller (`hidepid`): everyone may
    /// read the name of process 1, which every pid namespace has.
    pub(crate) fn hides_others(&self) -> bool {
        fs::File::open(self.of(1, "comm")).is_err()
    }

    /// Returns the numbers of all processes, in any order.
    pub(crate) fn pids(&self) -> io::Result<Vec<u32>> {
        let entries = Dir::new(fs::File::open(&self.root)?)?.flatten();
        Ok(entries.filter_map(|entry| entry.file_name().to_str().ok()?.parse().ok()).collect())
    }

    /// Returns the path of a process's file or folder.
    pub(crate) fn of(&self, pid: u32, name: &str) -> PathBuf {
        let mut path = self.root.join(itoa::Buffer::new().format(pid));
        path.push(name);
        path
    }

    pub(crate) fn stat(&self, pid: u32) -> io::Result<Stat> {
        let mut buffer = [0; SMALL];
        let length = fs::File::open(self.of(pid, "stat"))?.read(&mut buffer)?;
        parse_stat(&buffer[..length]).ok_or_else(invalid)
    }

    /// Returns the mounts in the caller's mount namespace.
    pub(super) fn mounts(&self) -> io::Result<String> {
        read_at_most(&self.root.join("self/mountinfo"), MOUNTS)
    }

    /// Returns a process's arguments. May block for as long as the process is stuck in the kernel:
    /// never call it on a thread that a caller waits for.
    pub(crate) fn command_line(&self, pid: u32) -> io::Result<Vec<String>> {
        let text = read_at_most(&self.of(pid, "cmdline"), ARGUMENTS)?;
        let text = text.strip_suffix('\0').unwrap_or(&text);
        Ok(text.split('\0').map(str::to_owned).collect())
    }

    /// Returns the file name of the program that a process runs, without its folder.
    pub(crate) fn program(&self, pid: u32) -> io::Result<String> {
        let path = fs::read_link(self.of(pid, "exe"))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // The kernel's mark for a program that was replaced on disk since.
        Ok(name.strip_suffix(" (deleted)").unwrap_or(&name).to_owned())
    }

    /// Returns whether the kernel accounts for the time that threads wait.
    pub(crate) fn accounts_for_waits(&self) -> bool {
        fs::read_to_string(self.root.join("sys/kernel/sched_schedstats"))
            .is_ok_and(|text| text.trim() == "1")
    }

    /// Returns the network devices in a process's network namespace.
    pub(crate) fn net_devices(&self, pid: u32) -> io::Result<NetDevices> {
        Ok(parse_net_devices(&read_at_most(&self.of(pid, "net/dev"), NET_DEVICES)?))
    }
}

/// Reads a file that the kernel generates; refuses one that is longer than `limit`.
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

pub(crate) fn parse_stat(text: &[u8]) -> Option<Stat> {
    // The name may contain spaces and parentheses; it ends at the last `)`.
    let end = text.iter().rposition(|byte| *byte == b')')?;
    let start = text[..end].iter().position(|byte| *byte == b'(')? + 1;
    // proc(5) counts fields from 1; the state is field 3 and comes first here.
    let rest = std::str::from_utf8(&text[end + 1..]).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let mut next = 4;
    let mut number = |field: usize| {
        let number = fields.nth(field - next)?.parse::<u64>().ok();
        next = field + 1;
        number
    };
    Some(Stat {
        comm: String::from_utf8_lossy(&text[start..end]).into_owned(),
        state,
        is_kernel_thread: number(9)? & PF_KTHREAD != 0,
        user_ns: number(14)?.saturating_mul(*TICK_NS),
        system_ns: number(15)?.saturating_mul(*TICK_NS),
        threads: number(20)?,
        start_time: number(22)?,
        virtual_size: number(23)?,
        rss_kib: number(24)?.saturating_mul(*PAGE_KIB),
    })
}

pub(super) fn parse_sched_stat(text: &[u8]) -> Option<SchedStat> {
    let mut numbers = std::str::from_utf8(text).ok()?.split_ascii_whitespace();
    let mut number = || numbers.next()?.parse().ok();
    Some(SchedStat { run_ns: number()?, delay_ns: number()? })
}

/// Parses `wait_sum` of a thread's `sched`: milliseconds with six decimals.
pub(super) fn parse_wait_sum(text: &str) -> Option<u64> {
    // The first line starts with the thread's name, which may be anything.
    let line = text.lines().skip(1).find(|line| {
        let key = line.split([' ', ':']).next().unwrap_or_default();
        matches!(key, "wait_sum" | "se.statistics.wait_sum" | "se.wait_sum")
    })?;
    let (whole, millionths) = line.rsplit_once(':')?.1.trim().split_once('.')?;
    let millionths = Some(millionths).filter(|digits| digits.len() == 6)?;
    let nanoseconds = whole.parse::<u64>().ok()?.checked_mul(1_000_000)?;
    nanoseconds.checked_add(millionths.parse().ok()?)
}

pub(super) fn parse_net_devices(text: &str) -> NetDevices {
    let device = |line: &str| {
        // A name may contain colons: the counters start after the last one.
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
        let device = NetDevice { received: direction(0)?, transmitted: direction(8)? };
        Some((name.trim().to_owned(), device))
    };
    text.lines().skip(2).filter_map(device).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_with_a_nasty_name() {
        let text = "7 (qemu) S (x) T 1 7 7 0 -1 138412480 4190 0 4 0 3 2 0 0 20 0 6 0 195125 1652412416 7139 1";
        let stat = parse_stat(text.as_bytes()).unwrap();
        assert_eq!((stat.comm.as_str(), stat.state), ("qemu) S (x", 'T'));
        assert_eq!((stat.user_ns, stat.system_ns), (3 * *TICK_NS, 2 * *TICK_NS));
        assert_eq!((stat.threads, stat.start_time), (6, 195_125));
        assert_eq!(stat.rss_kib, 7139 * *PAGE_KIB);
        for cut in 0..text.len() - 2 {
            let _ = parse_stat(&text.as_bytes()[..cut]);
        }
    }

    #[test]
    fn reads_the_stat_of_this_process() {
        let stat = Proc::new("/proc").stat(std::process::id()).unwrap();
        assert!(stat.rss_kib > 0 && stat.virtual_size > 0 && stat.start_time > 0, "{stat:?}");
    }

    #[test]
    fn parses_every_spelling_of_wait_sum() {
        // Linux 5.16 and later, 2.6.38 and later, older.
        for key in ["wait_sum", "se.statistics.wait_sum", "se.wait_sum"] {
            let text = format!(
                "CPU 0/KVM (7, #threads: 2)\n\
                 -------------------------------------------------------------------\n\
                 se.exec_start                                :       1473349.473986\n\
                 {:<45}:             0.000007\n\
                 {key:<45}:      99999999.123456\n\
                 {:<45}:                    3\n\
                 nr_switches                                  :                    2\n",
                key.replace("sum", "max"),
                key.replace("sum", "count"),
            );
            assert_eq!(parse_wait_sum(&text), Some(99_999_999_123_456), "{key}");
        }
    }

    #[test]
    fn rejects_what_is_no_wait_sum() {
        for line in [
            "nr_switches : 3",
            "wait_sum : -1.000000",
            "wait_sum : 1.5",
            "wait_sum : 1",
            "wait_sum : x.000000",
            "wait_sum",
            "wait_sum : 18446744073710.000000",
        ] {
            assert_eq!(parse_wait_sum(&format!("x (1, #threads: 1)\n{line}\n")), None, "{line}");
        }
        assert_eq!(parse_wait_sum("wait_sum: 7.000000\n"), None, "the thread's name");
    }

    #[test]
    fn parses_the_columns_of_net_dev() {
        let text = "Inter-|   Receive  |  Transmit\n face |bytes ...\n\
                    eth0:1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n  broken: 1 2\n";
        let devices = parse_net_devices(text);
        assert_eq!(devices.len(), 1);
        let device = devices["eth0:1"];
        assert_eq!(device.received, NetCounters { bytes: 1, packets: 2, errors: 3, drops: 4 });
        assert_eq!(
            device.transmitted,
            NetCounters { bytes: 9, packets: 10, errors: 11, drops: 12 }
        );
    }
}
