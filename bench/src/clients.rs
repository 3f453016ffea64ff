//! libvirt's own clients: its Python module in one process, and `virsh` in one process per call.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Stdio},
    time::{Duration, Instant},
};

use domstats::{StatsGroups, stats::Group};
use domstats_live::{lab::lab, libvirt, tools::python_with_libvirt};

/// A Python process that makes libvirt's calls and measures them from inside.
pub(crate) struct Python {
    process: Child,
    calls: ChildStdin,
    times: BufReader<ChildStdout>,
}

impl Python {
    pub(crate) fn start(uri: &str, groups: StatsGroups) -> Self {
        let mut process = lab()
            .command_at(python_with_libvirt())
            .args(["-c", include_str!("libvirt.py"), uri])
            .arg(groups.bits().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let calls = process.stdin.take().unwrap();
        let times = BufReader::new(process.stdout.take().unwrap());
        Self { process, calls, times }
    }

    /// Returns its pid.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Makes a call, `bulk` or `split`, and returns how long it took for this many guests.
    pub(crate) fn call(&mut self, call: &str, guests: usize) -> Duration {
        writeln!(self.calls, "{call}").unwrap();
        let mut line = String::new();
        self.times.read_line(&mut line).unwrap();
        let (time, count) = line.trim().split_once(' ').expect("the Python process failed");
        assert_eq!(count, guests.to_string(), "libvirt left guests out");
        Duration::from_nanos(time.parse().unwrap())
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs `virsh domstats`, and returns how long the process took.
pub(crate) fn virsh(uri: &str, groups: StatsGroups, guests: usize) -> Duration {
    let options: Vec<_> =
        groups.iter().filter_map(Group::by_bit).map(|group| format!("--{}", group.name)).collect();
    let mut arguments = vec!["domstats"];
    arguments.extend(options.iter().map(String::as_str));
    let start = Instant::now();
    let text = lab().run(&mut libvirt::virsh(uri, &arguments));
    let time = start.elapsed();
    assert_eq!(text.matches("Domain: ").count(), guests, "virsh left guests out");
    time
}
