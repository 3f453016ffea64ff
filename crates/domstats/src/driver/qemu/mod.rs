//! The QEMU driver: reads QEMU processes directly, without libvirt.
//!
//! | URI | what it reads |
//! |---|---|
//! | `qemu+qmp:///system` | every QEMU process of this host that the caller may see |
//! | `qemu+qmp:///session` | the caller's own QEMU processes |
//!
//! | parameter | meaning |
//! |---|---|
//! | `monitor=GLOB` | also the monitors (QMP Unix sockets) that match; may repeat |
//! | `monitor_policy=shared` | the default: connect, ask, disconnect, so that other managers of the VM can use its monitor |
//! | `monitor_policy=hold` | keep the connections: faster, for monitors that nobody else needs |
//!
//! # What comes from where
//!
//! | group | from the host, always | from the monitor |
//! |---|---|---|
//! | `state` | | `query-status` |
//! | `cpu-total` | `/proc/PID/stat` | |
//! | `balloon` | `-m`, `/proc/PID/stat` | `query-balloon`, `qom-get` of `guest-stats`, `query-memory-size-summary` |
//! | `vcpu` | `/proc/PID/task/TID/schedstat`, and `comm` with `-name debug-threads=on` | else `query-cpus-fast` |
//! | `interface` | `/proc/PID/fdinfo`, `/proc/net/dev` | |
//! | `block` | | `query-blockstats`, `query-named-block-nodes` |
//! | `iothread` | `/proc/PID/task/TID/schedstat` | `query-iothreads` |
//! | `dirtyrate` | | `query-dirty-rate` |
//!
//! A monitor serves one client at a time. One that belongs to libvirtd is never connected to; one
//! that another client has is reported as `busy`. Only queries can be asked.
//!
//! A stopped process (SIGSTOP) is not asked either: it could not answer before it goes on.
//!
//! A domain's [`id`](crate::DomainInfo::id) is its process id.

mod assemble;
mod blocks;
mod command_line;
mod command_lines;
mod discover;
mod guest;
mod monitor;
mod named;
mod pass;
mod processes;
mod query;
#[doc(hidden)]
pub mod reader;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use assemble::{HostSide, SUPPORTED, Sources};
use discover::{Discovery, Found};
use guest::Guest;
use pass::{Conversation, Rules};
use query::Query;

use crate::{
    domain::DomainInfo,
    driver::Driver,
    error::{ErrorOrigin, Result},
    host::procfs::{NetDevice, Proc},
    report::{Missing, MissingDomain, MissingReason, StatsReport},
    request::{DomainFilter, StatsGroups, StatsOptions, StatsRequest},
    uri::Uri,
};

/// The part of a call's time that is left for putting the answer together.
const ASSEMBLY: Duration = Duration::from_millis(20);

pub(crate) fn open(uri: &Uri) -> Result<Box<dyn Driver>> {
    let refuse = |what: String| uri.refuse(ErrorOrigin::Qemu, what);
    let user = match uri.path.as_str() {
        "/system" => None,
        "/session" => Some(rustix::process::geteuid().as_raw()),
        path => {
            return Err(refuse(format!("the path is '{path}', use /system or /session")));
        }
    };
    let mut patterns = Vec::new();
    let mut hold = false;
    for (key, value) in &uri.query {
        match (key.as_str(), value.as_str()) {
            ("monitor", pattern) => {
                glob::Pattern::new(pattern)
                    .map_err(|error| refuse(format!("monitor '{pattern}': {error}")))?;
                patterns.push(pattern.to_owned());
            }
            ("monitor_policy", "shared") => hold = false,
            ("monitor_policy", "hold") => hold = true,
            ("monitor_policy", other) => {
                return Err(refuse(format!("monitor_policy is '{other}', use shared or hold")));
            }
            (key, _) => {
                return Err(refuse(format!(
                    "no parameter '{key}': there are monitor and monitor_policy"
                )));
            }
        }
    }
    Ok(Box::new(Qemu { discovery: Discovery::new(Proc::new("/proc"), user, patterns), hold }))
}

struct Qemu {
    discovery: Discovery,
    hold: bool,
}

/// A guest of one call.
struct Candidate {
    guest: Arc<Guest>,
    host: HostSide,
}

