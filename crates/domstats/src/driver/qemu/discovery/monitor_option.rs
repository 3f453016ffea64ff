//! The monitors on a QEMU's command line.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use crate::driver::qemu::discovery::options::{OptionGroups, Options};

/// One QMP monitor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MonitorOption {
    /// The id of its character device; `-qmp ADDRESS` has none.
    pub(super) chardev: Option<String>,
    pub(super) address: Address,
    pub(super) role: Role,
}

/// A monitor's address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Address {
    Unix(PathBuf),
    /// An abstract name. Unless it is tight, zeros pad it to the length of a socket address.
    Abstract {
        name: String,
        is_tight: bool,
    },
    /// A socket that was passed to QEMU: the number of the descriptor, or a name.
    Descriptor(String),
    Tcp {
        host: String,
        port: String,
    },
    /// Not a socket, in QEMU's words: `stdio`, `pty`, `pipe:/x`.
    Other(String),
}

/// Which side connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// QEMU listens.
    Server {
        /// Whether QEMU waits for the first client before it continues.
        waits: bool,
    },
    /// QEMU connects to its manager.
    Client,
    /// Neither: there is no connection.
    None,
}

/// The most monitors that are considered.
const MOST: usize = 64;

impl MonitorOption {
    /// Returns the monitors, in the order in which QEMU creates them.
    pub(super) fn all(groups: &OptionGroups) -> Vec<Self> {
        let monitors = groups.iter().filter_map(|group| {
            let id = match group.name.as_str() {
                "qmp" => return Some(Self::compat(group.options.get("address")?, groups)),
                "mon" if group.options.get("mode") == Some("control") => "chardev",
                "object" if group.options.get("qom-type") == Some("monitor-qmp") => "chardev",
                _ => return None,
            };
            Some(Self::by_id(group.options.get(id)?, groups))
        });
        monitors.take(MOST).collect()
    }

    /// Parses `-qmp`, QEMU's old notation for a character device.
    fn compat(text: &str, groups: &OptionGroups) -> Self {
        if let Some(id) = text.strip_prefix("chardev:") {
            return Self::by_id(id, groups);
        }
        let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
        let options = match kind {
            "unix" => Options::parse(rest, "path"),
            "tcp" | "telnet" | "tn3270" | "websocket" => {
                // `HOST:PORT,server=on`; the host may be an address in brackets, with colons.
                let (place, rest) = rest.split_once(',').unwrap_or((rest, ""));
                let (host, port) = place.rsplit_once(':').unwrap_or((place, ""));
                let mut options = Options::parse(rest, "");
                options.set("host", host);
                options.set("port", port);
                options
            }
            _ => return Self::other(None, text.to_owned()),
        };
        Self::socket(None, &options)
    }

    fn by_id(id: &str, groups: &OptionGroups) -> Self {
        let Some(options) = groups.find("chardev", id) else {
            return Self::other(Some(id), format!("chardev:{id}"));
        };
        let backend = options.get("backend").or_else(|| options.get("backend.type"));
        let backend = backend.unwrap_or_default();
        if backend == "socket" {
            return Self::socket(Some(id), options);
        }
        let path = options.get("path").map(|path| format!("{backend}:{path}"));
        let text = path.unwrap_or_else(|| backend.to_owned());
        Self::other(Some(id), text)
    }

    fn other(id: Option<&str>, text: String) -> Self {
        Self { chardev: id.map(str::to_owned), address: Address::Other(text), role: Role::None }
    }

    /// The keys are those of `-chardev`, or the equivalent ones of the JSON form.
    fn socket(id: Option<&str>, options: &Options) -> Self {
        const DATA: &str = "backend.data";
        let either = |key: &str| {
            let places =
                [key.to_owned(), format!("{DATA}.{key}"), format!("{DATA}.addr.data.{key}")];
            places.into_iter().find(|key| options.get(key).is_some()).unwrap_or_default()
        };
        let text = |key: &str| options.get(&either(key)).map(str::to_owned);
        let boolean = |key: &str| options.boolean(key).or_else(|| options.boolean(&either(key)));
        // In JSON, a descriptor is the address's only string.
        let descriptor = text("fd").or_else(|| text("str"));
        let address = if let Some(descriptor) = descriptor {
            Address::Descriptor(descriptor)
        } else if let Some(path) = text("path") {
            match boolean("abstract") == Some(true) {
                true => Address::Abstract { name: path, is_tight: boolean("tight") != Some(false) },
                false => Address::Unix(path.into()),
            }
        } else {
            Address::Tcp {
                host: text("host").unwrap_or_default(),
                port: text("port").unwrap_or_default(),
            }
        };
        // A JSON socket is a server by default, as in QMP.
        let is_json = options.get("backend.type").is_some();
        let role = match boolean("server").unwrap_or(is_json) {
            // `wait` is on by default, but off in JSON.
            true => Role::Server { waits: boolean("wait").unwrap_or(!is_json) },
            false => Role::Client,
        };
        Self { chardev: id.map(str::to_owned), address, role }
    }

