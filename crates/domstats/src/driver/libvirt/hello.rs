//! Opens a connection: the stream, who we are, and the hypervisor behind the daemon.

use std::time::Instant;

use domstats_rpc::{
    message::{
        AUTH_NONE, AUTH_POLKIT, AUTH_SASL, OPEN_READ_ONLY, OpenArgs, SaslReply, SaslStartArgs,
        SaslStepArgs,
    },
    procedure::{
        AuthList, AuthPolkit, AuthSaslInit, AuthSaslStart, AuthSaslStep, ConnectGetHostname,
        ConnectGetLibVersion, ConnectGetType, ConnectOpen,
    },
    xdr::Chars,
};

use super::{
    address::{Address, Auth},
    auth_file,
    link::Link,
    sasl::Sasl,
    transport,
};
use crate::error::{Error, ErrorKind, ErrorOrigin, Result};

/// What is behind the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Peer {
    /// libvirt's name of the driver: `QEMU`, `LXC`.
    pub(super) driver: String,
    pub(super) hostname: String,
    /// The version of libvirt, 9000000 for 9.0.0; 0 if it does not tell.
    pub(super) version: u64,
}

/// Opens a connection that cannot change anything.
pub(super) fn open<T: Default>(address: &Address, deadline: Instant) -> Result<Link<T>> {
    let mut link = Link::new(transport::connect(address, deadline)?);
    authenticate(&mut link, address, deadline)?;
    let name = Some(address.name.as_str().into());
    link.call::<ConnectOpen, _>(&OpenArgs { name, flags: OPEN_READ_ONLY }, deadline, |()| ())?;
    Ok(link)
}

/// Asks what is behind the daemon.
pub(super) fn peer<T: Default>(link: &mut Link<T>, deadline: Instant) -> Result<Peer> {
    let driver = link.call::<ConnectGetType, _>(&(), deadline, |text| text.into_owned())?;
    let hostname = link.call::<ConnectGetHostname, _>(&(), deadline, |text| text.into_owned());
    let version = link.call::<ConnectGetLibVersion, _>(&(), deadline, |version| version);
    // A driver that does not tell is no reason to give up.
    Ok(Peer {
        driver,
        hostname: hostname.unwrap_or_default(),
        version: version.unwrap_or_default(),
    })
}

fn authenticate<T: Default>(
    link: &mut Link<T>,
    address: &Address,
    deadline: Instant,
) -> Result<()> {
    let offered = link.call::<AuthList, _>(&(), deadline, |types| types.0)?;
    let wanted = match &address.auth {
        Some(Auth::Sasl { .. }) => Some(AUTH_SASL),
        Some(Auth::Polkit) => Some(AUTH_POLKIT),
        None => offered.first().copied(),
    };
    match wanted {
        Some(wanted) if !offered.contains(&wanted) => Err(Error::new(
            ErrorKind::AuthFailed,
            ErrorOrigin::Auth,
            "the daemon does not offer the way to authenticate that auth= names",
        )),
        None | Some(AUTH_NONE) => Ok(()),
        Some(AUTH_SASL) => sasl(link, address, deadline),
        Some(AUTH_POLKIT) => link.call::<AuthPolkit, _>(&(), deadline, |_| ()).map_err(|error| {
            let kind = error.kind();
            Error::new(
                kind,
                ErrorOrigin::Polkit,
                "polkit does not let this user ask libvirt: run as root, join the group of \
                 libvirt's socket, or allow the action org.libvirt.unix.monitor",
            )
            .because(error)
        }),
        Some(other) => Err(Error::new(
            ErrorKind::AuthFailed,
            ErrorOrigin::Auth,
            format!("the daemon asks for an authentication of type {other}, which is unknown"),
        )),
    }
}

fn sasl<T: Default>(link: &mut Link<T>, address: &Address, deadline: Instant) -> Result<()> {
    let wanted = match &address.auth {
        Some(Auth::Sasl { mechanism }) => mechanism.as_deref(),
        _ => None,
    };
    let credentials = auth_file::credentials(address)?;
    let user = credentials.user.clone();
    let refused = |error: Error| match error.kind() {
        ErrorKind::AuthFailed => Error::new(
            ErrorKind::AuthFailed,
            ErrorOrigin::Auth,
            format!("libvirt's daemon does not know the user '{user}', or not by this password"),
        )
        .because(error),
        _ => error,
    };
    let mechanisms = link.call::<AuthSaslInit, _>(&(), deadline, |text| text.into_owned());
    let mechanisms = match mechanisms {
        // How libvirtd says that it has none for this kind of connection.
        Err(error) if error.kind() == ErrorKind::AuthFailed => String::new(),
        result => result?,
    };
    let mut sasl = Sasl::new(&mechanisms, wanted, credentials, link.is_secure())?;
    let (mut data, mut finished) = sasl.step(None)?;
    let mechanism = sasl.mechanism().to_owned();
    let args = SaslStartArgs {
        mechanism: mechanism.into(),
        nil: data.is_none(),
        data: Chars(data.unwrap_or_default()),
    };
    let mut reply =
        link.call::<AuthSaslStart, _>(&args, deadline, |reply| reply).map_err(&refused)?;
    while !(reply.complete && finished) {
        let SaslReply { complete, nil, data: said } = reply;
        (data, finished) = sasl.step((!nil).then_some(&said.0))?;
        if complete {
            break;
        }
        let nil = data.is_none();
        let args = SaslStepArgs { nil, data: Chars(data.unwrap_or_default()) };
        reply = link.call::<AuthSaslStep, _>(&args, deadline, |reply| reply).map_err(&refused)?;
    }
    match finished {
        true => Ok(()),
        false => Err(Error::new(
            ErrorKind::AuthFailed,
            ErrorOrigin::Auth,
            "the daemon accepts the password without proof that it knows it too",
        )),
    }
}
