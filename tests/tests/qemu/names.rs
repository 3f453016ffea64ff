//! Images whose names mean nothing outside of their QEMU, block devices, and dead storage.

use std::{fs, os::unix::fs::symlink, path::Path, time::Duration};

use domstats::{Connect, StatsGroups, StatsRequest, stats::Block};
use domstats_live::{
    alone,
    guest::{Guest, Spec},
    image,
    lab::lab,
    patience::Stopwatch,
};
use serde_json::json;

const POLICIES: [&str; 2] = ["qemu+qmp:///system", "qemu+qmp:///system?monitor_policy=hold"];

/// The only disk of a guest, with each policy, twice.
fn each(guest: &Guest, mut check: impl FnMut(&Block)) {
    for policy in POLICIES {
        let connect = Connect::open(policy).unwrap();
        for _ in 0..2 {
            let request =
                StatsRequest::new().groups(StatsGroups::BLOCK).timeout(Duration::from_secs(5));
            let report = connect.all_domain_stats(&request).unwrap();
            let record = report.domain(guest.name()).unwrap();
            assert_eq!(record.missing, [], "{policy}");
            let blocks = &record.block.as_ref().unwrap().blocks;
            assert_eq!(blocks.len(), 1, "{policy}");
            check(&blocks[0]);
        }
    }
}

fn drive(name: &str) -> [String; 2] {
    ["-drive".to_owned(), format!("file={name},format=raw,if=virtio")]
}

#[test]
fn a_passed_descriptor_has_the_path_of_its_file() {
    alone!();
    let dir = lab().path(lab().name("fdset"));
    fs::create_dir_all(&dir).unwrap();
    let path = image::raw(&dir, "disk");
    let program = dir.join("qemu");
    let qemu = domstats_live::tools::tool("qemu-system-x86_64");
    let (qemu, image) = (qemu.display(), path.display());
    // QEMU takes the one that is open in the mode it needs.
    let script = format!("#!/bin/sh\nexec {qemu} \"$@\" 8<{image} 9<>{image}\n");
    fs::write(&program, script).unwrap();
    let mode = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
    fs::set_permissions(&program, mode).unwrap();
    let guest = Spec::new("fdset")
        .program(&program)
        .options(["-add-fd", "fd=8,set=2", "-add-fd", "fd=9,set=2"])
        .options(drive("/dev/fdset/2"))
        .boot();
    each(&guest, |block| {
        assert_eq!(block.path.as_deref(), path.to_str());
        assert_eq!(block.capacity, Some(fs::metadata(&path).unwrap().len()));
    });
}

/// A block device above a file; removed on drop.
struct Loop(String);

impl Loop {
    fn new(file: &Path) -> Self {
        let mut command = lab().command("losetup");
        Self(lab().run(command.args(["--find", "--show"]).arg(file)).trim().to_owned())
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = lab().command("losetup").args(["--detach", &self.0]).status();
    }
}

#[test]
fn a_block_devices_physical_size_is_its_size() {
    alone!();
    let dir = lab().path(lab().name("device"));
    fs::create_dir_all(&dir).unwrap();
    let file = dir.join("backing");
    fs::File::create(&file).unwrap().set_len(24 << 20).unwrap();
    let device = Loop::new(&file);
    // As LVM and udev name them.
    let link = dir.join("volume");
    symlink(&device.0, &link).unwrap();
    let format = dir.join("format");
    symlink(&device.0, &format).unwrap();
    lab().run(lab().command("qemu-img").args(["create", "-qf", "qcow2"]).arg(&format).arg("1G"));
    for name in [&device.0, link.to_str().unwrap()] {
        for kind in ["raw", "qcow2"] {
            let drive = format!("file={name},format={kind},if=virtio");
            let guest = Spec::new("device").options(["-drive", &drive]).boot();
            each(&guest, |block| {
                assert_eq!(block.physical, Some(24 << 20), "{name} {kind}");
                assert_eq!(block.path.as_deref(), Some(name), "{kind}");
            });
        }
    }
}

/// Covers a folder with a file system whose server never answers, as a network file system may do:
/// examining anything there blocks forever.
const DEAD: &str = r#"
import ctypes, os, sys, time
fuse = os.open("/dev/fuse", os.O_RDWR)
options = f"fd={fuse},rootmode=40000,user_id=0,group_id=0".encode()
libc = ctypes.CDLL(None, use_errno=True)
if libc.mount(b"dead", sys.argv[1].encode(), b"fuse", 0, options) != 0:
    sys.exit(os.strerror(ctypes.get_errno()))
print("covered", flush=True)
time.sleep(3600)
"#;

#[test]
fn a_name_on_dead_storage_delays_nothing() {
    alone!();
    let dir = lab().path(lab().name("dead"));
    fs::create_dir_all(&dir).unwrap();
    let path = dir.join("disk");
    fs::File::create(&path).unwrap().set_len(8 << 20).unwrap();
    let link = lab().path(lab().name("link"));
    symlink(&path, &link).unwrap();
    for name in [&path, &link] {
        let guest = Spec::new("dead").options(drive(name.to_str().unwrap())).boot();
        let mut server = lab().command("python3");
        let server = server.args(["-c", DEAD]).arg(&dir).stdout(std::process::Stdio::piped());
        let mut server = server.spawn().unwrap();
        let mut said = [0; 7];
        std::io::Read::read_exact(server.stdout.as_mut().unwrap(), &mut said).unwrap();
        let stopwatch = Stopwatch::start();
        // The file is open and healthy: only its name leads elsewhere now.
        each(&guest, |block| {
            let size = block.physical;
            assert!(size == Some(8 << 20) || (size.is_none() && *name == link), "{block:?}");
        });
        stopwatch.assert_within(Duration::from_secs(20));
        server.kill().unwrap();
        server.wait().unwrap();
        lab().run(lab().command("umount").arg("--lazy").arg(&dir));
    }
}

#[test]
fn after_chroot_a_file_has_its_path_on_the_host() {
    alone!();
    let dir = lab().path(lab().name("chroot"));
    fs::create_dir_all(&dir).unwrap();
    let path = dir.join("inside");
    fs::File::create(&path).unwrap().set_len(8 << 20).unwrap();
    let guest =
        Spec::new("chroot").options(["-chroot".to_owned(), dir.display().to_string()]).boot();
    let mut side = guest.side();
    let node = json!({ "driver": "file", "node-name": "n", "filename": "/inside" });
    side.ask_with("blockdev-add", node);
    side.ask_with("device_add", json!({ "driver": "virtio-blk-pci", "id": "d", "drive": "n" }));
    drop(side);
    each(&guest, |block| assert_eq!(block.path.as_deref(), path.to_str()));
}
