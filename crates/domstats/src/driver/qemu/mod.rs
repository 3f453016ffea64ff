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
//! | `trusted=USER,...` | the users whose QEMUs are believed to be who they say, by name or number, beside root and the caller; without it those that libvirt, Incus, LXD and OpenNebula run theirs as |
//! | `perf=EVENT,...` | count these events for the group `perf`: libvirt's names, such as `cpu_cycles,instructions,page_faults`, or `all` |
//!
//! # What comes from where
//!
//! | group | from the host, always | from the monitor |
//! |---|---|---|
//! | `state` | | `query-status` |
//! | `cpu-total` | the VM's own cgroup, else `/proc/PID/stat`; `/sys/fs/resctrl` | with KVM `query-stats` of the vCPUs |
//! | `balloon` | `-m`, `/proc/PID/stat`, the VM's own cgroup | `query-balloon`, `qom-get` of `guest-stats`, `query-memory-size-summary` |
//! | `vcpu` | `/proc/PID/task/TID/schedstat`, and `comm` with `-name debug-threads=on` | else `query-cpus-fast`; with KVM `query-stats` of the vCPUs |
//! | `interface` | `/proc/PID/fdinfo`, `/proc/net/dev` | |
//! | `block` | the VM's own cgroup | `query-blockstats`, `query-named-block-nodes` |
//! | `perf` | `perf_event_open`, with `?perf=` | |
//! | `iothread` | `/proc/PID/task/TID/schedstat` | `query-iothreads` |
//! | `memory` | `/sys/fs/resctrl` | |
//! | `dirtyrate` | | `query-dirty-rate` |
//! | `vm` | | with KVM `query-stats` of the guest |
//! | `cryptodev`, if it is asked for | | `query-stats` of crypto devices, QEMU 8.0 or later |
//!
//! What KVM counts comes from QEMU 7.1 or later; `query-stats-schemas` is asked once for each
//! process, and nothing after that where nothing is counted.
//!
//! A monitor serves one client at a time. One that belongs to libvirtd is never connected to; one
//! that another client has is reported as `busy`, if the QEMU has no other one. Only queries can be
//! asked. Only a socket that the kernel says the QEMU holds is connected to, and none in whose queue a
//! connection waits, or which waits for its first client. Which monitors are found and used, and what
//! the reasons mean, stands in `docs/qemu.md`.
//!
//! A held monitor is asked only what can have changed since the last call, by QEMU's events and by
//! what the host shows of its process. What can change without any sign is asked once a second:
//! the write threshold of an image, a short measurement of the dirty rate, and of a paused guest
//! the reason of its state after it was migrated away and its balloon after a snapshot was loaded.
//!
//! A stopped process (SIGSTOP) is not asked either: it could not answer before it goes on.
//!
//! A cgroup is a VM's own if it bears the name that libvirt (`*.libvirt-qemu`,
//! `machine-qemu\x2d*.scope`) or Proxmox (`qemu.slice/NUMBER.scope`) gives to the group of one VM,
//! and holds its QEMU and no other; Proxmox's, no other process at all. Both are made when the VM
//! starts and go when it ends, and hold nothing but the VM and what its manager started for it,
//! the kernel's vhost threads included. No other group is used, even if QEMU is alone in it now: a
//! session, a service or a container also counts what ran in it before.
//!
//! Such a cgroup also tells how long the VM waited for CPU, memory and storage (version 2,
//! `*.pressure`) and what it read from the host's devices and wrote to them (`io.stat`; version 1,
//! `blkio.throttle.*`, which newer kernels count only where there is a limit).
//!
//! A group of resctrl is a VM's if all its threads are, whoever made it and whatever its name.
//!
//! A domain's [`id`](crate::DomainInfo::id) is its process id.
//!
//! What its NICs are the monitor tells: `qom-list`, and `qom-get` of each NIC's `netdev`, for
//! [`Domain::nics`](crate::Domain::nics) also of its `mac`. A pass for statistics asks that once a
//! minute, when the taps of the process changed, and when a held monitor tells of a change.
//!
//! # Performance counters
//!
//! With `?perf=`, the first call that asks for the group `perf` opens a counter for each event and
//! each thread of a QEMU; they count until the connection is closed, the threads and helpers that
//! QEMU starts meanwhile included. So they begin at 0 then, and not with the VM as libvirt's do. Of more
//! events than the CPU can count at a time, each is counted for a part of the time: as with
//! libvirt, the numbers are what was counted. An estimate of the rest could step back.
//!
//! Counters take descriptors, events times threads for each VM, and at most a quarter of those that
//! the caller may have open (`ulimit -n`). The rights are root's, `CAP_PERFMON`, or those that
//! `kernel.perf_event_paranoid` leaves to the user that QEMU runs as. An event that the machine
//! cannot count is absent, with a reason; `cmt`, `mbmt` and `mbml` went from Linux with 4.14.

