//! A QEMU whose monitor misbehaves, in ways that a real one cannot be made to.
//!
//! It is a process of its own, with the name and arguments of a QEMU, so that it is found like one:
//! `fake-qemu` of this package, started under the name `qemu-system-x86_64`.

use std::{
    fs,
    io::{self, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command},
    str::FromStr,
    thread,
    time::Duration,
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use serde_json::{Value, json};

use crate::{
    lab::lab,
    patience::{PATIENCE, wait_until},
    process,
    recording::Recording,
};

/// The environment variable that tells the process its fault.
const FAULT: &str = "FAKE_QEMU_FAULT";

/// How a fake monitor behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Like QEMU.
    None,
    /// Accepts a client and sends nothing.
    Mute,
    /// Sends the greeting of another protocol.
    WrongGreeting,
    /// Sends half of its greeting.
    HalfGreeting,
    /// Sends half of a reply, then nothing.
    HalfAnswer,
    /// Sends half of a reply, then closes.
    HalfAnswerAndClose,
    /// Replies with bytes that are not JSON.
    Garbage,
    /// Replies with deeply nested brackets.
    Nested,
    /// Replies with a line of 100 MB.
    LongLine,
    /// Sends endless events, and no reply.
    EventStorm,
    /// Replies correctly, with an event before each reply.
    Events,
    /// Replies correctly, after a reply for the previous client.
    Leftover,
    /// Replies to every query with a number.
    WrongType,
    /// Replies correctly, but each reply takes this many milliseconds.
    Slow(u64),
    /// Like an older QEMU that lacks a command.
    Lacks(String),
    /// Replays the replies of a QEMU that were recorded in this directory.
    Recorded(PathBuf),
    /// Replies correctly, and has this many descriptors, some of which come and go.
    Crowded(u64),
    /// Replies to a command with a list of this many equal elements.
    Many {
        /// The command.
        command: String,
        /// How many.
        count: usize,
        /// The element, in JSON.
        element: String,
    },
    /// Starts a reply of this many MiB, and does not end it.
    HalfLine(usize),
    /// Has no monitor, despite its command line.
    Idle,
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (word, rest) = text.split_once(':').unwrap_or((text, ""));
        let unknown = || format!("no fault {text}");
        Ok(match word {
            "none" => Self::None,
            "mute" => Self::Mute,
            "wrong-greeting" => Self::WrongGreeting,
            "half-greeting" => Self::HalfGreeting,
            "half-answer" => Self::HalfAnswer,
            "half-answer-and-close" => Self::HalfAnswerAndClose,
            "garbage" => Self::Garbage,
            "nested" => Self::Nested,
            "long-line" => Self::LongLine,
            "event-storm" => Self::EventStorm,
            "events" => Self::Events,
            "leftover" => Self::Leftover,
            "wrong-type" => Self::WrongType,
            "slow" => Self::Slow(rest.parse().map_err(|_| unknown())?),
            "lacks" => Self::Lacks(rest.to_owned()),
            "recorded" => Self::Recorded(rest.into()),
            "crowded" => Self::Crowded(rest.parse().map_err(|_| unknown())?),
            "many" => {
                let (count, rest) = rest.split_once(':').ok_or_else(unknown)?;
                let (command, element) = rest.split_once(':').ok_or_else(unknown)?;
                let count = count.parse().map_err(|_| unknown())?;
                Self::Many { command: command.to_owned(), count, element: element.to_owned() }
            }
            "half-line" => Self::HalfLine(rest.parse().map_err(|_| unknown())?),
            "idle" => Self::Idle,
            _ => return Err(unknown()),
        })
    }
}

/// A running fake. Killed on drop.
#[derive(Debug)]
pub struct Fake {
    /// Its domain's name.
    pub name: String,
    /// Its pid.
    pub pid: u32,
    /// The socket of its monitor.
    pub monitor: PathBuf,
    process: Child,
}

impl Fake {
    /// Starts a fake: `program` is the path of `fake-qemu`, `fault` a word such as `garbage`,
    /// `slow:300`, `lacks:query-dirty-rate` or `recorded:DIRECTORY`.
    ///
    /// Tests find the program as `env!("CARGO_BIN_EXE_fake-qemu")`.
    #[must_use]
    pub fn start(program: &str, fault: &str) -> Self {
        let recorded = matches!(fault.parse().unwrap(), Fault::Recorded(_));
        // The balloon's path is unknown: it is searched for, as it was in the recording.
        let balloon = ["-device", "virtio-balloon-pci"];
        let options: &[&str] = if recorded { &balloon } else { &[] };
        let name = lab().name("fake");
        let dir = lab().path(&name);
        fs::create_dir_all(&dir).unwrap();
        Self::spawn(name, &dir, program, fault, options, |program| lab().command_at(program))
            .listening()
    }

