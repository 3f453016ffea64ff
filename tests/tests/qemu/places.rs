//! Monitors that a path does not lead to directly: other roots, folders that were left, names
//! without a file, descriptors; and sockets that another process holds.

use std::{
    fs,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command},
    time::Duration,
};

use domstats::{Connect, Missing, MissingReason, StatsGroups, StatsReport, StatsRequest};
use domstats_live::{alone, lab::lab, patience::wait_until, tools::tool};

const PATIENCE: Duration = Duration::from_secs(30);
const SYSTEM: &str = "qemu+qmp:///system";

/// A QEMU, or a process that pretends to be one, killed on drop.
struct Qemu {
    process: Child,
    name: String,
    dir: PathBuf,
}

impl Qemu {
    /// Starts a QEMU through a shell script, in which `$QEMU` is the command with the usual
    /// options, and `DIR` a folder of its own.
    fn start(label: &str, script: &str) -> Self {
        Self::start_with(label, script, &mut lab().command("sh"))
    }

    fn start_with(label: &str, script: &str, shell: &mut Command) -> Self {
        let name = lab().name(label);
        let dir = lab().path(&name);
        fs::create_dir_all(&dir).unwrap();
        let qemu = format!(
            "{} -name {name} -S -accel tcg -m 16 -nodefaults -display none",
            tool("qemu-system-x86_64").display()
        );
        let script = script.replace("DIR", dir.to_str().unwrap()).replace("$QEMU", &qemu);
        let process = shell.args(["-euc", &script]).current_dir(&dir).spawn().unwrap();
        Self { process, name, dir }
    }

    /// Calls until the monitor replies, and fails with the reason why it does not.
    fn assert_served(&self, uri: &str) {
        let mut last = None;
        let deadline = std::time::Instant::now() + PATIENCE;
        while std::time::Instant::now() < deadline {
            match self.try_missing(&ask(uri)) {
                Some(None) => return,
                other => last = other,
            }
        }
        panic!("{uri}: {last:?}");
    }

    /// Calls until QEMU is found and its monitor is missing for a reason with these words.
    fn assert_missing(&self, uri: &str, reason: &MissingReason, words: &str) {
        let mut last = None;
        let deadline = std::time::Instant::now() + PATIENCE;
        while std::time::Instant::now() < deadline {
            last = self.try_missing(&ask(uri));
            if let Some(Some(missing)) = &last
                && &missing.reason == reason
                && missing.text.contains(words)
            {
                return;
            }
        }
        panic!("{uri}: {last:?}, not {words}");
    }