mod discovery;
pub(crate) mod fuzz;
mod groups;
mod guest;
mod host;
pub(crate) mod monitor;
mod nics;
mod pass;
mod reasons;

use std::time::{Instant, SystemTime};

use discovery::{Discovery, trust::Trusted};
use groups::Sources;
use guest::{
    Guest,
    registry::{Found, Guests, Sighting},
};
use host::{Host, HostSide, Networks};
use monitor::{kept::Sight, memory::Memory, nics::Told};
use pass::{Conversation, Rules};

use crate::{
    driver::{Driver, options::ConnectOptions, uri::Uri},
    host::{perf::Counting, procfs::Proc},
    model::{
        device::{Monitor, Nic},
        error::{self, ErrorOrigin},
        identity::DomainInfo,
        report::{DomainStats, Missing, MissingDomain, MissingReason, Phase, StatsReport},
        request::{DomainFilter, StatsGroups, StatsOptions, StatsRequest},
    },
};

pub(crate) fn open(uri: &Uri, _: &ConnectOptions) -> error::Result<Box<dyn Driver>> {
    let refuse = |what: String| uri.refuse(ErrorOrigin::Qemu, what);
    if !uri.host.is_empty() {
        let host = &uri.host;
        return Err(refuse(format!(
            "this driver reads the QEMUs of its own host only: for those of {host} use \
             qemu+ssh://{host}/system, or run domstatsd there"
        )));
    }
    let user = match uri.path.as_str() {
        "/system" => None,
        "/session" => Some(rustix::process::geteuid().as_raw()),
        path => {
            return Err(refuse(format!("the path is '{path}', use /system or /session")));
        }
    };
    let mut patterns = Vec::new();
    let mut hold = false;
    let mut counting = None;
    let mut trusted = None;
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
            ("trusted", users) => {
                trusted = Some(Trusted::parse(users).map_err(|user| {
                    refuse(format!("/etc/passwd has no user '{user}' (trusted): use its number"))
                })?);
            }
            ("perf", events) => {
                counting = Some(Counting::parse(events).map_err(|event| {
                    refuse(format!("perf has no event '{event}', use {}", Counting::names()))
                })?);
            }
            (key, _) => {
                return Err(refuse(format!(
                    "no parameter '{key}': there are monitor, monitor_policy, trusted and perf"
                )));
            }
        }
    }
    let trusted = trusted.unwrap_or_else(Trusted::usual);
    let discovery = Discovery::new(Proc::new("/proc"), user, trusted, patterns);
    Ok(Box::new(Qemu { guests: Guests::new(discovery), host: Host::new(counting), hold }))
}

struct Qemu {
    guests: Guests,
    host: Host,
    hold: bool,
}

impl Driver for Qemu {
    fn name(&self) -> &str {
        "QEMU"
    }

    fn origin(&self) -> ErrorOrigin {
        ErrorOrigin::Qemu
    }

    fn supported(&self) -> StatsGroups {
        StatsGroups::all_known()
    }

    fn hostname(&self) -> String {
        rustix::system::uname().nodename().to_string_lossy().into_owned()
    }

    fn close(&self) {
        self.guests.disconnect();
    }

    fn domains(&self) -> error::Result<Vec<DomainInfo>> {
        let deadline = Instant::now() + StatsRequest::DEFAULT_TIMEOUT;
        let proc = &self.guests.proc().for_call(deadline);
        let found = self.guests.find(deadline)?;
        let mut conversations: Vec<Conversation<'_>> = found
            .guests
            .iter()
            .map(|(guest, _)| (guest, guest.identity()))
            .filter(|(_, queries)| !queries.is_empty())
            .map(|(guest, queries)| Conversation::new(guest, queries, None))
            .collect();
        let memory = Memory::new(proc);
        let rules = Rules { deadline, nowait: false, hold: self.hold, memory: &memory };
        pass::converse(&mut conversations, &rules, proc, || {});
        for conversation in &conversations {
            conversation.guest().learn(&conversation.replies);
        }
        let unnamed = found.missing.into_iter().map(|missing| missing.domain);
        Ok(found.guests.iter().map(|(guest, _)| guest.info()).chain(unnamed).collect())
    }

    fn nics(&self, domain: &DomainInfo, deadline: Instant) -> error::Result<Vec<Nic>> {
        self.nics_of(domain, deadline)
    }

