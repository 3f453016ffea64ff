//! Reads command lines where a stuck process cannot hold up a call.
//!
//! `/proc/PID/cmdline` waits for the process's memory lock, for as long as the process is stuck in
//! the kernel. So each is read once, by an [errand](crate::host::errands), and a call waits for it no longer than it
//! can afford; a line that comes late serves the next call. One that was awaited in vain holds up no later call, unless
//! that has more than twice as long.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    command_line::{CommandLine, ReadFile},
    config_file,
    processes::of_qemu,
};
use crate::{
    host::{
        errands::{Errand, Stuck},
        process::{Folder, Process},
        procfs::Proc,
    },
    name::shortened,
};

/// The command lines that were read or are being read.
#[derive(Debug, Default)]
pub(crate) struct CommandLines {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    lines: Mutex<HashMap<Process, Line>>,
    changed: Condvar,
}

/// A command line.
#[derive(Debug)]
struct Line {
    reading: Reading,
    /// While it is being read: what is known without the files that it names.
    known: Option<Arc<CommandLine>>,
    /// How long a call waited in vain.
    waited: Duration,
}

impl Line {
    fn new(reading: Reading) -> Self {
        Self { reading, known: None, waited: Duration::ZERO }
    }

    /// Returns whether it need not be read for a process of this name.
    fn is_of(&self, name: &str) -> bool {
        !matches!(&self.reading, Reading::NoQemu(its) if its != name)
    }

    fn is_going(&self) -> bool {
        matches!(self.reading, Reading::Going)
    }

    /// Returns what there is of it.
    fn so_far(&self) -> Reading {
        match (&self.reading, &self.known) {
            (Reading::Going, Some(known)) => Reading::Done(Some(Arc::clone(known))),
            (reading, _) => reading.clone(),
        }
    }
}

/// How far the reading of a command line is.
#[derive(Debug, Clone)]
pub(crate) enum Reading {
    /// It has not come back, or the process has no arguments yet.
    Going,
    /// It gave the line, or nothing to a caller without the right.
    Done(Option<Arc<CommandLine>>),
    /// It is no QEMU, as long as the process has this name: with another program it has another one.
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
        let start = Instant::now();
        let patience = deadline.saturating_duration_since(start);
        let mut lines = self.shared.lines();
        let is_unknown =
            |process, name: &str| lines.get(process).is_none_or(|line: &Line| !line.is_of(name));
        let unknown = processes.iter().filter(|(process, name)| is_unknown(process, name));
        let mut unknown: Vec<_> = unknown
            .map(|(process, name)| (*process, *name, Folder::new(proc, *process).owner()))
            .collect();
        if lines.len() > processes.len() {
            let processes: HashSet<_> = processes.iter().map(|(process, _)| process).collect();
            lines.retain(|process, line| line.is_going() || processes.contains(process));
        }
        loop {
            // As many as threads are to be had for: with each that is done, there is another.
            let mut without = HashSet::new();
            unknown.retain(|(process, name, user)| {
                if without.contains(user) {
                    return true;
                }
                if self.read(proc, *process, name, *user).is_err() {
                    return without.insert(*user);
                }
                lines.insert(*process, Line::new(Reading::Going));
                false
            });
            let may_come = |(process, _): &(Process, &str)| {
                lines.get(process).is_some_and(|line| {
                    line.is_going() && (line.waited.is_zero() || line.waited < patience / 2)
                })
            };
            let time = deadline.saturating_duration_since(Instant::now());
            if time.is_zero() || !processes.iter().any(may_come) {
                break;
            }
            let waited = self.shared.changed.wait_timeout(lines, time);
            (lines, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        let waited = start.elapsed();
        let mut reading = |(process, _): &(Process, &str)| {
            let Some(line) = lines.get_mut(process) else { return Reading::Going };
            if line.is_going() {
                line.waited = line.waited.max(waited);
            }
            line.so_far()
        };
        processes.iter().map(&mut reading).collect()
    }

    /// Begins to read; the result waits for the lock that the caller holds.
    fn read(
        &self,
        proc: &Proc,
        process: Process,
        name: &str,
        user: Option<u32>,
    ) -> Result<(), Stuck> {
        // For those of this connection: another one hears nothing of what comes of it.
        let (start, whose) = (process.start_time, Arc::as_ptr(&self.shared));
        let path = proc.of(process.pid, &format!("cmdline since {start} for {whose:p}"));
        let (shared, proc, name) = (Arc::clone(&self.shared), proc.clone(), name.to_owned());
        let told = Arc::clone(&shared);
        let read = move || {
            let program = || proc.program(process.pid).ok();
            let before = program();
            let words = proc.command_line(process.pid).ok();
            // A program has its name a moment before its arguments, and those that were read may be of the
            // program before: the next call reads again.
            let is_starting = words.as_ref().is_some_and(|words| words.concat().is_empty())
                || program() != before;
            let reading = words.map_or(Reading::Done(None), |words| {
                shared.reading(&proc, process, name, before, &words)
            });
            (!is_starting).then_some(reading)
        };
        let tell = move |reading| {
            let mut lines = told.lines();
            match reading {
                Some(reading) => _ = lines.insert(process, Line::new(reading)),
                None => _ = lines.remove(&process),
            }
            told.changed.notify_all();
        };
        Errand { user, path }.begin(read, tell)
    }
}

impl Shared {
    fn lines(&self) -> MutexGuard<'_, HashMap<Process, Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the words of a command line, and the files that they name.
    fn reading(
        &self,
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
        let Some(words) = words else { return Reading::NoQemu(name) };
        let parse = |file: ReadFile<'_>| {
            let mut line = CommandLine::parse(words, file);
            if line.sockets().any(|socket| socket.path().is_some_and(Path::is_relative)) {
                line.started_in = Folder::new(proc, process).started_in();
            }
            Arc::new(line)
        };
        let unread = |name: &str| {
            let name = shortened(name);
            Err(format!("the storage where {name} (-readconfig) is does not answer"))
        };
        // Such a file may be on dead storage: the rest is known meanwhile.
        let known = parse(&unread);
        if known.unread.is_none() {
            return Reading::Done(Some(known));
        }
        if let Some(line) = self.lines().get_mut(&process) {
            line.known = Some(known);
        }
        let file = |name: &str| config_file::read(proc, process, name);
        Reading::Done(Some(parse(&file)))
    }
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
        // It was awaited in vain, and holds up no call that has as long.
        let (names, time) = get(1_000);
        assert_eq!(names, [None, Some("free".into())]);
        time.assert_within(Duration::from_millis(500));

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
        // The first reading ends before this call or while it waits; then it is read again.
        let mut told = get(PATIENCE);
        if matches!(told, Reading::Going) {
            told = get(PATIENCE);
        }
        let Reading::Done(Some(line)) = told else { panic!("not read: {told:?}") };
        assert_eq!(line.name.as_deref(), Some("vm"), "the words of the program before");
        fs::remove_dir_all(&root).unwrap();
    }
}
