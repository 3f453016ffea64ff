//! What the NICs of a guest are: their MAC addresses and models, as its monitor tells them now.
//!
//! The command line would not do. NICs are plugged in and out, also for another one on the same
//! network, and QEMU chooses an address itself where none was given.
//!
//! A NIC names its network, and the command line says which device of the host that has. Of what was
//! plugged in later, or named by QEMU, nobody says so: if just one device and just one NIC are left
//! over, they belong together.

use std::{
    slice,
    time::{Instant, SystemTime},
};

use super::{
    Qemu,
    guest::Guest,
    interfaces::{Place, places},
    pass::{self, Conversation, Rules},
    query::{Answer, Query, Replies},
    select, stopped,
};
use crate::{
    domain::{DomainInfo, Nic},
    error::{self, ErrorOrigin},
    report::{Missing, MissingReason, StatsReport},
    request::{DomainFilter, StatsGroups},
};

/// Where devices are: those with an id, those without, and what `-nic` and the machine brought.
const FOLDERS: [&str; 3] =
    ["/machine/peripheral", "/machine/peripheral-anon", "/machine/unattached"];

/// The types of NICs, which have nothing in common by which QEMU would tell them.
const TYPES: [&str; 25] = [
    "i82550",
    "i82551",
    "i82557a",
    "i82557b",
    "i82557c",
    "i82558a",
    "i82558b",
    "i82559a",
    "i82559b",
    "i82559c",
    "i82559er",
    "i82562",
    "i82801",
    "igb",
    "ne2k_isa",
    "ne2k_pci",
    "pcnet",
    "rtl8139",
    "spapr-vlan",
    "sungem",
    "sunhme",
    "tulip",
    "usb-net",
    "vmxnet3",
    "xen-net-device",
];

/// How those of several buses or chips begin.
const FAMILIES: [&str; 2] = ["e1000", "virtio-net-"];

/// A NIC, as QEMU tells it.
#[derive(Debug)]
struct Device {
    /// The id of its network; empty if it has none.
    network: String,
    mac: String,
    model: String,
}

impl Qemu {
    /// Returns the NICs of a guest that have a device of the host for certain.
    pub(super) fn nics_of(
        &self,
        domain: &DomainInfo,
        deadline: Instant,
    ) -> error::Result<Vec<Nic>> {
        let proc = &self.discovery.proc;
        let found = self.discovery.find(deadline)?;
        let mut report = StatsReport::new(SystemTime::now());
        let all = DomainFilter::empty();
        let (found, _) = select(found, Some(slice::from_ref(domain)), all, &mut report);
        let (guests, mut hosts) = self.host.before(proc, found, StatsGroups::INTERFACE);
        let Some(guest) = guests.first() else {
            let gone = || Missing::new(MissingReason::Gone, "no such QEMU process is running");
            let missing = report.missing.pop().map_or_else(gone, |missing| missing.missing);
            return Err(missing.error(ErrorOrigin::Qemu));
        };
        self.host.meanwhile(proc, &guests, &mut hosts, StatsGroups::INTERFACE, deadline);
        if let Some(missing) = stopped(&hosts[0]) {
            return Err(missing.error(ErrorOrigin::Qemu));
        }
        let devices = self
            .ask_for_nics(guest, deadline)
            .map_err(|missing| missing.error(ErrorOrigin::Qemu))?;
        Ok(join(&places(&guest.line.networks, hosts[0].taps.as_deref()), devices))
    }

    fn ask_for_nics(&self, guest: &Guest, deadline: Instant) -> Result<Vec<Device>, Missing> {
        // One connection for all questions.
        let rules = Rules { deadline, nowait: false, hold: true };
        let devices = devices(|queries| {
            let mut conversation = [Conversation::new(guest, queries, None)];
            pass::converse(&mut conversation, &rules, &self.discovery.proc, || {});
            let [conversation] = conversation;
            conversation.missing.map_or(Ok(conversation.replies), Err)
        });
        if !self.hold {
            guest.hang_up();
        }
        devices
    }
}

/// Asks for all NICs, with or without a device of the host.
fn devices(
    mut ask: impl FnMut(Vec<Query>) -> Result<Replies, Missing>,
) -> Result<Vec<Device>, Missing> {
    let mut found = Vec::new();
    for folder in FOLDERS {
        let replies = ask(vec![Query::Devices(folder.to_owned())])?;
        for device in answer(&replies.devices)? {
            let Some(model) = model(&device.kind) else { continue };
            let path = format!("{folder}/{}", device.name);
            let replies = ask(vec![Query::NicNetwork(path.clone()), Query::NicAddress(path)])?;
            let network = answer(&replies.nic_network)?.clone();
            found.push(Device { network, mac: answer(&replies.nic_address)?.clone(), model });
        }
    }
    Ok(found)
}

