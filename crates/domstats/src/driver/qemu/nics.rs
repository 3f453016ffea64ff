//! Lists a guest's NICs for [`Domain::nics`](crate::Domain::nics), apart from statistics.

use std::{
    slice,
    time::{Instant, SystemTime},
};

use crate::{
    driver::qemu::{
        Qemu,
        call::{select, stopped},
        discovery::command_line::CommandLine,
        groups::guest_nics,
        guest::Guest,
        monitor::nics::NicSnapshot,
        pass::{self, Conversation},
        reasons,
    },
    host::{process::taps::Tap, procfs::Proc},
    model::{
        device::Nic,
        error::{self, ErrorOrigin},
        identity::DomainInfo,
        report::{Missing, MissingReason, StatsReport},
        request::{DomainFilter, StatsGroups},
    },
};

impl Qemu {
    /// Returns the guest's NICs whose host device is certain.
    pub(super) fn nics_of(
        &self,
        domain: &DomainInfo,
        deadline: Instant,
    ) -> error::Result<Vec<Nic>> {
        let proc = &self.guests.proc().for_call(deadline);
        let found = self.guests.find(deadline)?;
        let mut report = StatsReport::new(SystemTime::now());
        let all = DomainFilter::empty();
        let (found, _) = select(proc, found, Some(slice::from_ref(domain)), all, &mut report);
        let (guests, mut hosts) = self.host.before(proc, found, StatsGroups::INTERFACE);
        let Some(guest) = guests.first() else {
            let missing = report.missing.pop();
            let missing = missing.map_or_else(|| reasons::gone(proc), |missing| missing.missing);
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

    fn ask_for_nics(
        &self,
        proc: &Proc,
        guest: &Guest,
        deadline: Instant,
    ) -> Result<NicSnapshot, Missing> {
        let rules = self.rules(proc, deadline, false);
        let mut conversation = [Conversation::new(guest, Vec::new(), None).find_nics(true)];
        pass::converse(&mut conversation, &rules, proc, || {});
        let [conversation] = conversation;
        let unasked = || Missing::new(MissingReason::Failed, "the monitor was not queried");
        conversation.nics.unwrap_or_else(|| Err(conversation.missing.unwrap_or_else(unasked)))
    }
}

/// Returns the NICs whose host device is certain.
fn certain(line: &CommandLine, told: &NicSnapshot, taps: Option<&[Tap]>) -> Vec<Nic> {
    let nics = guest_nics(line, Some(told), taps);
    let nics = nics.all.iter().filter(|place| place.is_certain).filter_map(|place| {
        let (device, told) = (place.device?.into(), place.told?);
        Some(Nic { device, mac: told.mac.as_str().into(), model: told.model.as_str().into() })
    });
    nics.collect()
}
