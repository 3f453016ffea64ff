//! Which Unix sockets listen, which processes hold them, and how many connections wait in their
//! queues.
//!
//! A socket is identified by its inode number in the kernel, and by the file it is bound to. Its
//! path is only text, which may occur again in another folder or mount namespace. The kernel lists
//! the sockets of one network namespace (sock_diag(7)); where it does not, `/proc/PID/net/unix` has
//! the inodes too.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    io,
    os::fd::AsFd,
    thread,
};

use rustix::{
    net::netlink::SOCK_DIAG,
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

use super::{
    netlink::{PART, Questions, own_namespace},
    process::{Folder, Process},
    procfs::Proc,
    sock_diag::{self, Socket, State},
};

/// More than the list of all sockets of a host takes.
const LIST: u64 = 64 << 20;

/// A snapshot of the host's Unix sockets: each list is long, and is read once.
#[derive(Debug)]
pub(crate) struct Queues<'a> {
    proc: &'a Proc,
    own: Option<u64>,
    /// By network namespace, or by process if its namespace is not known.
    spaces: HashMap<Space, Sockets>,
    /// The sockets that a process holds.
    held: HashMap<Process, Result<HashSet<u64>, Unseen>>,
}

/// A network namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Space {
    Own,
    Of { namespace: u64, process: Process },
}

/// The sockets of one network namespace.
#[derive(Debug, Default)]
struct Sockets {
    /// The request socket, if the kernel answers.
    questions: Option<Questions>,
    lists: HashMap<State, Option<List>>,
}

#[derive(Debug, Default)]
struct List {
    sockets: Vec<Socket>,
    /// The index of the socket that is bound to a file; `None` if there are several.
    by_file: HashMap<(u64, u32), Option<usize>>,
}

/// A process, and its network namespace if that is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Holder {
    pub(crate) process: Process,
    pub(crate) namespace: Option<u64>,
}

impl Holder {
    pub(crate) fn of(proc: &Proc, process: Process) -> Self {
        Self { process, namespace: Folder::new(proc, process).net_namespace() }
    }
}

/// How a listening socket is looked up.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SocketKey<'a> {
    /// By the device and inode of its file.
    File(u64, u64),
    /// By its name, among those that the process holds.
    Name(&'a [u8]),
    Inode(u64),
}

/// Why sockets cannot be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unseen {
    /// The caller lacks the right to see them.
    Hidden,
    /// The process holds so many descriptors that there is no time to examine all of them.
    TooMany,
}

impl<'a> Queues<'a> {
    pub(crate) fn new(proc: &'a Proc) -> Self {
        Self { proc, own: own_namespace(), spaces: HashMap::new(), held: HashMap::new() }
    }

