//! The sockets: made here, or by systemd, and whoever connects to them.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    process,
    time::Duration,
};

use tokio::{net::UnixListener, time};

/// A socket in a file. One that was made here is removed at the end.
pub(crate) struct UnixSocket {
    pub(crate) listener: UnixListener,
    made: Option<PathBuf>,
}

impl UnixSocket {
    /// Makes a socket that root, the daemon's user and a group may use.
    ///
    /// # Errors
    ///
    /// The group does not exist, another daemon serves the socket, or the kernel refuses.
    pub(crate) fn make(path: &Path, group: Option<&str>) -> io::Result<Self> {
        let gid = group.map(group_id).transpose()?;
        if let Ok(found) = fs::symlink_metadata(path) {
            if !found.file_type().is_socket() {
                let what = "there is something else of that name";
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
            }
            // One that nobody serves was left behind.
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                let what = "another daemon serves it";
                return Err(io::Error::new(io::ErrorKind::AddrInUse, what));
            }
        }
        // Under another name first: nobody gets in before the rights are right.
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}", process::id()));
        let temporary = path.with_file_name(name);
        let _ = fs::remove_file(&temporary);
        let listener = UnixListener::bind(&temporary)?;
        let ready = chown(&temporary, None, gid)
            .and_then(|()| fs::set_permissions(&temporary, fs::Permissions::from_mode(0o660)))
            .and_then(|()| fs::rename(&temporary, path));
        if let Err(error) = ready {
            let _ = fs::remove_file(&temporary);
            return Err(error);
        }
        Ok(Self { listener, made: Some(path.to_owned()) })
    }

    /// Takes a socket that systemd made.
    ///
    /// # Errors
    ///
    /// Those of the kernel.
    pub(crate) fn given(listener: std::os::unix::net::UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { listener: UnixListener::from_std(listener)?, made: None })
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        if let Some(path) = &self.made {
            let _ = fs::remove_file(path);
        }
    }
}

/// Returns the number of a group, by its name in `/etc/group` or as it is.
fn group_id(group: &str) -> io::Result<u32> {
    if let Ok(number) = group.parse() {
        return Ok(number);
    }
    let groups = fs::read_to_string("/etc/group")?;
    let found = groups.lines().find_map(|line| {
        let mut words = line.split(':');
        (words.next() == Some(group)).then(|| words.nth(1)?.parse().ok())?
    });
    found.ok_or_else(|| {
        let what = format!("/etc/group has no group '{group}': create it, or name another one");
        io::Error::new(io::ErrorKind::NotFound, what)
    })
}

/// Says that a client could not be taken, and waits: with no descriptor left, the next try would
/// fail at once.
pub(crate) async fn refused(error: &io::Error) {
    tracing::warn!(%error, "cannot take a client");
    time::sleep(Duration::from_millis(100)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_is_made_with_its_rights_and_removed() {
        let path = std::env::temp_dir().join(format!("domstatsd-{}.sock", process::id()));
        let socket = UnixSocket::make(&path, None).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        let other = UnixSocket::make(&path, None).err().unwrap();
        assert_eq!(other.kind(), io::ErrorKind::AddrInUse);
        drop(socket);
        assert!(!path.exists());
        // As after a crash: the file is there, and nobody serves it.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        drop(UnixSocket::make(&path, None).unwrap());
        fs::write(&path, "").unwrap();
        assert!(UnixSocket::make(&path, None).is_err(), "a file of somebody else stays");
        fs::remove_file(&path).unwrap();
        let error = UnixSocket::make(&path, Some("no such group")).err().unwrap();
        assert!(error.to_string().contains("no group 'no such group'"), "{error}");
    }
}
