//! The one error type of the library.
//!
//! ```text
//! Error ── kind     for programs: stable, maps to libvirt's error code
//!       ├─ origin   the part that reports it: maps to libvirt's error domain
//!       ├─ context  one sentence for people: what was wrong, where, what to do
//!       └─ source   the cause, never repeated in the context
//! ```

use std::{error, fmt, sync::Arc};

/// The result of every fallible call of this library.
pub type Result<T> = std::result::Result<T, Error>;

/// Defines an enumeration with libvirt's numbers, and `Other` for those that have no name here.
macro_rules! numbers {
    (
        $(#[$about:meta])*
        pub enum $name:ident {
            $($(#[doc = $doc:literal])* $variant:ident = $number:literal,)*
        }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[doc = $doc])* $variant,)*
            /// A number of a libvirt daemon that has no name here.
            Other(i32),
        }

        impl $name {
            /// Returns libvirt's number.
            #[must_use]
            pub const fn code(self) -> i32 {
                match self {
                    $(Self::$variant => $number,)*
                    Self::Other(number) => number,
                }
            }

            fn of_number(number: i32) -> Self {
                match number {
                    $($number => Self::$variant,)*
                    number => Self::Other(number),
                }
            }
        }
    };
}

numbers!(
    /// What went wrong, in the terms a program decides on.
    ///
    /// Every kind has the number that libvirt gives the same situation (`virErrorNumber`), so that
    /// programs which know `VIR_ERR_*` need to learn nothing.
    pub enum ErrorKind {
        /// Something that should not happen did. `VIR_ERR_INTERNAL_ERROR`.
        Internal = 1,
        /// The driver has no such function. `VIR_ERR_NO_SUPPORT`.
        NoSupport = 3,
        /// No hypervisor answers at the URI. `VIR_ERR_NO_CONNECT`; if a daemon cannot be reached,
        /// libvirt has `VIR_ERR_SYSTEM_ERROR`, 38.
        NoConnect = 5,
        /// The connection was closed. `VIR_ERR_INVALID_CONN`.
        InvalidConnection = 6,
        /// The domain handle belongs to a closed connection. `VIR_ERR_INVALID_DOMAIN`.
        InvalidDomain = 7,
        /// An argument makes no sense: an empty list, an unknown flag, a malformed URI.
        /// `VIR_ERR_INVALID_ARG`.
        InvalidArgument = 8,
        /// A document or reply could not be parsed. `VIR_ERR_XML_ERROR`.
        Malformed = 27,
        /// The operating system refused. `VIR_ERR_SYSTEM_ERROR`.
        System = 38,
        /// A daemon violated its protocol. `VIR_ERR_RPC`.
        Rpc = 39,
        /// TLS failed, most often because one side does not trust the other. `VIR_ERR_GNUTLS_ERROR`.
        Tls = 40,
        /// No domain has that name, UUID or id. `VIR_ERR_NO_DOMAIN`.
        NoDomain = 42,
        /// The daemon did not accept the credentials. `VIR_ERR_AUTH_FAILED`.
        AuthFailed = 45,
        /// Several domains have that name or UUID. `VIR_ERR_OPERATION_INVALID`, which a libvirt daemon
        /// gives for much else.
        Ambiguous = 55,
        /// The deadline passed. `VIR_ERR_OPERATION_TIMEOUT`.
        Timeout = 68,
        /// A requested group is not supported and `ENFORCE_STATS` was given.
        /// `VIR_ERR_ARGUMENT_UNSUPPORTED`.
        ArgumentUnsupported = 74,
        /// The caller lacks the permission. `VIR_ERR_ACCESS_DENIED`.
        AccessDenied = 88,
    }
);

impl ErrorKind {
    /// Returns the kind of an error of a libvirt daemon.
    pub(crate) fn from_code(code: i32) -> Self {
        match Self::of_number(code) {
            // To a daemon it is any operation that is invalid now.
            Self::Ambiguous => Self::Other(code),
            kind => kind,
        }
    }
}

numbers!(
    /// The part that reports an error: libvirt's "error domain" (`virErrorDomain`).
    ///
    /// The word `domain` means a virtual machine everywhere else in this library, hence the name.
    pub enum ErrorOrigin {
        /// The library itself, before a driver was involved. `VIR_FROM_NONE`.
        Library = 0,
        /// The connection to a libvirt daemon. `VIR_FROM_RPC`.
        Rpc = 7,
        /// The QEMU driver. `VIR_FROM_QEMU`.
        Qemu = 10,
        /// The test driver. `VIR_FROM_TEST`.
        Test = 12,
        /// The libvirt driver. `VIR_FROM_REMOTE`.
        Remote = 13,
        /// The checks of domain handles and lists. `VIR_FROM_DOMAIN`.
        Domain = 20,
        /// Authentication. `VIR_FROM_AUTH`.
        Auth = 46,
        /// polkit. `VIR_FROM_POLKIT`.
        Polkit = 60,
    }
);

impl ErrorOrigin {
    /// Returns the origin of an error of a libvirt daemon.
    pub(crate) fn from_code(code: i32) -> Self {
        Self::of_number(code)
    }
}

/// An error of this library: a kind for programs, a sentence for people, and the cause.
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
    /// Returns a new error, for programs that pass on errors of this library and add their own.
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

    /// Returns what went wrong.
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
            // libvirt reports an unreachable daemon as a system error.
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

/// Returns the sentences of an error and its causes in one line, for people.
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
