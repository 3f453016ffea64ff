//! A simple monitor client: one command, one reply.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::Path,
};

use serde_json::{Value, json};

use crate::patience::PATIENCE;

/// A connection to a monitor, ready for commands. The monitor serves no other client meanwhile.
#[derive(Debug)]
pub struct Qmp {
    /// The monitor's greeting, with its version.
    pub greeting: Value,
    /// A socket of either kind.
    stream: BufReader<File>,
    /// Events that came before a reply.
    events: Vec<Value>,
}

impl Qmp {
    /// Connects and negotiates.
    ///
    /// # Errors
    ///
    /// If no process listens, or no reply comes for half a minute.
    pub fn connect(path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Self::greet(stream.into())
    }

    /// Connects over TCP, and negotiates.
    ///
    /// # Errors
    ///
    /// If no process listens, or no reply comes for half a minute.
    pub fn connect_to(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Self::greet(stream.into())
    }

    fn greet(socket: OwnedFd) -> io::Result<Self> {
        let stream = BufReader::new(File::from(socket));
        let mut qmp = Self { greeting: Value::Null, stream, events: Vec::new() };
        qmp.greeting = qmp.line()?;
        qmp.try_ask("qmp_capabilities", json!({}))?.unwrap();
        Ok(qmp)
    }

    /// Sends a command; fails the test if the reply is an error.
    pub fn ask(&mut self, command: &str) -> Value {
        self.ask_with(command, json!({}))
    }

    /// Sends a command with arguments; fails the test if the reply is an error.
    pub fn ask_with(&mut self, command: &str, arguments: Value) -> Value {
        self.try_ask(command, arguments)
            .unwrap()
            .unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// Sends a command, and returns the monitor's reply or the monitor's error.
    ///
    /// # Errors
    ///
    /// If the connection fails.
    pub fn try_ask(&mut self, command: &str, arguments: Value) -> io::Result<Result<Value, Value>> {
        let request = json!({ "execute": command, "arguments": arguments });
        // In one piece, which is sent at once.
        self.stream.get_mut().write_all(format!("{request}\n").as_bytes())?;
        loop {
            let mut answer = self.line()?;
            if let Some(value) = answer.get_mut("return") {
                return Ok(Ok(value.take()));
            }
            if let Some(error) = answer.get_mut("error") {
                return Ok(Err(error.take()));
            }
            self.events.push(answer);
        }
    }

    /// Waits for an event with this name, unless it has come already.
    pub fn wait_for(&mut self, event: &str) {
        while !self.events.iter().any(|seen| seen["event"] == event) {
            let line = self.line().unwrap();
            self.events.push(line);
        }
    }

    fn line(&mut self) -> io::Result<Value> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(serde_json::from_str(&line)?)
    }
}
