//! QEMU guests, booted as a user would by hand.

use std::{
    ffi::OsString,
    fs::{self, OpenOptions},
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    image,
    lab::{NOBODY, lab},
    process,
    qmp::Qmp,
    tools::tool,
};

/// The specification of a guest. The default is paused, with one vCPU, 16 MiB, and a monitor.
///
/// ```text
/// -qmp unix:NAME.qmp     the monitor that the library finds on the command line
/// tcp:SIDE:PORT           a second one for the test: the library uses Unix sockets only
/// ```
#[derive(Debug, Clone)]
pub struct Spec {
    name: String,
    running: bool,
    accelerator: &'static str,
    machine: &'static str,
    bus: &'static str,
    memory: u32,
    vcpus: [u32; 2],
    raw_disks: u32,
    overlay_disks: u32,
    taps: u32,
    user_nics: u32,
    iothreads: u32,
    balloon: bool,
    chardev: bool,
    monitor: bool,
    nobody: bool,
    uuid: bool,
    program: PathBuf,
    options: Vec<String>,
}

const QEMU: &str = "qemu-system-x86_64";

impl Spec {
    /// Returns a guest whose name starts with the label and is unique on this host.
    #[must_use]
    pub fn new(label: &str) -> Self {
        Self {
            name: lab().name(label),
            running: false,
            accelerator: "tcg",
            machine: "pc",
            bus: "pci",
            memory: 16,
            vcpus: [1, 1],
            raw_disks: 0,
            overlay_disks: 0,
            taps: 0,
            user_nics: 0,
            iothreads: 0,
            balloon: false,
            chardev: false,
            monitor: true,
            nobody: false,
            uuid: true,
            program: tool(QEMU),
            options: Vec::new(),
        }
    }

    /// Returns its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs the boot sector, which reads and writes the first disk.
    #[must_use]
    pub fn running(mut self) -> Self {
        self.running = true;
        self
    }

    /// Runs under KVM instead of TCG.
    #[must_use]
    pub fn kvm(mut self) -> Self {
        self.accelerator = "kvm";
        self
    }

    /// Uses another machine type than `pc`.
    #[must_use]
    pub fn machine(mut self, machine: &'static str) -> Self {
        self.machine = machine;
        self
    }

    /// Plugs virtio devices into another bus than PCI: `ccw`, or `device` for memory-mapped ones.
    #[must_use]
    pub fn bus(mut self, bus: &'static str) -> Self {
        self.bus = bus;
        self
    }

    /// Uses this many MiB instead of 16.
    #[must_use]
    pub fn memory(mut self, mib: u32) -> Self {
        self.memory = mib;
        self
    }

    /// Sets the number of vCPUs and its maximum; without it, the machine's defaults apply.
    #[must_use]
    pub fn vcpus(mut self, current: u32, maximum: u32) -> Self {
        self.vcpus = [current, maximum];
        self
    }

    /// Adds raw disks.
    #[must_use]
    pub fn raw_disks(mut self, count: u32) -> Self {
        self.raw_disks = count;
        self
    }

    /// Adds qcow2 disks, each above a raw image.
    #[must_use]
    pub fn overlay_disks(mut self, count: u32) -> Self {
        self.overlay_disks = count;
        self
    }

    /// Adds NICs with a tap on the host.
    #[must_use]
    pub fn taps(mut self, count: u32) -> Self {
        self.taps = count;
        self
    }

    /// Adds NICs without a host device.
    #[must_use]
    pub fn user_nics(mut self, count: u32) -> Self {
        self.user_nics = count;
        self
    }

    /// Adds iothreads, with libvirt's names.
    #[must_use]
    pub fn iothreads(mut self, count: u32) -> Self {
        self.iothreads = count;
        self
    }

    /// Adds a balloon.
    #[must_use]
    pub fn balloon(mut self) -> Self {
        self.balloon = true;
        self
    }

    /// Declares the monitor with `-chardev` and `-mon` instead of `-qmp`.
    #[must_use]
    pub fn monitor_by_chardev(mut self) -> Self {
        self.chardev = true;
        self
    }

    /// Has no monitor that the library can find.
    #[must_use]
    pub fn without_monitor(mut self) -> Self {
        self.monitor = false;
        self
    }

    /// Runs as the user `nobody`.
    #[must_use]
    pub fn as_nobody(mut self) -> Self {
        self.nobody = true;
        self
    }

    /// Has no UUID.
    #[must_use]
    pub fn without_uuid(mut self) -> Self {
        self.uuid = false;
        self
    }

    /// Runs another QEMU than the installed one.
    #[must_use]
    pub fn program(mut self, program: &Path) -> Self {
        self.program = program.to_owned();
        self
    }

