//! The host kernel's data about a process, read simply.

use std::{fs, time::Duration};

/// CPU times of a process or a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuTimes {
    /// In user mode.
    pub user: Duration,
    /// In the kernel.
    pub system: Duration,
}

/// The length of a clock tick in `/proc/PID/stat`.
pub const TICK: Duration = Duration::from_millis(10);

/// Reads `/proc/PID/stat`: CPU times.
#[must_use]
pub fn cpu_times(pid: u32) -> CpuTimes {
    let ticks = |number| u32::try_from(stat(pid, number)).unwrap() * TICK;
    CpuTimes { user: ticks(14), system: ticks(15) }
}

/// Reads `/proc/self/stat`: CPU time of this process's children that have ended and were waited
/// for.
#[must_use]
pub fn children() -> Duration {
    let ticks = stat(std::process::id(), 16) + stat(std::process::id(), 17);
    u32::try_from(ticks).unwrap() * TICK
}

/// Reads `/proc/PID/stat`: resident memory in KiB.
#[must_use]
pub fn rss_kib(pid: u32) -> u64 {
    stat(pid, 24) * 4096 / 1024
}

/// Returns a field of `/proc/PID/stat` by its number in proc(5).
fn stat(pid: u32, number: usize) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The command's name, field 2, may contain spaces.
    let (_, rest) = text.rsplit_once(')').unwrap();
    let field = rest.split_whitespace().nth(number - 3).unwrap();
    field.parse().unwrap()
}

/// Reads `/proc/PID/task/TID/schedstat`: run time and run-queue delay, in nanoseconds.
#[must_use]
pub fn schedstat(pid: u32, tid: u64) -> (u64, u64) {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{tid}/schedstat")).unwrap();
    let mut numbers = text.split_whitespace().map(|word| word.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

/// Reads a network device's line of `/proc/net/dev`: bytes, packets, errors and drops, received
/// and transmitted by the host.
#[must_use]
pub fn net_dev(name: &str) -> [[u64; 4]; 2] {
    let text = fs::read_to_string("/proc/net/dev").unwrap();
    let numbers: Vec<u64> = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(device, _)| device.trim() == name)
        .unwrap_or_else(|| panic!("no network device {name}"))
        .1
        .split_whitespace()
        .map(|word| word.parse().unwrap())
        .collect();
    let four = |from: usize| numbers[from..from + 4].try_into().unwrap();
    [four(0), four(8)]
}

/// Returns the peak memory of this process, in KiB.
#[must_use]
pub fn own_peak_kib() -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with("VmHWM:"));
    let word = line.unwrap().split_whitespace().nth(1);
    word.unwrap().parse().unwrap()
}
