//! Processes that the kit started: signals to them, and their resources.

use std::{fs, net::Ipv4Addr, path::Path, thread, time::Duration};

use rustix::process::{Pid, Signal, kill_process};

/// Stops a process.
pub fn freeze(pid: u32) {
    signal(pid, Signal::STOP).unwrap();
    // The signal has taken effect when every thread is stopped.
    let status = format!("/proc/{pid}/stat");
    while !fs::read_to_string(&status).unwrap().contains(") T ") {
        thread::sleep(Duration::from_millis(1));
    }
}

/// Continues a process.
pub fn thaw(pid: u32) {
    signal(pid, Signal::CONT).unwrap();
}

/// Asks a process to end.
pub fn terminate(pid: u32) {
    signal(pid, Signal::TERM).unwrap();
}

/// Kills a process that may have ended already, and is not our child.
pub fn kill(pid: u32) {
    let _ = signal(pid, Signal::KILL);
}

/// Tells a process to read its configuration again.
pub fn hang_up(pid: u32) {
    signal(pid, Signal::HUP).unwrap();
}

/// Returns the memory of a process, in KiB, without pages of files: the kernel drops and reloads
/// these at will.
#[must_use]
pub fn memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let of = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    };
    of("RssAnon:") + of("VmSwap:")
}

/// Returns the memory of a process, in KiB, and the number of its open files.
#[must_use]
pub fn held(pid: u32) -> (u64, usize) {
    (memory(pid), fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count())
}

/// Returns whether a process listens on a Unix socket.
#[must_use]
pub fn listens(path: &Path) -> bool {
    let table = fs::read_to_string("/proc/self/net/unix").unwrap();
    let path = format!(" {}", path.display());
    table.lines().any(|line| line.ends_with(&path) && line.contains(" 00010000 "))
}

/// Returns the TCP port on which a process listens at an address.
#[must_use]
pub fn listening_port(pid: u32, address: Ipv4Addr) -> Option<u16> {
    let table = fs::read_to_string(format!("/proc/{pid}/net/tcp")).ok()?;
    let links = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten();
    let held: Vec<_> = links.filter_map(|link| fs::read_link(link.path()).ok()).collect();
    // The kernel prints the address as a number in memory order.
    let address = format!("{:08X}:", u32::from_ne_bytes(address.octets()));
    table.lines().find_map(|line| {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let port = fields.get(1)?.strip_prefix(&address)?;
        let socket = format!("socket:[{}]", fields.get(9)?);
        let listens =
            fields.get(3) == Some(&"0A") && held.iter().any(|it| it.as_os_str() == socket.as_str());
        listens.then(|| u16::from_str_radix(port, 16).ok()).flatten()
    })
}

fn signal(pid: u32, signal: Signal) -> rustix::io::Result<()> {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, signal)
}
