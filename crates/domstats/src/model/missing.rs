//! What is missing from a report, and why.

use std::fmt;

use crate::model::{
    catalogue::attribute::{Attribute, AttributeField},
    error::{Error, ErrorKind, ErrorOrigin},
    identity::DomainInfo,
    name::{Name, printable},
    stats::Extra,
};

/// A group of a domain that is missing in whole or in part.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MissingGroup {
    /// The group's name, such as `cpu-total`; that of a newer peer may be unknown here.
    pub group: Name,
    /// Why it is missing.
    pub missing: Missing,
}

impl MissingGroup {
    pub(crate) fn new(group: impl Into<Name>, missing: Missing) -> Self {
        Self { group: group.into(), missing }
    }
}

/// A domain without a record.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MissingDomain {
    /// Its identity.
    pub domain: DomainInfo,
    /// Why it is missing.
    pub missing: Missing,
}

impl MissingDomain {
    pub(crate) fn new(domain: DomainInfo, missing: Missing) -> Self {
        Self { domain, missing }
    }
}

/// Why something is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Missing {
    /// The reason, for programs.
    pub reason: MissingReason,
    /// The explanation for people, without deceptive characters; may be empty.
    pub text: String,
    /// What a newer peer added.
    pub extra: Extra,
}

impl Missing {
    /// The rows of the catalogue that describe why something is missing.
    pub const ATTRIBUTES: &'static [Attribute<Self>] = &[
        Attribute::new::<MissingReason>(
            "reason",
            &["Why it is missing."],
            |missing: &Self| missing.reason.get(),
            |missing: &mut Self, value| missing.reason.set(value),
        ),
        Attribute::new::<String>(
            "text",
            &["The explanation for people."],
            |missing: &Self| missing.text.get(),
            |missing: &mut Self, value| missing.text.set(value),
        )
        .text(),
    ];

    pub(crate) fn new(reason: MissingReason, text: impl Into<String>) -> Self {
        Self { reason, text: printable(&text.into()), extra: Extra::default() }
    }

    /// Returns the error of a call for this alone.
    pub(crate) fn error(&self, origin: ErrorOrigin) -> Error {
        let kind = match self.reason {
            MissingReason::Timeout | MissingReason::Busy => ErrorKind::Timeout,
            MissingReason::Unsupported => ErrorKind::NoSupport,
            MissingReason::Denied => ErrorKind::AccessDenied,
            MissingReason::Gone => ErrorKind::NoDomain,
            MissingReason::Ambiguous => ErrorKind::Ambiguous,
            _ => ErrorKind::Internal,
        };
        Error::new(kind, origin, self.to_string())
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text.as_str() {
            "" => self.reason.fmt(f),
            text => write!(f, "{}: {text}", self.reason),
        }
    }
}

/// Defines the reasons, each with the word that documents use.
macro_rules! reasons {
    (
        $(#[$about:meta])*
        pub enum $name:ident {
            $($(#[doc = $doc:literal])* #[word($word:literal)] $variant:ident,)*
        }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[doc = $doc])* $variant,)*
            /// A reason of a newer peer.
            Other(Name),
        }

        impl $name {
            /// The words that this version writes.
            pub(crate) const WORDS: &'static [&'static str] = &[$($word),*];

            /// Returns the word that documents use.
            #[must_use]
            pub fn word(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)*
                    Self::Other(word) => word,
                }
            }

            /// Returns the reason for a word of documents.
            #[must_use]
            pub fn from_word(word: &str) -> Self {
                match word {
                    $($word => Self::$variant,)*
                    other => Self::Other(other.into()),
                }
            }
        }
    };
}

reasons!(
    /// Why something can be missing.
    pub enum MissingReason {
        /// The driver, the domain's hypervisor or its version does not support it.
        #[word("unsupported")]
        Unsupported,
        /// There was no answer before the deadline.
        #[word("timeout")]
        Timeout,
        /// Another client holds the monitor.
        #[word("busy")]
        Busy,
        /// The caller lacks the permission.
        #[word("denied")]
        Denied,
        /// The domain went away.
        #[word("gone")]
        Gone,
        /// The domain is not active.
        #[word("inactive")]
        Inactive,
        /// The answer was an error, or malformed.
        #[word("failed")]
        Failed,
        /// Several domains match.
        #[word("ambiguous")]
        Ambiguous,
    }
);

impl MissingReason {
    /// Returns whether a report is complete without it: there is nothing to read.
    #[must_use]
    pub fn is_expected(&self) -> bool {
        matches!(self, Self::Unsupported | Self::Inactive)
    }
}

impl fmt::Display for MissingReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
