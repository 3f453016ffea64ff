//! One client: its packets come in, and replies go out, in the order in which they are ready.

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
    procedures,
    refuse::{self, Refusal},
    writes,
};

/// The largest packet that a client may send: a call about 16,384 domains with names as long as
/// names of files can be. libvirt's own limit would let each client take eight times the memory.
pub(super) const LARGEST: usize = 5 << 20;

/// How long a client may take none of an answer that is there. The others do not wait for it, but
/// its answers take memory.
const PATIENCE: Duration = Duration::from_secs(60);

/// The pings that a client may leave unanswered.
const PINGS: u32 = 5;

/// Serves a client until it goes, or sends what is no packet.
pub(super) async fn serve<S>(server: Arc<Server>, mut stream: S, is_secure: bool) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (most, interval) = (server.max_client_requests, server.keepalive);
    let client = Arc::new(Client::new(server, is_secure));
    let is_pinged = |client: &Client| client.is_pinged() && !interval.is_zero();
    let mut incoming = Incoming::default();
    let mut calls = JoinSet::new();
    let mut silence = Silence::new(interval);
    loop {
        tokio::select! {
            // A client that has as many calls as it may is not read from: its next ones wait in
            // the socket.
            packet = incoming.next(&mut stream), if calls.len() < most => {
                let Some((header, payload)) = packet? else { return Ok(()) };
                silence.broken();
                match header.kind {
                    Kind::Call | Kind::CallWithDescriptors => {
                        let client = Arc::clone(&client);
                        calls.spawn(async move { reply(&client, &header, &payload).await });
                    }
                    Kind::Message if is_ping(&header) => {
                        let pong = keepalive::header(keepalive::PONG);
                        write(&mut stream, &pong.packet(&()).map_err(io::Error::other)?).await?;
                    }
                    // Answers to nothing, and streams: not to be answered.
                    _ => {}
                }
            }
            Some(done) = calls.join_next() => {
                let (packet, is_last) = done.map_err(io::Error::other)?;
                write(&mut stream, &packet).await?;
                if is_last {
                    return time::timeout(PATIENCE, stream.shutdown()).await?;
                }
            }
            // Nor is it silent then, for all that is known.
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

/// Returns the packet that answers a call, and whether it is the last one.
async fn reply(client: &Client, header: &Header, payload: &[u8]) -> (Vec<u8>, bool) {
    let answer = answer(client, header, payload).await;
    client.server.counters.called(name(header), answer.is_ok());
    let refusal = match answer {
        Ok(packet) => {
            let is_close = header.procedure == ConnectClose::NUMBER;
            return (packet, is_close);
        }
        Err(refusal) => refusal,
    };
    let packet = procedure::error_reply(header, &refusal);
    // Only an error that repeats a text of the client can be too large.
    (
        packet
            .or_else(|_| procedure::error_reply(header, &refuse::too_large()))
            .unwrap_or_default(),
        false,
    )
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
    let mut rest = packet;
    while !rest.is_empty() {
        let written = time::timeout(PATIENCE, stream.write(rest)).await??;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        rest = &rest[written..];
    }
    time::timeout(PATIENCE, stream.flush()).await?
}

/// What came in and is no whole packet yet. A client that says nothing has none.
#[derive(Default)]
struct Incoming {
    buffer: Vec<u8>,
}

impl Incoming {
    /// Returns the next packet; `None` when the client has gone. What came before a cancellation is
    /// there at the next call.
    async fn next(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
    ) -> io::Result<Option<(Header, Vec<u8>)>> {
        loop {
            if let Some(packet) = self.take()? {
                return Ok(Some(packet));
            }
            if stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }

    fn take(&mut self) -> io::Result<Option<(Header, Vec<u8>)>> {
        let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
        if let Some(length) = self.buffer.first_chunk().map(|word| u32::from_be_bytes(*word))
            && length as usize > LARGEST
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
        // Each comes on a byte. Nothing here wants one: the kernel closed them when these were read.
        let length = length + descriptors;
        if self.buffer.len() < length {
            return Ok(None);
        }
        let taken = (packet.header, payload.to_vec());
        match length == self.buffer.len() {
            true => self.buffer = Vec::new(),
            false => drop(self.buffer.drain(..length)),
        }
        Ok(Some(taken))
    }
}

/// Returns the payload that stands behind the number of descriptors, and that number, if there is one
/// and it may be so large.
fn announced(payload: &[u8]) -> Option<(&[u8], usize)> {
    let (word, payload) = payload.split_first_chunk()?;
    let number = u32::from_be_bytes(*word) as usize;
    (number <= limits::DESCRIPTORS).then_some((payload, number))
}

/// How long a client has said nothing.
struct Silence {
    interval: Duration,
    /// When it said something, or was pinged.
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

    /// Returns when it is time for the next ping.
    async fn over(&self) {
        time::sleep_until(self.since + self.interval).await;
    }

    fn may_ping(&mut self) -> bool {
        // Pings keep their distance, also when the first of them comes late.
        self.since = Instant::now();
        self.pings += 1;
        self.pings <= PINGS
    }
}

#[cfg(test)]
mod tests {
    use domstats_rpc::procedure::{ConnectGetType, call};

    use super::*;

    #[tokio::test]
    async fn packets_come_in_pieces_and_together() {
        let one = call::<ConnectGetType>(7, &()).unwrap();
        let stream = [one.as_slice(), &one, &one[..9]].concat();
        for size in [1, 5, 28, 40, 65] {
            let mut incoming = Incoming::default();
            let mut serials = Vec::new();
            for piece in stream.chunks(size) {
                incoming.buffer.extend_from_slice(piece);
                while let Some((header, payload)) = incoming.take().unwrap() {
                    serials.push((header.serial, payload));
                }
            }
            assert_eq!(serials, [(7, vec![]), (7, vec![])], "{size}");
            assert_eq!(incoming.buffer, one[..9]);
        }
    }

    #[test]
    fn what_is_no_packet_ends_the_connection() {
        for length in [0, 3, 27, LARGEST as u32 + 1, u32::MAX] {
            let mut incoming = Incoming { buffer: length.to_be_bytes().to_vec() };
            assert!(incoming.take().is_err(), "{length}");
        }
    }
}
