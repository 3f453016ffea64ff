//! Domains.

use std::{
    ffi::{CString, c_char, c_int, c_uint},
    ptr,
};

use domstats::Uuid;

use crate::{
    call::{Call, enter},
    connect::{Connection, virConnectPtr},
    error::{Failure, VIR_ERR_OPERATION_INVALID, VIR_FROM_DOMAIN},
    handles::{self, Object, Reference},
    memory,
};

/// A domain: a virtual machine.
pub struct virDomain;

/// A domain, which is a virtual machine, as it was when it was looked up: virDomainFree releases it.
/// Threads may share one.
pub type virDomainPtr = *mut virDomain;

/// The number of bytes that virDomainGetUUIDString writes, including the final zero.
pub const VIR_UUID_STRING_BUFLEN: usize = 37;

/// The object of a `virDomainPtr`.
pub(crate) struct Domain {
    pub(crate) domain: domstats::Domain,
    name: CString,
    pub(crate) connection: Reference<Connection>,
}

impl Object for Domain {
    type Handle = virDomain;
}

impl Domain {
    pub(crate) fn new(domain: domstats::Domain, connection: Reference<Connection>) -> Self {
        Self { name: memory::c_string(domain.name()), domain, connection }
    }
}

/// Looks up the domain with this name, among those whose user is trusted.
///
/// Returns NULL on error: VIR_ERR_NO_DOMAIN if there is none, VIR_ERR_OPERATION_INVALID if there are
/// several.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virDomainLookupByName(
    conn: virConnectPtr,
    name: *const c_char,
) -> virDomainPtr {
    enter("virDomainLookupByName", ptr::null_mut(), |call| {
        look_up(call, conn, |connection| {
            // SAFETY: the caller passes a text or NULL.
            let name = unsafe { memory::text(name) };
            let name = name.ok_or_else(|| call.invalid("name", "not be NULL"))?;
            Ok(connection.connect.domain_by_name(&name)?)
        })
    })
}

/// Looks up the domain with this UUID, in any usual spelling, among those whose user is trusted.
///
/// Returns NULL on error: VIR_ERR_NO_DOMAIN if there is none, VIR_ERR_OPERATION_INVALID if there are
/// several.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virDomainLookupByUUIDString(
    conn: virConnectPtr,
    uuidstr: *const c_char,
) -> virDomainPtr {
    enter("virDomainLookupByUUIDString", ptr::null_mut(), |call| {
        look_up(call, conn, |connection| {
            // SAFETY: the caller passes a text or NULL.
            let text = unsafe { memory::text(uuidstr) };
            let text = text.ok_or_else(|| call.invalid("uuidstr", "not be NULL"))?;
            let uuid = Uuid::parse_str(&text);
            let uuid = uuid.map_err(|_| call.invalid("uuidstr", "be a valid UUID"))?;
            Ok(connection.connect.domain_by_uuid(uuid)?)
        })
    })
}

/// Looks up the active domain with this number.
///
/// Returns NULL on error: VIR_ERR_NO_DOMAIN if there is none.
#[unsafe(no_mangle)]
pub extern "C" fn virDomainLookupByID(conn: virConnectPtr, id: c_int) -> virDomainPtr {
    enter("virDomainLookupByID", ptr::null_mut(), |call| {
        look_up(call, conn, |connection| {
            let id = u32::try_from(id).map_err(|_| call.invalid("id", "be zero or greater"))?;
            Ok(connection.connect.domain_by_id(id)?)
        })
    })
}

fn look_up(
    call: Call,
    conn: virConnectPtr,
    find: impl FnOnce(&Connection) -> Result<domstats::Domain, Failure>,
) -> Result<virDomainPtr, Failure> {
    let domain = find(&*call.connection(conn)?)?;
    let connection = Reference::new(conn).ok_or_else(|| call.invalid_connection())?;
    Ok(handles::add(Domain::new(domain, connection)))
}

/// Returns the domain's name, or NULL on error. It is valid as long as the domain.
#[unsafe(no_mangle)]
pub extern "C" fn virDomainGetName(domain: virDomainPtr) -> *const c_char {
    enter("virDomainGetName", ptr::null(), |call| Ok(call.domain(domain)?.name.as_ptr()))
}

/// Writes the domain's UUID to buf, which has VIR_UUID_STRING_BUFLEN bytes: 36 characters and a
/// zero. A QEMU that was started by hand may have no UUID: VIR_ERR_OPERATION_INVALID.
///
/// Returns 0, or -1 on error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virDomainGetUUIDString(domain: virDomainPtr, buf: *mut c_char) -> c_int {
    enter("virDomainGetUUIDString", -1, |call| {
        let domain = &call.domain(domain)?.domain;
        if buf.is_null() {
            return Err(call.invalid("buf", "not be NULL"));
        }
        let uuid = domain.uuid().ok_or_else(|| {
            let message = format!("domain '{}' has no UUID", domain.name());
            Failure::new(VIR_ERR_OPERATION_INVALID, VIR_FROM_DOMAIN, message)
        })?;
        let mut text = [0; VIR_UUID_STRING_BUFLEN];
        uuid.hyphenated().encode_lower(&mut text);
        // SAFETY: it is not null, so there is room, as this function asks.
        unsafe { memory::write(buf.cast(), text) };
        Ok(0)
    })
}

/// Returns the domain's number, or (unsigned int) -1 if it was not active, or on error.
#[unsafe(no_mangle)]
pub extern "C" fn virDomainGetID(domain: virDomainPtr) -> c_uint {
    enter("virDomainGetID", c_uint::MAX, |call| {
        Ok(call.domain(domain)?.domain.id().unwrap_or(c_uint::MAX))
    })
}

/// Returns the domain's connection, or NULL on error. It adds no reference: the result is valid as
/// long as the domain.
#[unsafe(no_mangle)]
pub extern "C" fn virDomainGetConnect(domain: virDomainPtr) -> virConnectPtr {
    enter("virDomainGetConnect", ptr::null_mut(), |call| {
        Ok(call.domain(domain)?.connection.handle())
    })
}

/// Adds a reference, to be released with virDomainFree.
///
/// Returns 0, or -1 on error.
#[unsafe(no_mangle)]
pub extern "C" fn virDomainRef(domain: virDomainPtr) -> c_int {
    enter("virDomainRef", -1, |call| match handles::retain::<Domain>(domain) {
        true => Ok(0),
        false => Err(call.invalid_domain()),
    })
}

/// Releases a reference to a domain. This does not affect the virtual machine.
///
/// Returns 0, or -1 on error.
#[unsafe(no_mangle)]
pub extern "C" fn virDomainFree(domain: virDomainPtr) -> c_int {
    enter("virDomainFree", -1, |call| match handles::release::<Domain>(domain) {
        Some(_) => Ok(0),
        None => Err(call.invalid_domain()),
    })
}
