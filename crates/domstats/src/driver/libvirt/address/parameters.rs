//! The parameters of a URI: the client's own, and those it passes on to the daemon.

use crate::{
    driver::uri::Uri,
    model::error::{ErrorOrigin, Result},
};

/// The parameters that libvirt's client removes; their case does not matter.
const OURS: [&str; 17] = [
    "auth",
    "authfile",
    "command",
    "keyfile",
    "known_hosts",
    "known_hosts_verify",
    "mode",
    "name",
    "netcat",
    "no_sanity",
    "no_tty",
    "no_verify",
    "pkipath",
    "proxy",
    "socket",
    "sshauth",
    "tls_priority",
];

/// The parameters of a URI.
pub(super) struct Parameters<'a> {
    uri: &'a Uri,
}

impl<'a> Parameters<'a> {
    pub(super) fn of(uri: &'a Uri) -> Self {
        Self { uri }
    }

    /// Returns the value of a parameter; the last one counts.
    pub(super) fn get(&self, key: &str) -> Option<&'a str> {
        let mut given = self.uri.query.iter().rev();
        given.find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value.as_str())
    }

    /// Returns whether a parameter is a number that is not 0.
    pub(super) fn is_set(&self, key: &str) -> Result<bool> {
        match self.get(key).map(str::parse::<i32>) {
            None => Ok(false),
            Some(Ok(number)) => Ok(number != 0),
            Some(Err(_)) => {
                let what = format!("{key} must be 1 or 0");
                Err(self.uri.refuse(ErrorOrigin::Remote, what))
            }
        }
    }

    /// Returns the choice that a parameter's value names.
    pub(super) fn choice<T: Copy>(&self, key: &str, choices: [(&str, T); 3]) -> Result<Option<T>> {
        let Some(word) = self.get(key) else {
            return Ok(None);
        };
        if let Some((_, choice)) = choices.iter().find(|(name, _)| *name == word) {
            return Ok(Some(*choice));
        }
        let [a, b, c] = choices.map(|(name, _)| name);
        let what = format!("{key} is '{word}', use {a}, {b} or {c}");
        Err(self.uri.refuse(ErrorOrigin::Remote, what))
    }

    /// Returns the parameters to pass on to the daemon.
    pub(super) fn of_the_daemon(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let pairs = self.uri.query.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        pairs.filter(|(key, _)| {
            !key.is_empty() && !OURS.iter().any(|ours| key.eq_ignore_ascii_case(ours))
        })
    }
}
