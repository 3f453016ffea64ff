//! A private libvirtd, and guests of it that have a second monitor.
//!
//! It runs as the user `nobody` with every directory in the lab. That touches no libvirt of the
//! host, and keeps `/dev/kvm` out of sight: where that device exists and cannot be used, libvirtd
//! probes QEMU again, for 40 seconds, before every start of a guest.

use std::{
    fs,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    image,
    lab::{NOBODY, lab},
    oracle::Params,
    qmp::Qmp,
    tools::tool,
};

/// A running libvirtd. Killed when dropped, with its guests.
#[derive(Debug)]
pub struct Libvirt {
    /// Where everything of it is.
    pub dir: PathBuf,
    daemon: Child,
}

impl Libvirt {
    /// Starts a libvirtd, and returns when it answers.
    #[must_use]
    pub fn start() -> Self {
        let name = lab().name("libvirt");
        let dir = lab().directory_of_nobody(&name);
        for part in ["run", "cache", "config", "config/libvirt"] {
            let _ = lab().directory_of_nobody(&format!("{name}/{part}"));
        }
        // Without this it would start another daemon for the guests' logs.
        fs::write(dir.join("config/libvirt/qemu.conf"), "stdio_handler = \"file\"\n").unwrap();
        let daemon = lab()
            .command_as_nobody(&tool("libvirtd"))
            .arg("--pid-file")
            .arg(dir.join("libvirtd.pid"))
            .env("HOME", &dir)
            .env("XDG_RUNTIME_DIR", dir.join("run"))
            .env("XDG_CACHE_HOME", dir.join("cache"))
            .env("XDG_CONFIG_HOME", dir.join("config"))
            .stdout(fs::File::create(dir.join("out")).unwrap())
            .stderr(fs::File::create(dir.join("log")).unwrap())
            .spawn()
            .unwrap();
        let libvirt = Self { dir, daemon };
        let deadline = Instant::now() + Duration::from_secs(30);
        while !libvirt.virsh(&["version"]).output().unwrap().status.success() {
            let log = fs::read_to_string(libvirt.dir.join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "libvirtd did not start: {log}");
            thread::sleep(Duration::from_millis(50));
        }
        libvirt
    }

    /// Returns the URI by which programs of libvirt reach it.
    #[must_use]
    pub fn uri(&self) -> String {
        let socket = self.dir.join("run/libvirt/libvirt-sock");
        format!("qemu:///session?socket={}", socket.display())
    }

    /// Returns the command `virsh`, connected.
    #[must_use]
    pub fn virsh(&self, arguments: &[&str]) -> Command {
        let mut virsh = lab().command("virsh");
        // Words are translated otherwise, `yes` among them.
        virsh.env("LC_ALL", "C").args(["-c", &self.uri()]).args(arguments);
        virsh
    }

    /// Returns what `virsh domstats` says of a guest, by flat keys.
    #[must_use]
    pub fn domstats(&self, guest: &LibvirtGuest, options: &[&str]) -> Params {
        let mut arguments = vec!["domstats", &guest.name];
        arguments.extend(options);
        lab()
            .run(&mut self.virsh(&arguments))
            .lines()
            .filter_map(|line| line.trim().split_once('='))
            .map(|(key, value)| {
                let value = value.parse::<i64>().map_or_else(|_| value.into(), Into::into);
                (key.to_owned(), value)
            })
            .collect()
    }

    /// Returns the process id of the daemon.
    #[must_use]
    pub fn pid(&self) -> u32 {
        // `setpriv` became libvirtd.
        self.daemon.id()
    }

    /// Starts a paused guest: two disks, one of them above a backing image, a tap, an iothread, a
    /// balloon. With a second monitor, if asked for.
    #[must_use]
    pub fn create(&self, label: &str, second_monitor: bool) -> LibvirtGuest {
        let name = lab().name(label);
        let monitor = self.dir.join(format!("{name}.qmp"));
        let xml = self.xml(&name, second_monitor.then_some(monitor.as_path()));
        let path = self.dir.join(format!("{name}.xml"));
        fs::write(&path, xml).unwrap();
        let path = path.display().to_string();
        lab().run(&mut self.virsh(&["create", "--paused", &path]));
        let pid_file = self.dir.join(format!("run/libvirt/qemu/run/{name}.pid"));
        let pid = fs::read_to_string(pid_file).unwrap();
        LibvirtGuest { pid: pid.trim().parse().unwrap(), name, monitor }
    }

    fn xml(&self, name: &str, monitor: Option<&Path>) -> String {
        let raw = image::raw(&self.dir, name);
        let base = image::raw(&self.dir, &format!("{name}-base"));
        let overlay = image::qcow2_above(&base, "raw", &self.dir, name);
        for path in [&raw, &base, &overlay] {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let (raw, overlay) = (raw.display(), overlay.display());
        let tap = lab().tap_of_nobody();
        let monitor = monitor.map_or_else(String::new, |path| {
            format!(
                "<qemu:commandline>
                   <qemu:arg value='-qmp'/>
                   <qemu:arg value='unix:{},server=on,wait=off'/>
                 </qemu:commandline>",
                path.display()
            )
        });
        format!(
            "<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
               <name>{name}</name>
               <memory unit='MiB'>16</memory>
               <vcpu current='2'>4</vcpu>
               <iothreads>1</iothreads>
               <os><type arch='x86_64' machine='pc'>hvm</type></os>
               <features><acpi/></features>
               <devices>
                 <controller type='usb' model='none'/>
                 <disk type='file' device='disk'>
                   <driver name='qemu' type='raw' iothread='1'/>
                   <source file='{raw}'/>
                   <target dev='vda' bus='virtio'/>
                 </disk>
                 <disk type='file' device='disk'>
                   <driver name='qemu' type='qcow2'/>
                   <source file='{overlay}'/>
                   <target dev='vdb' bus='virtio'/>
                 </disk>
                 <interface type='ethernet'>
                   <target dev='{tap}' managed='no'/>
                   <model type='virtio'/>
                   <rom enabled='no'/>
                 </interface>
                 <memballoon model='virtio'/>
               </devices>
               {monitor}
             </domain>"
        )
    }
}

impl Drop for Libvirt {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

/// A guest of a [`Libvirt`]. Killed when dropped.
#[derive(Debug)]
pub struct LibvirtGuest {
    /// Its name.
    pub name: String,
    /// Its process.
    pub pid: u32,
    /// The socket of its second monitor, if it has one.
    pub monitor: PathBuf,
}

impl LibvirtGuest {
    /// Connects to its second monitor.
    #[must_use]
    pub fn qmp(&self) -> Qmp {
        Qmp::connect(&self.monitor).unwrap()
    }
}

impl Drop for LibvirtGuest {
    fn drop(&mut self) {
        // Not its parent: libvirtd reaps it, or init does.
        if let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}
