//! A private systemd, for the kit's services and none of the host's.
//!
//! It is the init process of namespaces of its own. It does not see the host's units, such as the
//! one that empties `/tmp`, and what it and its services write to files stays in the namespaces,
//! except for those in the lab.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

use crate::{
    cgroup::{self, Group, Version},
    lab::lab,
    patience::PATIENCE,
};

/// A running systemd. Killed on drop, with everything it started.
#[derive(Debug)]
pub struct Systemd {
    /// Its directory.
    pub dir: PathBuf,
    process: Child,
    /// The pid of its init process on the host.
    init: u32,
    group: Group,
}

/// `$1` is the cgroup that becomes its root, `$2` the directory, `$3` the lab.
const START: &str = r#"
# What it says goes to the log of the kernel, or of what looks like it.
mkfifo "$2/kmsg"
(cat <>"$2/kmsg" >"$2/log" &)
echo $$ >"$1/cgroup.procs"
exec unshare -m -p -f -C -u -i --kill-child --propagation private sh -euc '
    mount -t tmpfs tmpfs /run
    cd /run
    mkdir changes work root
    mount -t overlay overlay -o lowerdir=/,upperdir=changes,workdir=work root
    cd root
    mount -t proc proc proc
    mount --rbind /sys sys
    mount -t cgroup2 cgroup2 sys/fs/cgroup
    mount --rbind /dev dev
    mount --bind "$1/kmsg" dev/kmsg
    mkdir -p ".$2"
    mount --bind "$2" ".$2"
    for hidden in run etc/systemd usr/lib/systemd/system usr/lib/systemd/system-generators; do
        mount -t tmpfs tmpfs "$hidden"
    done
    mkdir -p run/systemd run/host
    cp -r "$1/units" run/systemd/system
    pivot_root . run/host
    umount -l run/host
    export container=domstats
    exec /lib/systemd/systemd --system --unit=basic.target --log-target=kmsg --show-status=no
' sh "$2" "$3"
"#;

/// The targets that every unit wants by default.
const TARGETS: [&str; 5] = ["sysinit", "basic", "sockets", "multi-user", "shutdown"];

impl Systemd {
    /// Starts it with a directory of unit files, which `units` fills, and returns when it answers.
    #[must_use]
    pub fn start(units: impl FnOnce(&Path)) -> Self {
        let name = lab().name("systemd");
        let dir = lab().path(&name);
        let folder = dir.join("units");
        fs::create_dir_all(&folder).unwrap();
        for target in TARGETS {
            let text = "[Unit]\nDefaultDependencies=no\n";
            fs::write(folder.join(format!("{target}.target")), text).unwrap();
        }
        units(&folder);
        let mut mounts = cgroup::mounts_of("cpuacct").into_iter();
        let root =
            mounts.find(|(version, _)| *version == Version::V2).expect("cgroups of version 2");
        let group = Group::make(Version::V2, root.1.join(lab().name_on_host("systemd")));
        let errors = fs::File::create(dir.join("errors")).unwrap();
        let mut command = lab().command("sh");
        command.args(["-euc", START, "sh"]).arg(group.path()).arg(&dir).arg(lab().path(""));
        let process = command.stderr(errors).spawn().unwrap();
        let mut systemd = Self { dir, process, init: 0, group };
        systemd.wait_until_up();
        systemd
    }

    /// Returns the command `systemctl` for it.
    #[must_use]
    pub fn ctl(&self, arguments: &[&str]) -> Command {
        let mut command = lab().command("nsenter");
        command.arg(format!("--target={}", self.init)).args(["--mount", "--pid", "--cgroup"]);
        command.arg("systemctl").args(arguments);
        command
    }

    /// Returns a property of a unit.
    #[must_use]
    pub fn property(&self, unit: &str, property: &str) -> String {
        let show = ["show", "--value", "--property", property, unit];
        lab().run(&mut self.ctl(&show)).trim().to_owned()
    }

    /// Returns the host's path of a file that its services see at this path.
    #[must_use]
    pub fn sees(&self, path: &str) -> PathBuf {
        format!("/proc/{}/root{path}", self.init).into()
    }

    fn wait_until_up(&mut self) {
        let pid = self.process.id();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
            if let Some(init) = children.unwrap_or_default().split_whitespace().next() {
                self.init = init.parse().unwrap();
                let mut is_up = self.ctl(&["is-active", "--quiet", "basic.target"]);
                if is_up.output().unwrap().status.success() {
                    return;
                }
            }
            let ended = self.process.try_wait().unwrap();
            if ended.is_some() || Instant::now() > deadline {
                panic!("systemd did not start: {}", self.log());
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Returns its output.
    #[must_use]
    pub fn log(&self) -> String {
        let texts = ["errors", "log"].map(|name| fs::read_to_string(self.dir.join(name)));
        texts.map(Result::unwrap_or_default).concat()
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        // Its namespace ends, and every process in it.
        let deadline = Instant::now() + Duration::from_secs(10);
        while !remove_below(self.group.path()) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Removes all groups below one, and returns whether they are gone.
fn remove_below(group: &Path) -> bool {
    let below = fs::read_dir(group).into_iter().flatten().flatten().map(|entry| entry.path());
    let folders = below.filter(|path| path.is_dir());
    folders
        .map(|path| remove_below(&path) && fs::remove_dir(path).is_ok())
        .fold(true, |all, one| all & one)
}
