//! Disk images.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use crate::{boot, lab::lab};

/// Size of every image, as the guest sees it.
pub const CAPACITY: u64 = 4 << 20;

/// Creates a raw image: a boot sector, and a hole for the rest.
#[must_use]
pub fn raw(dir: &Path, name: &str) -> PathBuf {
    let path = dir.join(format!("{name}.img"));
    let mut file = fs::File::create(&path).unwrap();
    file.write_all(&boot::sector()).unwrap();
    file.set_len(CAPACITY).unwrap();
    path
}

/// Creates an empty qcow2 image above another one.
#[must_use]
pub fn qcow2_above(backing: &Path, format: &str, dir: &Path, name: &str) -> PathBuf {
    let path = dir.join(format!("{name}.qcow2"));
    let mut create = lab().command("qemu-img");
    create.args(["create", "-q", "-f", "qcow2", "-F", format, "-b"]).args([backing, &path]);
    lab().run(&mut create);
    path
}