impl Driver for Qemu {
    fn name(&self) -> &'static str {
        "QEMU"
    }

    fn origin(&self) -> ErrorOrigin {
        ErrorOrigin::Qemu
    }

    fn supported(&self) -> StatsGroups {
        SUPPORTED
    }

    fn hostname(&self) -> String {
        rustix::system::uname().nodename().to_string_lossy().into_owned()
    }

    fn close(&self) {
        self.discovery.disconnect();
    }

    fn domains(&self) -> Result<Vec<DomainInfo>> {
        let deadline = Instant::now() + StatsRequest::DEFAULT_TIMEOUT;
        let found = self.discovery.find(deadline)?;
        let nameless = found.guests.iter().filter(|(guest, _)| guest.is_nameless());
        let mut conversations: Vec<Conversation<'_>> = nameless
            .map(|(guest, _)| Conversation::new(guest, vec![Query::Name, Query::Uuid]))
            .collect();
        let rules = Rules { deadline, nowait: false, hold: self.hold };
        pass::converse(&mut conversations, &rules, &self.discovery.proc, || {});
        for conversation in &conversations {
            conversation.guest().learn(&conversation.replies);
        }
        let unnamed = found.missing.into_iter().map(|missing| missing.domain);
        Ok(found.guests.iter().map(|(guest, _)| guest.info()).chain(unnamed).collect())
    }

    fn domain_list_stats(
        &self,
        of: Option<&[DomainInfo]>,
        request: &StatsRequest,
    ) -> Result<StatsReport> {
        let start = Instant::now();
        let mut report = StatsReport::new(SystemTime::now());
        let deadline = start + request.timeout.saturating_sub(ASSEMBLY.min(request.timeout / 4));
        // Command lines are read once in a VM's life, and may use half the time then.
        let found = self.discovery.find(start + request.timeout / 2)?;
        let (candidates, order) = select(found, of, request.filter, &mut report);
        let answers = self.ask(candidates, request, deadline, &mut report);
        for position in order {
            report.domains.extend(answers.get(position).cloned().flatten());
        }
        report.elapsed = start.elapsed();
        Ok(report)
    }
}

impl Qemu {
    /// Asks the candidates and returns their records; `None` for one that is not in the answer.
    fn ask(
        &self,
        mut candidates: Vec<Candidate>,
        request: &StatsRequest,
        deadline: Instant,
        report: &mut StatsReport,
    ) -> Vec<Option<crate::report::DomainStats>> {
        let proc = &self.discovery.proc;
        let guests: Vec<Arc<Guest>> =
            candidates.iter().map(|candidate| Arc::clone(&candidate.guest)).collect();
        if request.groups.contains(StatsGroups::VCPU) {
            let accounts_for_waits = proc.accounts_for_waits();
            for candidate in &mut candidates {
                candidate.host.vcpu_threads = candidate.guest.named_vcpu_threads(proc);
                candidate.host.accounts_for_waits = accounts_for_waits;
            }
        }
        let mut conversations: Vec<Conversation<'_>> = guests
            .iter()
            .zip(&candidates)
            .map(|(guest, candidate)| {
                Conversation::new(guest, assemble::queries(guest, &candidate.host, request))
            })
            .collect();
        for (conversation, candidate) in conversations.iter_mut().zip(&candidates) {
            if candidate.host.stat.as_ref().is_some_and(|stat| stat.state == 'T') {
                conversation.refuse(Missing::new(
                    MissingReason::Timeout,
                    "the QEMU process is stopped (SIGSTOP) and cannot answer",
                ));
            }
        }
        let rules = Rules {
            deadline,
            nowait: request.options.contains(StatsOptions::NOWAIT),
            hold: self.hold,
        };
        let mut networks = Networks::default();
        pass::converse(&mut conversations, &rules, proc, || {
            if request.groups.contains(StatsGroups::INTERFACE) {
                for candidate in &mut candidates {
                    if let Some(pid) = candidate.guest.pid() {
                        candidate.host.namespace = networks.read(proc, pid);
                        candidate.host.taps = proc.taps(pid).ok();
                    }
                }
            }
        });
        let mut records = Vec::new();
        for (conversation, candidate) in conversations.iter().zip(&candidates) {
            let guest = conversation.guest();
            guest.learn(&conversation.replies);
            let missing = conversation.missing.as_ref();
            if let Some(missing) = missing.filter(|_| is_gone(proc, guest)) {
                let gone = Missing::new(MissingReason::Gone, missing.text.clone());
                report.missing.push(MissingDomain::new(guest.info(), gone));
                records.push(None);
                continue;
            }
            match assemble::matches(request.filter, &conversation.replies) {
                Some(true) => {}
                Some(false) => {
                    records.push(None);
                    continue;
                }
                None => {
                    let missing = missing.cloned().unwrap_or_else(|| {
                        Missing::new(MissingReason::Failed, "its state is not known")
                    });
                    report.missing.push(MissingDomain::new(guest.info(), missing));
                    records.push(None);
                    continue;
                }
            }
            let sources = Sources {
                proc,
                guest,
                host: &candidate.host,
                devices: networks.of(candidate.host.namespace),
                replies: &conversation.replies,
                missing,
            };
            records.push(Some(sources.record(request)));
        }
        records
    }
}

