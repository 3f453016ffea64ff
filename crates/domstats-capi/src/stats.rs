//! The three functions of the RFC.

use std::{
    ffi::{c_char, c_uint},
    ptr,
    sync::Arc,
};

use domstats::{StatsReport, StatsRequest};

use crate::{
    call::{Call, enter},
    connect::virConnectPtr,
    domain::{Domain, virDomainPtr},
    error::Failure,
    memory,
};

/// Domains that have a process.
pub const VIR_CONNECT_LIST_DOMAINS_ACTIVE: c_uint = 1;
/// Domains that are defined but have no process.
pub const VIR_CONNECT_LIST_DOMAINS_INACTIVE: c_uint = 2;
/// Domains that stay defined when they stop.
pub const VIR_CONNECT_LIST_DOMAINS_PERSISTENT: c_uint = 4;
/// Domains that vanish when they stop.
pub const VIR_CONNECT_LIST_DOMAINS_TRANSIENT: c_uint = 8;
/// Domains whose state is running.
pub const VIR_CONNECT_LIST_DOMAINS_RUNNING: c_uint = 16;
/// Domains whose state is paused.
pub const VIR_CONNECT_LIST_DOMAINS_PAUSED: c_uint = 32;
/// Domains whose state is shut off.
pub const VIR_CONNECT_LIST_DOMAINS_SHUTOFF: c_uint = 64;
/// Domains in any other state.
pub const VIR_CONNECT_LIST_DOMAINS_OTHER: c_uint = 128;

/// VIR_CONNECT_LIST_DOMAINS_ACTIVE
pub const VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE: c_uint = 1;
/// VIR_CONNECT_LIST_DOMAINS_INACTIVE
pub const VIR_CONNECT_GET_ALL_DOMAINS_STATS_INACTIVE: c_uint = 2;
/// VIR_CONNECT_LIST_DOMAINS_PERSISTENT
pub const VIR_CONNECT_GET_ALL_DOMAINS_STATS_PERSISTENT: c_uint = 4;
/// VIR_CONNECT_LIST_DOMAINS_TRANSIENT
pub const VIR_CONNECT_GET_ALL_DOMAINS_STATS_TRANSIENT: c_uint = 8;
/// VIR_CONNECT_LIST_DOMAINS_RUNNING
pub const VIR_CONNECT_GET_ALL_DOMAINS_STATS_RUNNING: c_uint = 16;
/// VIR_CONNECT_LIST_DOMAINS_PAUSED
pub const VIR_CONNECT_GET_ALL_DOMAINS_STATS_PAUSED: c_uint = 32;
/// VIR_CONNECT_LIST_DOMAINS_SHUTOFF
pub const VIR_CONNECT_GET_ALL_DOMAINS_STATS_SHUTOFF: c_uint = 64;
/// VIR_CONNECT_LIST_DOMAINS_OTHER
pub const VIR_CONNECT_GET_ALL_DOMAINS_STATS_OTHER: c_uint = 128;
/// Skip busy monitors.
pub const VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT: c_uint = 0x2000_0000;
/// List every image of a disk's backing chain, not only the top one.
pub const VIR_CONNECT_GET_ALL_DOMAINS_STATS_BACKING: c_uint = 0x4000_0000;
/// A group that is not supported is an error, not an omission.
pub const VIR_CONNECT_GET_ALL_DOMAINS_STATS_ENFORCE_STATS: c_uint = 0x8000_0000;
/// The document is JSON, not XML. libvirt has no such flag.
pub const DOMSTATS_FORMAT_JSON: c_uint = 0x1_0000;

/// Returns the statistics of all domains that match flags, by name: a document to be released with
/// free(), or NULL on error.
///
/// stats are groups, VIR_DOMAIN_STATS_... combined with |; 0 selects all of libvirt's. flags are
/// VIR_CONNECT_GET_ALL_DOMAINS_STATS_... and DOMSTATS_FORMAT_JSON; 0 selects all domains and XML.
///
/// The call returns within the timeout of the connection, which is 1 second unless
/// domstatsConnectSetTimeout changed it. What could not be read is absent, and the document says
/// why: `<missing group='block' reason='timeout'>`. One broken domain is never an error.
#[unsafe(no_mangle)]
pub extern "C" fn virConnectGetAllDomainStats(
    conn: virConnectPtr,
    stats: c_uint,
    flags: c_uint,
) -> *mut c_char {
    enter("virConnectGetAllDomainStats", ptr::null_mut(), |call| {
        let form = Form::of(flags);
        form.document(&of_all(call, conn, stats, form.flags)?)
    })
}

