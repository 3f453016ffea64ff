//! The files that a guest has open: where an image is whose name means nothing outside, and how
//! large one is of which QEMU does not know.
//!
//! Only what the process has open is looked at, and only looked at: the name of an image is a claim,
//! and must not tell of a file that the process could not open.

use std::{
    fs::{self, Metadata},
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
};

use crate::host::procfs::Proc;

/// The unit of sizes in sysfs.
const SECTOR: u64 = 512;

/// More descriptors than this are not looked at.
const MOST: usize = 65_536;

/// The files and block devices that a process has open.
#[derive(Debug)]
pub(crate) struct OpenFiles {
    cwd: PathBuf,
    root: PathBuf,
    files: Vec<OpenFile>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct OpenFile {
    pub(crate) path: PathBuf,
    metadata: Metadata,
}

impl OpenFiles {
    /// Lists them, or returns `None` without the right to.
    pub(crate) fn of(proc: &Proc, pid: u32) -> Option<Self> {
        let entries = fs::read_dir(proc.of(pid, "fd")).ok()?;
        let files = entries.take(MOST).flatten().filter_map(|entry| {
            let path = fs::read_link(entry.path()).ok()?;
            let metadata = fs::metadata(entry.path()).ok()?;
            let kind = metadata.file_type();
            (kind.is_file() || kind.is_block_device()).then_some(OpenFile { path, metadata })
        });
        let files = files.collect();
        Some(Self { cwd: proc.of(pid, "cwd"), root: proc.of(pid, "root"), files })
    }

    /// Returns the file that the process calls by this name.
    pub(crate) fn find(&self, name: &str) -> Option<&OpenFile> {
        let path = match name.strip_prefix('/') {
            Some(rest) => self.root.join(rest),
            None => self.cwd.join(name),
        };
        let same = fs::metadata(path)
            .ok()
            .and_then(|metadata| self.files.iter().find(|file| file.id() == id(&metadata)));
        same.or_else(|| self.by_end(name))
    }

    /// Returns the only file whose path ends like a relative name: a QEMU that became a daemon has
    /// left the folder where it was started.
    fn by_end(&self, name: &str) -> Option<&OpenFile> {
        let name = name.trim_start_matches("./");
        if name.starts_with('/') || name.starts_with("../") {
            return None;
        }
        let mut found = self.files.iter().filter(|file| file.path.ends_with(Path::new(name)));
        let first = found.next()?;
        found.all(|other| other.id() == first.id()).then_some(first)
    }
}

impl OpenFile {
    fn id(&self) -> (u64, u64) {
        id(&self.metadata)
    }

    /// Returns how many bytes it has, holes included; that of a block device stands in sysfs.
    pub(crate) fn size(&self) -> Option<u64> {
        if !self.metadata.file_type().is_block_device() {
            return Some(self.metadata.len());
        }
        let device = self.metadata.rdev();
        let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
        let text = fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/size")).ok()?;
        text.trim().parse::<u64>().ok()?.checked_mul(SECTOR)
    }
}

/// Returns what is the same for two names of a file, and for two nodes of a device.
fn id(metadata: &Metadata) -> (u64, u64) {
    match metadata.file_type().is_block_device() {
        true => (u64::MAX, metadata.rdev()),
        false => (metadata.dev(), metadata.ino()),
    }
}
