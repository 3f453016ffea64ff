//! Namespaces for each live test: it sees its own processes, network devices, sockets and ports,
//! and nothing of the host, of another run or of other programs.
//!
//! A test that starts with [`alone!`](crate::alone!) starts its program again, for this test only,
//! in new pid, mount, network and IPC namespaces, and passes if that run passes. When the test
//! ends, however it ends, the kernel kills everything it started and removes its devices.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
};

use crate::{lab::lab, roots::RELEASE, tools::tool};

/// Tells the inner program where its part of the lab is.
pub const PLACE: &str = "DOMSTATS_ALONE";

/// Tells a test program that `scripts/test` has built and installed everything that tests use.
const PREPARED: &str = "DOMSTATS_PREPARED";

/// Tells where to keep the files of failed tests, for one of two concurrent runs.
const KEPT: &str = "DOMSTATS_KEPT";

/// Returns whether programs and the Python module were built before the tests.
#[must_use]
pub fn is_prepared() -> bool {
    env::var_os(PREPARED).is_some()
}

/// Returns whether this program runs in namespaces, without a network.
#[must_use]
pub fn is_inside() -> bool {
    env::var_os(PLACE).is_some()
}

/// The time in seconds after which a test counts as hanging. Nextest would wait a minute longer.
const LIMIT: u32 = 840;

/// Runs the rest of the test in namespaces of its own. With `kvm` the test sees `/dev/kvm`; with
/// `in "sid"` it runs in the [root](crate::roots) of that release.
///
/// What needs the host's network, or is built for many tests, must come before this line.
#[macro_export]
macro_rules! alone {
    () => {
        $crate::alone!(@ false)
    };
    (kvm) => {
        $crate::alone!(@ true)
    };
    (in $release:literal) => {
        fn here() {}
        if !$crate::alone::is_inside() {
            $crate::roots::run($release, $crate::alone::test_around(&here));
            return;
        }
    };
    (@ $kvm:literal) => {
        fn here() {}
        if $crate::alone::ran_elsewhere($crate::alone::test_around(&here), $kvm) {
            return;
        }
    };
}

/// Prepares the namespaces, then runs the test below an init process that reaps orphans.
///
/// `$1` is the test's place, `$2` says whether it sees KVM, the rest is the command.
const PRELUDE: &str = r#"
place=$1 kvm=$2
shift 2
# The host's daemons listen below /run.
mount -t tmpfs tmpfs /run
mkdir /run/lock /run/sshd
# /sys shows the network devices of the namespace in which it was mounted.
mkdir "$place/sys"
mount -t sysfs sysfs "$place/sys"
mount --rbind /sys/fs "$place/sys/fs"
umount --recursive --lazy /sys
mount --move "$place/sys" /sys
# A KVM that exists and does not work costs libvirtd 40 seconds at each start of a guest.
if [ "$kvm" = false ] && [ -e /dev/kvm ]; then
    : >"$place/kvm"
    chmod 000 "$place/kvm"
    mount --bind "$place/kvm" /dev/kvm
fi
ip link set lo up
# Clients that ask for names of "configured" families see none where only loopback has an address.
ip address add 192.0.2.1/32 dev lo
ip -6 address add 2001:db8::1/128 dev lo nodad 2>/dev/null || :
set +e
"$@"
exit $?
"#;

/// Returns the path of the test in which a function is declared, as the test program lists it.
#[must_use]
pub fn test_around<F>(_here: &F) -> &'static str {
    let path = std::any::type_name::<F>();
    let (path, _) = path.rsplit_once("::").unwrap();
    path.split_once("::").unwrap().1
}

/// Runs a test of this program in namespaces, unless it runs there already. Returns whether it did
/// so; fails if the test failed.
#[must_use]
pub fn ran_elsewhere(test: &str, kvm: bool) -> bool {
    if is_inside() {
        return false;
    }
    let place = Place::make();
    run(&place, place.command(kvm, LIMIT, &[]), test, test);
    true
}

/// Runs a live test of this program in namespaces and in a release's root, which the words returned
/// by `enter` lead into; fails if the test failed.
pub(crate) fn run_in_place(test: &str, release: &str, enter: impl Fn(&Path) -> Vec<OsString>) {
    let place = Place::make();
    let mut command = place.command(false, LIMIT, &enter(&place.0));
    command.env(RELEASE, release).env(PREPARED, "yes");
    run(&place, command, test, &format!("{release}.{test}"));
}

