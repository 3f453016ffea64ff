//! The daemon as a systemd service, with the unit files that ship.

use std::{
    fs,
    os::unix::fs::{FileTypeExt, PermissionsExt, chown},
    path::{Path, PathBuf},
};

use domstats::StatsReport;
use domstats_live::{
    alone,
    compare::lacks,
    domstatsd::program,
    http::Http,
    image,
    lab::{NOBODY, lab},
    libvirt::virsh,
    patience::{PATIENCE, wait_until},
    systemd::Systemd,
    tools::tool,
};

const UNITS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/systemd");

/// Copies the units, for the program and the configuration used here.
fn install(folder: &Path, conf: &Path) {
    for entry in fs::read_dir(UNITS).unwrap() {
        let entry = entry.unwrap();
        let text = fs::read_to_string(entry.path()).unwrap();
        let text = text.replace("/usr/bin/domstatsd", &program().display().to_string());
        let text = text.replace("/etc/domstatsd/domstatsd.toml", &conf.display().to_string());
        fs::write(folder.join(entry.file_name()), text).unwrap();
    }
}

/// Adds settings to a unit.
fn change(folder: &Path, unit: &str, settings: &str) {
    let folder = folder.join(format!("{unit}.d"));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("test.conf"), settings).unwrap();
}

#[test]
fn the_units_are_valid_and_confined() {
    alone!();
    let folder = lab().path(lab().name("units"));
    fs::create_dir_all(&folder).unwrap();
    install(&folder, Path::new("/etc/domstatsd/domstatsd.toml"));
    let units = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let verified = lab().command("systemd-analyze").arg("verify").args(units).output().unwrap();
    let said = String::from_utf8([verified.stdout, verified.stderr].concat()).unwrap();
    assert!(verified.status.success() && said.is_empty(), "{said}");

    // 10 is a service without any confinement; the file has the reason for what remains.
    let mut command = lab().command("systemd-analyze");
    command.args(["security", "--offline=true", "--threshold=30"]);
    lab().run(command.arg(folder.join("domstatsd.service")));
}

