//! One client: packets come in, and replies go out in the order in which they are ready.

use std::{io, sync::Arc, time::Duration};

use domstats_rpc::{
    Header, Kind, Packet, Program, Status, limits,
    packet::{VERSION, keepalive},
    procedure::{self, ConnectClose, Procedure},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    task::JoinSet,
    time::{self, Instant},
};

use super::{
    Server,
    connect::Client,
    memory::{Account, Held},
    procedures,
    refuse::{self, Refusal},
    writes,
};
use crate::net::source::Source;

/// The largest packet that a client may send: a call about 16,384 domains whose names are as long as file names
/// can be. libvirt's own limit would let each client take eight times the memory.
pub(super) const LARGEST: usize = 5 << 20;

/// The largest packet before the hypervisor is open: `open` needs no more.
pub(super) const UNOPENED: usize = 64 << 10;

/// How long a client may take to send a packet once it has begun.
const PACKET: Duration = Duration::from_secs(30);

/// How long a client may read none of a reply, and how much longer than at [`PACE`] it may take for a whole one.
/// Other clients do not wait for it, but its replies take memory.
const PATIENCE: Duration = Duration::from_secs(60);

/// The least that a client must read, in bytes a second: less than any network carries.
const PACE: usize = 64 << 10;

/// The pings that a client may leave unanswered.
const PINGS: u32 = 5;

/// Serves a client until it disconnects, or sends bytes that are no packet.
pub(super) async fn serve<S>(
    server: Arc<Server>,
    mut stream: S,
    source: Source,
    is_secure: bool,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (most, interval) = (server.max_client_requests, server.keepalive);
    let account = Account::new(&server.memory, source);
    let client = Arc::new(Client::new(server, is_secure));
    let is_pinged = |client: &Client| client.is_pinged() && !interval.is_zero();
    let mut incoming = Incoming::new(&account).ok_or_else(no_memory)?;
    let mut calls = JoinSet::new();
    let mut silence = Silence::new(interval);
    loop {
        tokio::select! {
            // A client with as many calls in flight as it may have is not read from: the next ones wait in the
            // socket.
            packet = incoming.next(&mut stream, &client), if calls.len() < most => {
                let Some((header, payload)) = packet? else { return Ok(()) };
                silence.broken();
                match header.kind {
                    Kind::Call | Kind::CallWithDescriptors => {
                        let held = account.take(payload.len()).ok_or_else(no_memory)?;
                        let (client, account) = (Arc::clone(&client), Arc::clone(&account));
                        calls.spawn(async move {
                            let reply = reply(&client, &account, &header, &payload).await;
                            drop(held);
                            reply
                        });
                    }
                    Kind::Message if is_ping(&header) => {
                        let pong = keepalive::header(keepalive::PONG);
                        write(&mut stream, &pong.packet(&()).map_err(io::Error::other)?).await?;
                    }
                    // Replies and streams get no answer.
                    _ => {}
                }
            }
            Some(done) = calls.join_next() => {
                let Reply { packet, is_last, _held } = done.map_err(io::Error::other)?;
                write(&mut stream, &packet).await?;
                if is_last {
                    return time::timeout(PATIENCE, stream.shutdown()).await?;
                }
                // It may not have been read from meanwhile.
                incoming.restart();
            }
            // Whether it is silent is unknown while it is not read from.
            () = silence.over(), if is_pinged(&client) && calls.len() < most => {
                if !silence.may_ping() {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "it answers no ping"));
                }
                let ping = keepalive::header(keepalive::PING);
                write(&mut stream, &ping.packet(&()).map_err(io::Error::other)?).await?;
            }
        }
    }
}

fn is_ping(header: &Header) -> bool {
    (header.program, header.version, header.procedure)
        == (Program::Keepalive, VERSION, keepalive::PING)
}

fn no_memory() -> io::Error {
    io::Error::new(io::ErrorKind::OutOfMemory, "its packets take more memory than there is for it")
}

/// The reply to a call.
struct Reply {
    packet: Vec<u8>,
    /// Whether the client closes the connection.
    is_last: bool,
    /// The memory that it takes until it is sent.
    _held: Option<Held>,
}

async fn reply(client: &Client, account: &Arc<Account>, header: &Header, payload: &[u8]) -> Reply {
    let answer = answer(client, header, payload).await;
    let answer = answer.and_then(|packet| match account.take(packet.len()) {
        Some(held) => Ok((packet, held)),
        None => Err(refuse::internal("too many replies wait to be read")),
    });
    client.server.counters.called(name(header), answer.is_ok());
    let refusal = match answer {
        Ok((packet, held)) => {
            let is_last = header.procedure == ConnectClose::NUMBER;
            return Reply { packet, is_last, _held: Some(held) };
        }
        Err(refusal) => refusal,
    };
    let packet = procedure::error_reply(header, &refusal);
    // Only an error that repeats the client's text can be too large.
    let packet = packet
        .or_else(|_| procedure::error_reply(header, &refuse::too_large()))
        .unwrap_or_default();
    let _held = account.take(packet.len());
    Reply { packet, is_last: false, _held }
}

async fn answer(client: &Client, header: &Header, payload: &[u8]) -> Result<Vec<u8>, Refusal> {
    let (program, number) = (header.program, header.procedure);
    if !matches!(program, Program::Remote | Program::Qemu) || header.version != VERSION {
        return Err(refuse::unknown_program(program, header.version));
    }
    if header.status != Status::Ok {
        return Err(refuse::bad_status(header.status));
    }
    if program == Program::Qemu {
        client.check_open()?;
        return Err(match writes::qemu_write(number) {
            Some(function) => refuse::read_only(refuse::NONE, function),
            None => refuse::unknown_procedure(number),
        });
    }
    procedures::answer(client, header.serial, &Packet { header: *header, payload }).await
}

