//! Determines a guest's NICs, and the host device of each.
//!
//! A NIC names its network, and the command line names the network's host device. For NICs that
//! were plugged in later, or named by QEMU, nothing does: the remaining NICs and devices belong
//! together, and the match is certain if there is one of each.

use std::collections::HashSet;

use crate::{
    driver::qemu::{
        discovery::command_line::{Backend, CommandLine, Link, Network},
        monitor::nics::{Device, NicSnapshot},
    },
    host::process::taps::Tap,
};

/// The most names that a reason lists.
const NAMED: usize = 4;

/// A guest's NICs, in the order of the command line, then those that were plugged in.
#[derive(Debug)]
pub(crate) struct GuestNics<'a> {
    pub(crate) all: Vec<GuestNic<'a>>,
    /// Whether the list is complete.
    pub(super) is_all: bool,
}

/// A NIC of the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GuestNic<'a> {
    /// What the monitor reported about it.
    pub(crate) told: Option<&'a Device>,
    /// Its name for people.
    name: Option<&'a str>,
    /// Its host device.
    pub(crate) device: Option<&'a str>,
    /// Whether it is certain that it has that device, or none.
    pub(crate) is_certain: bool,
}

impl GuestNics<'_> {
    /// Returns the reason for NICs whose traffic no host device counts.
    pub(super) fn uncounted(&self) -> Option<String> {
        let without = || self.all.iter().zip(0..).filter(|(place, _)| place.device.is_none());
        let number = without().count();
        let mut names: Vec<String> = without()
            .take(NAMED)
            .map(|(place, index)| place.name.map_or_else(|| index.to_string(), str::to_owned))
            .collect();
        if number > NAMED {
            names.push(format!("{} more", number - NAMED));
        }
        let names = names.join(", ");
        let text = match without().all(|(place, _)| place.is_certain) {
            true => "no network device of the host counts the traffic of the NIC",
            false => {
                "it is not known which network device of the host counts the traffic of the NIC"
            }
        };
        let plural = if number > 1 { "s" } else { "" };
        (number > 0).then(|| format!("{text}{plural} {names}"))
    }
}

/// Returns the NICs that the monitor reported, or those of the command line if it did not.
pub(crate) fn guest_nics<'a>(
    line: &'a CommandLine,
    told: Option<&'a NicSnapshot>,
    taps: Option<&'a [Tap]>,
) -> GuestNics<'a> {
    let mut join = Join::new(line, taps);
    match told {
        Some(told) => {
            for (device, option) in &told.nics {
                let link = option.and_then(|option| Some(&line.nics.get(option)?.link));
                let wired = join.network_of(device.network(), link);
                let place = GuestNic {
                    told: Some(device),
                    name: device.id(),
                    device: None,
                    is_certain: false,
                };
                join.add(place, wired);
            }
            join.share_out(false);
        }
        None => {
            for nic in &line.nics {
                let wired = join.wired(&nic.link);
                // The tap was unplugged: the process no longer holds it.
                if wired != Wired::Lost {
                    let name = nic.id.as_deref();
                    join.add(GuestNic { told: None, name, device: None, is_certain: false }, wired);
                }
            }
            join.share_out(true);
        }
    }
    let is_all = told.is_some() || !line.may_bring_nics();
    GuestNics { all: join.places, is_all }
}

/// Where a NIC leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wired<'a> {
    /// To this host device.
    Device(&'a str),
    /// To no host device.
    NoDevice,
    /// To a device that the process no longer holds.
    Lost,
    Unknown,
}

/// Assigns host devices to NICs.
struct Join<'a> {
    line: &'a CommandLine,
    taps: Option<&'a [Tap]>,
    /// The devices of networks that the command line names, used or not.
    claimed: HashSet<&'a str>,
    /// The devices already assigned to a NIC.
    taken: HashSet<&'a str>,
    places: Vec<GuestNic<'a>>,
    /// The indices of NICs whose network is unknown.
    unknown: Vec<usize>,
}

