//! What a QEMU's command line tells: who it is, its monitors, its memory, vCPUs and networks.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use serde_json::Value as Json;
use uuid::Uuid;

use crate::domain::printable_name;

/// The parts of a QEMU command line that the driver uses.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct CommandLine {
    pub(crate) name: Option<String>,
    pub(crate) uuid: Option<Uuid>,
    /// The QMP monitors, in their order.
    pub(crate) monitors: Vec<MonitorOption>,
    /// Memory at the start, in KiB.
    pub(crate) memory_kib: Option<u64>,
    /// Whether memory can be plugged in later.
    pub(crate) memory_hotplug: bool,
    /// The most vCPUs that can be plugged in.
    pub(crate) maximum_vcpus: Option<u32>,
    /// The network of every network interface.
    pub(crate) networks: Vec<Network>,
    /// The balloon device: its id, or nothing for one without an id.
    pub(crate) balloon: Option<Option<String>>,
    /// The threads that QEMU starts for objects, before it opens its monitors.
    pub(crate) early_threads: u64,
    /// Whether it has no machine: libvirtd starts such a QEMU to ask what it can do.
    pub(crate) is_probe: bool,
}

/// One QMP monitor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MonitorOption {
    /// A Unix socket that anybody may connect to.
    Socket {
        path: PathBuf,
        /// Whether QEMU goes no further before its first client has come.
        waits: bool,
    },
    /// libvirtd's own: it holds the one connection that the socket serves.
    Libvirt,
    /// A monitor that is not a listening Unix socket.
    Other,
}

/// What one network interface is connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Network {
    /// By which QEMU's devices name it.
    pub(crate) id: Option<String>,
    pub(crate) backend: Backend,
}

/// The host's side of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Backend {
    /// A tap of this name.
    Tap(String),
    /// Taps that the process was handed or named itself: file descriptors, possibly none known.
    TapFds(Vec<u32>),
    /// Anything without a network device on the host.
    Other,
}

/// A QEMU option's value: `implied,key=value,key=value`, or the same as JSON.
struct Options(Vec<(String, String)>);

impl Options {
    /// Parses an option. `implied` is the key of a first value without one.
    fn parse(text: &str, implied: &str) -> Self {
        if text.starts_with('{') {
            return Self::parse_json(text);
        }
        // A comma in a value is doubled.
        let pairs = text.replace(",,", "\0");
        let pairs = pairs.split(',').enumerate().map(|(position, pair)| {
            let pair = pair.replace('\0', ",");
            match pair.split_once('=') {
                Some((key, value)) => (key.to_owned(), value.to_owned()),
                None if position == 0 => (implied.to_owned(), pair),
                None => (pair, "on".to_owned()),
            }
        });
        Self(pairs.collect())
    }

