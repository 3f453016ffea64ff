//! The programs that the tests start, and the packages they come from.

use std::{
    env,
    path::{Path, PathBuf},
};

/// Each program with its Debian package.
const PACKAGES: &[(&str, &str)] = &[
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("qemu-img", "qemu-utils"),
    ("qemu-io", "qemu-utils"),
    ("qemu-nbd", "qemu-utils"),
    ("libvirtd", "libvirt-daemon-system"),
    ("virsh", "libvirt-clients"),
    ("virt-admin", "libvirt-clients"),
    ("collectd", "collectd-core"),
    ("prometheus-libvirt-exporter", "prometheus-libvirt-exporter"),
    ("saslpasswd2", "sasl2-bin"),
    ("certtool", "gnutls-bin"),
    ("sshd", "openssh-server"),
    ("ssh", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
    ("nc", "netcat-openbsd"),
    ("virt-ssh-helper", "libvirt-daemon"),
    ("xmllint", "libxml2-utils"),
    ("prometheus", "prometheus"),
    ("promtool", "prometheus"),
    ("valgrind", "valgrind"),
    ("curl", "curl"),
    ("ip", "iproute2"),
    ("setpriv", "util-linux"),
    ("nsenter", "util-linux"),
    ("systemd-analyze", "systemd"),
    ("systemd-socket-activate", "systemd"),
    ("taskset", "util-linux"),
    ("python3", "python3"),
    ("mkfifo", "coreutils"),
    ("gzip", "gzip"),
    ("gcc", "gcc"),
    ("g++", "g++"),
    ("clang", "clang"),
    ("clang++", "clang"),
    ("valgrind", "valgrind"),
    ("readelf", "binutils"),
    ("strip", "binutils"),
    ("cpio", "cpio"),
    ("mkfs.ext4", "e2fsprogs"),
    ("sh", "dash"),
];

/// Returns the path of a program. Fails the test with the name of its package if it is missing.
#[must_use]
pub fn tool(program: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path)
        // A user's PATH often lacks these directories, where libvirtd is.
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file());
    found.unwrap_or_else(|| {
        let package = PACKAGES.iter().find(|(name, _)| *name == program);
        let package = package.map_or(program, |(_, package)| package);
        panic!("{program} is not installed: install the package {package}, or run scripts/test")
    })
}

/// Returns the system's own Python, which has the modules of the system's packages. Fails the test
/// if it lacks the module `libvirt`.
#[must_use]
pub fn python_with_libvirt() -> &'static Path {
    let python = Path::new("/usr/bin/python3");
    let works = std::process::Command::new(python)
        .args(["-c", "import libvirt"])
        .status()
        .is_ok_and(|status| status.success());
    assert!(
        works,
        "{} cannot import libvirt: install the package python3-libvirt, or run scripts/test",
        python.display()
    );
    python
}
