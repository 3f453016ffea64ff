//! The test driver: simulated domains at `test:///default`, saved documents at `test:///FILE`.
//!
//! It serves demonstrations on a machine without virtual machines, snapshot tests, load tests, and
//! tests of a program's behaviour when a virtual machine misbehaves.
//!
//! # The domains of `test:///default`
//!
//! | domain | state | what it has |
//! |---|---|---|
//! | `vm1` | running | what an ordinary QEMU has: state, cpu, balloon with guest statistics, vCPUs, one virtio NIC with a tap, two disks, one iothread; `perf`, `memory` and `vm` are missing as `unsupported` |
//! | `vm2` | paused | the same; its counters stand still; transient |
//! | `vm3` | running | every group and every field of the catalogue; vCPUs 0, 2 and 3 of 4: number 1 was unplugged; a second interface without a device on the host, counted and not listed |
//! | `vm4` | shut off | what a configuration tells: state, balloon, number of vCPUs, disks; other groups are missing as `inactive` |
//!
//! With more domains, `vm5` is like `vm1`, `vm6` like `vm2` and so on, with sizes and rates of
//! their own. Disk `vda` has a base image, listed with
//! [`BACKING`](crate::StatsOptions::BACKING). UUIDs follow from the seed and the number; the id of
//! an active domain is its number. All groups are supported.
//!
//! Every value is a function of the seed, the domain, the field and the time: counters began at 0
//! in 2026 and grow at a steady rate, so that they also go on from one process to the next. They
//! never step back during a connection. A paused domain ran for one day.
//!
//! # Parameters
//!
//! | parameter | meaning |
//! |---|---|
//! | `domains=N` | `vm1` to `vmN`, 1 to 100,000; 4 by default |
//! | `seed=N` | other sizes, rates and UUIDs; 0 by default |
//! | `clock=fixed` | time stands still at 2026-01-31T00:00:00Z and calls take no time, on paper: two calls give equal reports |
//! | `hang=NAME` | the domain's monitor never answers: its monitor groups are missing as `timeout` when the time is up |
//! | `slow=NAME:300ms` | the domain's monitor answers after this time |
//! | `vanish=NAME` | the domain is listed, and gone when queried |
//! | `deny=NAME` | the domain's monitor groups are missing as `denied` |
//!
//! Each fault may be given for any number of domains, but one domain has one fault. Values that need no
//! monitor are present in spite of it: CPU and vCPU times, interfaces, performance counters, memory
//! bandwidth, the memory's maximum and resident size, pressure and the host's devices. A call waits once, however many domains are
//! late, also with `clock=fixed`; with [`NOWAIT`](crate::StatsOptions::NOWAIT) late domains are
//! `busy` at once. A domain that is shut off has no monitor to fail.
//!
//! ```
//! use std::time::{Duration, Instant};
//! use domstats::{Connect, MissingReason, StatsGroups, StatsRequest};
//!
//! let connect = Connect::open("test:///default?hang=vm1")?;
//! let begin = Instant::now();
//! let request = StatsRequest::new().timeout(Duration::from_millis(100));
//! let report = connect.all_domain_stats(&request)?;
//! assert!(begin.elapsed() >= Duration::from_millis(100));
//!
//! let stuck = report.domain("vm1").unwrap();
//! let missing = stuck.why_missing(StatsGroups::BLOCK).unwrap();
//! assert_eq!(missing.reason, MissingReason::Timeout);
//! assert!(stuck.interface.is_some());
//! assert!(report.domain("vm3").unwrap().missing.is_empty());
//! # Ok::<(), domstats::Error>(())
//! ```
//!
//! # Saved documents
//!
//! `test:///path/to/file.xml` and `test:///path/to/file.json` replay a document that this library
//! wrote: its domains, values and time. Filters and groups select from the saved data, and
//! the supported groups are those that the document has. A domain whose state was not saved matches
//! [`OTHER`](crate::DomainFilter::OTHER) among the states. There are no parameters.
//!
//! ```
//! use domstats::{Connect, StatsRequest};
//!
//! let live = Connect::open("test:///default")?.all_domain_stats(&StatsRequest::new())?;
//! let file = std::env::temp_dir().join(format!("domstats-{}.xml", std::process::id()));
//! std::fs::write(&file, live.to_xml())?;
//!
//! let saved = Connect::open(&format!("test://{}", file.display()))?;
//! assert_eq!(saved.all_domain_stats(&StatsRequest::new())?, live);
//! # std::fs::remove_file(file)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod disks;
mod faults;
mod guests;
mod numbers;
mod replay;
mod values;

