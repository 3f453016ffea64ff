//! Unix sockets: made here, or by systemd.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    process,
    time::Duration,
};

use rustix::{
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with},
};
use tokio::{net::UnixListener, time};

/// A Unix socket. One that was made here is removed at the end.
pub(crate) struct UnixSocket {
    pub(crate) listener: UnixListener,
    made: Option<Made>,
}

/// A socket file, and its identity: device and inode.
struct Made {
    path: PathBuf,
    identity: (u64, u64),
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
            check_left_behind(path)?;
        }
        // Under another name first: no client connects before the permissions are set.
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}", process::id()));
        let temporary = path.with_file_name(name);
        let _ = fs::remove_file(&temporary);
        let listener = UnixListener::bind(&temporary)?;
        let publish = || {
            chown(&temporary, None, gid)?;
            fs::set_permissions(&temporary, fs::Permissions::from_mode(0o660))?;
            let identity = identity(&temporary)?;
            fs::rename(&temporary, path)?;
            Ok(Made { path: path.to_owned(), identity })
        };
        match publish() {
            Ok(made) => Ok(Self { listener, made: Some(made) }),
            Err(error) => {
                let _ = fs::remove_file(&temporary);
                Err(error)
            }
        }
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
        // Another daemon may have replaced it after it was removed.
        if let Some(Made { path, identity: ours }) = &self.made
            && identity(path).is_ok_and(|found| found == *ours)
        {
            let _ = fs::remove_file(path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

/// Fails if the socket may be served. One that was left behind refuses clients.
fn check_left_behind(path: &Path) -> io::Result<()> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    match connect(&socket, &SocketAddrUnix::new(path)?) {
        Err(Errno::CONNREFUSED | Errno::NOENT) => Ok(()),
        // A busy daemon has clients that wait.
        Ok(()) | Err(Errno::AGAIN) => {
            Err(io::Error::new(io::ErrorKind::AddrInUse, "another daemon serves it"))
        }
        Err(error) => Err(io::Error::from(error)),
    }
}

/// Returns the gid of a group, by its name in `/etc/group` or as a number.
///
/// # Errors
///
/// There is no such group, or the file cannot be read.
pub(crate) fn group_id(group: &str) -> io::Result<u32> {
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

/// Logs that a client could not be accepted, and waits: with no descriptor left, the next attempt would fail at once.
pub(crate) async fn refused(error: &io::Error) {
    tracing::warn!(%error, "cannot accept a client");
    time::sleep(Duration::from_millis(100)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_is_made_with_its_permissions_and_removed() {
        let path = std::env::temp_dir().join(format!("domstatsd-{}.sock", process::id()));
        let socket = UnixSocket::make(&path, None).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        let other = UnixSocket::make(&path, None).err().unwrap();
        assert_eq!(other.kind(), io::ErrorKind::AddrInUse);
        // A socket whose client waits: the kernel's shortest queue has one place.
        let busy = path.with_extension("busy");
        let stuck = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
        rustix::net::bind(&stuck, &SocketAddrUnix::new(&busy).unwrap()).unwrap();
        rustix::net::listen(&stuck, 0).unwrap();
        let _waits = std::os::unix::net::UnixStream::connect(&busy).unwrap();
        let other = UnixSocket::make(&busy, None).err().unwrap();
        assert_eq!(other.kind(), io::ErrorKind::AddrInUse);
        fs::remove_file(&busy).unwrap();
        drop(socket);
        assert!(!path.exists());
        // The socket of a daemon that was started after this one's was removed is not this one's.
        let first = UnixSocket::make(&path, None).unwrap();
        fs::remove_file(&path).unwrap();
        let second = UnixSocket::make(&path, None).unwrap();
        drop(first);
        assert!(path.exists());
        drop(second);
        // As after a crash: the file exists, and nobody serves it.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        drop(UnixSocket::make(&path, None).unwrap());
        fs::write(&path, "").unwrap();
        assert!(UnixSocket::make(&path, None).is_err(), "another file stays");
        fs::remove_file(&path).unwrap();
        let error = UnixSocket::make(&path, Some("no such group")).err().unwrap();
        assert!(error.to_string().contains("no group 'no such group'"), "{error}");
    }
}
