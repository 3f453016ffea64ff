//! Targets for [`crate::fuzz`]: what the kernel reports about processes, cgroups and devices.
//!
//! A target for several files parses the bytes as each of them in turn: a seed is one such file.

use super::{
    cgroup,
    netlink::{Cut, cut},
    pressure, procfs, queues, resctrl, rtnetlink,
    sock_diag::{self, State},
};

/// `stat`, `schedstat`, `sched`, `net/dev` and `net/unix`.
pub fn proc_files(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Some(stat) = procfs::parse_stat(bytes) {
        assert!(text.contains(&format!("({})", stat.comm)), "{stat:?}");
    }
    let _ = procfs::parse_sched_stat(bytes);
    let _ = procfs::parse_wait_sum(&text);
    let devices = procfs::parse_net_devices(&text);
    assert!(devices.keys().all(|name| text.contains(name)), "{devices:?}");
    for state in [State::Listening, State::Connected] {
        let sockets = queues::parse(&text, state);
        assert!(sockets.len() <= text.lines().count(), "{sockets:?}");
    }
}

/// `/proc/PID/cgroup`, `mountinfo`, and a cgroup's files: times, pressure, storage.
pub fn cgroup_files(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    cgroup::fuzz(&text);
    let _ = pressure::parse_pressure(&text);
    let _ = pressure::parse_io_stat(&text);
    let (sizes, requests) = text.split_once("\n\n").unwrap_or((&text, ""));
    let devices = pressure::parse_blkio(sizes, requests);
    assert!(devices.iter().all(|device| text.contains(&device.number)), "{devices:?}");
}

/// The files and folders of resctrl.
pub fn resctrl_files(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Some(tasks) = resctrl::parse_tasks(&text) {
        assert_eq!(tasks.len(), text.lines().count());
    }
    if let Some((resource, _)) = resctrl::parse_domain(&text) {
        assert!(text.starts_with(&format!("mon_{resource}_")), "{resource}");
    }
    let _ = resctrl::parse_number(&text);
    assert!(resctrl::parse_amount(&text).is_none_or(|amount| amount >= 0.0));
    assert!(text.ends_with(resctrl::own_name(&text)));
}

/// What a netlink socket receives: at most as many messages as headers fit.
pub fn netlink(bytes: &[u8]) {
    let messages = rtnetlink::messages(bytes).collect::<Vec<_>>();
    assert!(messages.len() <= bytes.len() / 16, "{messages:?}");
    let sockets = cut(bytes).filter_map(|(_, message)| match message {
        Cut::Other { kind, body } => sock_diag::socket(kind, body),
        Cut::Done | Cut::Failed => None,
    });
    assert!(sockets.count() <= messages.len());
}
