//! The option files that a QEMU was started with (`-readconfig`), as LXD and Incus use them.
//!
//! Any process can look like a QEMU and name any file, and what the file says appears in statistics
//! that others read. So the path is resolved as the process sees it, the file is read only if the
//! process's user may read it, and opened only if it is a regular file: opening a device or a pipe
//! can have effects, or block.
//!
//! This module decides whether that user may read it, from the permissions of the file and of the
//! folders on the way (an access control list can only lead to a refusal). The kernel could decide
//! it for a thread that took the user's identity, but that would make the whole program
//! undebuggable.

use std::{
    fs::File,
    io::{self, Read},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, open, openat, readlinkat, statat},
    io::Errno,
    time::{ClockId, clock_gettime},
};

use crate::{
    driver::qemu::discovery::{
        monitor_option::MonitorOption, options::OptionGroups, socket::MonitorSocket,
    },
    host::{
        process::{FOLDER, Folder, Process},
        procfs::{Proc, TICK_NS},
        queues::{Holder, Queues, SocketKey},
    },
};

/// The content of an option file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfigFile {
    pub(crate) text: String,
    /// Whether it was changed after QEMU had read it.
    pub(crate) is_changed: bool,
}

/// Far more than the options of any VM take.
const LIMIT: u64 = 256 << 10;

/// As many symbolic links on the way to a file as the kernel follows.
const LINKS: usize = 40;

/// The most descriptors that are examined.
const DESCRIPTORS: usize = 4096;

/// Files are written just before QEMU starts, and the start time is imprecise.
const MOMENT: Duration = Duration::from_secs(2);

const READ: u32 = 4;
const SEARCH: u32 = 1;

/// Reads the file that a process's command line names. May block: see [`Proc::command_line`].
///
/// # Errors
///
/// A phrase that says why the file cannot be read.
pub(super) fn read(proc: &Proc, process: Process, name: &str) -> Result<ConfigFile, String> {
    look(&Folder::new(proc, process), name)
        .map_err(|reason| format!("{} (-readconfig) {reason}", name))
}

fn look(folder: &Folder<'_>, name: &str) -> Result<ConfigFile, String> {
    if let Some(number) = descriptor(name) {
        let file = handed_over(folder, number).map_err(|error| explain(&error))?;
        return contents(folder, &file);
    }
    let user = User::of(folder).map_err(|error| explain(&error))?;
    let error = match find(folder, name, Some(&user)) {
        Ok(file) => return contents(folder, &file),
        Err(error) => error,
    };
    if error.raw_os_error() == Some(Errno::PERM.raw_os_error())
        && let Ok(file) = find(folder, name, None)
        && let Ok(read) = contents(folder, &file)
        && let Ok(stat) = fstat(&file)
        && was_read(folder, &read.text, stat.st_uid)
    {
        return Ok(read);
    }
    Err(explain(&error))
}

fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no longer exists".to_owned(),
        _ if error.raw_os_error() == Some(Errno::PERM.raw_os_error()) => {
            "is not readable for the user that QEMU runs as".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "cannot be read without the right: run as root".to_owned()
        }
        _ => format!("cannot be read: {error}"),
    }
}

/// Returns the number of a descriptor that stands in place of a file name.
fn descriptor(name: &str) -> Option<u32> {
    let number = name.strip_prefix("/dev/fd/").or_else(|| name.strip_prefix("/proc/self/fd/"));
    number.and_then(|number| number.parse().ok()).or((name == "/dev/stdin").then_some(0))
}

