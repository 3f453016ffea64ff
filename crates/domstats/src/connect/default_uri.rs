//! Which hypervisor to ask when the program does not say: what libvirt's own tools would ask, and
//! where there is no libvirt, the QEMU processes.
//!
//! Reads environment variables and `libvirt.conf`, so a program asks for it by name:
//!
//! ```
//! use domstats::{ConnectOptions, default_uri};
//!
//! // What the user typed, if anything.
//! let connect = default_uri::open(Some("test:///default"), &ConnectOptions::from_env())?;
//! # assert!(connect.is_alive());
//! # Ok::<(), domstats::Error>(())
//! ```

use std::{env, iter};

use crate::{
    connect::{Connect, drivers, libvirt_conf::LibvirtConf},
    driver::options::ConnectOptions,
    model::error::{Error, ErrorKind, ErrorOrigin, Result},
};

/// The last resort, where no libvirt daemon answers: every QEMU process of this host.
pub const PROCESSES: &str = "qemu+qmp:///system";

/// The variables that name a URI, the stronger one first. libvirt's own tools read the second.
const VARIABLES: [&str; 2] = ["DOMSTATS_DEFAULT_URI", "LIBVIRT_DEFAULT_URI"];

/// Opens the first of the [`candidates`] that is there. An empty name counts as none.
///
/// # Errors
///
/// Those of [`candidates`] and [`Connect::open_with`]. A daemon that is there and does not answer
/// in time is an error: the processes tell less about its domains.
pub fn open(named: Option<&str>, options: &ConnectOptions) -> Result<Connect> {
    let mut refusal = Error::new(
        ErrorKind::NoConnect,
        ErrorOrigin::Library,
        "this program was built without a driver for hypervisors",
    );
    for candidate in candidates(named.filter(|uri| !uri.is_empty()))? {
        match candidate.open(options) {
            Ok(connect) => return Ok(connect),
            Err(error) if candidate.is_named() || error.kind() == ErrorKind::Timeout => {
                return Err(error);
            }
            Err(error) => refusal = error,
        }
    }
    Err(refusal)
}

/// Returns the hypervisors to try, in this order. One that is named stands alone: by the program,
/// else by `DOMSTATS_DEFAULT_URI`, `LIBVIRT_DEFAULT_URI` or `uri_default` in `libvirt.conf`.
/// Without a name they are those [`of_this_host`]. Empty variables count as unset. An alias of
/// `uri_aliases` stands for its URI.
///
/// The file is that of libvirt's tools, `/etc/libvirt/libvirt.conf` for root and
/// `~/.config/libvirt/libvirt.conf` for others. It is read only when it matters.
///
/// # Errors
///
/// [`ErrorKind::System`] or [`ErrorKind::Malformed`] if `libvirt.conf` cannot be read.
pub fn candidates(named: Option<&str>) -> Result<Vec<Candidate>> {
    let named = named.map(|uri| Candidate { uri: uri.to_owned(), origin: Origin::Program });
    let named = named.or_else(|| of_variables().next());
    if let Some(candidate) = named.iter().find(|candidate| candidate.uri.contains("://")) {
        return Ok(vec![candidate.clone()]);
    }
    let conf = LibvirtConf::read()?;
    Ok(match named.or_else(|| of_conf(&conf)) {
        Some(named) => vec![named.resolved(&conf)],
        None => of_this_host().collect(),
    })
}

/// Returns the hypervisors that this host can have, in the order of [`candidates`]: libvirt's
/// daemons, as root or another user finds them, then QEMU processes.
///
/// For a service, which must not follow the settings of the clients around it.
pub fn of_this_host() -> impl Iterator<Item = Candidate> {
    let session = (!rustix::process::geteuid().is_root()).then_some("qemu:///session");
    let uris = iter::once("qemu:///system").chain(session).chain([PROCESSES]);
    uris.filter(|uri| drivers::serve(uri))
        .map(|uri| Candidate { uri: uri.to_owned(), origin: Origin::Host })
}

