//! Errors, in libvirt's own words.

use std::borrow::Cow;

use domstats::{ErrorKind, ErrorOrigin, Missing, MissingReason, error_chain};
use domstats_rpc::{
    Program, Status,
    message::{RemoteError, code},
};

use crate::hypervisors::Failure;

/// An error for the wire.
pub(super) type Refusal = Box<RemoteError<'static>>;

/// libvirt's numbers of errors (`virErrorNumber`): those of the library's errors, and two more.
const INTERNAL: i32 = ErrorKind::Internal.code();
const NO_SUPPORT: i32 = ErrorKind::NoSupport.code();
const NO_CONNECT: i32 = ErrorKind::NoConnect.code();
const INVALID_ARGUMENT: i32 = ErrorKind::InvalidArgument.code();
const DENIED: i32 = 29;
const NO_DOMAIN: i32 = ErrorKind::NoDomain.code();
const INVALID: i32 = ErrorKind::Ambiguous.code();
const TIMEOUT: i32 = ErrorKind::Timeout.code();
const UNSUPPORTED_ARGUMENT: i32 = ErrorKind::ArgumentUnsupported.code();
const UNSUPPORTED: i32 = 84;
const ACCESS_DENIED: i32 = ErrorKind::AccessDenied.code();

/// libvirt's numbers of its parts (`virErrorDomain`).
pub(super) const NONE: i32 = ErrorOrigin::Library.code();
const RPC: i32 = ErrorOrigin::Rpc.code();
const QEMU: i32 = ErrorOrigin::Qemu.code();
pub(super) const DOMAIN: i32 = ErrorOrigin::Domain.code();

const NOT_VALID: &str = "Requested operation is not valid: %s";

/// An error with a sentence.
fn said(code: i32, origin: i32, sentence: impl Into<Cow<'static, str>>) -> Refusal {
    Box::new(RemoteError::new(code, origin, sentence))
}

/// An error whose sentence is a pattern, filled in.
fn filled(code: i32, origin: i32, pattern: &'static str, detail: impl Into<String>) -> Refusal {
    let detail = detail.into();
    let mut error = said(code, origin, pattern.replace("%s", &detail));
    error.str1 = Some(pattern.into());
    error.str2 = Some(detail.into());
    error
}

/// A procedure that is not served. Clients recognize the beginning of this sentence, and do without.
pub(super) fn unknown_procedure(number: i32) -> Refusal {
    said(code::RPC, RPC, format!("unknown procedure: {number}"))
}

/// libvirt writes both as numbers that may be negative.
pub(super) fn unknown_program(program: Program, version: u32) -> Refusal {
    let [program, version] = [program.number(), version].map(u32::cast_signed);
    let sentence = format!("Cannot find program {program} version {version}");
    said(code::RPC, RPC, sentence)
}

pub(super) fn bad_status(status: Status) -> Refusal {
    said(code::RPC, RPC, format!("Unexpected message status {}", status.number()))
}

pub(super) fn undecodable() -> Refusal {
    said(code::RPC, RPC, "Unable to decode message payload")
}

/// A reply that exceeds a packet.
pub(super) fn too_large() -> Refusal {
    said(code::RPC, RPC, "Unable to encode message payload")
}

pub(super) fn over_limit(what: &str) -> Refusal {
    said(code::RPC, RPC, format!("{what} > REMOTE_DOMAIN_LIST_MAX"))
}

/// A violation of the protocol, or a fault of this program.
pub(super) fn internal(what: impl Into<String>) -> Refusal {
    filled(INTERNAL, RPC, "internal error: %s", what)
}

pub(super) fn no_driver(uri: &str) -> Refusal {
    filled(NO_CONNECT, NONE, "no connection driver available for %s", uri)
}

/// A function that changes something.
pub(super) fn read_only(origin: i32, function: &str) -> Refusal {
    filled(
        DENIED,
        origin,
        "operation forbidden: %s",
        format!("read only access prevents {function}"),
    )
}

