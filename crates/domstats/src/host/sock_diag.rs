//! The kernel's messages about Unix sockets (sock_diag(7)), without I/O: a request, and a parser
//! for the answer.

use super::netlink::{attributes, request, u32_at};

/// A Unix socket with a name, as the kernel reports it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Socket {
    pub(crate) inode: u64,
    /// The bound path, which may be relative; for an abstract socket a zero and any bytes.
    pub(crate) name: Vec<u8>,
    /// The device and the lower 32 bits of the inode of the bound file.
    pub(crate) file: Option<(u64, u32)>,
    /// For a listening socket, how many connections wait to be accepted.
    pub(crate) waiting: u32,
    /// The inode of the peer socket, if that is still open; 0 if the source does not report it.
    pub(super) peer: Option<u64>,
}

/// Which sockets to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum State {
    Listening,
    Connected,
}

const SOCK_DIAG_BY_FAMILY: u16 = 20;

/// `TCP_ESTABLISHED`, `TCP_LISTEN`: Unix sockets share TCP's states.
const ESTABLISHED: u32 = 1;
const LISTEN: u32 = 10;

/// `UDIAG_SHOW_*`.
const SHOW_NAME: u32 = 1;
const SHOW_VFS: u32 = 2;
const SHOW_PEER: u32 = 4;
const SHOW_RQLEN: u32 = 0x10;

/// `UNIX_DIAG_*`.
const NAME: u16 = 0;
const VFS: u16 = 1;
const PEER: u16 = 2;
const RQLEN: u16 = 4;

/// `struct unix_diag_msg`: family, type, state, padding, inode, cookie.
const UNIX_DIAG_MSG: usize = 16;

/// Builds the request for all Unix sockets in a state. `struct unix_diag_req`: family, protocol,
/// padding, states, inode, what to show, cookie.
pub(super) fn sockets(state: State, sequence: u32) -> Vec<u8> {
    let (state, show) = match state {
        State::Listening => (LISTEN, SHOW_NAME | SHOW_VFS | SHOW_RQLEN),
        State::Connected => (ESTABLISHED, SHOW_NAME | SHOW_PEER),
    };
    // AF_UNIX is 1.
    let mut body = vec![1, 0, 0, 0];
    for word in [1 << state, 0, show, u32::MAX, u32::MAX] {
        body.extend(u32::to_ne_bytes(word));
    }
    request(SOCK_DIAG_BY_FAMILY, sequence, &body)
}

/// Parses a message about a socket.
pub(super) fn socket(kind: u16, body: &[u8]) -> Option<Socket> {
    if kind != SOCK_DIAG_BY_FAMILY {
        return None;
    }
    let mut socket = Socket { inode: u32_at(body, 4)?.into(), ..Socket::default() };
    for (kind, value) in attributes(body.get(UNIX_DIAG_MSG..)?) {
        match kind {
            NAME => socket.name = name(value).to_owned(),
            VFS => socket.file = Some((device(u32_at(value, 4)?), u32_at(value, 0)?)),
            // A closed peer has inode 0.
            PEER => socket.peer = Some(u32_at(value, 0)?.into()).filter(|inode| *inode != 0),
            RQLEN => socket.waiting = u32_at(value, 0)?,
            _ => {}
        }
    }
    Some(socket)
}

/// A path may come with its terminating zero.
fn name(value: &[u8]) -> &[u8] {
    match value.first() {
        Some(0) => value,
        _ => value.split(|byte| *byte == 0).next().unwrap_or_default(),
    }
}

/// Returns a device number as programs see it: the kernel keeps 20 bits for the minor number.
fn device(number: u32) -> u64 {
    rustix::fs::makedev(number >> 20, number & 0xf_ffff)
}

#[cfg(test)]
mod tests {
    use super::{
        super::netlink::{Cut, align, cut, u16_at},
        *,
    };

    /// Parses sockets from messages, each with the sequence number of its request.
    fn told(bytes: &[u8]) -> Vec<(u32, Option<Socket>)> {
        let socket = |message| match message {
            Cut::Other { kind, body } => socket(kind, body),
            Cut::Done | Cut::Failed => None,
        };
        cut(bytes).map(|(sequence, message)| (sequence, socket(message))).collect()
    }

    fn message(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = vec![1, 1, 10, 0];
        body.extend(4711u32.to_ne_bytes());
        body.extend([0; 8]);
        for (kind, value) in attributes {
            body.extend(u16::try_from(4 + value.len()).unwrap().to_ne_bytes());
            body.extend(kind.to_ne_bytes());
            body.extend(*value);
            body.resize(align(body.len()), 0);
        }
        request(SOCK_DIAG_BY_FAMILY, 3, &body)
    }

    #[test]
    fn parses_a_listener_with_all_attributes() {
        let file = [77u32.to_ne_bytes(), ((8u32 << 20) | 1).to_ne_bytes()].concat();
        let queue = [2u32.to_ne_bytes(), 1u32.to_ne_bytes()].concat();
        let bytes = message(&[(NAME, b"/run/q\0"), (VFS, &file), (RQLEN, &queue)]);
        let socket = Socket {
            inode: 4711,
            name: b"/run/q".to_vec(),
            file: Some((rustix::fs::makedev(8, 1), 77)),
            waiting: 2,
            peer: None,
        };
        assert_eq!(told(&bytes), [(3, Some(socket))]);
    }

    #[test]
    fn an_abstract_name_keeps_its_zeros() {
        let bytes = message(&[(NAME, b"\0q\0\0"), (PEER, &7u32.to_ne_bytes())]);
        let socket =
            Socket { inode: 4711, name: b"\0q\0\0".to_vec(), peer: Some(7), ..Socket::default() };
        assert_eq!(told(&bytes), [(3, Some(socket))]);
    }

    #[test]
    fn truncated_messages_are_skipped() {
        let bytes = message(&[(NAME, b"/run/q"), (RQLEN, &[0; 8])]);
        for cut in 0..bytes.len() {
            assert_eq!(told(&bytes[..cut]).len(), 0, "{cut}");
        }
        assert!(u16_at(&bytes, 4) == Some(SOCK_DIAG_BY_FAMILY));
    }
}
