//! Finds the host's QEMU processes.

use std::{collections::HashMap, io, sync::Mutex};

use crate::{
    host::{
        process::{CachedFile, Folder, Process},
        procfs::{Proc, SMALL, Stat, parse_stat},
    },
    model::error::{Error, ErrorKind, ErrorOrigin, Result},
    sync::lock,
};

/// Finds the QEMU processes; caches which processes are not.
#[derive(Debug)]
pub(super) struct Processes {
    /// If set, only this user's processes.
    user: Option<u32>,
    known: Mutex<Known>,
}

/// The processes of the last call, by number.
#[derive(Debug, Default)]
struct Known {
    processes: HashMap<u32, Looked>,
    /// The number of this call.
    call: u64,
}

/// A classified process. A process can execute another program and stay the same process, but then
/// it has another name: the classification holds for this name only.
#[derive(Debug)]
struct Looked {
    process: Process,
    kind: Kind,
    name: String,
    /// `stat` of a QEMU; `comm` of others, which costs the kernel far less.
    file: CachedFile,
    call: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Qemu,
    /// A kernel thread: it runs no program, and changes its name at will.
    Kernel,
    Other,
}

impl Processes {
    pub(super) fn new(user: Option<u32>) -> Self {
        Self { user, known: Mutex::default() }
    }

    /// Returns the QEMU processes that run now, with their `stat`.
    pub(super) fn list(&self, proc: &Proc) -> Result<Vec<(Process, Stat)>> {
        let pids = proc.pids().map_err(|error| {
            let context = "cannot list the processes of this host: is /proc mounted?";
            Error::new(ErrorKind::System, ErrorOrigin::Qemu, context).because(error)
        })?;
        let mut known = lock(&self.known);
        known.call += 1;
        let call = known.call;
        let mut processes = Vec::new();
        for pid in pids {
            let same = known.processes.get_mut(&pid).and_then(|looked| {
                looked.call = call;
                looked.again(proc)
            });
            let stat = match same {
                Some(stat) => stat,
                // A process that ended meanwhile is no error.
                None => match Looked::first(proc, pid, call) {
                    Ok((looked, stat)) => {
                        known.processes.insert(pid, looked);
                        Some(stat)
                    }
                    Err(_) => {
                        known.processes.remove(&pid);
                        None
                    }
                },
            };
            if let (Some(looked), Some(stat)) = (known.processes.get(&pid), stat)
                // Dead processes have no memory.
                && looked.kind == Kind::Qemu && stat.virtual_size > 0
                && self.is_wanted(proc, looked.process)
            {
                processes.push((looked.process, stat));
            }
        }
        known.processes.retain(|_, looked| looked.call == call);
        Ok(processes)
    }

    /// Returns the current `stat` of a process found before; `None` if it is no longer a QEMU.
    pub(super) fn again(&self, proc: &Proc, process: Process) -> Option<Stat> {
        let mut known = lock(&self.known);
        let looked = known.processes.get_mut(&process.pid)?;
        if looked.process != process || looked.kind != Kind::Qemu {
            return None;
        }
        let stat = looked.again(proc).flatten()?;
        (stat.virtual_size > 0 && self.is_wanted(proc, process)).then_some(stat)
    }

    fn is_wanted(&self, proc: &Proc, process: Process) -> bool {
        self.user.is_none_or(|user| Folder::new(proc, process).owner() == Some(user))
    }
}

impl Looked {
    /// Classifies a new process.
    fn first(proc: &Proc, pid: u32, call: u64) -> io::Result<(Self, Stat)> {
        let (folder, stat) = Folder::of(proc, pid)?;
        let kind = match stat.is_kernel_thread {
            true => Kind::Kernel,
            false if stat.virtual_size > 0 && may_run_qemu(proc, pid, &stat.comm) => Kind::Qemu,
            false => Kind::Other,
        };
        let (process, name) = (folder.process, stat.comm.clone());
        let mut looked = Self { process, kind, name, file: CachedFile::default(), call };
        // A script with the name of the QEMU that it will execute is examined each time.
        if kind != Kind::Other || !is_named_qemu(&stat.comm) {
            let mut buffer = [0; SMALL];
            // A successful read shows that the process still has this number, so what was read by
            // number was read from it.
            let text = looked.read(&folder, &mut buffer)?;
            if kind == Kind::Other {
                looked.name = String::from_utf8_lossy(text).into_owned();
            }
        }
        Ok((looked, stat))
    }