    /// As [`Fake::start`], but as the user `nobody`.
    #[must_use]
    pub fn start_as_nobody(program: &str, fault: &str) -> Self {
        Self::as_nobody(program, fault, &[]).listening()
    }

    /// Starts a process of the user `nobody` that looks like a QEMU with these options, and does
    /// nothing.
    #[must_use]
    pub fn idle(program: &str, options: &[&str]) -> Self {
        let fake = Self::as_nobody(program, "idle", options);
        let name = format!("/proc/{}/comm", fake.pid);
        let is_it = || fs::read_to_string(&name).unwrap().starts_with("qemu-system");
        wait_until(PATIENCE, "the fake runs", is_it);
        fake
    }

    fn as_nobody(program: &str, fault: &str, options: &[&str]) -> Self {
        let name = lab().name("fake");
        let dir = lab().directory_of_nobody(&name);
        let command = |program: &Path| lab().command_as_nobody(program);
        Self::spawn(name, &dir, program, fault, options, command)
    }

    fn spawn(
        name: String,
        dir: &Path,
        program: &str,
        fault: &str,
        options: &[&str],
        command: impl FnOnce(&Path) -> Command,
    ) -> Self {
        let disguise = dir.join("qemu-system-x86_64");
        fs::copy(program, &disguise).unwrap();
        let monitor = dir.join("qmp");
        let listener = format!("unix:{},server=on,wait=off", monitor.display());
        let guest = format!("guest={name}");
        let process = command(&disguise)
            .args(["-name", &guest, "-nodefaults", "-m", "16", "-smp", "2,maxcpus=4"])
            .args((fault != "idle").then_some(["-qmp", &listener]).into_iter().flatten())
            .args(options)
            .env(FAULT, fault)
            .spawn()
            .unwrap();
        Self { name, pid: process.id(), monitor, process }
    }

    fn listening(self) -> Self {
        // Its socket exists a moment before it listens.
        wait_until(PATIENCE, "the fake listens", || process::listens(&self.monitor));
        self
    }

