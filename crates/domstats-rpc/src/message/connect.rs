//! Authentication, and the hypervisor to open.

use std::borrow::Cow;

use crate::{
    limits,
    xdr::{Chars, List, xdr_struct},
};

/// Ways to authenticate: [`AUTH_NONE`], [`AUTH_SASL`], [`AUTH_POLKIT`]. An empty list is
/// equivalent to [`AUTH_NONE`].
#[doc(alias = "remote_auth_list_ret")]
pub type AuthTypes = List<i32, { limits::AUTH_TYPES }>;

/// No authentication.
#[doc(alias = "REMOTE_AUTH_NONE")]
pub const AUTH_NONE: i32 = 0;
/// SASL: [`AuthSaslInit`](crate::procedure::AuthSaslInit) and the steps that follow.
#[doc(alias = "REMOTE_AUTH_SASL")]
pub const AUTH_SASL: i32 = 1;
/// polkit: [`AuthPolkit`](crate::procedure::AuthPolkit).
#[doc(alias = "REMOTE_AUTH_POLKIT")]
pub const AUTH_POLKIT: i32 = 2;

/// The data of a SASL step: at most [`limits::SASL_DATA`] bytes.
pub type SaslData = Chars<{ limits::SASL_DATA }>;

xdr_struct! {
    /// Arguments of [`AuthSaslStart`](crate::procedure::AuthSaslStart).
    #[doc(alias = "remote_auth_sasl_start_args")]
    #[derive(Eq)]
    SaslStartArgs<'a> {
        /// The mechanism, such as `SCRAM-SHA-256`: one that the server offered.
        #[doc(alias = "mech")]
        mechanism: Cow<'a, str>,
        /// Whether there are no data, not even empty ones.
        nil: bool,
        /// The data; empty if [`nil`](Self::nil).
        data: SaslData,
    }
}

xdr_struct! {
    /// Arguments of [`AuthSaslStep`](crate::procedure::AuthSaslStep).
    #[doc(alias = "remote_auth_sasl_step_args")]
    #[derive(Eq)]
    SaslStepArgs {
        /// Whether there are no data, not even empty ones.
        nil: bool,
        /// The data; empty if [`nil`](Self::nil).
        data: SaslData,
    }
}

xdr_struct! {
    /// The server's SASL step: the result of [`AuthSaslStart`](crate::procedure::AuthSaslStart)
    /// and of [`AuthSaslStep`](crate::procedure::AuthSaslStep).
    #[doc(alias = "remote_auth_sasl_start_ret")]
    #[doc(alias = "remote_auth_sasl_step_ret")]
    #[derive(Eq)]
    SaslReply {
        /// Whether the client is authenticated now.
        complete: bool,
        /// Whether there are no data, not even empty ones.
        nil: bool,
        /// The data; empty if [`nil`](Self::nil).
        data: SaslData,
    }
}

xdr_struct! {
    /// Arguments of [`ConnectOpen`](crate::procedure::ConnectOpen).
    #[doc(alias = "remote_connect_open_args")]
    #[derive(Eq)]
    OpenArgs<'a> {
        /// The URI, without the transport to the server; empty for the server's default. Servers
        /// refuse a call without a URI.
        name: Option<Cow<'a, str>>,
        /// 0 or [`OPEN_READ_ONLY`].
        flags: u32,
    }
}

/// The flag of a read-only connection.
#[doc(alias = "VIR_CONNECT_RO")]
pub const OPEN_READ_ONLY: u32 = 1;
