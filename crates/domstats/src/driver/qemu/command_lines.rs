//! Reads command lines where a stuck process cannot hold up a call.
//!
//! `/proc/PID/cmdline` waits for the process's memory lock, for as long as the process is stuck in
//! the kernel. So each is read once, on a thread of its own, and a call waits for it no longer
//! than it can afford; a line that comes late serves the next call.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::Instant,
};

use super::{command_line::CommandLine, config_file, processes::of_qemu};
use crate::host::{
    process::{Folder, Process},
    procfs::Proc,
};

/// The command lines that were read or are being read.
#[derive(Debug, Default)]
pub(crate) struct CommandLines {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    lines: Mutex<HashMap<Process, Reading>>,
    changed: Condvar,
}

/// How far the reading of a command line is.
#[derive(Debug, Clone)]
pub(crate) enum Reading {
    /// It has not come back, or the process has no arguments yet.
    Going,
    /// It gave the line, or nothing to a caller without the right.
    Done(Option<Arc<CommandLine>>),
    /// It is no QEMU, as long as the process has this name: with another program it has another one.
    /// Or it is one that only waits for its daemon.
    NoQemu(String),
}

impl CommandLines {
    /// Returns the command lines of these processes, each with its name, in their order, as far as they
    /// were read by the deadline. Forgets all others.
    pub(crate) fn get(
        &self,
        proc: &Proc,
        processes: &[(Process, &str)],
        deadline: Instant,
    ) -> Vec<Reading> {
        let mut lines = self.shared.lines.lock().unwrap_or_else(PoisonError::into_inner);
        for (process, name) in processes {
            let is_known = match lines.get(process) {
                Some(Reading::NoQemu(its)) => its == name,
                known => known.is_some(),
            };
            // Without a thread to be had, the next call tries again.
            if !is_known && self.read(proc.clone(), *process, (*name).to_owned()) {
                lines.insert(*process, Reading::Going);
            }
        }
        if lines.len() > processes.len() {
            let processes: HashSet<_> = processes.iter().map(|(process, _)| process).collect();
            lines.retain(|process, reading| {
                matches!(reading, Reading::Going) || processes.contains(process)
            });
        }
        let is_going = |lines: &HashMap<Process, Reading>| {
            processes.iter().any(|(process, _)| matches!(lines.get(process), Some(Reading::Going)))
        };
        while is_going(&lines) {
            let time = deadline.saturating_duration_since(Instant::now());
            if time.is_zero() {
                break;
            }
            let waited = self.shared.changed.wait_timeout(lines, time);
            (lines, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        let reading = |(process, _): &_| lines.get(process).cloned().unwrap_or(Reading::Going);
        processes.iter().map(reading).collect()
    }

    /// Starts to read; the thread's result waits for the lock that the caller holds.
    fn read(&self, proc: Proc, process: Process, name: String) -> bool {
        let shared = Arc::clone(&self.shared);
        let read = move || {
            let program = || proc.program(process.pid).ok();
            let before = program();
            let words = proc.command_line(process.pid).ok();
            // A program has its name a moment before its arguments, and those that were read may be of the
            // program before: the next call reads again.
            let is_starting = words.as_ref().is_some_and(|words| words.concat().is_empty())
                || program() != before;
            let daemon =
                words.as_ref().map_or(Daemon::No, |words| Daemon::of(&proc, process, words));
            let is_starting = is_starting || daemon == Daemon::Begins;
            let reading = match words {
                Some(_) if daemon == Daemon::IsAwaited => Reading::NoQemu(name),
                Some(words) => reading(&proc, process, name, before, &words),
                None => Reading::Done(None),
            };
            let mut lines = shared.lines.lock().unwrap_or_else(PoisonError::into_inner);
            if is_starting {
                lines.remove(&process);
            } else {
                lines.insert(process, reading);
            }
            shared.changed.notify_all();
        };
        thread::Builder::new().name("command line".to_owned()).spawn(read).is_ok()
    }
}

/// What a process has to do with the daemon that `-daemonize` makes.
///
/// ```text
/// QEMU, waits until the daemon is ready ── makes the session, ends ── the daemon
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Daemon {
    /// It is the daemon, or there is none.
    No,
    /// It waits for the daemon, and has its command line: for a while there seem to be two.
    IsAwaited,
    /// The daemon is being made.
    Begins,
}

impl Daemon {
    fn of(proc: &Proc, process: Process, words: &[String]) -> Self {
        let is_asked_for = |word: &String| matches!(word.as_str(), "-daemonize" | "--daemonize");
        if !words.iter().any(is_asked_for) {
            return Self::No;
        }
        let alive = |pid| Some(Folder::of(proc, pid).ok()?.1).filter(|stat| stat.virtual_size > 0);
        let Some(stat) = alive(process.pid) else { return Self::No };
        // A daemon made no session itself, the process that did so for it is of the same namespace, and
        // has ended.
        let Some(maker) = stat.session.filter(|maker| *maker != process.pid) else {
            return Self::IsAwaited;
        };
        match alive(maker) {
            None => Self::No,
            Some(_) if proc.program(maker).ok() == proc.program(process.pid).ok() => Self::Begins,
            Some(_) => Self::IsAwaited,
        }
    }
}

fn reading(
    proc: &Proc,
    process: Process,
    name: String,
    program: Option<String>,
    words: &[String],
) -> Reading {
    let words = match program {
        Some(program) => of_qemu(words, &program),
        // Its name tells that it is one.
        None => Some(words),
    };
    let file = |name: &str| config_file::read(proc, process, name);
    words.map_or(Reading::NoQemu(name), |words| {
        let mut line = CommandLine::parse(words, &file);
        if line.sockets().any(|socket| socket.path().is_some_and(Path::is_relative)) {
            line.started_in = Folder::new(proc, process).started_in();
        }
        Reading::Done(Some(Arc::new(line)))
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write, time::Duration};

    use domstats_patience::{PATIENCE, Stopwatch};
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn a_blocked_command_line_holds_up_neither_the_call_nor_the_others() {
        let root = std::env::temp_dir().join(format!("domstats-proc-{}", std::process::id()));
        fs::create_dir_all(root.join("1")).unwrap();
        fs::create_dir_all(root.join("2")).unwrap();
        // A pipe without a writer blocks its reader, as the file of a stuck process does.
        let blocked = root.join("1/cmdline");
        mknodat(CWD, &blocked, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        fs::write(root.join("2/cmdline"), "kvm\0-name\0free\0").unwrap();

        let proc = Proc::new(&root);
        let processes = [1, 2].map(|pid| (Process { pid, start_time: 7 }, "kvm"));
        let lines = CommandLines::default();
        let get = |time: u64| {
            let stopwatch = Stopwatch::start();
            let deadline = Instant::now() + Duration::from_millis(time);
            let names = lines.get(&proc, &processes, deadline).into_iter().map(|line| match line {
                Reading::Done(line) => line.and_then(|line| line.name.clone()),
                _ => None,
            });
            (names.collect::<Vec<_>>(), stopwatch.time())
        };
        let (names, time) = get(1_000);
        assert_eq!(names, [None, Some("free".into())]);
        time.assert_within(Duration::from_secs(2));

        // It goes on: the line that comes late serves the next call.
        fs::write(&blocked, "kvm\0-name\0late\0").unwrap();
        let (names, _) = get(60_000);
        assert_eq!(names, [Some("late".into()), Some("free".into())]);
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn a_process_that_has_no_arguments_yet_is_read_again() {
        let root = std::env::temp_dir().join(format!("domstats-start-{}", std::process::id()));
        fs::create_dir_all(root.join("1")).unwrap();
        fs::write(root.join("1/cmdline"), "").unwrap();
        let lines = CommandLines::default();
        let get = || {
            let deadline = Instant::now() + PATIENCE;
            lines
                .get(&Proc::new(&root), &[(Process { pid: 1, start_time: 7 }, "kvm")], deadline)
                .remove(0)
        };
        assert!(matches!(get(), Reading::Going));
        fs::write(root.join("1/cmdline"), "kvm\0-name\0started\0").unwrap();
        let Reading::Done(Some(line)) = get() else { panic!("not read") };
        assert_eq!(line.name.as_deref(), Some("started"));
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn a_process_that_runs_another_program_is_read_again() {
        let root = std::env::temp_dir().join(format!("domstats-launcher-{}", std::process::id()));
        fs::create_dir_all(root.join("1")).unwrap();
        let run = |program: &str, line: &str| {
            let _ = fs::remove_file(root.join("1/exe"));
            std::os::unix::fs::symlink(program, root.join("1/exe")).unwrap();
            fs::write(root.join("1/cmdline"), line).unwrap();
        };
        let lines = CommandLines::default();
        let get = |name: &str| {
            let deadline = Instant::now() + PATIENCE;
            let process = Process { pid: 1, start_time: 7 };
            lines.get(&Proc::new(&root), &[(process, name)], deadline).remove(0)
        };
        run("/usr/bin/qemu-9-launcher", "qemu-9-launcher\0vm\0");
        assert!(matches!(get("qemu-9-launcher"), Reading::NoQemu(_)));
        run("/usr/bin/qemu-system-x86_64", "kvm\0-name\0vm\0");
        assert!(matches!(get("qemu-9-launcher"), Reading::NoQemu(_)), "it was read once");
        assert!(matches!(get("qemu-system-x86"), Reading::Done(Some(_))));
        fs::remove_dir_all(&root).unwrap();
    }

    /// The process becomes another program after its program was looked at, and before its words are.
    #[test]
    fn a_process_that_changes_its_program_while_it_is_read_is_read_again() {
        let root = std::env::temp_dir().join(format!("domstats-exec-{}", std::process::id()));
        fs::create_dir_all(root.join("1")).unwrap();
        let (exe, words) = (root.join("1/exe"), root.join("1/cmdline"));
        std::os::unix::fs::symlink("/usr/bin/run-qemu", &exe).unwrap();
        mknodat(CWD, &words, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let lines = CommandLines::default();
        let get = |time: Duration| {
            let process = Process { pid: 1, start_time: 7 };
            let deadline = Instant::now() + time;
            lines.get(&Proc::new(&root), &[(process, "run-qemu")], deadline).remove(0)
        };
        assert!(matches!(get(Duration::ZERO), Reading::Going));
        // Waits for the reader, which knows the program by then.
        let mut pipe = fs::OpenOptions::new().write(true).open(&words).unwrap();
        fs::remove_file(&exe).unwrap();
        std::os::unix::fs::symlink("/usr/bin/qemu-system-x86_64", &exe).unwrap();
        fs::remove_file(&words).unwrap();
        fs::write(&words, "kvm\0-name\0vm\0").unwrap();
        pipe.write_all(b"run-qemu\0-nodefaults\0-name\0launcher\0").unwrap();
        drop(pipe);
        assert!(matches!(get(PATIENCE), Reading::Going), "neither program's words are believed");
        let Reading::Done(Some(line)) = get(PATIENCE) else { panic!("not read") };
        assert_eq!(line.name.as_deref(), Some("vm"));
        fs::remove_dir_all(&root).unwrap();
    }
}
