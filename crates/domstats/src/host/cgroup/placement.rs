//! Parses where cgroups are mounted and which of them a process is in, and recognizes the names of
//! VMs' groups.

use std::path::PathBuf;

/// A cgroup mount.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hierarchy {
    pub(super) kind: Kind,
    /// The group that is mounted; `/` except in a container.
    root: String,
    mount: PathBuf,
}

/// What a hierarchy counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Version 2: everything.
    Unified,
    /// Version 1: CPU time.
    CpuAcct,
    /// Version 1: storage.
    BlkIo,
}

/// The manager that created a VM's group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manager {
    /// Puts a VM's helpers (swtpm, virtiofsd) into its group, and counts them.
    Libvirt,
    Proxmox,
}

/// More than the mounts of counting hierarchies on any host.
const HIERARCHIES: usize = 16;

impl Hierarchy {
    pub(super) fn dir_of(&self, path: &str) -> Option<PathBuf> {
        let below = path.strip_prefix(self.root.trim_end_matches('/'))?;
        let relative = below.strip_prefix('/').or(below.is_empty().then_some(""))?;
        Some(self.mount.join(relative))
    }
}

impl Kind {
    /// Returns the version 1 controller that makes a hierarchy one of this kind.
    fn controller(self) -> Option<&'static str> {
        match self {
            Self::Unified => None,
            Self::CpuAcct => Some("cpuacct"),
            Self::BlkIo => Some("blkio"),
        }
    }
}

/// Returns a process's group in a hierarchy, from `/proc/PID/cgroup`.
pub(super) fn placed_in(kind: Kind, placement: &str) -> Option<&str> {
    placement.lines().find_map(|line| {
        let (number, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let is_it = match kind.controller() {
            Some(wanted) => controllers.split(',').any(|controller| controller == wanted),
            None => number == "0" && controllers.is_empty(),
        };
        is_it.then_some(path)
    })
}

/// Returns the part of a path that ends with the innermost VM's group.
pub(super) fn machine_of(path: &str) -> Option<(&str, Manager)> {
    let mut found = None;
    let mut above = "";
    let mut end = 0;
    for name in path.split('/') {
        end += name.len();
        match manager_of(above, name) {
            // Outside of the caller's cgroup namespace.
            _ if name == ".." => return None,
            Some(manager) => found = Some((path.get(..end)?, manager)),
            None => {}
        }
        above = name;
        end += 1;
    }
    found
}

/// Returns the manager that gives a group such a name, if it is a VM's.
fn manager_of(above: &str, name: &str) -> Option<Manager> {
    let scope = name.strip_suffix(".scope");
    let is_number = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    if name.ends_with(".libvirt-qemu")
        || scope.is_some_and(|scope| scope.starts_with(r"machine-qemu\x2d"))
    {
        Some(Manager::Libvirt)
    } else if above == "qemu.slice" && scope.is_some_and(is_number) {
        Some(Manager::Proxmox)
    } else {
        None
    }
}

/// Parses the mounts of counting cgroup hierarchies; one that counts two things appears twice.
pub(super) fn parse_mounts(text: &str) -> Vec<Hierarchy> {
    let hierarchies = |line: &str| {
        let (mount, filesystem) = line.split_once(" - ")?;
        let mut filesystem = filesystem.split(' ');
        let kinds: &[Kind] = match filesystem.next()? {
            "cgroup2" => &[Kind::Unified],
            "cgroup" => &[Kind::CpuAcct, Kind::BlkIo],
            _ => return None,
        };
        let options = filesystem.nth(1).unwrap_or_default();
        let has = |wanted: &str| options.split(',').any(|option| option == wanted);
        let mut words = mount.split(' ').skip(3).map(unescape);
        let (root, mount) = (words.next()?, PathBuf::from(words.next()?));
        let hierarchy = |kind| Hierarchy { kind, root: root.clone(), mount: mount.clone() };
        let kinds = kinds.iter().filter(|kind| kind.controller().is_none_or(has));
        Some(kinds.copied().map(hierarchy).collect::<Vec<_>>())
    };
    text.lines().filter_map(hierarchies).flatten().take(HIERARCHIES).collect()
}

/// Decodes the kernel's `\040` for a space, and similar escapes.
fn unescape(word: &str) -> String {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if first == b'\\' => {
                bytes.push(byte);
                rest = after.get(3..).unwrap_or_default();
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Passes a text to every parser of this file, for [`super::fuzz`].
pub(super) fn fuzz(text: &str) {
    for kind in [Kind::Unified, Kind::CpuAcct, Kind::BlkIo] {
        let placement = placed_in(kind, text);
        assert!(placement.is_none_or(|path| text.contains(path)));
        if let Some((path, (own, _))) = placement.and_then(|path| Some((path, machine_of(path)?))) {
            assert!(path.starts_with(own), "{own}");
        }
    }
    let mounts = parse_mounts(text);
    assert!(mounts.len() <= HIERARCHIES);
    for hierarchy in mounts {
        let _ = hierarchy.dir_of(text);
    }
    assert_eq!(unescape(&text.replace('\\', "\\134")), text);
}
