//! How the daemon starts on systemd's sockets, and what a SIGHUP changes while it serves.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Child, ChildStderr, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use domstats_live::{
    alone,
    domstatsd::{Domstatsd, program},
    guest::{Spec, boot_all},
    http::Http,
    lab::lab,
    libvirt::{Libvirt, virsh},
    patience::{PATIENCE, wait_until},
    process::{self, hang_up},
};

/// A daemon whose sockets another program created, as systemd does: it starts when a client
/// connects.
struct Activated {
    process: Child,
    log: BufReader<ChildStderr>,
}

impl Activated {
    /// Creates sockets, each with its name, and connects a client to the first one.
    fn new(sockets: &[(&str, String)], configuration: &str) -> Self {
        let path = lab().path(lab().name("activated.toml"));
        fs::write(&path, format!("connect = [\"test:///default\"]\n{configuration}")).unwrap();
        let names: Vec<_> = sockets.iter().map(|(name, _)| *name).collect();
        let mut command = lab().command("systemd-socket-activate");
        command.arg(format!("--fdname={}", names.join(":")));
        for (_, address) in sockets {
            command.args(["-l", address]);
        }
        command.arg(program()).arg("--config").arg(path).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let log = BufReader::new(process.stderr.take().unwrap());
        let first = &sockets[0].1;
        wait_until(PATIENCE, "the socket is made", || match first.parse::<SocketAddr>() {
            Ok(address) => TcpStream::connect(address).is_ok(),
            Err(_) => UnixStream::connect(first).is_ok(),
        });
        Self { process, log }
    }

    /// Returns its output until it ends.
    fn refuses(mut self) -> String {
        let mut said = String::new();
        self.log.read_to_string(&mut said).unwrap();
        assert!(!self.process.wait().unwrap().success(), "{said}");
        said
    }

    /// Returns its output until it serves this many times.
    fn serves(&mut self, times: usize) -> String {
        let mut said = String::new();
        while said.matches("serving").count() < times {
            assert!(self.log.read_line(&mut said).unwrap() > 0, "{said}");
        }
        said
    }
}

