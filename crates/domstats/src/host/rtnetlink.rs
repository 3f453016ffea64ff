//! The kernel's messages about network devices (rtnetlink(7)), without I/O: two requests, and a
//! parser for the answers.
//!
//! A message has three dozen counters and as many attributes; only those that the statistics need
//! are read.

use super::netlink::{Cut, attributes, cut, request, u32_at};

/// A message from the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Message<'a> {
    /// A device exists, or has changed.
    Link(Link<'a>),
    /// A device has gone.
    LinkGone(Link<'a>),
    /// The counters of a device.
    Counters {
        /// The device index.
        index: u32,
        /// As in `/proc/net/dev`: bytes, packets, errors, drops.
        received: [u64; 4],
        /// The same in the other direction.
        transmitted: [u64; 4],
    },
    /// The end of an answer.
    Done,
    /// The request failed, or the dump is inconsistent because something changed meanwhile.
    Failed,
    /// Something else.
    Other,
}

/// A network device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link<'a> {
    /// The device index.
    pub(super) index: u32,
    /// The name, in bytes: the kernel enforces no encoding.
    pub(super) name: &'a [u8],
    /// Whether it is a tap as QEMU opens them: of kind `tun` or `macvtap`.
    pub(super) is_tap: bool,
}

/// The multicast group for device notifications: the first bit of the mask.
pub(super) const GROUP_LINK: u32 = 1;

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_NEWSTATS: u16 = 92;
const RTM_GETSTATS: u16 = 94;

const IFLA_IFNAME: u16 = 3;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_EXT_MASK: u16 = 29;
const RTEXT_FILTER_SKIP_STATS: u32 = 8;
const IFLA_STATS_LINK_64: u16 = 1;

const IFINFOMSG: usize = 16;
const IF_STATS_MSG: usize = 12;

/// Builds the request for all devices, without their counters.
pub(super) fn links(sequence: u32) -> Vec<u8> {
    let mut body = vec![0; IFINFOMSG];
    body.extend(8u16.to_ne_bytes());
    body.extend(IFLA_EXT_MASK.to_ne_bytes());
    body.extend(RTEXT_FILTER_SKIP_STATS.to_ne_bytes());
    request(RTM_GETLINK, sequence, &body)
}

/// Builds the request for all devices' counters.
pub(super) fn counters(sequence: u32) -> Vec<u8> {
    let mut body = vec![0; IF_STATS_MSG - 4];
    body.extend((1u32 << (IFLA_STATS_LINK_64 - 1)).to_ne_bytes());
    request(RTM_GETSTATS, sequence, &body)
}

/// Splits what was received into messages, each with the sequence number of its request: 0 for a
/// notification. A truncated message ends the iteration.
pub(super) fn messages(bytes: &[u8]) -> impl Iterator<Item = (u32, Message<'_>)> {
    cut(bytes).map(|(sequence, message)| {
        let message = match message {
            Cut::Done => Message::Done,
            Cut::Failed => Message::Failed,
            Cut::Other { kind, body } => self::message(kind, body).unwrap_or(Message::Other),
        };
        (sequence, message)
    })
}

/// Parses a message of a type that the statistics need.
pub(super) fn message(kind: u16, body: &[u8]) -> Option<Message<'_>> {
    match kind {
        // A bridge reports its ports in messages of its own family.
        RTM_NEWLINK | RTM_DELLINK if body.first() != Some(&0) => None,
        RTM_NEWLINK => link(body).map(Message::Link),
        RTM_DELLINK => link(body).map(Message::LinkGone),
        RTM_NEWSTATS => {
            let mut attributes = attributes(body.get(IF_STATS_MSG..)?);
            let (_, counters) = attributes.find(|(kind, _)| *kind == IFLA_STATS_LINK_64)?;
            // struct rtnl_link_stats64
            let counter = |number: usize| {
                let bytes = counters.get(number * 8..number * 8 + 8)?;
                Some(u64::from_ne_bytes(bytes.try_into().ok()?))
            };
            // `/proc/net/dev` counts packets that the device missed as dropped.
            let dropped = counter(6)?.saturating_add(counter(15)?);
            Some(Message::Counters {
                index: u32_at(body, 4)?,
                received: [counter(2)?, counter(0)?, counter(4)?, dropped],
                transmitted: [counter(3)?, counter(1)?, counter(5)?, counter(7)?],
            })
        }
        _ => None,
    }
}

fn link(body: &[u8]) -> Option<Link<'_>> {
    let mut link = Link { index: u32_at(body, 4)?, name: &[], is_tap: false };
    for (kind, value) in attributes(body.get(IFINFOMSG..)?) {
        match kind {
            IFLA_IFNAME => link.name = value.strip_suffix(b"\0").unwrap_or(value),
            IFLA_LINKINFO => {
                let kind = attributes(value).find(|(kind, _)| *kind == IFLA_INFO_KIND);
                link.is_tap = matches!(kind, Some((_, b"tun\0" | b"macvtap\0")));
            }
            _ => {}
        }
    }
    (!link.name.is_empty()).then_some(link)
}

#[cfg(test)]
mod tests {
    use super::{
        super::netlink::{HEADER, NLMSG_DONE, align},
        *,
    };

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::from(u16::try_from(4 + value.len()).unwrap().to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(align(bytes.len()), 0);
        bytes
    }

    fn tap() -> Vec<u8> {
        let mut body = vec![0; IFINFOMSG];
        body[4..8].copy_from_slice(&7u32.to_ne_bytes());
        body.extend(attribute(IFLA_IFNAME, b"tap0\0"));
        body.extend(attribute(IFLA_LINKINFO | 0x8000, &attribute(IFLA_INFO_KIND, b"tun\0")));
        request(RTM_NEWLINK, 3, &body)
    }

    fn stats() -> Vec<u8> {
        let mut body = vec![0; IF_STATS_MSG];
        body[4..8].copy_from_slice(&7u32.to_ne_bytes());
        let counters: Vec<u8> = (100..125u64).flat_map(u64::to_ne_bytes).collect();
        body.extend(attribute(IFLA_STATS_LINK_64, &counters));
        request(RTM_NEWSTATS, 3, &body)
    }

    #[test]
    fn parses_devices_and_their_counters() {
        let bytes = [tap(), stats(), request(NLMSG_DONE, 3, &[0; 4])].concat();
        let all: Vec<_> = messages(&bytes).collect();
        let link = Message::Link(Link { index: 7, name: b"tap0", is_tap: true });
        let counters = Message::Counters {
            index: 7,
            received: [102, 100, 104, 106 + 115],
            transmitted: [103, 101, 105, 107],
        };
        assert_eq!(all, [(3, link), (3, counters), (3, Message::Done)]);
    }

    #[test]
    fn an_inconsistent_dump_has_failed() {
        let mut bytes = tap();
        bytes[6] |= 0x10;
        assert_eq!(messages(&bytes).next(), Some((3, Message::Failed)));
    }

    #[test]
    fn truncated_or_damaged_messages_are_skipped() {
        let bytes = [tap(), stats()].concat();
        for cut in 0..bytes.len() {
            assert!(messages(&bytes[..cut]).count() < 2, "{cut}");
        }
        for position in 0..bytes.len() {
            for value in [0, 1, 4, 0x7f, 0xff] {
                let mut bytes = bytes.clone();
                bytes[position] = value;
                // At most one message per header, and no endless loop over a length of 0.
                assert!(messages(&bytes).count() <= bytes.len() / HEADER);
            }
        }
    }
}