    fn read<'a>(&mut self, folder: &Folder<'_>, buffer: &'a mut [u8]) -> io::Result<&'a [u8]> {
        let (budget, name) = match self.kind {
            Kind::Qemu => (folder.proc.budget, "stat"),
            _ => (folder.proc.budget.half(), "comm"),
        };
        self.file.read(budget, buffer, || folder.open(name))
    }

    /// Reads a known process again, and returns a QEMU's `stat`; `None` if it must be classified
    /// again.
    fn again(&mut self, proc: &Proc) -> Option<Option<Stat>> {
        if self.kind == Kind::Other && is_named_qemu(&self.name) {
            return None;
        }
        let folder = Folder::new(proc, self.process);
        let mut buffer = [0; SMALL];
        let text = self.read(&folder, &mut buffer).ok()?;
        match self.kind {
            Kind::Qemu => parse_stat(text).filter(|stat| stat.comm == self.name).map(Some),
            Kind::Kernel => Some(None),
            Kind::Other => (text == self.name.as_bytes()).then_some(None),
        }
    }
}

/// Returns whether a process runs a QEMU, or may run one.
fn may_run_qemu(proc: &Proc, pid: u32, comm: &str) -> bool {
    match proc.program(pid) {
        _ if cleans_up(comm) => false,
        Ok(program) => is_qemu(&program) || may_be_qemu(&program),
        Err(_) => is_named_qemu(comm),
    }
}

/// Decides by the program if the caller may read it, else by the process's name.
pub(crate) fn runs_qemu(proc: &Proc, pid: u32, comm: &str) -> bool {
    match proc.program(pid) {
        _ if cleans_up(comm) => false,
        Ok(program) => is_qemu(&program),
        Err(_) => is_named_qemu(comm),
    }
}

/// Returns whether a process is the copy of a QEMU that waits to clean up after it (`-run-with
/// async-teardown=on`), by the name that QEMU gives it: `cleanup/` and QEMU's number.
fn cleans_up(comm: &str) -> bool {
    let number = comm.trim_end().strip_prefix("cleanup/");
    number.is_some_and(|it| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Returns whether a process has the name of a QEMU, cut to the kernel's 15 bytes.
fn is_named_qemu(comm: &str) -> bool {
    is_qemu(comm.trim_end())
}

/// Returns whether a program is a QEMU that emulates a whole machine: `qemu-system-x86_64`, under
/// the names that distributions and launchers give it (`qemu-lite-system-x86_64`,
/// `qemu-system-x86_64-headless`, `qemu-kvm`, `kvm`). If the program of that name is a wrapper, the
/// program it executes has a similar name: `.qemu-system-x86_64-wrapped` on NixOS.
fn is_qemu(program: &str) -> bool {
    const BEHIND_A_WRAPPER: [&str; 8] =
        ["-wrapped", ".wrapped", "-real", ".real", "-bin", ".bin", ".orig", ".distrib"];
    let is_system = program.find("qemu").is_some_and(|start| program[start..].contains("-system-"));
    // NixOS appends an underscore if that name was taken.
    let name = program.trim_start_matches('.').trim_end_matches('_');
    let name = BEHIND_A_WRAPPER.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
    let versions = |rest: &str| rest.starts_with(['-', '.', '_']) || rest.is_empty();
    is_system
        || name.strip_prefix("qemu-kvm").is_some_and(versions)
        || matches!(name, "kvm" | "kvm-spice")
}

/// Returns whether a program may be running a QEMU, to be decided by its command line: the loader
/// (`ld-linux-x86-64.so.2`, `ld-musl-x86_64.so.1`, `ld64.so.2`, `ld-2.31.so`), or a custom name
/// with `qemu` in it. QEMU's other programs (`qemu-img` and the like) are excluded.
fn may_be_qemu(program: &str) -> bool {
    let is_tool = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_digit());
    is_loader(program)
        || program.contains("qemu") && !program.strip_prefix("qemu-").is_some_and(is_tool)
}

fn is_loader(program: &str) -> bool {
    let rest = program.strip_prefix("ld").unwrap_or_default();
    rest.starts_with(['-', '.', '6']) && rest.contains(".so")
}

/// Returns the words of a command line from the QEMU on; `None` for a process that might have run
/// one and does not. Other programs are considered only if the URI names their monitor.
pub(super) fn of_qemu<'a>(words: &'a [String], program: &str) -> Option<&'a [String]> {
    if is_qemu(program) || !may_be_qemu(program) {
        return Some(words);
    }
    if is_loader(program) {
        return without_loader(words);
    }
    // Every VM has one of these options, and no other program has.
    const OPTIONS: [&str; 12] = [
        "machine",
        "M",
        "accel",
        "enable-kvm",
        "nodefaults",
        "display",
        "nographic",
        "qmp",
        "drive",
        "device",
        "netdev",
        "readconfig",
    ];
    let is_option = |word: &String| {
        word.strip_prefix('-').is_some_and(|it| OPTIONS.contains(&it.trim_start_matches('-')))
    };
    words.iter().any(is_option).then_some(words)
}

