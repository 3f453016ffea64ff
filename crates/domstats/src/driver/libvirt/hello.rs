//! Opens a connection: the stream, authentication, and the hypervisor behind the daemon.

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
use crate::model::error::{Error, ErrorKind, ErrorOrigin, Result};

/// What is behind the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Peer {
    /// libvirt's name for the driver: `QEMU`, `LXC`.
    pub(super) driver: String,
    pub(super) hostname: String,
    /// The version of libvirt, 9000000 for 9.0.0; 0 if unknown.
    pub(super) version: u64,
}

/// Opens a read-only connection.
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
    // A driver that does not report them is no reason to give up.
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
            "the daemon does not offer the authentication that auth= names",
        )),
        None | Some(AUTH_NONE) => Ok(()),
        Some(AUTH_SASL) => sasl(link, address, deadline),
        Some(AUTH_POLKIT) => link.call::<AuthPolkit, _>(&(), deadline, |_| ()).map_err(|error| {
            let kind = error.kind();
            Error::new(
                kind,
                ErrorOrigin::Polkit,
                "polkit denies this user access to libvirt: run as root, join the group of \
                 libvirt's socket, or allow the action org.libvirt.unix.monitor",
            )
            .because(error)
        }),
        Some(other) => Err(Error::new(
            ErrorKind::AuthFailed,
            ErrorOrigin::Auth,
            format!("the daemon requires authentication of the unknown type {other}"),
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
    let file = address.auth_file.clone().unwrap_or_default();
    let mechanisms = link.call::<AuthSaslInit, _>(&(), deadline, |text| text.into_owned());
    let mechanisms = match mechanisms {
        // libvirtd's reply when it has none for this kind of connection.
        Err(error) if error.kind() == ErrorKind::AuthFailed => String::new(),
        result => result?,
    };
    let mut sasl = Sasl::new(&mechanisms, wanted, credentials, link.is_secure())?;
    let mut mechanism = Some(sasl.mechanism().to_owned());
    converse(&mut sasl, |said| {
        let (nil, data) = (said.is_none(), Chars(said.unwrap_or_default()));
        let reply = match mechanism.take() {
            Some(mechanism) => {
                let args = SaslStartArgs { mechanism: mechanism.into(), nil, data };
                link.call::<AuthSaslStart, _>(&args, deadline, |reply| reply)
            }
            None => {
                let args = SaslStepArgs { nil, data };
                link.call::<AuthSaslStep, _>(&args, deadline, |reply| reply)
            }
        };
        reply.map_err(|error| match error.kind() {
            ErrorKind::AuthFailed => Error::new(
                ErrorKind::AuthFailed,
                ErrorOrigin::Auth,
                format!(
                    "libvirt's daemon refused the user '{user}' with the password in \
                     '{}'",
                    file.display()
                ),
            )
            .because(error),
            _ => error,
        })
    })
}

/// Exchanges messages until both sides are satisfied: `ask` takes this side's message, and returns
/// the server's reply.
fn converse(
    sasl: &mut Sasl,
    mut ask: impl FnMut(Option<Vec<u8>>) -> Result<SaslReply>,
) -> Result<()> {
    let (mut said, mut content) = sasl.step(None)?;
    loop {
        let reply = ask(said)?;
        if reply.complete && content {
            return Ok(());
        }
        (said, content) = sasl.step((!reply.nil).then_some(&reply.data.0))?;
        match (reply.complete, content) {
            (true, true) => return Ok(()),
            (true, false) => {
                return Err(Error::new(
                    ErrorKind::AuthFailed,
                    ErrorOrigin::Auth,
                    "libvirt's daemon accepts the login without proof that it knows the \
                     password: it is another daemon",
                ));
            }
            (false, _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::libvirt::auth_file::Credentials;

    /// Logs in to a server that sends these messages in turn, and returns the result.
    fn log_in(mechanism: &str, says: &[(bool, Option<&str>)]) -> std::result::Result<(), String> {
        let credentials = Credentials { user: "user".to_owned(), password: "pencil".to_owned() };
        let mut sasl = Sasl::new(mechanism, None, credentials, true).unwrap();
        let mut says = says.iter();
        let mut nonce = None;
        let result = converse(&mut sasl, |said| {
            let said = String::from_utf8(said.unwrap()).unwrap();
            let nonce = nonce.get_or_insert_with(|| {
                said.split_once(",r=").map(|(_, nonce)| nonce.to_owned()).unwrap_or_default()
            });
            let (complete, data) = *says.next().unwrap();
            let text = data.unwrap_or_default().replace("NONCE", nonce);
            Ok(SaslReply { complete, nil: data.is_none(), data: Chars(text.into_bytes()) })
        });
        assert!(says.next().is_none(), "it ended too early: {result:?}");
        result.map_err(|error| {
            assert_eq!(error.kind(), ErrorKind::AuthFailed);
            error.to_string()
        })
    }

    #[test]
    fn a_daemon_must_prove_that_it_knows_the_password() {
        let first = Some("r=NONCEx,s=AAAA,i=1");
        for (says, reason) in [
            (&[(true, None)][..], "does not prove"),
            (&[(true, Some(""))], "malformed"),
            (&[(true, Some("v=AAAA"))], "does not prove"),
            (&[(true, first)], "without proof"),
            (&[(false, first), (true, None)], "does not prove"),
            (&[(false, first), (true, Some("v=AAAA"))], "does not prove"),
            (&[(false, first), (false, Some("v=AAAA"))], "does not prove"),
        ] {
            let error = log_in("SCRAM-SHA-256", says).unwrap_err();
            assert!(error.contains(reason), "{says:?}: {error}");
        }
    }

    #[test]
    fn plain_requires_no_proof_from_the_server() {
        log_in("PLAIN", &[(true, None)]).unwrap();
        log_in("PLAIN", &[(true, Some(""))]).unwrap();
        let error = log_in("PLAIN", &[(false, None)]).unwrap_err();
        assert!(error.contains("continues after the end"), "{error}");
    }
}
