use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    time::Duration,
};

use domstats_rpc::{
    Header,
    message::RemoteError,
    procedure::{ConnectGetHostname, ConnectGetLibVersion, ConnectGetType, error_reply, reply},
};

use super::*;

/// A stream without a daemon's ways.
struct Bare(UnixStream);

impl AsFd for Bare {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Stream for Bare {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A byte at a time, so that packets leave in parts.
        self.0.write(&bytes[..bytes.len().min(7)])
    }

    fn flush(&mut self) -> io::Result<bool> {
        Ok(true)
    }

    fn is_secure(&self) -> bool {
        true
    }
}

/// A connection whose calls are about numbers, and the daemon's end of it.
fn pair() -> (Link<u32>, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    theirs.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    (Link::new(Box::new(Bare(ours))), theirs)
}

fn header(daemon: &mut UnixStream) -> Header {
    let mut packet = [0; 28];
    daemon.read_exact(&mut packet).unwrap();
    Packet::split(&packet).unwrap().unwrap().0.header
}

/// Receives what is there, as what it is about and whether it is a result.
fn answers(link: &mut Link<u32>) -> Result<Vec<(u32, bool)>> {
    let mut answers = Vec::new();
    link.pump(|about, answer| answers.push((about, answer.is_ok())))?;
    Ok(answers)
}

#[test]
fn answers_find_their_calls_in_any_order_and_in_parts() {
    let (mut link, mut daemon) = pair();
    link.ask::<ConnectGetType>(&(), 7).unwrap();
    link.ask::<ConnectGetHostname>(&(), 8).unwrap();
    link.ask::<ConnectGetLibVersion>(&(), 9).unwrap();
    assert_eq!(answers(&mut link).unwrap(), []);
    let calls = [(); 3].map(|()| header(&mut daemon));
    assert_eq!(calls.map(|call| call.serial), [0, 1, 2]);
    let mut stream = reply::<ConnectGetLibVersion>(2, &9_000_000).unwrap();
    stream.extend(error_reply(&calls[0], &RemoteError::new(38, 7, "no")).unwrap());
    stream.extend(reply::<ConnectGetHostname>(1, &"host".into()).unwrap());
    let mut all = Vec::new();
    for part in stream.chunks(11) {
        daemon.write_all(part).unwrap();
        all.extend(answers(&mut link).unwrap());
    }
    assert_eq!(all, [(9, true), (7, false), (8, true)]);
    assert_eq!(link.waiting(), 0);
}

#[test]
fn a_sign_of_life_is_given_and_taken() {
    let (mut link, mut daemon) = pair();
    daemon.write_all(&keepalive::header(keepalive::PING).packet(&()).unwrap()).unwrap();
    assert_eq!(answers(&mut link).unwrap(), []);
    assert_eq!(header(&mut daemon), keepalive::header(keepalive::PONG));
    link.ping();
    assert_eq!(answers(&mut link).unwrap(), []);
    assert_eq!(header(&mut daemon), keepalive::header(keepalive::PING));
    let asked = link.pinged.unwrap();
    assert!(asked >= link.heard);
    daemon.write_all(&keepalive::header(keepalive::PONG).packet(&()).unwrap()).unwrap();
    assert_eq!(answers(&mut link).unwrap(), []);
    assert!(link.heard >= asked && !link.is_broken());
}

#[test]
fn nonsense_breaks_the_connection() {
    let serial = reply::<ConnectGetType>(1, &"QEMU".into()).unwrap();
    let procedure = reply::<ConnectGetHostname>(0, &"QEMU".into()).unwrap();
    let call = procedure::call::<ConnectGetType>(0, &()).unwrap();
    let error = Header { status: Status::Error, ..header_of(&procedure) }.packet(&()).unwrap();
    let long = u32::MAX.to_be_bytes().to_vec();
    for stream in [serial, procedure, call, error, long, b"HTTP/1.1 400 Bad Request".to_vec()] {
        let (mut link, mut daemon) = pair();
        link.ask::<ConnectGetType>(&(), 7).unwrap();
        daemon.write_all(&stream).unwrap();
        let error = answers(&mut link).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rpc, "{error}");
        assert!(link.is_broken());
        assert!(link.into_waiting().count() <= 1);
    }
}

fn header_of(packet: &[u8]) -> Header {
    Packet::split(packet).unwrap().unwrap().0.header
}

#[test]
fn the_end_of_the_connection_is_told_with_what_was_asked() {
    let (mut link, daemon) = pair();
    link.ask::<ConnectGetType>(&(), 7).unwrap();
    drop(daemon);
    let error = answers(&mut link).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::System, "{error}");
    assert_eq!(link.into_waiting().collect::<Vec<_>>(), [7]);
}