    pub(crate) fn proc(&self) -> &'a Proc {
        self.proc
    }

    /// Drops the snapshot: the next look-up reads again.
    pub(crate) fn look_again(&mut self) {
        self.held.clear();
        self.spaces.values_mut().for_each(|sockets| sockets.lists.clear());
    }

    /// Returns a listening socket in a process's network namespace, or in the caller's own: the
    /// socket may have been created before its process moved to another namespace.
    pub(crate) fn listener(
        &mut self,
        holder: Option<Holder>,
        key: SocketKey<'_>,
    ) -> Result<Option<Socket>, Unseen> {
        let held = match (key, holder) {
            (SocketKey::Name(_), Some(holder)) => match self.sockets_of(holder.process) {
                Err(Unseen::TooMany) => return Err(Unseen::TooMany),
                held => held.cloned().unwrap_or_default(),
            },
            _ => HashSet::new(),
        };
        let mut is_unseen = false;
        for space in self.spaces_of(holder) {
            let Some(list) = self.list(space, State::Listening) else {
                is_unseen = true;
                continue;
            };
            let found = match key {
                // The kernel reports only the lower 32 bits of the inode.
                SocketKey::File(device, inode) => list
                    .by_file
                    .get(&(device, inode as u32))
                    .and_then(|at| list.sockets.get((*at)?)),
                SocketKey::Inode(inode) => list.sockets.iter().find(|it| it.inode == inode),
                SocketKey::Name(name) => list
                    .sockets
                    .iter()
                    .find(|it| held.contains(&it.inode) && is_same_name(&it.name, name)),
            };
            if found.is_some() {
                return Ok(found.cloned());
            }
        }
        if is_unseen { Err(Unseen::Hidden) } else { Ok(None) }
    }

    /// Returns whether a process is in another network namespace than the caller.
    pub(crate) fn is_elsewhere(&self, holder: Holder) -> bool {
        self.spaces_of(Some(holder)).len() > 1
    }

    /// Returns whether a process holds a socket.
    pub(crate) fn holds(&mut self, process: Process, inode: u64) -> Result<bool, Unseen> {
        Ok(self.sockets_of(process)?.contains(&inode))
    }

    /// Returns whether a process serves a client on its listening socket, other than the client
    /// with the socket `ours`. The listener's side of a connection has the listener's name.
    pub(crate) fn serves(&mut self, holder: Holder, listener: &Socket, ours: Option<u64>) -> bool {
        let held = self.sockets_of(holder.process).cloned().unwrap_or_default();
        self.spaces_of(Some(holder)).into_iter().any(|space| {
            self.list(space, State::Connected).is_some_and(|list| {
                list.sockets.iter().any(|it| {
                    it.peer.is_some_and(|peer| Some(peer) != ours)
                        && is_same_name(&it.name, &listener.name)
                        && held.contains(&it.inode)
                })
            })
        })
    }

    fn spaces_of(&self, holder: Option<Holder>) -> Vec<Space> {
        match holder {
            Some(Holder { process, namespace: Some(namespace) }) if Some(namespace) != self.own => {
                vec![Space::Of { namespace, process }, Space::Own]
            }
            _ => vec![Space::Own],
        }
    }

    fn sockets_of(&mut self, process: Process) -> Result<&HashSet<u64>, Unseen> {
        let proc = self.proc;
        let read = || {
            sockets_of(proc, process).map_err(|error| match error.kind() {
                io::ErrorKind::TimedOut => Unseen::TooMany,
                _ => Unseen::Hidden,
            })
        };
        self.held.entry(process).or_insert_with(read).as_ref().map_err(|unseen| *unseen)
    }

    /// Returns the sockets of a namespace in one state; `None` if they cannot be seen.
    fn list(&mut self, space: Space, state: State) -> Option<&List> {
        let proc = self.proc;
        // A namespace that was read already needs no process.
        let known = self.spaces.keys().find(|known| match (known, &space) {
            (Space::Of { namespace: known, .. }, Space::Of { namespace, .. }) => known == namespace,
            (known, space) => *known == space,
        });
        let space = known.copied().unwrap_or(space);
        let sockets = match self.spaces.entry(space) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let questions = questions(proc, space).ok();
                entry.insert(Sockets { questions, lists: HashMap::new() })
            }
        };
        let questions = &mut sockets.questions;
        let read = || {
            let asked = questions.as_mut().and_then(|questions| ask(questions, state).ok());
            asked.or_else(|| read(proc, space, state).ok()).map(List::new)
        };
        sockets.lists.entry(state).or_insert_with(read).as_ref()
    }
}

impl List {
    fn new(sockets: Vec<Socket>) -> Self {
        let mut by_file = HashMap::with_capacity(sockets.len());
        for (at, socket) in sockets.iter().enumerate() {
            if let Some(file) = socket.file {
                by_file.entry(file).and_modify(|at| *at = None).or_insert(Some(at));
            }
        }
        Self { sockets, by_file }
    }
}

