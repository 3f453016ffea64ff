//! The taps that a QEMU process holds.
//!
//! To look at every descriptor of a process costs more than all else that the host tells of it. So
//! the list is kept, and taken again as soon as something says that it is not true any more:
//!
//! - `fdinfo` of a known tap differs: it was closed, its number was given to another file, or its
//!   device was renamed.
//! - The number of descriptors differs, from which a new tap follows as long as nothing else was
//!   closed.
//! - A tap of the host was made, opened or changed since ([`Links`]), or so shortly before that
//!   its descriptor may still have been on its way to QEMU.
//!
//! What these can miss is a tap that was handed to QEMU long after it was made, while QEMU closed
//! just as many other descriptors between two calls. That is seen after [`LONGEST`] at the latest.
//!
//! [`Links`]: crate::host::links::Links

use std::{
    io,
    mem::MaybeUninit,
    time::{Duration, Instant},
};

use rustix::fs::{AtFlags, StatxFlags, readlinkat_raw, statx};

use crate::host::{
    allowance::Quota,
    process::{CachedFile, Folder},
    procfs::SMALL,
};

/// How long a list is kept at most.
const LONGEST: Duration = Duration::from_secs(60);

/// A descriptor of a tap.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tap {
    pub(crate) fd: u32,
    /// The network device.
    pub(crate) name: String,
    /// Whether it is a macvtap: the host counts those from the guest's side.
    pub(crate) is_macvtap: bool,
}

/// The taps of a process when it was looked at.
#[derive(Debug, Default)]
pub(crate) struct Taps {
    /// The folder of its descriptors.
    folder: CachedFile,
    list: Option<List>,
}

#[derive(Debug)]
struct List {
    taken_at: Instant,
    /// How many descriptors there were; `None` if the kernel does not tell.
    descriptors: Option<u64>,
    /// By descriptor.
    held: Vec<Held>,
}

/// A descriptor, and what says that it is still the same.
#[derive(Debug)]
struct Held {
    fd: u32,
    device: Device,
    file: CachedFile,
    /// Its `fdinfo`, without the position.
    info: Vec<u8>,
}

#[derive(Debug)]
enum Device {
    /// A device by its name; `None` before one is chosen.
    Tun(Option<String>),
    /// A device by its index.
    Macvtap(u32),
}

impl Taps {
    /// Returns the taps that the process holds, by descriptor. `trusted_from` is when a list may
    /// have been taken to be trusted; `None` if nothing is known of the host's taps.
    pub(crate) fn read(
        &mut self,
        folder: &Folder<'_>,
        trusted_from: Option<Instant>,
        name_of: impl Fn(u32) -> Option<String>,
    ) -> io::Result<Vec<Tap>> {
        let now = Instant::now();
        // Before the list: what is opened meanwhile is seen by the next call at the latest.
        let descriptors = self.count(folder)?;
        let mut quota = Quota::new(folder);
        let mut is_same = |held: &mut Held| quota.step().is_ok() && held.is_same(folder);
        let mut is_true = |list: &mut List| {
            trusted_from.is_some_and(|from| list.taken_at >= from)
                && now.duration_since(list.taken_at) < LONGEST
                && descriptors.is_some()
                && list.descriptors == descriptors
                && list.held.iter_mut().all(&mut is_same)
        };
        let kept = self.list.take().and_then(|mut list| is_true(&mut list).then_some(list));
        let list = match kept {
            Some(list) => list,
            None => List { taken_at: now, descriptors, held: look(folder)? },
        };
        let tap = |held: &Held| {
            let (name, is_macvtap) = match &held.device {
                Device::Tun(name) => (name.clone(), false),
                Device::Macvtap(index) => (name_of(*index), true),
            };
            Some(Tap { fd: held.fd, name: name?, is_macvtap })
        };
        Ok(self.list.insert(list).held.iter().filter_map(tap).collect())
    }

    /// Returns the number of descriptors, which Linux tells since 6.2.
    fn count(&mut self, folder: &Folder<'_>) -> io::Result<Option<u64>> {
        let size = self.folder.with(
            folder.proc.budget,
            || folder.open("fd"),
            |fd| Ok(statx(fd, "", AtFlags::EMPTY_PATH, StatxFlags::SIZE)?.stx_size),
        )?;
        Ok(Some(size).filter(|size| *size > 0))
    }
}

/// Looks at every descriptor.
fn look(folder: &Folder<'_>) -> io::Result<Vec<Held>> {
    // Relative to the folder: a path would be resolved anew for each of many descriptors.
    let fds = folder.open("fd")?;
    let mut all = Vec::new();
    let mut target = [MaybeUninit::uninit(); 64];
    for entry in folder.entries(&fds)? {
        let entry = entry?;
        let fd = entry.file_name();
        let device = match readlinkat_raw(&fds, fd, &mut target) {
            Ok((target, _)) => device_of(target),
            Err(_) => None,
        };
        let fd = fd.to_str().ok().and_then(|name| name.parse().ok());
        if let (Some(device), Some(fd)) = (device, fd) {
            let mut held = Held { fd, device, file: CachedFile::default(), info: Vec::new() };
            // One that was closed meanwhile is no tap any more.
            if held.take_info(folder).is_ok() {
                all.push(held);
            }
        }
    }
    all.sort_unstable_by_key(|held| held.fd);
    Ok(all)
}

/// Returns what a descriptor is, by where it leads.
fn device_of(target: &[u8]) -> Option<Device> {
    match target.strip_prefix(b"/dev/")? {
        b"net/tun" => Some(Device::Tun(None)),
        name => {
            let index = std::str::from_utf8(name.strip_prefix(b"tap")?).ok()?.parse().ok()?;
            Some(Device::Macvtap(index))
        }
    }
}

impl Held {
    fn take_info(&mut self, folder: &Folder<'_>) -> io::Result<()> {
        self.info = self.read_info(folder, <[u8]>::to_vec)?;
        if let Device::Tun(name) = &mut self.device {
            let text = String::from_utf8_lossy(&self.info);
            let device = text.lines().find_map(|line| line.strip_prefix("iff:"));
            *name = device.map(|name| name.trim().to_owned());
        }
        Ok(())
    }

    fn is_same(&mut self, folder: &Folder<'_>) -> bool {
        let info = std::mem::take(&mut self.info);
        let is_same = self.read_info(folder, |now| *now == info).unwrap_or(false);
        self.info = info;
        is_same
    }

    fn read_info<T>(
        &mut self,
        folder: &Folder<'_>,
        read: impl FnOnce(&[u8]) -> T,
    ) -> io::Result<T> {
        let fd = self.fd;
        let mut buffer = [0; SMALL];
        let open = || folder.open(&format!("fdinfo/{fd}"));
        let text = self.file.read(folder.proc.budget, &mut buffer, open)?;
        let position = text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len());
        Ok(read(&text[position..]))
    }
}
