//! What a monitor reported in earlier calls and rarely changes.

use std::sync::Arc;

use crate::{
    driver::qemu::{
        discovery::command_line::name_given,
        guest::Guest,
        monitor::{
            counted::Counted,
            nics,
            query::{Answer, Cpu, ObjectPath, PossibleCpu, Replies},
        },
    },
    host::process::taps::Tap,
    model::{name::Name, report::MissingReason},
};

/// The most bytes of text from one reply that are kept beyond its call: the largest machines need a
/// third.
const KEPT: usize = 1 << 20;

/// What a monitor reported in earlier calls and rarely changes.
#[derive(Debug, Default)]
pub(crate) struct Learned {
    pub(crate) name: Option<Name>,
    /// `Some(None)` if QEMU reported that it was given none.
    pub(super) uuid: Option<Option<uuid::Uuid>>,
    /// The vCPUs, with their threads and paths.
    pub(crate) cpus: Vec<Cpu>,
    /// The maximum number of vCPUs; `Some(None)` if none can be plugged in.
    pub(crate) maximum_vcpus: Option<Option<u32>>,
    /// The statistics that the hypervisor counts; possibly none.
    pub(crate) counted: Option<Arc<Counted>>,
    /// The balloon device's path, if known.
    pub(crate) balloon: Option<ObjectPath>,
    /// The NICs.
    pub(super) nics: Option<Arc<nics::NicSnapshot>>,
}

impl Guest {
    /// Stores what the replies say beyond this call.
    pub(crate) fn learn(&self, replies: &Replies) {
        let mut state = self.state();
        let learned = &mut state.learned;
        if let Some(cpus) = replies.cpus.got() {
            let paths = cpus.iter().filter_map(|cpu| cpu.qom_path.as_ref());
            match is_kept(paths) {
                true => learned.cpus.clone_from(cpus),
                false => learned.cpus.clear(),
            }
        }
        match &replies.possible_cpus {
            Answer::Got(cpus) => {
                let count = |sum: u32, cpu: &PossibleCpu| sum.checked_add(cpu.vcpus_count);
                learned.maximum_vcpus = cpus.iter().try_fold(0, count).map(Some);
            }
            Answer::Missing(_) => learned.maximum_vcpus = Some(None),
            Answer::NotAsked => {}
        }
        match &replies.stats_schemas {
            Answer::Got(schemas) => {
                let stats = schemas.iter().flat_map(|schema| &schema.stats);
                let texts = stats.flat_map(|stat| [Some(&stat.name), stat.unit.as_ref()]).flatten();
                let counted =
                    if is_kept(texts) { Counted::new(schemas) } else { Counted::default() };
                learned.counted = Some(Arc::new(counted));
            }
            // QEMU before 7.1.
            Answer::Missing(missing) if missing.reason == MissingReason::Unsupported => {
                learned.counted = Some(Arc::default());
            }
            _ => {}
        }
        if let Some(reply) = replies.name.got() {
            let name = reply.name.as_deref().and_then(name_given);
            learned.name = name.or(learned.name.take());
        }
        match &replies.uuid {
            Answer::Got(reply) => {
                // QEMU replies with zeros if it was given none.
                let uuid = reply.uuid.parse().ok();
                learned.uuid = Some(uuid.filter(|uuid: &uuid::Uuid| !uuid.is_nil()));
            }
            Answer::Missing(_) => learned.uuid = Some(None),
            Answer::NotAsked => {}
        }
    }

    pub(crate) fn learn_nics(&self, told: nics::NicSnapshot) {
        let texts = told.nics.iter().flat_map(|(device, _)| device.texts());
        self.state().learned.nics = is_kept(texts).then(|| Arc::new(told));
    }

    /// Returns the NICs, if the monitor reported them recently.
    pub(crate) fn nics(&self) -> Option<Arc<nics::NicSnapshot>> {
        self.learned(|learned| learned.nics.clone()).filter(|told| told.is_fresh())
    }

    /// Returns the NICs, as far as they are valid while the process holds these taps.
    pub(crate) fn nics_with(&self, taps: Option<&[Tap]>) -> Option<Arc<nics::NicSnapshot>> {
        self.learned(|learned| learned.nics.clone()).filter(|told| told.taps.as_deref() == taps)
    }

    /// Returns whether the monitor reported the NICs recently, and the taps have changed since.
    pub(crate) fn has_other_taps(&self, taps: Option<&[Tap]>) -> bool {
        let is_other =
            |told: &Arc<nics::NicSnapshot>| told.is_fresh() && told.taps.as_deref() != taps;
        self.learned(|learned| learned.nics.as_ref().is_some_and(is_other))
    }

    pub(crate) fn learn_balloon(&self, path: Option<ObjectPath>) {
        self.state().learned.balloon = path;
    }
}

fn is_kept<'a>(texts: impl Iterator<Item = &'a String>) -> bool {
    texts.map(String::len).sum::<usize>() <= KEPT
}
