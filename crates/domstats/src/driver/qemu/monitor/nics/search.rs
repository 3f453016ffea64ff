//! The search for a guest's NICs: folder by folder of QEMU's object tree, then NIC by NIC.

use std::sync::Arc;

use crate::{
    driver::qemu::{
        discovery::{
            command_line::CommandLine,
            nic_models::{NICS, kind, model},
        },
        monitor::{
            nics::{Device, NicSnapshot},
            query::{Answer, ObjectPath, Query, Replies},
        },
    },
    model::report::{Missing, MissingReason},
};

/// Where devices are: a board's parts, the devices that `-nic` and the machine created, those with
/// an id, those without. The first two never contain what is plugged in later.
const FOLDERS: [&str; 4] =
    [MACHINE, "/machine/unattached", "/machine/peripheral", "/machine/peripheral-anon"];

const MACHINE: &str = "/machine";

/// The most folders that are searched.
const MOST: usize = 32;

/// Machine parts that have no devices below them; a board may have a hundred of them.
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

/// The prefix of parts that hold a NIC wherever they are: the DMA controllers of Sun's boards.
const HOLDERS: &str = "sparc32-";

/// The search for a guest's NICs, query by query.
#[derive(Debug)]
pub(crate) struct Search {
    wants_addresses: bool,
    /// The folders not searched yet, the next one last.
    left: Vec<ObjectPath>,
    /// How many folders were or will be searched.
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
    /// Starts a search. Skips the folders of the machine's own devices if they contain no NIC.
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

    /// Restarts on another session.
    pub(crate) fn again(self, line: &CommandLine) -> Self {
        Self::new(line, self.wants_addresses)
    }

    /// Returns whether nothing was queried yet.
    pub(crate) fn is_new(&self) -> bool {
        self.is_new
    }

    /// Takes the replies and returns the next queries, none at the end, or why there is no result.
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
                if self.waiting.len() + self.found.len() > NICS {
                    let text = format!("the guest has more than {NICS} NICs, too many to read");
                    return Err(Missing::new(MissingReason::Failed, text));
                }
            }
            Asked::Nic(path, model) => {
                let network = taken(&mut replies.nic_network)?;
                let mac = taken(&mut replies.nic_address)?;
                // Skips a NIC that was unplugged meanwhile.
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
    pub(crate) fn end(self, line: &CommandLine) -> NicSnapshot {
        NicSnapshot::new(line, self.found)
    }
}

/// Takes a reply; `None` if the object does not exist.
fn taken<T>(answer: &mut Answer<T>) -> Result<Option<Arc<T>>, Missing> {
    match std::mem::take(answer) {
        Answer::Got(answer) => Ok(Some(answer)),
        Answer::Missing(missing) if missing.reason != MissingReason::Unsupported => Err(missing),
        Answer::Missing(_) | Answer::NotAsked => Ok(None),
    }
}

/// Returns whether NICs may be below a machine part that is no NIC: chips that hold them, such as
/// `/machine/soc`, are directly in the machine.
fn may_hold_nics(folder: &str, kind: &str) -> bool {
    (folder == MACHINE && !LEAVES.contains(&kind)) || kind.starts_with(HOLDERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The NICs that a search finds in this tree of folders, each with its parts and their types,
    /// and the folders that it searches.
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
    fn finds_nics_in_the_parts_of_a_board() {
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
        // This program's default machine is a board too; those of others are not.
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
    fn limits_the_folders_searched_on_a_board() {
        let names: Vec<String> = (0..1_000).map(|number| format!("part{number}")).collect();
        let parts: Vec<_> = names.iter().map(|name| (name.as_str(), "part")).collect();
        let tree: &[(&str, &[(&str, &str)])] =
            &[("/machine", &parts), ("/machine/peripheral", &[("usb", "usb-net")])];
        let (nics, folders) = search("qemu-system-arm -M board", tree);
        assert_eq!(folders.len(), MOST);
        assert_eq!(nics, ["/machine/peripheral/usb"]);
    }
}