/// Returns the name by which a call is counted.
fn name(header: &Header) -> &'static str {
    match header.program {
        Program::Remote => procedures::name(header.procedure),
        Program::Qemu => writes::qemu_write(header.procedure).unwrap_or(procedures::UNKNOWN),
        _ => procedures::UNKNOWN,
    }
}

async fn write(stream: &mut (impl AsyncWrite + Unpin), packet: &[u8]) -> io::Result<()> {
    let whole = Instant::now() + PATIENCE + Duration::from_secs((packet.len() / PACE) as u64);
    let mut rest = packet;
    while !rest.is_empty() {
        let until = whole.min(Instant::now() + PATIENCE);
        let written = time::timeout_at(until, stream.write(rest)).await??;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        rest = &rest[written..];
    }
    time::timeout(PATIENCE, stream.flush()).await?
}

/// Received bytes that are no whole packet yet. A silent client takes no buffer.
struct Incoming {
    buffer: Vec<u8>,
    held: Held,
    /// When the packet began.
    since: Instant,
}

impl Incoming {
    fn new(account: &Arc<Account>) -> Option<Self> {
        Some(Self { buffer: Vec::new(), held: account.take(0)?, since: Instant::now() })
    }

    /// Restarts the time for the packet.
    fn restart(&mut self) {
        self.since = Instant::now();
    }

    /// Returns the next packet; `None` when the client has disconnected. Cancellation loses no bytes.
    async fn next(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        client: &Client,
    ) -> io::Result<Option<(Header, Vec<u8>)>> {
        loop {
            let largest = if client.has_opened() { LARGEST } else { UNOPENED };
            let packet = self.take(largest)?;
            if !self.held.resize(self.buffer.capacity()) {
                return Err(no_memory());
            }
            if packet.is_some() {
                return Ok(packet);
            }
            let length = if self.buffer.is_empty() {
                let length = stream.read_buf(&mut self.buffer).await?;
                self.restart();
                length
            } else {
                let read = stream.read_buf(&mut self.buffer);
                time::timeout_at(self.since + PACKET, read).await??
            };
            if length == 0 {
                return Ok(None);
            }
        }
    }

    fn take(&mut self, largest: usize) -> io::Result<Option<(Header, Vec<u8>)>> {
        let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
        if let Some(length) = self.buffer.first_chunk().map(|word| u32::from_be_bytes(*word))
            && length as usize > largest
        {
            return Err(invalid(format!("it announced a packet of {length} bytes")));
        }
        let Some((packet, length)) =
            Packet::split(&self.buffer).map_err(|error| invalid(error.to_string()))?
        else {
            return Ok(None);
        };
        let (payload, descriptors) = match packet.header.kind {
            Kind::CallWithDescriptors => announced(packet.payload)
                .ok_or_else(|| invalid("it announced too many descriptors".to_owned()))?,
            _ => (packet.payload, 0),
        };
        // Each comes with a byte. None is used here: the kernel closed them when the bytes were read.
        let length = length + descriptors;
        if self.buffer.len() < length {
            return Ok(None);
        }
        let taken = (packet.header, payload.to_vec());
        match length == self.buffer.len() {
            true => self.buffer = Vec::new(),
            false => drop(self.buffer.drain(..length)),
        }
        self.restart();
        Ok(Some(taken))
    }
}

/// Returns the payload after the number of descriptors, and that number, unless it is missing or too large.
fn announced(payload: &[u8]) -> Option<(&[u8], usize)> {
    let (word, payload) = payload.split_first_chunk()?;
    let number = u32::from_be_bytes(*word) as usize;
    (number <= limits::DESCRIPTORS).then_some((payload, number))
}

/// How long a client has been silent.
struct Silence {
    interval: Duration,
    /// When it last sent something, or was pinged.
    since: Instant,
    pings: u32,
}

impl Silence {
    fn new(interval: Duration) -> Self {
        Self { interval, since: Instant::now(), pings: 0 }
    }

    fn broken(&mut self) {
        *self = Self::new(self.interval);
    }

    /// Waits until it is time for the next ping.
    async fn over(&self) {
        time::sleep_until(self.since + self.interval).await;
    }

    fn may_ping(&mut self) -> bool {
        // Pings keep their distance, also when the first one is late.
        self.since = Instant::now();
        self.pings += 1;
        self.pings <= PINGS
    }
}

#[cfg(test)]
mod tests {
    use domstats_rpc::procedure::{ConnectGetType, call};

    use super::*;

    fn incoming() -> Incoming {
        let account = Account::new(&super::super::memory::Memory::new(), Source::Daemon);
        Incoming::new(&account).unwrap()
    }

    #[tokio::test]
    async fn packets_arrive_in_pieces_and_together() {
        let one = call::<ConnectGetType>(7, &()).unwrap();
        let stream = [one.as_slice(), &one, &one[..9]].concat();
        for size in [1, 5, 28, 40, 65] {
            let mut incoming = incoming();
            let mut serials = Vec::new();
            for piece in stream.chunks(size) {
                incoming.buffer.extend_from_slice(piece);
                while let Some((header, payload)) = incoming.take(LARGEST).unwrap() {
                    serials.push((header.serial, payload));
                }
            }
            assert_eq!(serials, [(7, vec![]), (7, vec![])], "{size}");
            assert_eq!(incoming.buffer, one[..9]);
        }
    }

    #[test]
    fn bytes_that_are_no_packet_end_the_connection() {
        for length in [0, 3, 27, LARGEST as u32 + 1, u32::MAX] {
            let mut incoming = incoming();
            incoming.buffer = length.to_be_bytes().to_vec();
            assert!(incoming.take(LARGEST).is_err(), "{length}");
        }
    }
}
