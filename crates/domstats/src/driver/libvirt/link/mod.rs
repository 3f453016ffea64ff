//! One connection to a daemon: calls go out, replies come in, matched by their serials.

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    io,
    os::fd::{AsFd, BorrowedFd},
    time::Instant,
};

use domstats_rpc::{
    Kind, Packet, Program, Status, Xdr,
    message::RemoteError,
    packet::keepalive,
    procedure::{self, Procedure, ProcedureId},
    xdr::{Decoder, Fault},
};
use rustix::event::{PollFd, PollFlags};

use super::{
    transport::{Stream, poll_until},
    wire,
};
use crate::{
    driver::capability::Relayed,
    model::error::{Error, ErrorKind, ErrorOrigin, Result},
};

/// How much is read from one daemon before the others have their turn.
const READ_AT_ONCE: usize = 1 << 20;

/// A buffer that grew beyond this for one reply is given back.
const BUFFER_KEPT: usize = 1 << 20;

/// A connection that knows for each call in flight what it was about: a `T`.
pub(super) struct Link<T> {
    stream: Box<dyn Stream>,
    /// What is still to be sent.
    out: Vec<u8>,
    /// What was received and is not a whole packet yet.
    received: Vec<u8>,
    serial: u32,
    waiting: HashMap<u32, Waiting<T>>,
    /// When the daemon last sent anything.
    pub(super) heard: Instant,
    /// When it was last asked for a sign of life.
    pub(super) pinged: Option<Instant>,
    broken: bool,
}

struct Waiting<T> {
    procedure: i32,
    about: T,
}

/// What the daemon replied to a call: the bytes of its result, or its error.
pub(super) type Answer<'a> = std::result::Result<&'a [u8], RemoteError<'a>>;

impl<T> Link<T> {
    pub(super) fn new(stream: Box<dyn Stream>) -> Self {
        Self {
            stream,
            out: Vec::new(),
            received: Vec::new(),
            serial: 0,
            waiting: HashMap::new(),
            heard: Instant::now(),
            pinged: None,
            broken: false,
        }
    }

    pub(super) fn is_secure(&self) -> bool {
        self.stream.is_secure()
    }

    /// Returns how many calls are in flight.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Ends the connection, and returns what the calls in flight are about.
    pub(super) fn into_waiting(self) -> impl Iterator<Item = T> {
        self.waiting.into_values().map(|waiting| waiting.about)
    }

    /// Makes a call; it leaves with the next [`pump`](Self::pump).
    pub(super) fn ask<P: Procedure>(&mut self, args: &P::Args<'_>, about: T) -> Result<()> {
        let packet = procedure::call::<P>(self.serial, args);
        self.send_call(P::NUMBER, packet, about)
    }

    /// Makes a call whose arguments are bytes already.
    pub(super) fn ask_of(&mut self, procedure: ProcedureId, args: &[u8], about: T) -> Result<()> {
        let packet = procedure::call_of(procedure, self.serial, args);
        self.send_call(procedure.number(), packet, about)
    }

    fn send_call(
        &mut self,
        procedure: i32,
        packet: std::result::Result<Vec<u8>, Fault>,
        about: T,
    ) -> Result<()> {
        let packet = packet.map_err(|fault| {
            Error::new(ErrorKind::InvalidArgument, ErrorOrigin::Rpc, "too much for one call")
                .because(fault)
        })?;
        self.out.extend_from_slice(&packet);
        self.waiting.insert(self.serial, Waiting { procedure, about });
        self.serial = self.serial.wrapping_add(1);
        Ok(())
    }

    /// Asks for a sign of life.
    pub(super) fn ping(&mut self) {
        self.pinged = Some(Instant::now());
        self.send_keepalive(keepalive::PING);
    }

    fn send_keepalive(&mut self, procedure: i32) {
        // Without a payload there is no limit to exceed.
        self.out.extend(keepalive::header(procedure).packet(&()).unwrap_or_default());
    }

    /// Returns what to wait for.
    pub(super) fn interest(&self) -> PollFlags {
        match self.out.is_empty() && !self.stream.wants_write() {
            true => PollFlags::IN,
            false => PollFlags::IN | PollFlags::OUT,
        }
    }

    /// Sends and receives what can be without waiting, and hands over every answer.
    ///
    /// # Errors
    ///
    /// The connection is of no more use: closed by the daemon, or what came is not libvirt's
    /// protocol.
    pub(super) fn pump(&mut self, each: impl FnMut(T, Answer<'_>)) -> Result<()> {
        let result = self.send_and_receive(each);
        self.broken |= result.is_err();
        result
    }

    /// Sends what can be without waiting.
    ///
    /// # Errors
    ///
    /// Those of [`pump`](Self::pump).
    pub(super) fn send(&mut self) -> Result<()> {
        let result = self.send_some();
        self.broken |= result.is_err();
        result
    }

    /// Returns whether the connection is of no more use.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    fn send_and_receive(&mut self, mut each: impl FnMut(T, Answer<'_>)) -> Result<()> {
        self.send_some()?;
        let mut read = 0;
        while read < READ_AT_ONCE {
            let before = self.received.len();
            self.received.resize(before + (64 << 10), 0);
            let result = self.stream.read(&mut self.received[before..]);
            let length = *result.as_ref().unwrap_or(&0);
            self.received.truncate(before + length);
            match result {
                Ok(0) => return Err(self.ended(None)),
                Ok(_) => self.heard = Instant::now(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.ended(Some(error))),
            }
            read += length;
            self.take_packets(&mut each)?;
        }
        // Answers to signs of life.
        self.send_some()
    }

