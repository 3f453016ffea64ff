//! `libvirt.conf`: the URI to use when nobody says, and short names of URIs.

mod parse;

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

pub(crate) use parse::LibvirtConf;

use crate::exit::{self, Failure};

impl LibvirtConf {
    /// Returns the file of this user: root's is the system's. There is none without a home.
    pub(crate) fn path() -> Option<PathBuf> {
        if rustix::process::geteuid().is_root() {
            return Some("/etc/libvirt/libvirt.conf".into());
        }
        let variable = |name| env::var_os(name).filter(|value| !value.is_empty());
        let config = variable("XDG_CONFIG_HOME").map(PathBuf::from);
        let config = config.or_else(|| Some(Path::new(&variable("HOME")?).join(".config")))?;
        Some(config.join("libvirt/libvirt.conf"))
    }

    /// Reads the file of this user; one that is not there says nothing.
    pub(crate) fn read() -> exit::Result<Self> {
        let Some(path) = Self::path() else {
            return Ok(Self::default());
        };
        match fs::read(&path) {
            Ok(bytes) => Self::parse(&String::from_utf8_lossy(&bytes))
                .map_err(|what| Failure::new(format!("{}, {what}", path.display())).into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => {
                Err(Failure::because(format!("cannot read {}", path.display()), error).into())
            }
        }
    }
}
