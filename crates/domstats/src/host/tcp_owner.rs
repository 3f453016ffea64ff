//! Whose a TCP connection of this host is (sock_diag(7)).

use std::net::{IpAddr, SocketAddr};

use rustix::net::{AddressFamily, netlink::SOCK_DIAG};

use super::netlink::{Questions, request_one, u32_at};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const IPPROTO_TCP: u8 = 6;
/// The place of the uid in `struct inet_diag_msg`.
const UID: usize = 64;

/// Returns the uid of a local client's socket, by asking the kernel about that one connection. Never blocks; `None`
/// where the kernel does not say.
#[must_use]
pub fn tcp_owner(client: SocketAddr, server: SocketAddr) -> Option<u32> {
    let mut questions = Questions::open(Some(SOCK_DIAG)).ok()?;
    let body = connection(client, server);
    let question = |sequence| request_one(SOCK_DIAG_BY_FAMILY, sequence, &body);
    let uid = |kind, message: &[u8]| match kind {
        SOCK_DIAG_BY_FAMILY => u32_at(message, UID),
        _ => None,
    };
    questions.ask_one(question, uid).ok()
}

/// Returns a connection, its client first: `struct inet_diag_req_v2`.
fn connection(client: SocketAddr, server: SocketAddr) -> Vec<u8> {
    let (own, other) = (client.ip().to_canonical(), server.ip().to_canonical());
    let family = if own.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let mut bytes = vec![family.as_raw().to_ne_bytes()[0], IPPROTO_TCP, 0, 0];
    // Connections in any state.
    bytes.extend(u32::MAX.to_ne_bytes());
    bytes.extend(client.port().to_be_bytes());
    bytes.extend(server.port().to_be_bytes());
    for address in [own, other] {
        let mut space = [0; 16];
        match address {
            IpAddr::V4(address) => space[..4].copy_from_slice(&address.octets()),
            IpAddr::V6(address) => space = address.octets(),
        }
        bytes.extend(space);
    }
    // Any interface, any cookie.
    bytes.extend(0u32.to_ne_bytes());
    bytes.extend([0xff; 8]);
    bytes
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn the_owner_of_a_local_connection_is_its_user() {
        let ours = rustix::process::getuid().as_raw();
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let server = listener.local_addr().unwrap();
            let stream = TcpStream::connect(server).unwrap();
            let client = stream.local_addr().unwrap();
            assert_eq!(tcp_owner(client, server), Some(ours), "{address}");
            let mut other = client;
            other.set_port(1);
            assert_eq!(tcp_owner(other, server), None, "there is no such connection");
        }
    }
}
