//! The Unix socket transport to a daemon on this host.

use std::{
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with},
};

use super::error;
use crate::model::error::{Error, ErrorKind, Result};

/// The pause before the next attempt to connect to a daemon whose accept queue is full.
const PAUSE: Duration = Duration::from_millis(5);

/// Connects to the first of these sockets that exists.
pub(super) fn connect(sockets: &[PathBuf], deadline: Instant) -> Result<UnixStream> {
    for path in sockets {
        match connect_to(path, deadline) {
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            result => return result.map_err(|errno| refused(path, errno)),
        }
    }
    let paths: Vec<_> = sockets.iter().map(|path| path.display().to_string()).collect();
    let paths = paths.join(" or ");
    Err(error(
        ErrorKind::NoConnect,
        format!("no libvirt daemon runs here: there is no socket {paths}"),
    ))
}

fn connect_to(path: &Path, deadline: Instant) -> std::result::Result<UnixStream, Errno> {
    let address = SocketAddrUnix::new(path)?;
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket: OwnedFd = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    loop {
        match net::connect(&socket, &address) {
            Err(Errno::AGAIN | Errno::INTR) if Instant::now() + PAUSE < deadline => {
                thread::sleep(PAUSE);
            }
            result => return result.map(|()| socket.into()),
        }
    }
}

fn refused(path: &Path, errno: Errno) -> Error {
    let path = path.display();
    match errno {
        Errno::ACCESS | Errno::PERM => error(
            ErrorKind::AccessDenied,
            format!(
                "no permission to use the socket {path}: run as root, or join the group that owns \
                 it"
            ),
        ),
        Errno::CONNREFUSED => error(
            ErrorKind::NoConnect,
            format!("nobody listens on the socket {path}: its daemon ended, start it again"),
        ),
        Errno::AGAIN | Errno::INTR => error(
            ErrorKind::Timeout,
            format!(
                "too many clients wait for the daemon at the socket {path}: it is stuck or \
                 overloaded"
            ),
        ),
        errno => error(ErrorKind::System, format!("cannot connect to the socket {path}"))
            .because(std::io::Error::from(errno)),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::net::UnixListener};

    use domstats_patience::{PATIENCE, Stopwatch};

    use super::*;

    fn dir(name: &str) -> PathBuf {
        let name = format!("domstats-unix-{name}-{}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    fn soon() -> Instant {
        Instant::now() + PATIENCE
    }

    #[test]
    fn the_first_socket_that_exists_is_used() {
        let dir = dir("first");
        let sockets = ["none/deeper", "first", "second"].map(|name| dir.join(name));
        let _second = UnixListener::bind(&sockets[2]).unwrap();
        let peer =
            |stream: UnixStream| stream.peer_addr().unwrap().as_pathname().map(Path::to_owned);
        assert_eq!(peer(connect(&sockets, soon()).unwrap()), Some(sockets[2].clone()));
        let _first = UnixListener::bind(&sockets[1]).unwrap();
        assert_eq!(peer(connect(&sockets, soon()).unwrap()), Some(sockets[1].clone()));

        let error = connect(&sockets[..1], soon()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoConnect);
        assert!(error.to_string().contains("none/deeper"), "{error}");
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_stale_socket_hides_the_next() {
        let dir = dir("stale");
        let sockets = ["first", "second"].map(|name| dir.join(name));
        drop(UnixListener::bind(&sockets[0]).unwrap());
        let _second = UnixListener::bind(&sockets[1]).unwrap();
        let error = connect(&sockets, soon()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoConnect);
        assert!(error.to_string().contains("nobody listens"), "{error}");
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn connecting_to_a_full_queue_waits_until_the_deadline() {
        let dir = dir("queue");
        let path = dir.join("socket");
        let socket =
            socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None);
        let socket = socket.unwrap();
        net::bind(&socket, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        net::listen(&socket, 0).unwrap();
        let sockets = [path];
        let _waits = connect(&sockets, soon()).unwrap();
        let time = Duration::from_millis(100);
        let stopwatch = Stopwatch::start();
        let error = connect(&sockets, Instant::now() + time).unwrap_err();
        let took = stopwatch.time();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        assert!(took.passed >= time * 3 / 4, "{took:?}");
        took.assert_within(Duration::from_secs(1));

        let listener = UnixListener::from(socket);
        let late = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            listener.accept().unwrap();
            listener
        });
        connect(&sockets, soon()).unwrap();
        late.join().unwrap();
        fs::remove_dir_all(dir).unwrap();
    }

    /// Tests run as root, which no socket refuses, so this calls the function directly.
    #[test]
    fn a_socket_of_another_user_says_what_to_do() {
        let error = refused(Path::new("/run/libvirt/libvirt-sock"), Errno::ACCESS);
        assert_eq!(error.kind(), ErrorKind::AccessDenied);
        assert!(error.to_string().contains("libvirt-sock: run as root"), "{error}");
    }

    #[test]
    fn a_path_too_long_for_a_socket_is_an_error() {
        let error = connect(&[PathBuf::from("/x".repeat(200))], soon()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::System, "{error}");
    }
}
