//! Real command lines and processes: how QEMU merges its options, option files, and QEMUs under
//! other names.

use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt, symlink},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command},
    time::Duration,
};

use domstats::{Connect, DomainStats, MissingReason, StatsGroups, StatsReport, StatsRequest};
use domstats_live::{alone, lab::lab, patience::wait_until, qmp::Qmp, tools::tool};

const PATIENCE: Duration = Duration::from_secs(30);
const QEMU: &str = "qemu-system-x86_64";
/// The options of every QEMU here. A test that needs fewer writes its own line.
const BASE: &str = "-S -accel tcg -nodefaults -display none";

/// A QEMU, killed on drop.
struct Qemu {
    process: Child,
    dir: PathBuf,
}

impl Qemu {
    /// Starts a QEMU; `DIR` in its options is a folder of its own.
    fn start(options: &str) -> Self {
        let dir = folder();
        Self::run(&dir, &tool(QEMU), options)
    }

    fn run(dir: &Path, program: &Path, options: &str) -> Self {
        Self::spawn(dir, &mut lab().command_at(program), options)
    }

    fn spawn(dir: &Path, command: &mut Command, options: &str) -> Self {
        let words = format!("{BASE} {options}").replace("DIR", dir.to_str().unwrap());
        let process = command.args(words.split_whitespace()).current_dir(dir).spawn().unwrap();
        Self { process, dir: dir.to_owned() }
    }

    /// Waits until its monitor replies, and connects.
    fn monitor(&mut self, name: &str) -> Qmp {
        let path = self.dir.join(name);
        let mut monitor = None;
        wait_until(PATIENCE, "the monitor", || {
            assert_eq!(self.process.try_wait().unwrap(), None, "QEMU has ended");
            monitor = Qmp::connect(&path).ok();
            monitor.is_some()
        });
        monitor.unwrap()
    }

    fn up(mut self, name: &str) -> Self {
        drop(self.monitor(name));
        self
    }

    fn record<'a>(&self, report: &'a StatsReport) -> Option<&'a DomainStats> {
        let pid = Some(self.process.id());
        report.domains.iter().find(|record| record.domain.id == pid)
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn folder() -> PathBuf {
    let dir = lab().path(lab().name("line"));
    fs::create_dir_all(&dir).unwrap();
    dir
}

fn ask() -> StatsReport {
    let connect = Connect::open("qemu+qmp:///system").unwrap();
    connect.all_domain_stats(&StatsRequest::new().timeout(PATIENCE)).unwrap()
}

/// Checks that a QEMU is listed, and that its monitor is used.
fn assert_served(qemu: &Qemu, what: &str) {
    let report = ask();
    let record = qemu.record(&report).unwrap_or_else(|| panic!("{what}: {report:?}"));
    assert_eq!(record.why_missing(StatsGroups::STATE), None, "{what}");
}

/// What a record says about a QEMU's options, and what the QEMU itself reports.
fn said(record: &DomainStats) -> (String, Option<String>, Option<u64>, Option<u32>) {
    let memory = record.balloon.as_ref().and_then(|balloon| balloon.maximum);
    let vcpus = record.vcpu.as_ref().and_then(|vcpu| vcpu.maximum);
    let uuid = record.domain.uuid.map(|uuid| uuid.to_string());
    (record.domain.name.to_string(), uuid, memory, vcpus)
}

