//! A client of libvirt's protocol that sends what it is told to send, right or wrong.

use std::{
    fmt,
    io::{self, Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::{
    fake_daemon::procedure,
    patience::PATIENCE,
    wire::{Bytes, KEEPALIVE, Packet, REMOTE, Reader, kind},
};

/// A connection to a daemon.
pub struct RpcClient {
    stream: Box<dyn Stream>,
    /// What was received of an incomplete packet.
    received: Vec<u8>,
}

/// What was received from a daemon within a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A packet.
    Packet(Packet),
    /// Nothing, or an incomplete packet.
    Nothing,
    /// The end of the connection.
    End,
}

trait Stream: Read + Write + Send {
    fn set_patience(&self, patience: Duration);
}

impl Stream for UnixStream {
    fn set_patience(&self, patience: Duration) {
        self.set_read_timeout(Some(patience)).unwrap();
    }
}

impl Stream for StreamOwned<ClientConnection, TcpStream> {
    fn set_patience(&self, patience: Duration) {
        self.sock.set_read_timeout(Some(patience)).unwrap();
    }
}

impl fmt::Debug for RpcClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RpcClient").field("received", &self.received.len()).finish()
    }
}

impl RpcClient {
    /// Connects to a Unix socket.
    #[must_use]
    pub fn connect(socket: &Path) -> Self {
        Self::of(UnixStream::connect(socket).unwrap())
    }

    /// Uses an open connection to a Unix socket.
    #[must_use]
    pub fn of(stream: UnixStream) -> Self {
        // A daemon that does not read must not block a test.
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream: Box::new(stream), received: Vec::new() }
    }

    /// Connects to a port over TLS, with the certificate in this directory, and is let in.
    ///
    /// # Errors
    ///
    /// The daemon closes the connection before that.
    pub fn connect_tls(port: u16, client: &Path) -> io::Result<Self> {
        let certificates = |name| {
            let read = CertificateDer::pem_file_iter(client.join(name)).unwrap();
            read.map(Result::unwrap).collect::<Vec<_>>()
        };
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates("cacert.pem"));
        let key = PrivateKeyDer::from_pem_file(client.join("clientkey.pem")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(certificates("clientcert.pem"), key)
            .unwrap();
        let name = "localhost".try_into().unwrap();
        let tls = ClientConnection::new(Arc::new(config), name).unwrap();
        let tcp = TcpStream::connect(("127.0.0.1", port))?;
        tcp.set_write_timeout(Some(PATIENCE))?;
        let mut stream = StreamOwned::new(tls, tcp);
        stream.set_patience(PATIENCE);
        let mut word = [0];
        stream.read_exact(&mut word)?;
        assert_eq!(word, [1], "what a client reads that is let in");
        Ok(Self { stream: Box::new(stream), received: Vec::new() })
    }

    /// Asks how to authenticate, and opens the hypervisor for reading.
    #[must_use]
    pub fn opened(mut self) -> Self {
        self.authenticate();
        let opened = self.call(procedure::OPEN, Bytes::default().some_string("").u32(1));
        assert_eq!(opened.status, 0, "{opened:?}");
        self
    }

    /// Asks how to authenticate: some daemons answer nothing before that.
    pub fn authenticate(&mut self) {
        let ways = self.call(procedure::AUTH_LIST, Bytes::default());
        assert_eq!(ways.payload, [0, 0, 0, 1, 0, 0, 0, 0], "one way, without a password");
    }

    /// Sends bytes.
    ///
    /// # Errors
    ///
    /// The daemon has closed the connection, or reads nothing.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Calls a procedure, and returns the reply.
    pub fn call(&mut self, procedure: u32, arguments: Bytes) -> Packet {
        let call = call(procedure, 4711, arguments);
        self.send(&call.encode()).unwrap();
        match self.hear(PATIENCE) {
            Heard::Packet(answer) => {
                let is_its = (answer.procedure, answer.kind, answer.serial);
                assert_eq!(is_its, (procedure, kind::REPLY, 4711), "{answer:?}");
                answer
            }
            other => panic!("{other:?} in place of the answer to {procedure}"),
        }
    }

    /// Returns the next packet, if one arrives within this time, or the end.
    pub fn hear(&mut self, patience: Duration) -> Heard {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(packet) = self.take() {
                return Heard::Packet(packet);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Heard::Nothing;
            }
            self.stream.set_patience(left);
            let mut bytes = [0; 65536];
            match self.stream.read(&mut bytes) {
                Ok(0) => return Heard::End,
                Ok(length) => self.received.extend_from_slice(&bytes[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Heard::Nothing,
                Err(_) => return Heard::End,
            }
        }
    }

    fn take(&mut self) -> Option<Packet> {
        let length = Reader(&self.received).u32()? as usize;
        let packet = self.received.get(4..length)?;
        let packet = Packet::decode(packet).unwrap();
        self.received.drain(..length);
        Some(packet)
    }
}

/// Returns a call.
#[must_use]
pub fn call(procedure: u32, serial: u32, arguments: Bytes) -> Packet {
    let (program, version, status, payload) = (REMOTE, 1, 0, arguments.0);
    Packet { program, version, procedure, kind: kind::CALL, serial, status, payload }
}

/// Returns a ping, or the reply to one.
#[must_use]
pub fn keepalive(procedure: u32) -> Packet {
    Packet { program: KEEPALIVE, kind: kind::MESSAGE, ..call(procedure, 0, Bytes::default()) }
}
