//! Connections.

use std::{
    ffi::{CString, c_char, c_int, c_uint},
    ptr,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use domstats::{Connect, ConnectOptions, DomainFilter, StatsRequest, default_uri};

use crate::{
    call::{Call, enter},
    domain::{Domain, virDomain, virDomainPtr},
    error::{Failure, VIR_FROM_NONE},
    handles::{self, Object, Reference},
    memory,
};

/// A connection to a hypervisor.
pub struct virConnect;

/// A connection to a hypervisor: virConnectOpen opens it, virConnectClose releases it. Threads may
/// share one.
pub type virConnectPtr = *mut virConnect;

/// The object of a `virConnectPtr`.
pub(crate) struct Connection {
    pub(crate) connect: Connect,
    driver_name: CString,
    /// The timeout of a call in milliseconds; 0 if none was set.
    timeout: AtomicU32,
}

impl Object for Connection {
    type Handle = virConnect;
}

impl Connection {
    fn open(name: Option<&str>) -> Result<virConnectPtr, Failure> {
        let connect = default_uri::open(name, &ConnectOptions::from_env())?;
        let driver_name = memory::c_string(connect.driver_name());
        Ok(handles::add(Self { connect, driver_name, timeout: AtomicU32::new(0) }))
    }

    /// Returns a request with the timeout of this connection.
    pub(crate) fn request(&self, stats: c_uint, flags: c_uint) -> StatsRequest {
        let request = StatsRequest::from_flags(stats, flags);
        match self.timeout.load(Ordering::Relaxed) {
            0 => request,
            timeout => request.timeout(Duration::from_millis(timeout.into())),
        }
    }
}

/// Opens a connection. Every connection is read-only: this library never changes a domain.
///
/// name is its URI: "qemu:///system" is the libvirt daemon of this host, "qemu+ssh://HOST/system"
/// that of another one, "qemu+qmp:///system" reads the QEMU processes of this host without libvirt,
/// "test:///default" simulates domains. For NULL or "", the URI is DOMSTATS_DEFAULT_URI or
/// LIBVIRT_DEFAULT_URI in the environment or uri_default in libvirt.conf, else the libvirt daemon of
/// this host, else its QEMU processes.
///
/// Returns NULL on error. Close the connection with virConnectClose.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virConnectOpen(name: *const c_char) -> virConnectPtr {
    enter("virConnectOpen", ptr::null_mut(), |_| {
        // SAFETY: the caller passes a text or NULL.
        Connection::open(unsafe { memory::text(name) }.as_deref())
    })
}

/// The same as virConnectOpen.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virConnectOpenReadOnly(name: *const c_char) -> virConnectPtr {
    enter("virConnectOpenReadOnly", ptr::null_mut(), |_| {
        // SAFETY: the caller passes a text or NULL.
        Connection::open(unsafe { memory::text(name) }.as_deref())
    })
}

/// Releases a reference to a connection. Releasing the last one closes it; each of its domains that
/// is not freed holds a reference too.
///
/// Returns 0 if it was the last reference, 1 if there are more, -1 on error.
#[unsafe(no_mangle)]
pub extern "C" fn virConnectClose(conn: virConnectPtr) -> c_int {
    enter("virConnectClose", -1, |call| match handles::release::<Connection>(conn) {
        Some(last) => Ok(c_int::from(!last)),
        // As in libvirt, for this function only.
        None => Err(call.invalid_connection().from(VIR_FROM_NONE)),
    })
}

/// Adds a reference, to be released with virConnectClose.
///
/// Returns 0, or -1 on error.
#[unsafe(no_mangle)]
pub extern "C" fn virConnectRef(conn: virConnectPtr) -> c_int {
    enter("virConnectRef", -1, |call| match handles::retain::<Connection>(conn) {
        true => Ok(0),
        false => Err(call.invalid_connection()),
    })
}

/// Returns the URI of the connection, to be released with free(), or NULL on error.
#[unsafe(no_mangle)]
pub extern "C" fn virConnectGetURI(conn: virConnectPtr) -> *mut c_char {
    enter("virConnectGetURI", ptr::null_mut(), |call| {
        memory::give_text(&call.connection(conn)?.connect.uri())
    })
}

/// Returns the driver's name, such as "QEMU", or NULL on error. It is valid as long as the
/// connection.
#[unsafe(no_mangle)]
pub extern "C" fn virConnectGetType(conn: virConnectPtr) -> *const c_char {
    enter("virConnectGetType", ptr::null(), |call| Ok(call.connection(conn)?.driver_name.as_ptr()))
}

/// Returns the name of the host that the domains run on, to be released with free(), or NULL on
/// error.
#[unsafe(no_mangle)]
pub extern "C" fn virConnectGetHostname(conn: virConnectPtr) -> *mut c_char {
    enter("virConnectGetHostname", ptr::null_mut(), |call| {
        memory::give_text(&call.connection(conn)?.connect.hostname())
    })
}

/// Returns 1 if the hypervisor is reachable, 0 if not, -1 on error.
#[unsafe(no_mangle)]
pub extern "C" fn virConnectIsAlive(conn: virConnectPtr) -> c_int {
    enter("virConnectIsAlive", -1, |call| Ok(call.connection(conn)?.connect.is_alive().into()))
}

/// Sets the timeout of later calls on a connection, in milliseconds. A call returns by then with
/// everything that could be read, whatever the domains do. 0 restores the default, 1000; the maximum
/// is a day.
///
/// Returns 0, or -1 on error.
#[unsafe(no_mangle)]
pub extern "C" fn domstatsConnectSetTimeout(conn: virConnectPtr, milliseconds: c_uint) -> c_int {
    enter("domstatsConnectSetTimeout", -1, |call| {
        call.connection(conn)?.timeout.store(milliseconds, Ordering::Relaxed);
        Ok(0)
    })
}

/// Lists the domains that match flags, which are VIR_CONNECT_LIST_DOMAINS_...: a domain matches if it
/// has one of the given flags of every class; 0 matches all.
///
/// *domains becomes a NULL-terminated array. Release each domain in it with virDomainFree, then the
/// array with free(). domains may be NULL if only the number is wanted.
///
/// Returns the number of domains, or -1 on error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virConnectListAllDomains(
    conn: virConnectPtr,
    domains: *mut *mut virDomainPtr,
    flags: c_uint,
) -> c_int {
    enter("virConnectListAllDomains", -1, |call| {
        let connection = call.connection(conn)?;
        let found = connection.connect.domains(DomainFilter::from_bits_retain(flags))?;
        let count = c_int::try_from(found.len()).unwrap_or(c_int::MAX);
        if domains.is_null() {
            return Ok(count);
        }
        let array = list(call, conn, found)?;
        // SAFETY: it is not null, so it is where the caller expects the array.
        unsafe { memory::write(domains, array) };
        Ok(count)
    })
}

/// Creates an array of handles; if that fails, no handle remains.
fn list(
    call: Call,
    conn: virConnectPtr,
    domains: Vec<domstats::Domain>,
) -> Result<*mut virDomainPtr, Failure> {
    let held = domains.into_iter().map(|domain| {
        let connection = Reference::new(conn).ok_or_else(|| call.invalid_connection())?;
        Ok(Domain::new(domain, connection))
    });
    let held: Vec<_> = held.collect::<Result<_, Failure>>()?;
    let handles: Vec<*mut virDomain> = held.into_iter().map(handles::add).collect();
    memory::give_items(&handles).inspect_err(|_| {
        for handle in handles {
            handles::release::<Domain>(handle);
        }
    })
}
