//! Guests of a private libvirtd.

use std::{
    fs,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    thread,
};

use super::Libvirt;
use crate::{
    image,
    lab::{NOBODY, lab},
    process,
    qmp::Qmp,
};

/// A guest of a [`Libvirt`]. Killed on drop.
#[derive(Debug)]
pub struct LibvirtGuest {
    /// Its name.
    pub name: String,
    /// Its pid.
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

    /// Stops the process, monitors included.
    pub fn freeze(&self) {
        process::freeze(self.pid);
    }

    /// Continues the process.
    pub fn thaw(&self) {
        process::thaw(self.pid);
    }
}

impl Drop for LibvirtGuest {
    fn drop(&mut self) {
        // This program is not its parent: libvirtd reaps it, or init does.
        process::kill(self.pid);
    }
}

/// How many clients start guests at once. A start costs QEMU 0.2 s of CPU time: libvirt queries its
/// monitor for each of 400 CPU features.
const STARTERS: usize = 4;

impl Libvirt {
    /// Starts a paused guest: two disks, one of them above a backing image, a tap, an iothread, a
    /// balloon; optionally with a second monitor. libvirt forgets it when it ends.
    #[must_use]
    pub fn create(&self, label: &str, second_monitor: bool) -> LibvirtGuest {
        self.create_many(label, 1, second_monitor).remove(0)
    }

    /// Starts guests like [`Self::create`], several at a time.
    #[must_use]
    pub fn create_many(
        &self,
        label: &str,
        count: usize,
        second_monitor: bool,
    ) -> Vec<LibvirtGuest> {
        let names: Vec<_> = (0..count).map(|_| lab().name(label)).collect();
        let files = self.write(&names, second_monitor, "");
        thread::scope(|scope| {
            for files in files.chunks(count.div_ceil(STARTERS)) {
                scope.spawn(move || {
                    for file in files {
                        lab().run(&mut self.virsh(&["create", "--paused", file]));
                    }
                });
            }
        });
        names.into_iter().map(|name| self.guest(name)).collect()
    }

    /// Starts a guest like [`Self::create`]'s, with a second monitor and more devices, as libvirt
    /// XML.
    #[must_use]
    pub fn create_with(&self, label: &str, devices: &str) -> LibvirtGuest {
        let name = lab().name(label);
        let files = self.write(std::slice::from_ref(&name), true, devices);
        lab().run(&mut self.virsh(&["create", "--paused", &files[0]]));
        self.guest(name)
    }

    /// Defines a domain like [`Self::create`]'s, without starting it, and returns its name.
    #[must_use]
    pub fn define(&self, label: &str) -> String {
        let name = lab().name(label);
        let files = self.write(std::slice::from_ref(&name), false, "");
        lab().run(&mut self.virsh(&["define", &files[0]]));
        name
    }

    /// Starts a defined domain, paused.
    #[must_use]
    pub fn boot(&self, name: &str) -> LibvirtGuest {
        lab().run(&mut self.virsh(&["start", "--paused", name]));
        self.guest(name.to_owned())
    }

    /// Removes a domain's definition: if it runs, it vanishes when it ends.
    pub fn undefine(&self, name: &str) {
        lab().run(&mut self.virsh(&["undefine", name]));
    }

    fn guest(&self, name: String) -> LibvirtGuest {
        let pid = self.dir.join(format!("run/libvirt/qemu/run/{name}.pid"));
        let pid = fs::read_to_string(pid).unwrap();
        LibvirtGuest { pid: pid.trim().parse().unwrap(), monitor: self.monitor(&name), name }
    }

    fn monitor(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.qmp"))
    }

    /// Creates images and taps for domains, writes the descriptions, and returns their paths.
    fn write(&self, names: &[String], second_monitor: bool, devices: &str) -> Vec<String> {
        let taps = lab().taps_of_nobody(names.len());
        let domains = names.iter().zip(taps);
        domains
            .map(|(name, tap)| {
                let monitor = second_monitor.then(|| self.monitor(name));
                let path = self.dir.join(format!("{name}.xml"));
                fs::write(&path, self.xml(name, &tap, monitor.as_deref(), devices)).unwrap();
                path.display().to_string()
            })
            .collect()
    }

    fn xml(&self, name: &str, tap: &str, monitor: Option<&Path>, devices: &str) -> String {
        let raw = image::raw(&self.dir, name);
        let base = image::raw(&self.dir, &format!("{name}-base"));
        let overlay = image::qcow2_above(&base, "raw", &self.dir, name);
        for path in [&raw, &base, &overlay] {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let (raw, overlay) = (raw.display(), overlay.display());
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
                 {devices}
               </devices>
               {monitor}
             </domain>"
        )
    }
}
