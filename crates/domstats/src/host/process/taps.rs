//! The taps of a QEMU process.
//!
//! Examining every descriptor of a process costs more than all other host-side data together. So
//! the list is cached, and rebuilt as soon as a sign shows that it may be stale:
//!
//! - `fdinfo` of a known tap differs: the tap was closed, its number was reused, or its device was
//!   renamed.
//! - The number of descriptors differs: it does when a tap is added and nothing else is closed.
//! - A tap of the host was created, opened or changed since ([`Links`]), or so shortly before that
//!   its descriptor may still have been on its way to QEMU.
//!
//! These signs miss a tap that was handed to QEMU long after it was created, while QEMU closed just
//! as many other descriptors between two calls. Such a tap is found after [`LONGEST`] at the
//! latest.
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

/// The maximum age of a list.
const LONGEST: Duration = Duration::from_secs(60);

/// A tap's descriptor.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tap {
    pub(crate) fd: u32,
    /// The network device.
    pub(crate) name: String,
    /// Whether it is a macvtap: the host counts its traffic from the guest's side.
    pub(crate) is_macvtap: bool,
}

/// The taps of a process when they were last listed.
#[derive(Debug, Default)]
pub(super) struct Taps {
    /// The folder of the process's descriptors.
    folder: CachedFile,
    list: Option<List>,
}

#[derive(Debug)]
struct List {
    taken_at: Instant,
    /// The number of descriptors; `None` if the kernel does not report it.
    descriptors: Option<u64>,
    /// By descriptor.
    held: Vec<Held>,
}

/// A descriptor, and what shows that it is unchanged.
#[derive(Debug)]
struct Held {
    fd: u32,
    device: Device,
    file: CachedFile,
    /// Its `fdinfo`, without the file position.
    info: Vec<u8>,
}

#[derive(Debug)]
enum Device {
    /// A device by name; `None` before the process has chosen one.
    Tun(Option<String>),
    /// A device by index.
    Macvtap(u32),
}

impl Taps {
    /// Returns the process's taps, by descriptor. A list taken after `trusted_from` can be trusted;
    /// `None` if the host's taps are not watched.
    pub(super) fn read(
        &mut self,
        folder: &Folder<'_>,
        trusted_from: Option<Instant>,
        name_of: impl Fn(u32) -> Option<String>,
    ) -> io::Result<Vec<Tap>> {
        let now = Instant::now();
        // Counted before the list: the next call at the latest sees what is opened meanwhile.
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

    /// Returns the number of descriptors, which Linux reports since 6.2.
    fn count(&mut self, folder: &Folder<'_>) -> io::Result<Option<u64>> {
        let size = self.folder.with(
            folder.proc.budget,
            || folder.open("fd"),
            |fd| Ok(statx(fd, "", AtFlags::EMPTY_PATH, StatxFlags::SIZE)?.stx_size),
        )?;
        Ok(Some(size).filter(|size| *size > 0))
    }
}

/// Examines every descriptor.
fn look(folder: &Folder<'_>) -> io::Result<Vec<Held>> {
    // Relative to the folder, since an absolute path would be resolved again for each of many
    // descriptors.
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
            // A descriptor closed meanwhile is no longer a tap.
            if held.take_info(folder).is_ok() {
                all.push(held);
            }
        }
    }
    all.sort_unstable_by_key(|held| held.fd);
    Ok(all)
}

/// Returns the tap that a descriptor is, by its target.
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
