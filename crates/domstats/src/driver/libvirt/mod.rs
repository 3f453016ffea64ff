//! The libvirt driver: asks a libvirt daemon over its own protocol, without any library of libvirt.
//!
//! | URI | what it reads |
//! |---|---|
//! | `qemu:///system` | the domains of this host's libvirt, by its socket for reading |
//! | `qemu:///session` | the caller's own |
//! | `qemu+unix:///system?socket=PATH` | those of the daemon at that socket |
//! | `qemu+tls://HOST/system` | those of another host, by TLS with libvirt's certificates (`?pkipath=DIR`, `?no_verify=1`) |
//! | `qemu+ssh://USER@HOST/system` | by `ssh` (`?keyfile=`, `?command=`, `?netcat=`, `?proxy=`, `?no_tty=1`) |
//! | `qemu+tcp://HOST/system` | by TCP without encryption |
//! | `lxc:///system`, `test+unix:///default`, ... | what libvirt's other drivers have |
//!
//! URIs mean what they mean to libvirt. Connections are opened for reading only.
//!
//! # What it does better than libvirt's own client
//!
//! A daemon works through a bulk call on one thread, domain by domain, and waits for a stuck one
//! for ever. This driver makes many small calls side by side, over several connections. What
//! needs no monitor (`state`, `interface`, `perf`, `memory`) is requested separately, and is
//! there whatever the monitors do. No call waits for a domain that did not answer in time until it answers
//! again. At most 8 calls that may need a monitor are in flight, abandoned ones included: a daemon
//! handles 20 calls at once by default, so libvirt stays usable for other clients.
//!
//! # What it leaves out
//!
//! The CPU times of inactive domains: libvirt gives those of its daemon. Everything else is passed
//! on, including fields that this version does not know.

mod address;
mod auth_file;
pub(crate) mod fuzz;
mod health;
mod hello;
mod link;
mod listing;
mod pass;
mod plan;
mod pool;
mod record;
mod relay;
mod sasl;
mod transport;
mod window;
pub(crate) mod wire;

use std::{
    thread,
    time::{Duration, Instant, SystemTime},
};

use domstats_rpc::{message::DomainFlags, procedure::DomainGetXmlDesc};
use uuid::Uuid;

pub(crate) use address::serves;
use address::{Address, Transport};
use hello::Peer;
use link::silent;
use listing::Selection;
use pass::Pass;
use plan::Plan;
use pool::Pool;

use crate::{
    driver::{
        Driver,
        capability::{Call, Descriptions, Relay, Relayed},
        options::ConnectOptions,
        uri::Uri,
    },
    model::{
        error::{self, Error, ErrorKind, ErrorOrigin},
        identity::DomainInfo,
        report::{MissingDomain, StatsReport},
        request::{DomainFilter, StatsGroups, StatsRequest},
    },
};

/// The pauses between attempts to reach a daemon that went away during a call.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// How long to wait for a restarting daemon where no request sets a time.
const RESTART: Duration = Duration::from_secs(1);

pub(crate) fn open(uri: &Uri, options: &ConnectOptions) -> error::Result<Box<dyn Driver>> {
    let address = Address::new(uri, options)?;
    let (pool, peer) = Pool::open(address, Instant::now() + options.timeout)?;
    Ok(Box::new(Libvirt { pool, peer }))
}

/// Finds what is wrong with a URI, without contacting the daemon.
pub(crate) fn check(uri: &Uri, options: &ConnectOptions) -> error::Result<()> {
    Address::new(uri, options).map(drop)
}

/// Returns whether the daemon may be running: a local one has a socket.
pub(crate) fn is_there(uri: &Uri, options: &ConnectOptions) -> bool {
    Address::new(uri, options).is_ok_and(|address| match address.transport {
        Transport::Unix { sockets } => sockets.iter().any(|socket| socket.exists()),
        _ => true,
    })
}

struct Libvirt {
    pool: Pool,
    peer: Peer,
}

impl Driver for Libvirt {
    fn name(&self) -> &str {
        &self.peer.driver
    }

    fn origin(&self) -> ErrorOrigin {
        match self.peer.driver.as_str() {
            "QEMU" => ErrorOrigin::Qemu,
            "TEST" | "Test" => ErrorOrigin::Test,
            _ => ErrorOrigin::Remote,
        }
    }

    fn supported(&self) -> StatsGroups {
        StatsGroups::of_libvirt()
    }

    fn leaves_groups_to_peer(&self) -> bool {
        true
    }

    fn hostname(&self) -> String {
        self.peer.hostname.clone()
    }

    fn is_alive(&self) -> bool {
        self.pool.is_alive()
    }

    fn close(&self) {
        self.pool.close();
    }

    fn domains(&self, deadline: Instant) -> error::Result<Vec<DomainInfo>> {
        let call = self.pool.next_call();
        retry(deadline.min(Instant::now() + RESTART), || {
            let mut lease = self.pool.lease(deadline)?;
            Ok(listing::list(&mut lease, call, DomainFilter::empty(), deadline)?.matching)
        })
    }