impl<'a> Join<'a> {
    fn new(line: &'a CommandLine, taps: Option<&'a [Tap]>) -> Self {
        let mut join = Self {
            line,
            taps,
            claimed: HashSet::new(),
            taken: HashSet::new(),
            places: Vec::new(),
            unknown: Vec::new(),
        };
        let of_networks = line.networks.iter().filter_map(|network| match join.device(network) {
            Wired::Device(name) => Some(name),
            _ => None,
        });
        join.claimed = of_networks.collect();
        join
    }

    /// Returns the device of a network that is not a hub port.
    fn device(&self, network: &'a Network) -> Wired<'a> {
        let held = |is_it: &dyn Fn(&Tap) -> bool| {
            let tap = self.taps?.iter().find(|tap| is_it(tap))?;
            Some(Wired::Device(&tap.name))
        };
        match &network.backend {
            Backend::Tap(name) if self.taps.is_none() => Wired::Device(name),
            Backend::Tap(name) => held(&|tap| tap.name == *name).unwrap_or(Wired::Lost),
            Backend::TapFds(fds) if fds.is_empty() || self.taps.is_none() => Wired::Unknown,
            Backend::TapFds(fds) => held(&|tap| fds.contains(&tap.fd)).unwrap_or(Wired::Lost),
            Backend::HubPort { .. } | Backend::Other => Wired::NoDevice,
        }
    }

    /// Returns where a NIC leads, by QEMU's name for its network; `link` is what the command line
    /// says about the NIC.
    fn network_of(&self, id: &str, link: Option<&'a Link>) -> Wired<'a> {
        let of_line = self.line.networks.iter().find(|network| network.id.as_deref() == Some(id));
        let of_nic = || {
            let mut unnamed = self.line.networks.iter().filter(|network| network.is_unnamed());
            unnamed.nth(unnamed_of(id)?)
        };
        match (id, of_line.or_else(of_nic), hub_of(id), link) {
            ("", ..) => Wired::NoDevice,
            (_, Some(network), ..) => self.through(network),
            (_, _, Some(hub), _) => self.on_hub(hub),
            (_, _, _, Some(Link::Place(place))) => self.at(*place),
            _ => Wired::Unknown,
        }
    }

    fn wired(&self, link: &'a Link) -> Wired<'a> {
        match link {
            Link::Nothing => Wired::NoDevice,
            Link::Id(id) => self.network_of(id, None),
            Link::Place(place) => self.at(*place),
            Link::Hub(hub) => self.on_hub(*hub),
        }
    }

    fn at(&self, place: usize) -> Wired<'a> {
        self.line.networks.get(place).map_or(Wired::Unknown, |network| self.through(network))
    }

    fn through(&self, network: &'a Network) -> Wired<'a> {
        match &network.backend {
            Backend::HubPort { hub, .. } => self.on_hub(*hub),
            _ => self.device(network),
        }
    }

    /// Returns the device on a hub that no other NIC has.
    fn on_hub(&self, hub: u32) -> Wired<'a> {
        let networks = &self.line.networks;
        let is_connected = |network: &Network| {
            let is_port = |port: &Network| {
                matches!(&port.backend, Backend::HubPort { hub: of, netdev: Some(netdev) }
                    if *of == hub && network.id.as_ref() == Some(netdev))
            };
            network.hub == Some(hub) || networks.iter().any(is_port)
        };
        let on_hub = networks.iter().filter(|network| is_connected(network));
        let wired: Vec<Wired<'_>> = on_hub.map(|network| self.device(network)).collect();
        let is_free =
            |wired: &&Wired<'_>| matches!(wired, Wired::Device(name) if !self.taken.contains(name));
        let free = wired.iter().find(is_free);
        let unknown = wired.iter().find(|wired| **wired == Wired::Unknown);
        free.or(unknown).copied().unwrap_or(Wired::NoDevice)
    }

    fn add(&mut self, place: GuestNic<'a>, wired: Wired<'a>) {
        let (device, is_certain) = match wired {
            Wired::Device(name) if self.taken.insert(name) => (Some(name), true),
            Wired::NoDevice => (None, true),
            _ => {
                self.unknown.push(self.places.len());
                (None, false)
            }
        };
        self.places.push(GuestNic { device, is_certain, ..place });
    }

    /// Assigns the remaining devices to the NICs of unknown networks. With `are_nics`, each of
    /// these devices has a NIC, known or not.
    fn share_out(&mut self, are_nics: bool) {
        let mut left: Vec<&str> = Vec::new();
        for tap in self.taps.unwrap_or_default() {
            // A multiqueue tap has several descriptors.
            let name = tap.name.as_str();
            if !self.claimed.contains(name) && !self.taken.contains(name) && !left.contains(&name) {
                left.push(name);
            }
        }
        // With more devices than NICs, nothing says which of them it is.
        if left.len() > self.unknown.len() && !are_nics {
            return;
        }
        let is_certain = left.len() == 1 && self.unknown.len() == 1;
        let mut left = left.into_iter();
        for (place, name) in self.unknown.iter().zip(left.by_ref()) {
            self.places[*place] =
                GuestNic { device: Some(name), is_certain, ..self.places[*place] };
        }
        let plugged = left.map(|name| GuestNic {
            told: None,
            name: None,
            device: Some(name),
            is_certain: false,
        });
        self.places.extend(plugged);
    }
}

/// Returns the hub of a port that QEMU named itself: `hub0port1`.
fn hub_of(id: &str) -> Option<u32> {
    id.strip_prefix("hub")?.split_once("port")?.0.parse().ok()
}

/// Returns the index of a `-nic` network that QEMU named itself: 1 of `#net167`, which ends in two
/// random digits.
fn unnamed_of(id: &str) -> Option<usize> {
    let number: usize = id.strip_prefix("#net")?.parse().ok()?;
    Some(number / 100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        driver::qemu::groups::interface::interfaces,
        host::procfs::{NetCounters, NetDevice, NetDevices},
    };

    fn tap(fd: u32, name: &str) -> Tap {
        Tap { fd, name: name.to_owned(), is_macvtap: false }
    }

    fn line(text: &str) -> CommandLine {
        let arguments: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        CommandLine::parse(&arguments, &|name| Err(format!("no file {name}")))
    }

    fn told(line: &CommandLine, nics: &[(&str, &str)]) -> NicSnapshot {
        let device =
            |(path, network): &(&str, &str)| Device::new(path, network, "child<e1000>").unwrap();
        NicSnapshot::new(line, nics.iter().map(device).collect())
    }

    /// The devices, according to the monitor and according to the command line alone.
    fn found<'a>(
        line: &'a CommandLine,
        told: Option<&'a NicSnapshot>,
        taps: Option<&'a [Tap]>,
    ) -> Vec<Option<&'a str>> {
        guest_nics(line, told, taps).all.iter().map(|place| place.device).collect()
    }