    fn try_missing(&self, report: &StatsReport) -> Option<Option<Missing>> {
        let record = report.domain(&self.name)?;
        Some(record.why_missing(StatsGroups::STATE).cloned())
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn ask(uri: &str) -> StatsReport {
    let connect = Connect::open(uri).unwrap();
    connect.all_domain_stats(&StatsRequest::new().timeout(Duration::from_secs(1))).unwrap()
}

#[test]
fn a_root_of_its_own() {
    alone!();
    // A container: its `/run` is a file system that the host does not see.
    let qemu = Qemu::start_with(
        "tmpfs",
        "mount -t tmpfs none /run; ln -s /run /run/link; \
         exec $QEMU -qmp unix:/run/link/q,server=on,wait=off",
        lab().command("unshare").args(["--mount", "sh"]),
    );
    qemu.assert_served(SYSTEM);
    assert!(!Path::new("/run/link").exists());
    let of_process = format!("{SYSTEM}?monitor=/proc/{}/root/run/q", qemu.process.id());
    qemu.assert_served(&of_process);
    let pattern = format!("{SYSTEM}?monitor=/proc/*/root/run/q");
    qemu.assert_served(&pattern);
}

#[test]
fn a_container_with_a_network_and_processes_of_its_own() {
    alone!();
    let qemu = Qemu::start_with(
        "container",
        "mount -t tmpfs none /run; $QEMU -qmp unix:/run/q,server=on,wait=off & wait",
        lab().command("unshare").args([
            "--mount",
            "--net",
            "--pid",
            "--fork",
            "--kill-child",
            "sh",
        ]),
    );
    qemu.assert_served(SYSTEM);
    // In its own pid namespace it has another number; ours is correct.
    let record = ask(SYSTEM);
    let id = record.domain(&qemu.name).unwrap().domain.id.unwrap();
    assert_ne!(id, qemu.process.id());
    let exe = fs::read_link(format!("/proc/{id}/exe")).unwrap();
    assert!(exe.to_string_lossy().contains("qemu-system"));
}

#[test]
fn another_user_namespace() {
    alone!();
    let qemu = Qemu::start_with(
        "rootless",
        "mount -t tmpfs none /run; exec $QEMU -qmp unix:/run/q,server=on,wait=off",
        lab().command("unshare").args(["--user", "--map-root-user", "--mount", "--net", "sh"]),
    );
    qemu.assert_served(SYSTEM);
}

#[test]
fn the_root_changes_after_the_socket_is_made() {
    alone!();
    let qemu = Qemu::start(
        "chroot",
        "mkdir DIR/empty; exec $QEMU -chroot DIR/empty -qmp unix:DIR/q,server=on,wait=off",
    );
    let root = format!("/proc/{}/root", qemu.process.id());
    wait_until(PATIENCE, "its new root", || fs::read_link(&root).unwrap() != Path::new("/"));
    qemu.assert_served(SYSTEM);
}

#[test]
fn a_relative_path() {
    alone!();
    // Through its environment, or through its current folder.
    for environment in ["", "env -u PWD"] {
        let script = format!("exec {environment} $QEMU -qmp unix:q,server=on,wait=off");
        Qemu::start("relative", &script).assert_served(SYSTEM);
    }
    // Longer than a socket address can be.
    let long = "d".repeat(120);
    let script = format!("mkdir {long}; cd {long}; exec $QEMU -qmp unix:q,server=on,wait=off");
    let qemu = Qemu::start("long", &script);
    qemu.assert_served(SYSTEM);
    let socket = qemu.dir.join(&long).join("q");
    assert!(UnixStream::connect(&socket).is_err(), "the path is too long for others");
    qemu.assert_served(&format!("{SYSTEM}?monitor={}", socket.display()));
}

#[test]
fn a_daemon_has_left_its_folder() {
    alone!();
    let daemon = "$QEMU -daemonize -pidfile DIR/pid -qmp unix:q,server=on,wait=off";
    // It has left its folder when its parent ends.
    let started = |qemu: &mut Qemu| {
        assert!(qemu.process.wait().unwrap().success());
        let pid: i32 = fs::read_to_string(qemu.dir.join("pid")).unwrap().trim().parse().unwrap();
        assert_eq!(fs::read_link(format!("/proc/{pid}/cwd")).unwrap(), Path::new("/"));
    };
    let mut qemu = Qemu::start("daemon", daemon);
    started(&mut qemu);
    qemu.assert_served(SYSTEM);
    // Nothing shows where it was started.
    let mut qemu = Qemu::start("lost", &format!("unset PWD; exec env -u PWD {daemon}"));
    started(&mut qemu);
    let words = "the folder where QEMU was started is not known";
    qemu.assert_missing(SYSTEM, &MissingReason::Failed, words);
    qemu.assert_served(&format!("{SYSTEM}?monitor={}", qemu.dir.join("q").display()));
}

#[test]
fn a_name_without_a_file() {
    alone!();
    for tight in ["", ",tight=on", ",tight=off"] {
        for (net, shell) in [("", "sh"), ("--net", "unshare")] {
            let mut command = lab().command(shell);
            if !net.is_empty() {
                command.args([net, "sh"]);
            }
            let chardev = format!("socket,id=c,path=DIRx,abstract=on{tight},server=on,wait=off");
            let script = format!("exec $QEMU -chardev {chardev} -mon c,mode=control");
            let qemu = Qemu::start_with("abstract", &script, &mut command);
            qemu.assert_served(SYSTEM);
        }
    }
}

#[test]
fn a_socket_that_a_launcher_opened() {
    alone!();
    for bind in ["'DIR/q'", "'q'", "'\\\\0DIR/q'"] {
        let launcher = format!(
            "import os, socket, sys\n\
             s = socket.socket(socket.AF_UNIX)\n\
             s.bind({bind})\n\
             s.listen(1)\n\
             os.dup2(s.fileno(), 17)\n\
             os.execvp(sys.argv[1], sys.argv[1:])\n"
        );
        let qemu = Qemu::start(
            "handed",
            &format!(
                "exec python3 -c \"{launcher}\" \
                 $QEMU -chardev socket,id=c,fd=17,server=on,wait=off -mon c,mode=control"
            ),
        );
        qemu.assert_served(SYSTEM);
    }
}

#[test]
fn a_monitor_that_is_no_unix_socket_is_described() {
    alone!();
    let manager = lab().path("manager");
    let _manager = UnixListener::bind(&manager).unwrap();
    for (options, words) in [
        ("-qmp tcp:127.0.0.1:0,server=on,wait=off", "tcp:127.0.0.1:0"),
        ("-chardev pty,id=c -mon c,mode=control", "pty"),
        ("-chardev null,id=c -mon c,mode=control", "null"),
        ("-qmp stdio", "stdio"),
        (
            "-chardev socket,id=c,websocket=on,host=127.0.0.1,port=0,server=on,wait=off \
             -mon c,mode=control",
            "tcp:127.0.0.1:0",
        ),
        (
            &format!(
                "-chardev socket,id=c,path={},reconnect=1 -mon c,mode=control",
                manager.display()
            ),
            "connects to its manager",
        ),
    ] {
        let qemu = Qemu::start("other", &format!("exec $QEMU {options}"));
        qemu.assert_missing(SYSTEM, &MissingReason::Unsupported, words);
        qemu.assert_missing(SYSTEM, &MissingReason::Unsupported, "add -qmp unix:PATH");
    }
}

#[test]
fn with_a_busy_monitor_the_next_one_is_used() {
    alone!();
    let script = "exec $QEMU -qmp unix:DIR/a,server=on,wait=off -qmp unix:DIR/b,server=on,wait=off \
                  -qmp unix:DIR/c,server=on,wait=off";
    let qemu = Qemu::start("several", script);
    let socket = |name: &str| qemu.dir.join(name);
    wait_until(PATIENCE, "the sockets", || socket("c").exists());
    qemu.assert_served(SYSTEM);
    let first = domstats_live::qmp::Qmp::connect(&socket("a")).unwrap();
    qemu.assert_served(SYSTEM);
    // A named monitor comes first, so it is the one that is held.
    let named = format!("{SYSTEM}?monitor={}&monitor_policy=hold", socket("c").display());
    let held = Connect::open(&named).unwrap();
    held.all_domain_stats(&StatsRequest::new()).unwrap();
    let mut second = domstats_live::qmp::Qmp::connect(&socket("b")).unwrap();
    let _ = second.ask("query-status");
    qemu.assert_missing(SYSTEM, &MissingReason::Busy, "another client uses the monitor");
    drop(held);
    qemu.assert_served(SYSTEM);
    drop((first, second));
    qemu.assert_served(SYSTEM);
}

#[test]
fn doctor_lists_every_monitor() {
    alone!();
    let script = "exec $QEMU -qmp unix:DIR/a,server=on,wait=off -qmp unix:DIR/b,server=on,wait=off \
                  -qmp unix:DIR/c,server=on,wait=off -qmp tcp:127.0.0.1:0,server=on,wait=off";
    let qemu = Qemu::start("doctor", script);
    let socket = |name: &str| qemu.dir.join(name).display().to_string();
    qemu.assert_served(SYSTEM);
    let _client = domstats_live::qmp::Qmp::connect(&qemu.dir.join("a")).unwrap();
    let mut doctor = lab().command_at(domstats_live::command::domstats());
    let text = lab().run(doctor.args(["doctor", "--timeout", "20s", "-c", SYSTEM]));
    let name = &qemu.name;
    for line in [
        format!(
            "monitor of {name}: {}: not used: busy: another client uses the monitor",
            socket("a")
        ),
        format!("monitor of {name}: {}: used", socket("b")),
        format!("monitor of {name}: {}: not needed", socket("c")),
        format!(
            "monitor of {name}: tcp:127.0.0.1:0,server=on,wait=off: not used: unsupported: is open"
        ),
    ] {
        assert!(text.contains(&line), "{line}: {text}");
    }
}

/// Starts processes of an unprivileged user that claim to be QEMUs with this monitor.
fn impostors(count: usize, monitor: &Path) -> Vec<Qemu> {
    let one = |_| {
        let name = lab().name("impostor");
        let dir = lab().path(&name);
        fs::create_dir_all(&dir).unwrap();
        let disguise = dir.join("qemu-system-x86_64");
        fs::copy("/usr/bin/python3", &disguise).unwrap();
        let mut command = lab().command_as_nobody(&disguise);
        command.args(["-c", "import time; time.sleep(1000)", "-name", &name, "-qmp"]);
        command.arg(format!("unix:{},server=on,wait=off", monitor.display()));
        let process = command.env("PYTHONHOME", "/usr").spawn().unwrap();
        Qemu { process, name, dir }
    };
    (0..count).map(one).collect()
}

#[test]
fn an_impostors_socket_is_not_connected_to() {
    alone!();
    // root's socket, which no QEMU holds.
    let path = lab().path("docker.sock");
    let listener = UnixListener::bind(&path).unwrap();
    listener.set_nonblocking(true).unwrap();
    let link = lab().path("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    for monitor in [&path, &link] {
        for impostor in impostors(1, monitor) {
            for policy in ["", "?monitor_policy=hold"] {
                let uri = format!("{SYSTEM}{policy}");
                let words = "does not belong to process";
                impostor.assert_missing(&uri, &MissingReason::Failed, words);
            }
        }
        assert!(listener.accept().is_err(), "something connected");
    }
}

#[test]
fn impostors_do_not_keep_a_monitor_busy() {
    alone!();
    let socket = lab().path("victim");
    let impostors = impostors(5, &socket);
    let script = format!("exec $QEMU -qmp unix:{},server=on,wait=off", socket.display());
    let qemu = Qemu::start("victim", &script);
    wait_until(PATIENCE, "the victim's socket", || socket.exists());
    for impostor in &impostors {
        let words = "does not belong to process";
        impostor.assert_missing(SYSTEM, &MissingReason::Failed, words);
    }
    qemu.assert_served(SYSTEM);
    let report = ask(SYSTEM);
    assert_eq!(qemu.try_missing(&report), Some(None), "at once");
}

#[test]
fn a_link_to_libvirts_monitor_is_recognized() {
    alone!();
    let folder = lab().path("domain-1-x");
    fs::create_dir(&folder).unwrap();
    let script = format!(
        "ln -s {0} DIR/link; exec $QEMU -qmp unix:DIR/link/monitor.sock,server=on,wait=off",
        folder.display()
    );
    let qemu = Qemu::start("link", &script);
    qemu.assert_missing(SYSTEM, &MissingReason::Busy, "belongs to libvirtd");
}

#[test]
fn the_same_path_elsewhere_is_another_socket() {
    alone!();
    // It waits for a serial port's client, and a client waits for its monitor.
    let blocked = Qemu::start_with(
        "blocked",
        "mount -t tmpfs none /mnt; exec $QEMU -qmp unix:/mnt/q,server=on,wait=off \
         -chardev socket,id=x,path=/mnt/x,server=on",
        lab().command("unshare").args(["--mount", "sh"]),
    );
    let inside = PathBuf::from(format!("/proc/{}/root/mnt/", blocked.process.id()));
    wait_until(PATIENCE, "the port", || inside.join("x").exists());
    let _client = UnixStream::connect(inside.join("q")).unwrap();
    let free = Qemu::start_with(
        "free",
        "mount -t tmpfs none /mnt; exec $QEMU -qmp unix:/mnt/q,server=on,wait=off",
        lab().command("unshare").args(["--mount", "sh"]),
    );
    free.assert_served(SYSTEM);
    blocked.assert_missing(SYSTEM, &MissingReason::Timeout, "waits in its queue already");
}
