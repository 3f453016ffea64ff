//! Examines files without waiting for their storage: on a dead network file system a plain `stat`
//! never returns.
//!
//! Only what the kernel knows already is reported: attributes are not fetched again
//! (`AT_STATX_DONT_SYNC`), and a name is looked up only in the kernel's caches (`RESOLVE_CACHED`,
//! since Linux 5.12). These always contain the files that a process has open, and device nodes.

use std::{
    collections::HashSet,
    os::fd::{AsFd, OwnedFd},
    path::Path,
    sync::{LazyLock, Mutex},
    time::Duration,
};

use crate::sync::lock;

use rustix::{
    fs::{
        AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, StatxFlags, fstatfs, major, makedev,
        minor, open, openat, openat2, statx,
    },
    io::Errno,
};

use super::{blocking::BlockingCall, process::FOLDER};

/// The unit of sizes in sysfs.
const SECTOR: u64 = 512;

/// What the kernel knows of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileStat {
    kind: FileType,
    device: u64,
    inode: u64,
    /// For a device node, the device it stands for.
    node: u64,
    owner: u32,
    size: u64,
    pub(crate) blocks: u64,
    changed: (i64, u32),
}

impl FileStat {
    /// Examines the target of a `/proc/PID/fd` link. Pass no other path: following one can block
    /// forever.
    pub(crate) fn at_descriptor(path: &Path) -> Option<Self> {
        Self::at(CWD, path, AtFlags::empty())
    }

    fn at(folder: impl AsFd, path: &Path, flags: AtFlags) -> Option<Self> {
        let flags = flags | AtFlags::STATX_DONT_SYNC;
        let stat = statx(folder, path, flags, StatxFlags::BASIC_STATS).ok()?;
        Some(Self {
            kind: FileType::from_raw_mode(stat.stx_mode.into()),
            device: makedev(stat.stx_dev_major, stat.stx_dev_minor),
            inode: stat.stx_ino,
            node: makedev(stat.stx_rdev_major, stat.stx_rdev_minor),
            owner: stat.stx_uid,
            size: stat.stx_size,
            blocks: stat.stx_blocks,
            changed: (stat.stx_ctime.tv_sec, stat.stx_ctime.tv_nsec),
        })
    }

    pub(crate) fn is_plain(&self) -> bool {
        self.kind == FileType::RegularFile
    }

    pub(crate) fn is_socket(&self) -> bool {
        self.kind == FileType::Socket
    }

    /// Returns the device and the inode.
    pub(crate) fn file(&self) -> (u64, u64) {
        (self.device, self.inode)
    }

    /// Returns the user that owns the file.
    pub(crate) fn owner(&self) -> u32 {
        self.owner
    }

    pub(super) fn is_block_device(&self) -> bool {
        self.kind == FileType::BlockDevice
    }

    /// Returns whether both are the same file, or nodes of the same device.
    pub(crate) fn is_same_file(&self, other: &Self) -> bool {
        let id = |look: &Self| match look.is_block_device() {
            true => (u64::MAX, look.node),
            false => (look.device, look.inode),
        };
        id(self) == id(other)
    }

    /// Returns the size in bytes, holes included. For a block device, sysfs has it.
    pub(crate) fn size(&self) -> Option<u64> {
        if !self.is_block_device() {
            return Some(self.size);
        }
        let (major, minor) = (major(self.node), minor(self.node));
        let text = std::fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/size")).ok()?;
        text.trim().parse::<u64>().ok()?.checked_mul(SECTOR)
    }
}

/// A folder of another process, such as `/proc/PID/root`, to look names up in.
#[derive(Debug)]
pub(super) struct Below(OwnedFd);

impl Below {
    pub(super) fn new(link: &Path) -> Option<Self> {
        Some(Self(open(link, FOLDER, Mode::empty()).ok()?))
    }

    /// Looks a file up by name. With `is_root`, the name cannot lead out of the folder.
    pub(super) fn look(&self, name: &Path, is_root: bool) -> Option<FileStat> {
        let resolve = if is_root { ResolveFlags::IN_ROOT } else { ResolveFlags::empty() };
        open_cached(&self.0, name, resolve).ok().flatten().map(|(_, look)| look)
    }
}

/// Opens a file as a path only (`O_PATH`), if the kernel knows where the path leads; `None` if it
/// cannot tell without asking the storage.
pub(crate) fn open_cached(
    folder: impl AsFd,
    path: &Path,
    resolve: ResolveFlags,
) -> rustix::io::Result<Option<(OwnedFd, FileStat)>> {
    match open_anyhow(folder, path, resolve | ResolveFlags::CACHED) {
        Ok(found) => Ok(Some(found)),
        // Before Linux 5.12, or behind a system call filter that does not know this one.
        Err(Errno::AGAIN | Errno::INVAL | Errno::NOSYS | Errno::PERM) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Opens a file as a path only. May block forever: use it in [blocking calls](super::blocking)
/// alone.
pub(crate) fn open_anyhow(
    folder: impl AsFd,
    path: &Path,
    resolve: ResolveFlags,
) -> rustix::io::Result<(OwnedFd, FileStat)> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let file = match resolve.is_empty() {
        // Every kernel supports this call, and so does valgrind.
        true => openat(folder, path, flags, Mode::empty())?,
        false => openat2(folder, path, flags, Mode::empty(), resolve)?,
    };
    let look = FileStat::at(&file, Path::new(""), AtFlags::EMPTY_PATH).ok_or(Errno::NOENT)?;
    Ok((file, look))
}

/// File systems without a block device whose answers still come from this host's memory and disks:
/// tmpfs, ramfs, btrfs, overlay, zfs, bcachefs. The numbers are those of statfs(2).
const LOCAL: [u64; 6] =
    [0x0102_1994, 0x8584_58f6, 0x9123_683e, 0x794c_7630, 0x2fc1_2fc1, 0xca45_1a4e];

/// The mounts known to be local, by device and mount number. No host has this many at a time.
static KNOWN: LazyLock<Mutex<HashSet<(u64, u64)>>> = LazyLock::new(Mutex::default);
const MOUNTS: usize = 4096;

/// Returns whether file operations need no server. A blocking call finds out, for which the caller
/// waits as long as `wait` says; the result is remembered.
pub(crate) fn is_local(
    file: &OwnedFd,
    look: &FileStat,
    user: impl FnOnce() -> Option<u32>,
    wait: impl FnOnce(Option<u32>) -> Duration,
) -> bool {
    if major(look.device) != 0 {
        return true;
    }
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let Ok(stat) = statx(file, "", flags, StatxFlags::MNT_ID) else { return false };
    let mount = (look.device, stat.stx_mnt_id);
    let known = || lock(&KNOWN);
    if known().contains(&mount) {
        return true;
    }
    let Ok(file) = file.try_clone() else { return false };
    let (user, path) = (user(), format!("mount {} of device {}", mount.1, mount.0).into());
    let kind = move || fstatfs(file).map(|stat| stat.f_type as u64 & u64::from(u32::MAX));
    let kind = BlockingCall { user, path }.run(wait(user), kind);
    let is_local = kind.is_ok_and(|kind| kind.is_ok_and(|kind| LOCAL.contains(&kind)));
    if is_local {
        let mut known = known();
        if known.len() >= MOUNTS {
            known.clear();
        }
        known.insert(mount);
    }
    is_local
}