    const THREE: &str = "qemu -netdev tap,id=0,ifname=tap1 -device e1000,netdev=0,id=a \
        -netdev user,id=1 -device e1000,netdev=1,id=b -netdev tap,id=2,fds=31:32 \
        -device e1000,netdev=2,id=c -netdev user,id=unused";

    #[test]
    fn the_command_line_gives_the_order() {
        let line = line(THREE);
        let taps = [tap(31, "tap0"), tap(32, "tap0"), tap(40, "tap1")];
        let told = told(
            &line,
            &[
                ("/machine/peripheral/new", ""),
                ("/machine/peripheral/c", "2"),
                ("/machine/peripheral/b", "1"),
                ("/machine/peripheral/a", "0"),
            ],
        );
        let all = [Some("tap1"), None, Some("tap0")];
        assert_eq!(found(&line, None, Some(&taps)), all);
        assert_eq!(found(&line, Some(&told), Some(&taps)), [all[0], all[1], all[2], None]);
        // Without the right to look, only what the command line names is known.
        assert_eq!(found(&line, None, None), [all[0], None, None]);
    }

    #[test]
    fn unplugged_and_plugged_in() {
        let line =
            line("qemu -netdev tap,id=0,ifname=old -device e1000,netdev=0 -netdev tap,id=1,fd=31");
        let none = told(&line, &[]);
        assert_eq!(found(&line, None, Some(&[])), []);
        let new = [tap(50, "new"), tap(51, "new")];
        assert_eq!(found(&line, None, Some(&new)), [Some("new")]);
        // The monitor reports no NIC that has it.
        assert_eq!(found(&line, Some(&none), Some(&new)), []);
        let one = told(&line, &[("/machine/peripheral/new", "net9")]);
        assert_eq!(found(&line, Some(&one), Some(&new)), [Some("new")]);
        let two = [tap(50, "new"), tap(51, "other")];
        let nics = guest_nics(&line, Some(&one), Some(&two));
        assert_eq!((nics.all[0].device, nics.all[0].is_certain), (None, false));
        assert!(nics.uncounted().unwrap().ends_with("NIC new"));
    }