use std::{
    slice,
    str::FromStr,
    time::{Duration, Instant, SystemTime},
};

use faults::{Answer, Faults};
use guests::{Guest, Guests};

use crate::{
    driver::{Driver, capability::Nics, options::ConnectOptions, uri::Uri},
    model::{
        device::Nic,
        error::{ErrorOrigin, Result},
        identity::DomainInfo,
        report::{Missing, MissingDomain, MissingReason, StatsReport},
        request::{StatsGroups, StatsRequest},
    },
};

/// The beginning of all counters: 2026-01-01T00:00:00Z.
const EPOCH_SECONDS: u64 = 1_767_225_600;

/// A hundred years: a host's clock may be set to any time, and counters must not overflow.
const MAX_LIFE: Duration = Duration::from_secs(100 * 365 * 86_400);

const MAX_DOMAINS: u32 = 100_000;

pub(crate) fn open(uri: &Uri, _: &ConnectOptions) -> Result<Box<dyn Driver>> {
    if !uri.host.is_empty() {
        return Err(
            uri.refuse(ErrorOrigin::Test, "the test driver has no host: write test:///default")
        );
    }
    match uri.path.as_str() {
        "/default" => Ok(Box::new(TestDriver::open(uri)?)),
        "" | "/" => Err(uri.refuse(
            ErrorOrigin::Test,
            "the path is missing: write test:///default or test:///path/to/file.xml",
        )),
        file => Ok(Box::new(replay::Replay::open(uri, file)?)),
    }
}

/// The simulated domains.
struct TestDriver {
    guests: Guests,
    clock: Clock,
    faults: Faults,
}

impl TestDriver {
    fn open(uri: &Uri) -> Result<Self> {
        let known = |key: &str| ["domains", "seed", "clock"].contains(&key) || is_fault(key);
        if let Some((key, _)) = uri.query.iter().find(|(key, _)| !known(key)) {
            return Err(uri.refuse(
                ErrorOrigin::Test,
                format_args!(
                    "unknown parameter '{key}': the test driver knows domains, seed, clock, {}",
                    faults::KEYS.join(", ")
                ),
            ));
        }
        let guests = Guests {
            count: number(uri, "domains", 1, MAX_DOMAINS)?.unwrap_or(4),
            seed: number(uri, "seed", 0, u64::MAX)?.unwrap_or(0),
        };
        let clock = match single(uri, "clock")? {
            None => Clock::running(),
            Some("fixed") => Clock::Fixed,
            Some(other) => {
                return Err(uri.refuse(
                    ErrorOrigin::Test,
                    format_args!("parameter 'clock={other}' must be 'fixed', or left out"),
                ));
            }
        };
        let faults = Faults::read(uri, &guests)?;
        Ok(Self { guests, clock, faults })
    }

    /// Adds the outcome of querying one domain; returns how long that takes.
    fn ask(
        &self,
        guest: Guest,
        request: &StatsRequest,
        lived: Duration,
        report: &mut StatsReport,
    ) -> Duration {
        if !guest.matches(request.filter) {
            return Duration::ZERO;
        }
        let (wait, lost) = match self.faults.answer(&guest, request) {
            Answer::After(wait) => (wait, None),
            Answer::Lost(wait, missing) => (wait, Some(missing)),
            Answer::Gone => {
                report.missing.push(gone(guest.info()));
                return Duration::ZERO;
            }
        };
        let stats = guest.stats(request, lived, lost.as_ref());
        report.domains.push(stats);
        wait
    }
}

impl Driver for TestDriver {
    fn name(&self) -> &str {
        "TEST"
    }

    fn origin(&self) -> ErrorOrigin {
        ErrorOrigin::Test
    }

    fn supported(&self) -> StatsGroups {
        StatsGroups::all_known()
    }

    fn hostname(&self) -> String {
        hostname()
    }

    fn domains(&self, _: Instant) -> Result<Vec<DomainInfo>> {
        Ok(self.guests.iter().map(|guest| guest.info()).collect())
    }

