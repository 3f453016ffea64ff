//! Processes that the kit started: signals to them, and what they hold.

use std::{fs, thread, time::Duration};

use rustix::process::{Pid, Signal, kill_process};

/// Stops a process: nothing in it runs any more.
pub fn freeze(pid: u32) {
    signal(pid, Signal::STOP).unwrap();
    // The signal is delivered when every thread has stopped.
    let status = format!("/proc/{pid}/stat");
    while !fs::read_to_string(&status).unwrap().contains(") T ") {
        thread::sleep(Duration::from_millis(1));
    }
}

/// Lets a process go on.
pub fn thaw(pid: u32) {
    signal(pid, Signal::CONT).unwrap();
}

/// Tells a process that it is to end.
pub fn terminate(pid: u32) {
    signal(pid, Signal::TERM).unwrap();
}

/// Kills a process that may be gone already, and is not a child of ours.
pub fn kill(pid: u32) {
    let _ = signal(pid, Signal::KILL);
}

/// Tells a process to read its configuration again.
pub fn hang_up(pid: u32) {
    signal(pid, Signal::HUP).unwrap();
}

/// Returns the memory that a process holds, in KiB, and how many files it has open.
#[must_use]
pub fn held(pid: u32) -> (u64, usize) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let memory = line.trim().trim_end_matches(" kB").parse().unwrap();
    (memory, fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count())
}

fn signal(pid: u32, signal: Signal) -> rustix::io::Result<()> {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, signal)
}
