//! What the NICs of a guest are: how many, their networks, MAC addresses and models, as its monitor
//! tells them now.
//!
//! The command line would not do. NICs are plugged in and out, also for another one on the same
//! network, the machine brings some, and QEMU chooses an address itself where none was given.

use std::{
    slice,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use super::{
    Qemu,
    command_line::CommandLine,
    guest::Guest,
    interfaces::places,
    pass::{self, Conversation, Rules},
    query::{Answer, ObjectPath, Query, Replies},
    select, stopped,
    taps::Tap,
};
use crate::{
    domain::Nic,
    error::{self, ErrorOrigin},
    identity::DomainInfo,
    report::{Missing, MissingReason, StatsReport},
    request::{DomainFilter, StatsGroups},
};

/// How long it is believed what the NICs are, as long as nothing says otherwise.
const LONGEST: Duration = Duration::from_secs(60);

/// Where devices are: the parts of a board, what `-nic` and the machine brought, those with an id, those
/// without. What is plugged in later is never in the first two.
const FOLDERS: [&str; 4] =
    [MACHINE, "/machine/unattached", "/machine/peripheral", "/machine/peripheral-anon"];

const MACHINE: &str = "/machine";

/// More folders than this are not looked at.
const MOST: usize = 32;

/// Parts of a machine that no device is below; a board may have a hundred of them.
const LEAVES: [&str; 9] = [
    "clock",
    "irq",
    "led",
    "memory-region",
    "or-irq",
    "qemu:memory-region",
    "split-irq",
    "unimplemented-device",
    "virtio-mmio",
];

/// How parts begin that hold a NIC wherever they are: the DMA controllers of Sun's boards.
const HOLDERS: &str = "sparc32-";

/// The types of NICs, which have nothing in common by which QEMU would tell them.
const TYPES: [&str; 52] = [
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
    // Those of boards.
    "allwinner-emac",
    "allwinner-sun8i-emac",
    "cadence_gem",
    "dp8393x",
    "eTSEC",
    "etraxfs-eth",
    "ftgmac100",
    "imx.enet",
    "imx.fec",
    "isa-pcnet",
    "lan9118",
    "lance",
    "lasi_82596",
    "mcf-fec",
    "mipsnet",
    "msf2-emac",
    "mv88w8618_eth",
    "npcm-gmac",
    "npcm7xx-emc",
    "open_eth",
    "pxa2xx-eth",
    "smc91c111",
    "stellaris_enet",
    "sysbus-pcnet",
    "xgmac",
    "xlnx.axi-ethernet",
    "xlnx.xps-ethernetlite",
];

/// How those of several buses or chips begin.
const FAMILIES: [&str; 2] = ["e1000", "virtio-net-"];

/// A NIC, as QEMU tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Device {
    /// Its place in QEMU's object tree.
    path: ObjectPath,
    /// The id of its network; empty if it has none.
    network: String,
    /// Empty if it was not asked for.
    mac: String,
    model: String,
}

impl Device {
    #[cfg(test)]
    pub(crate) fn new(path: &str, network: &str, kind: &str) -> Option<Self> {
        let model = model(self::kind(kind)?)?;
        Some(Self { path: path.to_owned(), network: network.to_owned(), mac: String::new(), model })
    }

    pub(crate) fn network(&self) -> &str {
        &self.network
    }

    /// Returns its id, if it was given one.
    pub(crate) fn id(&self) -> Option<&str> {
        self.path.strip_prefix("/machine/peripheral/")
    }

    /// Returns whether the machine brought it, and not `-device`.
    fn is_boards(&self) -> bool {
        !self.path.starts_with("/machine/peripheral")
    }

    /// Returns its number, if it has no id: 2 of `device[2]`.
    fn number(&self) -> u32 {
        let digits: String = self.path.chars().filter(char::is_ascii_digit).collect();
        digits.parse().unwrap_or(u32::MAX)
    }
}

/// The NICs that a monitor told of.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) at: Instant,
    /// In the order of the command line, each with its place there, then those that were plugged in.
    pub(crate) nics: Vec<(Device, Option<usize>)>,
    /// The taps that the process held then.
    pub(crate) taps: Option<Arc<[Tap]>>,
}

