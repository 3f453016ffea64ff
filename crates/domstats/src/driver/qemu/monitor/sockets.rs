//! Finds the sockets of monitors, and who holds them. A command line only claims; before
//! connecting, the driver asks the kernel whether QEMU holds the socket that listens there.
//!
//! ```text
//! path ── file, opened without a connection ── listening socket ── held by QEMU? ── its queue
//! ```

use std::{
    collections::HashSet,
    fmt,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, ResolveFlags, readlinkat},
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with},
};

use crate::{
    driver::qemu::{
        discovery::{
            monitor_option::{Address, is_libvirt_monitor},
            socket::MonitorSocket,
        },
        reasons::{belongs_to_libvirt, too_long},
    },
    host::{
        blocking::BlockingCall,
        files::{FileStat, is_local, open_anyhow, open_cached},
        process::Folder,
        queues::{Holder, Queues, SocketKey, Unseen, in_namespace, socket_of_link},
        sock_diag::Socket,
    },
    model::report::{Missing, MissingReason},
};

/// The length of an abstract name that is not tight: zeros pad it to the length of an address.
const PADDED: usize = 107;

/// Why a monitor is unreachable.
#[derive(Debug)]
pub(crate) enum Unreachable {
    /// It has no usable socket.
    Never(Missing),
    /// The storage of its path does not answer.
    Blocked(Missing),
}

impl From<Missing> for Unreachable {
    fn from(missing: Missing) -> Self {
        Self::Never(missing)
    }
}

/// The address of a monitor: a socket that QEMU listens on.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) listener: Socket,
    place: Place,
    holder: Holder,
    /// Whether the kernel says that QEMU holds the socket. If not, the peer must be QEMU.
    pub(crate) is_sure: bool,
}

#[derive(Debug)]
enum Place {
    /// A file, and the blocking call to connect with, if connecting may block.
    File(OwnedFd, Option<BlockingCall>),
    /// An abstract name, without the leading zero.
    Abstract(Vec<u8>),
}

impl Endpoint {
    /// Connects without waiting.
    ///
    /// # Errors
    ///
    /// The kernel's; `TIMEDOUT` if storage does not answer.
    pub(super) fn connect(&self, queues: &Queues<'_>) -> Result<OwnedFd, Errno> {
        fn connected(address: &SocketAddrUnix) -> Result<OwnedFd, Errno> {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
            connect(&socket, address)?;
            Ok(socket)
        }
        // Uses the file that was checked, whatever its path leads to by now; this also keeps the
        // address short.
        let through = |file: &OwnedFd| {
            let path = format!("/proc/self/fd/{}", file.as_raw_fd());
            connected(&SocketAddrUnix::new(path)?)
        };
        match &self.place {
            Place::File(file, None) => through(file),
            Place::File(file, Some(call)) => {
                let file = file.try_clone().map_err(|_| Errno::MFILE)?;
                let time = queues.proc().blocking_time(call.user);
                let connected = call.clone().run(time, move || through(&file));
                connected.unwrap_or(Err(Errno::TIMEDOUT))
            }
            Place::Abstract(name) => {
                let address = SocketAddrUnix::new_abstract_name(name)?;
                let connected = || connected(&address).map_err(std::io::Error::from);
                let socket = match queues.is_elsewhere(self.holder) {
                    true => in_namespace(queues.proc(), self.holder.process, connected),
                    false => connected(),
                };
                socket.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
            }
        }
    }
}

/// Finds the socket, and verifies that it is QEMU's, unless that is known already.
pub(crate) fn find(
    socket: &MonitorSocket,
    holder: Holder,
    known: &HashSet<u64>,
    queues: &mut Queues<'_>,
) -> Result<Endpoint, Unreachable> {
    let search = SocketSearch { socket, holder, known };
    match &socket.address {
        Address::Unix(path) => search.at(path, queues),
        Address::Abstract { name, is_tight } => {
            let mut name = name.as_bytes().to_owned();
            if !is_tight {
                name.resize(PADDED.max(name.len()), 0);
            }
            Ok(search.abstractly(name, queues)?)
        }
        Address::Descriptor(fd) => {
            let inode = search.descriptor(fd, queues)?;
            let found = queues.listener(Some(holder), SocketKey::Inode(inode));
            let listener = found.map_err(|seen| search.unseen(seen))?;
            let name = listener.map(|it| it.name).unwrap_or_default();
            match name.split_first() {
                None => Err(search.no_listener().into()),
                Some((0, name)) => Ok(search.abstractly(name.to_owned(), queues)?),
                Some(_) => {
                    let endpoint = search.at(path_of(&name), queues)?;
                    let is_it = endpoint.listener.inode == inode;
                    is_it.then_some(endpoint).ok_or_else(|| search.no_listener().into())
                }
            }
        }
        Address::Tcp { .. } | Address::Other(_) => Err(search.no_listener().into()),
    }
}

