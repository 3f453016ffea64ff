//! The encrypted transport to a daemon on another host: TLS, then libvirt's confirmation.
//!
//! ```text
//! TCP ── handshake ── the byte 1, when the daemon accepts the client ── its protocol
//! ```

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
    time::Instant,
};

use rustix::event::{PollFd, PollFlags};
use rustls::{ClientConnection, pki_types::ServerName};

use super::{Stream, certificates, error, poll_until, tcp};
use crate::{
    driver::libvirt::address::Pki,
    model::error::{Error, ErrorKind, Result},
};

/// An encrypted connection.
pub(super) struct Tls {
    session: ClientConnection,
    socket: TcpStream,
    /// How many bytes of a packet are still to be written.
    rest: usize,
    /// Whether the server was verified to be the host in the URI.
    verified: bool,
}

/// Connects, and returns once the daemon has accepted the client.
pub(super) fn connect(
    host: &str,
    port: u16,
    pki: &Pki,
    verify: bool,
    deadline: Instant,
) -> Result<Tls> {
    let config = Arc::new(certificates::load(pki, verify)?);
    let name = ServerName::try_from(host.to_owned()).map_err(|cause| {
        let what = format!("TLS needs a host name or an address, which '{host}' is not");
        error(ErrorKind::InvalidArgument, what).because(cause)
    })?;
    let session = ClientConnection::new(config, name)
        .map_err(|cause| error(ErrorKind::Internal, "TLS cannot be set up").because(cause))?;
    let mut tls =
        Tls { session, socket: tcp::connect(host, port, deadline)?, rest: 0, verified: verify };
    let entry = tls.wait_to_be_let_in(deadline);
    entry.map_err(|refusal| refusal.explain(tls.session.is_handshaking(), host, port, pki))?;
    Ok(tls)
}

/// Why no connection was established.
enum Refusal {
    Closed(Option<io::Error>),
    Tls(rustls::Error),
    Nonsense(u8),
    Late,
}

impl Tls {
    fn wait_to_be_let_in(&mut self, deadline: Instant) -> std::result::Result<(), Refusal> {
        let mut byte = [0];
        loop {
            let result = self.flush().and_then(|_| self.read(&mut byte));
            match result {
                Ok(0) => return Err(Refusal::Closed(None)),
                Ok(_) if byte == [1] => return Ok(()),
                Ok(_) => return Err(Refusal::Nonsense(byte[0])),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !self.wait(deadline).map_err(|error| Refusal::Closed(Some(error)))? {
                        return Err(Refusal::Late);
                    }
                }
                Err(error) => {
                    // Sends the alert that tells the server the reason.
                    let _ = self.flush();
                    return Err(match error.downcast() {
                        Ok(error) => Refusal::Tls(error),
                        Err(error) => Refusal::Closed(Some(error)),
                    });
                }
            }
        }
    }

    /// Waits until the handshake can continue, and returns whether it can before the deadline.
    fn wait(&self, deadline: Instant) -> io::Result<bool> {
        let interest = match self.wants_write() {
            true => PollFlags::IN | PollFlags::OUT,
            false => PollFlags::IN,
        };
        poll_until(&mut [PollFd::new(&self.socket, interest)], deadline)
    }
}

impl Refusal {
    fn explain(self, handshaking: bool, host: &str, port: u16, pki: &Pki) -> Error {
        let server = format!("port {port} of '{host}'");
        let tls = |what: String| error(ErrorKind::Tls, what);
        match self {
            Self::Late => error(
                ErrorKind::Timeout,
                format!(
                    "{server} did not finish the TLS handshake in time: libvirt's daemon is \
                     stopped, stuck or overloaded, or something else listens there"
                ),
            ),
            Self::Tls(rustls::Error::InvalidCertificate(cause)) => {
                let why = certificates::why_distrusted(pki, host, &cause);
                tls(format!("the certificate of {server} is not trusted: {why}"))
            }
            Self::Tls(rustls::Error::AlertReceived(alert)) if handshaking => {
                tls(format!("{server} refused the TLS handshake")).because(format!("{alert:?}"))
            }
            Self::Tls(cause @ rustls::Error::AlertReceived(_)) => {
                refused_us(&server, pki).because(cause)
            }
            Self::Tls(cause @ rustls::Error::PeerIncompatible(_)) => tls(format!(
                "{server} and this program have no TLS version or cipher in common: TLS 1.2 or \
                 1.3 is needed"
            ))
            .because(cause),
            Self::Tls(cause) if handshaking => no_tls(&server).because(cause),
            Self::Tls(cause) => tls(format!("the TLS connection to {server} broke")).because(cause),
            Self::Closed(cause) => {
                let error = if handshaking { no_tls(&server) } else { refused_us(&server, pki) };
                match cause {
                    Some(cause) => error.because(cause),
                    None => error,
                }
            }
            Self::Nonsense(byte) => {
                tls(format!("the program that listens on {server} is not libvirt's daemon"))
                    .because(format!("byte {byte} instead of 1"))
            }
        }
    }
}

fn no_tls(server: &str) -> Error {
    error(
        ErrorKind::Tls,
        format!(
            "no TLS with {server}: is it the daemon's TLS port, 16514 by default, and does the \
             daemon support TLS 1.2 or 1.3?"
        ),
    )
}

/// A daemon that does not trust a client hangs up after the handshake.
fn refused_us(server: &str, pki: &Pki) -> Error {
    let why = match &pki.client {
        Some((certificate, _)) => format!(
            "{server} refused the client's certificate {}: it must be valid, issued \
             for clients by an authority that the server trusts, and allowed by its libvirtd.conf",
            certificate.display()
        ),
        None => format!(
            "{server} refused the client, which has no certificate: put clientcert.pem and \
             clientkey.pem where libvirt looks for them, or name their directory with pkipath="
        ),
    };
    error(ErrorKind::Tls, why)
}

impl AsFd for Tls {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Stream for Tls {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Closed without close_notify. libvirt's packets carry their lengths, so a
                // truncated one is noticed.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                result => return result,
            }
            if self.session.read_tls(&mut self.socket)? == 0 && self.session.is_handshaking() {
                return Ok(0);
            }
            self.session.process_new_packets().map_err(io::Error::other)?;
        }
    }

    /// Writes at most to the end of a packet, so that each packet begins a TLS record: a libvirtd
    /// that has read one packet of a record does not look for the next until more data arrives.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.flush()?;
        if self.rest == 0 {
            // A packet begins with its length.
            let length = bytes.first_chunk().map_or(0, |word| u32::from_be_bytes(*word));
            self.rest = usize::try_from(length).unwrap_or(usize::MAX);
        }
        let packet = &bytes[..bytes.len().min(self.rest)];
        match self.session.writer().write(packet)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            length => {
                self.rest -= length;
                self.flush()?;
                Ok(length)
            }
        }
    }

    fn flush(&mut self) -> io::Result<bool> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn wants_write(&self) -> bool {
        self.session.wants_write()
    }

    /// Returns whether the server was verified: otherwise anybody can be at the other end.
    fn is_secure(&self) -> bool {
        self.verified
    }
}

/// Sends close_notify: without it, the daemon logs a broken connection.
impl Drop for Tls {
    fn drop(&mut self) {
        self.session.send_close_notify();
        let _ = self.flush();
    }
}