/// Removes the loader; `None` if it runs anything but a QEMU.
fn without_loader(words: &[String]) -> Option<&[String]> {
    const WITH_VALUE: [&str; 7] = [
        "--library-path",
        "--inhibit-rpath",
        "--audit",
        "--preload",
        "--argv0",
        "--glibc-hwcaps-prepend",
        "--glibc-hwcaps-mask",
    ];
    let mut at = 1;
    while let Some(word) = words.get(at).filter(|word| word.starts_with("--")) {
        at += if WITH_VALUE.contains(&word.as_str()) { 2 } else { 1 };
    }
    let program = words.get(at)?.rsplit('/').next()?;
    is_qemu(program).then(|| &words[at..])
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt, process::Command, time::Duration};

    use super::*;
    use crate::host::process::{
        Budget,
        tests::{Sleeper, in_own_namespace, sleep_named},
    };

    #[test]
    fn cleanup_processes_are_known_by_name() {
        for (comm, expected) in [
            ("cleanup/4711", true),
            ("cleanup/4711\n", true),
            ("cleanup/", false),
            ("cleanup/a", false),
            ("qemu-system-x86", false),
        ] {
            assert_eq!(cleans_up(comm), expected, "{comm}");
        }
    }

    #[test]
    fn recognizes_program_names() {
        for name in [
            "qemu-system-x86_64",
            ".qemu-system-x86_64-wrapped",
            "..qemu-system-x86_64-wrapped-wrapped",
            ".qemu-kvm-wrapped_",
            "qemu-system-x86_64-spice",
            "qemu-system-x86_64-microvm",
            "qemu-system-aarch64-headless",
            "qemu-system-i386.real",
            "qemu-system-x86_64w",
            "qemu-lite-system-x86_64",
            "qemu-virtiofs-system-x86_64",
            "qemu-kvm",
            "qemu-kvm-7.2",
            "kvm",
            "kvm-spice",
            "memfd:qemu-system-x86_64",
        ] {
            assert!(is_qemu(name), "{name}");
            let comm: String = name.chars().take(15).collect();
            assert!(is_named_qemu(&comm) || name.contains("system-x86_64") && comm.len() == 15);
        }
        for name in [
            "qemu-aarch64-static",
            "qemu-x86_64",
            "qemu-img",
            "qemu-nbd",
            "qemu-io",
            "qemu-ga",
            "qemu-storage-daemon",
            "qemu-pr-helper",
            "qemu-bridge-helper",
            "virtiofsd",
            "kvm_stat",
            "lkvm",
            "system-qemu",
            "ld-linux-x86-64.so.2",
            "",
        ] {
            assert!(!is_qemu(name), "{name}");
        }
        for name in [
            "ld-linux-x86-64.so.2",
            "ld-musl-x86_64.so.1",
            "ld64.so.2",
            "ld-2.31.so",
            "ld.so",
            "qemu",
            "qemu9",
            "qemu-9.2",
            "my-qemu",
        ] {
            assert!(!is_qemu(name) && may_be_qemu(name), "{name}");
        }
        for name in
            ["ld", "ldconfig", "ld.gold", "ldap.so", "ld.bfd", "qemu-img", "qemu-arm", "vmm"]
        {
            assert!(!may_be_qemu(name), "{name}");
        }
    }

    #[test]
    fn decides_by_the_command_line() {
        let is_one = |program: &str, text: &str| {
            let words: Vec<_> = text.split(' ').map(str::to_owned).collect();
            of_qemu(&words, program).is_some()
        };
        assert!(is_one("my-qemu", "my-qemu -m 32 --machine pc"));
        assert!(is_one("qemu", "qemu -nographic"));
        assert!(is_one("qemu-system-arm", "qemu-system-arm"));
        assert!(is_one("vmm", "vmm"), "the URI names its monitor");
        assert!(!is_one("virtqemud", "/usr/sbin/virtqemud --timeout 120"));
        assert!(!is_one("run-qemu-tests", "run-qemu-tests machine -v"));
    }

    #[test]
    fn finds_programs_behind_the_loader() {
        let program = |text: &str| {
            let words: Vec<_> = text.split(' ').map(str::to_owned).collect();
            without_loader(&words).map(<[String]>::to_vec)
        };
        let qemu = Some(vec!["/x/qemu-system-x86_64".to_owned(), "-S".to_owned()]);
        assert_eq!(program("/lib64/ld-linux-x86-64.so.2 /x/qemu-system-x86_64 -S"), qemu);
        assert_eq!(
            program("ld.so --inhibit-cache --library-path /l --argv0 a /x/qemu-system-x86_64 -S"),
            qemu
        );
        assert_eq!(program("ld.so /bin/sleep qemu-system-x86_64"), None);
        assert_eq!(program("ld.so --argv0 qemu-system-x86_64"), None);
        assert_eq!(program("ld.so --library-path"), None);
        assert_eq!(program("ld.so"), None);
    }

    #[test]
    fn notices_reused_numbers() {
        if !in_own_namespace("driver::qemu::discovery::processes::tests::notices_reused_numbers") {
            return;
        }
        let qemu = sleep_named("qemu-system-test");
        // Three times the precision of a process's start time.
        let tick = || std::thread::sleep(Duration::from_millis(30));
        for budget in [Budget::of_this_process(), Budget::NONE] {
            let proc = Proc::new("/proc").with_budget(budget);
            let processes = Processes::new(None);
            let list = || -> Vec<Process> {
                processes.list(&proc).unwrap().into_iter().map(|(process, _)| process).collect()
            };
            let other = Sleeper::start("sleep");
            let pid = other.pid();
            assert_eq!(list(), []);
            tick();
            drop(other);
            let first = Sleeper::start_as(pid, &qemu);
            let [found] = list()[..] else { panic!("not found") };
            assert_eq!(found.pid, pid);
            tick();
            drop(first);
            let second = Sleeper::start_as(pid, &qemu);
            let [next] = list()[..] else { panic!("not found") };
            assert!(next.pid == pid && next.start_time > found.start_time);
            tick();
            drop(second);
            let _other = Sleeper::start_as(pid, "sleep");
            assert_eq!(list(), []);
        }
    }

    #[test]
    fn a_script_that_executes_the_qemu_it_is_named_after() {
        let qemu = sleep_named("qemu-system-wrapped");
        let script = qemu.with_file_name("script");
        std::fs::create_dir_all(&script).unwrap();
        let script = script.join("qemu-system-wrapped");
        let text = format!("#!/bin/sh\nread line\nexec {} 1000\n", qemu.display());
        std::fs::write(&script, text).unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut child = Command::new(&script).stdin(std::process::Stdio::piped()).spawn().unwrap();
        let pid = child.id();
        let processes = Processes::new(None);
        let proc = Proc::new("/proc");
        let is_listed = || {
            let list = processes.list(&proc).unwrap();
            list.iter().any(|(process, _)| process.pid == pid)
        };
        while !proc.stat(pid).unwrap().comm.starts_with("qemu-system") {
            std::thread::yield_now();
        }
        assert!(!is_listed(), "still a shell");
        drop(child.stdin.take());
        while proc.program(pid).unwrap() != "qemu-system-wrapped" {
            std::thread::yield_now();
        }
        let found = is_listed();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(found);
    }
}