/// Returns the statistics of these domains of one connection, in their order: a document to be
/// released with free(), or NULL on error. doms is a NULL-terminated array.
///
/// A domain that vanished has no record, and the document says so; domains that do not match flags
/// have none either. Otherwise this works like virConnectGetAllDomainStats.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virDomainListGetStats(
    doms: *mut virDomainPtr,
    stats: c_uint,
    flags: c_uint,
) -> *mut c_char {
    enter("virDomainListGetStats", ptr::null_mut(), |call| {
        let form = Form::of(flags);
        // SAFETY: the caller passes an array that ends with NULL, or NULL.
        let report = unsafe { of_list(call, doms, stats, form.flags) }?;
        form.document(&report)
    })
}

/// The same as virDomainListGetStats for a list of one domain.
#[unsafe(no_mangle)]
pub extern "C" fn virDomainGetStats(
    dom: virDomainPtr,
    stats: c_uint,
    flags: c_uint,
) -> *mut c_char {
    enter("virDomainGetStats", ptr::null_mut(), |call| {
        let form = Form::of(flags);
        form.document(&of_domains(&[call.domain(dom)?], call, stats, form.flags)?)
    })
}

/// The format of a document.
struct Form {
    json: bool,
    /// The other flags.
    flags: c_uint,
}

impl Form {
    fn of(flags: c_uint) -> Self {
        Self { json: flags & DOMSTATS_FORMAT_JSON != 0, flags: flags & !DOMSTATS_FORMAT_JSON }
    }

    fn document(&self, report: &StatsReport) -> Result<*mut c_char, Failure> {
        memory::give_text(&if self.json { report.to_json() } else { report.to_xml() })
    }
}

/// Reads all domains of a connection.
pub(crate) fn of_all(
    call: Call,
    conn: virConnectPtr,
    stats: c_uint,
    flags: c_uint,
) -> Result<StatsReport, Failure> {
    let connection = call.connection(conn)?;
    Ok(connection.connect.all_domain_stats(&connection.request(stats, flags))?)
}

/// Reads the domains of a list.
///
/// # Safety
///
/// `doms` is null, or an array that ends with a null pointer.
pub(crate) unsafe fn of_list(
    call: Call,
    doms: *const virDomainPtr,
    stats: c_uint,
    flags: c_uint,
) -> Result<StatsReport, Failure> {
    // SAFETY: as this function asks.
    let handles = unsafe { memory::items(doms) };
    let handles = handles.ok_or_else(|| call.invalid("doms", "not be NULL"))?;
    let domains: Vec<_> =
        handles.into_iter().map(|dom| call.domain(dom)).collect::<Result<_, _>>()?;
    of_domains(&domains, call, stats, flags)
}

fn of_domains(
    domains: &[Arc<Domain>],
    call: Call,
    stats: c_uint,
    flags: c_uint,
) -> Result<StatsReport, Failure> {
    let request = match domains.first() {
        Some(first) => call.connection(first.connection.handle())?.request(stats, flags),
        // The library reports an empty list.
        None => StatsRequest::from_flags(stats, flags),
    };
    let domains: Vec<_> = domains.iter().map(|domain| domain.domain.clone()).collect();
    Ok(domstats::Domain::list_stats(&domains, &request)?)
}

#[cfg(test)]
mod tests {
    use domstats::{DomainFilter, StatsOptions};

    use super::*;

    #[test]
    fn the_bits_are_those_of_the_library() {
        for (bits, filter) in [
            (VIR_CONNECT_LIST_DOMAINS_ACTIVE, DomainFilter::ACTIVE),
            (VIR_CONNECT_LIST_DOMAINS_INACTIVE, DomainFilter::INACTIVE),
            (VIR_CONNECT_LIST_DOMAINS_PERSISTENT, DomainFilter::PERSISTENT),
            (VIR_CONNECT_LIST_DOMAINS_TRANSIENT, DomainFilter::TRANSIENT),
            (VIR_CONNECT_LIST_DOMAINS_RUNNING, DomainFilter::RUNNING),
            (VIR_CONNECT_LIST_DOMAINS_PAUSED, DomainFilter::PAUSED),
            (VIR_CONNECT_LIST_DOMAINS_SHUTOFF, DomainFilter::SHUTOFF),
            (VIR_CONNECT_LIST_DOMAINS_OTHER, DomainFilter::OTHER),
        ] {
            assert_eq!(bits, filter.bits());
        }
        for (bits, options) in [
            (VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT, StatsOptions::NOWAIT),
            (VIR_CONNECT_GET_ALL_DOMAINS_STATS_BACKING, StatsOptions::BACKING),
            (VIR_CONNECT_GET_ALL_DOMAINS_STATS_ENFORCE_STATS, StatsOptions::ENFORCE_STATS),
        ] {
            assert_eq!(bits, options.bits());
        }
        let taken = StatsOptions::all().bits() | DomainFilter::all_known().bits();
        assert_eq!(taken & DOMSTATS_FORMAT_JSON, 0);
    }
}