#[test]
fn repeated_options_are_merged_as_by_qemu() {
    alone!();
    let ones = "11111111-1111-1111-1111-111111111111";
    let twos = "22222222-2222-2222-2222-222222222222";
    // QEMU's notation for no UUID.
    let zeros = "00000000-0000-0000-0000-000000000000";
    for options in [
        "-name a -name debug-threads=on -m 32 -m slots=2,maxmem=1G -smp 2 -smp maxcpus=8",
        "-name guest=b -name guest=c -m slots=2,maxmem=1G -m 40 -smp sockets=2 -smp cores=2",
        "-name d,,e=f --m 65536k -smp cpus=2 -smp cpus=1,maxcpus=3 -machine q35 -M pc",
        "-name g -machine memory.size=48M -machine smp.cpus=3",
        "-name h -m 64 -machine memory.size=48M -smp 2 -machine smp.maxcpus=5",
        "-name i -m 0x20 -smp 0x2 -m size=40M,size=33000001b",
        "-name j -m 0 -smp 010",
        "-name -k -m 1.5G -smp dies=2,cores=2",
        &format!("-name l -uuid {ones} -uuid {twos}"),
        &format!("-name m -smbios type=1,uuid={ones} -uuid {twos}"),
        &format!("-name n -uuid {ones} -smbios type=1,uuid={twos}"),
        &format!("-name o -smbios type=1,uuid={ones} -smbios type=1,uuid={twos}"),
        &format!("-name p -uuid {zeros}"),
        &format!("-name q -uuid {ones} -smbios type=1,uuid={zeros}"),
    ] {
        let mut qemu = Qemu::start(&format!("-qmp unix:DIR/q,server=on,wait=off {options}"));
        let mut monitor = qemu.monitor("q");
        let uuid = monitor.ask("query-uuid")["UUID"].as_str().unwrap().to_owned();
        let cpus = monitor.ask("query-hotpluggable-cpus");
        let cpus = cpus.as_array().unwrap().iter().map(|cpu| cpu["vcpus-count"].as_u64().unwrap());
        let memory = monitor.ask("query-memory-size-summary")["base-memory"].as_u64().unwrap();
        let told = (
            monitor.ask("query-name")["name"].as_str().unwrap().to_owned(),
            Some(uuid).filter(|uuid| !uuid.starts_with("00000000")),
            Some(memory / 1024),
            Some(u32::try_from(cpus.sum::<u64>()).unwrap()),
        );
        // The monitor stays in use, so the command line must be enough.
        let held = ask();
        let record = said(qemu.record(&held).unwrap());
        assert_eq!((&record.0, record.1.is_some()), (&told.0, told.1.is_some()), "{options}");
        drop(monitor);
        assert_eq!(said(qemu.record(&ask()).unwrap()), told, "{options}");
    }
}

#[test]
fn an_empty_name_means_none() {
    alone!();
    for options in ["-name guest=", "-name process=other", ""] {
        let mut qemu = Qemu::start(&format!("{options} -qmp unix:DIR/own.qmp,server=on,wait=off"));
        let name = qemu.monitor("own.qmp").ask("query-name");
        assert!(name["name"].as_str().is_none_or(str::is_empty), "{name}");
        // The name of its monitor is used instead.
        assert_eq!(said(qemu.record(&ask()).unwrap()).0, "own", "{options}");
    }
}

#[test]
fn a_monitor_is_found_in_every_notation() {
    alone!();
    const SOCKET: &str = "-chardev socket,id=c,path=DIR/q";
    for options in [
        format!("{SOCKET},server=on,wait=off -mon c,mode=control"),
        format!("-mon mode=control,chardev=c {SOCKET},server=true,wait=false"),
        format!("{SOCKET},wait=no,server=yes -qmp chardev:c"),
        format!("{SOCKET},server=n,wait=y,server=y,wait=n -qmp chardev:c"),
        format!("{SOCKET},server,nowait -mon id=m,chardev=c -set mon.m.mode=control"),
        "-chardev socket,id=c,path=/nowhere,server=on,wait=off -set chardev.c.path=DIR/q \
         -mon c,mode=control"
            .to_owned(),
        "--qmp unix:DIR/q,server=on,wait=off".to_owned(),
        // A monitor for humans comes first, and is not used.
        "-monitor unix:DIR/hmp,server=on,wait=off -qmp unix:DIR/q,server=on,wait=off".to_owned(),
        format!(
            "-chardev socket,id=h,path=DIR/hmp,server=on,wait=off -mon h {SOCKET},server=on,wait=off \
             -mon c,mode=control"
        ),
        format!(
            "-chardev socket,id=h,path=DIR/hmp,server=on,wait=off -mon h,mode=readline \
             {SOCKET},server=on,wait=off -mon c,mode=control"
        ),
    ] {
        let qemu = Qemu::start(&options).up("q");
        assert_served(&qemu, &options);
    }
}

