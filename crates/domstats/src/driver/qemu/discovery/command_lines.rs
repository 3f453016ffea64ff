//! Reads command lines so that a stuck process cannot hold up a call.
//!
//! `/proc/PID/cmdline` waits for the process's memory lock, for as long as the process is stuck in
//! the kernel. So each is read once, by a [`BlockingCall`], and a call waits for it only as long as
//! it can afford; a line that arrives late serves the next call. Once a call has waited without
//! success, later calls do not wait, unless they have more than twice as much time.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use crate::{
    driver::qemu::discovery::{
        command_line::{CommandLine, ReadFile},
        config_file,
        processes::of_qemu,
    },
    host::{
        blocking::{Blocked, BlockingCall},
        process::{Folder, Process},
        procfs::Proc,
    },
    model::name::shortened,
    sync::{lock, unpoisoned},
};

/// The command lines that have been read or are being read.
#[derive(Debug, Default)]
pub(super) struct CommandLines {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    lines: Mutex<HashMap<Process, Line>>,
    changed: Condvar,
}

/// One command line.
#[derive(Debug)]
struct Line {
    reading: Reading,
    /// While reading is in flight: what is known without the files that the command line names.
    known: Option<Arc<CommandLine>>,
    /// The longest that a call waited without success.
    waited: Duration,
}

impl Line {
    fn new(reading: Reading) -> Self {
        Self { reading, known: None, waited: Duration::ZERO }
    }

    /// Returns whether the result applies to a process of this name.
    fn is_of(&self, name: &str) -> bool {
        !matches!(&self.reading, Reading::NoQemu(its) if its != name)
    }

    fn is_going(&self) -> bool {
        matches!(self.reading, Reading::Going)
    }

    /// Returns the result so far.
    fn so_far(&self) -> Reading {
        match (&self.reading, &self.known) {
            (Reading::Going, Some(known)) => Reading::Done(Some(Arc::clone(known))),
            (reading, _) => reading.clone(),
        }
    }
}

/// The state of reading a command line.
#[derive(Debug, Clone)]
pub(super) enum Reading {
    /// Reading has not finished, or the process has no arguments yet.
    Going,
    /// The command line, or `None` if the caller lacks the right to read it.
    Done(Option<Arc<CommandLine>>),
    /// The process is no QEMU as long as it has this name: another program has another name.
    NoQemu(String),
}

impl CommandLines {
    /// Returns the command lines of these processes, given with their names, in the same order, as
    /// far as they were read by the deadline. Forgets all others.
    pub(super) fn get(
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
            // Starts as many reads as there are threads available; each finished read frees one.
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
            (lines, _) = unpoisoned(waited);
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

    /// Starts reading; storing the result waits for the lock that the caller holds.
    fn read(
        &self,
        proc: &Proc,
        process: Process,
        name: &str,
        user: Option<u32>,
    ) -> Result<(), Blocked> {
        // Distinguishes this connection's reads: another connection does not receive their results.
        let (start, holder) = (process.start_time, Arc::as_ptr(&self.shared));
        let path = proc.of(process.pid, &format!("cmdline since {start} for {holder:p}"));
        let (shared, proc, name) = (Arc::clone(&self.shared), proc.clone(), name.to_owned());
        let told = Arc::clone(&shared);
        let read = move || {
            let program = || proc.program(process.pid).ok();
            let before = program();
            let words = proc.command_line(process.pid).ok();
            // A program has its name a moment before its arguments, and the arguments may still be
            // those of the previous program: the next call reads again.
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
        BlockingCall { user, path }.begin(read, tell)
    }
}

impl Shared {
    fn lines(&self) -> MutexGuard<'_, HashMap<Process, Line>> {
        lock(&self.lines)
    }

    /// Parses the words of a command line, and the files that they name.
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
            // The process's name shows that it is a QEMU.
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
            Err(format!("the storage of {name} (-readconfig) does not answer"))
        };
        // The file may be on dead storage; until it is read, the rest is known.
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
        // A pipe without a writer blocks its reader, like the file of a stuck process.
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
        // After one wait without success, it does not hold up a call with as much time.
        let (names, time) = get(1_000);
        assert_eq!(names, [None, Some("free".into())]);
        time.assert_within(Duration::from_millis(500));

        // The process continues: the late line serves the next call.
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

    /// The process executes another program after its program was read, and before its words are.
    #[test]
    fn a_process_that_runs_another_program_while_being_read_is_read_again() {
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
        // Waits for the reader, which has read the program by then.
        let mut pipe = fs::OpenOptions::new().write(true).open(&words).unwrap();
        fs::remove_file(&exe).unwrap();
        std::os::unix::fs::symlink("/usr/bin/qemu-system-x86_64", &exe).unwrap();
        fs::remove_file(&words).unwrap();
        fs::write(&words, "kvm\0-name\0vm\0").unwrap();
        pipe.write_all(b"run-qemu\0-nodefaults\0-name\0launcher\0").unwrap();
        drop(pipe);
        // The first read ends before this call or while it waits; then the process is read again.
        let mut told = get(PATIENCE);
        if matches!(told, Reading::Going) {
            told = get(PATIENCE);
        }
        let Reading::Done(Some(line)) = told else { panic!("not read: {told:?}") };
        assert_eq!(line.name.as_deref(), Some("vm"), "the words of the previous program");
        fs::remove_dir_all(&root).unwrap();
    }
}
