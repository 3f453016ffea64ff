//! One connection to one monitor.
//!
//! ```text
//! connect ── greeting ── capabilities + queries ── replies ── more queries ── ...
//! ```
//!
//! Queries go out in one write; replies come in the same order, so a queue of open queries is
//! enough to match them. A session whose replies are late stays usable: late replies are discarded.

use std::{
    collections::VecDeque,
    fmt,
    io::{ErrorKind, Write},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd},
        unix::net::UnixStream,
    },
    sync::atomic::{AtomicU16, Ordering},
};

use rustix::{
    fs::fstat,
    io::{Errno, read},
};

use crate::{
    driver::qemu::monitor::{
        budget::AnswerBudget,
        cache::{AnswerCache, HostView},
        query::{Query, Replies},
        reader::{Message, Reader},
        sockets::{Endpoint, Unreachable, blocked, denied},
    },
    host::queues::Queues,
    model::{
        name::shortened,
        report::{Missing, MissingReason},
    },
};

/// A socket that holds this much may be full, and QEMU may have more to send: each of the shortest
/// events, 80 bytes, takes 768 of a socket's 208 KiB.
const FULL: usize = 16 << 10;

/// How much to read from a monitor at once.
const READ: usize = 32 << 10;

/// The most of an incomplete reply that is held beyond a call; otherwise the session is closed.
const LEFT_OVER: usize = 64 << 10;

/// How much to read from one monitor before the others get their turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// 1 MiB.
    Slice,
    /// 128 KiB, the replies of most guests: for the end of a pass.
    Last,
}

impl Effort {
    fn reads(self) -> usize {
        match self {
            Self::Slice => 32,
            Self::Last => 4,
        }
    }
}

/// A connection to a monitor.
#[derive(Debug)]
pub(crate) struct Session {
    stream: UnixStream,
    reader: Reader,
    unsent: Vec<u8>,
    /// Queries that wait for the greeting.
    held_back: Vec<Query>,
    /// The queries that are in flight, oldest first.
    owed: VecDeque<Owed>,
    greeted: bool,
    cache: AnswerCache,
    /// The id of our negotiation, which hardly any other client uses.
    id: u16,
}

#[derive(Debug)]
enum Owed {
    Capabilities,
    Answer(Query),
    /// A query of an earlier call, whose reply is discarded.
    Stale,
}

/// The progress of a conversation.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Replies are outstanding.
    Waiting,
    /// All queries were answered.
    Done,
}

impl Session {
    /// Connects to a monitor without waiting; `name` is for error messages.
    pub(crate) fn connect(
        endpoint: &Endpoint,
        queues: &Queues<'_>,
        name: &dyn fmt::Display,
    ) -> Result<Self, Unreachable> {
        let socket = endpoint.connect(queues).map_err(|errno| match errno {
            Errno::TIMEDOUT => Unreachable::Blocked(blocked(name)),
            errno => Unreachable::Never(refused(errno, name)),
        })?;
        Ok(Self {
            stream: socket.into(),
            reader: Reader::default(),
            unsent: Vec::new(),
            held_back: Vec::new(),
            owed: VecDeque::new(),
            greeted: false,
            cache: AnswerCache::new(),
            id: next_id(),
        })
    }

    /// Returns the process that listens; `None` if it is in another pid namespace, so that the
    /// caller cannot see it.
    pub(crate) fn peer(&self) -> Option<u32> {
        u32::try_from(peer_pid(&self.stream)).ok().filter(|pid| *pid > 0)
    }

    /// Returns the inode of our end of the connection.
    pub(crate) fn inode(&self) -> Option<u64> {
        // The kernel reports only the lower 32 bits.
        fstat(&self.stream).ok().map(|stat| stat.st_ino & u64::from(u32::MAX))
    }

    /// Returns whether the monitor has greeted us, so that it is ours for now.
    pub(crate) fn is_greeted(&self) -> bool {
        self.greeted
    }

    /// Returns whether an incomplete reply is too large to be held.
    pub(crate) fn is_full(&self) -> bool {
        self.reader.size() > LEFT_OVER
    }

    /// Returns whether replies are outstanding.
    pub(crate) fn is_owing(&self) -> bool {
        !self.greeted || !self.owed.is_empty()
    }

    /// Returns whether the monitor has greeted and owes nothing to earlier calls: it works, however
    /// slowly.
    pub(crate) fn is_working(&self) -> bool {
        self.greeted && self.owed.iter().all(|owed| matches!(owed, Owed::Answer(_)))
    }

