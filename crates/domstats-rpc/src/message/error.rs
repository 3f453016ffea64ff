//! Errors: the payload of a reply that refuses a call.

use std::{borrow::Cow, fmt};

use super::Domain;
use crate::xdr::xdr_struct;

xdr_struct! {
    /// A network, in an error about one.
    #[doc(alias = "remote_nonnull_network")]
    #[derive(Eq)]
    Network<'a> {
        /// Its name.
        name: Cow<'a, str>,
        /// Its UUID.
        uuid: [u8; 16],
    }
}

xdr_struct! {
    /// Why a call failed.
    #[doc(alias = "virError")]
    #[doc(alias = "remote_error")]
    #[derive(Eq)]
    RemoteError<'a> {
        /// What is wrong, from 1.
        #[doc(alias = "virErrorNumber")]
        code: i32,
        /// The part of libvirt that reports it, from 0.
        #[doc(alias = "virErrorDomain")]
        #[doc(alias = "domain")]
        origin: i32,
        /// The message, in the language of the server's host. Always send one: some clients read it
        /// without checking that it is there.
        message: Option<Cow<'a, str>>,
        /// 2 for an error.
        #[doc(alias = "virErrorLevel")]
        level: i32,
        /// The domain that the error is about.
        #[doc(alias = "dom")]
        domain: Option<Domain<'a>>,
        /// The format string of the message.
        str1: Option<Cow<'a, str>>,
        /// The first argument of the format string.
        str2: Option<Cow<'a, str>>,
        /// A further argument.
        str3: Option<Cow<'a, str>>,
        /// -1, mostly.
        int1: i32,
        /// -1, mostly.
        int2: i32,
        /// The network that the error is about.
        #[doc(alias = "net")]
        network: Option<Network<'a>>,
    }
}

impl<'a> RemoteError<'a> {
    /// Returns an error with a message, filled in as libvirt does.
    #[must_use]
    pub fn new(code: i32, origin: i32, message: impl Into<Cow<'a, str>>) -> Self {
        let message = message.into();
        Self {
            code,
            origin,
            message: Some(message.clone()),
            level: 2,
            domain: None,
            str1: Some("%s".into()),
            str2: Some(message),
            str3: None,
            int1: -1,
            int2: -1,
            network: None,
        }
    }

    /// Returns the error without the domain or network that it may be about.
    #[must_use]
    pub fn into_owned(self) -> RemoteError<'static> {
        let owned = |text: Option<Cow<'_, str>>| text.map(|text| Cow::Owned(text.into_owned()));
        RemoteError {
            code: self.code,
            origin: self.origin,
            message: owned(self.message),
            level: self.level,
            domain: None,
            str1: owned(self.str1),
            str2: owned(self.str2),
            str3: owned(self.str3),
            int1: self.int1,
            int2: self.int2,
            network: None,
        }
    }

    /// Returns the message.
    #[must_use]
    pub fn sentence(&self) -> &str {
        self.message.as_deref().unwrap_or("no reason given")
    }

    /// Returns whether the server does not know the procedure.
    ///
    /// libvirt has no code for that, and translates its messages. But this message contains the
    /// procedure's number, and no other that a correct call can get with this code has a digit.
    #[must_use]
    pub fn is_unknown_procedure(&self) -> bool {
        self.code == code::RPC && self.sentence().contains(|c: char| c.is_ascii_digit())
    }
}

impl fmt::Display for RemoteError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

/// Numbers of errors that decide what a client does next.
#[doc(alias = "virErrorNumber")]
pub mod code {
    /// The server could not decode the call, or could not send the reply.
    #[doc(alias = "VIR_ERR_RPC")]
    pub const RPC: i32 = 39;
}