    fn domain_list_stats(
        &self,
        listed: Option<&[DomainInfo]>,
        request: &StatsRequest,
    ) -> Result<StatsReport> {
        let begin = Instant::now();
        let taken_at = self.clock.now();
        let lived = taken_at.duration_since(epoch()).unwrap_or_default();
        let lived = lived.min(MAX_LIFE);
        let mut report = StatsReport::new(taken_at);
        let mut wait = Duration::ZERO;
        let mut ask = |guest, report: &mut StatsReport| {
            wait = wait.max(self.ask(guest, request, lived, report));
        };
        match listed {
            None => self.guests.iter().for_each(|guest| ask(guest, &mut report)),
            Some(domains) => {
                for (domain, guest) in self.guests.find_all(domains) {
                    match guest {
                        Some(guest) => ask(guest, &mut report),
                        None => report.missing.push(gone(domain.clone())),
                    }
                }
            }
        }
        // Once for all domains, on the caller's thread: other callers do not wait.
        std::thread::sleep(wait.saturating_sub(begin.elapsed()));
        report.elapsed = match self.clock {
            Clock::Running { .. } => begin.elapsed(),
            Clock::Fixed => Duration::ZERO,
        };
        Ok(report)
    }

    fn as_nics(&self) -> Option<&dyn Nics> {
        Some(self)
    }
}

impl Nics for TestDriver {
    fn nics(&self, domain: &DomainInfo, deadline: Instant) -> Result<Vec<Nic>> {
        let left = deadline.saturating_duration_since(Instant::now());
        // They come from the monitor, as the state does.
        let request = StatsRequest::new().groups(StatsGroups::STATE).timeout(left);
        let guest = self.guests.find_all(slice::from_ref(domain)).find_map(|(_, guest)| guest);
        let answer = guest.map_or(Answer::Gone, |guest| self.faults.answer(&guest, &request));
        let (wait, nics) = match (answer, guest) {
            (Answer::After(wait), Some(guest)) => (wait, Ok(guest.nics())),
            (Answer::Lost(wait, missing), _) => (wait, Err(missing)),
            _ => (Duration::ZERO, Err(gone(domain.clone()).missing)),
        };
        std::thread::sleep(wait);
        nics.map_err(|missing| missing.error(ErrorOrigin::Test))
    }
}

/// The clock of the domains.
enum Clock {
    /// The host's clock when the connection was opened, plus the time since: counters do not step
    /// back when the clock is set.
    Running { opened: SystemTime, since: Instant },
    /// Always the same moment.
    Fixed,
}

impl Clock {
    fn running() -> Self {
        Self::Running { opened: SystemTime::now(), since: Instant::now() }
    }

    fn now(&self) -> SystemTime {
        match self {
            Self::Running { opened, since } => *opened + since.elapsed(),
            Self::Fixed => epoch() + Duration::from_secs(30 * 86_400),
        }
    }
}

fn epoch() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(EPOCH_SECONDS)
}

fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn gone(domain: DomainInfo) -> MissingDomain {
    let text = "the domain is gone";
    MissingDomain::new(domain, Missing::new(MissingReason::Gone, text))
}

fn is_fault(key: &str) -> bool {
    faults::KEYS.contains(&key)
}

/// Returns the value of a parameter that may occur once.
fn single<'a>(uri: &'a Uri, key: &str) -> Result<Option<&'a str>> {
    let mut values = uri.query.iter().filter(|(k, _)| k == key);
    let first = values.next();
    if values.next().is_some() {
        return Err(uri.refuse(
            ErrorOrigin::Test,
            format_args!("parameter '{key}' is given twice: give it once"),
        ));
    }
    Ok(first.map(|(_, value)| value.as_str()))
}

fn number<T: FromStr + PartialOrd + std::fmt::Display>(
    uri: &Uri,
    key: &str,
    low: T,
    high: T,
) -> Result<Option<T>> {
    let Some(text) = single(uri, key)? else {
        return Ok(None);
    };
    match text.parse() {
        Ok(number) if low <= number && number <= high => Ok(Some(number)),
        _ => Err(uri.refuse(
            ErrorOrigin::Test,
            format_args!("parameter '{key}={text}' must be a number from {low} to {high}"),
        )),
    }
}
