//! The one error type of the library.
//!
//! ```text
//! Error ── kind     what a program decides on: stable, maps to libvirt's error code
//!       ├─ origin   who says so: maps to libvirt's error domain
//!       ├─ context  one sentence for people: what was wrong, where, what to do
//!       └─ source   the error underneath, never repeated in the context
//! ```

use std::{error, fmt, sync::Arc};

/// The result of every fallible call of this library.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, in the terms a program decides on.
///
/// Every kind has the number that libvirt gives the same situation, so that programs which know
/// `VIR_ERR_*` need to learn nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Something that should not happen did. `VIR_ERR_INTERNAL_ERROR`, 1.
    Internal,
    /// The driver has no such function. `VIR_ERR_NO_SUPPORT`, 3.
    NoSupport,
    /// No hypervisor answers at the URI. `VIR_ERR_NO_CONNECT`, 5; if a daemon cannot be reached,
    /// libvirt has `VIR_ERR_SYSTEM_ERROR`, 38.
    NoConnect,
    /// The connection was closed. `VIR_ERR_INVALID_CONN`, 6.
    InvalidConnection,
    /// The domain handle belongs to a closed connection. `VIR_ERR_INVALID_DOMAIN`, 7.
    InvalidDomain,
    /// An argument makes no sense: an empty list, an unknown flag, a malformed URI.
    /// `VIR_ERR_INVALID_ARG`, 8.
    InvalidArgument,
    /// A document or reply could not be understood. `VIR_ERR_XML_ERROR`, 27.
    Malformed,
    /// The operating system refused. `VIR_ERR_SYSTEM_ERROR`, 38.
    System,
    /// What a daemon said is not its protocol. `VIR_ERR_RPC`, 39.
    Rpc,
    /// TLS fails, most often because either side does not trust the other. `VIR_ERR_GNUTLS_ERROR`,
    /// 40.
    Tls,
    /// The daemon does not believe who the caller is. `VIR_ERR_AUTH_FAILED`, 45.
    AuthFailed,
    /// No domain has that name, UUID or id. `VIR_ERR_NO_DOMAIN`, 42.
    NoDomain,
    /// Several domains have that name or UUID. `VIR_ERR_OPERATION_INVALID`, 55, which a libvirt daemon gives
    /// for much else.
    Ambiguous,
    /// The time was up. `VIR_ERR_OPERATION_TIMEOUT`, 68.
    Timeout,
    /// A requested group is not supported and `ENFORCE_STATS` was given.
    /// `VIR_ERR_ARGUMENT_UNSUPPORTED`, 74.
    ArgumentUnsupported,
    /// The caller lacks the right. `VIR_ERR_ACCESS_DENIED`, 88.
    AccessDenied,
    /// A libvirt daemon gives this number, which has no name here.
    Other(i32),
}

impl ErrorKind {
    /// Returns libvirt's number for this kind (`virErrorNumber`).
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            Self::Internal => 1,
            Self::NoSupport => 3,
            Self::NoConnect => 5,
            Self::InvalidConnection => 6,
            Self::InvalidDomain => 7,
            Self::InvalidArgument => 8,
            Self::Malformed => 27,
            Self::System => 38,
            Self::Rpc => 39,
            Self::Tls => 40,
            Self::NoDomain => 42,
            Self::AuthFailed => 45,
            Self::Ambiguous => 55,
            Self::Timeout => 68,
            Self::ArgumentUnsupported => 74,
            Self::AccessDenied => 88,
            Self::Other(code) => code,
        }
    }

    /// Returns the kind of libvirt's number.
    pub(crate) fn from_code(code: i32) -> Self {
        let named = [
            Self::Internal,
            Self::NoSupport,
            Self::NoConnect,
            Self::InvalidConnection,
            Self::InvalidDomain,
            Self::InvalidArgument,
            Self::Malformed,
            Self::System,
            Self::Rpc,
            Self::Tls,
            Self::NoDomain,
            Self::AuthFailed,
            Self::Timeout,
            Self::ArgumentUnsupported,
            Self::AccessDenied,
        ];
        named.into_iter().find(|kind| kind.code() == code).unwrap_or(Self::Other(code))
    }
}