    /// Reads what happened since the last call, and sends this call's queries that the cache cannot
    /// answer. `view` is given if replies are to be cached.
    pub(crate) fn begin(
        &mut self,
        queries: &[Query],
        replies: &mut Replies,
        view: Option<&HostView<'_>>,
        budget: &mut AnswerBudget<'_>,
    ) -> Result<Progress, Missing> {
        let Some(view) = view else {
            self.ask(queries);
            return self.advance(replies, None, Effort::Slice, budget);
        };
        if self.listen(replies, Some(view), Effort::Slice, budget)? >= FULL {
            self.cache = AnswerCache::new();
        }
        let is_open = |query: &&Query| !self.cache.answer(query, replies, view);
        let open: Vec<Query> = queries.iter().filter(is_open).cloned().collect();
        self.ask(&open);
        self.flush()?;
        Ok(self.progress())
    }

    /// Returns the session's cached replies.
    pub(crate) fn cache(&self) -> &AnswerCache {
        &self.cache
    }

    /// As [`Session::cache`], for changing.
    pub(crate) fn cache_mut(&mut self) -> &mut AnswerCache {
        &mut self.cache
    }

    /// Sends queries, all in one write, as soon as the monitor has greeted.
    pub(crate) fn ask(&mut self, queries: &[Query]) {
        if self.greeted {
            for query in queries {
                query.write(&mut self.unsent);
                self.owed.push_back(Owed::Answer(query.clone()));
            }
        } else {
            self.held_back.extend_from_slice(queries);
        }
    }

    /// Abandons the open queries: their replies are discarded when they come.
    pub(crate) fn abandon(&mut self) {
        self.cache = AnswerCache::new();
        self.held_back.clear();
        for owed in &mut self.owed {
            if let Owed::Answer(_) = owed {
                *owed = Owed::Stale;
            }
        }
    }

    /// Sends and reads as much as possible without waiting.
    pub(crate) fn advance(
        &mut self,
        replies: &mut Replies,
        view: Option<&HostView<'_>>,
        effort: Effort,
        budget: &mut AnswerBudget<'_>,
    ) -> Result<Progress, Missing> {
        self.flush()?;
        self.listen(replies, view, effort, budget)?;
        Ok(self.progress())
    }

    fn progress(&self) -> Progress {
        if self.is_owing() { Progress::Waiting } else { Progress::Done }
    }

    /// Reads as much as possible without waiting, and returns how much that was.
    fn listen(
        &mut self,
        replies: &mut Replies,
        view: Option<&HostView<'_>>,
        effort: Effort,
        budget: &mut AnswerBudget<'_>,
    ) -> Result<usize, Missing> {
        let mut total = 0;
        // Not zeroed: that would take longer than reading.
        let mut space = [MaybeUninit::uninit(); READ];
        // Bounded, so that a monitor that never stops sending cannot hold up the others.
        for _ in 0..effort.reads() {
            match read(&self.stream, &mut space) {
                Ok(([], _)) => {
                    return Err(Missing::new(
                        MissingReason::Gone,
                        "the monitor closed the connection",
                    ));
                }
                Ok((bytes, _)) => {
                    let length = bytes.len();
                    total += length;
                    self.reader.push(bytes);
                    budget.hold(self.reader.size())?;
                    self.take_messages(replies, view, budget)?;
                    budget.hold(self.reader.size())?;
                    self.flush()?;
                    if length < READ {
                        break;
                    }
                }
                Err(Errno::WOULDBLOCK) => break,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(broken(&errno.into())),
            }
        }
        Ok(total)
    }

