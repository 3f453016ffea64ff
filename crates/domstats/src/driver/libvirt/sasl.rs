//! SASL, the client's authentication, as steps that do no I/O.

use rsasl::prelude::{Mechname, SASLClient, SASLConfig, Session};

use super::auth_file::Credentials;
use crate::model::error::{Error, ErrorKind, ErrorOrigin, Result};

/// The mechanisms that this client supports, the strongest first.
const MECHANISMS: [&str; 4] = ["SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1", PLAIN];

/// Sends the password in clear text.
const PLAIN: &str = "PLAIN";

/// How many times a server may have the password hashed. This many, as recommended for the weakest
/// hash, take a second; 4,096 are usual.
const MAX_ITERATIONS: u32 = 1_300_000;

/// A SASL exchange with a server.
pub(super) struct Sasl {
    session: Session,
    /// Whether no further step may follow.
    over: bool,
}

impl Sasl {
    /// Begins an exchange with the strongest mechanism that both sides support: `offered` lists the
    /// server's, `wanted` restricts it to one, `secure` says that nobody can eavesdrop.
    ///
    /// # Errors
    ///
    /// The two sides have no mechanism in common.
    pub(super) fn new(
        offered: &str,
        wanted: Option<&str>,
        credentials: Credentials,
        secure: bool,
    ) -> Result<Self> {
        let mechanism = choose(offered, wanted, secure)?;
        let broken = |error| failed("SASL cannot begin").because(error);
        let name = Mechname::parse(mechanism.as_bytes())
            .map_err(|error| failed("SASL cannot begin").because(error.to_string()))?;
        let Credentials { user, password } = credentials;
        let config = SASLConfig::with_credentials(None, user, password).map_err(broken)?;
        let session = SASLClient::new(config).start_suggested(&[name]).map_err(broken)?;
        Ok(Self { session, over: false })
    }

    /// Returns the mechanism's name.
    pub(super) fn mechanism(&self) -> &str {
        self.session.get_mechname().as_str()
    }

    /// Takes the server's message, none at first, and returns the reply and whether this side is
    /// satisfied: with SCRAM, that the server knows the password too.
    ///
    /// # Errors
    ///
    /// The server's message is malformed, or the server does not know the password.
    pub(super) fn step(&mut self, server: Option<&[u8]>) -> Result<(Option<Vec<u8>>, bool)> {
        if self.over {
            return Err(failed("libvirt's daemon continues after the end of the login"));
        }
        // Until this step succeeds: after an error, no other may follow.
        self.over = true;
        if let Some(said) = server {
            check(said)?;
        }
        let mut answer = Vec::new();
        let state = self.session.step(server, &mut answer).map_err(|error| {
            let context = "libvirt's daemon does not prove that it knows the password: it is \
                           another daemon, or its SASL implementation differs";
            failed(context).because(error)
        })?;
        self.over = state.is_finished();
        Ok((state.has_sent_message().then_some(answer), self.over))
    }
}

fn failed(context: impl Into<String>) -> Error {
    Error::new(ErrorKind::AuthFailed, ErrorOrigin::Auth, context)
}

fn choose(offered: &str, wanted: Option<&str>, secure: bool) -> Result<&'static str> {
    let offered: Vec<_> =
        offered.split([',', ' ']).filter(|mechanism| !mechanism.is_empty()).collect();
    let spoken: Vec<_> =
        MECHANISMS.into_iter().filter(|mechanism| secure || *mechanism != PLAIN).collect();
    let common = spoken.iter().find(|spoken| {
        wanted.is_none_or(|wanted| wanted.eq_ignore_ascii_case(spoken))
            && offered.iter().any(|offered| offered.eq_ignore_ascii_case(spoken))
    });
    common.copied().ok_or_else(|| {
        let offered = match offered.is_empty() {
            true => "nothing".to_owned(),
            false => offered.join(", "),
        };
        let asked = wanted.map(|wanted| format!(", auth= requires {wanted}")).unwrap_or_default();
        let spoken = spoken.join(", ");
        let what_to_do = match secure {
            true => "add scram-sha-256 to mech_list in its /etc/sasl2/libvirt.conf",
            false => "use +ssh, or +tls without no_verify",
        };
        failed(format!(
            "libvirt's daemon offers {offered} for logging in{asked}, and this client supports \
             {spoken}: {what_to_do}"
        ))
    })
}