/// Runs a test with a command of its place. If it fails, keeps its files under this name, and fails
/// too.
fn run(place: &Place, mut command: Command, test: &str, name: &str) {
    let output = command.args([test, "--exact", "--include-ignored", "--nocapture"]).output();
    let output = output.unwrap();
    let text = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat();
    print!("{text}");
    if output.status.success() && text.contains("1 passed") {
        return;
    }
    fs::write(place.0.join("output"), text).unwrap();
    panic!(
        "failed in namespaces of its own ({}); its files, logs among them, are in {}; the machine: {}",
        how_it_ended(output.status),
        place.keep(name).display(),
        machine()
    );
}

/// Describes how a program ended that `timeout` and a shell started.
fn how_it_ended(status: ExitStatus) -> String {
    match status.code() {
        // `timeout` kills itself with the signal that it sends.
        None => format!("killed after {LIMIT} s"),
        Some(code @ 129..) => format!("killed by signal {}", code - 128),
        Some(code) => format!("exit code {code}"),
    }
}

/// Runs this program, a benchmark, in namespaces, unless it runs there already. Returns its exit
/// code if it did so.
#[must_use]
pub fn program_ran_elsewhere() -> Option<i32> {
    if is_inside() {
        return None;
    }
    let place = Place::make();
    let mut command = place.command(false, 0, &[]);
    let status = command.args(env::args_os().skip(1)).status().unwrap();
    Some(status.code().unwrap_or(1))
}

/// The part of the lab that belongs to one test. Removed when dropped.
struct Place(PathBuf);

impl Place {
    fn make() -> Self {
        let place = lab().path(lab().number().to_string());
        fs::create_dir(&place).unwrap();
        Self(place)
    }

    /// Returns a command that runs this program in new namespaces, below the command `below`, for
    /// no longer than `limit` seconds; 0 means no limit.
    fn command(&self, kvm: bool, limit: u32, below: &[OsString]) -> Command {
        let mut command = lab().command("timeout");
        // In the foreground it stays in the process group that the janitor kills.
        command.args(["--foreground", "--signal=KILL", &limit.to_string()]);
        command.arg(tool("unshare")).args(["--mount", "--net", "--ipc", "--pid"]);
        command.args(["--fork", "--kill-child", "--mount-proc"]);
        command.arg(tool("sh")).args(["-euc", PRELUDE, "alone"]).arg(&self.0);
        command.arg(kvm.to_string()).args(below).arg(env::current_exe().unwrap());
        command.env(PLACE, &self.0).current_dir(env::current_dir().unwrap());
        command
    }

    /// Moves a failed test's files to where they stay until it fails again.
    fn keep(&self, test: &str) -> PathBuf {
        let folder = env::var_os(KEPT)
            .map_or_else(|| env::temp_dir().join("domstats-failed"), PathBuf::from);
        fs::create_dir_all(&folder).unwrap();
        let kept = folder.join(test.replace("::", "."));
        let _ = fs::remove_dir_all(&kept);
        fs::rename(&self.0, &kept).unwrap();
        kept
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Describes how busy the machine is: on a busy one, a failure may be the machine's fault.
fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let load = read("/proc/loadavg");
    let memory = read("/proc/meminfo");
    let free = memory.lines().find(|line| line.starts_with("MemAvailable")).unwrap_or_default();
    let namespace = |process: &Path| fs::read_link(process.join("ns/pid")).ok();
    let ours = namespace(Path::new("/proc/self"));
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
    let is_qemu = |process: &PathBuf| {
        fs::read(process.join("comm")).is_ok_and(|name| name.starts_with(b"qemu-system"))
    };
    // QEMUs of live tests are in namespaces of their own.
    let (foreign, tests): (Vec<_>, Vec<_>) =
        processes.filter(is_qemu).partition(|process| namespace(process) == ours);
    format!(
        "load {}, {} available, {} other QEMUs and {} of tests",
        load.split(' ').take(3).collect::<Vec<_>>().join(" "),
        free.split_whitespace().skip(1).collect::<Vec<_>>().join(" "),
        foreign.len(),
        tests.len()
    )
}
