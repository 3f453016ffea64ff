//! What the NICs of a guest are: how many, their networks, MAC addresses and models, as its monitor
//! tells them now.
//!
//! The command line would not do. NICs are plugged in and out, also for another one on the same
//! network, the machine brings some, and QEMU chooses an address itself where none was given.

mod search;
mod types;

pub(crate) use search::Search;
pub(crate) use types::is_nic;

use std::{
    slice,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use crate::{
    driver::qemu::{
        Qemu,
        discovery::command_line::CommandLine,
        groups::interface::places,
        guest::Guest,
        monitor::{memory::Memory, query::ObjectPath},
        pass::{self, Conversation, Rules},
        select, stopped,
    },
    host::process::taps::Tap,
};
use crate::{
    host::procfs::Proc,
    model::{
        device::Nic,
        error::{self, ErrorOrigin},
        identity::DomainInfo,
        report::{Missing, MissingReason, StatsReport},
        request::{DomainFilter, StatsGroups},
    },
};

/// The NICs of one guest: more than its PCI buses take on the largest machines that people have.
pub(crate) const NICS: usize = 1024;

/// How long it is believed what the NICs are, as long as nothing says otherwise.
const LONGEST: Duration = Duration::from_secs(60);

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
        let model = types::kind(kind).and_then(types::model)?;
        Some(Self { path: path.to_owned(), network: network.to_owned(), mac: String::new(), model })
    }

    /// Returns all that it consists of.
    pub(crate) fn texts(&self) -> [&String; 4] {
        [&self.path, &self.network, &self.mac, &self.model]
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

impl Qemu {
    /// Returns the NICs of a guest that have a device of the host for certain.
    pub(crate) fn nics_of(
        &self,
        domain: &DomainInfo,
        deadline: Instant,
    ) -> error::Result<Vec<Nic>> {
        let proc = &self.discovery.proc.for_call(deadline);
        let found = self.discovery.find(deadline)?;
        let mut report = StatsReport::new(SystemTime::now());
        let all = DomainFilter::empty();
        let (found, _) = select(proc, found, Some(slice::from_ref(domain)), all, &mut report);
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
            .ask_for_nics(proc, guest, deadline)
            .map_err(|missing| missing.error(ErrorOrigin::Qemu))?;
        Ok(certain(&guest.line, &told, hosts[0].taps.as_deref()))
    }

    fn ask_for_nics(&self, proc: &Proc, guest: &Guest, deadline: Instant) -> Result<Told, Missing> {
        let memory = Memory::new(proc);
        let rules = Rules { deadline, nowait: false, hold: self.hold, memory: &memory };
        let mut conversation = [Conversation::new(guest, Vec::new(), None).find_nics(true)];
        pass::converse(&mut conversation, &rules, proc, || {});
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