    fn domain_list_stats(
        &self,
        listed: Option<&[DomainInfo]>,
        request: &StatsRequest,
    ) -> error::Result<StatsReport> {
        let start = Instant::now();
        let mut report = StatsReport::new(SystemTime::now());
        let deadline = request.deadline_to_ask(start);
        let plan = Plan::new(request, &self.peer, deadline);
        let call = self.pool.next_call();
        let mut in_flight = None;
        let result = retry(deadline, || {
            let mut lease = self.pool.lease(deadline)?;
            let (pass, _) = match &mut in_flight {
                Some(known) => known,
                none => none.insert(self.begin(&mut lease, call, listed, plan, request.filter)?),
            };
            let result = pass.run(&mut lease);
            if result.is_err() {
                pass.start_over();
            }
            result
        });
        let Some((pass, selection)) = in_flight else {
            return Err(result.err().unwrap_or_else(silent));
        };
        let is_answered = pass.is_answered();
        let slots = pass.finish()?;
        if !is_answered {
            return Err(result.err().unwrap_or_else(silent));
        }
        report.missing.extend(selection.missing);
        let mut records = Vec::with_capacity(slots.len());
        for slot in slots {
            let info = slot.info.clone();
            records.push(match slot.into_record(&plan) {
                Ok(record) => Some(record),
                Err(missing) => {
                    report.missing.push(MissingDomain::new(info, missing));
                    None
                }
            });
        }
        report.take_records(records, selection.order);
        report.elapsed = start.elapsed();
        Ok(report)
    }

    fn as_descriptions(&self) -> Option<&dyn Descriptions> {
        Some(self)
    }

    fn as_relay(&self) -> Option<&dyn Relay> {
        Some(self)
    }
}

impl Descriptions for Libvirt {
    fn xml(&self, info: &DomainInfo, deadline: Instant) -> error::Result<String> {
        let domain = wire::domain(info).ok_or_else(|| self.unknown(info))?;
        let args = DomainFlags { domain, flags: 0 };
        retry(deadline, || {
            let mut lease = self.pool.lease(deadline)?;
            let link = lease.front.first_mut().ok_or_else(silent)?;
            link.call::<DomainGetXmlDesc, _>(&args, deadline, |text| text.into_owned())
        })
    }
}

impl Relay for Libvirt {
    fn relay(
        &self,
        monitor: Option<&DomainInfo>,
        call: Call<'_>,
        deadline: Instant,
    ) -> error::Result<Relayed> {
        retry(deadline, || match monitor {
            None => relay::quick(&self.pool, call, deadline),
            Some(info) => relay::to_monitor(&self.pool, self.uuid(info)?, call, deadline),
        })
    }

    fn relay_if_free(
        &self,
        monitor: &DomainInfo,
        call: Call<'_>,
        deadline: Instant,
    ) -> error::Result<Option<Relayed>> {
        retry(deadline, || relay::to_free_monitor(&self.pool, self.uuid(monitor)?, call, deadline))
    }
}

impl Libvirt {
    fn uuid(&self, domain: &DomainInfo) -> error::Result<Uuid> {
        domain.uuid.ok_or_else(|| self.unknown(domain))
    }

    fn unknown(&self, domain: &DomainInfo) -> Error {
        let sentence = format!("'{}' has no UUID: libvirt does not know it", domain.name);
        Error::new(ErrorKind::NoDomain, self.origin(), sentence)
    }

    /// Lists the domains, and prepares the calls about them.
    fn begin(
        &self,
        lease: &mut pool::Lease<'_>,
        call: u64,
        listed: Option<&[DomainInfo]>,
        plan: Plan,
        filter: DomainFilter,
    ) -> error::Result<(Pass<'_>, Selection)> {
        let start = Instant::now();
        let listing = listing::list(lease, call, filter, plan.deadline)?;
        let round_trip = start.elapsed();
        self.pool.health.retain(&listing.exists);
        if listed.is_none() && listing.matching.is_empty() {
            listing::ask_about_none(lease, call, filter, &plan)?;
        }
        let (domains, selection) = match listed {
            None => (listing.matching, Selection { order: None, missing: Vec::new() }),
            Some(listed) => listing::select(listed, listing),
        };
        Ok((Pass::new(&self.pool, call, plan, domains, round_trip), selection))
    }
}

/// Retries until the deadline when the daemon goes away: it may be restarting.
fn retry<R>(deadline: Instant, mut attempt: impl FnMut() -> error::Result<R>) -> error::Result<R> {
    let mut pause = FIRST_PAUSE;
    loop {
        match attempt() {
            Err(error) if is_lost(&error) && Instant::now() + pause < deadline => {
                thread::sleep(pause);
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            result => return result,
        }
    }
}

/// Returns whether the connection is lost, so that another may succeed.
fn is_lost(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::System | ErrorKind::NoConnect)
}
