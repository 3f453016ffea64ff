//! How to open a connection.

use std::{env, ffi::OsString, path::PathBuf, time::Duration};

use crate::model::request::StatsRequest;

/// How to open a connection: how long it may take, and where the files of the user are.
///
/// Only connections to a libvirt daemon look for files: the sockets of the user's own daemon, the
/// TLS certificates, the credentials. The library reads no environment variable on its own;
/// [`from_env`](Self::from_env) does what libvirt's tools do.
///
/// ```
/// use std::time::Duration;
/// use domstats::{Connect, ConnectOptions};
///
/// let options = ConnectOptions::from_env().timeout(Duration::from_secs(1));
/// let connect = Connect::open_with("test:///default", &options)?;
/// # assert!(connect.is_alive());
/// # Ok::<(), domstats::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectOptions {
    pub(crate) timeout: Duration,
    pub(crate) runtime_dir: PathBuf,
    pub(crate) config_dir: Option<PathBuf>,
    pub(crate) home: Option<PathBuf>,
    pub(crate) auth_file: Option<PathBuf>,
}

impl ConnectOptions {
    /// The time that opening may take when the options do not say: 5 seconds.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

    /// Returns the options of [`Connect::open`](crate::Connect::open): a timeout of 5 seconds, the
    /// runtime directory `/run/user/UID`, and no file of the user beside it.
    #[must_use]
    pub fn new() -> Self {
        let user = rustix::process::geteuid();
        Self {
            timeout: Self::DEFAULT_TIMEOUT,
            runtime_dir: PathBuf::from(format!("/run/user/{}", user.as_raw())),
            config_dir: None,
            home: None,
            auth_file: None,
        }
    }

    /// Returns the options that the environment of this process describes. Variables that are
    /// empty count as unset.
    ///
    /// | option | variable |
    /// |---|---|
    /// | [`runtime_dir`](Self::runtime_dir) | `XDG_RUNTIME_DIR`, else `XDG_CACHE_HOME`, else `.cache` in `HOME` |
    /// | [`config_dir`](Self::config_dir) | `XDG_CONFIG_HOME`, else `.config` in `HOME` |
    /// | [`home`](Self::home) | `HOME` |
    /// | [`auth_file`](Self::auth_file) | `LIBVIRT_AUTH_FILE` |
    #[must_use]
    pub fn from_env() -> Self {
        Self::from_variables(|name| env::var_os(name))
    }

    fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let path = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = path("HOME");
        let in_home = |name| home.as_ref().map(|home| home.join(name));
        let options = Self::new();
        Self {
            runtime_dir: path("XDG_RUNTIME_DIR")
                .or_else(|| path("XDG_CACHE_HOME"))
                .or_else(|| in_home(".cache"))
                .unwrap_or(options.runtime_dir),
            config_dir: path("XDG_CONFIG_HOME").or_else(|| in_home(".config")),
            auth_file: path("LIBVIRT_AUTH_FILE"),
            home,
            ..options
        }
    }

    /// Sets how long opening may take and, with a libvirt daemon, opening again after the
    /// connection broke; at most [`MAX_TIMEOUT`](StatsRequest::MAX_TIMEOUT).
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.min(StatsRequest::MAX_TIMEOUT);
        self
    }

    /// Sets the directory that has the sockets of the user's own libvirt daemon, in `libvirt`.
    #[must_use]
    pub fn runtime_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.runtime_dir = directory.into();
        self
    }

    /// Sets the directory that has the user's credentials for libvirt daemons, in
    /// `libvirt/auth.conf`.
    #[must_use]
    pub fn config_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.config_dir = Some(directory.into());
        self
    }

    /// Sets the user's home, where the user's TLS certificates are, in `.pki/libvirt`.
    #[must_use]
    pub fn home(mut self, directory: impl Into<PathBuf>) -> Self {
        self.home = Some(directory.into());
        self
    }

    /// Sets the file that has credentials for libvirt daemons; the parameter `authfile` of a URI
    /// is stronger.
    #[must_use]
    pub fn auth_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.auth_file = Some(file.into());
        self
    }
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> ConnectOptions {
        ConnectOptions::from_variables(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
        })
    }

    #[test]
    fn an_empty_environment_changes_nothing() {
        assert_eq!(of(&[]), ConnectOptions::new());
        let empty = ["XDG_RUNTIME_DIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "HOME"]
            .map(|name| (name, ""))
            .to_vec();
        assert_eq!(of(&empty), ConnectOptions::new());
    }

    // The order is that in which virsh 9.0 looked for the sockets, see its connect() calls.
    #[test]
    fn the_runtime_directory_comes_from_the_first_variable_that_is_set() {
        let all = [("XDG_RUNTIME_DIR", "/r"), ("XDG_CACHE_HOME", "/c"), ("HOME", "/h")];
        let directories = [&all[..], &all[1..], &all[2..]].map(|set| of(set).runtime_dir);
        assert_eq!(directories, ["/r", "/c", "/h/.cache"].map(PathBuf::from));
        let empty = of(&[("XDG_RUNTIME_DIR", ""), ("XDG_CACHE_HOME", "/c")]);
        assert_eq!(empty.runtime_dir, PathBuf::from("/c"));
    }

    #[test]
    fn the_other_files_come_from_their_variables() {
        let home = of(&[("HOME", "/h")]);
        let expected = ConnectOptions::new().runtime_dir("/h/.cache").config_dir("/h/.config");
        assert_eq!(home, expected.home("/h"));
        let own = of(&[("XDG_CONFIG_HOME", "/x"), ("LIBVIRT_AUTH_FILE", "/a"), ("HOME", "/h")]);
        assert_eq!(own, home.config_dir("/x").auth_file("/a"));
    }

    #[test]
    fn no_timeout_is_longer_than_a_day() {
        let options = ConnectOptions::new().timeout(Duration::MAX);
        assert_eq!(options.timeout, StatsRequest::MAX_TIMEOUT);
    }
}
