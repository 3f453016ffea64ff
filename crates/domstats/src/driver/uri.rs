//! Connection URIs: `driver+transport://user@host:port/path?key=value&key=value#fragment`.

use std::{fmt, str::FromStr};

use percent_encoding::percent_decode_str;

use crate::model::error::{Error, ErrorKind, ErrorOrigin, Result};

/// A parsed connection URI. Prints as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Uri {
    text: String,
    /// The driver and the transport, lower case: `qemu+qmp`.
    pub(crate) scheme: String,
    /// Who to be on the host, decoded.
    pub(crate) user: Option<String>,
    /// Decoded, and without the brackets around an IPv6 address; empty if none is given.
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    /// The path, decoded, with its leading slash.
    pub(crate) path: String,
    /// The parameters, decoded, in their order; a key may repeat.
    pub(crate) query: Vec<(String, String)>,
    /// What follows the `#`, as it was given.
    pub(crate) fragment: Option<String>,
}

impl FromStr for Uri {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let whole = match text {
            // libvirt's old spellings.
            "xen" | "xen://" => "xen:///system",
            text => text,
        };
        let (scheme, rest) =
            whole.split_once("://").filter(|(scheme, _)| is_scheme(scheme)).ok_or_else(|| {
                malformed(text, "it must look like driver:///path, for example test:///default")
            })?;
        let (rest, fragment) = split(rest, '#');
        let (rest, query) = split(rest, '?');
        let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        let (user, address) = match authority.rsplit_once('@') {
            Some((user, address)) => (Some(decode(text, user)?), address),
            None => (None, authority),
        };
        let (host, port) = host_and_port(address)
            .ok_or_else(|| malformed(text, "its host must be a name, HOST:PORT or [IPV6]:PORT"))?;
        let query = query
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                Ok((decode(text, key)?, decode(text, value)?))
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            text: text.to_owned(),
            scheme: scheme.to_ascii_lowercase(),
            user,
            host: decode(text, host)?,
            port,
            path: decode(text, path)?,
            query,
            fragment: fragment.map(str::to_owned),
        })
    }
}

impl Uri {
    #[cfg(any(feature = "libvirt", test))]
    /// Returns the driver, as it was given: `QEMU` of `QEMU+ssh://host/system`.
    pub(crate) fn driver(&self) -> &str {
        let end = self.text.find(['+', ':']).unwrap_or(self.text.len());
        &self.text[..end]
    }

    /// Returns an error of this URI: `what` says what is wrong and what to do.
    pub(crate) fn refuse(&self, origin: ErrorOrigin, what: impl fmt::Display) -> Error {
        Error::new(
            ErrorKind::InvalidArgument,
            origin,
            format!("connection URI '{}': {what}", self.text),
        )
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn split(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at).map_or((text, None), |(before, after)| (before, Some(after)))
}

/// Takes apart what follows the user: `host`, `host:port`, `[::1]`, `[::1]:port` or nothing.
fn host_and_port(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(address) => {
            let (host, rest) = address.split_once(']')?;
            let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) };
            (host, port)
        }
        None => split(text, ':'),
    };
    Some((host, port.map(str::parse).transpose().ok()?))
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

fn decode(uri: &str, text: &str) -> Result<String> {
    percent_decode_str(text)
        .decode_utf8()
        .map(|text| text.into_owned())
        .map_err(|error| malformed(uri, "its percent signs do not decode to UTF-8").because(error))
}

fn malformed(uri: &str, what: &str) -> Error {
    Error::new(
        ErrorKind::InvalidArgument,
        ErrorOrigin::Library,
        format!("connection URI '{uri}': {what}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_apart() {
        let uri: Uri = "QEMU+qmp://h/system?monitor=/a%20b/*.qmp&monitor=/c&flag".parse().unwrap();
        assert_eq!(
            (uri.scheme.as_str(), uri.host.as_str(), uri.path.as_str()),
            ("qemu+qmp", "h", "/system")
        );
        let pairs: Vec<_> = uri.query.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(pairs, [("monitor", "/a b/*.qmp"), ("monitor", "/c"), ("flag", "")]);
    }

    #[test]
    fn decodes_after_taking_apart() {
        let uri: Uri = "test:///a%3Fb%26c+d.xml?k=%26%3D=v&&%6b&=x".parse().unwrap();
        assert_eq!(uri.path, "/a?b&c+d.xml");
        let pairs: Vec<_> = uri.query.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(pairs, [("k", "&==v"), ("k", ""), ("", "x")]);
    }

    #[test]
    fn knows_user_host_and_port() {
        for (text, user, host, port) in [
            ("qemu://h/", None, "h", None),
            ("qemu://h", None, "h", None),
            ("qemu://a%40b@h%41:22/p", Some("a@b"), "hA", Some(22)),
            ("qemu://a@b@h", Some("a@b"), "h", None),
            ("qemu://@/", Some(""), "", None),
            ("qemu://[::1]/", None, "::1", None),
            ("qemu://u@[fe80::1%25eth0]:16509?a=b:c@d/e", Some("u"), "fe80::1%eth0", Some(16509)),
        ] {
            let uri: Uri = text.parse().unwrap();
            let found = (uri.user.as_deref(), uri.host.as_str(), uri.port);
            assert_eq!(found, (user, host, port), "{text}");
        }
    }

    #[test]
    fn knows_the_driver_as_given_and_the_fragment() {
        let uri: Uri = "QEMU+ssh://h/a?b=c#d?e#f".parse().unwrap();
        assert_eq!((uri.driver(), uri.scheme.as_str()), ("QEMU", "qemu+ssh"));
        assert_eq!((uri.path.as_str(), uri.fragment.as_deref()), ("/a", Some("d?e#f")));
        assert_eq!(uri.query, [("b".to_owned(), "c".to_owned())]);
    }

    #[test]
    fn knows_the_old_spellings_of_xen() {
        for text in ["xen", "xen://"] {
            let uri: Uri = text.parse().unwrap();
            assert_eq!((uri.driver(), uri.path.as_str()), ("xen", "/system"));
            assert_eq!(uri.to_string(), text);
        }
    }

    #[test]
    fn prints_as_it_was_given() {
        for text in ["TEST:///default?seed=%31", "qemu+qmp://h", "test:///?"] {
            assert_eq!(text.parse::<Uri>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn refuses_with_a_sentence() {
        for bad in [
            "",
            "test",
            "test:/default",
            "://x",
            "1a:///x",
            "test:///%ff",
            "test:///default?seed=%ff",
            "qemu://h:/",
            "qemu://h:x/",
            "qemu://h:65536/",
            "qemu://::1/",
            "qemu://[::1/",
            "qemu://[::1]x/",
            "qemu://%ff@h/",
        ] {
            let error = bad.parse::<Uri>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{bad}");
            assert!(error.to_string().contains("connection URI"), "{error}");
        }
    }
}