impl Told {
    /// Puts NICs in order: QEMU tells them in none.
    pub(crate) fn new(line: &CommandLine, mut devices: Vec<Device>) -> Self {
        devices.sort_by(|one, other| {
            let key = |device: &Device| (device.id().is_some(), device.number());
            key(one).cmp(&key(other)).then_with(|| one.path.cmp(&other.path))
        });
        let is_known = devices.iter().filter(|device| device.is_boards()).count()
            == line.nics.iter().filter(|nic| nic.is_boards).count();
        let mut left = devices;
        let mut nics = Vec::new();
        for (place, option) in line.nics.iter().enumerate() {
            // Those without an id are told apart by their order.
            let is_it = |device: &Device| match option.id.as_deref() {
                Some(id) => device.id() == Some(id),
                None if option.is_boards => device.is_boards() && is_known,
                None => device.id().is_none() && !device.is_boards(),
            };
            if let Some(found) = left.iter().position(is_it) {
                nics.push((left.remove(found), Some(place)));
            }
        }
        let (boards, plugged): (Vec<_>, Vec<_>) = left.into_iter().partition(Device::is_boards);
        let without_place = |device| (device, None);
        let boards = boards.into_iter().map(without_place);
        let nics = boards.chain(nics).chain(plugged.into_iter().map(without_place)).collect();
        Self { at: Instant::now(), nics, taps: None }
    }

    /// Returns whether it is to be believed, by its age.
    pub(crate) fn is_fresh(&self) -> bool {
        self.at.elapsed() < LONGEST
    }
}

/// The search for the NICs of a guest, question by question.
#[derive(Debug)]
pub(crate) struct Search {
    wants_addresses: bool,
    /// The folders that were not looked at, the next one last.
    left: Vec<ObjectPath>,
    /// How many folders were looked at, or will be.
    folders: usize,
    /// Devices that are NICs, of which nothing more is known.
    waiting: Vec<(ObjectPath, String)>,
    asked: Asked,
    found: Vec<Device>,
    is_new: bool,
}

#[derive(Debug)]
enum Asked {
    Nothing,
    Folder(ObjectPath),
    Nic(ObjectPath, String),
}

impl Search {
    /// Begins. What the machine brought need not be looked at if it brought none.
    pub(crate) fn new(line: &CommandLine, wants_addresses: bool) -> Self {
        let brings_some = line.may_bring_nics() || line.nics.iter().any(|nic| nic.is_boards);
        let first = match (line.is_board, brings_some) {
            (true, _) => 0,
            (false, true) => 1,
            (false, false) => 2,
        };
        let left: Vec<ObjectPath> =
            FOLDERS[first..].iter().rev().map(|folder| (*folder).to_owned()).collect();
        Self {
            wants_addresses,
            folders: left.len(),
            left,
            waiting: Vec::new(),
            asked: Asked::Nothing,
            found: Vec::new(),
            is_new: true,
        }
    }

    /// Begins again on another connection.
    pub(crate) fn again(self, line: &CommandLine) -> Self {
        Self::new(line, self.wants_addresses)
    }

    /// Returns whether nothing was asked yet.
    pub(crate) fn is_new(&self) -> bool {
        self.is_new
    }

