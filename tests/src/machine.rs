//! A virtual machine that boots Debian 13 with only cgroup version 2, which this host may not have:
//! live tests run there again.
//!
//! `scripts/roots` creates its root and its kernel, once. Everything is in its memory except
//! `/tmp`, which is on a disk, so that I/O is counted.
//! a disk, so that I/O is counted.

use std::{env, fs};

use crate::{command::domstats, lab::lab, roots, tools::tool};

/// Creates the machine's files, if they do not exist: that needs the network, so call it before
/// [`alone!`](crate::alone!).
pub fn prepare() {
    for part in PARTS {
        let _ = roots::root(part);
    }
}

const PARTS: [&str; 2] = ["trixie", "kernel"];

/// Runs the tests of this program whose names contain one of these in a machine, and fails if one
/// fails.
pub fn run(names: &[&str]) {
    let place = lab().path(lab().name("machine"));
    fs::create_dir(&place).unwrap();
    fs::write(place.join("init"), INIT.replace("NAMES", &names.join(" "))).unwrap();
    let mut command = lab().command("sh");
    command.args(["-euc", BOOT, "boot"]).arg(&place).args(PARTS.map(roots::root));
    command.arg(env::current_exe().unwrap()).arg(domstats()).arg(tool("qemu-system-x86_64"));
    let said = lab().run(&mut command);
    print!("{said}");
    assert!(said.contains("machine: all passed"), "tests in a machine failed");
}

/// `$1` is the machine's directory, `$2` its root, `$3` its kernel, `$4` the test program, `$5` the
/// command `domstats`, `$6` the emulator.
const BOOT: &str = r#"
place=$1
mkdir "$place/root" "$place/written"
mount -t tmpfs tmpfs "$place/written"
mkdir "$place/written/files" "$place/written/work"
mount -t overlay overlay "$place/root" \
    -o "lowerdir=$3:$2,upperdir=$place/written/files,workdir=$place/written/work"
cd "$place/root"
install -m 755 "$place/init" init
# Their debug information is most of their size.
strip -o test "$4"
strip -o domstats "$5"
find . -xdev ! -path './usr/share/*' -o -path './usr/share/qemu*' -o -path './usr/share/seabios*' \
    -o -path './usr/share/libvirt*' |
    cpio --quiet --create --format newc >"$place/memory"
truncate -s 512M "$place/disk"
mkfs.ext4 -q "$place/disk"
exec "$6" -accel tcg -cpu max -smp 2 -m 3G -nodefaults -display none -no-reboot -serial stdio \
    -kernel "$3"/boot/vmlinuz-* -initrd "$place/memory" -drive "file=$place/disk,format=raw,if=virtio" \
    -append 'console=ttyS0 quiet loglevel=0 panic=-1 cgroup_no_v1=all psi=1'
"#;

const INIT: &str = r"#!/bin/sh
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin DOMSTATS_PREPARED=yes
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t devtmpfs devtmpfs /dev
mkdir /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /run
depmod
modprobe -a virtio_blk tun
# As udev sets it.
chmod 666 /dev/net/tun
mount -t ext4 /dev/vda /tmp
chmod 1777 /tmp
ip link set lo up
echo 127.0.0.1 localhost >/etc/hosts
cd /
/test NAMES --test-threads 1 && echo machine: all passed
echo o >/proc/sysrq-trigger
sleep 60
";
