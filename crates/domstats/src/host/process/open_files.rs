//! The files that a process has open.
//!
//! Only open files are examined, and never opened: an image name is a claim, and must not reveal a
//! file that the process could not open, nor lead to dead storage.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
};

use crate::host::{
    files::{Below, FileStat},
    process::{Folder, Process},
    procfs::Proc,
};

/// The files and block devices that a process has open.
#[derive(Debug)]
pub(crate) struct OpenFiles {
    cwd: PathBuf,
    root: PathBuf,
    /// Whether the process has another root than the caller.
    pub(crate) is_confined: bool,
    files: Vec<OpenFile>,
}

/// One open file.
#[derive(Debug)]
pub(crate) struct OpenFile {
    /// Its descriptor, as a path in `/proc`.
    pub(crate) descriptor: PathBuf,
    number: u32,
    /// The file's path, as the kernel reports it.
    pub(crate) path: PathBuf,
    pub(crate) look: FileStat,
}

impl OpenFiles {
    /// Lists them.
    ///
    /// # Errors
    ///
    /// If the caller lacks the right or the time.
    pub(crate) fn of(proc: &Proc, process: Process) -> io::Result<Self> {
        let folder = Folder::new(proc, process);
        let (fds, path) = (folder.open("fd")?, proc.of(process.pid, "fd"));
        let file = |number: u32| {
            let descriptor = path.join(number.to_string());
            let path = fs::read_link(&descriptor).ok()?;
            // Sockets and the like have no path; these are most of a QEMU's descriptors.
            if !path.is_absolute() {
                return None;
            }
            let look = FileStat::at_descriptor(&descriptor)?;
            let is_storage = look.is_plain() || look.is_block_device();
            is_storage.then_some(OpenFile { descriptor, number, path, look })
        };
        let mut files = Vec::new();
        for entry in folder.entries(&fds)? {
            let number = entry?.file_name().to_str().ok().and_then(|name| name.parse().ok());
            files.extend(number.and_then(file));
        }
        let (cwd, root) = (proc.of(process.pid, "cwd"), proc.of(process.pid, "root"));
        Ok(Self { cwd, root, is_confined: is_confined(proc, process.pid), files })
    }

    /// Returns the file that the process refers to by this name.
    pub(crate) fn find(&self, name: &str) -> Option<&OpenFile> {
        let by_path = self.by_path(Path::new(name)).filter(|_| !self.is_confined);
        by_path.or_else(|| self.by_name(name))
    }

    /// Returns the first file whose descriptor number satisfies a condition.
    pub(crate) fn by_descriptor(&self, is_it: impl Fn(u32) -> bool) -> Option<&OpenFile> {
        self.files.iter().find(|file| is_it(file.number))
    }

    /// Returns the descriptors of the same file.
    pub(crate) fn same_as(&self, look: &FileStat) -> impl Iterator<Item = &OpenFile> {
        self.files.iter().filter(|file| file.look.is_same_file(look))
    }

    /// Returns the file that is open at exactly this path, without looking the path up.
    fn by_path(&self, name: &Path) -> Option<&OpenFile> {
        let path = match name.is_absolute() {
            true => name.to_owned(),
            false => fs::read_link(&self.cwd).ok()?.join(name),
        };
        let path = plain(&path);
        self.files.iter().find(|file| file.path == path)
    }

    /// Returns the file by where a name leads, symbolic links included, else by the end of its
    /// path.
    fn by_name(&self, name: &str) -> Option<&OpenFile> {
        let look = match name.strip_prefix('/') {
            Some(rest) => Below::new(&self.root)?.look(Path::new(rest), true),
            None => Below::new(&self.cwd)?.look(Path::new(name), false),
        };
        let same = look.and_then(|look| self.same_as(&look).next());
        same.or_else(|| self.by_end(name))
    }

    /// Returns the only file whose path ends with a relative name: a daemonized QEMU has left the
    /// folder where it was started.
    fn by_end(&self, name: &str) -> Option<&OpenFile> {
        let name = name.trim_start_matches("./");
        if name.starts_with('/') || name.starts_with("../") {
            return None;
        }
        let mut found = self.files.iter().filter(|file| file.path.ends_with(Path::new(name)));
        let first = found.next()?;
        found.all(|other| other.look.is_same_file(&first.look)).then_some(first)
    }
}

/// Returns whether a process has another root than the caller, so that paths differ.
pub(crate) fn is_confined(proc: &Proc, pid: u32) -> bool {
    fs::read_link(proc.of(pid, "root")).is_ok_and(|root| root != Path::new("/"))
}

/// Returns a path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}