    /// Takes the answers and returns the next questions, none at the end, or why there is no answer.
    pub(crate) fn go_on(&mut self, replies: &mut Replies) -> Result<Vec<Query>, Missing> {
        self.is_new = false;
        match std::mem::replace(&mut self.asked, Asked::Nothing) {
            Asked::Nothing => {}
            Asked::Folder(folder) => {
                for device in taken(&mut replies.devices)?.iter().flat_map(|it| it.iter()) {
                    let Some(kind) = kind(&device.kind) else { continue };
                    let path = format!("{folder}/{}", device.name);
                    if let Some(model) = model(kind) {
                        self.waiting.push((path, model));
                    } else if self.folders < MOST
                        && may_hold_nics(&folder, kind)
                        && !FOLDERS.contains(&path.as_str())
                    {
                        self.folders += 1;
                        self.left.push(path);
                    }
                }
            }
            Asked::Nic(path, model) => {
                let network = taken(&mut replies.nic_network)?;
                let mac = taken(&mut replies.nic_address)?;
                // Unless it was unplugged meanwhile.
                if let Some(network) = network {
                    let mac = mac.as_deref().cloned().unwrap_or_default();
                    self.found.push(Device { path, network: String::clone(&network), mac, model });
                }
            }
        }
        if let Some((path, model)) = self.waiting.pop() {
            let mut queries = vec![Query::NicNetwork(path.clone())];
            if self.wants_addresses {
                queries.push(Query::NicAddress(path.clone()));
            }
            self.asked = Asked::Nic(path, model);
            return Ok(queries);
        }
        let Some(folder) = self.left.pop() else { return Ok(Vec::new()) };
        self.asked = Asked::Folder(folder.clone());
        Ok(vec![Query::Devices(folder)])
    }

    /// Ends, and returns what was found.
    pub(crate) fn end(self, line: &CommandLine) -> Told {
        Told::new(line, self.found)
    }
}

/// Takes an answer; `None` if what was asked for is not there.
fn taken<T>(answer: &mut Answer<T>) -> Result<Option<Arc<T>>, Missing> {
    match std::mem::take(answer) {
        Answer::Got(answer) => Ok(Some(answer)),
        Answer::Missing(missing) if missing.reason != MissingReason::Unsupported => Err(missing),
        Answer::Missing(_) | Answer::NotAsked => Ok(None),
    }
}

/// Returns whether a driver of `-device` is one of a NIC.
pub(crate) fn is_nic(driver: &str) -> bool {
    TYPES.contains(&driver) || FAMILIES.iter().any(|start| driver.starts_with(start))
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
        let told = self
            .ask_for_nics(guest, deadline)
            .map_err(|missing| missing.error(ErrorOrigin::Qemu))?;
        Ok(certain(&guest.line, &told, hosts[0].taps.as_deref()))
    }

    fn ask_for_nics(&self, guest: &Guest, deadline: Instant) -> Result<Told, Missing> {
        let rules = Rules { deadline, nowait: false, hold: self.hold };
        let mut conversation = [Conversation::new(guest, Vec::new(), None).find_nics(true)];
        pass::converse(&mut conversation, &rules, &self.discovery.proc, || {});
        let [conversation] = conversation;
        let unasked = || Missing::new(MissingReason::Failed, "the monitor was not asked");
        conversation.nics.unwrap_or_else(|| Err(conversation.missing.unwrap_or_else(unasked)))
    }
}

/// Returns the NICs that have a device of the host for certain.
fn certain(line: &CommandLine, told: &Told, taps: Option<&[Tap]>) -> Vec<Nic> {
    let places = places(line, Some(told), taps);
    let nics = places.all.iter().filter(|place| place.is_certain).filter_map(|place| {
        let (device, told) = (place.device?.into(), place.told?);
        Some(Nic { device, mac: told.mac.as_str().into(), model: told.model.as_str().into() })
    });
    nics.collect()
}

/// Returns the type of a device: `e1000` of `child<e1000>`; `None` for what is no device.
fn kind(text: &str) -> Option<&str> {
    text.strip_prefix("child<")?.strip_suffix('>')
}

/// Returns whether NICs may be below a part of a machine, itself no NIC: a chip that holds them, such as
/// `/machine/soc`, is in the machine itself.
fn may_hold_nics(folder: &str, kind: &str) -> bool {
    (folder == MACHINE && !LEAVES.contains(&kind)) || kind.starts_with(HOLDERS)
}