    /// Returns the commands that it got, in order, without those of the negotiation.
    #[must_use]
    pub fn commands(&self) -> Vec<String> {
        let text = fs::read_to_string(commands_beside(&self.monitor)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

/// Returns the file in which a fake logs the commands it gets.
fn commands_beside(monitor: &Path) -> PathBuf {
    monitor.with_extension("commands")
}

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The main function of the process: listens where `-qmp` says and serves one client after another.
///
/// # Errors
///
/// If its arguments or environment are not those of [`Fake::start`], or it cannot listen.
pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    let fault: Fault = std::env::var(FAULT)?.parse()?;
    if fault == Fault::Idle {
        loop {
            thread::park();
        }
    }
    let _crowd = match fault {
        Fault::Crowded(number) => crowd(number)?,
        _ => Vec::new(),
    };
    let monitor = std::env::args()
        .find_map(|word| Some(word.strip_prefix("unix:")?.split(',').next()?.to_owned()))
        .ok_or("no -qmp unix:PATH")?;
    let monitor = Path::new(&monitor);
    let mut commands = fs::File::create(commands_beside(monitor))?;
    let recording = match &fault {
        Fault::Recorded(dir) => Some(Recording::read(dir)),
        _ => None,
    };
    let listener = UnixListener::bind(monitor)?;
    for stream in listener.incoming() {
        // The client may close at any moment.
        let _ = serve(&stream?, &fault, recording.as_ref(), &mut commands);
    }
    Ok(())
}

/// Opens descriptors, and others that come and go from then on.
fn crowd(number: u64) -> io::Result<Vec<fs::File>> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    // So that their number differs each time it is read.
    thread::spawn(|| {
        loop {
            let mut some = Vec::new();
            for _ in 0..300 {
                some.extend(fs::File::open("/dev/null"));
                thread::sleep(Duration::from_millis(10));
            }
        }
    });
    let file = fs::File::open("/dev/null")?;
    (0..number).map(|_| file.try_clone()).collect()
}

const GREETING: &str = r#"{"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}, "package": "fake"}, "capabilities": ["oob"]}}"#;
const EVENT: &str = r#"{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "RTC_CHANGE", "data": {"offset": 0, "qom-path": "/machine/rtc"}}"#;

fn serve(
    stream: &UnixStream,
    fault: &Fault,
    recording: Option<&Recording>,
    commands: &mut fs::File,
) -> io::Result<()> {
    let mut out = stream;
    match fault {
        Fault::Mute => return wait_for_end(stream),
        Fault::WrongGreeting => out.write_all(b"220 mail.example.org ESMTP\r\n")?,
        Fault::HalfGreeting => {
            out.write_all(&GREETING.as_bytes()[..40])?;
            return wait_for_end(stream);
        }
        _ => match recording {
            Some(recording) => write!(out, "{}\r\n", recording.greeting)?,
            None => write!(out, "{GREETING}\r\n")?,
        },
    }
    // Commands need no line ends between them.
    for command in serde_json::Deserializer::from_reader(stream).into_iter::<Value>() {
        let command = command?;
        let word = command["execute"].as_str().unwrap_or_default();
        if word == "qmp_capabilities" {
            if *fault == Fault::Leftover {
                out.write_all(b"{\"return\": {\"not\": \"for you\"}}\r\n")?;
                out.write_all(b"{\"return\": {}, \"id\": \"another client's\"}\r\n")?;
            }
            write!(out, "{}\r\n", json!({ "return": {}, "id": command["id"] }))?;
        } else {
            // Before the reply, so that a client which has the reply can rely on it.
            writeln!(commands, "{word}")?;
            let answer = match recording {
                Some(recording) => recording.answer(&command),
                None => answer(word, fault),
            };
            misbehave(stream, fault, &answer)?;
        }
    }
    Ok(())
}

fn misbehave(stream: &UnixStream, fault: &Fault, answer: &str) -> io::Result<()> {
    let mut out = stream;
    let half = &answer.as_bytes()[..answer.len() / 2];
    match fault {
        Fault::HalfAnswer => {
            out.write_all(half)?;
            wait_for_end(stream)
        }
        Fault::HalfAnswerAndClose => {
            out.write_all(half)?;
            Err(io::ErrorKind::ConnectionAborted.into())
        }
        Fault::Garbage => out.write_all(b"\x00\xff\xfe{]}, \"return\": \x07\r\n"),
        Fault::Nested => {
            write!(out, "{{\"return\": {}", "[".repeat(100_000))?;
            write!(out, "{}}}\r\n", "]".repeat(100_000))
        }
        Fault::LongLine => {
            out.write_all(b"{\"return\": \"")?;
            let part = vec![b'x'; 1_000_000];
            for _ in 0..100 {
                out.write_all(&part)?;
            }
            out.write_all(b"\"}\r\n")
        }
        Fault::HalfLine(length) => {
            out.write_all(b"{\"return\": \"")?;
            for _ in 0..*length {
                out.write_all(&vec![b'x'; 1 << 20])?;
            }
            wait_for_end(stream)
        }
        Fault::EventStorm => loop {
            write!(out, "{EVENT}\r\n")?;
        },
        Fault::Events => write!(out, "{EVENT}\r\n{answer}\r\n"),
        Fault::WrongType => out.write_all(b"{\"return\": 7}\r\n"),
        Fault::Slow(milliseconds) => {
            thread::sleep(Duration::from_millis(*milliseconds));
            write!(out, "{answer}\r\n")
        }
        _ => write!(out, "{answer}\r\n"),
    }
}

/// Reads, and sends nothing, until the client closes.
fn wait_for_end(mut stream: &UnixStream) -> io::Result<()> {
    let mut rest = [0; 4096];
    while stream.read(&mut rest)? > 0 {}
    Ok(())
}

/// Returns the replies of a paused QEMU without devices.
fn answer(command: &str, fault: &Fault) -> String {
    if let Fault::Many { command: its, count, element } = fault
        && its == command
    {
        return format!(r#"{{"return": [{}]}}"#, vec![element.as_str(); *count].join(","));
    }
    let lacking = matches!(fault, Fault::Lacks(lacking) if lacking == command);
    let value = match command {
        _ if lacking => Value::Null,
        "query-status" => json!({"status": "paused", "singlestep": false, "running": false}),
        "query-cpus-fast" => json!([{
            "thread-id": std::process::id(), "cpu-index": 0, "target": "x86_64",
            "qom-path": "/machine/unattached/device[0]",
            "props": {"core-id": 0, "thread-id": 0, "socket-id": 0},
        }]),
        "query-memory-size-summary" => json!({"base-memory": 16 << 20, "plugged-memory": 0}),
        "query-balloon" => json!({"actual": 16 << 20}),
        "query-blockstats"
        | "query-named-block-nodes"
        | "query-iothreads"
        | "query-block"
        | "query-stats"
        | "query-stats-schemas" => json!([]),
        "query-dirty-rate" => json!({
            "status": "unstarted", "sample-pages": 512, "start-time": 0, "calc-time": 0,
            "mode": "page-sampling",
        }),
        _ => Value::Null,
    };
    if value.is_null() {
        let text = format!("The command {command} has not been found");
        return json!({"error": {"class": "CommandNotFound", "desc": text}}).to_string();
    }
    json!({ "return": value }).to_string()
}