    fn parse_json(text: &str) -> Self {
        let Ok(Json::Object(map)) = serde_json::from_str(text) else {
            return Self(Vec::new());
        };
        let pairs = map.into_iter().map(|(key, value)| match value {
            Json::String(text) => (key, text),
            other => (key, other.to_string()),
        });
        Self(pairs.collect())
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// Returns a boolean, of which QEMU takes the last one: `key`, `key=on`, or the old `nokey`.
    fn boolean(&self, key: &str) -> Option<bool> {
        self.0.iter().rev().find_map(|(name, value)| match name.strip_prefix("no") {
            Some(name) if name == key => Some(false),
            _ if name != key => None,
            _ => Some(matches!(value.as_str(), "on" | "yes" | "true" | "y")),
        })
    }

    /// Returns the listening socket that the options describe. QEMU waits for its first client
    /// unless it is told not to.
    fn listener(&self) -> MonitorOption {
        match self.get("path") {
            Some(path) if is_libvirt_monitor(Path::new(path)) => MonitorOption::Libvirt,
            Some(path) if self.boolean("server") == Some(true) => MonitorOption::Socket {
                path: path.into(),
                waits: self.boolean("wait").unwrap_or(true),
            },
            _ => MonitorOption::Other,
        }
    }
}

impl CommandLine {
    /// Reads the arguments of a QEMU process, the program's name first. What it does not know it
    /// passes over: QEMU itself accepted the command line.
    pub(crate) fn parse(arguments: &[String]) -> Self {
        let mut line = Self::default();
        let mut chardevs: HashMap<String, MonitorOption> = HashMap::new();
        let mut monitors: Vec<String> = Vec::new();
        let mut arguments = arguments.iter().skip(1).peekable();
        while let Some(argument) = arguments.next() {
            let Some(option) = argument.strip_prefix('-') else {
                continue;
            };
            let option = option.strip_prefix('-').unwrap_or(option);
            // Options without a value are of no interest, and their next argument is an option.
            let Some(value) = arguments.next_if(|value| !value.starts_with('-')) else {
                continue;
            };
            match option {
                "name" => {
                    line.name = Options::parse(value, "guest").get("guest").map(printable_name)
                }
                "uuid" => line.uuid = value.parse().ok(),
                "qmp" | "qmp-pretty" => line.monitors.push(legacy_socket(value)),
                "chardev" => {
                    let options = Options::parse(value, "backend");
                    if let Some(id) = options.get("id") {
                        chardevs.entry(id.to_owned()).or_insert_with(|| chardev(id, &options));
                    }
                }
                "mon" => {
                    let options = Options::parse(value, "chardev");
                    if options.get("mode") == Some("control")
                        && let Some(id) = options.get("chardev")
                    {
                        monitors.push(id.to_owned());
                    }
                }
                "object" => {
                    let options = Options::parse(value, "qom-type");
                    match options.get("qom-type") {
                        Some("monitor-qmp") => {
                            monitors.extend(options.get("chardev").map(str::to_owned));
                        }
                        Some("iothread" | "thread-context") => line.early_threads += 1,
                        _ => {}
                    }
                }
                "m" => {
                    let options = Options::parse(value, "size");
                    line.memory_kib = options.get("size").and_then(memory_kib);
                    line.memory_hotplug = options.get("maxmem").is_some();
                }
                "smp" => line.maximum_vcpus = maximum_vcpus(&Options::parse(value, "cpus")),
                "netdev" | "nic" => line.networks.extend(network(&Options::parse(value, "type"))),
                // The old way: `-net nic` is the guest's side, anything else the host's. Between
                // them is a hub, which has other ids.
                "net" if !value.starts_with("nic") => {
                    let network = network(&Options::parse(value, "type"));
                    line.networks.extend(network.map(|network| Network { id: None, ..network }));
                }
                "machine" | "M" => {
                    line.is_probe = Options::parse(value, "type").get("type") == Some("none");
                }
                "device" => {
                    let options = Options::parse(value, "driver");
                    let driver = options.get("driver").unwrap_or_default();
                    if driver.starts_with("virtio-balloon") {
                        line.balloon = Some(options.get("id").map(str::to_owned));
                    }
                }
                _ => {}
            }
        }
        for id in monitors {
            line.monitors.push(chardevs.get(&id).cloned().unwrap_or(MonitorOption::Other));
        }
        line
    }

    /// Returns the monitor that the driver may use: the first socket that is nobody's.
    pub(crate) fn monitor(&self) -> Option<&Path> {
        self.monitors.iter().find_map(|monitor| match monitor {
            MonitorOption::Socket { path, .. } => Some(path.as_path()),
            _ => None,
        })
    }