    fn monitors(&self, domain: &DomainInfo) -> error::Result<Vec<Monitor>> {
        self.guests.monitors(domain).ok_or_else(|| {
            let gone = Missing::new(MissingReason::Gone, "no such QEMU process was found");
            gone.error(ErrorOrigin::Qemu)
        })
    }

    fn known(&self, id: u32) -> Option<DomainInfo> {
        self.guests.known_by_id(id)
    }

    fn domain_list_stats(
        &self,
        of: Option<&[DomainInfo]>,
        request: &StatsRequest,
    ) -> error::Result<StatsReport> {
        let start = Instant::now();
        let mut report = StatsReport::new(SystemTime::now());
        let deadline = request.deadline_to_ask(start);
        // Command lines are read once in a VM's life, and may use half the time then.
        let found = self.guests.find_these(of, start + request.timeout / 2)?;
        report.phases.push(Phase::new("discovery", start.elapsed()));
        let proc = self.guests.proc();
        let (guests, order) = select(proc, found, of, request.filter, &mut report);
        let records = self.ask(guests, request, deadline, &mut report);
        report.take_records(records, order);
        report.elapsed = start.elapsed();
        Ok(report)
    }
}

impl Qemu {
    /// Asks guests and returns their records; `None` for one that is not in the answer.
    fn ask(
        &self,
        guests: Vec<Sighting>,
        request: &StatsRequest,
        deadline: Instant,
        report: &mut StatsReport,
    ) -> Vec<Option<DomainStats>> {
        let proc = &self.guests.proc().for_call(deadline);
        let start = Instant::now();
        let (guests, mut hosts) = self.host.before(proc, guests, request.groups);
        let sight = |guest: &Guest, host: &HostSide| {
            self.hold.then(|| Sight::new(proc, guest.process, host.threads.clone()))
        };
        let mut conversations: Vec<Conversation<'_>> = guests
            .iter()
            .zip(&hosts)
            .map(|(guest, host)| begin(guest, host, request, sight(guest, host)))
            .collect();
        let memory = Memory::new(proc);
        let rules = Rules {
            deadline,
            nowait: request.options.contains(StatsOptions::NOWAIT),
            hold: self.hold,
            memory: &memory,
        };
        let mut networks = Networks::default();
        let mut host_time = start.elapsed();
        pass::converse(&mut conversations, &rules, proc, || {
            let start = Instant::now();
            networks = self.host.meanwhile(proc, &guests, &mut hosts, request.groups, deadline);
            host_time += start.elapsed();
        });
        if request.groups.contains(StatsGroups::INTERFACE) {
            for (conversation, host) in conversations.iter_mut().zip(&mut hosts) {
                learn_nics(conversation, host);
            }
            ask_for_new_nics(proc, &conversations, &mut hosts, &rules);
        }
        let monitor_time = start.elapsed().saturating_sub(host_time);
        let start = Instant::now();
        let records = conversations.iter().zip(&hosts).map(|(conversation, host)| {
            let guest = conversation.guest();
            guest.learn(&conversation.replies);
            let devices = networks.of(host.namespace);
            let replies = &conversation.replies;
            let missing = conversation.missing.as_ref();
            let sources = Sources { proc, guest, host, devices, replies, missing, request };
            record(&sources).unwrap_or_else(|missing| {
                report.missing.push(MissingDomain::new(guest.info(), missing));
                None
            })
        });
        let records = records.collect();
        report.phases.extend([
            Phase::new("host", host_time),
            Phase::new("monitors", monitor_time),
            Phase::new("assembling", start.elapsed()),
        ]);
        records
    }
}