/// Refuses what no SCRAM server sends. The SASL library does not expect fields that are too short,
/// and would hash for hours.
fn check(said: &[u8]) -> Result<()> {
    for field in said.split(|byte| *byte == b',') {
        let sane = match field {
            [b'i', b'=', count @ ..] => std::str::from_utf8(count)
                .ok()
                .and_then(|count| count.parse().ok())
                .is_some_and(|count: u32| count <= MAX_ITERATIONS),
            field => field.len() >= 2,
        };
        if !sane {
            return Err(failed("libvirt's daemon sent a malformed login message"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rsasl::{
        callback::{Context, Request, SessionCallback, SessionData},
        mechanisms::scram::properties::ScramStoredPassword,
        prelude::{SASLServer, SessionError, Validation},
        property::AuthId,
        validate::{Validate, ValidationError},
    };

    use super::*;

    fn client(mechanisms: &str, password: &str) -> Sasl {
        let credentials = Credentials { user: "user".to_owned(), password: password.to_owned() };
        Sasl::new(mechanisms, None, credentials, true).unwrap()
    }

    /// What a server stores for the password `pencil` with the salt and count of RFC 7677: the
    /// stored key and the server key, computed by Python's `hashlib`.
    const KEYS: [(&str, &str, &str); 3] = [
        (
            "SCRAM-SHA-1",
            "836a44cd7dad31aa226f14c3e187c1264ab5cbcc",
            "64690d8ec98ac155f90b9cfcd2f1b11d9d368ce2",
        ),
        (
            "SCRAM-SHA-256",
            "586e5df283e6dceb5c3e791d8b8528ec191e664045ce971792e2e6b5bb13e2a6",
            "c1f3cbc1c13a9d35a14c0990eed97629ea225863e566a4314ab99f3f00e5d9d5",
        ),
        (
            "SCRAM-SHA-512",
            "e8002e6f7d3ae446119b216933644dc2a2be7869eb918b8459b5e7d7d2ec1260\
             6aceef106825cd735170a675fd3611f684affad1dce3f43a0ee43bd590e1dbbe",
            "8d91db6230b5687874fe129bc7206e1858c3ae08e02934f57ac03b6b05a229c4\
             59d28ff46f5c9611e6c179256490215ec1ff759cb0df285db89af0f99e613aac",
        ),
    ];

    fn bytes(hex: &str) -> Vec<u8> {
        let digit = |byte: &u8| u8::try_from(char::from(*byte).to_digit(16).unwrap()).unwrap();
        hex.as_bytes().chunks(2).map(|pair| digit(&pair[0]) * 16 + digit(&pair[1])).collect()
    }

    struct Keys {
        stored: Vec<u8>,
        server: Vec<u8>,
    }

    impl SessionCallback for Keys {
        fn callback(
            &self,
            _: &SessionData,
            context: &Context<'_>,
            request: &mut Request<'_>,
        ) -> std::result::Result<(), SessionError> {
            assert_eq!(context.get_ref::<AuthId>(), Some("user"));
            let salt = bytes("5b6d99689d12358eeca04b141236fa81");
            let keys = ScramStoredPassword::new(4096, &salt, &self.stored, &self.server);
            request.satisfy::<ScramStoredPassword<'_>>(&keys)?;
            Ok(())
        }

        fn validate(
            &self,
            _: &SessionData,
            _: &Context<'_>,
            validate: &mut Validate<'_>,
        ) -> std::result::Result<(), ValidationError> {
            validate.with::<Valid, _>(|| Ok(()))?;
            Ok(())
        }
    }

    struct Valid;

    impl Validation for Valid {
        type Value = ();
    }

    fn server(mechanism: &str) -> Session<Valid> {
        let (_, stored, server) = KEYS.iter().find(|(name, ..)| *name == mechanism).unwrap();
        let keys = Keys { stored: bytes(stored), server: bytes(server) };
        let config = SASLConfig::builder().with_default_mechanisms().with_callback(keys).unwrap();
        let name = Mechname::parse(mechanism.as_bytes()).unwrap();
        SASLServer::<Valid>::new(config).start_suggested(name).unwrap()
    }

    /// Runs the exchange up to the server's last message, and returns that message.
    fn until_the_last_word(client: &mut Sasl) -> std::result::Result<Vec<u8>, SessionError> {
        let mut server = server(client.mechanism());
        let (mut said, mut finished) = client.step(None).unwrap();
        loop {
            let mut answer = Vec::new();
            let state = server.step(said.as_deref(), &mut answer)?;
            assert!(!finished);
            if state.is_finished() {
                return Ok(answer);
            }
            (said, finished) = client.step(Some(&answer)).unwrap();
        }
    }

    #[test]
    fn every_scram_mechanism_accepts_the_right_password() {
        for (mechanism, ..) in KEYS {
            let mut client = client(mechanism, "pencil");
            let word = until_the_last_word(&mut client).unwrap();
            assert_eq!(client.step(Some(&word)).unwrap(), (None, true), "{mechanism}");
        }
    }

    #[test]
    fn a_wrong_password_is_refused() {
        let mut client = client("SCRAM-SHA-256", "pen");
        assert_eq!(until_the_last_word(&mut client).unwrap(), b"e=invalid-proof");
    }

    #[test]
    fn a_server_that_does_not_know_the_password_is_refused() {
        for (mechanism, ..) in KEYS {
            let mut client = client(mechanism, "pencil");
            let mut word = until_the_last_word(&mut client).unwrap();
            word[2] = if word[2] == b'A' { b'B' } else { b'A' };
            let error = client.step(Some(&word)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AuthFailed);
            assert!(error.to_string().contains("does not prove"), "{error}");
            assert!(!format!("{error:?}").contains("pencil"), "{error:?}");
            // It stays refused.
            client.step(Some(&word)).unwrap_err();
        }
        let mut client = client("SCRAM-SHA-256", "pencil");
        until_the_last_word(&mut client).unwrap();
        client.step(None).unwrap_err();
    }

    #[test]
    fn no_server_message_panics_or_takes_hours() {
        let first = |said: &str| {
            let mut client = client("SCRAM-SHA-512", "pencil");
            let (hello, _) = client.step(None).unwrap();
            let hello = String::from_utf8(hello.unwrap()).unwrap();
            let nonce = hello.split_once("r=").unwrap().1;
            client.step(Some(said.replace("NONCE", nonce).as_bytes()))
        };
        first("r=NONCEx,s=AAAA,i=4096").unwrap();
        for said in [
            "",
            ",",
            ",,,,",
            "r",
            "r=",
            "r=NONCE,s=AAAA,i=4096",
            "r=other,s=AAAA,i=4096",
            "r=NONCEx",
            "r=NONCEx,",
            "r=NONCEx,,i=1",
            "r=NONCEx,s",
            "r=NONCEx,s=AAAA,",
            "r=NONCEx,s=AAAA,i",
            "r=NONCEx,s=AAAA,i=",
            "r=NONCEx,s=AAAA,i=-1",
            "r=NONCEx,s=AAAA,i=0",
            "r=NONCEx,s=AAAA,i=4000000000",
            "r=NONCEx,s=A,i=1",
            "m=x,r=NONCEx,s=AAAA,i=1",
            "e=other-error",
            "v=AAAA",
        ] {
            assert_eq!(first(said).unwrap_err().kind(), ErrorKind::AuthFailed, "{said}");
        }
        for last in ["", ",", "v", "v=", "v=!", "e", "e=", "e=invalid-proof", "x=y"] {
            let mut client = client("SCRAM-SHA-256", "pencil");
            until_the_last_word(&mut client).unwrap();
            client.step(Some(last.as_bytes())).unwrap_err();
        }
    }

    #[test]
    fn plain_sends_the_password_and_is_satisfied() {
        let mut client = client("DIGEST-MD5,PLAIN", "pencil");
        let hello = b"\0user\0pencil".to_vec();
        assert_eq!(client.step(None).unwrap(), (Some(hello), true));
        let error = client.step(Some(b"more")).unwrap_err();
        assert!(error.to_string().contains("continues after the end"), "{error}");
    }

    #[test]
    fn the_strongest_common_mechanism_is_used() {
        for (offered, wanted, secure, chosen) in [
            ("PLAIN,SCRAM-SHA-1,SCRAM-SHA-512,SCRAM-SHA-256", None, true, "SCRAM-SHA-512"),
            ("GSSAPI,PLAIN,SCRAM-SHA-1,SCRAM-SHA-256", None, false, "SCRAM-SHA-256"),
            ("scram-sha-1 plain", None, true, "SCRAM-SHA-1"),
            ("SCRAM-SHA-256-PLUS,PLAIN,", None, true, "PLAIN"),
            ("SCRAM-SHA-1,SCRAM-SHA-512", Some("scram-sha-1"), true, "SCRAM-SHA-1"),
        ] {
            assert_eq!(choose(offered, wanted, secure).unwrap(), chosen, "{offered}");
        }
    }

    #[test]
    fn no_common_mechanism_is_one_clear_error() {
        for (offered, wanted, secure, sentence) in [
            (
                "DIGEST-MD5,GSSAPI,PLAIN",
                None,
                false,
                "libvirt's daemon offers DIGEST-MD5, GSSAPI, PLAIN for logging in, and this client \
                 supports SCRAM-SHA-512, SCRAM-SHA-256, SCRAM-SHA-1: use +ssh, or +tls without \
                 no_verify",
            ),
            (
                "",
                None,
                true,
                "libvirt's daemon offers nothing for logging in, and this client supports \
                 SCRAM-SHA-512, SCRAM-SHA-256, SCRAM-SHA-1, PLAIN: add scram-sha-256 to mech_list \
                 in its /etc/sasl2/libvirt.conf",
            ),
            (
                "SCRAM-SHA-256",
                Some("GSSAPI"),
                true,
                "libvirt's daemon offers SCRAM-SHA-256 for logging in, auth= requires GSSAPI, and \
                 this client supports SCRAM-SHA-512, SCRAM-SHA-256, SCRAM-SHA-1, PLAIN: add \
                 scram-sha-256 to mech_list in its /etc/sasl2/libvirt.conf",
            ),
        ] {
            let error = choose(offered, wanted, secure).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AuthFailed);
            assert_eq!(error.to_string(), sentence);
        }
    }
}