    fn take_messages(
        &mut self,
        replies: &mut Replies,
        view: Option<&HostView<'_>>,
        budget: &mut AnswerBudget<'_>,
    ) -> Result<(), Missing> {
        let nonsense =
            |what: &str| Missing::new(MissingReason::Failed, format!("the monitor {what}"));
        while let Some(message) = self.reader.next_message().map_err(|what| nonsense(&what))? {
            let reply = match message {
                Message::Event { name } => {
                    self.cache.note_event(&name);
                    continue;
                }
                Message::Greeting { .. } if self.greeted => {
                    return Err(nonsense("sent a second greeting"));
                }
                Message::Greeting { oob } => {
                    self.greeted = true;
                    // With out-of-band execution enabled, QEMU reads ahead instead of stopping
                    // after each command; none of ours executes out of band. The id distinguishes
                    // the reply from one that the previous client did not wait for: QEMU sends it
                    // to the next client.
                    let oob = if oob { r#","arguments":{"enable":["oob"]}"# } else { "" };
                    let id = self.id;
                    let _ =
                        write!(self.unsent, r#"{{"execute":"qmp_capabilities","id":{id}{oob}}}"#);
                    self.owed.push_back(Owed::Capabilities);
                    for query in std::mem::take(&mut self.held_back) {
                        query.write(&mut self.unsent);
                        self.owed.push_back(Owed::Answer(query));
                    }
                    continue;
                }
                // For another client.
                Message::Ready { id, .. } if id != itoa::Buffer::new().format(self.id) => continue,
                Message::Ready { answer, .. } => {
                    answer.map_err(|text| nonsense(&format!("refused to start: {text}")))?;
                    match self.owed.pop_front() {
                        Some(Owed::Capabilities) => continue,
                        _ => return Err(nonsense("negotiated twice")),
                    }
                }
                // For another client, too.
                Message::Return(_) | Message::Error { .. }
                    if matches!(self.owed.front(), Some(Owed::Capabilities)) =>
                {
                    continue;
                }
                Message::Return(json) => Ok(json),
                Message::Error { class, description } => Err(Missing::new(
                    match class.as_str() {
                        "CommandNotFound" | "DeviceNotActive" | "DeviceNotFound" => {
                            MissingReason::Unsupported
                        }
                        _ => MissingReason::Failed,
                    },
                    shortened(&description),
                )),
            };
            match self.owed.pop_front() {
                Some(Owed::Answer(query)) => {
                    let reply =
                        reply.and_then(|json| budget.add(query.weight(json)).map(|()| json));
                    replies.note(&query, reply);
                    // Large replies are not cached.
                    if let Some(view) = view.filter(|_| !budget.is_large()) {
                        self.cache.keep(&query, replies, view);
                    }
                }
                Some(Owed::Stale | Owed::Capabilities) => {}
                None => return Err(nonsense("sent a reply without a query")),
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Missing> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(length) => drop(self.unsent.drain(..length)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(broken(&error)),
            }
        }
        Ok(())
    }

    /// Returns whether bytes wait to be sent.
    pub(crate) fn wants_to_write(&self) -> bool {
        !self.unsent.is_empty()
    }
}

/// Returns a different number for each session, and different ones than other processes. It is
/// short, since QEMU reads it byte by byte.
fn next_id() -> u16 {
    static COUNT: AtomicU16 = AtomicU16::new(0);
    let process = std::process::id().to_le_bytes();
    u16::from_le_bytes([process[0], process[1]]).wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Returns the peer's pid (`SO_PEERCRED`). rustix's type for it must not be zero, but it is zero
/// for a process in another pid namespace.
fn peer_pid(stream: &UnixStream) -> i32 {
    let mut peer = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let Ok(mut length) = libc::socklen_t::try_from(size_of::<libc::ucred>()) else { return 0 };
    #[expect(unsafe_code, reason = "no well-maintained crate offers it safely")]
    // SAFETY: both pointers are to values of the right size that live until the call returns, and
    // any three numbers are a valid `ucred`. If the call fails they stay zero.
    unsafe {
        let (level, option) = (libc::SOL_SOCKET, libc::SO_PEERCRED);
        let (peer, length) = ((&raw mut peer).cast(), &raw mut length);
        libc::getsockopt(stream.as_raw_fd(), level, option, peer, length);
    }
    peer.pid
}

impl AsFd for Session {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// Returns why the connection to a monitor was refused.
fn refused(errno: Errno, name: &dyn fmt::Display) -> Missing {
    match errno {
        Errno::ACCESS | Errno::PERM => denied(name),
        Errno::AGAIN => {
            Missing::new(MissingReason::Busy, format!("other clients wait for the monitor {name}"))
        }
        Errno::NOENT | Errno::CONNREFUSED => {
            Missing::new(MissingReason::Failed, format!("nobody listens on the monitor {name}"))
        }
        errno => Missing::new(
            MissingReason::Failed,
            format!("cannot connect to the monitor {name}: {errno}"),
        ),
    }
}

fn broken(error: &std::io::Error) -> Missing {
    let reason = match error.kind() {
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => MissingReason::Gone,
        _ => MissingReason::Failed,
    };
    Missing::new(reason, format!("the connection to the monitor broke: {error}"))
}
