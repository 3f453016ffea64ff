//! A fake daemon's threads: one accepts, one reads each client's calls, and one waits for each
//! delayed reply.

use std::{
    collections::HashMap,
    io::{self, Read, Write},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread::{self, Scope},
    time::Duration,
};

use super::{
    Call, FakeSpec, Fault,
    answers::{self, Host, RPC, Refusal},
    procedure,
};
use crate::wire::{Bytes, HEADER, KEEPALIVE, Packet, REMOTE};

#[derive(Debug)]
pub(super) struct Shared {
    host: Host,
    latency: Duration,
    state: Mutex<State>,
    /// Notified when the daemon ends.
    pub(super) changed: Condvar,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) faults: HashMap<u32, Fault>,
    pub(super) streams: Vec<UnixStream>,
    pub(super) calls: Vec<Call>,
    pub(super) over: bool,
}

/// A client of the fake daemon.
#[derive(Debug)]
struct Connection {
    number: usize,
    stream: UnixStream,
    /// Locked while a packet is written: replies may become due at the same moment.
    writing: Mutex<()>,
}

/// The type word of a reply.
const REPLY: u32 = 1;

impl Shared {
    pub(super) fn new(spec: FakeSpec) -> Self {
        let FakeSpec { domains, latency, faults } = spec;
        let (streams, calls) = (Vec::new(), Vec::new());
        let state = Mutex::new(State { faults, streams, calls, over: false });
        Self { host: Host::new(domains), latency, state, changed: Condvar::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Accepts clients until the daemon ends.
    pub(super) fn listen(&self, listener: &UnixListener) {
        thread::scope(|scope| {
            for (number, stream) in listener.incoming().enumerate() {
                let stream = stream.unwrap();
                let mut state = self.lock();
                if state.over {
                    break;
                }
                state.streams.push(stream.try_clone().unwrap());
                drop(state);
                let connection = Connection { number, stream, writing: Mutex::new(()) };
                scope.spawn(move || {
                    let connection = Arc::new(connection);
                    // The client may close at any moment.
                    let _ = self.serve(scope, &connection);
                    let _ = connection.stream.shutdown(Shutdown::Both);
                });
            }
        });
    }

    /// Reads a client's calls until it closes.
    fn serve<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        connection: &Arc<Connection>,
    ) -> io::Result<()> {
        loop {
            let call = read(&connection.stream)?;
            if call.program == KEEPALIVE {
                // The reply to a ping.
                connection.write(&Packet { procedure: 2, ..call }.encode())?;
                continue;
            }
            let number = self.note(connection.number, call.procedure);
            let fault = self.lock().faults.get(&call.procedure).cloned();
            let mut delay = self.latency;
            if let Some(Fault::Late(late)) = fault {
                delay += late;
            }
            if delay.is_zero() {
                self.answer(connection, number, &call, fault.as_ref())?;
                continue;
            }
            let connection = Arc::clone(connection);
            scope.spawn(move || {
                let state = self.lock();
                drop(self.changed.wait_timeout_while(state, delay, |state| !state.over));
                let _ = self.answer(&connection, number, &call, fault.as_ref());
            });
        }
    }

    /// Records a call, and returns its number among all.
    fn note(&self, connection: usize, procedure: u32) -> usize {
        let calls = &mut self.lock().calls;
        let waits = |call: &&Call| call.connection == connection && !call.answered;
        let waiting = calls.iter().filter(waits).count() + 1;
        calls.push(Call { connection, procedure, waiting, answered: false });
        calls.len() - 1
    }

    fn answer(
        &self,
        connection: &Connection,
        number: usize,
        call: &Packet,
        fault: Option<&Fault>,
    ) -> io::Result<()> {
        let mut reply = self.reply(call, fault);
        if let Some(Fault::WrongSerial) = fault {
            reply.serial += 1000;
        }
        let mut bytes = reply.encode();
        let mut ends = call.procedure == procedure::CLOSE;
        match fault {
            Some(Fault::Silence) => return Ok(()),
            Some(Fault::Garbage) => bytes = b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
            Some(Fault::Length(word)) => bytes[..4].copy_from_slice(&word.to_be_bytes()),
            Some(Fault::Half) => bytes.truncate(bytes.len() / 2),
            Some(Fault::HalfAndClose) => {
                bytes.truncate(bytes.len() / 2);
                ends = true;
            }
            Some(Fault::Trickle) => {
                for byte in &bytes {
                    connection.write(&[*byte])?;
                    thread::sleep(Duration::from_millis(10));
                }
                bytes.clear();
            }
            Some(Fault::Twice) => bytes.extend_from_within(..),
            Some(Fault::Event) => bytes.splice(..0, self.host.event().encode()).for_each(drop),
            Some(Fault::EventStorm) => loop {
                connection.write(&self.host.event().encode())?;
            },
            _ => {}
        }
        // Set before sending, so that a client which has the reply finds the call answered.
        self.lock().calls[number].answered = true;
        connection.write(&bytes)?;
        if ends {
            connection.stream.shutdown(Shutdown::Both)?;
        }
        Ok(())
    }

    fn reply(&self, call: &Packet, fault: Option<&Fault>) -> Packet {
        let answer = match fault {
            Some(Fault::Error(code, text)) => Err((*code, RPC, (*text).to_owned())),
            _ if call.program != REMOTE => {
                let (program, version) = (call.program, call.version);
                Err((39, RPC, format!("Cannot find program {program} version {version}")))
            }
            _ if call.procedure == procedure::STATS => self.stats(call, fault),
            _ => self.host.answer(call.procedure, &call.payload),
        };
        let (status, payload) = match answer {
            Ok(payload) => (0, payload),
            Err((code, domain, text)) => (1, Bytes::default().error(code, domain, &text)),
        };
        Packet { kind: REPLY, status, payload: payload.0, ..*call }
    }

    fn stats(&self, call: &Packet, fault: Option<&Fault>) -> Result<Bytes, Refusal> {
        let param = |name| Bytes::default().string(name);
        let extra = match fault {
            Some(Fault::UnknownType) => (1, param("cpu.mood").u32(9).u64(0)),
            Some(Fault::ParamCount(count)) => (*count, Bytes::default()),
            Some(Fault::StringLength(length)) => (1, param("cpu.mood").u32(7).u32(*length)),
            Some(Fault::Newer) => answers::newer(),
            _ => (0, Bytes::default()),
        };
        let answer = self.host.stats(&call.payload, &extra)?;
        match fault {
            Some(Fault::TooLarge(most)) if answer.records > *most => {
                Err((39, RPC, "Unable to encode message payload".to_owned()))
            }
            _ => Ok(answer.bytes),
        }
    }
}

impl Connection {
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let _guard = self.writing.lock().unwrap();
        (&self.stream).write_all(bytes)
    }
}

/// Reads a packet.
fn read(mut stream: &UnixStream) -> io::Result<Packet> {
    let mut word = [0; 4];
    stream.read_exact(&mut word)?;
    let length = u32::from_be_bytes(word) as usize;
    if !(HEADER..=LARGEST).contains(&length) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut rest = vec![0; length - word.len()];
    stream.read_exact(&mut rest)?;
    Packet::decode(&rest).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The largest packet that libvirt accepts.
const LARGEST: usize = (32 << 20) + 4;