pub(super) fn secure_flag() -> Refusal {
    let what = "virDomainGetXMLDesc with secure flag";
    filled(DENIED, DOMAIN, "operation forbidden: %s", what)
}

/// Flags that do not exist.
pub(super) fn unsupported_flags(unknown: u32, function: &'static str) -> Refusal {
    let sentence = format!("unsupported flags ({unknown:#x}) in function {function}");
    bad_argument(QEMU, function, "flags", sentence)
}

pub(super) fn unsupported_groups(unknown: u32) -> Refusal {
    let what = format!("Stats types bits {unknown:#x} are not supported by this daemon or QEMU");
    filled(UNSUPPORTED_ARGUMENT, QEMU, "argument unsupported: %s", what)
}

pub(super) fn invalid_argument(what: impl Into<String>) -> Refusal {
    filled(INVALID_ARGUMENT, QEMU, "invalid argument: %s", what)
}

/// An argument that a function of libvirt refuses by its name.
pub(super) fn bad_argument(
    origin: i32,
    function: &'static str,
    name: &'static str,
    sentence: impl Into<Cow<'static, str>>,
) -> Refusal {
    let mut error = said(INVALID_ARGUMENT, origin, sentence);
    error.str1 = Some(function.into());
    error.str2 = Some(name.into());
    (error.int1, error.int2) = (0, 0);
    error
}

/// A domain that does not exist; `what` is how it was looked up.
pub(super) fn no_domain(what: impl Into<String>) -> Refusal {
    filled(NO_DOMAIN, QEMU, "Domain not found: %s", what)
}

/// A name or a UUID that several domains claim.
pub(super) fn ambiguous(what: impl Into<String>) -> Refusal {
    filled(INVALID, QEMU, NOT_VALID, what)
}

pub(super) fn not_running() -> Refusal {
    filled(INVALID, DOMAIN, NOT_VALID, "domain is not running")
}

/// The vCPUs of a domain that is shut off.
pub(super) fn no_vcpus() -> Refusal {
    filled(INVALID, QEMU, NOT_VALID, "cannot retrieve vcpu information for inactive domain")
}

/// The configuration of a domain that has none.
pub(super) fn transient() -> Refusal {
    filled(INVALID, DOMAIN, NOT_VALID, "transient domains do not have any persistent config")
}

/// A value that was not read, with its reason.
pub(super) fn missing(missing: &Missing) -> Refusal {
    let (number, pattern) = match missing.reason {
        MissingReason::Inactive => return not_running(),
        MissingReason::Timeout | MissingReason::Busy => (TIMEOUT, "Timed out during operation: %s"),
        MissingReason::Unsupported => (UNSUPPORTED, "Operation not supported: %s"),
        MissingReason::Denied => (ACCESS_DENIED, "access denied: %s"),
        MissingReason::Gone => (NO_DOMAIN, "Domain not found: %s"),
        MissingReason::Ambiguous => (INVALID, NOT_VALID),
        _ => (INTERNAL, "internal error: %s"),
    };
    filled(number, QEMU, pattern, missing.to_string())
}

/// An event that the client has registered already.
pub(super) fn already_tracked() -> Refusal {
    filled(INVALID_ARGUMENT, NONE, "invalid argument: %s", "event callback already tracked")
}

/// A function of libvirt that is not supported here.
pub(super) fn no_support(function: &str) -> Refusal {
    let pattern = "this function is not supported by the connection driver: %s";
    filled(NO_SUPPORT, NONE, pattern, function)
}

/// A value that no driver provides, without a reason.
pub(super) fn unsupported(what: impl Into<String>) -> Refusal {
    filled(UNSUPPORTED, QEMU, "Operation not supported: %s", what)
}

/// A hypervisor that cannot be asked. The library's errors carry libvirt's numbers.
pub(super) fn unreachable(failure: &Failure) -> Refusal {
    let Failure { uri, error } = failure;
    let sentence = format!("{uri}: {}", error_chain(error.as_ref()));
    said(error.code(), error.origin().code(), sentence)
}