    /// Adds options of QEMU's command line, after all others.
    #[must_use]
    pub fn options<T: Into<String>>(mut self, options: impl IntoIterator<Item = T>) -> Self {
        self.options.extend(options.into_iter().map(Into::into));
        self
    }

    /// Returns a guest with everything that a guest can have.
    #[must_use]
    pub fn full(label: &str) -> Self {
        Self::new(label)
            .vcpus(2, 4)
            .raw_disks(1)
            .overlay_disks(1)
            .taps(1)
            .user_nics(1)
            .iothreads(2)
            .balloon()
    }

    /// Boots the guest, and returns when its monitor replies.
    #[must_use]
    pub fn boot(self) -> Guest {
        let mut guests = boot_all([self]);
        guests.remove(0)
    }

    fn start(self) -> Guest {
        let dir = if self.nobody {
            lab().directory_of_nobody(&self.name)
        } else {
            let dir = lab().path(&self.name);
            fs::create_dir_all(&dir).unwrap();
            dir
        };
        let taps: Vec<_> = (0..self.taps).map(|_| lab().tap_name()).collect();
        let uuid = format!("{:08x}-0000-4000-8000-{:012x}", std::process::id(), lab().number());
        let log = dir.join("log");
        let mut command = self.command();
        command
            .args(self.arguments(&dir, &uuid, &taps))
            .stdout(fs::File::create(&log).unwrap())
            .stderr(fs::File::options().append(true).open(&log).unwrap());
        let process = command.spawn().unwrap();
        Guest {
            pid: process.id(),
            process: Mutex::new(process),
            uuid,
            taps,
            monitor: dir.join("qmp"),
            dir,
            spec: self,
        }
    }

    fn command(&self) -> Command {
        if self.nobody {
            lab().command_as_nobody(&self.program)
        } else {
            lab().command_at(&self.program)
        }
    }

    fn arguments(&self, dir: &Path, uuid: &str, taps: &[String]) -> Vec<OsString> {
        let [current, maximum] = self.vcpus;
        let mut all: Vec<OsString> = Vec::new();
        let mut add = |words: &[&str]| all.extend(words.iter().map(OsString::from));
        add(&["-name", &format!("guest={},debug-threads=on", self.name)]);
        add(&["-accel", self.accelerator, "-machine", self.machine]);
        if self.uuid {
            add(&["-uuid", uuid]);
        }
        add(&["-nodefaults", "-display", "none", "-m", &self.memory.to_string()]);
        if maximum > 0 {
            add(&["-smp", &format!("{current},maxcpus={maximum}")]);
        }
        if !self.running {
            add(&["-S"]);
        }
        let socket = |name| format!("unix:{},server=on,wait=off", dir.join(name).display());
        if self.monitor && self.chardev {
            let path = dir.join("qmp");
            add(&[
                "-chardev",
                &format!("socket,id=mon0,path={},server=on,wait=off", path.display()),
                "-mon",
                "chardev=mon0,mode=control",
            ]);
        } else if self.monitor {
            add(&["-qmp", &socket("qmp")]);
        }
        let side = format!("socket,id=side,host={SIDE},port=0,server=on,wait=off,delay=off");
        add(&["-chardev", &side, "-mon", "chardev=side,mode=control"]);
        let bus = self.bus;
        let nic = |id: &str, netdev: &str| {
            let rom = if bus == "pci" { ",romfile=" } else { "" };
            format!("virtio-net-{bus},id={id},netdev={netdev}{rom}")
        };
        for number in 1..=self.iothreads {
            add(&["-object", &format!("iothread,id=iothread{number}")]);
        }
        for number in 0..self.raw_disks + self.overlay_disks {
            let (path, format) = self.image(dir, number);
            if self.nobody {
                std::os::unix::fs::chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
            }
            let path = path.display();
            let file = format!("driver=file,node-name=file{number},filename={path}");
            let node = format!("driver={format},node-name=node{number},file=file{number}");
            add(&["-blockdev", &file, "-blockdev", &node]);
            let mut device = format!("virtio-blk-{bus},id=disk{number},drive=node{number}");
            if number == 0 {
                device.push_str(",bootindex=0");
                if self.iothreads > 0 {
                    device.push_str(",iothread=iothread1");
                }
            }
            add(&["-device", &device]);
        }
        for (number, tap) in taps.iter().enumerate() {
            let netdev = format!("tap,id=tap{number},ifname={tap},script=no,downscript=no");
            let device = nic(&format!("nic{number}"), &format!("tap{number}"));
            add(&["-netdev", &netdev, "-device", &device]);
        }
        for number in 0..self.user_nics {
            let netdev = format!("user,id=user{number}");
            let device = nic(&format!("usernic{number}"), &format!("user{number}"));
            add(&["-netdev", &netdev, "-device", &device]);
        }
        if self.balloon {
            add(&["-device", &format!("virtio-balloon-{bus},id=balloon0")]);
        }
        all.extend(self.options.iter().map(OsString::from));
        all
    }