    /// Returns whether it is libvirtd's own monitor, whose only session libvirtd holds. For a
    /// socket that libvirt passes to QEMU the descriptor says nothing, but the id does.
    pub(crate) fn is_libvirts(&self) -> bool {
        match &self.address {
            Address::Unix(path) => is_libvirt_monitor(path),
            Address::Descriptor(_) => self.chardev.as_deref() == Some("charmonitor"),
            _ => false,
        }
    }

    /// Returns whether QEMU waits for this monitor's first client before it continues.
    pub(super) fn waits(&self) -> bool {
        self.role == Role::Server { waits: true }
    }
}

/// Returns whether libvirtd puts monitors at such a path: for a domain
/// (`.../domain-1-name/monitor.sock`, `.../name.monitor` in old versions) or for a QEMU that it
/// probes (`.../qmp-XXXXXX/qmp.monitor`, `.../capabilities.monitor.sock` in old ones).
pub(crate) fn is_libvirt_monitor(path: &Path) -> bool {
    let parent = path.parent().unwrap_or(Path::new(""));
    let folder = parent.file_name().unwrap_or_default().to_string_lossy();
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    (folder.starts_with("domain-") && file == "monitor.sock")
        || (folder.starts_with("qmp-") && file == "qmp.monitor")
        || file == "capabilities.monitor.sock"
        || (parent.ends_with("libvirt/qemu") && file.ends_with(".monitor"))
}

/// In the notation of QEMU's `-qmp`.
impl fmt::Display for MonitorOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Address::Unix(path) => write!(f, "unix:{}", path.display())?,
            Address::Abstract { name, .. } => write!(f, "unix:{name},abstract=on")?,
            Address::Descriptor(name) => write!(f, "fd:{name}")?,
            Address::Tcp { host, port } => write!(f, "tcp:{host}:{port}")?,
            Address::Other(text) => f.write_str(text)?,
        }
        match self.role {
            Role::Server { waits: true } => f.write_str(",server=on"),
            Role::Server { waits: false } => f.write_str(",server=on,wait=off"),
            Role::Client | Role::None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn monitors(options: &[(&str, &str, &str)]) -> Vec<MonitorOption> {
        let mut groups = OptionGroups::default();
        for (group, implied, text) in options {
            groups.add(group, None, Options::parse_either(text, implied));
        }
        MonitorOption::all(&groups)
    }

    #[test]
    fn parses_every_address() {
        for (text, told) in [
            ("unix:/q,server=on,wait=off", "unix:/q,server=on,wait=off"),
            ("unix:/q,,r,server", "unix:/q,r,server=on"),
            ("unix:/q", "unix:/q"),
            (
                "unix:name,abstract=on,tight=off,server=y,wait=n",
                "unix:name,abstract=on,server=on,wait=off",
            ),
            ("tcp:localhost:4444,server,nowait", "tcp:localhost:4444,server=on,wait=off"),
            ("tcp:[::1]:4444,server=on", "tcp:[::1]:4444,server=on"),
            ("telnet::4444,server=on,wait=off", "tcp::4444,server=on,wait=off"),
            ("stdio", "stdio"),
            ("pty", "pty"),
            ("pipe:/x", "pipe:/x"),
            ("chardev:gone", "chardev:gone"),
        ] {
            let mut groups = OptionGroups::default();
            let mut options = Options::default();
            options.set("address", text);
            groups.add("qmp", None, options);
            let [monitor] = &MonitorOption::all(&groups)[..] else { panic!("{text}") };
            assert_eq!(monitor.to_string(), told, "{text}");
        }
        for (chardev, told) in [
            ("socket,id=c,path=/q,server=on", "unix:/q,server=on"),
            ("socket,id=c,path=/q,reconnect=5", "unix:/q"),
            ("socket,id=c,fd=7,server=on,wait=off", "fd:7,server=on,wait=off"),
            ("socket,id=c,host=::1,port=5,server=on,wait=off", "tcp:::1:5,server=on,wait=off"),
            ("pipe,id=c,path=/x", "pipe:/x"),
            ("stdio,id=c", "stdio"),
            (
                r#"{"id":"c","backend":{"type":"socket","data":{"server":true,
                    "addr":{"type":"unix","data":{"path":"/q"}}}}}"#,
                "unix:/q,server=on,wait=off",
            ),
            (
                r#"{"id":"c","backend":{"type":"socket","data":{"wait":true,
                    "addr":{"type":"fd","data":{"str":"9"}}}}}"#,
                "fd:9,server=on",
            ),
        ] {
            for mon in [
                ("mon", "chardev", "c,mode=control"),
                ("mon", "chardev", "id=m,mode=control,chardev=c,pretty=on"),
                ("object", "qom-type", "monitor-qmp,id=m,chardev=c"),
                ("object", "qom-type", r#"{"qom-type":"monitor-qmp","id":"m","chardev":"c"}"#),
            ] {
                let [monitor] = &monitors(&[mon, ("chardev", "backend", chardev)])[..] else {
                    panic!("{chardev}")
                };
                assert_eq!(monitor.to_string(), told, "{chardev}");
                assert_eq!(monitor.chardev.as_deref(), Some("c"));
            }
            assert_eq!(
                monitors(&[("mon", "chardev", "c"), ("chardev", "backend", chardev)]),
                [],
                "a monitor for humans"
            );
        }
    }
}
