//! The network interfaces of a guest: its command line, the taps that its process holds, and the
//! host's counters put together.

use super::{command_line::Network, taps::Tap};
use crate::{
    host::procfs::{NetCounters, NetDevices},
    stats::{Interface, Interfaces},
};

/// Returns the interfaces of a guest. `taps` are those that the process holds, by descriptor;
/// `None` if they cannot be known, and then the command line alone tells.
pub(crate) fn interfaces(
    networks: &[Network],
    taps: Option<&[Tap]>,
    devices: Option<&NetDevices>,
) -> Interfaces {
    let names = names(networks, taps);
    let interfaces = names.iter().zip(0..).filter_map(|(name, index)| {
        let name = (*name)?;
        let is_macvtap =
            taps.is_some_and(|taps| taps.iter().any(|tap| tap.is_macvtap && tap.name == name));
        // What the host receives from a tap, the guest has transmitted. A macvtap is counted as
        // the guest's own device.
        let counters =
            devices.and_then(|devices| devices.get(name)).map(|device| match is_macvtap {
                true => (device.received, device.transmitted),
                false => (device.transmitted, device.received),
            });
        Some(interface(index, name, counters))
    });
    Interfaces {
        count: u32::try_from(names.len()).ok(),
        interfaces: interfaces.collect(),
        ..Interfaces::default()
    }
}

/// Returns the network device of every interface, in the order of the command line, then those
/// that were plugged in; `None` for one without a device on the host.
fn names<'a>(networks: &'a [Network], taps: Option<&'a [Tap]>) -> Vec<Option<&'a str>> {
    let mut unclaimed: Vec<&Tap> = taps.unwrap_or_default().iter().collect();
    // The name of each interface, and whether it waits for one that only the process knows.
    let mut names: Vec<(Option<&str>, bool)> = Vec::new();
    for network in networks {
        let (name, told) = match network {
            Network::Tap(name) => (Some(name.as_str()), true),
            Network::TapFds(fds) => {
                let tap = unclaimed.iter().find(|tap| fds.contains(&tap.fd));
                (tap.map(|tap| tap.name.as_str()), !fds.is_empty())
            }
            Network::Other => (None, false),
        };
        let held = name.is_some_and(|name| unclaimed.iter().any(|tap| tap.name == name));
        // A tap that the process no longer holds was unplugged.
        if taps.is_some() && told && !held {
            continue;
        }
        unclaimed.retain(|tap| Some(tap.name.as_str()) != name);
        names.push((name, matches!(network, Network::TapFds(_)) && name.is_none()));
    }
    // What is left belongs to interfaces that QEMU named itself, or that were plugged in. A tap
    // with several queues has several descriptors.
    for tap in unclaimed {
        let tap = tap.name.as_str();
        if names.iter().any(|(name, _)| *name == Some(tap)) {
            continue;
        }
        match names.iter_mut().find(|(_, waits)| *waits) {
            Some(place) => *place = (Some(tap), false),
            None => names.push((Some(tap), false)),
        }
    }
    names.into_iter().map(|(name, _)| name).collect()
}

fn interface(index: u32, name: &str, counters: Option<(NetCounters, NetCounters)>) -> Interface {
    let mut interface = Interface { index, name: Some(name.to_owned()), ..Interface::default() };
    if let Some((rx, tx)) = counters {
        interface.rx_bytes = Some(rx.bytes);
        interface.rx_pkts = Some(rx.packets);
        interface.rx_errs = Some(rx.errors);
        interface.rx_drop = Some(rx.drops);
        interface.tx_bytes = Some(tx.bytes);
        interface.tx_pkts = Some(tx.packets);
        interface.tx_errs = Some(tx.errors);
        interface.tx_drop = Some(tx.drops);
    }
    interface
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::procfs::NetDevice;

    fn tap(fd: u32, name: &str) -> Tap {
        Tap { fd, name: name.to_owned(), is_macvtap: false }
    }

    #[test]
    fn the_command_line_gives_the_order() {
        let line = [Network::Tap("tap1".into()), Network::Other, Network::TapFds(vec![31, 32])];
        let taps = [tap(31, "tap0"), tap(32, "tap0"), tap(40, "tap1")];
        assert_eq!(names(&line, Some(&taps)), [Some("tap1"), None, Some("tap0")]);
        // Without the right to look, what the command line names is all that is known.
        assert_eq!(names(&line, None), [Some("tap1"), None, None]);
    }

    #[test]
    fn unplugged_and_plugged_in() {
        let line = [Network::Tap("old".into()), Network::TapFds(vec![31])];
        assert_eq!(names(&line, Some(&[])), [None; 0]);
        assert_eq!(names(&line, Some(&[tap(50, "new"), tap(51, "new")])), [Some("new")]);
    }

    #[test]
    fn a_tap_that_qemu_named_itself_takes_its_place() {
        let line = [Network::TapFds(Vec::new()), Network::Other];
        let taps = [tap(12, "tap7"), tap(13, "tap8")];
        assert_eq!(names(&line, Some(&taps)), [Some("tap7"), None, Some("tap8")]);
    }

    #[test]
    fn the_guest_receives_what_the_host_transmits() {
        let counters = |bytes| NetCounters { bytes, packets: 0, errors: 0, drops: 0 };
        let device = NetDevice { received: counters(1), transmitted: counters(2) };
        let devices = NetDevices::from([("tap0".to_owned(), device)]);
        let found = interfaces(&[Network::Tap("tap0".into())], None, Some(&devices));
        let interface = &found.interfaces[0];
        assert_eq!((interface.rx_bytes, interface.tx_bytes), (Some(2), Some(1)));
        let macvtap = Tap { is_macvtap: true, ..tap(31, "tap0") };
        let found = interfaces(&[Network::TapFds(vec![31])], Some(&[macvtap]), Some(&devices));
        let interface = &found.interfaces[0];
        assert_eq!((interface.rx_bytes, interface.tx_bytes), (Some(1), Some(2)));
        let unknown = interfaces(&[Network::Tap("tap1".into())], None, Some(&devices));
        assert_eq!(unknown.interfaces[0].rx_bytes, None, "not read is absent");
    }
}
