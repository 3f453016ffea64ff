//! Looks at files without waiting for their storage: a network file system may be dead, and then a
//! plain `stat` of a file there never returns.
//!
//! What the kernel knows already is all that is told: attributes are not fetched anew
//! (`AT_STATX_DONT_SYNC`), and a name is looked up only among those that are cached
//! (`RESOLVE_CACHED`, since Linux 5.12). The files that a process has open are always among them, and
//! so are the nodes of devices.

use std::{
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, StatxFlags, major, makedev, minor, open,
    openat2, statx,
};

use super::process::FOLDER;

/// The unit of sizes in sysfs.
const SECTOR: u64 = 512;

/// What the kernel knows of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    kind: FileType,
    device: u64,
    inode: u64,
    /// The device that a node of one stands for.
    node: u64,
    size: u64,
    pub(crate) blocks: u64,
    changed: (i64, u32),
}

impl Look {
    /// Looks at what a link of `/proc/PID/fd` leads to. Nothing else may be named: to follow a path
    /// can take for ever.
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
            size: stat.stx_size,
            blocks: stat.stx_blocks,
            changed: (stat.stx_ctime.tv_sec, stat.stx_ctime.tv_nsec),
        })
    }

    pub(crate) fn is_plain(&self) -> bool {
        self.kind == FileType::RegularFile
    }

    pub(crate) fn is_block_device(&self) -> bool {
        self.kind == FileType::BlockDevice
    }

    /// Returns whether these are the same file, or nodes of the same device.
    pub(crate) fn is_same_file(&self, other: &Self) -> bool {
        let id = |look: &Self| match look.is_block_device() {
            true => (u64::MAX, look.node),
            false => (look.device, look.inode),
        };
        id(self) == id(other)
    }

    /// Returns how many bytes it has, holes included; that of a block device stands in sysfs.
    pub(crate) fn size(&self) -> Option<u64> {
        if !self.is_block_device() {
            return Some(self.size);
        }
        let (major, minor) = (major(self.node), minor(self.node));
        let text = std::fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/size")).ok()?;
        text.trim().parse::<u64>().ok()?.checked_mul(SECTOR)
    }
}

/// A folder of another process, such as `/proc/PID/root`, below which names are looked up.
#[derive(Debug)]
pub(crate) struct Below(OwnedFd);

impl Below {
    pub(crate) fn new(link: &Path) -> Option<Self> {
        Some(Self(open(link, FOLDER, Mode::empty()).ok()?))
    }

    /// Looks at a file by its name, which with `is_root` cannot lead out of the folder.
    pub(crate) fn look(&self, name: &Path, is_root: bool) -> Option<Look> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let mut resolve = ResolveFlags::CACHED;
        resolve.set(ResolveFlags::IN_ROOT, is_root);
        let file = openat2(&self.0, name, flags, Mode::empty(), resolve).ok()?;
        Look::at(&file, Path::new(""), AtFlags::EMPTY_PATH)
    }
}