/// Returns every hypervisor that is named anywhere or that this host can have, each once, for a
/// program that looks at all of them.
///
/// # Errors
///
/// Those of [`candidates`].
pub fn all() -> Result<Vec<Candidate>> {
    let conf = LibvirtConf::read()?;
    let named = of_variables().chain(of_conf(&conf)).map(|named| named.resolved(&conf));
    let mut all: Vec<Candidate> = Vec::new();
    for candidate in named.chain(of_this_host()) {
        if all.iter().all(|known| known.uri != candidate.uri) {
            all.push(candidate);
        }
    }
    Ok(all)
}

/// A hypervisor that may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    uri: String,
    origin: Origin,
}

/// Why a hypervisor is a candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Origin {
    /// The program names it.
    Program,
    /// A variable or a file names it.
    Setting(String),
    /// This host can have it.
    Host,
}

impl Candidate {
    /// Returns the URI.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Returns whether the program or a setting names it, so that no other will do.
    #[must_use]
    pub fn is_named(&self) -> bool {
        self.origin != Origin::Host
    }

    /// Returns whether it can be there: false for a libvirt daemon of this host without a socket.
    /// Asks nothing, so a daemon with a socket may still not answer.
    #[must_use]
    pub fn is_there(&self, options: &ConnectOptions) -> bool {
        self.uri.parse().is_ok_and(|uri| drivers::is_there(&uri, options))
    }

    /// Opens it. The error says which setting has the URI.
    ///
    /// # Errors
    ///
    /// Those of [`Connect::open_with`].
    pub fn open(&self, options: &ConnectOptions) -> Result<Connect> {
        Connect::open_with(&self.uri, options).map_err(|error| match &self.origin {
            Origin::Program | Origin::Host => error,
            Origin::Setting(place) => {
                let sentence = format!("{place} is '{}'", self.uri);
                Error::new(error.kind(), error.origin(), sentence).because(error)
            }
        })
    }

    fn resolved(self, conf: &LibvirtConf) -> Self {
        Self { uri: conf.resolve(&self.uri).to_owned(), ..self }
    }
}

fn of_variables() -> impl Iterator<Item = Candidate> {
    VARIABLES.into_iter().filter_map(|variable| {
        let uri = env::var_os(variable)?.to_string_lossy().into_owned();
        let origin = Origin::Setting(variable.to_owned());
        (!uri.is_empty()).then_some(Candidate { uri, origin })
    })
}

fn of_conf(conf: &LibvirtConf) -> Option<Candidate> {
    let uri = conf.uri_default.clone()?;
    let path = LibvirtConf::path()?;
    let origin = Origin::Setting(format!("uri_default in {}", path.display()));
    Some(Candidate { uri, origin })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_hypervisor_stands_alone() {
        let candidates = candidates(Some("lxc:///")).unwrap();
        assert_eq!(candidates.iter().map(Candidate::uri).collect::<Vec<_>>(), ["lxc:///"]);
        assert!(candidates[0].is_named());
    }

    #[test]
    fn this_host_has_daemons_before_processes() {
        let here: Vec<_> = of_this_host().collect();
        assert!(here.iter().all(|candidate| !candidate.is_named()));
        let uris: Vec<_> = here.iter().map(Candidate::uri).collect();
        assert_eq!(uris.first() == Some(&"qemu:///system"), cfg!(feature = "libvirt"));
        assert_eq!(uris.last() == Some(&PROCESSES), cfg!(feature = "qemu"));
    }

    #[test]
    #[cfg(feature = "libvirt")]
    fn a_daemon_is_there_if_its_socket_is() {
        let folder = env::temp_dir().join(format!("domstats-candidates-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let socket = folder.join("sock");
        let uri = format!("qemu+unix:///system?socket={}", socket.display());
        let candidate = Candidate { uri, origin: Origin::Host };
        let options = ConnectOptions::new();
        assert!(!candidate.is_there(&options));
        std::fs::write(&socket, "").unwrap();
        assert!(candidate.is_there(&options));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
