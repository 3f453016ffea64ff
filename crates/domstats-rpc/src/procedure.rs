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
pub trait Procedure {
    /// Its number.
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
    /// Opens the hypervisor of a URI.
    1 ConnectOpen(OpenArgs<'a>) -> ();
    /// Closes it; the server closes the connection then.
    2 ConnectClose(()) -> ();
    /// Returns the name of the hypervisor's driver, such as `QEMU`.
    3 ConnectGetType(()) -> Cow<'a, str>;
    /// Returns the domain with an id.
    22 DomainLookupById(i32) -> Domain<'a>;
    /// Returns the domain of a name.
    23 DomainLookupByName(Cow<'a, str>) -> Domain<'a>;
    /// Returns the domain with a UUID.
    24 DomainLookupByUuid([u8; 16]) -> Domain<'a>;
    /// Returns the name of the host.
    59 ConnectGetHostname(()) -> Cow<'a, str>;
    /// Returns the ways in which a client may authenticate itself.
    66 AuthList(()) -> AuthTypes;
    /// Returns the mechanisms of SASL, with commas between them.
    67 AuthSaslInit(()) -> Cow<'a, str>;
    /// Takes the first step of SASL.
    68 AuthSaslStart(SaslStartArgs<'a>) -> SaslReply;
    /// Takes another step of SASL.
    69 AuthSaslStep(SaslStepArgs) -> SaslReply;
    /// Has polkit look at the client; returns whether that is all.
    70 AuthPolkit(()) -> i32;
    /// Returns the version of libvirt on the far side.
    157 ConnectGetLibVersion(()) -> u64;
    /// Returns the state of a domain.
    212 DomainGetState(StateArgs<'a>) -> StateReply;
    /// Returns the domains that match.
    273 ConnectListAllDomains(ListDomainsArgs) -> ListedDomains<'a>;
    /// Returns the statistics of domains.
    344 ConnectGetAllDomainStats(DomainStatsArgs<'a>) -> StatsRecords<'a>;
}

/// Returns the packet of a call.
///
/// # Errors
///
/// [`Fault::TooLong`] if the arguments exceed a limit.
pub fn call<P: Procedure>(serial: u32, args: &P::Args<'_>) -> Result<Vec<u8>, Fault> {
    header(P::NUMBER, Kind::Call, serial, Status::Ok).packet(args)
}

/// Returns the packet of a reply.
///
/// # Errors
///
/// [`Fault::TooLong`] if the result exceeds a limit.
pub fn reply<P: Procedure>(serial: u32, result: &P::Reply<'_>) -> Result<Vec<u8>, Fault> {
    header(P::NUMBER, Kind::Reply, serial, Status::Ok).packet(result)
}

/// Returns the packet that refuses a call: it bears the call's own program and procedure.
///
/// # Errors
///
/// [`Fault::TooLong`] if the error exceeds a limit.
pub fn error_reply(call: &Header, error: &RemoteError<'_>) -> Result<Vec<u8>, Fault> {
    Header { kind: Kind::Reply, status: Status::Error, ..*call }.packet(error)
}

fn header(procedure: i32, kind: Kind, serial: u32, status: Status) -> Header {
    Header { program: Program::Remote, version: VERSION, procedure, kind, serial, status }
}
