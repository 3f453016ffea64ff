//! Debian's collectd with its libvirt plugin, and what it counts.

use std::{fs, path::Path, path::PathBuf, process::Child};

use crate::lab::lab;

/// A collectd that reads a hypervisor each second. Killed on drop.
#[derive(Debug)]
pub struct Collectd {
    process: Child,
    dir: PathBuf,
}

impl Collectd {
    /// Starts it for the hypervisor at a libvirt URI.
    #[must_use]
    pub fn start(uri: &str) -> Self {
        let dir = lab().path(lab().name("collectd"));
        fs::create_dir_all(&dir).unwrap();
        let conf = dir.join("collectd.conf");
        let text = format!(
            "BaseDir \"{0}\"\nPIDFile \"{0}/collectd.pid\"\nInterval 1\nLoadPlugin virt\nLoadPlugin csv\n\
             <Plugin virt>\nConnection \"{uri}\"\nHostnameFormat name\n</Plugin>\n\
             <Plugin csv>\nDataDir \"{0}/csv\"\n</Plugin>\n",
            dir.display(),
        );
        fs::write(&conf, text).unwrap();
        let mut command = lab().command("collectd");
        command.arg("-f").arg("-C").arg(&conf).env("LC_ALL", "C");
        let log = fs::File::create(dir.join("log")).unwrap();
        let process = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        Self { process, dir }
    }

    /// Returns whether it has counted something of a domain: `if_octets-vnet0`.
    #[must_use]
    pub fn has(&self, domain: &str, what: &str) -> bool {
        let counted = fs::read_dir(self.dir.join("csv").join(domain).join("virt"));
        counted.into_iter().flatten().flatten().any(|file| is_of(&file.path(), what))
    }

    /// Returns its output.
    #[must_use]
    pub fn said(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap()
    }
}

/// File names end with a date: `if_octets-vnet0-2026-01-31`.
fn is_of(file: &Path, what: &str) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let date = name.strip_prefix(what).and_then(|rest| rest.strip_prefix('-'));
    date.is_some_and(|date| date.starts_with(|first: char| first.is_ascii_digit()))
}

impl Drop for Collectd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