/// A search for one socket of one process.
struct SocketSearch<'a> {
    socket: &'a MonitorSocket,
    holder: Holder,
    known: &'a HashSet<u64>,
}

impl SocketSearch<'_> {
    /// Finds an abstract socket.
    fn abstractly(&self, name: Vec<u8>, queues: &mut Queues<'_>) -> Result<Endpoint, Missing> {
        let whole = [b"\0".as_slice(), &name].concat();
        let listener = queues.listener(Some(self.holder), SocketKey::Name(&whole));
        let listener = listener.map_err(|seen| self.unseen(seen))?;
        let listener = listener.ok_or_else(|| self.no_listener())?;
        let place = Place::Abstract(name);
        Ok(Endpoint { listener, place, holder: self.holder, is_sure: true })
    }

    /// Finds a file in any place that the path may lead to.
    fn at(&self, path: &Path, queues: &mut Queues<'_>) -> Result<Endpoint, Unreachable> {
        let mut why = self.no_listener().into();
        for place in self.places(path) {
            let (file, look) = match place.open(&Folder::new(queues.proc(), self.holder.process)) {
                Ok(found) => found,
                Err(Errno::ACCESS | Errno::PERM) => {
                    why = self.denied().into();
                    continue;
                }
                Err(Errno::TIMEDOUT) => {
                    why = Unreachable::Blocked(blocked(self.socket));
                    continue;
                }
                Err(_) => continue,
            };
            match self.endpoint(file, &look, queues) {
                Ok(Some(endpoint)) => return Ok(endpoint),
                Ok(None) => {}
                // "Another process holds it" says more than "not found" elsewhere.
                Err(missing) => why = missing.into(),
            }
        }
        Err(why)
    }

    /// Returns the places that a path of QEMU's or of the caller's may lead to, the likeliest
    /// first.
    fn places(&self, path: &Path) -> Vec<FilePlace> {
        use FilePlace::{Here, InFolder, InRoot};
        let path = path.to_owned();
        if self.socket.is_named {
            return vec![Here(path)];
        }
        // QEMU may have another root than the caller, in a container, or because it created the
        // socket before `-chroot`.
        let both = |path: PathBuf| [Here(path.clone()), InRoot(path)];
        if path.is_absolute() {
            return both(path).into();
        }
        // A daemonized QEMU has left the folder where it was started.
        let started_in = self.socket.started_in.as_ref().map(|folder| both(folder.join(&path)));
        std::iter::once(InFolder(path)).chain(started_in.into_iter().flatten()).collect()
    }

    /// Returns the endpoint for a file if QEMU listens there.
    fn endpoint(
        &self,
        file: OwnedFd,
        look: &FileStat,
        queues: &mut Queues<'_>,
    ) -> Result<Option<Endpoint>, Missing> {
        if !look.is_socket() {
            return Ok(None);
        }
        let (device, inode) = look.file();
        let (holder, key) = (Some(self.holder), SocketKey::File(device, inode));
        let found = queues.listener(holder, key).map_err(|seen| self.unseen(seen))?;
        let (listener, is_sure) = match found {
            Some(listener) if self.known.contains(&listener.inode) => (listener, true),
            Some(listener) => match queues.holds(self.holder.process, listener.inode) {
                Ok(true) => (listener, true),
                Ok(false) => return Err(self.of_another()),
                // Without the right to know, it must be enough that both have the same owner, and
                // the peer.
                Err(Unseen::Hidden) if self.is_owner(look.owner(), queues) => (listener, false),
                Err(Unseen::Hidden) => return Err(self.denied()),
                Err(Unseen::TooMany) => return Err(too_long(self.holder.process)),
            },
            // The kernel does not report files, or identifies those of some file systems
            // differently than for programs (overlays, btrfs): then QEMU must hold the name, in a
            // file of its user.
            None => {
                let Address::Unix(path) = &self.socket.address else { return Ok(None) };
                let key = SocketKey::Name(path.as_os_str().as_bytes());
                let found = queues.listener(holder, key).map_err(|seen| self.unseen(seen))?;
                let same_file =
                    |it: &Socket| it.file.is_none_or(|(_, number)| number == inode as u32);
                match found.filter(same_file) {
                    Some(listener) if self.is_owner(look.owner(), queues) => (listener, false),
                    _ => return Ok(None),
                }
            }
        };
        // A symbolic link may have led to libvirt's socket, whose name may be relative.
        if !self.known.contains(&listener.inode) {
            let link = format!("/proc/self/fd/{}", file.as_raw_fd());
            let path = rustix::fs::readlink(link, Vec::new()).unwrap_or_default();
            if [path.as_bytes(), &listener.name].into_iter().map(path_of).any(is_libvirt_monitor) {
                return Err(belongs_to_libvirt());
            }
        }
        let folder = Folder::new(queues.proc(), self.holder.process);
        let wait = |user| queues.proc().blocking_time(user);
        let call = (!is_local(&file, look, || folder.owner(), wait)).then(|| BlockingCall {
            user: folder.owner(),
            path: format!("connect to inode {inode} of device {device}").into(),
        });
        Ok(Some(Endpoint {
            listener,
            place: Place::File(file, call),
            holder: self.holder,
            is_sure,
        }))
    }

    /// Returns whether the process runs as this user. The owner of its folder in `/proc` proves
    /// less: root owns that of a process that hides its memory.
    fn is_owner(&self, user: u32, queues: &Queues<'_>) -> bool {
        Folder::new(queues.proc(), self.holder.process).user() == Some(user)
    }

    /// Returns the inode of the socket behind a descriptor.
    fn descriptor(&self, fd: &str, queues: &Queues<'_>) -> Result<u64, Missing> {
        let number: u32 = fd.parse().map_err(|_| {
            let text =
                format!("the monitor is a descriptor that was passed to QEMU by the name '{fd}'");
            Missing::new(MissingReason::Unsupported, text)
        })?;
        let folder = Folder::new(queues.proc(), self.holder.process);
        // Reads the link only: its target may be a file on storage that does not answer.
        let link = folder
            .open_path("fd")
            .and_then(|fds| readlinkat(&fds, number.to_string(), Vec::with_capacity(64)));
        match link {
            Ok(link) => socket_of_link(link.as_bytes()).ok_or_else(|| self.no_listener()),
            Err(Errno::ACCESS | Errno::PERM) => Err(self.denied()),
            Err(_) => Err(self.no_listener()),
        }
    }

    fn no_listener(&self) -> Missing {
        let text = format!("nobody listens on the monitor {}", self.socket);
        let is_relative =
            !self.socket.is_named && self.socket.path().is_some_and(Path::is_relative);
        let text = match is_relative {
            true => format!(
                "{text}: the path is relative, and the folder where QEMU was started is not known"
            ),
            false => text,
        };
        Missing::new(MissingReason::Failed, text)
    }

    fn of_another(&self) -> Missing {
        let (socket, pid) = (self.socket, self.holder.process.pid);
        let text = format!("the socket of the monitor {socket} does not belong to process {pid}");
        Missing::new(MissingReason::Failed, text)
    }

    fn denied(&self) -> Missing {
        denied(self.socket)
    }

    fn unseen(&self, unseen: Unseen) -> Missing {
        if unseen == Unseen::TooMany {
            return too_long(self.holder.process);
        }
        let text = format!(
            "the queue of the monitor {} cannot be seen, so a connection might shut out the VM's \
             manager: run as root, in the network namespace of the QEMU",
            self.socket
        );
        Missing::new(MissingReason::Denied, text)
    }
}

