//! The way through a program, most often ssh: its standard input and output lead to the daemon.

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

/// How much of what the program says last is kept, and how many lines of it are shown.
const WORDS_KEPT: usize = 2048;
const LINES_SHOWN: usize = 5;

/// The time that the program has to end when it is asked to: ssh gives the terminal its echo back.
const GRACE: Duration = Duration::from_millis(100);

/// A running program. It shares our terminal, on which ssh asks for passwords.
pub(super) struct Program {
    socket: UnixStream,
    child: Child,
    stderr: Option<ChildStderr>,
    words: VecDeque<u8>,
}

impl Program {
    /// Starts it. Nothing is known yet of the daemon behind it.
    pub(super) fn start(program: &OsStr, arguments: &[OsString]) -> Result<Self> {
        Self::spawn(program, arguments).map_err(|reason| {
            let program = program.display();
            let what = format!(
                "cannot start '{program}', which leads to the daemon: install it, or name another \
                 in the URI with command="
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

    /// Takes what the program has said so far, so that it never waits until it can say more.
    fn listen(&mut self) {
        let mut buffer = [0; WORDS_KEPT];
        // At most this often, for one that never stops talking.
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
            // One of another user, as with sudo, cannot be killed: it ends when it sees that its
            // input did.
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

    /// Waits for bytes, and returns them; none at the end.
    fn read(program: &mut Program) -> Vec<u8> {
        let mut buffer = [0; 100];
        loop {
            match program.read(&mut buffer) {
                Ok(length) => return buffer[..length].to_vec(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let mut fds = [PollFd::new(program, PollFlags::IN)];
                    let timeout = Timespec { tv_sec: 60, tv_nsec: 0 };
                    assert_eq!(poll(&mut fds, Some(&timeout)).unwrap(), 1, "nothing comes");
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
    fn bytes_go_there_and_back() {
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
    fn a_full_pipe_is_no_reason_to_wait() {
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
    fn the_last_words_of_a_program_are_known() {
        let mut program =
            sh(r"printf '1\n2\n3\n\n4\r\n5\n\033[31mDenied\t(publickey).\r\n' >&2; exit 255");
        assert_eq!(read(&mut program), b"");
        let words = program.last_words();
        assert_eq!(words.as_deref(), Some("2; 3; 4; 5; [31mDenied (publickey)."));
        // They stay.
        assert_eq!(program.last_words(), words);
        assert_gone(program, GRACE);
    }

    #[test]
    fn a_program_that_says_too_much_is_cut_short_and_goes_on() {
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
    fn a_program_may_tidy_up_before_it_ends() {
        let file = std::env::temp_dir().join(format!("domstats-tidy-{}", std::process::id()));
        // It does not end with its input, which ends first.
        let script = format!(
            "trap 'echo tidy >{}; exit' TERM; echo ready; while :; do sleep 0.01; done",
            file.display()
        );
        // On a busy machine it may be too slow for its time.
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
    fn a_program_that_is_not_installed_is_named() {
        let error = Program::start("/none/ssh".as_ref(), &[]).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::NoConnect);
        assert!(error.to_string().contains("'/none/ssh'"), "{error}");
    }
}
