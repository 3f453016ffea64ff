//! The procedures: number, arguments, result.

use std::borrow::Cow;

use crate::{
    message::{
        AuthTypes, Domain, DomainStatsArgs, ListDomainsArgs, ListedDomains, OpenArgs, RemoteError,
        SaslReply, SaslStartArgs, SaslStepArgs, StateArgs, StateReply, StatsRecords,
    },
    packet::{Header, Kind, Program, Status, VERSION},
    xdr::{Fault, Xdr},
};

/// A procedure of the program [`Remote`](Program::Remote).
#[doc(alias = "remote_procedure")]
pub trait Procedure {
    /// Its number, from 1.
    const NUMBER: i32;
    /// What a call carries.
    type Args<'a>: Xdr<'a>;
    /// What a reply carries.
    type Reply<'a>: Xdr<'a>;
}

macro_rules! procedures {
    ($($(#[$about:meta])* $number:literal $name:ident($args:ty) -> $reply:ty;)*) => {
        $(
            $(#[$about])*
            #[derive(Debug, Clone, Copy)]
            pub struct $name;

            impl Procedure for $name {
                const NUMBER: i32 = $number;
                type Args<'a> = $args;
                type Reply<'a> = $reply;
            }
        )*
    };
}

procedures! {
    /// Opens the hypervisor of a URI: once in a connection, after authentication.
    #[doc(alias = "REMOTE_PROC_CONNECT_OPEN")]
    1 ConnectOpen(OpenArgs<'a>) -> ();
    /// Closes it; the server closes the connection then.
    #[doc(alias = "REMOTE_PROC_CONNECT_CLOSE")]
    2 ConnectClose(()) -> ();
    /// Returns the name of the hypervisor's driver, such as `QEMU`.
    #[doc(alias = "REMOTE_PROC_CONNECT_GET_TYPE")]
    3 ConnectGetType(()) -> Cow<'a, str>;
    /// Returns the active domain with an id, from 1.
    #[doc(alias = "REMOTE_PROC_DOMAIN_LOOKUP_BY_ID")]
    22 DomainLookupById(i32) -> Domain<'a>;
    /// Returns the domain of a name.
    #[doc(alias = "REMOTE_PROC_DOMAIN_LOOKUP_BY_NAME")]
    23 DomainLookupByName(Cow<'a, str>) -> Domain<'a>;
    /// Returns the domain with a UUID.
    #[doc(alias = "REMOTE_PROC_DOMAIN_LOOKUP_BY_UUID")]
    24 DomainLookupByUuid([u8; 16]) -> Domain<'a>;
    /// Returns the name of the host.
    #[doc(alias = "REMOTE_PROC_CONNECT_GET_HOSTNAME")]
    59 ConnectGetHostname(()) -> Cow<'a, str>;
    /// Returns the ways in which a client may authenticate itself. To be the first call: a server
    /// may refuse all others before.
    #[doc(alias = "REMOTE_PROC_AUTH_LIST")]
    66 AuthList(()) -> AuthTypes;
    /// Returns the names of SASL's mechanisms, with commas between them.
    #[doc(alias = "REMOTE_PROC_AUTH_SASL_INIT")]
    67 AuthSaslInit(()) -> Cow<'a, str>;
    /// Takes the first step of SASL.
    #[doc(alias = "REMOTE_PROC_AUTH_SASL_START")]
    68 AuthSaslStart(SaslStartArgs<'a>) -> SaslReply;
    /// Takes another step of SASL.
    #[doc(alias = "REMOTE_PROC_AUTH_SASL_STEP")]
    69 AuthSaslStep(SaslStepArgs) -> SaslReply;
    /// Has polkit look at the client; returns 1 if it was let in.
    #[doc(alias = "REMOTE_PROC_AUTH_POLKIT")]
    70 AuthPolkit(()) -> i32;
    /// Returns the version of libvirt on the far side: 9,001,002 is 9.1.2.
    #[doc(alias = "REMOTE_PROC_CONNECT_GET_LIB_VERSION")]
    157 ConnectGetLibVersion(()) -> u64;
    /// Returns the state of a domain.
    #[doc(alias = "REMOTE_PROC_DOMAIN_GET_STATE")]
    212 DomainGetState(StateArgs<'a>) -> StateReply;
    /// Returns the domains that match.
    #[doc(alias = "REMOTE_PROC_CONNECT_LIST_ALL_DOMAINS")]
    273 ConnectListAllDomains(ListDomainsArgs) -> ListedDomains<'a>;
    /// Returns the statistics of domains.
    #[doc(alias = "REMOTE_PROC_CONNECT_GET_ALL_DOMAIN_STATS")]
    344 ConnectGetAllDomainStats(DomainStatsArgs<'a>) -> StatsRecords<'a>;
}

/// Returns the packet of a call. Its serial must be that of no other call that waits for a reply.
///
/// # Errors
///
/// [`Fault::TooLong`] if the arguments exceed a limit.
pub fn call<P: Procedure>(serial: u32, args: &P::Args<'_>) -> Result<Vec<u8>, Fault> {
    header::<P>(Kind::Call, serial).packet(args)
}

/// Returns the packet of a reply: it bears the serial of the call.
///
/// # Errors
///
/// [`Fault::TooLong`] if the result exceeds a limit.
pub fn reply<P: Procedure>(serial: u32, result: &P::Reply<'_>) -> Result<Vec<u8>, Fault> {
    header::<P>(Kind::Reply, serial).packet(result)
}

/// Returns the packet that refuses a call: it bears the call's own program, procedure and serial.
///
/// # Errors
///
/// [`Fault::TooLong`] if the error exceeds a limit.
pub fn error_reply(call: &Header, error: &RemoteError<'_>) -> Result<Vec<u8>, Fault> {
    Header { kind: Kind::Reply, status: Status::Error, ..*call }.packet(error)
}

fn header<P: Procedure>(kind: Kind, serial: u32) -> Header {
    Header {
        program: Program::Remote,
        version: VERSION,
        procedure: P::NUMBER,
        kind,
        serial,
        status: Status::Ok,
    }
}
