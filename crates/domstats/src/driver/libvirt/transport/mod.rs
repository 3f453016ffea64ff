//! Streams of bytes to a daemon, one file for each way that leads to one. None of them waits, once
//! it is open: the caller polls.

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

/// A connection that carries bytes. Its descriptor is for polling.
pub(super) trait Stream: AsFd + Send {
    /// Reads what is there, and returns its length: 0 when the daemon has closed the connection.
    ///
    /// A buffer of 64 KiB takes everything that was decoded, so that a poll of the descriptor
    /// misses nothing.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) when nothing is there.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Takes some of the bytes, at least one, to be sent. They may have to wait for
    /// [`flush`](Self::flush).
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) when it can take none now.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Sends what waits, and returns whether nothing does any more.
    ///
    /// # Errors
    ///
    /// The connection is broken.
    fn flush(&mut self) -> io::Result<bool>;

    /// Returns whether something waits for [`flush`](Self::flush): what was written, or what the
    /// encryption has to say on its own.
    fn wants_write(&self) -> bool {
        false
    }

    /// Returns what the program that carries the bytes said of its end.
    fn last_words(&mut self) -> Option<String> {
        None
    }

    /// Returns whether nobody on the way can read along: passwords may be sent.
    fn is_secure(&self) -> bool;
}

/// Connects to the daemon, with everything that comes before its own protocol.
///
/// # Errors
///
/// [`ErrorKind::NoConnect`] when no daemon is there, [`ErrorKind::AccessDenied`] when its socket is
/// not for this user, [`ErrorKind::Tls`] when either side does not trust the other,
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

/// Waits until a descriptor is ready, and returns whether one is before the deadline.
///
/// After the deadline none counts as ready: a peer that never stops talking cannot move it.
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

/// A socket, and the bytes as they are.
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
    fn a_peer_that_never_stops_talking_does_not_move_the_deadline() {
        let (mut talks, listens) = UnixStream::pair().unwrap();
        talks.write_all(b"more").unwrap();
        let mut fds = [PollFd::new(&listens, PollFlags::IN)];
        assert!(poll_until(&mut fds, Instant::now() + Duration::from_secs(10)).unwrap());
        assert!(!poll_until(&mut fds, Instant::now()).unwrap());
    }
}
