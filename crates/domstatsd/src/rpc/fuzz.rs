//! The fuzz target `rpc_server`: clients of libvirt's protocol that send any bytes.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, LazyLock},
    time::Duration,
};

use domstats_rpc::{
    Header, Kind, Packet, Program, Status, limits,
    message::RemoteError,
    packet::{VERSION, keepalive},
    procedure::{ConnectClose, Procedure},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    runtime::{Builder, Runtime},
    time,
};

use super::{Server, connection};
use crate::{
    config::{Config, Rpc},
    hypervisors::{Host, Hypervisors},
    net::source::Source,
};

/// How long all answers may take: those of the test driver are at hand.
const PATIENCE: Duration = Duration::from_secs(20);

static SERVER: LazyLock<(Runtime, Arc<Server>)> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread().enable_all().build().expect("threads can be made");
    // Without pings the server only replies, however slow the host is.
    (runtime, server(Rpc { keepalive: Duration::ZERO, ..Rpc::default() }))
});

/// Returns a server of the test driver's domains.
pub(super) fn server(rpc: Rpc) -> Arc<Server> {
    let config = Config { connect: vec!["test:///default".to_owned()], rpc, ..Config::default() };
    let hypervisors = Hypervisors::new(Arc::new(Host::new(&config)), config.timeout);
    Arc::new(Server::new(hypervisors, &config.rpc))
}

/// Sends the bytes over a pipe, in two pieces. The server answers each call once, with a packet that bears the
/// call's marks and can be decoded, and each ping. Bytes that are no packet, and a call that closes, end the
/// connection, and calls that were not answered by then are not.
pub fn rpc_server(bytes: &[u8]) {
    let (runtime, server) = &*SERVER;
    let expected = Expected::of(bytes);
    let (received, served) = runtime.block_on(async {
        let (client, theirs) = tokio::io::duplex(1 << 16);
        let served =
            tokio::spawn(connection::serve(Arc::clone(server), theirs, Source::Daemon, true));
        let (mut read, mut write) = tokio::io::split(client);
        let cut = bytes.last().map_or(0, |byte| usize::from(*byte).min(bytes.len()));
        let (first, rest) = bytes.split_at(cut);
        let sending = async {
            for piece in [first, rest] {
                // It may be over already.
                let _ = write.write_all(piece).await;
            }
        };
        let receiving = async {
            let mut received = Vec::new();
            while expected.is_more_to_come(&received) && read.read_buf(&mut received).await? > 0 {}
            io::Result::Ok(received)
        };
        let (_, received) = time::timeout(PATIENCE, async { tokio::join!(sending, receiving) })
            .await
            .expect("every call is answered in time");
        drop((read, write));
        let served = time::timeout(PATIENCE, served).await.expect("the connection ends");
        (received.expect("a pipe can be read"), served.expect("it does not panic"))
    });
    if !expected.closes {
        assert_eq!(served.is_err(), expected.is_nonsense, "{served:?}");
    }
    expected.check(&received);
}

/// The replies that must come, and how the connection may end.
#[derive(Default)]
struct Expected {
    /// The number of calls with these marks.
    calls: HashMap<Marks, usize>,
    pings: usize,
    /// Whether what follows the calls is no packet.
    is_nonsense: bool,
    /// Whether one of the calls closes the connection.
    closes: bool,
}

/// The fields that a reply repeats from its call: program, version, procedure, serial.
type Marks = (Program, u32, i32, u32);

fn marks(header: &Header) -> Marks {
    (header.program, header.version, header.procedure, header.serial)
}

impl Expected {
    fn of(mut bytes: &[u8]) -> Self {
        let mut expected = Self::default();
        while let Some(word) = bytes.first_chunk() {
            let is_too_large = u32::from_be_bytes(*word) as usize > connection::LARGEST;
            let Ok(split) = Packet::split(bytes) else { return expected.and_nonsense() };
            if is_too_large {
                return expected.and_nonsense();
            }
            let Some((Packet { header, payload }, length)) = split else { break };
            let descriptors = match header.kind {
                Kind::CallWithDescriptors => payload.first_chunk().map(|n| u32::from_be_bytes(*n)),
                _ => Some(0),
            };
            let Some(descriptors) = descriptors.map(|number| number as usize) else {
                return expected.and_nonsense();
            };
            if descriptors > limits::DESCRIPTORS {
                return expected.and_nonsense();
            }
            let Some(rest) = bytes.get(length + descriptors..) else { break };
            bytes = rest;
            expected.add(&header);
        }
        expected
    }

    fn and_nonsense(self) -> Self {
        Self { is_nonsense: true, ..self }
    }

    fn add(&mut self, header: &Header) {
        match header.kind {
            Kind::Call | Kind::CallWithDescriptors => {
                *self.calls.entry(marks(header)).or_default() += 1;
                let close = (Program::Remote, VERSION, ConnectClose::NUMBER, Status::Ok);
                let it = (header.program, header.version, header.procedure, header.status);
                self.closes |= it == close;
            }
            Kind::Message if is(header, keepalive::PING) => self.pings += 1,
            _ => {}
        }
    }

    fn is_more_to_come(&self, received: &[u8]) -> bool {
        let wanted = self.calls.values().sum::<usize>() + self.pings;
        self.is_nonsense || self.closes || packets(received).count() < wanted
    }

    fn check(mut self, received: &[u8]) {
        let mut length = 0;
        for (packet, its) in packets(received) {
            length += its;
            let Packet { header, payload } = packet;
            if header.kind == Kind::Message {
                assert!(is(&header, keepalive::PONG) && payload.is_empty(), "{header:?}");
                self.pings = self.pings.checked_sub(1).expect("an answer to each ping");
                continue;
            }
            assert_eq!(header.kind, Kind::Reply);
            let calls = self.calls.get_mut(&marks(&header)).expect("a reply to a call");
            *calls = calls.checked_sub(1).expect("one reply to each call");
            if header.status == Status::Error {
                let error: RemoteError<'_> = packet.decode().expect("an error can be read");
                assert!(error.message.is_some_and(|message| !message.is_empty()));
                assert_eq!((error.code > 0, error.level), (true, 2));
            } else {
                assert_eq!(header.status, Status::Ok);
            }
        }
        assert_eq!(length, received.len(), "whole packets");
        if !self.is_nonsense && !self.closes {
            assert_eq!((self.calls.values().sum::<usize>(), self.pings), (0, 0));
        }
    }
}

fn is(header: &Header, procedure: i32) -> bool {
    (header.program, header.version, header.procedure) == (Program::Keepalive, VERSION, procedure)
}

/// Returns the packets of a stream with their lengths.
fn packets(mut stream: &[u8]) -> impl Iterator<Item = (Packet<'_>, usize)> {
    std::iter::from_fn(move || {
        let (packet, length) = Packet::split(stream).expect("packets have right lengths")?;
        stream = &stream[length..];
        Some((packet, length))
    })
}