/// Returns the model of a NIC in libvirt's words, by its type.
fn model(kind: &str) -> Option<String> {
    if !is_nic(kind) {
        return None;
    }
    Some(match kind.strip_prefix("virtio-net-") {
        Some(bus) if bus.ends_with("-non-transitional") => "virtio-non-transitional".to_owned(),
        Some(bus) if bus.ends_with("-transitional") => "virtio-transitional".to_owned(),
        Some(_) => "virtio".to_owned(),
        None => kind.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_in_libvirts_words() {
        for (text, expected) in [
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
            assert_eq!(kind(text).and_then(model).as_deref(), expected, "{text}");
        }
    }

    /// The NICs that a search finds in this tree of folders, each with its parts and their types, and
    /// the folders that it looks at.
    fn search(line: &str, tree: &[(&str, &[(&str, &str)])]) -> (Vec<String>, Vec<String>) {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let line = CommandLine::parse(&words, &|name| Err(format!("no file {name}")));
        let mut search = Search::new(&line, false);
        let mut replies = Replies::default();
        let mut folders = Vec::new();
        loop {
            let queries = search.go_on(&mut replies).unwrap();
            let Some(query) = queries.first() else { break };
            replies = Replies::default();
            match query {
                Query::Devices(folder) => {
                    let parts =
                        tree.iter().find(|(name, _)| name == folder).map_or(&[][..], |it| it.1);
                    let part = |(name, kind): &(&str, &str)| serde_json::json!({ "name": name, "type": format!("child<{kind}>") });
                    let json = serde_json::Value::from_iter(parts.iter().map(part));
                    replies.note(query, Ok(&json.to_string()));
                    folders.push(folder.clone());
                }
                _ => replies.note(query, Ok("\"\"")),
            }
        }
        let nics = search.end(&line).nics.into_iter().map(|(device, _)| device.path);
        (nics.collect(), folders)
    }

    #[test]
    fn a_board_has_nics_in_its_parts() {
        let tree: &[(&str, &[(&str, &str)])] = &[
            (
                "/machine",
                &[
                    ("unattached", "container"),
                    ("peripheral", "container"),
                    ("splitter[0]", "split-irq"),
                    ("dp8393x", "dp8393x"),
                    ("bmc", "ast2600-a3"),
                ],
            ),
            ("/machine/unattached", &[("device[3]", "sparc32-dma"), ("device[4]", "hub")]),
            ("/machine/unattached/device[3]", &[("ledma", "sparc32-ledma-device")]),
            ("/machine/unattached/device[3]/ledma", &[("lance", "lance")]),
            ("/machine/bmc", &[("ftgmac100[0]", "ftgmac100"), ("uart", "serial")]),
            ("/machine/peripheral", &[("usb", "usb-net")]),
        ];
        let all = [
            "/machine/bmc/ftgmac100[0]",
            "/machine/unattached/device[3]/ledma/lance",
            "/machine/dp8393x",
            "/machine/peripheral/usb",
        ];
        let (mut nics, folders) = search("qemu-system-sparc -M SS-5 -nodefaults", tree);
        assert_eq!(folders.len(), 7, "{folders:?}");
        nics.sort();
        let mut sorted = all.map(str::to_owned);
        sorted.sort();
        assert_eq!(nics, sorted);
        // The usual machine of this program is a board too, that of others is none.
        assert_eq!(search("qemu-system-sparc -nodefaults", tree).0.len(), 4);
        for line in [
            "qemu-system-x86_64 -nodefaults",
            "qemu-system-x86_64 -M pc-q35-9.0 -nodefaults",
            "qemu-system-aarch64 -M virt-11.0 -nodefaults",
            "qemu-system-s390x -M s390-ccw-virtio -nodefaults",
        ] {
            let (nics, folders) = search(line, tree);
            assert_eq!(nics, ["/machine/peripheral/usb"], "{line}");
            assert_eq!(folders, ["/machine/peripheral", "/machine/peripheral-anon"], "{line}");
        }
    }

    #[test]
    fn of_a_board_so_many_folders_are_looked_at() {
        let names: Vec<String> = (0..1_000).map(|number| format!("part{number}")).collect();
        let parts: Vec<_> = names.iter().map(|name| (name.as_str(), "part")).collect();
        let tree: &[(&str, &[(&str, &str)])] =
            &[("/machine", &parts), ("/machine/peripheral", &[("usb", "usb-net")])];
        let (nics, folders) = search("qemu-system-arm -M board", tree);
        assert_eq!(folders.len(), MOST);
        assert_eq!(nics, ["/machine/peripheral/usb"]);
    }
}