/// Compares two names, one of which may come from a text that has `@` for zeros.
fn is_same_name(one: &[u8], other: &[u8]) -> bool {
    let shown = |byte: &u8| if *byte == 0 { b'@' } else { *byte };
    one.iter().map(shown).eq(other.iter().map(shown))
}

/// Returns the inodes of the sockets that a process holds.
fn sockets_of(proc: &Proc, process: Process) -> io::Result<HashSet<u64>> {
    let folder = Folder::new(proc, process);
    let mut sockets = HashSet::new();
    for target in folder.descriptors()? {
        sockets.extend(socket_of_link(&target?));
    }
    Ok(sockets)
}

/// Returns the inode of the socket that a `/proc/PID/fd` link names: a file's name starts with a
/// slash.
pub(crate) fn socket_of_link(target: &[u8]) -> Option<u64> {
    let digits = target.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    str::from_utf8(digits).ok()?.parse().ok()
}

/// Runs a function in a process's network namespace, on a thread of its own.
pub(crate) fn in_namespace<T: Send>(
    proc: &Proc,
    process: Process,
    run: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    let namespace = Folder::new(proc, process).open("ns/net")?;
    let run = move || {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
        run()
    };
    thread::scope(|scope| {
        let thread =
            thread::Builder::new().name("namespace".to_owned()).spawn_scoped(scope, run)?;
        thread.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
    })
}

/// Opens a request socket in a namespace.
fn questions(proc: &Proc, space: Space) -> io::Result<Questions> {
    let open = || Questions::open(Some(SOCK_DIAG));
    match space {
        Space::Own => open(),
        Space::Of { process, .. } => in_namespace(proc, process, open),
    }
}

/// Asks the kernel for the sockets in one state.
fn ask(questions: &mut Questions, state: State) -> io::Result<Vec<Socket>> {
    let mut sockets = Vec::new();
    let question = |sequence| sock_diag::sockets(state, sequence);
    questions.ask(&mut vec![0; PART], question, |kind, body| {
        sockets.extend(sock_diag::socket(kind, body));
    })?;
    Ok(sockets)
}

/// Reads the sockets in one state from the list in `/proc`.
fn read(proc: &Proc, space: Space, state: State) -> io::Result<Vec<Socket>> {
    let text = match space {
        Space::Own => super::procfs::read_at_most("/proc/thread-self/net/unix".as_ref(), LIST)?,
        Space::Of { process, .. } => Folder::new(proc, process).read_at_most("net/unix", LIST)?,
    };
    Ok(parse(&text, state))
}

/// Parses `net/unix`. A connection that waits to be accepted has its listener's name and no inode
/// yet; if several listeners share a name, it counts for each of them.
pub(super) fn parse(text: &str, state: State) -> Vec<Socket> {
    let mut waiting: HashMap<&str, u32> = HashMap::new();
    let mut sockets = Vec::new();
    for (fields, name) in text.lines().filter_map(fields) {
        let is_wanted = match (fields[5], state) {
            ("02", State::Listening) => {
                *waiting.entry(name).or_default() += 1;
                false
            }
            // SO_ACCEPTCON
            ("01", State::Listening) => fields[3] == "00010000",
            ("03", State::Connected) => true,
            _ => false,
        };
        if let (true, Ok(inode)) = (is_wanted, fields[6].parse()) {
            // The client's end holds a reference until it is closed.
            let has_peer = state == State::Connected && fields[1] != "00000002";
            let peer = has_peer.then_some(0);
            sockets.push(Socket { inode, name: name.into(), peer, ..Socket::default() });
        }
    }
    for socket in &mut sockets {
        let name = str::from_utf8(&socket.name).unwrap_or_default();
        socket.waiting = waiting.get(name).copied().unwrap_or_default();
    }
    sockets
}

