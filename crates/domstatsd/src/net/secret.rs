//! Files with secrets: tokens and private keys.

use std::{
    fs::OpenOptions,
    io::{self, Read},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

use rustix::fs::OFlags;

use crate::config::BadFile;

/// Reads a file that only the daemon should read, and says in the log if everybody can.
///
/// # Errors
///
/// Why it cannot be read: it is not a regular file with text of at most 1 MiB.
pub(crate) fn read(path: &Path, what: &'static str) -> Result<String, BadFile> {
    const LONGEST: u64 = 1 << 20;
    let text = || -> io::Result<String> {
        // A pipe without a writer would never be open.
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
            .open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        if metadata.mode() & 0o004 != 0 {
            tracing::warn!("every user can read {what} from {}: chmod o-r", path.display());
        }
        let mut text = String::new();
        file.take(LONGEST + 1).read_to_string(&mut text)?;
        match text.len() as u64 > LONGEST {
            true => Err(io::Error::other("it has more than 1 MiB")),
            false => Ok(text),
        }
    };
    text().map_err(|error| BadFile { path: path.to_owned(), what, why: error.to_string() })
}

#[cfg(test)]
mod tests {
    use std::{env, fs, os::unix::fs::PermissionsExt, process};

    use super::*;

    #[test]
    fn only_regular_files_are_read() {
        let path = env::temp_dir().join(format!("domstatsd-secret-{}", process::id()));
        fs::write(&path, "a token\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read(&path, "it").ok(), Some("a token\n".to_owned()));
        fs::write(&path, "x".repeat((1 << 20) + 1)).unwrap();
        assert!(read(&path, "it").is_err(), "a secret is not cut off");
        fs::remove_file(&path).unwrap();
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let pipe = read(&path, "it");
        fs::remove_file(&path).unwrap();
        assert_eq!(pipe.err().map(|file| file.why), Some("it is no regular file".to_owned()));
        assert!(read(Path::new("/dev/zero"), "it").is_err());
        assert!(read(Path::new("/"), "it").is_err());
    }
}