    fn send_some(&mut self) -> Result<()> {
        let mut sent = 0;
        let result = loop {
            if sent == self.out.len() {
                break self.stream.flush().map(drop);
            }
            match self.stream.write(&self.out[sent..]) {
                Ok(length) => sent += length.min(self.out.len() - sent),
                Err(error) => break Err(error),
            }
        };
        self.out.drain(..sent);
        match result {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(self.ended(Some(error))),
            _ => Ok(()),
        }
    }

    fn take_packets(&mut self, each: &mut impl FnMut(T, Answer<'_>)) -> Result<()> {
        let received = std::mem::take(&mut self.received);
        let mut taken = 0;
        let result = loop {
            match Packet::split(&received[taken..]) {
                Ok(None) => break Ok(()),
                Ok(Some((packet, length))) => {
                    taken += length;
                    if let Err(error) = self.take(&packet, each) {
                        break Err(error);
                    }
                }
                Err(bad) => break Err(nonsense().because(bad)),
            }
        };
        self.received = received;
        self.received.drain(..taken);
        if self.received.is_empty() && self.received.capacity() > BUFFER_KEPT {
            self.received = Vec::new();
        }
        result
    }

    fn take(&mut self, packet: &Packet<'_>, each: &mut impl FnMut(T, Answer<'_>)) -> Result<()> {
        let header = &packet.header;
        match (header.program, header.kind) {
            (Program::Keepalive, _) if header.procedure == keepalive::PING => {
                self.send_keepalive(keepalive::PONG);
            }
            // Signs of life, and events that nobody asked for.
            (Program::Keepalive, _) | (Program::Remote, Kind::Message) => {}
            (Program::Remote, Kind::Reply) => {
                let waiting = self.waiting.remove(&header.serial);
                let Some(Waiting { about, .. }) =
                    waiting.filter(|waiting| waiting.procedure == header.procedure)
                else {
                    let what = format!("a reply to call {}, which was not made", header.serial);
                    return Err(nonsense().because(what));
                };
                match header.status {
                    Status::Ok => each(about, Ok(packet.payload)),
                    _ => each(about, Err(packet.decode().map_err(|e| nonsense().because(e))?)),
                }
            }
            _ => return Err(nonsense().because("a packet that is neither reply nor event")),
        }
        Ok(())
    }

    /// Makes one call and waits for its result.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Timeout`] when the deadline passes, the daemon's error, or that of the
    /// connection.
    pub(super) fn call<P: Procedure, R>(
        &mut self,
        args: &P::Args<'_>,
        deadline: Instant,
        read: impl FnOnce(P::Reply<'_>) -> R,
    ) -> Result<R>
    where
        T: Default,
    {
        self.ask::<P>(args, T::default())?;
        self.answer(deadline, |answer| decode::<P, R>(answer, read))?
    }

    /// Makes a call whose arguments are bytes already, and waits for what it comes to.
    ///
    /// # Errors
    ///
    /// Those of [`call`](Self::call) but the daemon's.
    pub(super) fn relay(
        &mut self,
        procedure: ProcedureId,
        args: &[u8],
        deadline: Instant,
    ) -> Result<Relayed>
    where
        T: Default,
    {
        self.ask_of(procedure, args, T::default())?;
        self.answer(deadline, owned)
    }

    /// Waits for the answer to the one call that is in flight.
    fn answer<R>(&mut self, deadline: Instant, read: impl FnOnce(Answer<'_>) -> R) -> Result<R> {
        let mut read = Some(read);
        let mut result = None;
        while result.is_none() {
            if !wait(&[&*self], deadline)? {
                return Err(silent());
            }
            self.pump(|_, answer| result = read.take().map(|read| read(answer)))?;
        }
        result.ok_or_else(silent)
    }

    /// Returns why the connection ended: what the transport says of it, if it does.
    fn ended(&mut self, error: Option<io::Error>) -> Error {
        let closed = Error::new(
            ErrorKind::System,
            ErrorOrigin::Rpc,
            "libvirt's daemon closed the connection",
        );
        match (self.stream.last_words(), error) {
            (Some(words), _) => closed.because(words),
            (None, Some(error)) => closed.because(error),
            (None, None) => closed,
        }
    }
}

impl<T> AsFd for Link<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// Waits until a connection can go on, and returns whether one can before the deadline.
///
/// # Errors
///
/// The kernel refuses.
pub(super) fn wait<T>(links: &[&Link<T>], deadline: Instant) -> Result<bool> {
    let mut fds: Vec<_> =
        links.iter().map(|link| PollFd::from_borrowed_fd(link.as_fd(), link.interest())).collect();
    poll_until(&mut fds, deadline).map_err(|error| {
        Error::new(ErrorKind::System, ErrorOrigin::Rpc, "poll failed").because(error)
    })
}

/// Reads the result of a call.
pub(super) fn decode<'a, P: Procedure, R>(
    answer: Answer<'a>,
    read: impl FnOnce(P::Reply<'a>) -> R,
) -> Result<R> {
    let payload = answer.map_err(|error| wire::error(&error))?;
    let reply = P::Reply::decode(&mut Decoder::new(payload));
    reply.map(read).map_err(|fault| nonsense().because(fault))
}

/// Returns an answer to hand on.
pub(super) fn owned(answer: Answer<'_>) -> Relayed {
    answer.map(<[u8]>::to_vec).map_err(|error| Box::new(error.into_owned()))
}

fn nonsense() -> Error {
    Error::new(
        ErrorKind::Rpc,
        ErrorOrigin::Rpc,
        "what answers there does not speak libvirt's protocol",
    )
}

/// The error of a daemon that is there and says nothing.
pub(super) fn silent() -> Error {
    Error::new(
        ErrorKind::Timeout,
        ErrorOrigin::Rpc,
        "libvirt's daemon did not answer in time: it is stopped, stuck or overloaded",
    )
}