/// Returns a file that the process has open for reading, which is permission enough.
fn handed_over(folder: &Folder<'_>, number: u32) -> io::Result<OwnedFd> {
    let descriptors = folder.open("fd")?;
    let name = number.to_string();
    let link = statat(&descriptors, name.as_str(), AtFlags::SYMLINK_NOFOLLOW)?;
    if link.st_mode & Mode::RUSR.as_raw_mode() == 0 {
        return Err(Errno::PERM.into());
    }
    Ok(openat(&descriptors, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
}

/// Looks a file up as the process does. Fails with `EPERM` if the user may not read it; without a
/// user, permissions do not count.
fn find(folder: &Folder<'_>, name: &str, user: Option<&User>) -> io::Result<OwnedFd> {
    let walk = |start: &str, path: &str| Walk::new(folder, start, user)?.to(path);
    let is_elsewhere = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    if name.starts_with('/') {
        return walk("root", name).or_else(|error| {
            // `-chroot` took effect after the file was read.
            let ours = rustix::fs::stat(folder.proc.of(std::process::id(), "ns/mnt"))?.st_ino;
            if !is_elsewhere(&error) || folder.namespace("mnt")? != ours {
                return Err(error);
            }
            Walk::from(open("/", FOLDER, Mode::empty())?, user).to(name)
        });
    }
    walk("cwd", name).or_else(|error| {
        // A daemonized QEMU has left the folder where it was started.
        match folder.started_in().filter(|_| is_elsewhere(&error)) {
            Some(started) => walk("root", &started.join(name).to_string_lossy()),
            None => Err(error),
        }
    })
}

/// Reads a file that was found, if it is a regular file.
fn contents(folder: &Folder<'_>, file: &OwnedFd) -> Result<ConfigFile, String> {
    let stat = fstat(file).map_err(|error| explain(&error.into()))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err("is not a regular file".to_owned());
    }
    let read = || -> io::Result<Vec<u8>> {
        // Reopens the very file that was checked.
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let mut bytes = Vec::new();
        let file = File::from(open(path, flags, Mode::empty())?);
        file.take(LIMIT + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|error| explain(&error))?;
    if bytes.len() as u64 > LIMIT {
        return Err(format!("has more than {} KiB", LIMIT >> 10));
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(ConfigFile { text, is_changed: is_newer(&stat, folder.process) })
}

/// Returns whether a file was changed after a process had started.
fn is_newer(stat: &Stat, process: Process) -> bool {
    let time = |seconds: i64, nanoseconds: u64| {
        let seconds = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
        seconds.saturating_add(Duration::from_nanos(nanoseconds))
    };
    let change = time(stat.st_ctime, stat.st_ctime_nsec);
    let uptime = clock_gettime(ClockId::Boottime);
    let uptime = time(uptime.tv_sec, u64::try_from(uptime.tv_nsec).unwrap_or_default());
    let start = Duration::from_nanos(process.start_time.saturating_mul(*TICK_NS));
    let ago = uptime.saturating_sub(start);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    change > now.saturating_sub(ago).saturating_add(MOMENT)
}

/// Returns whether the process has read a file that its user may not read, because it dropped its
/// privileges since (`-runas`, as LXD and Incus use it). It holds a socket at a path that the file
/// names, created by the file's owner: only that user can have passed it to the process.
fn was_read(folder: &Folder<'_>, text: &str, owner: u32) -> bool {
    let mut groups = OptionGroups::default();
    let _ = groups.add_file(text);
    let held = || -> io::Result<Vec<u64>> {
        let descriptors = folder.open("fd")?;
        let names = Dir::read_from(&descriptors)?.flatten().take(DESCRIPTORS);
        let stats =
            names.filter_map(|it| statat(&descriptors, it.file_name(), AtFlags::empty()).ok());
        let sockets = stats.filter(|stat| {
            FileType::from_raw_mode(stat.st_mode) == FileType::Socket && stat.st_uid == owner
        });
        Ok(sockets.map(|stat| stat.st_ino).collect())
    };
    let held = held().unwrap_or_default();
    let mut queues = Queues::new(folder.proc);
    let holder = Holder::of(folder.proc, folder.process);
    let mut listens = |path: &Path| {
        let key = SocketKey::Name(path.as_os_str().as_bytes());
        let listener = queues.listener(Some(holder), key).ok().flatten();
        listener.is_some_and(|listener| held.contains(&listener.inode))
    };
    let monitors = MonitorOption::all(&groups);
    let sockets = monitors.iter().filter_map(|monitor| MonitorSocket::of(monitor, None));
    sockets.into_iter().any(|socket| socket.path().is_some_and(&mut listens))
}

/// The rights of the user that a process runs as.
#[derive(Debug)]
struct User {
    user: u32,
    groups: Vec<u32>,
    /// Whether it bypasses permission checks, like most of what runs as root.
    may_all: bool,
}

impl User {
    fn of(folder: &Folder<'_>) -> io::Result<Self> {
        let text = folder.read_at_most("status", LIMIT)?;
        Self::parse(&text).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    fn parse(text: &str) -> Option<Self> {
        // Bits of capabilities(7).
        const DAC_OVERRIDE: u64 = 1 << 1;
        const DAC_READ_SEARCH: u64 = 1 << 2;
        let line = |key: &str| text.lines().find_map(|line| line.strip_prefix(key));
        // Real, effective, saved, file system: the last is used for files.
        let own = |key: &str| line(key)?.split_ascii_whitespace().nth(3)?.parse().ok();
        let user = own("Uid:")?;
        let others = line("Groups:")?.split_ascii_whitespace();
        let groups = others.filter_map(|group| group.parse().ok()).chain(own("Gid:")).collect();
        let rights = u64::from_str_radix(line("CapEff:")?.trim(), 16).ok()?;
        // In a user namespace of its own, every process has all capabilities.
        let may_all = user == 0 && rights & (DAC_OVERRIDE | DAC_READ_SEARCH) != 0;
        Some(Self { user, groups, may_all })
    }

    fn may(&self, access: u32, stat: &Stat) -> bool {
        let shift = if stat.st_uid == self.user {
            6
        } else if self.groups.contains(&stat.st_gid) {
            3
        } else {
            0
        };
        self.may_all || (stat.st_mode >> shift) & access != 0
    }
}

/// Walks through folders without leaving the first one.
#[derive(Debug)]
struct Walk<'a> {
    /// Where absolute links start.
    root: OwnedFd,
    /// Whether the first folder is the root.
    is_rooted: bool,
    folders: Vec<OwnedFd>,
    user: Option<&'a User>,
}

impl<'a> Walk<'a> {
    fn from(root: OwnedFd, user: Option<&'a User>) -> Self {
        Self { root, is_rooted: true, folders: Vec::new(), user }
    }

    fn new(folder: &Folder<'_>, start: &str, user: Option<&'a User>) -> io::Result<Self> {
        let walk = Self::from(folder.open_path("root")?, user);
        match start {
            "root" => Ok(walk),
            start => Ok(Self { is_rooted: false, folders: vec![folder.open_path(start)?], ..walk }),
        }
    }

    /// Returns the file at a path.
    fn to(mut self, path: &str) -> io::Result<OwnedFd> {
        let mut links = 0;
        let mut ahead = names(path);
        while let Some(name) = ahead.pop() {
            let here = self.folders.last().unwrap_or(&self.root);
            if self.user.is_some_and(|user| fstat(here).is_ok_and(|stat| !user.may(SEARCH, &stat)))
            {
                return Err(Errno::PERM.into());
            }
            if name == ".." {
                if self.folders.len() == 1 && !self.is_rooted {
                    return Err(io::Error::other("the path leads above the folder of the process"));
                }
                self.folders.pop();
                continue;
            }
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let next = openat(here, name.as_str(), flags, Mode::empty())?;
            let stat = fstat(&next)?;
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Symlink => {
                    links += 1;
                    if links > LINKS {
                        return Err(Errno::LOOP.into());
                    }
                    let target = readlinkat(&next, "", Vec::new())?;
                    let target = String::from_utf8_lossy(target.as_bytes()).into_owned();
                    if target.starts_with('/') {
                        self.folders.clear();
                        self.is_rooted = true;
                    }
                    ahead.extend(names(&target));
                }
                FileType::Directory => self.folders.push(next),
                _ if ahead.is_empty() => {
                    return match self.user.is_none_or(|user| user.may(READ, &stat)) {
                        true => Ok(next),
                        false => Err(Errno::PERM.into()),
                    };
                }
                _ => return Err(Errno::NOTDIR.into()),
            }
        }
        Err(Errno::ISDIR.into())
    }
}

/// Returns the components of a path, the last one first.
fn names(path: &str) -> Vec<String> {
    path.split('/').filter(|name| !matches!(*name, "" | ".")).map(str::to_owned).rev().collect()
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{PermissionsExt, chown, symlink},
        path::Path,
    };

    use super::*;

    const STATUS: &str = "Name:\tqemu\nUid:\t1\t2\t3\t1000\nGid:\t1\t2\t3\t1001\n\
                          Groups:\t7 8 \nCapEff:\t0000000000000000\n";

    #[test]
    fn parses_the_rights_of_a_user() {
        let user = User::parse(STATUS).unwrap();
        assert_eq!((user.user, &*user.groups, user.may_all), (1000, &[7, 8, 1001][..], false));
        let all = |uid| STATUS.replace("1000\n", uid).replace("0000\n", "0006\n");
        assert!(User::parse(&all("0\n")).unwrap().may_all);
        assert!(!User::parse(&all("1000\n")).unwrap().may_all, "in a namespace of its own");
        assert!(!User::parse(&STATUS.replace("1000\n", "0\n")).unwrap().may_all);
        assert!(User::parse("").is_none());
    }

    fn error(path: &Path, name: &str, user: Option<&User>) -> Option<Errno> {
        let walk = Walk::from(open(path, FOLDER, Mode::empty()).unwrap(), user);
        walk.to(name).err().map(|error| Errno::from_io_error(&error).unwrap())
    }

    #[test]
    fn walks_to_a_file_with_permissions() {
        let root = std::env::temp_dir().join(format!("domstats-way-{}", std::process::id()));
        let inner = root.join("open/inner");
        fs::create_dir_all(&inner).unwrap();
        fs::create_dir(root.join("closed")).unwrap();
        let file = |path: &str, mode| {
            let path = root.join(path);
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        file("open/public", 0o644);
        file("open/private", 0o640);
        file("closed/public", 0o644);
        fs::set_permissions(root.join("closed"), fs::Permissions::from_mode(0o710)).unwrap();
        symlink("/open/public", inner.join("absolute")).unwrap();
        symlink("../private", inner.join("relative")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        symlink("/../../../../closed/public", root.join("above")).unwrap();
        let user = User::parse(STATUS).unwrap();
        for (name, expected) in [
            ("/open/public", None),
            ("open//./inner/../public", None),
            ("/../../open/public", None),
            ("/open/inner/absolute", None),
            ("/open/private", Some(Errno::PERM)),
            ("/open/inner/relative", Some(Errno::PERM)),
            ("/closed/public", Some(Errno::PERM)),
            ("/closed/nothing", Some(Errno::PERM)),
            ("/above", Some(Errno::PERM)),
            ("/open/nothing", Some(Errno::NOENT)),
            ("/open", Some(Errno::ISDIR)),
            ("/", Some(Errno::ISDIR)),
            ("/open/public/", None),
            ("/open/public/x", Some(Errno::NOTDIR)),
            ("/loop", Some(Errno::LOOP)),
        ] {
            assert_eq!(error(&root, name, Some(&user)), expected, "{name}");
        }
        assert_eq!(error(&root, "/closed/public", None), None, "no user to check");
        // Only root, as in CI, can change the owner of these files.
        if chown(root.join("open/private"), Some(0), Some(8)).is_ok() {
            assert_eq!(error(&root, "/open/private", Some(&user)), None, "by a group");
            chown(root.join("closed"), Some(0), Some(1001)).unwrap();
            assert_eq!(error(&root, "/closed/public", Some(&user)), None, "by a group");
            chown(root.join("open/private"), Some(1000), Some(0)).unwrap();
            assert_eq!(error(&root, "/open/private", Some(&user)), None, "its own");
        }
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn notices_changes_after_the_start() {
        let mut stat = rustix::fs::stat("/proc/self/exe").unwrap();
        let start_time = Proc::new("/proc").stat(std::process::id()).unwrap().start_time;
        let process = Process { pid: std::process::id(), start_time };
        assert!(!is_newer(&stat, process), "the program was there before");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        for (time, expected) in
            [(now.cast_signed() + 10, true), (i64::MAX, true), (i64::MIN, false)]
        {
            stat.st_ctime = time;
            assert_eq!(is_newer(&stat, process), expected, "{time}");
        }
    }

    #[test]
    fn recognizes_names_of_descriptors() {
        assert_eq!(descriptor("/dev/fd/12"), Some(12));
        assert_eq!(descriptor("/proc/self/fd/3"), Some(3));
        assert_eq!(descriptor("/dev/stdin"), Some(0));
        for name in ["/dev/fd/", "/dev/fd/x", "/dev/fdset/1", "fd/1"] {
            assert_eq!(descriptor(name), None, "{name}");
        }
    }
}
