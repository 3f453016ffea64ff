//! Simulated hosts, as trees of files.

use std::{
    env, process,
    sync::atomic::{AtomicU32, Ordering},
};

use super::*;
use crate::host::process::Process;

/// The QEMU process of every test.
const PID: u32 = 7;

/// No file stays open: these tests rewrite files.
const BUDGET: Budget = Budget::NONE;

const SYSTEMD: &str = r"/machine.slice/machine-qemu\x2d3\x2dweb\x2dserver.scope";
const CLASSIC: &str = "/machine/qemu-3-web.libvirt-qemu";

const TIMES: CpuTimes =
    CpuTimes { total_ns: 5_000_001_000, user_ns: 3_000_000_000, system_ns: 2_000_001_000 };
const CPU_STAT: &str = "usage_usec 5000001\nuser_usec 3000000\nsystem_usec 2000001\nnice_usec 0\n";

/// A host with some mounts, in a folder that is deleted on drop.
struct Host {
    root: PathBuf,
    cgroups: Cgroups,
}

impl Host {
    /// Mounts what is given as `(mounted group, folder, file system and options)`.
    fn new(mounts: &[(&str, &str, &str)]) -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("domstats-cgroup-{}-{number}", process::id());
        let host = Self { root: env::temp_dir().join(name), cgroups: Cgroups::default() };
        let line = |(group, folder, filesystem): &(&str, &str, &str)| {
            let mount = host.root.join(folder);
            let options = "rw,nosuid shared:9";
            format!("30 23 0:26 {group} {} {options} - {filesystem}\n", mount.display())
        };
        let text: String = mounts.iter().map(line).collect();
        host.write("proc/self/mountinfo", &format!("22 1 8:1 / / rw - ext4 /dev/sda rw\n{text}"));
        host
    }

    fn v2() -> Self {
        Self::new(&[("/", "sys", "cgroup2 cgroup2 rw")])
    }

    fn v1() -> Self {
        Self::new(&[
            ("/", "sys/memory", "cgroup cgroup rw,memory"),
            ("/", "sys/cpu,cpuacct", "cgroup cgroup rw,cpu,cpuacct"),
        ])
    }

    fn hybrid() -> Self {
        Self::new(&[
            ("/", "sys/cpuacct", "cgroup cgroup rw,cpuacct"),
            ("/", "sys/unified", "cgroup2 cgroup2 rw"),
        ])
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Starts the QEMU in these groups.
    fn qemu_in(&self, placement: &str) {
        self.process(PID, "qemu-system-x86", 1 << 30);
        self.write(&format!("proc/{PID}/cgroup"), placement);
    }

    fn process(&self, pid: u32, comm: &str, virtual_size: u64) {
        let numbers = "1 7 7 0 -1 64 0 0 0 0 3 2 0 0 20 0 6 0 195125";
        let text = format!("{pid} ({comm}) S {numbers} {virtual_size} 7139 1\n");
        self.write(&format!("proc/{pid}/stat"), &text);
    }

    /// Creates a version 2 group with some processes.
    fn group(&self, path: &str, pids: &str) {
        self.write(&format!("{path}/cpu.stat"), CPU_STAT);
        self.write(&format!("{path}/cgroup.procs"), pids);
    }

    fn groups_of<'a>(&self, accounting: &'a mut Accounting) -> Option<&'a mut Groups> {
        let is_qemu: IsQemu = |_, _, comm| comm.starts_with("qemu-system-");
        let proc = Proc::new(self.root.join("proc"));
        let process = Process { pid: PID, start_time: 195_125 };
        accounting.groups(&self.cgroups, &Folder::new(&proc, process), is_qemu)
    }

    fn times_of(&self, accounting: &mut Accounting) -> Option<CpuTimes> {
        self.groups_of(accounting)?.cpu_times(BUDGET)
    }

    fn times(&self) -> Option<CpuTimes> {
        self.times_of(&mut Accounting::default())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

#[test]
fn version_2_in_every_libvirt_layout() {
    for (group, leaf) in [
        (SYSTEMD, "/libvirt/emulator"),
        (SYSTEMD, "/emulator"),
        (SYSTEMD, ""),
        (CLASSIC, "/emulator"),
        ("/machine/prod.partition/qemu-3-web.libvirt-qemu", "/emulator"),
    ] {
        let host = Host::v2();
        host.qemu_in(&format!("0::{group}{leaf}\n"));
        host.group(&format!("sys{group}"), "7\n");
        for thread in ["emulator", "vcpu0", "vcpu1", "iothread1"] {
            host.write(&format!("sys{group}/libvirt/{thread}/cgroup.procs"), "");
        }
        host.write(&format!("sys{group}/libvirt/cgroup.procs"), "");
        assert_eq!(host.times(), Some(TIMES), "{group}{leaf}");
    }
}

#[test]
fn version_1_with_processes_in_thread_groups() {
    let host = Host::v1();
    host.qemu_in(&format!("9:memory:/other\n4:cpu,cpuacct:{CLASSIC}/emulator\n1:name=systemd:/\n"));
    let group = format!("sys/cpu,cpuacct{CLASSIC}");
    host.write(&format!("{group}/cgroup.procs"), "");
    host.write(&format!("{group}/cpuacct.usage"), "5000001234\n");
    host.write(&format!("{group}/cpuacct.stat"), "user 300\nsystem 200\n");
    assert_eq!(host.times(), None, "no such process");
    for thread in ["emulator", "vcpu0"] {
        host.write(&format!("{group}/{thread}/cgroup.procs"), "7\n");
    }
    let times =
        CpuTimes { total_ns: 5_000_001_234, user_ns: 300 * *TICK_NS, system_ns: 200 * *TICK_NS };
    assert_eq!(host.times(), Some(times));
}

#[test]
fn a_hybrid_host_uses_version_2_if_the_vm_is_there() {
    let host = Host::hybrid();
    let v1 = format!("sys/cpuacct{CLASSIC}");
    host.write(&format!("{v1}/cgroup.procs"), "7\n");
    host.write(&format!("{v1}/cpuacct.usage"), "1000\n");
    host.write(&format!("{v1}/cpuacct.stat"), "user 0\nsystem 0\n");
    host.qemu_in(&format!("2:cpuacct:{CLASSIC}\n0::/\n"));
    host.group("sys/unified", "1\n7\n");
    assert_eq!(host.times().unwrap().total_ns, 1000);
    host.qemu_in(&format!("2:cpuacct:{CLASSIC}\n0::{CLASSIC}\n"));
    assert_eq!(host.times().unwrap().total_ns, 1000, "version 2 has no such group");
    host.group(&format!("sys/unified{CLASSIC}"), "7\n");
    assert_eq!(host.times(), Some(TIMES));
}

#[test]
fn groups_of_other_things_are_never_a_vms() {
    for group in [
        "/",
        "/user.slice/user-0.slice/session-3.scope",
        "/user.slice/user-1000.slice/user@1000.service/app.slice/app-vte-1.scope",
        "/system.slice/vm@web.service",
        "/system.slice/docker-4fda957b62ed.scope",
        "/machine.slice/libpod-4fda957b62ed.scope",
        r"/machine.slice/machine-lxc\x2d3\x2dweb.scope",
        "/machine.slice",
        "/machine",
        "/machine/lxc-3-web.libvirt-lxc",
        "/qemu.slice",
        "/qemu.slice/.scope",
        "/qemu.slice/web.scope",
        "/other.slice/100.scope",
        "/lxc/100",
    ] {
        let host = Host::v2();
        host.qemu_in(&format!("0::{group}\n"));
        host.group(&format!("sys{group}"), "7\n");
        assert_eq!(host.times(), None, "{group}");
    }
}

#[test]
fn libvirts_helpers_count_and_a_second_qemu_does_not() {
    let host = Host::v2();
    host.qemu_in(&format!("0::{CLASSIC}/emulator\n"));
    host.group(&format!("sys{CLASSIC}"), "7\n8\n");
    assert_eq!(host.times(), None, "process 8 is unknown");
    host.process(8, "swtpm", 1 << 20);
    assert_eq!(host.times(), Some(TIMES));
    host.process(8, "qemu-system-arm", 1 << 20);
    assert_eq!(host.times(), None);
    host.group(&format!("sys{CLASSIC}"), "7\n");
    host.group(&format!("sys{CLASSIC}/emulator/below"), "8\n");
    host.group(&format!("sys{CLASSIC}/emulator"), "");
    assert_eq!(host.times(), None, "it is nested deep below");
}

#[test]
fn a_proxmox_scope_holds_one_qemu_alone() {
    let host = Host::v2();
    host.qemu_in("0::/qemu.slice/100.scope\n");
    host.group("sys/qemu.slice/100.scope", "7\n8\n");
    host.process(8, "vhost-7", 0);
    assert_eq!(host.times(), Some(TIMES), "a kernel thread works for the VM");
    host.process(8, "swtpm", 1 << 20);
    assert_eq!(host.times(), None);
    host.group("sys/qemu.slice/100.scope", "8\n");
    assert_eq!(host.times(), None, "no such process");
    host.group("sys/qemu.slice/100.scope", "7\n");
    assert_eq!(host.times(), Some(TIMES));
}

#[test]
fn the_decision_holds_until_the_process_moves() {
    let host = Host::v2();
    let mut accounting = Accounting::default();
    host.qemu_in("0::/qemu.slice/100.scope\n");
    host.group("sys/qemu.slice/100.scope", "7\n");
    assert_eq!(host.times_of(&mut accounting), Some(TIMES));
    host.process(8, "sh", 1 << 20);
    host.group("sys/qemu.slice/100.scope", "7\n8\n");
    assert_eq!(host.times_of(&mut accounting), Some(TIMES));
    host.qemu_in("0::/\n");
    assert_eq!(host.times_of(&mut accounting), None);
}

#[test]
fn an_unreadable_group_is_no_group() {
    let host = Host::v2();
    assert_eq!(host.times(), None, "no process");
    let group = format!("sys{CLASSIC}");
    for placement in [
        "",
        "\n:\n::\n0::",
        "0",
        "1::/x.libvirt-qemu",
        "0::/../x.libvirt-qemu\n",
        "0::/machine/qemu-3-web.libvirt-qemu/../..\n",
        "0::/machine/qemu-3-web.libvirt-qemu (deleted)\n",
        "0::\u{fffd}/é.libvirt-qemu\n",
    ] {
        host.qemu_in(placement);
        host.group(&group, "7\n");
        assert_eq!(host.times(), None, "{placement:?}");
    }
    host.qemu_in(&format!("0::{CLASSIC}\n{}", "x".repeat(100_000)));
    assert_eq!(host.times(), None, "too long");
    host.qemu_in(&format!("0::{CLASSIC}\n"));
    assert_eq!(host.times(), Some(TIMES));
    for text in [
        "",
        "usage_usec 1\n",
        "usage_usec 1\nuser_usec x\nsystem_usec 1\n",
        "usage_usec -1\nuser_usec 1\nsystem_usec 1\n",
        "usage_usec 18446744073709551615\nuser_usec 1\nsystem_usec 1\n",
    ] {
        host.write(&format!("{group}/cpu.stat"), text);
        assert_eq!(host.times(), None, "{text:?}");
    }
    for pids in ["x\n".to_owned(), "7\n0\n".to_owned(), "7\n".repeat(10_000)] {
        host.group(&group, &pids);
        assert_eq!(host.times(), None, "{}", pids.len());
    }
    fs::remove_file(host.root.join("proc/self/mountinfo")).unwrap();
    let host = Host { root: host.root.clone(), cgroups: Cgroups::default() };
    assert_eq!(host.times(), None, "no mounts");
}

#[test]
fn too_many_groups_are_no_vm() {
    let host = Host::v2();
    host.qemu_in(&format!("0::{CLASSIC}\n"));
    host.group(&format!("sys{CLASSIC}"), "7\n");
    for number in 0..GROUPS {
        host.write(&format!("sys{CLASSIC}/{number}/cgroup.procs"), "");
    }
    assert_eq!(host.times(), None);
}

#[test]
fn a_container_sees_the_mounted_group() {
    let mounted = r"/docker/a\134x2d\040b";
    let host = Host::new(&[(mounted, "sys", "cgroup2 cgroup2 rw")]);
    host.group(&format!("sys{CLASSIC}"), "7\n");
    host.qemu_in(&format!("0::/docker/a\\x2d b{CLASSIC}\n"));
    assert_eq!(host.times(), Some(TIMES));
    for path in [CLASSIC, "/docker/a\\x2d bc/x.libvirt-qemu"] {
        host.qemu_in(&format!("0::{path}\n"));
        assert_eq!(host.times(), None, "{path}");
    }
}

const PRESSURE: &str = "some avg10=0.00 avg60=0.00 avg300=0.00 total=7\n\
    full avg10=0.00 avg60=0.00 avg300=0.00 total=3\n";

#[test]
fn version_2_counts_waits_and_storage() {
    let host = Host::v2();
    host.qemu_in(&format!("0::{CLASSIC}/emulator\n"));
    let group = format!("sys{CLASSIC}");
    host.group(&group, "7\n");
    let mut accounting = Accounting::default();
    let groups = host.groups_of(&mut accounting).unwrap();
    assert_eq!(
        (groups.waits("cpu.pressure", BUDGET), groups.io(BUDGET)),
        (None, None),
        "a kernel that does not count"
    );
    for resource in ["cpu.pressure", "memory.pressure", "io.pressure"] {
        host.write(&format!("{group}/{resource}"), PRESSURE);
        let waits = Waits { some_ns: Some(7_000), full_ns: Some(3_000) };
        assert_eq!(groups.waits(resource, BUDGET), Some(waits), "{resource}");
    }
    host.write(&format!("{group}/io.stat"), "");
    assert_eq!(groups.io(BUDGET), Some(Vec::new()), "an empty file is not unknown");
    host.write(&format!("{group}/io.stat"), "8:0 rbytes=5 rios=1\n");
    assert_eq!(groups.io(BUDGET).unwrap()[0].rd_bytes, Some(5));
    // An implausibly long file is not read.
    host.write(&format!("{group}/io.stat"), &"8:0 rios=1\n".repeat(10_000));
    assert_eq!(groups.io(BUDGET), None);
}

#[test]
fn version_1_counts_storage_in_a_hierarchy_of_its_own() {
    let host = Host::new(&[
        ("/", "sys/unified", "cgroup2 cgroup2 rw"),
        ("/", "sys/blkio", "cgroup cgroup rw,blkio"),
    ]);
    let group = format!("sys/blkio{CLASSIC}");
    host.qemu_in(&format!("7:blkio:{CLASSIC}\n0::/session.scope\n"));
    host.write(&format!("{group}/cgroup.procs"), "7\n");
    let bytes = format!("{group}/blkio.throttle.io_service_bytes");
    let requests = format!("{group}/blkio.throttle.io_serviced");
    host.write(&bytes, "8:0 Read 100\nTotal 100\n");
    let mut accounting = Accounting::default();
    let groups = host.groups_of(&mut accounting).unwrap();
    assert_eq!(
        (groups.cpu_times(BUDGET), groups.waits("io.pressure", BUDGET), groups.io(BUDGET)),
        (None, None, None)
    );
    for path in [&bytes, &requests] {
        host.write(path, "Total 0\n");
    }
    assert_eq!(groups.io(BUDGET), None, "nothing counts");
    host.write(&bytes, "8:0 Read 100\nTotal 100\n");
    host.write(&requests, "8:0 Read 1\nTotal 1\n");
    let mut read = || groups.io(BUDGET).unwrap().into_iter().map(|io| (io.rd_bytes, io.rd_reqs));
    assert_eq!(read().collect::<Vec<_>>(), [(Some(100), Some(1))]);
    for (path, value) in [(bytes, 200), (requests, 2)] {
        host.write(&format!("{path}_recursive"), &format!("8:0 Read {value}\nTotal 1\n"));
    }
    assert_eq!(read().collect::<Vec<_>>(), [(Some(200), Some(2))]);
}

#[test]
fn a_hybrid_host_has_waits_in_version_2_and_the_rest_in_version_1() {
    let host = Host::new(&[
        ("/", "sys/both", "cgroup cgroup rw,cpuacct,blkio"),
        ("/", "sys/unified", "cgroup2 cgroup2 rw"),
    ]);
    host.qemu_in(&format!("2:cpuacct,blkio:{CLASSIC}\n0::{CLASSIC}\n"));
    for folder in ["both", "unified"] {
        host.write(&format!("sys/{folder}{CLASSIC}/cgroup.procs"), "7\n");
    }
    host.write(&format!("sys/both{CLASSIC}/cpuacct.usage"), "1000\n");
    host.write(&format!("sys/both{CLASSIC}/cpuacct.stat"), "user 0\nsystem 0\n");
    for name in ["io_service_bytes", "io_serviced"] {
        host.write(&format!("sys/both{CLASSIC}/blkio.throttle.{name}"), "8:0 Write 4\n");
    }
    host.write(&format!("sys/unified{CLASSIC}/cpu.pressure"), PRESSURE);
    let mut accounting = Accounting::default();
    let groups = host.groups_of(&mut accounting).unwrap();
    assert_eq!(groups.cpu_times(BUDGET).unwrap().total_ns, 1000);
    assert_eq!(groups.waits("cpu.pressure", BUDGET).unwrap().some_ns, Some(7_000));
    assert_eq!(groups.io(BUDGET).unwrap()[0].wr_reqs, Some(4));
}
