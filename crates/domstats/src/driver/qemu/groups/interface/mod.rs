//! The group `interface`: the host's counters for the devices of the guest's NICs.
//!
//! A conversation of its own (`monitor/nics`) finds the NICs, once a minute.

pub(super) mod nics;

use crate::{
    driver::qemu::{
        discovery::command_line::Backend,
        groups::{GroupReader, QueryList, Sources},
    },
    host::{
        process::taps::Tap,
        procfs::{NetCounters, NetDevices},
    },
    model::{
        report::{DomainStats, Missing, MissingReason},
        request::StatsGroups,
        stats::{Interface, Interfaces},
    },
};
use nics::{GuestNics, guest_nics};

pub(super) const READER: GroupReader = GroupReader { group: StatsGroups::INTERFACE, ask, fill };

fn ask(_: &mut QueryList<'_>) {}

fn fill(sources: &Sources<'_>, stats: &mut DomainStats) -> Option<Missing> {
    let taps = sources.host.taps.as_deref();
    let told = sources.guest.nics_with(taps);
    let nics = guest_nics(&sources.guest.line, told.as_deref(), taps);
    stats.interface = Some(interfaces(&nics, taps, sources.devices));
    if let Some(missing) = &sources.host.lacks_interfaces {
        return Some(missing.clone());
    }
    let networks = &sources.guest.line.networks;
    let needs_taps = networks.iter().any(|network| matches!(network.backend, Backend::TapFds(_)));
    if needs_taps && taps.is_none() {
        let text = "no right to see which taps the process holds: run as root or as the VM's user";
        return Some(Missing::new(MissingReason::Denied, text));
    }
    if !nics.is_all {
        let text = "the monitor did not report whether the machine has a NIC";
        let unasked = || Missing::new(MissingReason::Failed, text);
        let why = sources.missing.or(sources.guest.monitors.as_ref().err());
        return Some(why.cloned().unwrap_or_else(unasked));
    }
    nics.uncounted().map(|text| Missing::new(MissingReason::Unsupported, text))
}

/// Returns a guest's interfaces. `taps` are those that the process holds, by descriptor; if they
/// are `None`, unknown, only the command line counts.
fn interfaces(
    nics: &GuestNics<'_>,
    taps: Option<&[Tap]>,
    devices: Option<&NetDevices>,
) -> Interfaces {
    let interfaces = nics.all.iter().zip(0..).map(|(place, index)| {
        let Some(name) = place.device else {
            return Interface { index, ..Interface::default() };
        };
        let is_macvtap =
            taps.is_some_and(|taps| taps.iter().any(|tap| tap.is_macvtap && tap.name == name));
        // What the host receives from a tap, the guest has transmitted. A macvtap is counted from
        // the guest's side.
        let counters =
            devices.and_then(|devices| devices.get(name)).map(|device| match is_macvtap {
                true => (device.received, device.transmitted),
                false => (device.transmitted, device.received),
            });
        interface(index, name, counters)
    });
    Interfaces {
        count: u32::try_from(nics.all.len()).ok().filter(|_| nics.is_all),
        interfaces: interfaces.collect(),
        ..Interfaces::default()
    }
}

fn interface(index: u32, name: &str, counters: Option<(NetCounters, NetCounters)>) -> Interface {
    let mut interface = Interface { index, name: Some(name.into()), ..Interface::default() };
    if let Some((rx, tx)) = counters {
        interface.rx_bytes = Some(rx.bytes);
        interface.rx_pkts = Some(rx.packets);
        interface.rx_errs = Some(rx.errors);
        interface.rx_drop = Some(rx.drops);
        interface.tx_bytes = Some(tx.bytes);
        interface.tx_pkts = Some(tx.packets);
        interface.tx_errs = Some(tx.errors);
        interface.tx_drop = Some(tx.drops);
    }
    interface
}
