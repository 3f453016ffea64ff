//! The session of a client: what it opened, its features and event registrations.

use std::{
    borrow::Cow,
    sync::{Arc, Mutex, MutexGuard},
};

use domstats::sync::lock;
use domstats_rpc::{
    message::{AUTH_NONE, AuthTypes, EventArgs, OpenArgs},
    xdr::List,
};

use super::{
    Server,
    events::{self, Callbacks},
    refuse::{self, Refusal},
};

/// The feature (`virDrvFeature`) of a client that answers pings.
const KEEPALIVE: i32 = 10;

/// The features on offer: strings in typed parameters, pings, and callbacks for events and for the end of a
/// connection.
const FEATURES: [i32; 4] = [9, KEEPALIVE, 14, 15];

/// The libvirt whose procedures these are, 9.0.0: the answer where no libvirt is asked.
const LIB_VERSION: u64 = 9_000_000;

/// A client.
pub(super) struct Client {
    pub(super) server: Arc<Server>,
    is_secure: bool,
    /// Held while a large reply is built.
    pub(super) building: tokio::sync::Mutex<()>,
    session: Mutex<Session>,
}

#[derive(Default)]
struct Session {
    /// The URI that was opened.
    uri: Option<String>,
    is_pinged: bool,
    callbacks: Callbacks,
}

impl Client {
    pub(super) fn new(server: Arc<Server>, is_secure: bool) -> Self {
        Self {
            server,
            is_secure,
            building: tokio::sync::Mutex::default(),
            session: Mutex::default(),
        }
    }

    fn session(&self) -> MutexGuard<'_, Session> {
        lock(&self.session)
    }

    /// Refuses calls that need an open hypervisor.
    pub(super) fn check_open(&self) -> Result<(), Refusal> {
        match self.session().uri {
            Some(_) => Ok(()),
            None => Err(refuse::internal("hypervisor connection not open")),
        }
    }

    /// Returns whether the client has opened the hypervisor.
    pub(super) fn has_opened(&self) -> bool {
        self.session().uri.is_some()
    }

    /// Returns whether the client answers pings.
    pub(super) fn is_pinged(&self) -> bool {
        self.session().is_pinged
    }
}

/// The socket's permissions, or the client's certificate, have decided already.
pub(super) async fn auth_types(_: &Client, (): ()) -> Result<AuthTypes, Refusal> {
    Ok(List(vec![AUTH_NONE]))
}

/// Opens read-only, whatever the flags say: most clients that only read do not set the flag.
pub(super) async fn open(client: &Client, args: OpenArgs<'_>) -> Result<(), Refusal> {
    let Some(name) = args.name else {
        return Err(refuse::internal("connection not open"));
    };
    let uri = match name.as_ref() {
        "" => "qemu:///system",
        uri if matches!(uri.split('?').next(), Some("qemu:///system" | "qemu:///session")) => uri,
        uri => return Err(refuse::no_driver(uri)),
    };
    let mut session = client.session();
    if session.uri.is_some() {
        return Err(refuse::internal("connection already open"));
    }
    session.uri = Some(uri.to_owned());
    Ok(())
}

pub(super) async fn close(_: &Client, (): ()) -> Result<(), Refusal> {
    Ok(())
}

pub(super) async fn driver(_: &Client, (): ()) -> Result<Cow<'static, str>, Refusal> {
    Ok("QEMU".into())
}

/// Each domain may run another QEMU. Zero is libvirt's value for an unknown version.
pub(super) async fn version(_: &Client, (): ()) -> Result<u64, Refusal> {
    Ok(0)
}

pub(super) async fn lib_version(_: &Client, (): ()) -> Result<u64, Refusal> {
    Ok(LIB_VERSION)
}

/// The machine types of the host's QEMU are not read.
pub(super) async fn max_vcpus(_: &Client, _: Option<Cow<'_, str>>) -> Result<i32, Refusal> {
    Err(refuse::no_support("virConnectGetMaxVcpus"))
}

pub(super) async fn uri(client: &Client, (): ()) -> Result<Cow<'static, str>, Refusal> {
    Ok(client.session().uri.clone().unwrap_or_default().into())
}

pub(super) async fn is_secure(client: &Client, (): ()) -> Result<bool, Refusal> {
    Ok(client.is_secure)
}

/// Before `open`, a client can only announce that it answers pings.
pub(super) async fn feature(client: &Client, feature: i32) -> Result<bool, Refusal> {
    match feature {
        KEEPALIVE => client.session().is_pinged = true,
        _ => client.check_open()?,
    }
    Ok(FEATURES.contains(&feature))
}

pub(super) async fn register(client: &Client, (): ()) -> Result<i32, Refusal> {
    client.session().callbacks.add(events::LIFECYCLE, None)?;
    // libvirtd returns this, whatever the field's name says.
    Ok(0)
}

pub(super) async fn deregister(client: &Client, (): ()) -> Result<i32, Refusal> {
    client.session().callbacks.remove_event(events::LIFECYCLE)?;
    Ok(0)
}

pub(super) async fn register_any(client: &Client, event: i32) -> Result<(), Refusal> {
    events::check_old(event)?;
    client.session().callbacks.add(event, None).map(drop)
}

pub(super) async fn deregister_any(client: &Client, event: i32) -> Result<(), Refusal> {
    events::check_old(event)?;
    client.session().callbacks.remove_event(event)
}

pub(super) async fn register_callback(
    client: &Client,
    args: EventArgs<'_>,
) -> Result<i32, Refusal> {
    let domain = args.domain.map(|domain| domain.uuid);
    client.session().callbacks.add(args.event, domain)
}

pub(super) async fn deregister_callback(client: &Client, number: i32) -> Result<(), Refusal> {
    client.session().callbacks.remove(number)
}

/// Registers a callback for the end of the hypervisor: that ends the connection, which the client notices anyway.
pub(super) async fn close_callback(_: &Client, (): ()) -> Result<(), Refusal> {
    Ok(())
}
