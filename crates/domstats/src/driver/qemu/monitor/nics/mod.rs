//! A guest's NICs: their number, networks, MAC addresses and models, as its monitor reports them
//! now.
//!
//! The command line is not enough. NICs are plugged in and out, also to replace one on the same
//! network, the machine adds some, and QEMU chooses an address if none is given.

mod search;

pub(crate) use search::Search;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

#[cfg(test)]
use crate::driver::qemu::discovery::nic_models;
use crate::{
    driver::qemu::{discovery::command_line::CommandLine, monitor::query::ObjectPath},
    host::process::taps::Tap,
};

/// How long the list of NICs is trusted if nothing contradicts it.
const LONGEST: Duration = Duration::from_secs(60);

/// A NIC, as QEMU reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Device {
    /// Its path in QEMU's object tree.
    pub(super) path: ObjectPath,
    /// The id of its network; empty if it has none.
    network: String,
    /// Empty if it was not queried.
    pub(crate) mac: String,
    pub(crate) model: String,
}

impl Device {
    #[cfg(test)]
    pub(crate) fn new(path: &str, network: &str, kind: &str) -> Option<Self> {
        let model = nic_models::kind(kind).and_then(nic_models::model)?;
        Some(Self { path: path.to_owned(), network: network.to_owned(), mac: String::new(), model })
    }

    /// Returns all its texts.
    pub(crate) fn texts(&self) -> [&String; 4] {
        [&self.path, &self.network, &self.mac, &self.model]
    }

    pub(crate) fn network(&self) -> &str {
        &self.network
    }

    /// Returns its id, if it has one.
    pub(crate) fn id(&self) -> Option<&str> {
        self.path.strip_prefix("/machine/peripheral/")
    }

    /// Returns whether the machine created it, and not `-device`.
    fn is_boards(&self) -> bool {
        !self.path.starts_with("/machine/peripheral")
    }

    /// Returns its number, if it has no id: 2 of `device[2]`.
    fn number(&self) -> u32 {
        let digits: String = self.path.chars().filter(char::is_ascii_digit).collect();
        digits.parse().unwrap_or(u32::MAX)
    }
}

/// The NICs that a monitor reported.
#[derive(Debug)]
pub(crate) struct NicSnapshot {
    pub(crate) at: Instant,
    /// In the order of the command line, each with its position there, then those that were plugged
    /// in.
    pub(crate) nics: Vec<(Device, Option<usize>)>,
    /// The taps that the process held at that time.
    pub(crate) taps: Option<Arc<[Tap]>>,
}

impl NicSnapshot {
    /// Sorts NICs: QEMU reports them in no order.
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
            // NICs without an id are identified by their order.
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

    /// Returns whether it is recent enough to be trusted.
    pub(crate) fn is_fresh(&self) -> bool {
        self.at.elapsed() < LONGEST
    }
}