/// An option file as LXD and Incus write it, with a monitor and everything that has values.
const FILE: &str = r#"# Machine
[machine]
graphics = "off"
type = "q35"
usb = "off"

[memory]
  size = "48M"

[smp-opts]
cpus = "1"
sockets = "1"
cores = "3"
threads = "1"
maxcpus = "3"

[chardev "monitor"]
backend = "socket"
path = "DIR/qemu.monitor"
server = "on"
wait = "off"

[mon]
chardev = "monitor"
mode = "control"

[object "io1"]
qom-type = "iothread"

[device "qemu_balloon"]
driver = "virtio-balloon-pci"
bus = "pcie.0"

[netdev "n0"]
type = "user"

[device "nic0"]
driver = "virtio-net-pci"
netdev = "n0"
romfile = ""
"#;

fn write_file(dir: &Path) -> PathBuf {
    let path = dir.join("qemu.conf");
    fs::write(&path, FILE.replace("DIR", dir.to_str().unwrap())).unwrap();
    path
}

fn assert_read_from_file(qemu: &Qemu, what: &str) {
    assert_served(qemu, what);
    let report = ask();
    let record = qemu.record(&report).unwrap();
    let balloon = record.balloon.as_ref().unwrap();
    assert_eq!((balloon.maximum, balloon.current), (Some(48 << 10), Some(48 << 10)), "{what}");
    assert!(balloon.actual.is_some() || balloon.last_update.is_some(), "{what}: {balloon:?}");
    assert_eq!(record.vcpu.as_ref().unwrap().maximum, Some(3), "{what}");
    assert_eq!(record.iothread.as_ref().unwrap().iothreads.len(), 1, "{what}");
}