/// Asks again for the NICs of guests whose taps are others now.
fn ask_for_new_nics(
    proc: &Proc,
    conversations: &[Conversation<'_>],
    hosts: &mut [HostSide],
    rules: &Rules<'_>,
) {
    let has_other_taps = |(conversation, host): &(&Conversation<'_>, &mut HostSide)| {
        conversation.missing.is_none() && conversation.guest().has_other_taps(host.taps.as_deref())
    };
    let (mut again, hosts): (Vec<_>, Vec<_>) = conversations
        .iter()
        .zip(hosts)
        .filter(has_other_taps)
        .map(|(conversation, host)| {
            (Conversation::new(conversation.guest(), Vec::new(), None).find_nics(false), host)
        })
        .unzip();
    pass::converse(&mut again, rules, proc, || {});
    for (conversation, host) in again.iter_mut().zip(hosts) {
        learn_nics(conversation, host);
    }
}

/// Keeps what a conversation told of the NICs, or why it did not.
fn learn_nics(conversation: &mut Conversation<'_>, host: &mut HostSide) {
    match conversation.nics.take() {
        Some(Ok(told)) => {
            conversation.guest().learn_nics(Told { taps: host.taps.clone(), ..told });
        }
        Some(Err(missing)) => host.lacks_interfaces = Some(missing),
        None => {}
    }
}

/// Prepares the questions to a guest. One that is stopped is not asked: it could not answer, and
/// the questions would wait for it.
fn begin<'a>(
    guest: &'a Guest,
    host: &HostSide,
    request: &StatsRequest,
    sight: Option<Sight<'a>>,
) -> Conversation<'a> {
    let queries = groups::queries(guest, host, request);
    let is_held = sight.is_some();
    let mut conversation = Conversation::new(guest, queries, sight);
    if request.options.contains(StatsOptions::BACKING) {
        conversation = conversation.find_copies();
    }
    if request.groups.contains(StatsGroups::INTERFACE) && guest.monitors.is_ok() {
        conversation = match guest.nics() {
            None => conversation.find_nics(false),
            Some(_) if is_held => conversation.watch_nics(),
            Some(_) => conversation,
        };
    }
    if let Some(missing) = stopped(host) {
        guest.excuse();
        conversation.refuse(missing);
    }
    conversation
}

/// Returns why a guest cannot be asked, if its process is stopped.
fn stopped(host: &HostSide) -> Option<Missing> {
    let text = "the QEMU process is stopped (SIGSTOP) and cannot answer";
    (host.stat.state == 'T').then(|| Missing::new(MissingReason::Timeout, text))
}

/// Returns the record of a guest, `None` if it does not match the filter, or why there is none.
fn record(sources: &Sources<'_>) -> Result<Option<DomainStats>, Missing> {
    if let Some(missing) = sources.missing.filter(|_| is_gone(sources.proc, sources.guest)) {
        return Err(Missing::new(MissingReason::Gone, missing.text.clone()));
    }
    match groups::matches(sources.request.filter, sources.replies) {
        Some(true) => Ok(Some(sources.record())),
        Some(false) => Ok(None),
        None => Err(sources.missing.cloned().unwrap_or_else(|| {
            Missing::new(MissingReason::Failed, "the monitor did not tell its state")
        })),
    }
}

/// Returns whether a guest's process is no longer there.
fn is_gone(proc: &Proc, guest: &Guest) -> bool {
    !guest.process.is_alive(proc)
}

/// Chooses the guests to ask, and for a list the places of their records: one for each occurrence.
fn select(
    proc: &Proc,
    found: Found,
    of: Option<&[DomainInfo]>,
    filter: DomainFilter,
    report: &mut StatsReport,
) -> (Vec<Sighting>, Option<Vec<usize>>) {
    let matches = |(guest, _): &Sighting| filter.matches_info(&guest.info());
    let Some(of) = of else {
        report.missing.extend(found.missing);
        return (found.guests.into_iter().filter(matches).collect(), None);
    };
    let infos: Vec<DomainInfo> = found.guests.iter().map(|(guest, _)| guest.info()).collect();
    // The place of each found guest among the chosen ones.
    let mut places: Vec<Option<usize>> = vec![None; infos.len()];
    let mut chosen = Vec::new();
    let mut order = Vec::new();
    for wanted in of {
        match DomainInfo::place(&infos, wanted) {
            // A listed domain that does not match the filter is dropped, as libvirt does.
            Ok(Some(number)) if !matches(&found.guests[number]) => {}
            Ok(Some(number)) => order.push(*places[number].get_or_insert_with(|| {
                chosen.push(found.guests[number].clone());
                chosen.len() - 1
            })),
            Err(missing) => report.missing.push(MissingDomain::new(wanted.clone(), missing)),
            Ok(None) => {
                let unnamed = found.missing.iter().find(|missing| missing.domain.is_very(wanted));
                let gone = || reasons::gone(proc);
                let missing = unnamed.map_or_else(gone, |missing| missing.missing.clone());
                report.missing.push(MissingDomain::new(wanted.clone(), missing));
            }
        }
    }
    (chosen, Some(order))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_host_is_refused_with_the_way_that_works() {
        for host in ["otherhost", "localhost", "user@otherhost:22", "[::1]"] {
            let uri: Uri = format!("qemu+qmp://{host}/system").parse().unwrap();
            let Err(error) = open(&uri, &ConnectOptions::new()) else { panic!("{host} is opened") };
            assert!(error.to_string().contains("qemu+ssh://"), "{host}: {error}");
        }
        let own: Uri = "qemu+qmp:///system".parse().unwrap();
        assert!(open(&own, &ConnectOptions::new()).is_ok());
    }
}
