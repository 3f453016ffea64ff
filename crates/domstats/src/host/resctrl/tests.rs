//! Simulated hosts, as trees of files: the machines that run these tests have no resctrl.

use std::{
    env, process,
    sync::atomic::{AtomicU32, Ordering},
};

use super::*;
use crate::host::{process::Process, procfs::Proc};

/// The QEMU process of every test, with threads 7 to 12.
const PID: u32 = 7;

/// A host that monitors caches and bandwidth, in a folder that is deleted on drop.
struct Host {
    root: PathBuf,
}

impl Host {
    fn new() -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("domstats-resctrl-{}-{number}", process::id());
        let host = Self { root: env::temp_dir().join(name) };
        for tid in 7..=12 {
            host.write(&format!("proc/{PID}/task/{tid}/comm"), "");
            let numbers = "1 7 7 0 -1 64 0 0 0 0 3 2 0 0 20 0 6 0 195125 1024 7139 1";
            host.write(&format!("proc/{tid}/stat"), &format!("{tid} (qemu) S {numbers}\n"));
        }
        host.write("proc/99/stat", "");
        let features = "llc_occupancy\nmbm_total_bytes\nmbm_local_bytes\n";
        host.write("fs/info/L3_MON/mon_features", features);
        host.write("fs/tasks", "1\n99\n");
        host.mon_data("fs", &["1", "2", "3"]);
        host
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Creates a group, with the counts of two caches.
    fn group(&self, path: &str, tasks: &str, counts: &[&str; 3]) {
        let path = format!("fs/{path}");
        self.write(&format!("{path}/tasks"), tasks);
        self.mon_data(&path, counts);
    }

    fn mon_data(&self, path: &str, counts: &[&str; 3]) {
        for cache in ["mon_L3_01", "mon_L3_00"] {
            let names = ["llc_occupancy", "mbm_local_bytes", "mbm_total_bytes"];
            for (name, count) in names.into_iter().zip(counts) {
                self.write(&format!("{path}/mon_data/{cache}/{name}"), count);
            }
        }
    }

    fn resctrl(&self) -> Resctrl {
        Resctrl::new(self.root.join("fs"))
    }

    fn monitors(&self) -> Vec<MonitoringGroup> {
        let proc = Proc::new(self.root.join("proc"));
        let process = Process { pid: PID, start_time: 195_125 };
        self.resctrl().groups().unwrap().of(&Folder::new(&proc, process))
    }