    /// Returns whether one of the monitors waits for its first client.
    pub(crate) fn has_waiting_monitor(&self) -> bool {
        let waits = |monitor: &_| matches!(monitor, MonitorOption::Socket { waits: true, .. });
        self.monitors.iter().any(waits)
    }
}

/// Returns whether a path is where libvirtd puts the monitor of a domain
/// (`.../domain-1-name/monitor.sock`, `.../name.monitor` in old versions) or of a QEMU that it
/// asks what it can do (`.../qmp-XXXXXX/qmp.monitor`).
pub(crate) fn is_libvirt_monitor(path: &Path) -> bool {
    let parent = path.parent().unwrap_or(Path::new(""));
    let folder = parent.file_name().unwrap_or_default().to_string_lossy();
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    (folder.starts_with("domain-") && file == "monitor.sock")
        || (folder.starts_with("qmp-") && file == "qmp.monitor")
        || (parent.ends_with("libvirt/qemu") && file.ends_with(".monitor"))
}

fn chardev(id: &str, options: &Options) -> MonitorOption {
    if options.get("backend") != Some("socket") {
        return MonitorOption::Other;
    }
    // libvirt hands QEMU a listening socket; the descriptor says nothing, the id does.
    match options.get("path") {
        None if id == "charmonitor" => MonitorOption::Libvirt,
        _ => options.listener(),
    }
}

/// `-qmp unix:/path,server=on,wait=off`
fn legacy_socket(value: &str) -> MonitorOption {
    match value.strip_prefix("unix:") {
        Some(rest) => Options::parse(rest, "path").listener(),
        None => MonitorOption::Other,
    }
}

/// `-m 512`, `-m 2G`, `-m size=32768k`: a number without a suffix is in MiB.
fn memory_kib(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: f64 = digits.parse().ok()?;
    let kib = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "b" => 1.0 / 1024.0,
        "k" => 1.0,
        "" | "m" => 1024.0,
        "g" => 1024.0 * 1024.0,
        "t" => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    Some((number * kib) as u64)
}

/// `-smp 2,maxcpus=4`, `-smp sockets=2,cores=4`: without `maxcpus` it is the number of vCPUs, and
/// without that the product of the topology.
fn maximum_vcpus(options: &Options) -> Option<u32> {
    let number = |key: &str| options.get(key).and_then(|value| value.parse::<u32>().ok());
    number("maxcpus").or_else(|| number("cpus")).or_else(|| {
        ["sockets", "dies", "clusters", "cores", "threads"]
            .into_iter()
            .filter_map(number)
            .try_fold(1, u32::checked_mul)
    })
}

fn network(options: &Options) -> Option<Network> {
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
        _ => Backend::Other,
    };
    Some(Network { id: options.get("id").map(str::to_owned), backend })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(id: Option<&str>, backend: Backend) -> Network {
        Network { id: id.map(str::to_owned), backend }
    }

    fn parse(text: &str) -> CommandLine {
        let arguments: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        CommandLine::parse(&arguments)
    }

    #[test]
    fn by_hand() {
        let line = parse(
            "qemu-system-x86_64 -daemonize -name guest=a,,b,debug-threads=on --uuid \
             11111111-2222-3333-4444-555555555501 -qmp unix:/run/a.qmp,server=on,wait=off -m 1.5G \
             -smp 2,maxcpus=8 -netdev tap,ifname=tap0,id=n0 -netdev user,id=n1 -nic none \
             -nic bridge,br=br0 -net nic -net tap,ifname=tap1,id=n2 -device virtio-balloon-pci",
        );
        assert_eq!(line.name.as_deref(), Some("a,b"));
        assert_eq!(line.uuid, Some("11111111-2222-3333-4444-555555555501".parse().unwrap()));
        assert_eq!(line.monitor(), Some(Path::new("/run/a.qmp")));
        assert_eq!((line.memory_kib, line.memory_hotplug), (Some(1_572_864), false));
        assert_eq!(line.maximum_vcpus, Some(8));
        assert_eq!(
            line.networks,
            [
                network(Some("n0"), Backend::Tap("tap0".into())),
                network(Some("n1"), Backend::Other),
                network(None, Backend::TapFds(Vec::new())),
                network(None, Backend::Tap("tap1".into())),
            ]
        );
        assert_eq!(line.balloon, Some(None));
    }

    #[test]
    fn by_libvirt_with_a_second_monitor() {
        let line = parse(
            r#"/usr/bin/qemu-system-x86_64 -name guest=vm,debug-threads=on -m size=32768k,slots=4,maxmem=1G
               -chardev socket,id=charmonitor,fd=28,server=on,wait=off -mon chardev=charmonitor,id=monitor,mode=control
               -netdev {"type":"tap","fd":"31","id":"hostnet0"} -netdev tap,fds=32:33,id=hostnet1
               -device {"driver":"virtio-balloon-pci","id":"balloon0","bus":"pci.3"} -S
               -qmp unix:/run/second.qmp,server,nowait"#,
        );
        assert_eq!(
            line.monitors,
            [
                MonitorOption::Socket { path: "/run/second.qmp".into(), waits: false },
                MonitorOption::Libvirt
            ]
        );
        assert_eq!(line.monitor(), Some(Path::new("/run/second.qmp")));
        assert_eq!((line.memory_kib, line.memory_hotplug), (Some(32_768), true));
        assert_eq!(
            line.networks,
            [
                network(Some("hostnet0"), Backend::TapFds(vec![31])),
                network(Some("hostnet1"), Backend::TapFds(vec![32, 33])),
            ]
        );
        assert_eq!(line.balloon, Some(Some("balloon0".into())));
    }

