//! Targets for [`crate::fuzz`]: the files of `/proc` and of cgroups.
//!
//! Each takes the bytes for every file in turn: a seed is one such file.

use super::{cgroup, procfs};

/// `stat`, `schedstat`, `sched`, `fdinfo`, `net/dev` and `net/unix`, which begins with the line of
/// a path to look for.
pub fn proc_files(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Some(stat) = procfs::parse_stat(&text) {
        assert!(text.contains(&format!("({})", stat.comm)), "{stat:?}");
    }
    let _ = procfs::parse_sched_stat(&text);
    let _ = procfs::parse_wait_sum(&text);
    if let Some(name) = procfs::parse_tap_name(&text) {
        assert!(!name.contains('\n'), "{name:?}");
    }
    let devices = procfs::parse_net_devices(&text);
    assert!(devices.iter().all(|device| text.contains(&device.name)), "{devices:?}");
    if let Some((path, sockets)) = text.split_once('\n') {
        procfs::has_queue(sockets, path);
    }
}

/// `/proc/PID/cgroup`, `mountinfo`, and the files with times.
pub fn cgroup_files(bytes: &[u8]) {
    cgroup::fuzz(&String::from_utf8_lossy(bytes));
}