    fn names(&self) -> Vec<String> {
        self.monitors().into_iter().map(|monitor| monitor.name).collect()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn cache(id: u32, [occupied, local_bytes, total_bytes]: [Option<u64>; 3]) -> Cache {
    Cache { id, occupied, local_bytes, total_bytes }
}

#[test]
fn libvirts_groups_in_every_place() {
    let host = Host::new();
    // With an allocation: monitored as a whole, and one vCPU separately.
    host.write("fs/qemu-3-web-vcpus_0-1/schemata", "L3CODE:0=f;1=f\nL3DATA:0=f0;1=f0\n");
    host.group("qemu-3-web-vcpus_0-1", "8\n9\n", &["10", "20", "30"]);
    host.group("qemu-3-web-vcpus_0-1/mon_groups/qemu-3-web-vcpus_1", "9\n", &["1", "2", "3"]);
    // Without an allocation.
    host.group("mon_groups/qemu-3-web-vcpus_2", "10\n", &["4", "5", "6"]);
    // The group of another VM whose name starts the same, and an empty group.
    host.group("qemu-4-web1-vcpus_0", "99\n", &["7", "7", "7"]);
    host.group("mon_groups/qemu-3-web-vcpus_3", "", &["8", "8", "8"]);
    let monitors = host.monitors();
    let seen: Vec<_> =
        monitors.iter().map(|monitor| (monitor.name.as_str(), monitor.tasks.as_slice())).collect();
    let expected: [(&str, &[u32]); 3] =
        [("vcpus_2", &[10]), ("vcpus_0-1", &[8, 9]), ("vcpus_1", &[9])];
    assert_eq!(seen, expected);
    let counts = [Some(10), Some(20), Some(30)];
    assert_eq!(monitors[1].caches, [cache(0, counts), cache(1, counts)]);
    assert_eq!(monitors[1].packages, []);
}

#[test]
fn groups_by_other_programs_are_known_by_their_threads() {
    let host = Host::new();
    host.group("gold", "7\n8\n9\n10\n11\n12\n", &["1", "2", "3"]);
    host.group("gold/mon_groups/emulator", "7\n", &["1", "2", "3"]);
    host.group("qemu-3-web-vcpus_0", "8\n99\n", &["1", "2", "3"]);
    host.group("mon_groups/everybody", "99\n12\n", &["1", "2", "3"]);
    assert_eq!(host.names(), ["gold", "emulator"], "a group with a foreign thread is no VM's");
    // A thread that ended after the lists were read, and one that started before.
    host.group("mon_groups/late", "12\n77\n", &["1", "2", "3"]);
    fs::remove_dir_all(host.root.join("proc/7/task/11")).unwrap();
    fs::remove_dir_all(host.root.join("proc/11")).unwrap();
    assert_eq!(host.names(), ["gold", "emulator", "late"]);
}

#[test]
fn unavailable_counts_are_absent() {
    let host = Host::new();
    host.group("gold", "8\n", &["Unavailable\n", "Error\n", "Unassigned\n"]);
    let absent = [None; 3];
    assert_eq!(host.monitors()[0].caches, [cache(0, absent), cache(1, absent)]);
    for counts in [["", "-1", "1.5"], ["18446744073709551616", "0x10", " "]] {
        host.group("gold", "8\n", &counts);
        assert_eq!(host.monitors()[0].caches[0], cache(0, absent), "{counts:?}");
    }
    for tasks in ["8\nx\n".to_owned(), "8\n".repeat(40_000), "-8\n".to_owned()] {
        host.group("gold", &tasks, &["1", "2", "3"]);
        assert_eq!(host.names(), [""; 0], "{}", tasks.len());
    }
    for name in ["L3_00", "mon_L3", "mon_L3_", "mon_L3_x", "mon__", "mon_", ""] {
        assert_eq!(parse_domain(name), None, "{name}");
    }
    for text in ["", "NaN", "inf", "-1.5", "1,5", "Unavailable"] {
        assert_eq!(parse_amount(text), None, "{text}");
    }
}

#[test]
fn a_cache_sums_up_its_clusters() {
    let host = Host::new();
    host.group("gold", "8\n", &["10", "20", "30"]);
    for cluster in ["mon_sub_L3_00", "mon_sub_L3_01"] {
        let path = format!("fs/gold/mon_data/mon_L3_00/{cluster}/mbm_total_bytes");
        host.write(&path, "15\n");
    }
    let counts = [Some(10), Some(20), Some(30)];
    assert_eq!(host.monitors()[0].caches, [cache(0, counts), cache(1, counts)]);
}

#[test]
fn packages_report_energy() {
    let host = Host::new();
    host.write("fs/info/PERF_PKG_MON/mon_features", "core_energy\nactivity\n");
    host.group("gold", "8\n", &["1", "2", "3"]);
    for (package, energy) in [("10", "Unavailable"), ("02", "1234.567890")] {
        let path = format!("fs/gold/mon_data/mon_PERF_PKG_{package}");
        host.write(&format!("{path}/core_energy"), energy);
        host.write(&format!("{path}/activity"), "0.25\n");
    }
    let monitor = host.monitors().remove(0);
    assert_eq!(monitor.caches.len(), 2);
    let package = |id, core_energy| Package { id, core_energy, activity: Some(0.25) };
    assert_eq!(monitor.packages, [package(2, Some(1234.56789)), package(10, None)]);
}

#[test]
fn what_a_host_can_monitor() {
    let host = Host::new();
    let watched = Watched { caches: true, bandwidth: true, energy: false };
    assert_eq!(host.resctrl().watched(), Some(watched));
    // Allocation alone.
    fs::remove_dir_all(host.root.join("fs/info/L3_MON")).unwrap();
    host.write("fs/info/L3/num_closids", "16\n");
    assert_eq!(host.resctrl().watched(), Some(Watched::default()));
    host.write("fs/info/PERF_PKG_MON/mon_features", "uops_retired\nactivity\n");
    assert!(host.resctrl().watched().unwrap().energy);
    fs::remove_dir_all(host.root.join("fs")).unwrap();
    let resctrl = host.resctrl();
    assert_eq!(resctrl.watched(), None);
    host.write("fs/info/L3_MON/mon_features", "llc_occupancy\n");
    assert_eq!(resctrl.watched(), None, "looked up once");
}

#[test]
fn libvirts_names() {
    for (name, own) in [
        ("qemu-3-web-vcpus_0-3", "vcpus_0-3"),
        ("qemu-12-a-vcpus_1-b-vcpus_0,2", "vcpus_0,2"),
        ("qemu-x-web-vcpus_0", "qemu-x-web-vcpus_0"),
        ("qemu-3-web", "qemu-3-web"),
        ("qemu-3", "qemu-3"),
        ("gold", "gold"),
        ("", ""),
    ] {
        assert_eq!(own_name(name), own);
    }
}
