//! The network interfaces of a guest: its command line, the taps that its process holds, and the
//! host's counters put together.

use super::{
    command_line::{Backend, Network},
    taps::Tap,
};
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
    let places = places(networks, taps);
    let interfaces = places.iter().zip(0..).filter_map(|(place, index)| {
        let name = place.device?;
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
        count: u32::try_from(places.len()).ok(),
        interfaces: interfaces.collect(),
        ..Interfaces::default()
    }
}

/// An interface of the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place<'a> {
    /// Its network device, if it has one on the host.
    pub(crate) device: Option<&'a str>,
    /// The id of its network, if that is certain.
    pub(crate) network: Option<&'a str>,
}

/// Returns every interface, in the order of the command line, then those that were plugged in.
pub(crate) fn places<'a>(networks: &'a [Network], taps: Option<&'a [Tap]>) -> Vec<Place<'a>> {
    let mut unclaimed: Vec<&Tap> = taps.unwrap_or_default().iter().collect();
    // Each interface, and whether it waits for a device that only the process knows.
    let mut places: Vec<(Place<'_>, bool)> = Vec::new();
    for network in networks {
        let (name, told) = match &network.backend {
            Backend::Tap(name) => (Some(name.as_str()), true),
            Backend::TapFds(fds) => {
                let tap = unclaimed.iter().find(|tap| fds.contains(&tap.fd));
                (tap.map(|tap| tap.name.as_str()), !fds.is_empty())
            }
            Backend::Other => (None, false),
        };
        let held = name.is_some_and(|name| unclaimed.iter().any(|tap| tap.name == name));
        // A tap that the process no longer holds was unplugged.
        if taps.is_some() && told && !held {
            continue;
        }
        unclaimed.retain(|tap| Some(tap.name.as_str()) != name);
        let waits = matches!(network.backend, Backend::TapFds(_)) && name.is_none();
        let network = network.id.as_deref().filter(|_| !waits);
        places.push((Place { device: name, network }, waits));
    }
    // What is left belongs to interfaces that QEMU named itself, or that were plugged in. A tap
    // with several queues has several descriptors.
    for tap in unclaimed {
        let tap = tap.name.as_str();
        if places.iter().any(|(place, _)| place.device == Some(tap)) {
            continue;
        }
        let found = (Place { device: Some(tap), network: None }, false);
        match places.iter_mut().find(|(_, waits)| *waits) {
            Some(place) => *place = found,
            None => places.push(found),
        }
    }
    places.into_iter().map(|(place, _)| place).collect()
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

    /// Networks with these backends, called `0`, `1` and so on.
    fn networks<const N: usize>(backends: [Backend; N]) -> [Network; N] {
        let mut number = 0..;
        backends.map(|backend| Network { id: number.next().map(|id| id.to_string()), backend })
    }

    /// The device and the network of each interface.
    fn found<'a>(
        line: &'a [Network],
        taps: Option<&'a [Tap]>,
    ) -> Vec<(Option<&'a str>, Option<&'a str>)> {
        places(line, taps).iter().map(|place| (place.device, place.network)).collect()
    }

    #[test]
    fn the_command_line_gives_the_order() {
        let line =
            networks([Backend::Tap("tap1".into()), Backend::Other, Backend::TapFds(vec![31, 32])]);
        let taps = [tap(31, "tap0"), tap(32, "tap0"), tap(40, "tap1")];
        let all = [(Some("tap1"), Some("0")), (None, Some("1")), (Some("tap0"), Some("2"))];
        assert_eq!(found(&line, Some(&taps)), all);
        // Without the right to look, what the command line names is all that is known.
        assert_eq!(found(&line, None), [all[0], all[1], (None, None)]);
    }

    #[test]
    fn unplugged_and_plugged_in() {
        let line = networks([Backend::Tap("old".into()), Backend::TapFds(vec![31])]);
        assert_eq!(found(&line, Some(&[])), []);
        let new = [tap(50, "new"), tap(51, "new")];
        assert_eq!(found(&line, Some(&new)), [(Some("new"), None)]);
    }

    #[test]
    fn a_tap_that_qemu_named_itself_takes_its_place() {
        let line = networks([Backend::TapFds(Vec::new()), Backend::Other]);
        let taps = [tap(12, "tap7"), tap(13, "tap8")];
        // Which of them it is, is not certain.
        let all = [(Some("tap7"), None), (None, Some("1")), (Some("tap8"), None)];
        assert_eq!(found(&line, Some(&taps)), all);
    }

    #[test]
    fn the_guest_receives_what_the_host_transmits() {
        let counters = |bytes| NetCounters { bytes, packets: 0, errors: 0, drops: 0 };
        let device = NetDevice { received: counters(1), transmitted: counters(2) };
        let devices = NetDevices::from([("tap0".to_owned(), device)]);
        let line = networks([Backend::Tap("tap0".into())]);
        let found = interfaces(&line, None, Some(&devices));
        let interface = &found.interfaces[0];
        assert_eq!((interface.rx_bytes, interface.tx_bytes), (Some(2), Some(1)));
        let macvtap = Tap { is_macvtap: true, ..tap(31, "tap0") };
        let handed = networks([Backend::TapFds(vec![31])]);
        let found = interfaces(&handed, Some(&[macvtap]), Some(&devices));
        let interface = &found.interfaces[0];
        assert_eq!((interface.rx_bytes, interface.tx_bytes), (Some(1), Some(2)));
        let unknown = interfaces(&networks([Backend::Tap("tap1".into())]), None, Some(&devices));
        assert_eq!(unknown.interfaces[0].rx_bytes, None, "not read is absent");
    }
}
