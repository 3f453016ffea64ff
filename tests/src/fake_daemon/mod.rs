//! A libvirt daemon that misbehaves, in ways that a real one cannot be made to, or has thousands of
//! domains.

mod answers;
mod serve;

use std::{
    collections::HashMap,
    fs,
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::lab::lab;
use serve::Shared;

/// The numbers of libvirt's calls, for [`FakeSpec::fault`].
#[expect(missing_docs, reason = "their names are libvirt's")]
pub mod procedure {
    pub const OPEN: u32 = 1;
    pub const CLOSE: u32 = 2;
    pub const TYPE: u32 = 3;
    pub const VERSION: u32 = 4;
    pub const LOOKUP_BY_ID: u32 = 22;
    pub const LOOKUP_BY_NAME: u32 = 23;
    pub const LOOKUP_BY_UUID: u32 = 24;
    pub const HOSTNAME: u32 = 59;
    pub const SUPPORTS_FEATURE: u32 = 60;
    pub const AUTH_LIST: u32 = 66;
    pub const URI: u32 = 110;
    pub const LIB_VERSION: u32 = 157;
    pub const STATE: u32 = 212;
    pub const LIST: u32 = 273;
    pub const STATS: u32 = 344;
}

/// What happens instead of a correct reply.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Nothing. Other calls are answered.
    Silence,
    /// Bytes of another protocol.
    Garbage,
    /// A length word of this value, before the correct packet.
    Length(u32),
    /// Half a packet, then nothing.
    Half,
    /// Half a packet, then the end of the connection.
    HalfAndClose,
    /// A serial number that no call has.
    WrongSerial,
    /// The correct reply, one byte every ten milliseconds.
    Trickle,
    /// The correct reply, twice.
    Twice,
    /// An event, then the correct reply.
    Event,
    /// Endless events, and no reply.
    EventStorm,
    /// The correct reply, after a delay. Other calls are answered meanwhile.
    Late(Duration),
    /// An error of libvirt's: its code and text.
    Error(u32, &'static str),
    /// libvirt's error for a reply that is too large, if it has more records than this. Applies to
    /// the stats call only, like all that follow.
    TooLarge(u32),
    /// A parameter of an unknown type in every record.
    UnknownType,
    /// In every record, a count that exceeds the number of parameters by this many.
    ParamCount(u32),
    /// In every record, a string that claims this length, and of which nothing follows.
    StringLength(u32),
    /// Fields, groups and types of a newer libvirt.
    Newer,
}

/// The specification of a fake daemon. Without faults it answers correctly, at once.
#[derive(Debug)]
pub struct FakeSpec {
    domains: u32,
    latency: Duration,
    faults: HashMap<u32, Fault>,
}

impl FakeSpec {
    /// Returns a daemon with this many running domains, named `fake-00001` and so on. Each has its
    /// number as `cpu.time` in seconds.
    #[must_use]
    pub fn new(domains: u32) -> Self {
        Self { domains, latency: Duration::ZERO, faults: HashMap::new() }
    }

    /// Delays the answer to every call.
    #[must_use]
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// Answers the calls with this number with a fault.
    #[must_use]
    pub fn fault(mut self, procedure: u32, fault: Fault) -> Self {
        self.faults.insert(procedure, fault);
        self
    }

    /// Starts it.
    #[must_use]
    pub fn start(self) -> FakeDaemon {
        let dir = lab().path(lab().name("fake-daemon"));
        fs::create_dir_all(&dir).unwrap();
        let socket = dir.join("sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let shared = Arc::new(Shared::new(self));
        let thread = thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.listen(&listener)
        });
        FakeDaemon { socket, shared, thread: Some(thread) }
    }
}

/// A running fake daemon. Its connections are closed on drop.
#[derive(Debug)]
pub struct FakeDaemon {
    /// Its Unix socket.
    pub socket: PathBuf,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// A call that a fake daemon received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// The index of its connection: 0 is the first one.
    pub connection: usize,
    /// The procedure number.
    pub procedure: u32,
    /// How many calls of its connection were unanswered when it came, including itself.
    pub waiting: usize,
    /// Whether it was answered, correctly or not.
    pub answered: bool,
}

impl FakeDaemon {
    /// Returns the URI for libvirt's programs.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("qemu:///system?socket={}", self.socket.display())
    }

    /// Answers correctly from now on.
    pub fn mend(&self) {
        self.shared.lock().faults.clear();
    }

    /// Returns the calls that it received, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.shared.lock().calls.clone()
    }
}

impl Drop for FakeDaemon {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.over = true;
        for stream in &state.streams {
            let _ = stream.shutdown(Shutdown::Both);
        }
        drop(state);
        self.shared.changed.notify_all();
        // Wakes the thread, which then notices that it is over.
        let _ = UnixStream::connect(&self.socket);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
