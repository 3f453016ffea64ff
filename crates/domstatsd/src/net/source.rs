//! Who opened a TCP connection: a user of this host, or another host. Each has limits of its own, so that one
//! cannot crowd out the others.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use domstats::{host::tcp_owner::tcp_owner, sync::lock};

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
        if is_local && let Some(uid) = tcp_owner(client, server) {
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
        let mut count = lock(&self.count);
        let its = count.entry(source).or_default();
        if *its >= self.most && source.is_limited() {
            return None;
        }
        *its += 1;
        Some(Counted { all: Arc::clone(self), source })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Entry::Occupied(mut its) = lock(&self.all.count).entry(self.source) {
            *its.get_mut() -= 1;
            if *its.get() == 0 {
                its.remove();
            }
        }
    }
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
        assert_eq!(lock(&all.count).len(), 1, "sources that left are forgotten");
    }
}
