//! The files that TLS needs.

use std::path::{Path, PathBuf};

use super::parameters::Parameters;
use crate::driver::options::ConnectOptions;

/// The certificates and keys of a TLS connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::driver::libvirt) struct Pki {
    /// The authorities that may have issued the server's certificate. The file may be missing.
    pub(in crate::driver::libvirt) ca: PathBuf,
    /// Their revocation list, if the file exists.
    pub(in crate::driver::libvirt) crl: Option<PathBuf>,
    /// The client's certificate and its key, if both files exist.
    pub(in crate::driver::libvirt) client: Option<(PathBuf, PathBuf)>,
}

impl Pki {
    /// Finds the files in the directory that the URI names, else in the user's home, else in the
    /// system's directories. The certificate and its key come from the same place.
    pub(super) fn find(root: bool, options: &ConnectOptions, parameters: &Parameters) -> Self {
        if let Some(directory) = parameters.get("pkipath") {
            return Self::flat(Path::new(directory));
        }
        let home = options.home.as_ref().filter(|_| !root);
        let own = home.map(|home| Self::flat(&home.join(".pki/libvirt")));
        let system = Self {
            ca: PathBuf::from("/etc/pki/CA/cacert.pem"),
            crl: existing("/etc/pki/CA/cacrl.pem".into()),
            client: both(
                "/etc/pki/libvirt/clientcert.pem".into(),
                "/etc/pki/libvirt/private/clientkey.pem".into(),
            ),
        };
        match own {
            None => system,
            Some(own) => Self {
                ca: existing(own.ca).unwrap_or(system.ca),
                crl: own.crl.or(system.crl),
                client: own.client.or(system.client),
            },
        }
    }

    fn flat(directory: &Path) -> Self {
        let file = |name| directory.join(name);
        Self {
            ca: file("cacert.pem"),
            crl: existing(file("cacrl.pem")),
            client: both(file("clientcert.pem"), file("clientkey.pem")),
        }
    }
}

fn existing(file: PathBuf) -> Option<PathBuf> {
    file.exists().then_some(file)
}

fn both(certificate: PathBuf, key: PathBuf) -> Option<(PathBuf, PathBuf)> {
    existing(certificate).zip(existing(key))
}