/// Returns the reason for a socket on storage that does not answer.
pub(super) fn blocked(socket: &dyn fmt::Display) -> Missing {
    let text = format!("the storage of the monitor {socket} does not answer");
    Missing::new(MissingReason::Timeout, text)
}

/// Returns the reason for a socket that the caller lacks the right to use.
pub(super) fn denied(socket: &dyn fmt::Display) -> Missing {
    let text = format!("no right to use the monitor {socket}: run as root or as the VM's user");
    Missing::new(MissingReason::Denied, text)
}

fn path_of(bytes: &[u8]) -> &Path {
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}

/// A place where a file may be.
enum FilePlace {
    /// Where the path leads for the caller.
    Here(PathBuf),
    /// In the process's root; links stay inside.
    InRoot(PathBuf),
    /// In the process's current folder.
    InFolder(PathBuf),
}

impl FilePlace {
    /// Opens a file as a path only (`O_PATH`), which does not disturb a socket. `TIMEDOUT` if its
    /// storage does not answer.
    fn open(&self, folder: &Folder<'_>) -> rustix::io::Result<(OwnedFd, FileStat)> {
        let no_rule = ResolveFlags::empty();
        let (base, path, resolve) = match self {
            Self::Here(path) => (None, path, no_rule),
            Self::InRoot(path) => (Some("root"), path, ResolveFlags::IN_ROOT),
            Self::InFolder(path) => (Some("cwd"), path, no_rule),
        };
        let start = base.map(|name| folder.open_path(name)).transpose()?;
        if let Some(found) = open_cached(beginning(start.as_ref()), path, resolve)? {
            return Ok(found);
        }
        let call = BlockingCall {
            user: folder.owner(),
            path: match base {
                Some(name) => folder.proc.of(folder.process.pid, name).join(plain(path)),
                None => path.clone(),
            },
        };
        let time = folder.proc.blocking_time(call.user);
        let path = path.clone();
        let opened = call.run(time, move || open_anyhow(beginning(start.as_ref()), &path, resolve));
        opened.unwrap_or(Err(Errno::TIMEDOUT))
    }
}

/// Returns where a path starts: without a folder, in the caller's, which matters to a relative
/// path.
fn beginning(folder: Option<&OwnedFd>) -> BorrowedFd<'_> {
    folder.map_or(CWD, AsFd::as_fd)
}

/// Returns a path that stays below the folder it is joined to.
fn plain(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}
