//! Who opened a TCP connection: a user of this host, or another host. Each has limits of its own, so that one
//! cannot crowd out the others.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType,
    netlink::{SOCK_DIAG, SocketAddrNetlink},
    recv, sendto, socket_with,
};

/// Where requests come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    /// The daemon itself.
    Daemon,
    /// A user of this host, by uid.
    User(u32),
    /// Another host, or any local user where the kernel does not say which. For IPv6 the whole /64 network:
    /// one host can use all of its addresses.
    Host(IpAddr),
}

impl Source {
    /// Returns the source of a connection between two addresses, the client's first.
    pub(crate) fn of(client: SocketAddr, server: SocketAddr) -> Self {
        let address = client.ip().to_canonical();
        let is_local = address.is_loopback() || address == server.ip().to_canonical();
        if is_local && let Some(uid) = uid(client, server) {
            return Self::User(uid);
        }
        match address {
            IpAddr::V6(address) => {
                let network = u128::from(address) >> 64 << 64;
                Self::Host(Ipv6Addr::from(network).into())
            }
            IpAddr::V4(_) => Self::Host(address),
        }
    }

    /// True if limits apply. They do not apply to the daemon itself, or to root, who could stop it anyway.
    pub(crate) fn is_limited(self) -> bool {
        !matches!(self, Self::Daemon | Self::User(0))
    }
}

/// Counts connections by source, each of which may have a limited number.
pub(crate) struct PerSource {
    most: usize,
    count: Mutex<HashMap<Source, usize>>,
}

/// Counts one connection towards its source's limit until dropped.
pub(crate) struct Counted {
    all: Arc<PerSource>,
    source: Source,
}

impl PerSource {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most: most.max(1), count: Mutex::default() })
    }

    /// Returns `None` if the source has reached its limit.
    pub(crate) fn enter(self: &Arc<Self>, source: Source) -> Option<Counted> {
        let mut count = self.count();
        let its = count.entry(source).or_default();
        if *its >= self.most && source.is_limited() {
            return None;
        }
        *its += 1;
        Some(Counted { all: Arc::clone(self), source })
    }

    fn count(&self) -> MutexGuard<'_, HashMap<Source, usize>> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Entry::Occupied(mut its) = self.all.count().entry(self.source) {
            *its.get_mut() -= 1;
            if *its.get() == 0 {
                its.remove();
            }
        }
    }
}

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const IPPROTO_TCP: u8 = 6;
/// `nlmsghdr`, `inet_diag_req_v2`; and where an `inet_diag_msg` has the uid.
const HEADER: usize = 16;
const REQUEST: usize = 56;
const UID: usize = HEADER + 64;

/// Returns the uid of a local client's socket, by asking the kernel about that one connection (sock_diag(7)).
/// Never blocks; `None` where the kernel does not say.
fn uid(client: SocketAddr, server: SocketAddr) -> Option<u32> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let kernel =
        socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(SOCK_DIAG)).ok()?;
    sendto(&kernel, &request(client, server), SendFlags::empty(), &SocketAddrNetlink::new(0, 0))
        .ok()?;
    let mut answer = [0; 512];
    let (length, _) = recv(&kernel, &mut answer, RecvFlags::empty()).ok()?;
    let answer = answer.get(..length)?;
    let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
    let uid = u32::from_ne_bytes(answer.get(UID..UID + 4)?.try_into().ok()?);
    (kind == SOCK_DIAG_BY_FAMILY).then_some(uid)
}

fn request(client: SocketAddr, server: SocketAddr) -> Vec<u8> {
    let (own, other) = (client.ip().to_canonical(), server.ip().to_canonical());
    let family = if own.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let mut bytes = Vec::with_capacity(HEADER + REQUEST);
    bytes.extend(u32::try_from(HEADER + REQUEST).unwrap_or_default().to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend(NLM_F_REQUEST.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend([family.as_raw().to_ne_bytes()[0], IPPROTO_TCP, 0, 0]);
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
    fn the_kernel_tells_whose_a_local_connection_is() {
        let ours = rustix::process::getuid().as_raw();
        for (listen, connect) in
            [("127.0.0.1:0", None), ("[::1]:0", None), ("[::]:0", Some("127.0.0.1"))]
        {
            let Ok(listener) = TcpListener::bind(listen) else { continue };
            let mut address = listener.local_addr().unwrap();
            if let Some(ip) = connect {
                address.set_ip(ip.parse().unwrap());
            }
            let stream = TcpStream::connect(address).unwrap();
            let (accepted, client) = listener.accept().unwrap();
            let server = accepted.local_addr().unwrap();
            assert_eq!(Source::of(client, server), Source::User(ours), "{listen}");
            drop(stream);
        }
    }

    #[test]
    fn other_hosts_are_known_by_address_and_ipv6_by_network() {
        let server = "192.0.2.1:9177".parse().unwrap();
        let of = |client: &str| Source::of(client.parse().unwrap(), server);
        assert_eq!(of("192.0.2.7:1000"), Source::Host("192.0.2.7".parse().unwrap()));
        assert_eq!(of("[::ffff:192.0.2.7]:1000"), of("192.0.2.7:2000"));
        assert_eq!(of("[2001:db8::1]:1000"), of("[2001:db8::ffff:2]:1000"));
        assert_ne!(of("[2001:db8::1]:1000"), of("[2001:db8:0:1::1]:1000"));
    }

    #[test]
    fn connections_are_counted_by_source() {
        let all = PerSource::new(2);
        let held: Vec<_> = (0..2).map(|_| all.enter(Source::User(1)).unwrap()).collect();
        assert!(all.enter(Source::User(1)).is_none());
        assert!(all.enter(Source::User(2)).is_some());
        let _roots: Vec<_> = (0..5).map(|_| all.enter(Source::User(0)).unwrap()).collect();
        drop(held);
        assert!(all.enter(Source::User(1)).is_some());
        assert_eq!(all.count().len(), 1, "sources that left are forgotten");
    }
}