impl Drop for Activated {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn address(host: &str) -> String {
    format!("{host}:{}", lab().port())
}

#[test]
fn a_systemd_socket_is_checked_by_its_own_address() {
    alone!();
    let open = address("0.0.0.0");
    let said = Activated::new(&[("http", open.clone())], "").refuses();
    assert!(said.contains(&format!("HTTP listens on {open}, which other hosts reach")), "{said}");
    // One of several is enough.
    let both = [("http", address("127.0.0.1")), ("http", address("0.0.0.0"))];
    let said = Activated::new(&both, "").refuses();
    assert!(said.contains(&format!("HTTP listens on {}, which", both[1].1)), "{said}");

    // The configured address does not matter: nothing listens there.
    let near = [("http", address("127.0.0.1")), ("http", address("[::1]"))];
    let mut daemon = Activated::new(&near, "[http]\nlisten = \"0.0.0.0:9177\"\n");
    daemon.serves(2);
    for (_, address) in &near {
        let answer = Http::new(address.parse().unwrap()).get("/metrics");
        assert!(answer.status == 200 && answer.text().contains("libvirt_up 1"), "{address}");
    }
}

#[test]
fn a_systemd_socket_has_the_kind_that_its_name_says() {
    alone!();
    let said = Activated::new(&[("rpc", address("127.0.0.1"))], "").refuses();
    assert!(said.contains("systemd's socket 'rpc' is no Unix socket"), "{said}");
    let path = |name: &str| lab().path(lab().name(name)).display().to_string();
    let said = Activated::new(&[("http", path("http"))], "").refuses();
    assert!(said.contains("systemd's socket 'http' is no TCP socket"), "{said}");

    let socket = path("rpc");
    let sockets = [("rpc", socket.clone()), ("http", address("127.0.0.1"))];
    let mut daemon = Activated::new(&sockets, "");
    let said = daemon.serves(2);
    assert!(said.contains(&socket), "{said}");
    let uri = format!("qemu+unix:///system?socket={socket}");
    assert!(lab().run(&mut virsh(&uri, &["list", "--name"])).contains("vm1"));
}

/// Writes a whole configuration, and makes the daemon read it.
fn change(daemon: &Domstatsd, uri: &str, log: &str) {
    let text =
        format!("connect = [{uri:?}]\n[http]\nlisten = \"{}\"\n[log]\n{log}\n", daemon.address());
    fs::write(&daemon.conf, text).unwrap();
    hang_up(daemon.pid());
}

#[test]
fn a_hangup_changes_the_log() {
    alone!();
    let daemon = Domstatsd::start(&["-c", "test:///default"]);
    let again = "the configuration was read again";
    let count = || daemon.said().iter().filter(|line| line.contains(again)).count();
    let json = |line: &String| line.starts_with('{') && line.contains("\"level\"");

    change(&daemon, "test:///default", "format = \"json\"");
    wait_until(PATIENCE, "it is read", || count() == 1);
    assert!(daemon.said().iter().any(|line| json(line) && line.contains(again)));

    change(&daemon, "test:///default", "format = \"text\"\nlevel = \"error\"");
    // It logs nothing about this one, but about the next.
    thread::sleep(Duration::from_millis(300));
    assert_eq!(count(), 1, "{:?}", daemon.said());
    fs::write(&daemon.conf, "[log]\nlevel = \"loud\"\n").unwrap();
    hang_up(daemon.pid());
    let wrong = "log.level: unknown variant `loud`, expected one of `error`, `warn`";
    wait_until(PATIENCE, "it says what is wrong", || {
        daemon.said().iter().any(|line| line.contains(wrong))
    });

    change(&daemon, "test:///default", "level = \"debug\"");
    wait_until(PATIENCE, "it is read", || count() == 2);
    assert!(!json(daemon.said().last().unwrap()));
}

/// Returns the number of a process's descriptors and threads, and its memory in KiB.
fn held(pid: u32) -> (usize, usize, u64) {
    let (memory, files) = process::held(pid);
    (files, fs::read_dir(format!("/proc/{pid}/task")).unwrap().count(), memory)
}

/// Returns the descriptors of a process that lead to a path with this name.
fn leading_to(pid: u32, name: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let targets = files.filter_map(|file| fs::read_link(file.path()).ok());
    targets.filter(|target| target.display().to_string().contains(name)).collect()
}

#[test]
fn fifty_hangups_leave_nothing_behind() {
    alone!();
    const HOLD: &str = "qemu+qmp:///system?monitor_policy=hold";
    // Opens no connection, so that remaining ones show.
    const NOTHING: &str = "test:///default";
    let guests = boot_all([Spec::full("held").running(), Spec::full("other")]);
    let libvirt = Libvirt::start();
    let _its = libvirt.create_many("hung", 2, false);
    let daemon = Domstatsd::start(&[]);
    let (pid, http) = (daemon.pid(), daemon.http());
    let is_up = |uri: &str| {
        let line = format!("domstatsd_source_up{{uri=\"{uri}\"}} 1\n");
        let text = http.get("/metrics?format=prometheus").text();
        text.contains(&line) && text.matches("domstatsd_source_up{").count() == 1
    };
    let [one, other] = [HOLD.to_owned(), libvirt.uri()];
    let turn = |uri: &str, log: &str| {
        change(&daemon, uri, log);
        wait_until(PATIENCE, uri, || is_up(uri));
    };
    // No call runs while this is counted, so each remaining connection is one too many.
    let settled = || {
        let mut last = held(pid);
        wait_until(PATIENCE, "it comes to rest", || {
            thread::sleep(Duration::from_millis(500));
            let now = held(pid);
            (now.0, now.1) == (std::mem::replace(&mut last, now).0, now.1)
        });
        last
    };
    for uri in [&one, &other, &one, &other, NOTHING] {
        turn(uri, "format = \"text\"");
    }
    let before = settled();
    assert!(leading_to(pid, "/proc/").is_empty(), "{:?}", leading_to(pid, "/proc/"));

    /// Ends the others even if this thread fails.
    struct End<'a>(&'a AtomicBool);
    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let ends = AtomicBool::new(false);
    thread::scope(|scope| {
        let _end = End(&ends);
        // Answers are in flight when the signal comes.
        for _ in 0..2 {
            scope.spawn(|| {
                while !ends.load(Ordering::Relaxed) {
                    let answer = http.get("/v1/domains?max_age=1s");
                    assert!([200, 503].contains(&answer.status), "{}", answer.text());
                }
            });
        }
        for round in 0..25 {
            turn(&one, "format = \"json\"");
            if round == 0 {
                let folder = format!("/proc/{}/", guests[0].pid);
                // That pass may have been another client's, and this client's may not have ended.
                wait_until(PATIENCE, &folder, || !leading_to(pid, &folder).is_empty());
            }
            turn(&other, "format = \"text\"");
        }
    });
    turn(NOTHING, "format = \"text\"");
    wait_until(PATIENCE, "the connections to what was asked before are closed", || {
        settled().0 <= before.0
    });
    let after = settled();
    // Idle worker threads end after ten seconds.
    wait_until(PATIENCE, "the threads end", || held(pid).1 <= before.1 + 2);
    assert!(leading_to(pid, "/proc/").is_empty(), "{:?}", leading_to(pid, "/proc/"));
    assert!(after.2 < before.2 + 8 * 1024, "{before:?} {after:?}");
}