    /// Creates a disk's image; the raw ones come first.
    fn image(&self, dir: &Path, number: u32) -> (PathBuf, &'static str) {
        if number < self.raw_disks {
            return (image::raw(dir, &format!("disk{number}")), "raw");
        }
        let base = image::raw(dir, &format!("base{number}"));
        let name = format!("disk{number}");
        (image::qcow2_above(&base, "raw", dir, &name), "qcow2")
    }
}

/// The loopback address on which only the tests' own monitors listen.
const SIDE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Boots guests, all at once, and returns when every monitor replies.
#[must_use]
pub fn boot_all(specs: impl IntoIterator<Item = Spec>) -> Vec<Guest> {
    let guests: Vec<_> = specs.into_iter().map(Spec::start).collect();
    for guest in &guests {
        guest.wait_until_up();
    }
    guests
}

/// `O_NONBLOCK`: opening a pipe does not wait for its other end.
const NONBLOCK: i32 = 0o4000;

/// A QEMU process. Killed on drop.
#[derive(Debug)]
pub struct Guest {
    /// Its pid.
    pub pid: u32,
    /// Its UUID, unless it has none.
    pub uuid: String,
    /// The host devices of its NICs.
    pub taps: Vec<String>,
    /// The socket of the monitor that the library uses.
    pub monitor: PathBuf,
    /// The directory of its images and sockets.
    pub dir: PathBuf,
    spec: Spec,
    process: Mutex<Child>,
}

impl Guest {
    /// Returns its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Returns the number of vCPUs that can be plugged in.
    #[must_use]
    pub fn maximum_vcpus(&self) -> u32 {
        self.spec.vcpus[1]
    }

    /// Returns the number of NICs that it was started with.
    #[must_use]
    pub fn nics(&self) -> u32 {
        self.spec.taps + self.spec.user_nics
    }

    /// Connects to the test's own monitor.
    #[must_use]
    pub fn side(&self) -> Qmp {
        Qmp::connect_to(self.side_address().unwrap()).unwrap()
    }

    /// Returns the address of the test's own monitor: the kernel chose its port.
    #[must_use]
    pub fn side_address(&self) -> Option<SocketAddr> {
        let port = process::listening_port(self.pid, SIDE)?;
        Some(SocketAddr::from((SIDE, port)))
    }

    /// Stops the process, monitors included.
    pub fn freeze(&self) {
        process::freeze(self.pid);
    }

    /// Continues the process.
    pub fn thaw(&self) {
        process::thaw(self.pid);
    }

    /// Makes the process wait in its main loop, monitors included, as it does for storage that does
    /// not answer: it opens a pipe without a reader. To the kernel it looks like a running process.
    #[must_use]
    pub fn wedge(&self) -> Wedge {
        let pipe = self.dir.join(format!("pipe-{}", lab().number()));
        lab().run(lab().command("mkfifo").arg(&pipe));
        let mut side = TcpStream::connect(self.side_address().unwrap()).unwrap();
        let command = json!({
            "execute": "pmemsave",
            "arguments": { "val": 0, "size": 4096, "filename": pipe },
        });
        write!(side, "{{\"execute\":\"qmp_capabilities\"}}{command}").unwrap();
        side.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        // It replies to the greeting and the negotiation, then to nothing more.
        while side.read(&mut [0; 4096]).is_ok_and(|length| length > 0) {}
        Wedge { pipe, _side: side }
    }

    /// Kills the process, and returns when it has ended.
    pub fn kill(&self) {
        let mut process = self.process.lock().unwrap();
        let _ = process.kill();
        let _ = process.wait();
    }

    fn wait_until_up(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.side_address().and_then(|side| Qmp::connect_to(side).ok()).is_none() {
            let ended = self.process.lock().unwrap().try_wait().unwrap();
            if ended.is_some() || Instant::now() > deadline {
                let log = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
                panic!("guest {} did not start: {log}", self.name());
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// What a wedged guest waits for; the guest continues when this is dropped.
#[derive(Debug)]
pub struct Wedge {
    pipe: PathBuf,
    /// The connection stays open: QEMU writes its reply to it.
    _side: TcpStream,
}

impl Drop for Wedge {
    fn drop(&mut self) {
        // Opens at once, since the writer is waiting; unless the guest was killed meanwhile.
        let options = OpenOptions::new().read(true).custom_flags(NONBLOCK).clone();
        if let Ok(mut reader) = options.open(&self.pipe) {
            thread::sleep(Duration::from_millis(20));
            let _ = io::copy(&mut reader, &mut io::sink());
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.dir);
    }
}
