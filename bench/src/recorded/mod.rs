//! Monitors that replay a real guest's replies, thousands of them in one process.
//!
//! In `/proc` the process looks like a guest: its command line and the names of its threads are
//! those of a QEMU, so that its monitors get the same queries as a real one.

mod recording;
mod serve;

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Stdio},
};

use domstats_live::{guest::Spec, lab::lab};

use crate::measured::Measured;

pub(crate) use recording::answers;
pub(crate) use serve::serve;

/// The relevant options of the recorded guest's command line.
const LOOKS: [&str; 6] =
    ["-m", "16", "-smp", "2,maxcpus=4", "-device", "virtio-balloon-pci,id=balloon0"];

/// Running monitors; ended on drop.
#[derive(Debug)]
pub(crate) struct Recorded {
    dir: PathBuf,
    process: Child,
}

impl Recorded {
    /// Starts monitors, and returns when all of them listen.
    pub(crate) fn start(count: usize) -> Self {
        Self::start_with(count, &[])
    }

    fn start_with(count: usize, options: &[String]) -> Self {
        let dir = lab().path(lab().name("recorded"));
        fs::create_dir_all(&dir).unwrap();
        let mut process = lab()
            .command_at(&env::current_exe().unwrap())
            .arg("serve")
            .args(["--dir", &dir.display().to_string(), "--count", &count.to_string()])
            .args(options)
            .args(LOOKS)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        assert_eq!(ready, "ready\n", "the recorded monitors did not start");
        Self { dir, process }
    }

    /// Returns a pattern that matches all monitors.
    pub(crate) fn pattern(&self) -> String {
        self.dir.join("*.qmp").display().to_string()
    }

    /// Returns the URI to query them with.
    pub(crate) fn uri(&self, parameters: &str) -> String {
        format!("qemu+qmp:///system?monitor={}{parameters}", self.pattern())
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        // The process ends with its standard input.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Returns the shape of guest that all benchmarks use.
pub(crate) fn guest(label: &str) -> Spec {
    Spec::new(label).vcpus(2, 4).raw_disks(1).overlay_disks(1).taps(1).iothreads(1).balloon()
}

/// Sends a real guest every query that a call may need, and writes its replies to the repository.
pub(crate) fn record() {
    let guest = guest("recorded").boot();
    let source = ["--source".to_owned(), guest.side_address().unwrap().to_string()];
    let monitors = Recorded::start_with(1, &source);
    for parameters in ["", "&monitor_policy=hold"] {
        let mut calls = Measured::start("call", &monitors.uri(parameters));
        (0..3).for_each(|_| _ = calls.again());
    }
    let _ = Measured::start("floor", &monitors.pattern()).again();
    drop(monitors);
    println!("recorded: {}", recording::FILE);
}
