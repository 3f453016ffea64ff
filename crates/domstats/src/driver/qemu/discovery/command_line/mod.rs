//! Parses a QEMU's command line: its identity, monitors, memory, vCPUs and networks.

use std::path::PathBuf;

use uuid::Uuid;

use crate::{
    driver::qemu::discovery::{
        config_file::ConfigFile,
        monitor_option::MonitorOption,
        nic_models::{NICS, is_nic},
        options::{OptionGroups, Options, size},
        socket::MonitorSocket,
    },
    model::name::{Name, shortened},
};

/// The parts of a QEMU command line that the driver uses.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct CommandLine {
    pub(crate) name: Option<Name>,
    pub(crate) uuid: Option<Uuid>,
    /// The QMP monitors, in order, as far as they are known.
    pub(crate) monitors: Vec<MonitorOption>,
    /// The initial memory, in KiB.
    pub(crate) memory_kib: Option<u64>,
    /// Whether memory can be plugged in later.
    pub(crate) memory_hotplug: bool,
    /// The maximum number of vCPUs.
    pub(crate) maximum_vcpus: Option<u32>,
    /// The networks that NICs can be connected to.
    pub(crate) networks: Vec<Network>,
    /// The NICs, in order.
    pub(crate) nics: Vec<NicOption>,
    /// Whether no option mentions networks, so that the machine may have a default NIC.
    pub(super) has_default_nic: bool,
    /// Whether the machine is a board, which has its NICs regardless of the options.
    pub(crate) is_board: bool,
    /// The balloon device's id; `Some(None)` for a device without an id.
    pub(crate) balloon: Option<Option<String>>,
    /// The folder where QEMU was started, according to its environment.
    pub(super) started_in: Option<PathBuf>,
    /// Whether libvirtd started it to probe its capabilities.
    pub(super) is_probe: bool,
    /// Which part of a `-readconfig` file could not be read, if any: some options are unknown then.
    pub(crate) unread: Option<String>,
}

/// A NIC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NicOption {
    pub(crate) id: Option<String>,
    pub(crate) link: Link,
    /// Whether the machine creates it (`-nic`, `-net nic`), and not `-device`.
    pub(crate) is_boards: bool,
}

/// The network that a NIC is connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Link {
    Nothing,
    /// The network with this id.
    Id(String),
    /// The network at this position of the command line: the other half of a `-nic`.
    Place(usize),
    Hub(u32),
}

/// A network that NICs can be connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Network {
    /// The id by which QEMU's devices refer to it.
    pub(crate) id: Option<String>,
    /// The hub that it is connected to itself.
    pub(crate) hub: Option<u32>,
    pub(crate) backend: Backend,
}

impl Network {
    /// Returns whether it belongs to a `-nic` without an id: QEMU numbers these.
    pub(crate) fn is_unnamed(&self) -> bool {
        self.id.is_none() && self.hub.is_none()
    }
}

/// The host's side of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Backend {
    /// The tap of this name.
    Tap(String),
    /// Taps that the process was passed or named itself: file descriptors, possibly none known.
    TapFds(Vec<u32>),
    /// A hub port, to which another network may be connected.
    HubPort { hub: u32, netdev: Option<String> },
    /// Anything without a network device on the host.
    Other,
}

/// Reads an option file by its name on the command line, or says why it cannot be read.
pub(super) type ReadFile<'a> = &'a dyn Fn(&str) -> Result<ConfigFile, String>;

/// The most files that are read.
const FILES: u32 = 16;

/// The file that QEMU reads besides its command line, at the path that distributions use.
const USER_CONFIG: &str = "/etc/qemu/qemu.conf";

