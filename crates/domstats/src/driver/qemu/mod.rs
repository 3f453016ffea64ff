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
//! | `monitor_policy=shared` | the default: connect, query, disconnect, so that other managers of the VM can use its monitor |
//! | `monitor_policy=hold` | keep the sessions open: faster, for monitors that nothing else needs |
//! | `trusted=USER,...` | the users whose QEMUs are believed to be who they say, by name or number, besides root and the caller; by default those that libvirt, Incus, LXD and OpenNebula run theirs as |
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
//! KVM's statistics need QEMU 7.1 or later; `query-stats-schemas` is sent once for each process,
//! and nothing after that where nothing is counted.
//!
//! A monitor serves one client at a time. The driver never connects to one that belongs to
//! libvirtd; one that another client uses is reported as `busy`, if the QEMU has no other monitor.
//! Only queries can be sent. The driver connects only to a socket that the kernel says the QEMU
//! holds, and to none in whose queue a connection waits, or which waits for its first client.
//! `docs/qemu.md` describes which monitors are found and used, and what the reasons mean.
//!
//! On a held session, only what can have changed since the last call is queried, judging by QEMU's
//! events and by what the host shows of its process. What can change without any sign is queried
//! once a second: an image's write threshold, a short measurement of the dirty rate, and for a
//! paused guest the reason of its state after it was migrated away and its balloon after a snapshot
//! was loaded.
//!
//! A stopped process (SIGSTOP) is not asked either: it cannot answer until it continues.
//!
//! A cgroup is a VM's own if it has the name that libvirt (`*.libvirt-qemu`,
//! `machine-qemu\x2d*.scope`) or Proxmox (`qemu.slice/NUMBER.scope`) gives to the group of one VM,
//! and holds its QEMU and no other; Proxmox's, no other process at all. Managers create such groups
//! when the VM starts and remove them when it ends; they hold nothing but the VM and what its
//! manager started for it, and the kernel's vhost threads. No other group is used, even if QEMU is
//! alone in it now: the group of a session, a service or a container also counts what ran in it
//! before.
//!
//! Such a cgroup also shows how long the VM waited for CPU, memory and storage (version 2,
//! `*.pressure`) and what it read from and wrote to the host's devices (`io.stat`; version 1,
//! `blkio.throttle.*`, which newer kernels count only where a limit is set).
//!
//! A resctrl group is a VM's if all its threads are, whichever program created it and whatever its
//! name.
//!
//! A domain's [`id`](crate::DomainInfo::id) is its process id.
//!
//! The monitor reports the NICs: `qom-list`, and `qom-get` of each NIC's `netdev`; for
//! [`Domain::nics`](crate::Domain::nics) also of its `mac`. A statistics pass sends these once a
//! minute, when the taps of the process change, and when a held session receives an event about
//! devices.
//!
//! # Performance counters
//!
//! With `?perf=`, the first call for the group `perf` opens a counter for each event and each
//! thread of a QEMU. They count until the connection is closed, including the threads and helpers
//! that QEMU starts meanwhile. So the counters start at 0 with that call, and not with the VM as
//! libvirt's do. If there are more events than the CPU can count at a time, each is counted part of
//! the time: as with libvirt, the numbers are what was counted. An estimate of the rest could step
//! back.
//!
//! Counters take descriptors, events times threads for each VM, and at most a quarter of the
//! caller's limit (`ulimit -n`). Counting needs root, `CAP_PERFMON`, or what
//! `kernel.perf_event_paranoid` allows the user that QEMU runs as. An event that the machine cannot
//! count is absent, with a reason; Linux 4.14 removed `cmt`, `mbmt` and `mbml`.

mod call;
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
use guest::registry::Guests;
use host::Host;
use monitor::budget::MemoryBudget;
use pass::{Conversation, Rules};

use crate::{
    driver::{
        Driver,
        capability::{Nics, Processes},
        options::ConnectOptions,
        uri::Uri,
    },
    host::{perf::Counting, procfs::Proc},
    model::{
        device::{Monitor, Nic},
        error::{self, ErrorOrigin},
        identity::DomainInfo,
        report::{Missing, MissingReason, Phase, StatsReport},
        request::{StatsGroups, StatsRequest},
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
            ("perf", _) if cfg!(not(feature = "perf")) => {
                let what = "this program counts no events (perf): it was built without them";
                return Err(refuse(what.to_owned()));
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

    fn domains(&self, deadline: Instant) -> error::Result<Vec<DomainInfo>> {
        // A guest that its monitor must name is worth no longer wait than its statistics.
        let deadline = deadline.min(Instant::now() + StatsRequest::DEFAULT_TIMEOUT);
        let proc = &self.guests.proc().for_call(deadline);
        let found = self.guests.find(deadline)?;
        let mut conversations: Vec<Conversation<'_>> = found
            .guests
            .iter()
            .map(|(guest, _)| (guest, guest.identity()))
            .filter(|(_, queries)| !queries.is_empty())
            .map(|(guest, queries)| Conversation::new(guest, queries, None))
            .collect();
        let rules = self.rules(proc, deadline, false);
        pass::converse(&mut conversations, &rules, proc, || {});
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
    ) -> error::Result<StatsReport> {
        let start = Instant::now();
        let mut report = StatsReport::new(SystemTime::now());
        let deadline = request.deadline_to_ask(start);
        // Command lines are read once in a VM's life, and may then take half of the time.
        let found = self.guests.find_these(of, start + request.timeout / 2)?;
        report.phases.push(Phase::new("discovery", start.elapsed()));
        let proc = self.guests.proc();
        let (guests, order) = call::select(proc, found, of, request.filter, &mut report);
        let records = self.ask(guests, request, deadline, &mut report);
        report.take_records(records, order);
        report.elapsed = start.elapsed();
        Ok(report)
    }

    fn as_nics(&self) -> Option<&dyn Nics> {
        Some(self)
    }

    fn as_processes(&self) -> Option<&dyn Processes> {
        Some(self)
    }
}

impl Nics for Qemu {
    fn nics(&self, domain: &DomainInfo, deadline: Instant) -> error::Result<Vec<Nic>> {
        self.nics_of(domain, deadline)
    }
}

impl Processes for Qemu {
    fn known(&self, id: u32) -> Option<DomainInfo> {
        self.guests.known_by_id(id)
    }

    fn monitors(&self, domain: &DomainInfo) -> error::Result<Vec<Monitor>> {
        self.guests.monitors(domain).ok_or_else(|| {
            let gone = Missing::new(MissingReason::Gone, "no such QEMU process was found");
            gone.error(ErrorOrigin::Qemu)
        })
    }
}

impl Qemu {
    fn rules<'a>(&self, proc: &'a Proc, deadline: Instant, nowait: bool) -> Rules<'a> {
        Rules { deadline, nowait, hold: self.hold, memory: MemoryBudget::new(proc) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_host_is_refused_with_the_uri_that_works() {
        for host in ["otherhost", "localhost", "user@otherhost:22", "[::1]"] {
            let uri: Uri = format!("qemu+qmp://{host}/system").parse().unwrap();
            let Err(error) = open(&uri, &ConnectOptions::new()) else { panic!("{host} is opened") };
            assert!(error.to_string().contains("qemu+ssh://"), "{host}: {error}");
        }
        let own: Uri = "qemu+qmp:///system".parse().unwrap();
        assert!(open(&own, &ConnectOptions::new()).is_ok());
    }
}