fn answer<T>(answer: &Answer<T>) -> Result<&T, Missing> {
    let unasked = || Missing::new(MissingReason::Failed, "the monitor was not asked");
    answer.got().ok_or_else(|| answer.missing().cloned().unwrap_or_else(unasked))
}

/// Returns the model of a NIC in libvirt's words, by the type of its device: `child<e1000>`.
fn model(kind: &str) -> Option<String> {
    let kind = kind.strip_prefix("child<")?.strip_suffix('>')?;
    if !TYPES.contains(&kind) && !FAMILIES.iter().any(|start| kind.starts_with(start)) {
        return None;
    }
    Some(match kind.strip_prefix("virtio-net-") {
        Some(bus) if bus.ends_with("-non-transitional") => "virtio-non-transitional".to_owned(),
        Some(bus) if bus.ends_with("-transitional") => "virtio-transitional".to_owned(),
        Some(_) => "virtio".to_owned(),
        None => kind.to_owned(),
    })
}

/// Gives each device of the host its NIC, where that is certain.
fn join(places: &[Place<'_>], devices: Vec<Device>) -> Vec<Nic> {
    let nic = |place: &Place<'_>, device: Device| {
        let name = place.device?.to_owned();
        Some(Nic { device: name, mac: device.mac, model: device.model })
    };
    let connected = devices.into_iter().filter(|device| !device.network.is_empty());
    let mut left = Vec::new();
    let mut nics = Vec::new();
    for device in connected {
        match places.iter().find(|place| place.network == Some(&device.network)) {
            Some(place) => nics.extend(nic(place, device)),
            None => left.push(device),
        }
    }
    let mut unknown = places.iter().filter(|place| place.network.is_none());
    if let (Some(place), None, [_]) = (unknown.next(), unknown.next(), &left[..]) {
        nics.extend(left.pop().and_then(|device| nic(place, device)));
    }
    nics
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place<'a>(device: &'a str, network: &'a str) -> Place<'a> {
        let known = |text: &'a str| Some(text).filter(|text| !text.is_empty());
        Place { device: known(device), network: known(network) }
    }

    fn joined(places: &[Place<'_>], networks: &[&str]) -> Vec<(String, String)> {
        let device = |network: &&str| Device {
            network: (*network).to_owned(),
            mac: format!("of {network}"),
            model: "virtio".to_owned(),
        };
        let nics = join(places, networks.iter().map(device).collect());
        nics.into_iter().map(|nic| (nic.device, nic.mac)).collect()
    }

    fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
        pairs.map(|(device, mac)| (device.to_owned(), mac.to_owned())).to_vec()
    }

    #[test]
    fn a_nic_is_found_by_its_network() {
        let places = [place("tap1", "b"), place("", "user"), place("tap0", "a")];
        assert_eq!(
            joined(&places, &["a", "", "user", "b"]),
            pairs([("tap0", "of a"), ("tap1", "of b")])
        );
        // Its NIC was unplugged; that which was plugged in has no device that is left over.
        assert_eq!(joined(&places, &["user", "b", "new"]), pairs([("tap1", "of b")]));
    }

    #[test]
    fn what_is_left_over_belongs_together_if_it_is_one_of_each() {
        let places = [place("tap0", "a"), place("tap1", "")];
        assert_eq!(joined(&places, &["new", "a"]), pairs([("tap0", "of a"), ("tap1", "of new")]));
        assert_eq!(joined(&places, &["new", "other", "a"]), pairs([("tap0", "of a")]));
        let two = [place("tap0", ""), place("tap1", "")];
        assert_eq!(joined(&two, &["new"]), []);
        // A network without an id and without a device of the host may be the one.
        assert_eq!(joined(&[place("tap0", ""), place("", "")], &["new"]), []);
    }

    #[test]
    fn models_are_in_libvirts_words() {
        for (kind, expected) in [
            ("child<virtio-net-pci>", Some("virtio")),
            ("child<virtio-net-ccw>", Some("virtio")),
            ("child<virtio-net-pci-transitional>", Some("virtio-transitional")),
            ("child<virtio-net-pci-non-transitional>", Some("virtio-non-transitional")),
            ("child<e1000e>", Some("e1000e")),
            ("child<virtio-blk-pci>", None),
            ("child<i8257>", None),
            ("child<i82801b11-bridge>", None),
            ("string", None),
        ] {
            assert_eq!(model(kind).as_deref(), expected, "{kind}");
        }
    }
}
