//! Errors: one per thread, with libvirt's numbers and the layout of libvirt's struct.

use std::{
    cell::RefCell,
    ffi::{CStr, CString, c_char, c_int, c_void},
    ptr,
    sync::Mutex,
};

use domstats::sync::lock;

use crate::{connect::virConnectPtr, domain::virDomainPtr, memory};

/// No error.
pub const VIR_ERR_OK: c_int = 0;
/// Something that should not happen did.
pub const VIR_ERR_INTERNAL_ERROR: c_int = 1;
/// Out of memory.
pub const VIR_ERR_NO_MEMORY: c_int = 2;
/// The driver has no such function.
pub const VIR_ERR_NO_SUPPORT: c_int = 3;
/// No driver serves the URI.
pub const VIR_ERR_NO_CONNECT: c_int = 5;
/// The pointer is not a connection: it is NULL, was closed, or is something else.
pub const VIR_ERR_INVALID_CONN: c_int = 6;
/// The pointer is not a domain: it is NULL, was freed, or is something else.
pub const VIR_ERR_INVALID_DOMAIN: c_int = 7;
/// An argument makes no sense: NULL, an empty list, an unknown flag, a malformed URI.
pub const VIR_ERR_INVALID_ARG: c_int = 8;
/// A document or reply could not be parsed.
pub const VIR_ERR_XML_ERROR: c_int = 27;
/// The operating system reported an error, or no libvirt daemon can be reached.
pub const VIR_ERR_SYSTEM_ERROR: c_int = 38;
/// A daemon violated its protocol.
pub const VIR_ERR_RPC: c_int = 39;
/// TLS failed, most often because one side does not trust the other.
pub const VIR_ERR_GNUTLS_ERROR: c_int = 40;
/// No domain has that name, UUID or id.
pub const VIR_ERR_NO_DOMAIN: c_int = 42;
/// The daemon did not accept the credentials.
pub const VIR_ERR_AUTH_FAILED: c_int = 45;
/// The domain has no such property: a QEMU started by hand may have no UUID. Or several domains have
/// the name or UUID.
pub const VIR_ERR_OPERATION_INVALID: c_int = 55;
/// The deadline passed.
pub const VIR_ERR_OPERATION_TIMEOUT: c_int = 68;
/// A group is not supported, and VIR_CONNECT_GET_ALL_DOMAINS_STATS_ENFORCE_STATS was given.
pub const VIR_ERR_ARGUMENT_UNSUPPORTED: c_int = 74;
/// The caller lacks the permission.
pub const VIR_ERR_ACCESS_DENIED: c_int = 88;

/// The library itself, before a driver was involved.
pub const VIR_FROM_NONE: c_int = 0;
/// The check of a domain's pointer.
pub const VIR_FROM_DOM: c_int = 6;
/// The connection to a libvirt daemon.
pub const VIR_FROM_RPC: c_int = 7;
/// The QEMU driver.
pub const VIR_FROM_QEMU: c_int = 10;
/// The test driver.
pub const VIR_FROM_TEST: c_int = 12;
/// The driver for libvirt daemons.
pub const VIR_FROM_REMOTE: c_int = 13;
/// The checks of the other arguments.
pub const VIR_FROM_DOMAIN: c_int = 20;
/// Authentication.
pub const VIR_FROM_AUTH: c_int = 46;
/// The Virtuozzo driver of a libvirt daemon.
pub const VIR_FROM_PARALLELS: c_int = 48;
/// The access rules of a libvirt daemon.
pub const VIR_FROM_ACCESS: c_int = 55;
/// polkit.
pub const VIR_FROM_POLKIT: c_int = 60;

/// The level of every error of this library.
pub const VIR_ERR_ERROR: c_int = 2;

/// An error. The layout is that of libvirt's struct.
#[repr(C)]
pub struct virError {
    /// What went wrong, VIR_ERR_...; the number of a libvirt daemon may have no name here.
    pub code: c_int,
    /// The part that reports it, VIR_FROM_...; the number of a libvirt daemon may have no name here.
    pub domain: c_int,
    /// A sentence for people.
    pub message: *mut c_char,
    /// VIR_ERR_ERROR.
    pub level: c_int,
    /// NULL.
    pub conn: virConnectPtr,
    /// NULL.
    pub dom: virDomainPtr,
    /// NULL.
    pub str1: *mut c_char,
    /// NULL.
    pub str2: *mut c_char,
    /// NULL.
    pub str3: *mut c_char,
    /// -1.
    pub int1: c_int,
    /// -1.
    pub int2: c_int,
    /// NULL.
    pub net: *mut c_void,
}

/// An error of this thread, owned by the library.
pub type virErrorPtr = *mut virError;

/// A function that is called for every error, in the thread where it happens, before the failing
/// call returns. It may call this library.
pub type virErrorFunc = Option<extern "C" fn(user_data: *mut c_void, error: virErrorPtr)>;

/// Returns the error of this thread's last call, or NULL if it succeeded. It is valid until the
/// thread's next call.
#[unsafe(no_mangle)]
pub extern "C" fn virGetLastError() -> virErrorPtr {
    with_last(|last| ptr::from_mut(&mut last.error)).unwrap_or(ptr::null_mut())
}

/// Returns the message of this thread's last error, or "no error". It is valid until the thread's
/// next call; do not free it.
#[unsafe(no_mangle)]
pub extern "C" fn virGetLastErrorMessage() -> *const c_char {
    const NONE: &CStr = c"no error";
    with_last(|last| last.error.message.cast_const()).unwrap_or(NONE.as_ptr())
}

