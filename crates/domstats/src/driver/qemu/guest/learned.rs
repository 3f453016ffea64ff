//! What a monitor told in earlier calls and does not change often.

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

/// The texts of one answer that are kept beyond its call, in bytes: those of the largest machines take a third.
const KEPT: usize = 1 << 20;

/// What a monitor told in earlier calls and does not change often.
#[derive(Debug, Default)]
pub(crate) struct Learned {
    pub(crate) name: Option<Name>,
    /// `Some(None)` if QEMU said that it was given none.
    pub(crate) uuid: Option<Option<uuid::Uuid>>,
    /// The vCPUs, their threads and paths.
    pub(crate) cpus: Vec<Cpu>,
    /// The most vCPUs; `Some(None)` if the machine cannot have more than it has.
    pub(crate) maximum_vcpus: Option<Option<u32>>,
    /// What the hypervisor counts; nothing, perhaps.
    pub(crate) counted: Option<Arc<Counted>>,
    /// Where the balloon device is, if that is known.
    pub(crate) balloon: Option<ObjectPath>,
    /// The NICs.
    pub(crate) nics: Option<Arc<nics::NicSnapshot>>,
}

impl Guest {
    /// Keeps what the replies tell beyond this call.
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
                // QEMU answers with zeros when it was given none.
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

    /// Returns what the NICs are, if the monitor told lately.
    pub(crate) fn nics(&self) -> Option<Arc<nics::NicSnapshot>> {
        self.learned(|learned| learned.nics.clone()).filter(|told| told.is_fresh())
    }

    /// Returns what the NICs are, as far as it is true while the process holds these taps.
    pub(crate) fn nics_with(&self, taps: Option<&[Tap]>) -> Option<Arc<nics::NicSnapshot>> {
        self.learned(|learned| learned.nics.clone()).filter(|told| told.taps.as_deref() == taps)
    }

    /// Returns whether the monitor told of the NICs lately, and the process holds other taps now.
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
