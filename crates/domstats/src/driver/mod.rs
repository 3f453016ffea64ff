//! Drivers: one folder each, one row in the table `DRIVERS`.

pub mod libvirt;
pub(crate) mod options;
pub mod qemu;
pub mod test;
pub(crate) mod uri;

use std::time::Instant;

use domstats_rpc::{message::RemoteError, procedure::ProcedureId};

use crate::{
    driver::{options::ConnectOptions, uri::Uri},
    model::{
        device::{Monitor, Nic},
        error::{Error, ErrorKind, ErrorOrigin, Result},
        identity::DomainInfo,
        report::StatsReport,
        request::{StatsGroups, StatsOptions, StatsRequest},
        stats::GROUPS,
    },
};

/// A hypervisor. Everything a driver returns is typed; names and formats are not its business.
pub(crate) trait Driver: Send + Sync {
    /// libvirt's spelling: `QEMU`, `TEST`.
    fn name(&self) -> &str;

    /// Who reports this driver's errors.
    fn origin(&self) -> ErrorOrigin;

    /// The groups that it can give for at least some domains.
    fn supported(&self) -> StatsGroups;

    /// The groups to read: those of the request, or all of libvirt's. Refuses what is not
    /// supported, if the request says so.
    fn groups(&self, request: &StatsRequest) -> Result<StatsGroups> {
        let unsupported = request.groups.difference(self.supported());
        if request.options.contains(StatsOptions::ENFORCE_STATS) && !unsupported.is_empty() {
            return Err(Error::new(
                ErrorKind::ArgumentUnsupported,
                self.origin(),
                format!(
                    "the {} driver does not support the stats groups {}",
                    self.name(),
                    names(unsupported)
                ),
            ));
        }
        let usual = || self.supported() & StatsGroups::of_libvirt();
        Ok(if request.groups.is_empty() { usual() } else { request.groups })
    }

    /// The host that the domains run on.
    fn hostname(&self) -> String;

    fn is_alive(&self) -> bool {
        true
    }

    /// Lets go of what the driver holds: the connection was closed.
    fn close(&self) {}

    /// Every domain, in any order.
    fn domains(&self) -> Result<Vec<DomainInfo>>;

    /// The active domain with this number as it is now, if that can be told without looking at all.
    fn known(&self, _id: u32) -> Option<DomainInfo> {
        None
    }

    /// The RFC's one callback: the statistics of all domains that match the request's filter, or
    /// of the listed ones, a record for each occurrence in the list's order. The request's groups
    /// are those of [`groups`](Self::groups), its filter and options are known to exist. Must
    /// return by the request's timeout.
    fn domain_list_stats(
        &self,
        of: Option<&[DomainInfo]>,
        request: &StatsRequest,
    ) -> Result<StatsReport>;

    /// A domain's description in libvirt's XML, without secrets. Must return by the deadline.
    fn xml(&self, _domain: &DomainInfo, _deadline: Instant) -> Result<String> {
        let sentence = format!("the {} driver has no descriptions of domains", self.name());
        Err(Error::new(ErrorKind::NoSupport, self.origin(), sentence))
    }

    /// The NICs of a domain whose statistics it gives. Must return by the deadline.
    fn nics(&self, _domain: &DomainInfo, _deadline: Instant) -> Result<Vec<Nic>> {
        let sentence = format!("the {} driver tells NICs in descriptions only", self.name());
        Err(Error::new(ErrorKind::NoSupport, self.origin(), sentence))
    }

    /// The monitors of a domain, as the last call for statistics found them.
    fn monitors(&self, _domain: &DomainInfo) -> Result<Vec<Monitor>> {
        let sentence = format!("the {} driver asks no monitors itself", self.name());
        Err(Error::new(ErrorKind::NoSupport, self.origin(), sentence))
    }

    /// Hands a call of libvirt's protocol on to the daemon that the driver asks; `None` if it asks
    /// none. Must return by the deadline.
    fn relay(
        &self,
        _asks: Asks<'_>,
        _procedure: ProcedureId,
        _arguments: &[u8],
        _deadline: Instant,
    ) -> Option<Result<Relayed>> {
        None
    }
}

/// Whose monitor a call that is handed on may ask.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Asks<'a> {
    /// Nobody's.
    Nobody,
    /// That of a domain.
    Monitor(&'a DomainInfo),
    /// That of a domain, and there is no answer from the daemon (`None`) if it is known to be stuck,
    /// or as many as may be are asked.
    FreeMonitor(&'a DomainInfo),
}

/// What libvirt's daemon answered to a call that was handed on: the bytes of its result, or its
/// error.
pub type Relayed = std::result::Result<Vec<u8>, Box<RemoteError<'static>>>;

/// One row of the driver table.
struct DriverEntry {
    /// Whether it serves a URI scheme, in lower case.
    serves: fn(&str) -> bool,
    /// An example, for the error that lists the choices.
    example: &'static str,
    open: fn(&Uri, &ConnectOptions) -> Result<Box<dyn Driver>>,
    /// Says what `open` would say of the URI, and asks nobody.
    check: fn(&Uri, &ConnectOptions) -> Result<()>,
}

const DRIVERS: &[DriverEntry] = &[
    DriverEntry {
        serves: libvirt::serves,
        example: "qemu:///system",
        open: libvirt::open,
        check: libvirt::check,
    },
    DriverEntry {
        serves: |scheme| scheme == "qemu+qmp",
        example: "qemu+qmp:///system",
        open: qemu::open,
        check: |uri, options| qemu::open(uri, options).map(drop),
    },
    DriverEntry {
        serves: |scheme| scheme == "test",
        example: "test:///default",
        open: test::open,
        check: |uri, options| test::open(uri, options).map(drop),
    },
];

/// Opens the driver that serves the URI.
pub(crate) fn open(uri: &Uri, options: &ConnectOptions) -> Result<Box<dyn Driver>> {
    (entry(uri)?.open)(uri, options)
}

/// Says what is wrong with a URI, without asking the hypervisor.
pub(crate) fn check(uri: &Uri, options: &ConnectOptions) -> Result<()> {
    (entry(uri)?.check)(uri, options)
}

fn entry(uri: &Uri) -> Result<&'static DriverEntry> {
    DRIVERS.iter().find(|entry| (entry.serves)(&uri.scheme)).ok_or_else(|| {
        let examples: Vec<_> = DRIVERS.iter().map(|entry| entry.example).collect();
        Error::new(
            ErrorKind::NoConnect,
            ErrorOrigin::Library,
            format!("no driver serves '{uri}': try one of {}", examples.join(", ")),
        )
    })
}

/// Returns the names of groups, and what has no name as a number.
fn names(groups: StatsGroups) -> String {
    let known = GROUPS.iter().filter(|group| groups.contains(group.bit));
    let mut names: Vec<_> = known.map(|group| group.name.to_owned()).collect();
    let unknown = groups.difference(StatsGroups::all_known());
    if !unknown.is_empty() {
        names.push(format!("{:#x}", unknown.bits()));
    }
    names.join(", ")
}