/// The part that reports an error: libvirt's "error domain" (`virErrorDomain`).
///
/// The word `domain` means a virtual machine everywhere else in this library, hence the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorOrigin {
    /// The library itself, before a driver was asked. `VIR_FROM_NONE`, 0.
    Library,
    /// The conversation with a libvirt daemon. `VIR_FROM_RPC`, 7.
    Rpc,
    /// The QEMU driver. `VIR_FROM_QEMU`, 10.
    Qemu,
    /// The test driver. `VIR_FROM_TEST`, 12.
    Test,
    /// The libvirt driver. `VIR_FROM_REMOTE`, 13.
    Remote,
    /// The checks on domain handles and lists. `VIR_FROM_DOMAIN`, 20.
    Domain,
    /// The proof of who the caller is. `VIR_FROM_AUTH`, 46.
    Auth,
    /// polkit. `VIR_FROM_POLKIT`, 60.
    Polkit,
    /// A part of libvirt with this number, which has no name here.
    Other(i32),
}

impl ErrorOrigin {
    /// Returns libvirt's number for this origin (`virErrorDomain`).
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            Self::Library => 0,
            Self::Rpc => 7,
            Self::Qemu => 10,
            Self::Test => 12,
            Self::Remote => 13,
            Self::Domain => 20,
            Self::Auth => 46,
            Self::Polkit => 60,
            Self::Other(code) => code,
        }
    }

    /// Returns the origin of libvirt's number.
    pub(crate) fn from_code(code: i32) -> Self {
        let named = [
            Self::Library,
            Self::Qemu,
            Self::Test,
            Self::Domain,
            Self::Rpc,
            Self::Remote,
            Self::Auth,
            Self::Polkit,
        ];
        named.into_iter().find(|origin| origin.code() == code).unwrap_or(Self::Other(code))
    }
}

/// An error of this library: a kind to decide on, a sentence to show, and the error underneath.
///
/// ```
/// let error = domstats::Connect::open("test:///nothing-here.xml").unwrap_err();
/// assert_eq!(error.kind(), domstats::ErrorKind::System);
/// assert_eq!(error.code(), 38); // VIR_ERR_SYSTEM_ERROR
/// assert_eq!(error.origin().code(), 12); // VIR_FROM_TEST
/// ```
#[derive(Debug, Clone)]
#[doc(alias = "virError")]
pub struct Error {
    kind: ErrorKind,
    origin: ErrorOrigin,
    context: String,
    source: Option<Arc<dyn error::Error + Send + Sync>>,
}

impl Error {
    /// Returns an error of a program that hands errors of this library on, and has some of its own.
    #[must_use]
    pub fn new(kind: ErrorKind, origin: ErrorOrigin, context: impl Into<String>) -> Self {
        Self { kind, origin, context: context.into(), source: None }
    }

    pub(crate) fn because(
        mut self,
        source: impl Into<Box<dyn error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into().into());
        self
    }

    /// Returns what a program decides on.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns the part that reports the error.
    #[must_use]
    pub fn origin(&self) -> ErrorOrigin {
        self.origin
    }

    /// Returns libvirt's error number, such as 8 for an invalid argument (`virError.code`).
    #[must_use]
    pub fn code(&self) -> i32 {
        match (self.kind, self.origin) {
            // To libvirt, what keeps it from a daemon is an error of the system.
            (ErrorKind::NoConnect | ErrorKind::AccessDenied, ErrorOrigin::Rpc) => {
                ErrorKind::System.code()
            }
            (kind, _) => kind.code(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.context)
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// Returns the sentence of an error and of those underneath, in one line for people.
///
/// ```
/// let error = domstats::Connect::open("test:///nothing-here.xml").unwrap_err();
/// assert!(domstats::error_chain(&error).contains(": No such file"));
/// ```
#[must_use]
pub fn error_chain(error: &dyn error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        line.push_str(": ");
        line.push_str(&error.to_string());
        source = error.source();
    }
    line
}