#[test]
fn an_option_file_is_read_like_the_command_line() {
    alone!();
    for (options, what) in [
        ("-readconfig DIR/qemu.conf", "by its path"),
        ("-readconfig qemu.conf", "by its name"),
        ("-readconfig ./x/../qemu.conf", "on the way"),
        ("-readconfig DIR/link", "by a link"),
        ("-m 32 -smp 2 -machine pc -readconfig DIR/qemu.conf", "after other options"),
        ("-readconfig DIR/qemu.conf -smp 2 -name x", "before other options"),
        // As with LXD and Incus: the file is root's, and QEMU no longer is when it is examined.
        ("-readconfig DIR/qemu.conf -runas nobody", "without its rights"),
    ] {
        let dir = folder();
        let file = write_file(&dir);
        fs::create_dir(dir.join("x")).unwrap();
        symlink("x/../qemu.conf", dir.join("link")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let qemu = Qemu::run(&dir, &tool(QEMU), options).up("qemu.monitor");
        assert_read_from_file(&qemu, what);
    }
}

#[test]
fn an_option_file_is_read_through_its_descriptor() {
    alone!();
    let dir = folder();
    let file = write_file(&dir);
    let script = format!(
        "exec 5<qemu.conf; rm qemu.conf; exec {} \"$@\" -readconfig /dev/fd/5",
        tool(QEMU).display()
    );
    let mut command = lab().command("sh");
    command.args(["-c", &script, "sh"]);
    let qemu = Qemu::spawn(&dir, &mut command, "").up("qemu.monitor");
    assert!(!file.exists());
    assert_read_from_file(&qemu, "by a descriptor");
}

#[test]
fn an_unreadable_option_file_is_named() {
    alone!();
    let missing = |qemu: &Qemu| {
        let report = ask();
        let record = qemu.record(&report).unwrap();
        assert_ne!(record.domain.name, "secret");
        assert_eq!(record.balloon.as_ref().and_then(|balloon| balloon.maximum), None);
        record.why_missing(StatsGroups::STATE).unwrap().clone()
    };
    let secret = "[name]\n guest = \"secret\"\n[memory]\n size = \"1G\"\n";
    for (what, text) in [
        ("removed", "no longer exists"),
        ("a pipe", "is not a regular file"),
        ("a device", "is not a regular file"),
        ("root's", "is not readable for the user that QEMU runs as"),
        ("behind a folder of root", "is not readable for the user that QEMU runs as"),
        ("no options", "line 1 of"),
        ("large", "has more than"),
    ] {
        let dir = lab().directory_of_nobody(&lab().name("unread"));
        let file = write_file(&dir);
        let mut command = lab().command_as_nobody(&tool(QEMU));
        let options = "-readconfig DIR/qemu.conf";
        let qemu = Qemu::spawn(&dir, &mut command, options).up("qemu.monitor");
        fs::remove_file(&file).unwrap();
        match what {
            "removed" => {}
            "a pipe" => _ = lab().run(lab().command("mkfifo").arg(&file)),
            "a device" => symlink("/dev/zero", &file).unwrap(),
            "root's" => {
                fs::write(&file, secret).unwrap();
                fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
            }
            "behind a folder of root" => {
                let folder = dir.join("folder");
                fs::create_dir(&folder).unwrap();
                fs::write(folder.join("file"), secret).unwrap();
                fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
                symlink("folder/file", &file).unwrap();
            }
            "no options" => fs::write(&file, "root:x:0:0\n").unwrap(),
            _ => fs::write(&file, "#\n".repeat(200_000)).unwrap(),
        }
        let missing = missing(&qemu);
        assert!(missing.text.contains(text), "{what}: {missing}");
        assert!(!missing.text.contains("root:x"), "{missing}");
    }
}

#[test]
fn a_changed_option_file_is_not_trusted() {
    alone!();
    let dir = folder();
    let file = write_file(&dir);
    let mut qemu = Qemu::run(&dir, &tool(QEMU), "-readconfig DIR/qemu.conf");
    let taken = qemu.monitor("qemu.monitor");
    let text = FILE.replace("DIR", dir.to_str().unwrap());
    let text = text.replace("48M", "96M").replace("maxcpus = \"3\"", "maxcpus = \"7\"");
    // What was written while QEMU started may be what it read.
    wait_until(PATIENCE, "the change is seen", || {
        fs::write(&file, &text).unwrap();
        let report = ask();
        let record = qemu.record(&report).unwrap();
        assert_eq!(record.why_missing(StatsGroups::STATE).unwrap().reason, MissingReason::Busy);
        record.balloon.as_ref().and_then(|balloon| balloon.maximum).is_none()
    });
    drop(taken);
    assert_read_from_file(&qemu, "as QEMU has it");
}

#[test]
fn json_options_are_read() {
    alone!();
    // The first NIC has the second tap.
    let [first, second] = [lab().tap_name(), lab().tap_name()];
    let mut qemu = Qemu::start(&format!(
        r#"-qmp unix:DIR/q,server=on,wait=off -object {{"qom-type":"iothread","id":"io1"}}
           -netdev {{"type":"tap","id":"n1","ifname":"{first}","script":"no","downscript":"no"}}
           -netdev {{"type":"tap","id":"n2","ifname":"{second}","script":"no","downscript":"no"}}
           -device {{"driver":"virtio-net-pci","netdev":"n2","id":"nic0","romfile":""}}
           -device {{"driver":"virtio-net-pci","netdev":"n1","id":"nic1","romfile":""}}
           -device {{"driver":"virtio-balloon-pci","id":"b0"}}
           -blockdev {{"driver":"null-co","node-name":"disk","read-zeroes":true}}
           -device {{"driver":"virtio-blk-pci","drive":"disk","id":"d0","iothread":"io1"}}"#
    ));
    let taken = qemu.monitor("q");
    let report = ask();
    let nics = qemu.record(&report).unwrap().interface.as_ref().unwrap();
    let names: Vec<_> = nics.interfaces.iter().map(|nic| nic.name.as_deref()).collect();
    assert_eq!(names, [Some(&*second), Some(&*first)], "of the line alone");
    drop(taken);
    let report = ask();
    let record = qemu.record(&report).unwrap();
    assert!(record.balloon.as_ref().unwrap().last_update.is_some());
    assert_eq!(record.iothread.as_ref().unwrap().iothreads.len(), 1);
    assert_eq!(record.block.as_ref().unwrap().blocks.len(), 1);
}

#[test]
fn a_qemu_is_known_by_its_program() {
    alone!();
    const MODULES: (&str, &str) = ("QEMU_MODULE_DIR", "/usr/lib/x86_64-linux-gnu/qemu");
    let options =
        "-qmp unix:DIR/q,server=on,wait=off -m 32 -L /usr/share/seabios -L /usr/share/qemu";
    let spawn = |dir: &Path, command: &mut Command, options: &str| {
        Qemu::spawn(dir, command.env(MODULES.0, MODULES.1), options).up("q")
    };
    for name in [
        ".qemu-system-x86_64-wrapped",
        "qemu-system-x86_64-headless",
        "qemu-lite-system-x86_64",
        "qemu-kvm",
        "kvm",
        "my-qemu",
    ] {
        let dir = folder();
        let program = dir.join(name);
        fs::copy(tool(QEMU), &program).unwrap();
        let qemu = spawn(&dir, &mut lab().command_at(&program), options);
        assert_served(&qemu, name);
        fs::remove_file(&program).unwrap();
        assert_served(&qemu, "its program was replaced");
    }
    let renamed = format!("{options} -name guest=vm,process=renamed,debug-threads=on");
    let qemu = spawn(&folder(), &mut lab().command(QEMU), &renamed);
    assert_served(&qemu, "by -name process=");
    let mut command = lab().command(QEMU);
    command.arg0("vm");
    let qemu = spawn(&folder(), &mut command, options);
    assert_served(&qemu, "by its first argument");
    let loader = Path::new("/lib64/ld-linux-x86-64.so.2");
    let mut command = lab().command_at(loader);
    command.args(["--argv0", "vm"]).arg(tool(QEMU));
    let qemu = spawn(&folder(), &mut command, options);
    assert_served(&qemu, "by the loader");
    // Anything else that the loader runs, and QEMU's other programs, are no VMs.
    let dir = folder();
    let others = [
        lab().command_at(loader).args(["/bin/sleep", "1000"]).spawn().unwrap(),
        lab()
            .command("qemu-storage-daemon")
            .args([
                "--chardev",
                &format!("socket,id=c,path={}/q,server=on,wait=off", dir.display()),
            ])
            .args(["--monitor", "c"])
            .spawn()
            .unwrap(),
    ];
    wait_until(PATIENCE, "the storage daemon", || dir.join("q").exists());
    let report = ask();
    for mut other in others {
        let is_it = |info: &domstats::DomainInfo| info.id == Some(other.id());
        assert!(!report.domains.iter().any(|record| is_it(&record.domain)));
        assert!(!report.missing.iter().any(|missing| is_it(&missing.domain)));
        other.kill().unwrap();
        other.wait().unwrap();
    }
    assert!(qemu.record(&report).is_some());
}

#[test]
fn libvirts_probe_is_left_out_and_a_machine_without_hardware_is_listed() {
    alone!();
    let own = Qemu::start("-name own -machine none -qmp unix:DIR/q,server=on,wait=off").up("q");
    let none = Qemu::start("-M none -name none");
    let dir = folder();
    let place = dir.join("qmp-Q9DA01");
    fs::create_dir(&place).unwrap();
    let probe = "-S -no-user-config -nodefaults -nographic -machine none,accel=tcg \
                 -qmp unix:DIR/qmp-Q9DA01/qmp.monitor,server=on,wait=off \
                 -pidfile DIR/qmp-Q9DA01/qmp.pid -daemonize";
    let probe = probe.replace("DIR", dir.to_str().unwrap());
    lab().run(lab().command(QEMU).args(probe.split_whitespace()));
    let pid = fs::read_to_string(place.join("qmp.pid")).unwrap();
    let pid: u32 = pid.trim().parse().unwrap();
    let report = ask();
    assert!(fs::exists(format!("/proc/{pid}")).unwrap());
    assert!(!report.domains.iter().any(|record| record.domain.id == Some(pid)), "{report:?}");
    assert!(!report.missing.iter().any(|missing| missing.domain.id == Some(pid)), "{report:?}");
    assert_eq!(own.record(&report).unwrap().domain.name, "own");
    assert_eq!(own.record(&report).unwrap().why_missing(StatsGroups::STATE), None);
    assert_eq!(none.record(&report).unwrap().domain.name, "none");
    domstats_live::process::kill(pid);
}
