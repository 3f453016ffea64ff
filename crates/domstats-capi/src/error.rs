//! Errors: one per thread, with libvirt's numbers and the layout of libvirt's struct.

use std::{
    cell::RefCell,
    ffi::{CStr, CString, c_char, c_int, c_void},
    ptr,
    sync::{Mutex, PoisonError},
};

use crate::{connect::virConnectPtr, domain::virDomainPtr, memory};

/// No error.
pub const VIR_ERR_OK: c_int = 0;
/// Something that should not happen did.
pub const VIR_ERR_INTERNAL_ERROR: c_int = 1;
/// There is no memory left.
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
/// A document or reply could not be understood.
pub const VIR_ERR_XML_ERROR: c_int = 27;
/// The operating system refused, or no libvirt daemon can be reached.
pub const VIR_ERR_SYSTEM_ERROR: c_int = 38;
/// What a daemon said is not its protocol.
pub const VIR_ERR_RPC: c_int = 39;
/// TLS fails, most often because either side does not trust the other.
pub const VIR_ERR_GNUTLS_ERROR: c_int = 40;
/// No domain has that name, UUID or id.
pub const VIR_ERR_NO_DOMAIN: c_int = 42;
/// The daemon does not believe who the caller is.
pub const VIR_ERR_AUTH_FAILED: c_int = 45;
/// The domain has no such property: a QEMU started by hand may have no UUID. Or several domains have the
/// name or UUID.
pub const VIR_ERR_OPERATION_INVALID: c_int = 55;
/// The time was up.
pub const VIR_ERR_OPERATION_TIMEOUT: c_int = 68;
/// A group is not supported, and VIR_CONNECT_GET_ALL_DOMAINS_STATS_ENFORCE_STATS was given.
pub const VIR_ERR_ARGUMENT_UNSUPPORTED: c_int = 74;
/// The caller lacks the right.
pub const VIR_ERR_ACCESS_DENIED: c_int = 88;

/// Said by the library itself, before a driver was asked.
pub const VIR_FROM_NONE: c_int = 0;
/// Said by the check of a domain's pointer.
pub const VIR_FROM_DOM: c_int = 6;
/// Said by the conversation with a libvirt daemon.
pub const VIR_FROM_RPC: c_int = 7;
/// Said by the QEMU driver.
pub const VIR_FROM_QEMU: c_int = 10;
/// Said by the test driver.
pub const VIR_FROM_TEST: c_int = 12;
/// Said by the driver that asks libvirt daemons.
pub const VIR_FROM_REMOTE: c_int = 13;
/// Said by the checks of the other arguments.
pub const VIR_FROM_DOMAIN: c_int = 20;
/// Said by the proof of who the caller is.
pub const VIR_FROM_AUTH: c_int = 46;
/// Said by the driver of Virtuozzo in a libvirt daemon.
pub const VIR_FROM_PARALLELS: c_int = 48;
/// Said by the access rules of a libvirt daemon.
pub const VIR_FROM_ACCESS: c_int = 55;
/// Said by polkit.
pub const VIR_FROM_POLKIT: c_int = 60;

/// The level of every error of this library.
pub const VIR_ERR_ERROR: c_int = 2;

/// An error. The layout is that of libvirt's struct.
#[repr(C)]
pub struct virError {
    /// What went wrong, VIR_ERR_...; a libvirt daemon may give a number that has no name here.
    pub code: c_int,
    /// Who says so, VIR_FROM_...; a libvirt daemon may give a number that has no name here.
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

/// An error of this thread. The library owns it.
pub type virErrorPtr = *mut virError;

/// A function that is told of every error, in the thread where it happens, before the call that
/// fails returns. It may call this library.
pub type virErrorFunc = Option<extern "C" fn(user_data: *mut c_void, error: virErrorPtr)>;

/// Returns the error of this thread's last call, or NULL if it did not fail. It is valid until the
/// thread's next call.
#[unsafe(no_mangle)]
pub extern "C" fn virGetLastError() -> virErrorPtr {
    with_last(|last| ptr::from_mut(&mut last.error)).unwrap_or(ptr::null_mut())
}

/// Returns the message of this thread's last error, or "no error". It is valid until the thread's
/// next call, and not to be freed.
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

/// Returns who said this thread's last error, or VIR_FROM_NONE.
#[unsafe(no_mangle)]
pub extern "C" fn virGetLastErrorDomain() -> c_int {
    with_last(|last| last.error.domain).unwrap_or(VIR_FROM_NONE)
}

/// Forgets this thread's last error. Every other call does so when it begins.
#[unsafe(no_mangle)]
pub extern "C" fn virResetLastError() {
    reset();
}

/// Sets the function that is told of the errors of all threads, and its first argument; NULL for
/// none. Until one is set nobody is told: libvirt prints errors then, this library prints nothing.
#[unsafe(no_mangle)]
pub extern "C" fn virSetErrorFunc(user_data: *mut c_void, handler: virErrorFunc) {
    let handler = handler.map(|function| (function, user_data.expose_provenance()));
    *HANDLER.lock().unwrap_or_else(PoisonError::into_inner) = handler;
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

/// Looks at the last error. A thread that is at its end has none.
fn with_last<T>(look: impl FnOnce(&mut Last) -> T) -> Option<T> {
    LAST.try_with(|last| last.borrow_mut().as_mut().map(|last| look(last))).ok().flatten()
}

/// Forgets this thread's last error.
pub(crate) fn reset() {
    let _ = LAST.try_with(|last| last.take());
}

/// Makes a failure this thread's last error, and tells whoever wants to know.
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
    // Not under the lock: the handler may set another one.
    let handler = *HANDLER.lock().unwrap_or_else(PoisonError::into_inner);
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

    /// Returns the failure as somebody else says it.
    pub(crate) fn from(self, domain: c_int) -> Self {
        Self { domain, ..self }
    }
}

impl From<domstats::Error> for Failure {
    /// There is one message: it has the sentences of the errors underneath too.
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
