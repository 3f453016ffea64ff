//! The TCP transport to a daemon on another host.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use rustix::net::sockopt;

use super::error;
use crate::model::error::{Error, ErrorKind, Result};

/// How TCP detects that a host vanished: it sends a probe after this long without a byte, repeats
/// it at the same interval, and gives up after [`KEEPALIVES`] probes.
const KEEPALIVE: Duration = Duration::from_secs(5);
const KEEPALIVES: u32 = 5;

/// Connects to the first of the host's addresses that answers.
pub(super) fn connect(host: &str, port: u16, deadline: Instant) -> Result<TcpStream> {
    let addresses = look_up(host, port, deadline)?;
    let mut last = io::ErrorKind::TimedOut.into();
    for (index, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        // An address that drops every packet leaves time for the others.
        let share = left / u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        if share.is_zero() {
            break;
        }
        match TcpStream::connect_timeout(address, share).and_then(prepare) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(refused(host, port, last))
}

fn prepare(stream: TcpStream) -> io::Result<TcpStream> {
    // A call is one packet: it must not wait for another.
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    sockopt::set_tcp_keepidle(&stream, KEEPALIVE)?;
    sockopt::set_tcp_keepintvl(&stream, KEEPALIVE)?;
    sockopt::set_tcp_keepcnt(&stream, KEEPALIVES)?;
    sockopt::set_socket_keepalive(&stream, true)?;
    Ok(stream)
}

/// Returns the addresses of a host. The system's resolver takes no deadline, so it runs on a thread
/// of its own, which ends when the resolver gives up.
fn look_up(host: &str, port: u16, deadline: Instant) -> Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let (sender, receiver) = mpsc::sync_channel(1);
    let name = host.to_owned();
    let resolve = move || {
        let addresses = (name.as_str(), port).to_socket_addrs().map(Iterator::collect);
        // After the deadline, the receiver is gone.
        let _ = sender.send(addresses);
    };
    thread::Builder::new().name("host name".to_owned()).spawn(resolve).map_err(|cause| {
        error(ErrorKind::System, "cannot start a thread to look up a host name").because(cause)
    })?;
    let left = deadline.saturating_duration_since(Instant::now());
    match receiver.recv_timeout(left) {
        Ok(addresses) => addresses.map_err(|error| unknown(host).because(error)),
        Err(_) => Err(error(
            ErrorKind::Timeout,
            format!("the host name '{host}' was not resolved in time: is DNS working?"),
        )),
    }
}

fn unknown(host: &str) -> Error {
    error(ErrorKind::NoConnect, format!("unknown host '{host}': is the name right?"))
}

fn refused(host: &str, port: u16, cause: io::Error) -> Error {
    match cause.kind() {
        io::ErrorKind::TimedOut => error(
            ErrorKind::Timeout,
            format!(
                "the host '{host}' did not answer on port {port} in time: it is down, or a \
                 firewall blocks the port"
            ),
        ),
        io::ErrorKind::ConnectionRefused => error(
            ErrorKind::NoConnect,
            format!(
                "nobody listens on port {port} of '{host}': is libvirtd or virtproxyd set up to \
                 listen there?"
            ),
        ),
        _ => error(ErrorKind::NoConnect, format!("cannot connect to port {port} of '{host}'"))
            .because(cause),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
    };

    use domstats_patience::{PATIENCE, Stopwatch};
    use rustix::net::{self, AddressFamily, SocketType};

    use super::*;

    fn soon() -> Instant {
        Instant::now() + PATIENCE
    }

    #[test]
    fn a_connection_does_not_block_and_detects_a_dead_peer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        // `localhost` also resolves to [::1], where nobody listens.
        let mut stream = connect("localhost", port, soon()).unwrap();
        assert!(stream.nodelay().unwrap());
        assert!(sockopt::socket_keepalive(&stream).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&stream), Ok(KEEPALIVE));
        assert_eq!(sockopt::tcp_keepintvl(&stream), Ok(KEEPALIVE));
        assert_eq!(sockopt::tcp_keepcnt(&stream), Ok(KEEPALIVES));
        assert_eq!(stream.read(&mut [0; 1]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        stream.write_all(b"x").unwrap();
        let mut byte = [0];
        listener.accept().unwrap().0.read_exact(&mut byte).unwrap();
        assert_eq!(&byte, b"x");
    }

    #[test]
    fn a_port_without_listener_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let error = connect("127.0.0.1", port, soon()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoConnect);
        assert!(error.to_string().contains(&format!("port {port} of '127.0.0.1'")), "{error}");
    }

    #[test]
    fn a_host_that_accepts_no_more_connections_times_out_at_the_deadline() {
        let socket = net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        net::bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        net::listen(&socket, 0).unwrap();
        let listener = TcpListener::from(socket);
        let port = listener.local_addr().unwrap().port();
        // The queue has room for one or two connections; the kernel drops further ones silently.
        let _queue: Vec<_> = (0..2)
            .map_while(|_| {
                let deadline = Instant::now() + Duration::from_millis(100);
                connect("127.0.0.1", port, deadline).ok()
            })
            .collect();
        let time = Duration::from_millis(200);
        let stopwatch = Stopwatch::start();
        let error = connect("127.0.0.1", port, Instant::now() + time).unwrap_err();
        let took = stopwatch.time();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        assert!(took.passed >= time * 3 / 4, "{took:?}");
        took.assert_within(Duration::from_secs(1));
    }

    #[test]
    fn an_unknown_host_name_is_an_error() {
        // A label of 64 letters is invalid: the resolver fails without sending a query.
        let error = connect(&"x".repeat(64), 1, soon()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoConnect);
        assert!(error.to_string().contains("is the name right?"), "{error}");
    }
}
