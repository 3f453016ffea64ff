//! Byte streams to a daemon, one file for each transport. Once open, a stream never blocks: the
//! caller polls.

mod certificates;
mod ssh;
mod tcp;
mod tls;
mod unix;

use std::{
    io::{self, Read, Write},
    os::fd::{AsFd, BorrowedFd},
    time::Instant,
};

use rustix::{
    event::{PollFd, Timespec, poll},
    io::Errno,
};

use super::address::{Address, Transport};
use crate::model::error::{Error, ErrorKind, ErrorOrigin, Result};

/// A byte stream to a daemon, with a descriptor to poll.
pub(super) trait Stream: AsFd + Send {
    /// Reads what is available, and returns its length: 0 when the daemon has closed the connection.
    ///
    /// A buffer of 64 KiB holds everything that was decoded, so that polling the descriptor misses
    /// nothing.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) when nothing is available.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Accepts some of the bytes, at least one, for sending. They may stay buffered until
    /// [`flush`](Self::flush).
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) when it can accept none now.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Sends what is buffered, and returns whether everything was sent.
    ///
    /// # Errors
    ///
    /// The connection is broken.
    fn flush(&mut self) -> io::Result<bool>;

    /// Returns whether anything is buffered for [`flush`](Self::flush): bytes that were written, or
    /// TLS's own messages.
    fn wants_write(&self) -> bool {
        false
    }

    /// Returns the last error output of the transport's program, which may explain its end.
    fn last_words(&mut self) -> Option<String> {
        None
    }

    /// Returns whether nobody can eavesdrop, so that passwords may be sent.
    fn is_secure(&self) -> bool;
}

/// Connects to the daemon, with everything that precedes its own protocol.
///
/// # Errors
///
/// [`ErrorKind::NoConnect`] when no daemon listens, [`ErrorKind::AccessDenied`] when this user may
/// not use its socket, [`ErrorKind::Tls`] when either side does not trust the other,
/// [`ErrorKind::Timeout`] when the deadline passes.
pub(super) fn connect(address: &Address, deadline: Instant) -> Result<Box<dyn Stream>> {
    match &address.transport {
        Transport::Unix { sockets } => {
            let socket = unix::connect(sockets, deadline)?;
            Ok(Box::new(Plain { socket, secure: true }))
        }
        Transport::Tcp { host, port } => {
            let socket = tcp::connect(host, *port, deadline)?;
            Ok(Box::new(Plain { socket, secure: false }))
        }
        Transport::Tls { host, port, pki, verify } => {
            Ok(Box::new(tls::connect(host, *port, pki, *verify, deadline)?))
        }
        Transport::Program { program, arguments } => {
            Ok(Box::new(ssh::Program::start(program, arguments)?))
        }
    }
}

/// Waits until a descriptor is ready, and returns whether one was before the deadline.
///
/// After the deadline none counts as ready: a peer that never stops sending cannot extend it.
pub(super) fn poll_until(fds: &mut [PollFd<'_>], deadline: Instant) -> io::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        match poll(fds, Timespec::try_from(left).ok().as_ref()) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn error(kind: ErrorKind, what: impl Into<String>) -> Error {
    Error::new(kind, ErrorOrigin::Rpc, what)
}

/// A socket that carries the bytes unchanged.
struct Plain<S> {
    socket: S,
    secure: bool,
}

impl<S: AsFd> AsFd for Plain<S> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl<S: Read + Write + AsFd + Send> Stream for Plain<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.read(buffer)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<bool> {
        Ok(true)
    }

    fn is_secure(&self) -> bool {
        self.secure
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::net::UnixStream, time::Duration};

    use rustix::event::PollFlags;

    use super::*;

    #[test]
    fn a_peer_that_never_stops_sending_does_not_extend_the_deadline() {
        let (mut talks, listens) = UnixStream::pair().unwrap();
        talks.write_all(b"more").unwrap();
        let mut fds = [PollFd::new(&listens, PollFlags::IN)];
        assert!(poll_until(&mut fds, Instant::now() + Duration::from_secs(10)).unwrap());
        assert!(!poll_until(&mut fds, Instant::now()).unwrap());
    }
}
