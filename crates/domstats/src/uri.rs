//! Connection URIs: `driver+transport://host/path?key=value&key=value`.

use std::{fmt, str::FromStr};

use percent_encoding::percent_decode_str;

use crate::error::{Error, ErrorKind, ErrorOrigin, Result};

/// A parsed connection URI. Prints as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Uri {
    text: String,
    /// The driver and the transport, lower case: `qemu+qmp`.
    pub(crate) scheme: String,
    pub(crate) host: String,
    /// The path, decoded, with its leading slash.
    pub(crate) path: String,
    /// The parameters, decoded, in their order; a key may repeat.
    pub(crate) query: Vec<(String, String)>,
}

impl FromStr for Uri {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (scheme, rest) =
            text.split_once("://").filter(|(scheme, _)| is_scheme(scheme)).ok_or_else(|| {
                malformed(text, "it must look like driver:///path, for example test:///default")
            })?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (host, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        let query = query
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
            host: host.to_owned(),
            path: decode(text, path)?,
            query,
        })
    }
}

impl Uri {
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
        ] {
            let error = bad.parse::<Uri>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{bad}");
            assert!(error.to_string().contains("connection URI"), "{error}");
        }
    }
}
