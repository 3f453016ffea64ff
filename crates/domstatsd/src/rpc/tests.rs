//! One client over a pipe, with a paused clock that jumps to the next timer.

use std::io;

use domstats_rpc::{
    Header, Kind, Packet, Program, Status,
    packet::keepalive::{self, PING, PONG},
    procedure::{self, ConnectGetType, ConnectOpen, ConnectSupportsFeature, Procedure},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use super::{fuzz::server, *};

/// A client, and the server's side of it.
struct Client {
    stream: DuplexStream,
    served: JoinHandle<io::Result<()>>,
}

impl Client {
    /// Connects by a pipe of this capacity.
    fn new(capacity: usize) -> Self {
        let (stream, theirs) = tokio::io::duplex(capacity);
        Self {
            stream,
            served: tokio::spawn(connection::serve(
                server(config::Rpc::default()),
                theirs,
                Source::User(1000),
                false,
            )),
        }
    }

    async fn send(&mut self, packet: &[u8]) {
        self.stream.write_all(packet).await.unwrap();
    }

    /// Returns the header of the next packet, if one comes within a minute and the connection lasts.
    async fn next(&mut self) -> Option<Header> {
        let mut packet = vec![0; 4];
        let read = async {
            self.stream.read_exact(&mut packet).await.ok()?;
            let length = u32::from_be_bytes(packet[..].try_into().unwrap()) as usize;
            packet.resize(length, 0);
            self.stream.read_exact(&mut packet[4..]).await.ok()
        };
        timeout(Duration::from_secs(60), read).await.ok()??;
        Some(Packet::split(&packet).unwrap().unwrap().0.header)
    }

    /// Announces that it answers pings.
    async fn negotiate(&mut self) {
        self.send(&procedure::call::<ConnectSupportsFeature>(0, &10).unwrap()).await;
        assert_eq!(self.next().await.map(|header| header.status), Some(Status::Ok));
    }
}

fn is_ping(header: Option<Header>) -> bool {
    header.is_some_and(|header| (header.program, header.procedure) == (Program::Keepalive, PING))
}

fn message(number: i32) -> Vec<u8> {
    keepalive::header(number).packet(&()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_client_that_answers_no_ping_is_disconnected() {
    let mut client = Client::new(4096);
    client.negotiate().await;
    let start = Instant::now();
    for round in 1..=5 {
        assert!(is_ping(client.next().await));
        assert_eq!(start.elapsed().as_secs(), 5 * round);
    }
    assert!(client.next().await.is_none());
    assert_eq!(start.elapsed().as_secs(), 30);
    let error = client.served.await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "it answers no ping");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_answers_pings_stays_connected() {
    let mut client = Client::new(4096);
    client.negotiate().await;
    for round in 0..20 {
        assert!(is_ping(client.next().await), "{round}");
        // Any packet is a sign of life, also one that gets no answer.
        let said = match round % 3 {
            0 => message(PONG),
            1 => Header { kind: Kind::Message, ..keepalive::header(77) }.packet(&()).unwrap(),
            _ => message(PING),
        };
        client.send(&said).await;
        if round % 3 == 2 {
            assert_eq!(client.next().await.map(|header| header.procedure), Some(PONG));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_did_not_announce_it_is_not_pinged() {
    let mut client = Client::new(4096);
    sleep(Duration::from_secs(100_000)).await;
    assert!(client.next().await.is_none());
    assert!(!client.served.is_finished());
    client.send(&message(PING)).await;
    assert_eq!(client.next().await.map(|header| header.procedure), Some(PONG));
}

/// The replies for a client that reads nothing do not fit in its pipe.
#[tokio::test(start_paused = true)]
async fn a_client_that_reads_late_is_not_taken_for_dead() {
    let mut client = Client::new(100);
    client.negotiate().await;
    for serial in 1..=3 {
        client.send(&procedure::call::<ConnectGetType>(serial, &()).unwrap()).await;
    }
    sleep(Duration::from_secs(50)).await;
    let (mut answers, mut pings) = (Vec::new(), Vec::new());
    while answers.len() < 3 || pings.len() < 4 {
        let header = client.next().await.expect("it is served");
        match header.program {
            Program::Remote => answers.push(header.serial),
            _ => pings.push(Instant::now()),
        }
    }
    answers.sort_unstable();
    assert_eq!(answers, [1, 2, 3]);
    let distances = pings.windows(2).map(|pings| (pings[1] - pings[0]).as_secs());
    assert!(distances.eq([5; 3]), "{pings:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_no_reply_is_disconnected() {
    let mut client = Client::new(100);
    let start = Instant::now();
    for serial in 0..3 {
        client.send(&procedure::call::<ConnectGetType>(serial, &()).unwrap()).await;
    }
    let served = timeout(Duration::from_secs(100), &mut client.served).await.unwrap();
    assert_eq!(served.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert_eq!(start.elapsed().as_secs(), 60);
}

/// It reads a byte now and then, so that each write makes progress.
#[tokio::test(start_paused = true)]
async fn a_client_that_reads_byte_by_byte_is_disconnected() {
    let mut client = Client::new(10);
    let start = Instant::now();
    client.send(&procedure::call::<ConnectGetType>(0, &()).unwrap()).await;
    while !client.served.is_finished() {
        sleep(Duration::from_secs(5)).await;
        let _ = client.stream.read(&mut [0]).await;
    }
    assert_eq!(client.served.await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert!(start.elapsed().as_secs() <= 70, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_ends_no_packet_is_disconnected() {
    let mut client = Client::new(4096);
    let start = Instant::now();
    client.send(&procedure::call::<ConnectGetType>(0, &()).unwrap()).await;
    assert!(client.next().await.is_some());
    sleep(Duration::from_secs(1000)).await;
    assert!(!client.served.is_finished(), "it has begun none");
    client.send(&40u32.to_be_bytes()).await;
    let begun = Instant::now();
    while !client.served.is_finished() {
        let _ = client.stream.write(&[0]).await;
        sleep(Duration::from_secs(7)).await;
    }
    assert_eq!(client.served.await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
    let time = begun.elapsed().as_secs();
    assert!((30..=40).contains(&time) && start.elapsed().as_secs() > 1000, "{time}");
}

#[tokio::test(start_paused = true)]
async fn packets_before_open_are_small() {
    for (opens, length) in [(false, 64 << 10), (false, (64 << 10) + 1), (true, 5 << 20)] {
        let mut client = Client::new(4096);
        if opens {
            let args = domstats_rpc::message::OpenArgs { name: Some("".into()), flags: 1 };
            client.send(&procedure::call::<ConnectOpen>(0, &args).unwrap()).await;
            assert!(client.next().await.is_some());
        }
        client.send(&(length as u32).to_be_bytes()).await;
        sleep(Duration::from_secs(1)).await;
        let is_refused = !opens && length > 64 << 10;
        assert_eq!(client.served.is_finished(), is_refused, "{opens} {length}");
    }
}

#[tokio::test(start_paused = true)]
async fn descriptors_are_skipped() {
    let mut client = Client::new(4096);
    let name = Some("qemu:///system".into());
    let args = domstats_rpc::message::OpenArgs { name, flags: 1 };
    client.send(&procedure::call::<ConnectOpen>(0, &args).unwrap()).await;
    assert_eq!(client.next().await.map(|header| header.status), Some(Status::Ok));
    let call = |serial, number: u32| {
        let kind = Kind::CallWithDescriptors;
        let header = Header {
            program: Program::Remote,
            version: 1,
            procedure: ConnectGetType::NUMBER,
            kind,
            serial,
            status: Status::Ok,
        };
        header.packet(&number).unwrap()
    };
    // Each descriptor is on a byte of its own.
    let stream = [call(1, 0), call(2, 2), vec![0; 2], call(3, 32), vec![0; 32]].concat();
    for piece in stream.chunks(7) {
        client.send(piece).await;
    }
    for serial in 1..=3 {
        let header = client.next().await.unwrap();
        assert_eq!((header.serial, header.status, header.kind), (serial, Status::Ok, Kind::Reply));
    }
    client.send(&call(4, 33)).await;
    assert!(client.next().await.is_none());
    assert_eq!(client.served.await.unwrap().unwrap_err().kind(), io::ErrorKind::InvalidData);
}
