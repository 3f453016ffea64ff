//! The transport through a program, usually ssh: its standard input and output are connected to the
//! daemon.

use std::{
    collections::VecDeque,
    ffi::{OsStr, OsString},
    io::{self, Read, Write},
    net::Shutdown,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    process::{Child, ChildStderr, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use super::{Stream, error};
use crate::model::error::{ErrorKind, Result};

/// How many bytes of the program's last error output are kept, and how many lines are shown.
const WORDS_KEPT: usize = 2048;
const LINES_SHOWN: usize = 5;

/// The time that the program has to end after SIGTERM: ssh restores the terminal's echo.
const GRACE: Duration = Duration::from_millis(100);

/// A running program. It shares the caller's terminal, on which ssh asks for passwords.
pub(super) struct Program {
    socket: UnixStream,
    child: Child,
    stderr: Option<ChildStderr>,
    words: VecDeque<u8>,
}

impl Program {
    /// Starts the program. Whether it reaches a daemon is not known yet.
    pub(super) fn start(program: &OsStr, arguments: &[OsString]) -> Result<Self> {
        Self::spawn(program, arguments).map_err(|reason| {
            let program = program.display();
            let what = format!(
                "cannot start '{program}' to connect to the daemon: install it, or name another \
                 program in the URI with command="
            );
            error(ErrorKind::NoConnect, what).because(reason)
        })
    }

    fn spawn(program: &OsStr, arguments: &[OsString]) -> io::Result<Self> {
        let (socket, theirs) = UnixStream::pair()?;
        socket.set_nonblocking(true)?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::from(OwnedFd::from(theirs.try_clone()?)))
            .stdout(Stdio::from(OwnedFd::from(theirs)))
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = child.stderr.take();
        let program = Self { socket, child, stderr, words: VecDeque::new() };
        if let Some(stderr) = &program.stderr {
            rustix::io::ioctl_fionbio(stderr, true)?;
        }
        Ok(program)
    }

    /// Reads the program's error output so far, so that it never blocks on a full pipe.
    fn listen(&mut self) {
        let mut buffer = [0; WORDS_KEPT];
        // Bounded, in case the program never stops writing.
        for _ in 0..64 {
            match self.stderr.as_mut().map(|stderr| stderr.read(&mut buffer)) {
                Some(Ok(length @ 1..)) => {
                    self.words.extend(&buffer[..length]);
                    let excess = self.words.len().saturating_sub(WORDS_KEPT);
                    self.words.drain(..excess);
                }
                _ => break,
            }
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.socket.shutdown(Shutdown::Both);
        let asked = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let deadline = Instant::now() + GRACE;
        while let Ok(None) = self.child.try_wait() {
            if Instant::now() < deadline {
                thread::sleep(Duration::from_millis(1));
                continue;
            }
            // A program of another user, as with sudo, cannot be killed: it ends when it notices
            // the end of its input.
            if asked.is_ok() && self.child.kill().is_ok() {
                let _ = self.child.wait();
            }
            break;
        }
    }
}

impl AsFd for Program {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Stream for Program {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.listen();
        self.socket.read(buffer)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.listen();
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<bool> {
        Ok(true)
    }

    fn last_words(&mut self) -> Option<String> {
        self.listen();
        let text = String::from_utf8_lossy(self.words.make_contiguous());
        let lines: Vec<_> = text
            .split(['\n', '\r'])
            .map(|line| line.replace(|letter: char| letter.is_control(), " ").trim().to_owned())
            .filter(|line| !line.is_empty())
            .collect();
        let shown = lines[lines.len().saturating_sub(LINES_SHOWN)..].join("; ");
        (!shown.is_empty()).then_some(shown)
    }

    fn is_secure(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use domstats_patience as patience;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;

    fn sh(script: &str) -> Program {
        Program::start("sh".as_ref(), &["-c".into(), script.into()]).unwrap()
    }

    /// Waits for bytes, and returns them; returns none at the end.
    fn read(program: &mut Program) -> Vec<u8> {
        let mut buffer = [0; 100];
        loop {
            match program.read(&mut buffer) {
                Ok(length) => return buffer[..length].to_vec(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let mut fds = [PollFd::new(program, PollFlags::IN)];
                    let timeout = Timespec { tv_sec: 60, tv_nsec: 0 };
                    assert_eq!(poll(&mut fds, Some(&timeout)).unwrap(), 1, "nothing arrives");
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    #[track_caller]
    fn assert_gone(program: Program, at_most: Duration) {
        let process = format!("/proc/{}", program.child.id());
        assert!(fs::exists(&process).unwrap());
        let ((), time) = patience::time(|| drop(program));
        time.assert_within(at_most);
        assert!(!fs::exists(&process).unwrap());
    }

    #[test]
    fn bytes_pass_in_both_directions() {
        let mut program = sh("exec cat");
        assert!(program.is_secure() && program.flush().unwrap());
        let nothing = program.read(&mut [0; 10]).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        for bytes in [&b"there\0"[..], b"\xff and back"] {
            assert_eq!(program.write(bytes).unwrap(), bytes.len());
            assert_eq!(read(&mut program), bytes);
        }
        assert_eq!(program.last_words(), None);
        assert_gone(program, GRACE);
    }

    #[test]
    fn writing_to_a_full_pipe_does_not_block() {
        let mut program = sh("exec sleep 60");
        let error = loop {
            if let Err(error) = program.write(&[0; 4096]) {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert_gone(program, GRACE);
    }

    #[test]
    fn the_last_lines_of_error_output_are_kept() {
        let mut program =
            sh(r"printf '1\n2\n3\n\n4\r\n5\n\033[31mDenied\t(publickey).\r\n' >&2; exit 255");
        assert_eq!(read(&mut program), b"");
        let words = program.last_words();
        assert_eq!(words.as_deref(), Some("2; 3; 4; 5; [31mDenied (publickey)."));
        // Reading them does not consume them.
        assert_eq!(program.last_words(), words);
        assert_gone(program, GRACE);
    }

    #[test]
    fn excess_error_output_is_dropped_and_does_not_stop_the_program() {
        let mut program = sh(
            "for i in 1 2 3 4 5 6 7 8 9; do head -c 20000 /dev/zero >&2; echo $i; done; echo end >&2",
        );
        let mut said = Vec::new();
        while !said.contains(&b'9') {
            said.extend(read(&mut program));
        }
        assert_eq!(read(&mut program), b"");
        assert_eq!(program.last_words().as_deref(), Some("end"));
        assert!(program.words.len() <= WORDS_KEPT);
    }

    #[test]
    fn a_program_that_ignores_everything_is_killed() {
        let mut program = sh("trap '' TERM HUP; echo ready; while :; do sleep 0.01; done");
        assert_eq!(read(&mut program), b"ready\n");
        assert_gone(program, GRACE + Duration::from_secs(1));
    }

    #[test]
    fn a_program_may_clean_up_before_it_ends() {
        let file = std::env::temp_dir().join(format!("domstats-tidy-{}", std::process::id()));
        // It ignores the end of its input, which comes before the signal.
        let script = format!(
            "trap 'echo tidy >{}; exit' TERM; echo ready; while :; do sleep 0.01; done",
            file.display()
        );
        // On a busy machine, it may take longer than the grace time.
        let tidies = (0..20).any(|_| {
            let mut program = sh(&script);
            assert_eq!(read(&mut program), b"ready\n");
            assert_gone(program, GRACE + Duration::from_secs(1));
            fs::read_to_string(&file).is_ok_and(|text| text == "tidy\n")
        });
        assert!(tidies);
        fs::remove_file(file).unwrap();
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = Program::start("/none/ssh".as_ref(), &[]).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::NoConnect);
        assert!(error.to_string().contains("'/none/ssh'"), "{error}");
    }
}