/// Returns whether a guest's process is no longer there.
fn is_gone(proc: &Proc, guest: &Guest) -> bool {
    guest.process.is_some_and(|process| !process.is_alive(proc))
}

/// Chooses the guests to ask, and in which order their records are wanted.
fn select(
    found: Found,
    of: Option<&[DomainInfo]>,
    filter: DomainFilter,
    report: &mut StatsReport,
) -> (Vec<Candidate>, Vec<usize>) {
    let matches = |candidate: &Candidate| filter.matches_info(&candidate.guest.info());
    let candidates = found
        .guests
        .into_iter()
        .map(|(guest, stat)| Candidate { guest, host: HostSide { stat, ..HostSide::default() } });
    let Some(of) = of else {
        report.missing.extend(found.missing);
        let candidates: Vec<Candidate> = candidates.filter(matches).collect();
        let order = (0..candidates.len()).collect();
        return (candidates, order);
    };
    let candidates: Vec<Candidate> = candidates.collect();
    let infos: Vec<DomainInfo> = candidates.iter().map(|it| it.guest.info()).collect();
    let mut chosen: Vec<usize> = Vec::new();
    let mut order = Vec::new();
    for wanted in of {
        // The very process if it is still there, else the domain that bears the same name now.
        let same = infos.iter().position(|info| info == wanted).or_else(|| {
            infos.iter().position(|info| info.name == wanted.name && info.uuid == wanted.uuid)
        });
        match same {
            // A listed domain that does not match the filter is dropped, as libvirt does.
            Some(candidate) if !matches(&candidates[candidate]) => {}
            Some(candidate) => {
                let place = chosen.iter().position(|chosen| *chosen == candidate);
                order.push(place.unwrap_or(chosen.len()));
                if place.is_none() {
                    chosen.push(candidate);
                }
            }
            None => {
                let unnamed = found.missing.iter().find(|missing| missing.domain == *wanted);
                let gone = || Missing::new(MissingReason::Gone, "no such QEMU process is running");
                let missing = unnamed.map_or_else(gone, |missing| missing.missing.clone());
                report.missing.push(MissingDomain::new(wanted.clone(), missing));
            }
        }
    }
    let mut slots: Vec<Option<Candidate>> = candidates.into_iter().map(Some).collect();
    let chosen = chosen.into_iter().filter_map(|candidate| slots[candidate].take()).collect();
    (chosen, order)
}

/// The network devices of the namespaces that guests live in, each read once a call.
#[derive(Default)]
struct Networks {
    namespaces: HashMap<Option<u64>, Vec<NetDevice>>,
}

impl Networks {
    /// Reads the devices that a process sees, and returns the namespace that it is in.
    fn read(&mut self, proc: &Proc, pid: u32) -> Option<u64> {
        let namespace = proc.net_namespace(pid);
        self.namespaces
            .entry(namespace)
            .or_insert_with(|| proc.net_devices(pid).unwrap_or_default());
        namespace
    }

    fn of(&self, namespace: Option<u64>) -> &[NetDevice] {
        self.namespaces.get(&namespace).map_or(&[], Vec::as_slice)
    }
}