/// A paused guest that another user runs, as a service.
fn guest(folder: &Path, dir: &Path) {
    let home = dir.join("guest");
    fs::create_dir(&home).unwrap();
    let disk = image::raw(&home, "disk");
    for path in [&home, &disk] {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let text = format!(
        "[Service]\nUser=nobody\nExecStart={} -name guest=of-nobody,debug-threads=on -S -accel tcg \
         -nodefaults -display none -m 16 -smp 2 -object iothread,id=iothread1 \
         -device virtio-balloon-pci,id=balloon0 \
         -blockdev driver=file,node-name=file0,filename={} \
         -blockdev driver=raw,node-name=node0,file=file0 -device virtio-blk-pci,drive=node0 \
         -netdev tap,id=tap0,ifname={},script=no,downscript=no \
         -device virtio-net-pci,netdev=tap0,romfile= -qmp unix:{}/qmp,server=on,wait=off\n",
        tool("qemu-system-x86_64").display(),
        disk.display(),
        lab().taps_of_nobody(1)[0],
        home.display()
    );
    fs::write(folder.join("guest.service"), text).unwrap();
}

/// The daemon's service with the given source, in a systemd with other services.
struct Service {
    systemd: Systemd,
    /// The socket of libvirt's protocol.
    socket: PathBuf,
    http: Http,
}

impl Service {
    fn start(source: &str, others: impl FnOnce(&Path, &Path)) -> Self {
        let port = lab().port();
        let systemd = Systemd::start(|folder| {
            let dir = folder.parent().unwrap();
            fs::write(dir.join("domstatsd.toml"), format!("connect = [\"{source}\"]\n")).unwrap();
            install(folder, &dir.join("domstatsd.toml"));
            let address = format!("[Socket]\nListenStream=\nListenStream=127.0.0.1:{port}\n");
            change(folder, "domstatsd-http.socket", &address);
            let log = dir.join("daemon").display().to_string();
            let settings = format!("[Service]\nWatchdogSec=2s\nStandardError=append:{log}\n");
            change(folder, "domstatsd.service", &settings);
            others(folder, dir);
        });
        // A client starts the daemon.
        lab().run(&mut systemd.ctl(&["start", "domstatsd.socket", "domstatsd-http.socket"]));
        assert_eq!(systemd.property("domstatsd.service", "ActiveState"), "inactive");
        let socket = systemd.sees("/run/domstatsd/sock");
        Self { systemd, socket, http: Http::new(([127, 0, 0, 1], port).into()) }
    }

    /// Lists the running domains over libvirt's protocol.
    fn list(&self) -> String {
        let uri = format!("qemu+unix:///system?socket={}", self.socket.display());
        let output = virsh(&uri, &["list", "--name"]).output().unwrap();
        assert!(output.status.success(), "{output:?}, {}", self.log());
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Reads a report over HTTP.
    fn report(&self, path: &str) -> StatsReport {
        let answer = self.http.get(path);
        assert_eq!(answer.status, 200, "{}, {}", answer.text(), self.log());
        StatsReport::from_json(&answer.text()).unwrap()
    }

    fn reload(&self, source: &str) {
        let conf = self.systemd.dir.join("domstatsd.toml");
        fs::write(conf, format!("connect = [\"{source}\"]\n")).unwrap();
        lab().run(&mut self.systemd.ctl(&["reload", "domstatsd.service"]));
    }

    fn property(&self, property: &str) -> String {
        self.systemd.property("domstatsd.service", property)
    }

    fn log(&self) -> String {
        let own = fs::read_to_string(self.systemd.dir.join("daemon"));
        own.unwrap_or_default() + &self.systemd.log()
    }
}

#[test]
fn systemd_starts_it_watches_it_and_stops_it() {
    alone!();
    let service = Service::start("test:///default", |_, _| {});
    let metadata = fs::metadata(&service.socket).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o660);
    assert_eq!(service.list(), "vm1\nvm2\nvm3");
    assert_eq!(service.property("ActiveState"), "active");
    assert_eq!(service.report("/v1/domains").domains.len(), 4);
    service.reload("test:///default?domains=7");
    // systemd does not wait until the daemon has read it.
    wait_until(PATIENCE, "seven domains", || service.report("/v1/domains").domains.len() == 7);

    // Its watchdog messages stop: systemd starts another daemon on the same sockets.
    lab().run(&mut service.systemd.ctl(&["kill", "--signal=STOP", "domstatsd.service"]));
    wait_until(PATIENCE, "it is not started again", || service.property("NRestarts") != "0");
    assert_eq!(service.list(), "vm1\nvm2\nvm3\nvm5\nvm6\nvm7");
    assert_eq!(service.report("/v1/domains").domains.len(), 7);

    lab().run(&mut service.systemd.ctl(&["stop", "domstatsd.service"]));
    assert_eq!(service.property("Result"), "success", "{}", service.log());
    assert!(service.list().starts_with("vm1\n"), "its sockets stay and start it");
}

#[test]
fn as_a_confined_service_it_reads_another_users_guest_completely() {
    alone!();
    let service = Service::start("qemu+qmp:///system", guest);
    let systemd = &service.systemd;
    lab().run(&mut systemd.ctl(&["start", "guest.service"]));
    wait_until(PATIENCE, "the guest has no monitor", || systemd.dir.join("guest/qmp").exists());
    assert_eq!(service.list(), "of-nobody");
    let report = service.report("/v1/domains");
    let record = report.domain("of-nobody").unwrap_or_else(|| panic!("{report:?}"));
    assert_eq!(lacks(record), [""; 0], "{}", service.log());
    let disk = &record.block.as_ref().unwrap().blocks[0];
    assert_eq!((disk.capacity, disk.allocation.is_some()), (Some(image::CAPACITY), true));
    assert_eq!(record.vcpu.as_ref().unwrap().cpus.len(), 2);
    assert!(record.interface.as_ref().unwrap().interfaces[0].rx_bytes > Some(0));

    // Counting its threads' events takes two of the capabilities, and a system call.
    service.reload("qemu+qmp:///system?perf=page_faults");
    wait_until(PATIENCE, "counters", || {
        let report = service.report("/v1/domains?stats=perf");
        report.domain("of-nobody").is_some_and(|record| record.perf.is_some())
    });
}