/// Returns the fields and the path of a socket that has a path.
fn fields(line: &str) -> Option<([&str; 7], &str)> {
    // Num RefCount Protocol Flags Type St Inode Path; the inode is padded, a path may contain
    // spaces.
    let mut rest = line;
    let mut field = || {
        let (field, behind) = rest.trim_start_matches(' ').split_once(' ')?;
        rest = behind;
        Some(field)
    };
    let fields = [field()?, field()?, field()?, field()?, field()?, field()?, field()?];
    Some((fields, rest))
}

#[cfg(test)]
mod tests {
    use std::os::unix::{
        fs::MetadataExt,
        net::{UnixListener, UnixStream},
    };

    use super::*;

    const TEXT: &str = "Num       RefCount Protocol Flags    Type St Inode Path\n\
        0000: 00000002 00000000 00010000 0001 01 12801 /run/q 1.qmp\n\
        0000: 00000003 00000000 00000000 0001 02     0 /run/q 1.qmp\n\
        0000: 00000003 00000000 00000000 0001 03 12956 /run/q 1.qmp\n\
        0000: 00000002 00000000 00000000 0001 03 12957 /run/q 1.qmp\n\
        0000: 00000002 00000000 00010000 0001 01 12802 /run/other\n\
        0000: 00000002 00000000 00000000 0002 01 12803 /run/datagrams\n\
        0000: 00000003 00000000 00000000 0001 03 12958\n";

    #[test]
    fn parses_the_list_in_proc() {
        let listening = parse(TEXT, State::Listening);
        let queue = |inode| listening.iter().find(|it| it.inode == inode).map(|it| it.waiting);
        assert_eq!([12801, 12802, 12803].map(queue), [Some(1), Some(0), None]);
        let connected = parse(TEXT, State::Connected);
        let open =
            |inode| connected.iter().find(|it| it.inode == inode).map(|it| it.peer.is_some());
        assert_eq!([12956, 12957, 12958].map(open), [Some(true), Some(false), None]);
    }

    #[test]
    fn sock_diag_and_proc_agree() {
        let folder = std::env::temp_dir().join(format!("domstats-queues-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("socket");
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        let file = std::fs::metadata(&path).unwrap();
        let proc = Proc::new("/proc");
        let stat = proc.stat(std::process::id()).unwrap();
        let own = Process { pid: std::process::id(), start_time: stat.start_time };
        let own = Holder::of(&proc, own);
        let mut queues = Queues::new(&proc);
        let key = SocketKey::File(file.dev(), file.ino());
        let ours = std::cell::Cell::new(None);
        let mut look = || {
            queues.look_again();
            let found = queues.listener(Some(own), key).unwrap().unwrap();
            assert_eq!(queues.holds(own.process, found.inode), Ok(true));
            assert_eq!(queues.holds(own.process, found.inode + 1_000_000_000), Ok(false));
            let name = SocketKey::Name(path.as_os_str().as_encoded_bytes());
            assert_eq!(queues.listener(Some(own), name), Ok(Some(found.clone())));
            let of_proc = read(&proc, Space::Own, State::Listening).unwrap();
            let same = of_proc.iter().find(|it| it.inode == found.inode).unwrap();
            assert_eq!((&same.name, same.waiting), (&found.name, found.waiting));
            (found.waiting, queues.serves(own, &found, ours.get()))
        };
        assert_eq!(look(), (0, false));
        let first = UnixStream::connect(&path).unwrap();
        drop(UnixStream::connect(&path).unwrap());
        assert_eq!(look(), (2, false), "a closed connection stays in the queue");
        let served = listener.accept().unwrap();
        assert_eq!(look(), (1, true));
        ours.set(Some(rustix::fs::fstat(&first).unwrap().st_ino));
        assert_eq!(look(), (1, false), "our own client does not count");
        ours.set(None);
        drop(first);
        assert_eq!(look(), (1, false), "the client has left");
        drop(served);
        let other = SocketKey::File(file.dev(), file.ino() + 1);
        assert_eq!(queues.listener(Some(own), other), Ok(None));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