    #[test]
    fn by_proxmox() {
        let line = parse(
            "/usr/bin/kvm -id 100 -name web,debug-threads=on -no-shutdown \
             -chardev socket,id=qmp,path=/var/run/qemu-server/100.qmp,server=on,wait=off \
             -mon chardev=qmp,mode=control \
             -chardev socket,id=qmp-event,path=/var/run/qmeventd.sock,reconnect=5 \
             -mon chardev=qmp-event,mode=control -smp 4,sockets=2,cores=2,maxcpus=4 \
             -netdev type=tap,id=net0,ifname=tap100i0,script=/x",
        );
        assert_eq!(line.name.as_deref(), Some("web"));
        assert_eq!(line.monitor(), Some(Path::new("/var/run/qemu-server/100.qmp")));
        assert_eq!(line.monitors[1], MonitorOption::Other, "the event socket is not a server");
        assert_eq!(line.networks, [network(Some("net0"), Backend::Tap("tap100i0".into()))]);
    }

    #[test]
    fn a_monitor_of_libvirt_is_known_by_its_path() {
        for path in [
            "/var/lib/libvirt/qemu/domain-1-vm/monitor.sock",
            "/root/.config/libvirt/qemu/lib/domain-12-x/monitor.sock",
            "/var/lib/libvirt/qemu/vm.monitor",
            "/var/lib/libvirt/qemu/qmp-ABCDEF/qmp.monitor",
        ] {
            assert!(is_libvirt_monitor(Path::new(path)), "{path}");
            let line = parse(&format!("kvm -qmp unix:{path},server"));
            assert_eq!(line.monitors, [MonitorOption::Libvirt]);
        }
        assert!(!is_libvirt_monitor(Path::new("/run/vms/monitor.sock")));
    }

    #[test]
    fn whether_a_monitor_waits_for_its_first_client() {
        for (options, waits) in [
            ("server", true),
            ("server=on", true),
            ("server=y,wait", true),
            ("server=yes,wait=true", true),
            ("server=true,wait=y", true),
            ("server,wait=off,wait=on", true),
            ("server,nowait", false),
            ("server=on,wait=off", false),
            ("server,wait=n", false),
            ("server,wait=no", false),
            ("wait=false,server", false),
            ("server,wait=on,nowait", false),
        ] {
            for text in [
                format!("kvm -qmp unix:/q,{options}"),
                format!("kvm -qmp-pretty unix:/q,{options}"),
                format!("kvm -chardev socket,id=c,path=/q,{options} -mon c,mode=control"),
                format!("kvm -mon chardev=c,mode=control -chardev socket,id=c,path=/q,{options}"),
                format!(
                    "kvm -object monitor-qmp,id=m,chardev=c -chardev socket,id=c,path=/q,{options}"
                ),
                format!(
                    r#"kvm -chardev socket,id=c,path=/q,{options}
                       -object {{"qom-type":"monitor-qmp","id":"m","chardev":"c"}}"#
                ),
            ] {
                let line = parse(&text);
                assert_eq!(
                    line.monitors,
                    [MonitorOption::Socket { path: "/q".into(), waits }],
                    "{text}"
                );
                assert_eq!(line.has_waiting_monitor(), waits);
            }
        }
        assert_eq!(parse("kvm -qmp unix:/q,noserver").monitors, [MonitorOption::Other]);
        let libvirt = parse(
            r#"kvm -chardev socket,id=charmonitor,fd=28,server=on,wait=off
               -object {"qom-type":"monitor-qmp","id":"monitor","chardev":"charmonitor"}"#,
        );
        assert_eq!(libvirt.monitors, [MonitorOption::Libvirt]);
    }

    #[test]
    fn sizes() {
        for (text, kib) in [("512", 524_288), ("2G", 2_097_152), ("1024k", 1024), ("1t", 1 << 30)] {
            assert_eq!(memory_kib(text), Some(kib), "{text}");
        }
        assert_eq!(memory_kib("many"), None);
        assert_eq!(maximum_vcpus(&Options::parse("sockets=2,cores=4", "cpus")), Some(8));
    }
}
