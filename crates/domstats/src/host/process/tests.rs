//! Processes that end, and whose numbers are reused.

use std::{
    env, fs,
    path::PathBuf,
    process::{Child, Command},
    thread,
};

use super::*;

/// Runs a test again in a pid namespace of its own, where nothing else takes numbers. Returns
/// whether this is that run.
pub(crate) fn in_own_namespace(test: &str) -> bool {
    const INSIDE: &str = "DOMSTATS_TEST_INSIDE";
    if env::var_os(INSIDE).is_some() {
        return true;
    }
    let output = Command::new("unshare")
        .args(["--map-root-user", "--pid", "--fork", "--mount-proc"])
        .arg(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .expect("util-linux must be installed");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("1 passed"), "{text}");
    false
}

/// A sleeping process; killed when dropped.
pub(crate) struct Sleeper(Child);

impl Sleeper {
    /// Starts a process, and waits until it has its name and command line: a parent may continue
    /// before its child has them.
    pub(crate) fn start(program: impl AsRef<std::ffi::OsStr>) -> Self {
        let program = program.as_ref();
        let sleeper = Self(Command::new(program).arg("1000").spawn().unwrap());
        let line = format!("/proc/{}/cmdline", sleeper.pid());
        let is_there = (0..5000).any(|_| {
            thread::sleep(std::time::Duration::from_millis(1));
            fs::read(&line).is_ok_and(|line| line.starts_with(program.as_encoded_bytes()))
        });
        assert!(is_there, "{line}");
        sleeper
    }

    /// Starts a process with the number of one that has ended.
    pub(crate) fn start_as(pid: u32, program: impl AsRef<std::ffi::OsStr>) -> Self {
        // Any thread that starts meanwhile takes the number.
        for _ in 0..100 {
            fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).unwrap();
            let sleeper = Self::start(program.as_ref());
            if sleeper.pid() == pid {
                return sleeper;
            }
        }
        panic!("the number {pid} is not available");
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The host's `sleep` under another name.
pub(crate) fn sleep_named(name: &str) -> PathBuf {
    let folder = env::temp_dir().join(format!("domstats-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    fs::copy("/bin/sleep", &path).unwrap();
    path
}

#[test]
fn a_reused_number_is_not_the_old_process() {
    if !in_own_namespace("host::process::tests::a_reused_number_is_not_the_old_process") {
        return;
    }
    for budget in [Budget::of_this_process(), Budget::NONE] {
        let proc = Proc::new("/proc").with_budget(budget);
        let old = Sleeper::start("sleep");
        let pid = old.pid();
        let (folder, stat) = Folder::of(&proc, pid).unwrap();
        let process = folder.process;
        assert_eq!(process.start_time, stat.start_time);
        let mut files = ["stat", "comm", "task"].map(|name| (name, CachedFile::default()));
        let mut sched = CachedFile::default();
        let mut buffer = [0; SMALL];
        let mut read = |folder: &Folder<'_>, name: &str, file: &mut CachedFile| match name {
            "task" => {
                file.with(budget, || folder.open(name), |fd| Ok(rustix::fs::fstat(fd)?)).map(|_| ())
            }
            _ => file.read(budget, &mut buffer, || folder.open(name)).map(|_| ()),
        };
        for (name, file) in &mut files {
            read(&folder, name, file).unwrap();
            assert_eq!(file.0.is_some(), budget.0 > 0, "{name}");
        }
        folder.sched_stat(pid, &mut sched).unwrap();

        // The start time distinguishes them from the next tick on.
        thread::sleep(std::time::Duration::from_millis(30));
        drop(old);
        let _new = Sleeper::start_as(pid, "sleep");
        assert!(!process.is_alive(&proc));
        let later = Folder::new(&proc, process);
        for folder in [&folder, &later] {
            for (name, file) in &mut files {
                // An open folder still exists, but is empty.
                assert!(read(folder, name, file).is_err() || *name == "task", "{name}");
            }
            assert!(folder.sched_stat(pid, &mut sched).is_err());
            assert!(folder.open("stat").is_err());
            assert!(folder.threads().is_err());
        }
    }
}

#[test]
fn files_kept_open_and_reopened_files_read_the_same() {
    let plain = Proc::new("/proc").with_budget(Budget::NONE);
    let kept = Proc::new("/proc");
    let pid = std::process::id();
    let mut files = [CachedFile::default(), CachedFile::default()];
    let mut buffer = [0; SMALL];
    for _ in 0..3 {
        let comm = [&kept, &plain].map(|proc| {
            let (folder, _) = Folder::of(proc, pid).unwrap();
            let file = &mut files[usize::from(proc.budget.0 == 0)];
            file.read(proc.budget, &mut buffer, || folder.open("comm")).unwrap().to_vec()
        });
        assert_eq!(comm[0], comm[1]);
        assert_eq!(comm[0], fs::read("/proc/self/comm").unwrap());
    }
    assert!(files[0].0.is_some() && files[1].0.is_none());
}

#[test]
fn a_descriptor_with_a_high_number_is_closed_again() {
    let mut file = CachedFile::default();
    let open = || Ok(fs::File::open("/proc/self/comm")?.into());
    let number = file.with(Budget(RawFd::MAX), open, |fd| Ok(fd.as_raw_fd())).unwrap();
    assert!(file.0.is_some());
    file = CachedFile::default();
    file.with(Budget(number.min(3)), open, |_| Ok(())).unwrap();
    assert!(file.0.is_none());
}