impl CommandLine {
    /// Parses the arguments of a QEMU process, the program's name first. Skips unknown arguments:
    /// QEMU itself accepted the command line.
    pub(crate) fn parse(arguments: &[String], file: ReadFile<'_>) -> Self {
        let mut line = Self::default();
        let mut groups = OptionGroups::default();
        let mut files = 0;
        // Unless told otherwise, QEMU reads this file first, if it exists.
        let is_told = |word: &String| word.trim_start_matches('-') == "no-user-config";
        if !arguments.iter().any(is_told)
            && let Ok(file) = file(USER_CONFIG)
        {
            line.unread = add_file(&mut groups, USER_CONFIG, &file);
        }
        let mut has_defaults = true;
        let program = arguments.first().map_or("", String::as_str);
        let mut arguments = arguments.iter().skip(1).peekable();
        while let Some(argument) = arguments.next() {
            // Anything else is a disk image.
            let Some(option) = argument.strip_prefix('-') else { continue };
            let option = option.strip_prefix('-').unwrap_or(option);
            has_defaults &= option != "nodefaults";
            // Options without a value do not matter here, and an option follows them. Free-form
            // values may look like an option.
            let is_value =
                |value: &&String| matches!(option, "name" | "append") || !value.starts_with('-');
            let Some(value) = arguments.next_if(is_value) else { continue };
            let mut add = |group: &str, implied: &str| {
                groups.add(group, None, Options::parse(value, implied))
            };
            match option {
                "name" => add("name", "guest"),
                "m" => add("memory", "size"),
                "smp" => add("smp-opts", "cpus"),
                "machine" | "M" => add("machine", "type"),
                "mon" => add("mon", "chardev"),
                "nic" => add("nic", "type"),
                "net" => add("net", "type"),
                "chardev" => groups.add("chardev", None, Options::parse_either(value, "backend")),
                "object" => groups.add("object", None, Options::parse_either(value, "qom-type")),
                "netdev" => groups.add("netdev", None, Options::parse_either(value, "type")),
                "device" => groups.add("device", None, Options::parse_either(value, "driver")),
                "qmp" | "qmp-pretty" => {
                    let mut options = Options::default();
                    options.set("address", value);
                    groups.add("qmp", None, options);
                }
                "set" => groups.set(value),
                "uuid" => line.uuid = value.parse().ok().or(line.uuid),
                // The last of both kinds wins.
                "smbios" => {
                    let options = Options::parse(value, "");
                    let uuid = options.get("uuid").and_then(|uuid| uuid.parse().ok());
                    let uuid = uuid.filter(|_| options.number("type") == Some(1));
                    line.uuid = uuid.or(line.uuid);
                }
                "readconfig" => {
                    files += 1;
                    let read = if files > FILES {
                        Err(format!("there are more than {FILES} (-readconfig)"))
                    } else {
                        file(value)
                    };
                    let unread = match read {
                        Ok(file) => add_file(&mut groups, value, &file),
                        Err(reason) => Some(reason),
                    };
                    line.unread = line.unread.take().or(unread);
                }
                _ => {}
            }
        }
        line.read(&groups, program);
        let is_of_networks = |name: &str| matches!(name, "nic" | "net" | "netdev");
        line.has_default_nic =
            has_defaults && !groups.iter().any(|group| is_of_networks(&group.name));
        line
    }

    /// Applies the parsed options of this program.
    fn read(&mut self, groups: &OptionGroups, program: &str) {
        self.name = groups.name().and_then(name_given);
        // As in QEMU, an all-zero UUID means none.
        self.uuid = self.uuid.filter(|uuid| !uuid.is_nil());
        self.monitors = MonitorOption::all(groups);
        for group in groups.iter() {
            let options = &group.options;
            match group.name.as_str() {
                "netdev" => self.networks.extend(network(options, group.id.clone())),
                "nic" => self.add_nic(options, group.id.clone()),
                "net" => self.add_net(options),
                "device" => {
                    let driver = options.get("driver").unwrap_or_default();
                    if driver.starts_with("virtio-balloon") {
                        self.balloon = Some(group.id.clone());
                    }
                    if is_nic(driver) {
                        let network = options.get("netdev").map(str::to_owned);
                        let link = network.map_or(Link::Nothing, Link::Id);
                        self.nics.push(NicOption { id: group.id.clone(), link, is_boards: false });
                    }
                }
                _ => {}
            }
        }
        let machine = groups.machine();
        self.is_board = is_board(machine.get("type"), program);
        self.is_probe = machine.get("type") == Some("none")
            && self.monitors.iter().any(MonitorOption::is_libvirts);
        if self.nics.len().max(self.networks.len()) > NICS {
            self.nics.truncate(NICS);
            self.networks.truncate(NICS);
            let text = || format!("there are more than {NICS} NICs or networks");
            self.unread.get_or_insert_with(text);
        }
        // An unread file may say otherwise: then the monitor decides.
        if self.unread.is_some() {
            self.memory_hotplug = true;
            return;
        }
        let memory = groups.memory();
        self.memory_kib = memory_kib(memory, machine);
        self.memory_hotplug =
            memory.get("maxmem").or_else(|| machine.get("memory.max-size")).is_some();
        self.maximum_vcpus = maximum_vcpus(machine);
    }

    /// Applies a `-nic`: a NIC of the machine and its network.
    fn add_nic(&mut self, options: &Options, id: Option<String>) {
        if options.get("type") == Some("none") {
            return;
        }
        let link = Link::Place(self.networks.len());
        self.networks.extend(network(options, id));
        self.nics.push(NicOption { id: None, link, is_boards: true });
    }

