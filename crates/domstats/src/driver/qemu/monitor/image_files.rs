//! Watches the files of a guest's images, as the guest has them open, for changes.
//!
//! A file that grows, shrinks or is written to shows it, and so does one that is closed. The
//! process's descriptors are examined, not the paths: a path may lead elsewhere by now, or lead
//! elsewhere for the guest.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use crate::{
    driver::qemu::monitor::{
        cache::HostView,
        query::{BlockNode, FdSet},
    },
    host::{
        files::FileStat,
        process::open_files::{OpenFile, OpenFiles},
    },
};

/// The unit of a file's allocation and of a disk's size.
const BLOCK: u64 = 512;

/// How long to wait before searching again for a file that was not found: a search examines
/// everything that a QEMU has open.
const PAUSE: Duration = Duration::from_secs(60);

/// The files of all of a guest's images.
#[derive(Debug)]
pub(super) struct Images {
    files: Vec<ImageFile>,
}

/// A file that a guest has open.
#[derive(Debug)]
struct ImageFile {
    /// QEMU's name for it.
    name: String,
    /// All its descriptors, as paths: one of them being closed is a sign too.
    descriptors: Vec<PathBuf>,
    look: FileStat,
}

impl Images {
    /// Finds the files of all images that these nodes consist of, or returns `None` if one of them
    /// is no plain file, cannot be found, or has changed since QEMU replied. Known files are not
    /// searched for again; a search that failed at `unfound` is not repeated soon.
    pub(super) fn find(
        view: &HostView<'_>,
        nodes: &[BlockNode],
        known: Option<Self>,
        unfound: &mut Option<Instant>,
    ) -> Option<Self> {
        let mut known = known.map_or_else(Vec::new, |known| known.files);
        let mut open = None;
        let mut files = Vec::new();
        for node in nodes {
            match node.drv.as_deref()? {
                "file" => {}
                // QEMU reports nothing about these formats that their files do not show.
                "raw" | "qcow2" => continue,
                _ => return None,
            }
            let name = node.image.filename.as_deref()?;
            let place = known.iter().position(|file| file.name == name);
            let file = match place.and_then(|place| known.swap_remove(place).again()) {
                Some(file) => file,
                None if unfound.is_some_and(|then| view.at() < then + PAUSE) => return None,
                None => {
                    let found = ImageFile::find(view, name, &mut open);
                    *unfound = found.is_none().then_some(view.at());
                    found?
                }
            };
            if !file.is_as_told(node) {
                return None;
            }
            files.push(file);
        }
        Some(Self { files })
    }

    /// Returns whether every file is still open and unchanged.
    pub(super) fn are_unchanged(&self) -> bool {
        self.files.iter().all(|file| file.is_seen_as(&file.look))
    }
}

impl ImageFile {
    /// Finds the file that a guest knows by this name in `open`, the list of open files, which is
    /// read if necessary. A device does not show its size.
    fn find(view: &HostView<'_>, name: &str, open: &mut Option<OpenFiles>) -> Option<Self> {
        if !name.starts_with('/') {
            return None;
        }
        if open.is_none() {
            *open = OpenFiles::of(view.proc, view.process).ok();
        }
        let open = open.as_ref()?;
        let look = open.find(name)?.look;
        let descriptors = open.same_as(&look).map(|file| file.descriptor.clone()).collect();
        look.is_plain().then(|| Self { name: name.to_owned(), descriptors, look })
    }

    /// Returns the file as it is now, if it is still open.
    fn again(self) -> Option<Self> {
        let look = FileStat::at_descriptor(self.descriptors.first()?)?;
        let is_same = look.is_same_file(&self.look) && self.is_seen_as(&look);
        is_same.then_some(Self { look, ..self })
    }

    fn is_seen_as(&self, look: &FileStat) -> bool {
        self.descriptors.iter().all(|descriptor| FileStat::at_descriptor(descriptor) == Some(*look))
    }

    /// Returns whether QEMU's reply describes the file as it is.
    fn is_as_told(&self, node: &BlockNode) -> bool {
        let size = self.look.size().map(|size| size.next_multiple_of(BLOCK));
        node.image.virtual_size == size
            && node.image.actual_size == Some(self.look.blocks.saturating_mul(BLOCK))
    }
}

/// The prefix of QEMU's names for descriptors that were passed to it.
const FD_SET: &str = "/dev/fdset/";

/// Returns whether a name means nothing outside of the process.
pub(crate) fn is_inner_name(name: &str) -> bool {
    !name.starts_with('/') || is_of_fd_set(name)
}

/// Returns whether a name is that of a descriptor set.
pub(crate) fn is_of_fd_set(name: &str) -> bool {
    name.starts_with(FD_SET)
}

/// Returns the open file that QEMU knows by this name; `sets` are the sets of descriptors that were
/// passed to it.
pub(crate) fn find_open<'a>(
    files: &'a OpenFiles,
    name: &str,
    sets: &[FdSet],
) -> Option<&'a OpenFile> {
    let Some(set) = name.strip_prefix(FD_SET) else { return files.find(name) };
    let set = sets.iter().find(|one| set.parse() == Ok(one.fdset_id))?;
    files.by_descriptor(|number| set.fds.iter().any(|one| one.fd == number))
}
