//! The main function of the process that serves the monitors.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::{
        fd::AsFd,
        unix::net::{UnixListener, UnixStream},
    },
    path::Path,
    sync::mpsc,
    thread,
};

use rustix::{
    buffer::spare_capacity,
    event::epoll::{self, CreateFlags, EventData, EventFlags},
    thread::gettid,
};
use serde_json::{Deserializer, Value, json};

use super::recording::{self, Recording};
use crate::{
    arguments::{number, word},
    limits::raise_descriptors,
};

const GREETING: &str = r#"{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "recorded"}, "capabilities": ["oob"]}}"#;

/// The token for the process's standard input; monitors have their indices, and their clients those
/// above [`CLIENTS`].
const INPUT: u64 = u64::MAX;
const CLIENTS: u64 = 1 << 32;

/// Listens on `--count` monitors in `--dir` and replies from the recording; with `--source`,
/// forwards unknown queries to that monitor first, and records its replies. Ends with its standard
/// input.
pub(crate) fn serve() {
    raise_descriptors();
    let [thread, _] = ["CPU 0/TCG", "CPU 1/TCG"].map(sleeper);
    let source = word("--source").map(|address| Source::connect(&address).unwrap());
    let path = recording::path();
    let mut recording = match source {
        Some(_) => Recording::default(),
        None => Recording::read(&path).unwrap(),
    };
    if source.is_none() {
        recording.move_threads(thread);
    }
    let keeps = source.is_some();
    let recording = Server::new(recording, source).run().unwrap();
    if keeps {
        recording.write(&path).unwrap();
    }
}

/// Starts a thread that sleeps forever, as those of a paused guest do, and returns its number.
fn sleeper(name: &str) -> u32 {
    let (sender, receiver) = mpsc::channel();
    let sleep = move || {
        sender.send(gettid().as_raw_nonzero().get().unsigned_abs()).unwrap();
        loop {
            thread::park();
        }
    };
    thread::Builder::new().name(name.to_owned()).spawn(sleep).unwrap();
    receiver.recv().unwrap()
}

/// The monitor to record, verbatim.
struct Source(BufReader<TcpStream>);

impl Source {
    fn connect(address: &str) -> io::Result<Self> {
        let mut source = Self(BufReader::new(TcpStream::connect(address)?));
        source.ask(r#"{"execute":"qmp_capabilities"}"#)?;
        Ok(source)
    }

    fn ask(&mut self, question: &str) -> io::Result<String> {
        self.0.get_mut().write_all(question.as_bytes())?;
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line)?;
            let line = line.trim_end();
            if line.starts_with(r#"{"return""#) || line.starts_with(r#"{"error""#) {
                return Ok(line.to_owned());
            }
        }
    }
}

struct Server {
    epoll: rustix::fd::OwnedFd,
    recording: Recording,
    source: Option<Source>,
    listeners: Vec<UnixListener>,
    clients: Vec<Option<Client>>,
    free: Vec<usize>,
}

struct Client {
    monitor: usize,
    stream: UnixStream,
    unread: Vec<u8>,
}

impl Server {
    fn new(recording: Recording, source: Option<Source>) -> Self {
        let epoll = epoll::create(CreateFlags::CLOEXEC).unwrap();
        Self {
            epoll,
            recording,
            source,
            listeners: Vec::new(),
            clients: Vec::new(),
            free: Vec::new(),
        }
    }

    fn run(mut self) -> io::Result<Recording> {
        let dir = word("--dir").unwrap();
        for monitor in 0..number("--count", 1) {
            let listener = UnixListener::bind(Path::new(&dir).join(format!("vm{monitor:05}.qmp")))?;
            self.watch(&listener, monitor as u64)?;
            self.listeners.push(listener);
        }
        let input = io::stdin();
        self.watch(&input, INPUT)?;
        println!("ready");
        let mut events = Vec::with_capacity(1024);
        loop {
            events.clear();
            epoll::wait(&self.epoll, spare_capacity(&mut events), None)?;
            for event in &events {
                match event.data.u64() {
                    INPUT => return Ok(self.recording),
                    token if token < CLIENTS => self.accept(token as usize)?,
                    token => self.answer((token - CLIENTS) as usize),
                }
            }
        }
    }

    fn watch(&self, of: impl AsFd, token: u64) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, of, EventData::new_u64(token), EventFlags::IN)?)
    }

    fn accept(&mut self, monitor: usize) -> io::Result<()> {
        let (mut stream, _) = self.listeners[monitor].accept()?;
        // The client may close at any moment.
        let _ = write!(stream, "{GREETING}\r\n");
        let place = self.free.pop().unwrap_or(self.clients.len());
        self.watch(&stream, CLIENTS + place as u64)?;
        if place == self.clients.len() {
            self.clients.push(None);
        }
        self.clients[place] = Some(Client { monitor, stream, unread: Vec::new() });
        Ok(())
    }

    fn answer(&mut self, place: usize) {
        let Some(mut client) = self.clients[place].take() else { return };
        if self.serve(&mut client).is_some() {
            self.clients[place] = Some(client);
        } else {
            self.free.push(place);
        }
    }

    /// Replies to what a client sent; `None` if it has closed.
    fn serve(&mut self, client: &mut Client) -> Option<()> {
        let mut bytes = [0; 4096];
        let length = client.stream.read(&mut bytes).ok().filter(|length| *length > 0)?;
        client.unread.extend_from_slice(&bytes[..length]);
        let mut answers = String::new();
        let mut done = 0;
        while let Some(length) = self.next(client.monitor, &client.unread[done..], &mut answers) {
            done += length;
        }
        client.unread.drain(..done);
        client.stream.write_all(answers.as_bytes()).ok()
    }

    /// Replies to the first query, and returns its length; `None` if it has not arrived completely.
    fn next(&mut self, monitor: usize, bytes: &[u8], answers: &mut String) -> Option<usize> {
        if let Some((length, answer)) = self.recording.answer(bytes) {
            answers.extend([answer, "\r\n"]);
            return Some(length);
        }
        let mut questions = Deserializer::from_slice(bytes).into_iter::<Value>();
        let question = questions.next()?.ok()?;
        let length = questions.byte_offset();
        let answer = match (question["execute"].as_str()?, &mut self.source) {
            ("qmp_capabilities", _) => json!({ "return": {}, "id": question["id"] }),
            // Replies that no two guests share.
            ("query-name", _) => json!({ "return": { "name": format!("vm{monitor:05}") } }),
            ("query-uuid", _) => {
                json!({ "return": { "UUID": format!("00000000-0000-4000-8000-{monitor:012}") } })
            }
            (_, Some(source)) => {
                let question = str::from_utf8(&bytes[..length]).unwrap();
                let answer = source.ask(question).unwrap();
                answers.extend([&answer, "\r\n"]);
                self.recording.add(question, answer);
                return Some(length);
            }
            (command, None) => {
                let text = format!("{command} was not recorded: run the benchmark `record`");
                json!({ "error": { "class": "GenericError", "desc": text } })
            }
        };
        answers.extend([&answer.to_string(), "\r\n"]);
        Some(length)
    }
}
