//! QEMUs that do not serve their monitors yet: a call changes nothing for them and their managers.

use std::{
    fs,
    io::Read,
    net::{TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Child,
    time::Duration,
};

use domstats::{Connect, Missing, MissingReason, StatsGroups, StatsReport, StatsRequest};
use domstats_live::{
    alone,
    lab::lab,
    patience::{PATIENCE, wait_until},
    roots,
    tools::tool,
};

const TIMEOUT: Duration = Duration::from_millis(800);

/// A QEMU without a guest's disks, killed on drop.
struct Qemu {
    process: Child,
    name: String,
    dir: PathBuf,
}

impl Qemu {
    /// Starts a QEMU. `DIR` in an option is the QEMU's folder.
    fn start(label: &str, options: &str) -> Self {
        let name = lab().name(label);
        let dir = lab().path(&name);
        fs::create_dir_all(&dir).unwrap();
        let mut command = lab().command_at(&tool("qemu-system-x86_64"));
        command.args(["-name", &name, "-accel", "tcg", "-m", "16", "-nodefaults"]);
        command.args(["-display", "none"]).current_dir(&dir);
        command.args(options.split(' ').map(|word| word.replace("DIR", dir.to_str().unwrap())));
        Self { process: command.spawn().unwrap(), name, dir }
    }

    fn socket(&self, file: &str) -> PathBuf {
        let path = self.dir.join(file);
        wait_until(PATIENCE, "a monitor", || path.exists());
        path
    }

    fn threads(&self) -> usize {
        fs::read_dir(format!("/proc/{}/task", self.process.id())).unwrap().count()
    }

    fn missing(&self, report: &StatsReport) -> Option<Missing> {
        let record = report.domain(&self.name).unwrap_or_else(|| panic!("{:?}", report.missing));
        record.why_missing(StatsGroups::STATE).cloned()
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn ask(uri: &str, timeout: Duration) -> StatsReport {
    let connect = Connect::open(uri).unwrap();
    connect.all_domain_stats(&StatsRequest::new().timeout(timeout)).unwrap()
}

/// Returns the URIs that find a monitor: on the command line, or by its name.
fn uris(socket: &Path) -> [String; 3] {
    let system = "qemu+qmp:///system";
    let named = format!("{system}?monitor={}", socket.display());
    [system.to_owned(), format!("{system}?monitor_policy=hold"), named]
}

#[test]
fn a_call_starts_no_guest_that_waits_for_its_manager() {
    alone!();
    for options in [
        "-qmp unix:DIR/q,server",
        "-S -qmp-pretty unix:DIR/q,server=y,wait=yes",
        "-chardev socket,id=c,path=DIR/q,server=on -mon c,mode=control",
        "-qmp unix:DIR/other,server=on,wait=off -qmp unix:q,server",
        // Objects that start threads before, and displays that might.
        "-object iothread,id=i -object iothread,id=j -qmp unix:DIR/q,server",
        r#"-object {"qom-type":"iothread","id":"i"} -object throttle-group,id=t -qmp unix:DIR/q,server"#,
        "-object thread-context,id=t,cpu-affinity=0 -qmp unix:DIR/q,server",
        "-object memory-backend-ram,id=r,size=16M,prealloc=on,prealloc-threads=2 -qmp unix:DIR/q,server",
        "-display egl-headless -qmp unix:DIR/q,server",
        "-display vnc=unix:DIR/vnc -vga std -qmp unix:DIR/q,server",
        "-spice unix=on,addr=DIR/spice,disable-ticketing=on -vga qxl -qmp unix:DIR/q,server",
        "-display dbus,p2p=yes -vga std -qmp unix:DIR/q,server",
        "-preconfig -qmp unix:DIR/q,server",
        "-incoming defer -qmp unix:DIR/q,server",
        // A monitor for humans comes first.
        "-monitor unix:DIR/human,server -qmp unix:DIR/q,server",
    ] {
        // The roots of other releases lack these modules.
        let is_module = ["egl", "-spice", "dbus"].iter().any(|module| options.contains(module));
        let is_newer = ["-object {", "thread-context"].iter().any(|newer| options.contains(newer));
        match roots::release().as_deref() {
            Some(_) if is_module => continue,
            Some("bullseye") if is_newer => continue,
            _ => {}
        }
        let mut qemu = Qemu::start("waits", options);
        let socket = qemu.socket(if options.contains("human") { "human" } else { "q" });
        let hold = "qemu+qmp:///system?monitor_policy=hold";
        // It is starting until it reports this reason.
        wait_until(PATIENCE, options, || {
            let missing = qemu.missing(&ask(hold, TIMEOUT)).unwrap();
            missing.text.contains("would start it")
        });
        let idle = qemu.threads();
        for uri in uris(&socket) {
            let missing = qemu.missing(&ask(&uri, TIMEOUT)).unwrap();
            assert_eq!(missing.reason, MissingReason::Busy, "{options} {uri}");
            assert!(missing.text.contains("would start it"), "{missing}");
        }
        // The next client is served: none of ours is in the queue, and none was.
        assert_eq!(qemu.threads(), idle, "{options}");
        if options.contains("human") {
            continue;
        }
        // The manager connects and leaves.
        let mut manager = UnixStream::connect(&socket).unwrap();
        manager.set_read_timeout(Some(PATIENCE)).unwrap();
        assert!(manager.read(&mut [0; 4096]).unwrap() > 0);
        drop(manager);
        // There may be no GPU to continue with.
        if options.contains("egl") {
            continue;
        }
        for uri in uris(&socket) {
            assert_eq!(qemu.missing(&ask(&uri, PATIENCE)), None, "{options} {uri}");
        }
        assert!(qemu.process.try_wait().unwrap().is_none());
    }
}

#[test]
fn polling_leaves_a_place_for_the_manager_of_a_blocked_qemu() {
    alone!();
    for pattern in [0, 1, 2] {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        let qemu = Qemu::start(
            "blocked",
            &format!(
                "-S -qmp unix:DIR/q,server=on,wait=off \
                 -drive if=none,file.driver=nbd,file.host=127.0.0.1,file.port={port}"
            ),
        );
        let socket = qemu.socket("q");
        let silent: TcpStream = server.accept().unwrap().0;
        let uri = &uris(&socket)[pattern];
        let kept = Connect::open(uri).unwrap();
        for _ in 0..3 {
            let request = StatsRequest::new().timeout(TIMEOUT);
            let missing = qemu.missing(&kept.all_domain_stats(&request).unwrap()).unwrap();
            assert_eq!(missing.reason, MissingReason::Timeout, "{missing}");
            let missing = qemu.missing(&ask(uri, TIMEOUT)).unwrap();
            assert_eq!(missing.reason, MissingReason::Timeout, "{missing}");
        }
        // Blocks only until the queue is full: a full one would block the test forever.
        let place = place_in_queue(&socket);
        drop(place.expect("the manager finds a place"));
        drop(silent);
        drop(server);
    }
}

#[test]
fn a_serial_port_that_waits_is_not_a_monitor_to_try() {
    alone!();
    let options = "-qmp unix:DIR/q,server=on,wait=off -chardev socket,id=x,path=DIR/x,server=on";
    let qemu = Qemu::start("port", options);
    let port = qemu.socket("x");
    for policy in ["shared", "hold"] {
        let uri = format!("qemu+qmp:///system?monitor={}&monitor_policy={policy}", port.display());
        for _ in 0..3 {
            assert!(qemu.missing(&ask(&uri, TIMEOUT)).is_some());
            assert_eq!(qemu.threads(), 2, "it goes on");
        }
    }
}

#[test]
fn of_several_concurrent_programs_one_examines_the_queue_and_connects() {
    alone!();
    let options = "-S -qmp unix:DIR/q,server=on,wait=off -chardev socket,id=x,path=DIR/x,server=on";
    let qemu = Qemu::start("turns", options);
    let socket = qemu.socket("q");
    qemu.socket("x");
    let waiting = || {
        let list = fs::read_to_string("/proc/net/unix").unwrap();
        let own = list.lines().filter(|line| line.ends_with(socket.to_str().unwrap()));
        own.filter(|line| line.split_whitespace().nth(5) == Some("02")).count()
    };
    let folder = fs::File::open(format!("/proc/{}/fd", qemu.process.id())).unwrap();
    folder.lock().unwrap();
    for uri in uris(&socket) {
        let missing = qemu.missing(&ask(&uri, TIMEOUT)).unwrap();
        assert!(missing.text.contains("another program is about to ask"), "{missing}");
    }
    assert_eq!(waiting(), 0);
    drop(folder);
    let missing = qemu.missing(&ask("qemu+qmp:///system", TIMEOUT)).unwrap();
    assert!(missing.text.contains("did not answer"), "{missing}");
    assert_eq!(waiting(), 1);
}

#[test]
fn a_blocked_qemu_is_queried_once_it_continues() {
    alone!();
    // It waits for a serial port's client.
    let options = "-S -qmp unix:DIR/q,server=on,wait=off -chardev socket,id=x,path=DIR/x,server=on";
    let qemu = Qemu::start("goes-on", options);
    let socket = qemu.socket("q");
    let port = qemu.socket("x");
    let kept = Connect::open("qemu+qmp:///system").unwrap();
    for _ in 0..5 {
        let request = StatsRequest::new().timeout(TIMEOUT);
        assert!(qemu.missing(&kept.all_domain_stats(&request).unwrap()).is_some());
        for uri in uris(&socket) {
            assert!(qemu.missing(&ask(&uri, TIMEOUT)).is_some());
        }
    }
    let mut manager = place_in_queue(&socket).expect("the manager finds a place");
    let _client = UnixStream::connect(port).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(manager.read(&mut [0; 4096]).unwrap() > 0);
    drop(manager);
    let request = StatsRequest::new().timeout(PATIENCE);
    assert_eq!(qemu.missing(&kept.all_domain_stats(&request).unwrap()), None);
}

/// Connects as a manager does, without waiting for a place.
fn place_in_queue(socket: &Path) -> std::io::Result<UnixStream> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let path = socket.to_owned();
    std::thread::spawn(move || sender.send(UnixStream::connect(path)));
    let waited = receiver.recv_timeout(PATIENCE / 4);
    waited.unwrap_or_else(|_| Err(std::io::ErrorKind::WouldBlock.into()))
}