    #[test]
    fn nics_on_a_hub_get_its_tap() {
        let taps = [tap(9, "tap0")];
        let old = line("qemu -net nic -net user -net tap,ifname=tap0");
        assert_eq!(found(&old, None, Some(&taps)), [Some("tap0")]);
        let nic = told(&old, &[("/machine/unattached/device[7]", "hub0port0")]);
        assert_eq!(found(&old, Some(&nic), Some(&taps)), [Some("tap0")]);
        let ports = line(
            "qemu -netdev tap,id=t,ifname=tap0 -netdev hubport,id=p,hubid=3,netdev=t \
             -netdev hubport,id=q,hubid=3 -device e1000,netdev=q,id=n",
        );
        let nic = told(&ports, &[("/machine/peripheral/n", "q")]);
        assert_eq!(found(&ports, Some(&nic), Some(&taps)), [Some("tap0")]);
        assert_eq!(found(&ports, None, Some(&taps)), [Some("tap0")]);
    }

    #[test]
    fn nics_of_boards_get_their_networks() {
        let line = line("qemu -nic user -nic tap,ifname=tap0");
        let taps = [tap(9, "tap0")];
        let nics = told(
            &line,
            &[
                ("/machine/unattached/device[10]", "#net142"),
                ("/machine/unattached/device[9]", "#net071"),
            ],
        );
        assert_eq!(found(&line, Some(&nics), Some(&taps)), [None, Some("tap0")]);
        assert_eq!(found(&line, None, Some(&taps)), [None, Some("tap0")]);
    }

    #[test]
    fn a_nic_that_the_machine_may_have_is_not_counted_without_a_monitor() {
        let default = line("qemu -m 32");
        assert!(!guest_nics(&default, None, Some(&[])).is_all);
        assert!(guest_nics(&line("qemu -m 32 -nodefaults"), None, Some(&[])).is_all);
        assert!(guest_nics(&default, Some(&told(&default, &[])), Some(&[])).is_all);
    }

    #[test]
    fn the_guest_receives_what_the_host_transmits() {
        let counters = |bytes| NetCounters { bytes, packets: 0, errors: 0, drops: 0 };
        let device = NetDevice { received: counters(1), transmitted: counters(2) };
        let devices = NetDevices::from([("tap0".to_owned(), device)]);
        let one = |line: &CommandLine, taps: Option<&[Tap]>| {
            let found = interfaces(&guest_nics(line, None, taps), taps, Some(&devices));
            (found.interfaces[0].rx_bytes, found.interfaces[0].tx_bytes)
        };
        let named = line("qemu -netdev tap,id=a,ifname=tap0 -device e1000,netdev=a");
        assert_eq!(one(&named, None), (Some(2), Some(1)));
        let macvtap = Tap { is_macvtap: true, ..tap(31, "tap0") };
        let handed = line("qemu -netdev tap,id=a,fd=31 -device e1000,netdev=a");
        assert_eq!(one(&handed, Some(&[macvtap])), (Some(1), Some(2)));
        let unknown = line("qemu -netdev tap,id=a,ifname=tap1 -device e1000,netdev=a");
        assert_eq!(one(&unknown, None), (None, None), "not read is absent");
    }
}
