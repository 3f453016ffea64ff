//! The files of a guest's images, as the guest has them open: whether one of them changed.
//!
//! A file that grows, shrinks or is written to shows it, and so does one that is closed. The
//! descriptors of the process are looked at, not the paths: a path can lead elsewhere by now, or
//! lead elsewhere for the guest.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{kept::Sight, query::BlockNode};

/// The size of a block, in which a file's allocation is counted and a disk's size is given.
const BLOCK: u64 = 512;

/// The files of all images that a guest has.
#[derive(Debug)]
pub(crate) struct Images {
    files: Vec<ImageFile>,
}

/// A file that a guest has open.
#[derive(Debug)]
struct ImageFile {
    /// What QEMU calls it.
    name: String,
    /// All descriptors of it, as paths: one closed is a sign too.
    descriptors: Vec<PathBuf>,
    stamp: Stamp,
}

/// What a change of a file changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    blocks: u64,
    changed: (i64, i64),
}

impl Stamp {
    /// Returns nothing for what is no plain file: that of a device does not show its size.
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        metadata.is_file().then(|| Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            blocks: metadata.blocks(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// Returns whether QEMU's answer describes the file as it is.
    fn is_as_told(&self, node: &BlockNode) -> bool {
        node.image.virtual_size == Some(self.size.next_multiple_of(BLOCK))
            && node.image.actual_size == Some(self.blocks.saturating_mul(BLOCK))
    }
}

impl Images {
    /// Finds the files of all images that these nodes are made of, or returns `None` if one of
    /// them is no plain file, cannot be found, or has changed since QEMU told. What was found
    /// before is not looked for again.
    pub(crate) fn find(
        sight: &Sight<'_>,
        nodes: &[BlockNode],
        known: Option<Self>,
    ) -> Option<Self> {
        let mut known = known.map_or_else(Vec::new, |known| known.files);
        let mut open = Vec::new();
        let mut files = Vec::new();
        for node in nodes {
            match node.drv.as_str() {
                "file" => {}
                // Nothing is told of them that their files do not show.
                "raw" | "qcow2" => continue,
                _ => return None,
            }
            let name = node.image.filename.as_deref()?;
            // As the guest sees it, which may be confined to a folder.
            let path = sight.proc.of(sight.pid?, "root").join(name.strip_prefix('/')?);
            let stamp = Stamp::of(&path)?;
            let place = known.iter().position(|file| file.name == name);
            let file = match place.and_then(|place| known.swap_remove(place).again(stamp)) {
                Some(file) => file,
                None => ImageFile::find(sight, name, stamp, &mut open)?,
            };
            if !file.stamp.is_as_told(node) {
                return None;
            }
            files.push(file);
        }
        Some(Self { files })
    }

    /// Returns whether every file is open and as it was.
    pub(crate) fn are_unchanged(&self) -> bool {
        self.files.iter().all(|file| {
            file.descriptors.iter().all(|descriptor| Stamp::of(descriptor) == Some(file.stamp))
        })
    }
}

impl ImageFile {
    /// Finds the file that a guest calls by this name among those that it has `open`, which are
    /// listed if they were not.
    fn find(
        sight: &Sight<'_>,
        name: &str,
        stamp: Stamp,
        open: &mut Vec<(PathBuf, Stamp)>,
    ) -> Option<Self> {
        if open.is_empty() {
            *open = open_files(sight)?;
        }
        let same = open.iter().filter(|(_, other)| other.is_same_file(&stamp));
        let descriptors: Vec<PathBuf> = same.map(|(descriptor, _)| descriptor.clone()).collect();
        let name = name.to_owned();
        (!descriptors.is_empty()).then_some(Self { name, descriptors, stamp })
    }

    /// Returns the file as it is now, if it is still open.
    fn again(self, stamp: Stamp) -> Option<Self> {
        let same = |descriptor: &PathBuf| Stamp::of(descriptor) == Some(stamp);
        let is_same = stamp.is_same_file(&self.stamp) && self.descriptors.iter().all(same);
        is_same.then_some(Self { stamp, ..self })
    }
}

/// Returns the plain files that the guest has open, by their descriptors.
fn open_files(sight: &Sight<'_>) -> Option<Vec<(PathBuf, Stamp)>> {
    let entries = fs::read_dir(sight.proc.of(sight.pid?, "fd")).ok()?;
    let files = entries.flatten().filter_map(|entry| {
        let descriptor = entry.path();
        let stamp = Stamp::of(&descriptor)?;
        Some((descriptor, stamp))
    });
    Some(files.collect())
}