/// Returns the code of this thread's last error, or VIR_ERR_OK.
#[unsafe(no_mangle)]
pub extern "C" fn virGetLastErrorCode() -> c_int {
    with_last(|last| last.error.code).unwrap_or(VIR_ERR_OK)
}

/// Returns the part that reported this thread's last error, or VIR_FROM_NONE.
#[unsafe(no_mangle)]
pub extern "C" fn virGetLastErrorDomain() -> c_int {
    with_last(|last| last.error.domain).unwrap_or(VIR_FROM_NONE)
}

/// Resets this thread's last error. Every other call does so when it begins.
#[unsafe(no_mangle)]
pub extern "C" fn virResetLastError() {
    reset();
}

/// Sets the function that is called for the errors of all threads, and its first argument; NULL for
/// none. Without one libvirt prints errors; this library prints nothing.
#[unsafe(no_mangle)]
pub extern "C" fn virSetErrorFunc(user_data: *mut c_void, handler: virErrorFunc) {
    let handler = handler.map(|function| (function, user_data.expose_provenance()));
    *lock(&HANDLER) = handler;
}

/// The function and its argument.
type Handler = (extern "C" fn(*mut c_void, virErrorPtr), usize);

static HANDLER: Mutex<Option<Handler>> = Mutex::new(None);

thread_local! {
    static LAST: RefCell<Option<Box<Last>>> = const { RefCell::new(None) };
}

/// An error, and the text that it points to.
struct Last {
    error: virError,
    _message: CString,
}

/// Accesses the last error. A thread that is exiting has none.
fn with_last<T>(look: impl FnOnce(&mut Last) -> T) -> Option<T> {
    LAST.try_with(|last| last.borrow_mut().as_mut().map(|last| look(last))).ok().flatten()
}

/// Forgets this thread's last error.
pub(crate) fn reset() {
    let _ = LAST.try_with(|last| last.take());
}

/// Sets this thread's last error and calls the error function.
pub(crate) fn raise(failure: Failure) {
    let message = memory::c_string(&failure.message);
    let error = virError {
        code: failure.code,
        domain: failure.domain,
        message: message.as_ptr().cast_mut(),
        level: VIR_ERR_ERROR,
        conn: ptr::null_mut(),
        dom: ptr::null_mut(),
        str1: ptr::null_mut(),
        str2: ptr::null_mut(),
        str3: ptr::null_mut(),
        int1: -1,
        int2: -1,
        net: ptr::null_mut(),
    };
    let last = Box::new(Last { error, _message: message });
    let _ = LAST.try_with(|place| place.replace(Some(last)));
    // Without the lock: the handler may set another one.
    let handler = *lock(&HANDLER);
    if let Some((function, user_data)) = handler {
        function(ptr::with_exposed_provenance_mut(user_data), virGetLastError());
    }
}

/// Why a call fails.
pub(crate) struct Failure {
    code: c_int,
    domain: c_int,
    message: String,
}

impl Failure {
    pub(crate) fn new(code: c_int, domain: c_int, message: impl Into<String>) -> Self {
        Self { code, domain, message: message.into() }
    }

    /// Returns the failure as reported by another part.
    pub(crate) fn from(self, domain: c_int) -> Self {
        Self { domain, ..self }
    }
}

impl From<domstats::Error> for Failure {
    /// The message includes those of the causes.
    fn from(error: domstats::Error) -> Self {
        Self::new(error.code(), error.origin().code(), domstats::error_chain(&error))
    }
}

#[cfg(test)]
mod tests {
    use domstats::{ErrorKind, ErrorOrigin};

    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_library() {
        for (code, kind) in [
            (VIR_ERR_INTERNAL_ERROR, ErrorKind::Internal),
            (VIR_ERR_NO_SUPPORT, ErrorKind::NoSupport),
            (VIR_ERR_NO_CONNECT, ErrorKind::NoConnect),
            (VIR_ERR_INVALID_CONN, ErrorKind::InvalidConnection),
            (VIR_ERR_INVALID_DOMAIN, ErrorKind::InvalidDomain),
            (VIR_ERR_INVALID_ARG, ErrorKind::InvalidArgument),
            (VIR_ERR_XML_ERROR, ErrorKind::Malformed),
            (VIR_ERR_SYSTEM_ERROR, ErrorKind::System),
            (VIR_ERR_RPC, ErrorKind::Rpc),
            (VIR_ERR_GNUTLS_ERROR, ErrorKind::Tls),
            (VIR_ERR_NO_DOMAIN, ErrorKind::NoDomain),
            (VIR_ERR_AUTH_FAILED, ErrorKind::AuthFailed),
            (VIR_ERR_OPERATION_INVALID, ErrorKind::Ambiguous),
            (VIR_ERR_OPERATION_TIMEOUT, ErrorKind::Timeout),
            (VIR_ERR_ARGUMENT_UNSUPPORTED, ErrorKind::ArgumentUnsupported),
            (VIR_ERR_ACCESS_DENIED, ErrorKind::AccessDenied),
        ] {
            assert_eq!(code, kind.code());
        }
        for (domain, origin) in [
            (VIR_FROM_NONE, ErrorOrigin::Library),
            (VIR_FROM_RPC, ErrorOrigin::Rpc),
            (VIR_FROM_QEMU, ErrorOrigin::Qemu),
            (VIR_FROM_TEST, ErrorOrigin::Test),
            (VIR_FROM_REMOTE, ErrorOrigin::Remote),
            (VIR_FROM_DOMAIN, ErrorOrigin::Domain),
            (VIR_FROM_AUTH, ErrorOrigin::Auth),
            (VIR_FROM_POLKIT, ErrorOrigin::Polkit),
        ] {
            assert_eq!(domain, origin.code());
        }
    }
}
