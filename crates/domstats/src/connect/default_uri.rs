//! Which hypervisor to ask when the program was not told: what libvirt's own tools would ask, and
//! where there is no libvirt, the QEMU processes.
//!
//! Reads environment variables and `libvirt.conf`, so a program says that it wants this:
//!
//! ```
//! use domstats::{ConnectOptions, default_uri};
//!
//! // What the user typed, if anything.
//! let connect = default_uri::open(Some("test:///default"), &ConnectOptions::from_env())?;
//! # assert!(connect.is_alive());
//! # Ok::<(), domstats::Error>(())
//! ```

use std::env;

use crate::{
    connect::{Connect, libvirt_conf::LibvirtConf},
    driver::options::ConnectOptions,
    model::error::{Error, ErrorKind, Result},
};

/// What is asked when nobody says and no libvirt daemon answers: every QEMU process of this host.
pub const PROCESSES: &str = "qemu+qmp:///system";

/// The variables that can say, the stronger one first. libvirt's own tools read the second.
const VARIABLES: [&str; 2] = ["DOMSTATS_DEFAULT_URI", "LIBVIRT_DEFAULT_URI"];

/// Returns the libvirt daemons of this host, as root or somebody else finds them.
#[must_use]
pub fn daemons() -> &'static [&'static str] {
    match rustix::process::geteuid().is_root() {
        true => &["qemu:///system"],
        false => &["qemu:///system", "qemu:///session"],
    }
}

/// Opens what the program was told or what else [`NamedUri::find`] finds, else the first libvirt
/// daemon of this host that is there, else its QEMU processes. An empty name counts as none.
///
/// # Errors
///
/// Those of [`NamedUri::find`] and [`Connect::open_with`]. A daemon that is there and does not
/// answer in time is an error: the processes tell less of its domains.
pub fn open(told: Option<&str>, options: &ConnectOptions) -> Result<Connect> {
    if let Some(named) = NamedUri::find(told.filter(|uri| !uri.is_empty()))? {
        return named.open(options);
    }
    for uri in daemons() {
        match Connect::open_with(uri, options) {
            Err(error) if error.kind() == ErrorKind::Timeout => return Err(error),
            Err(_) => {}
            Ok(connect) => return Ok(connect),
        }
    }
    Connect::open_with(PROCESSES, options)
}

/// A URI that somebody named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedUri {
    uri: String,
    /// Where it stands, if the program was not told.
    place: Option<String>,
}

impl NamedUri {
    /// Returns what the program was told, else what `DOMSTATS_DEFAULT_URI`, `LIBVIRT_DEFAULT_URI`
    /// or `uri_default` in `libvirt.conf` names, in this order; `None` if nobody says. Empty
    /// variables count as unset. A name that `uri_aliases` has stands for its URI.
    ///
    /// The file is that of libvirt's tools, and is read only when it matters: `/etc/libvirt` for
    /// root, `~/.config/libvirt` for others.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::System`] or [`ErrorKind::Malformed`] if `libvirt.conf` cannot be read.
    pub fn find(told: Option<&str>) -> Result<Option<Self>> {
        let told = told.map(|uri| Self { uri: uri.to_owned(), place: None });
        let named = told.or_else(|| Self::of_variables().next());
        if named.as_ref().is_some_and(|named| named.uri.contains("://")) {
            return Ok(named);
        }
        let conf = LibvirtConf::read()?;
        let named = named.or_else(|| Self::of_conf(&conf));
        Ok(named.map(|named| named.resolved(&conf)))
    }

    /// Returns what the variables and `libvirt.conf` name, all of them, the strongest first.
    ///
    /// # Errors
    ///
    /// Those of [`find`](Self::find).
    pub fn all() -> Result<Vec<Self>> {
        let conf = LibvirtConf::read()?;
        let named = Self::of_variables().chain(Self::of_conf(&conf));
        Ok(named.map(|named| named.resolved(&conf)).collect())
    }

    /// Returns the URI.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Opens it. The error says where the URI stands.
    ///
    /// # Errors
    ///
    /// Those of [`Connect::open_with`].
    pub fn open(&self, options: &ConnectOptions) -> Result<Connect> {
        Connect::open_with(&self.uri, options).map_err(|error| match &self.place {
            None => error,
            Some(place) => {
                Error::new(error.kind(), error.origin(), format!("{place} is '{}'", self.uri))
                    .because(error)
            }
        })
    }

    fn of_variables() -> impl Iterator<Item = Self> {
        VARIABLES.into_iter().filter_map(|variable| {
            let uri = env::var_os(variable)?.to_string_lossy().into_owned();
            (!uri.is_empty()).then(|| Self { uri, place: Some(variable.to_owned()) })
        })
    }

    fn of_conf(conf: &LibvirtConf) -> Option<Self> {
        let uri = conf.uri_default.clone()?;
        let path = LibvirtConf::path()?;
        Some(Self { uri, place: Some(format!("uri_default in {}", path.display())) })
    }

    fn resolved(self, conf: &LibvirtConf) -> Self {
        Self { uri: conf.resolve(&self.uri).to_owned(), ..self }
    }
}