    /// Applies a `-net`, the old syntax: a NIC of the machine or a network, both on the first hub
    /// unless the NIC names another network. Networks on a hub have other ids.
    fn add_net(&mut self, options: &Options) {
        if options.get("type") == Some("nic") {
            let link = options.get("netdev").map_or(Link::Hub(0), |id| Link::Id(id.to_owned()));
            self.nics.push(NicOption { id: None, link, is_boards: true });
        } else if let Some(network) = network(options, None) {
            self.networks.push(Network { hub: Some(0), ..network });
        }
    }

    /// Returns whether the machine may have NICs that no option mentions.
    pub(crate) fn may_bring_nics(&self) -> bool {
        self.has_default_nic || self.is_board || self.unread.is_some()
    }

    /// Returns the sockets of the monitors that the driver may use.
    pub(crate) fn sockets(&self) -> impl Iterator<Item = MonitorSocket> {
        let started_in = self.started_in.as_ref();
        self.monitors.iter().filter_map(move |it| MonitorSocket::of(it, started_in))
    }

    /// Returns whether a monitor waits for its first client.
    pub(crate) fn has_waiting_monitor(&self) -> bool {
        self.monitors.iter().any(MonitorOption::waits)
    }
}

/// Returns a guest's name; as in QEMU, an empty name means none.
pub(crate) fn name_given(text: &str) -> Option<Name> {
    (!text.is_empty()).then(|| Name::from(&*shortened(text)))
}

/// Adds a file's options, and says what remains unknown.
fn add_file(groups: &mut OptionGroups, name: &str, file: &ConfigFile) -> Option<String> {
    match groups.add_file(&file.text) {
        Err(number) => {
            Some(format!("line {number} of {name} (-readconfig) is not in QEMU's format"))
        }
        Ok(()) if file.is_changed => Some(format!("{name} (-readconfig) was changed since")),
        Ok(()) => None,
    }
}

/// Returns whether a machine is a board with devices of its own, rather than a PC or other machine
/// that has only the NICs it is given. Without a name, the program's default machine counts.
fn is_board(machine: Option<&str>, program: &str) -> bool {
    const OTHERS: [&str; 13] = [
        "isapc",
        "loongson3",
        "microvm",
        "nitro",
        "none",
        "pc",
        "pseries",
        "q35",
        "s390",
        "sbsa",
        "virt",
        "xenfv",
        "xenpv",
    ];
    match machine {
        Some(machine) => !OTHERS.contains(&machine.split('-').next().unwrap_or_default()),
        None => ["sparc", "microblaze"].iter().any(|target| program.contains(target)),
    }
}

/// `-m 512`, `-m 2G`, `-m size=32768k`: a number without a suffix is in MiB. It takes precedence
/// over `-machine memory.size=`, where such a number is in bytes. Zero means the machine's default.
fn memory_kib(memory: &Options, machine: &Options) -> Option<u64> {
    let is_given = |bytes: &u64| *bytes > 0;
    let bytes = memory.get("size").and_then(|text| size(text, 1 << 20)).filter(is_given);
    let bytes = bytes.or_else(|| size(machine.get("memory.size")?, 1).filter(is_given))?;
    // QEMU rounds up.
    bytes.div_ceil(8192).checked_mul(8)
}

/// `-smp 2,maxcpus=4`, `-smp sockets=2,cores=4`: without `maxcpus`, the number of vCPUs, or the
/// product of the topology if that is missing too.
fn maximum_vcpus(machine: &Options) -> Option<u32> {
    const TOPOLOGY: [&str; 8] =
        ["drawers", "books", "sockets", "dies", "clusters", "modules", "cores", "threads"];
    let number = |key: &str| machine.number(&format!("smp.{key}"));
    number("maxcpus").or_else(|| number("cpus")).or_else(|| {
        let mut levels = TOPOLOGY.into_iter().filter_map(number).peekable();
        levels.peek()?;
        levels.try_fold(1, u32::checked_mul)
    })
}

fn network(options: &Options, id: Option<String>) -> Option<Network> {
    let backend = match options.get("type")? {
        "none" => return None,
        "tap" => match options.get("ifname") {
            Some(name) => Backend::Tap(name.to_owned()),
            None => {
                let fds = options.get("fd").or_else(|| options.get("fds")).unwrap_or_default();
                Backend::TapFds(fds.split(':').filter_map(|fd| fd.parse().ok()).collect())
            }
        },
        "bridge" => Backend::TapFds(Vec::new()),
        "hubport" => Backend::HubPort {
            hub: options.get("hubid")?.parse().ok()?,
            netdev: options.get("netdev").map(str::to_owned),
        },
        _ => Backend::Other,
    };
    Some(Network { id, hub: None, backend })
}

#[cfg(test)]
mod tests;
