//! The place where a test program's guests live: gone when the program is gone.
//!
//! Every process that the kit starts joins the process group of a janitor, a shell that waits for
//! the end of its standard input. The pipe closes when the test program ends, by a panic or a
//! `SIGKILL` as well as by returning; then the janitor kills the group and removes the directory.

use std::{
    env, fs,
    net::TcpListener,
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    sync::{
        LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use crate::tools::tool;

/// A user without rights, and its group.
pub const NOBODY: u32 = 65534;

/// Waits, then cleans up from a session of its own, for it kills its first one. Guests of libvirt
/// leave the group, hence the files with their process ids.
const JANITOR: &str = r#"
cat >/dev/null
exec setsid sh -c '
    kill -KILL "-$1"
    find "$2" -name "*.pid" | while read -r file; do kill -KILL "$(cat "$file")"; done
    while read -r tap; do ip link delete "$tap"; done <"$2/taps"
    tac "$2/cgroups" | while read -r group; do
        # A process that was killed takes a moment to leave.
        for try in 1 2 3 4 5; do
            [ -d "$group" ] && ! find "$group" -depth -type d -exec rmdir {} + && sleep 0.1
        done
    done
    rm -rf "$2"
' cleanup $$ "$1" 2>/dev/null
"#;

/// Opens taps as a guest's QEMU does (`TUNSETIFF`, `IFF_TAP | IFF_NO_PI`) and writes three frames.
const SEND_FRAMES: &str = r#"
import fcntl, os, struct, sys
for name in sys.argv[1:]:
    tap = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tap, 0x400454CA, struct.pack("16sH", name.encode(), 0x1002))
    for _ in range(3):
        os.write(tap, b"\xff" * 12 + b"\x88\xb5" + bytes(46))
    os.close(tap)
"#;

static LAB: LazyLock<Lab> = LazyLock::new(Lab::open);

/// Returns the lab of this test program.
pub fn lab() -> &'static Lab {
    &LAB
}

/// Lets one test run at a time on this host, for as long as the guard lives: a call asks every QEMU
/// of the host, and a guest that one test torments is not to disturb another. Other test programs
/// wait for the end of this one.
pub fn alone() -> MutexGuard<'static, fs::File> {
    static ALONE: LazyLock<Mutex<fs::File>> = LazyLock::new(|| {
        let file = fs::File::create(env::temp_dir().join("domstats-live.lock")).unwrap();
        file.lock().unwrap();
        Mutex::new(file)
    });
    // A test that failed leaves nothing behind.
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A directory, a process group, and names that no other test program uses.
#[derive(Debug)]
pub struct Lab {
    dir: PathBuf,
    /// Held for its standard input: the janitor starts when that closes.
    janitor: Child,
    counter: AtomicU32,
}

impl Lab {
    fn open() -> Self {
        let dir = env::temp_dir().join(format!("domstats-{}", process::id()));
        // A process of this number that died long ago may have left one.
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).expect("the directory for temporary files must be writable");
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(dir.join("taps"), "").unwrap();
        fs::write(dir.join("cgroups"), "").unwrap();
        let janitor = Command::new(tool("sh"))
            .args(["-c", JANITOR, "janitor"])
            .arg(&dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        Self { dir, janitor, counter: AtomicU32::new(0) }
    }

    /// Returns the path of a file in the lab.
    #[must_use]
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.join(name)
    }

    /// Makes a directory in the lab that the user `nobody` owns.
    #[must_use]
    pub fn directory_of_nobody(&self, name: &str) -> PathBuf {
        let dir = self.path(name);
        fs::create_dir_all(&dir).unwrap();
        chown(&dir, Some(NOBODY), Some(NOBODY)).expect("these tests must run as root");
        dir
    }

    /// Returns a number that this test program uses once.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.counter.fetch_add(1, Ordering::Relaxed)
    }

    /// Returns a domain's name that no other test uses. All names of a label sort together.
    #[must_use]
    pub fn name(&self, label: &str) -> String {
        format!("{label}-{}-{:03}", process::id(), self.number())
    }

    /// Returns the name of a network device that no other test uses.
    #[must_use]
    pub fn tap_name(&self) -> String {
        format!("d{:x}t{}", process::id(), self.number())
    }

    /// Makes taps that the user `nobody` may open, and sends frames from their guests' side: what
    /// was sent and what was received are different numbers. The janitor removes them.
    #[must_use]
    pub fn taps_of_nobody(&self, count: usize) -> Vec<String> {
        use std::io::Write;
        let names: Vec<_> = (0..count).map(|_| self.tap_name()).collect();
        let mut list = fs::File::options().append(true).open(self.path("taps")).unwrap();
        let owner = NOBODY.to_string();
        for name in &names {
            writeln!(list, "{name}").unwrap();
            self.run(
                self.command("ip")
                    .args(["tuntap", "add", "dev", name, "mode", "tap", "user", &owner]),
            );
            self.run(self.command("ip").args(["link", "set", "dev", name, "up"]));
        }
        self.run(self.command("python3").args(["-c", SEND_FRAMES]).args(&names));
        names
    }

    /// Returns a TCP port of 127.0.0.1 that was free a moment ago.
    #[must_use]
    pub fn port(&self) -> u16 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.local_addr().unwrap().port()
    }

    /// Returns a command for a program that dies with the lab.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        self.command_at(&tool(program))
    }

    /// Returns a command for the program at a path that dies with the lab.
    #[must_use]
    pub fn command_at(&self, program: &Path) -> Command {
        let group = i32::try_from(self.janitor.id()).unwrap();
        let mut command = Command::new(program);
        command.process_group(group).stdin(Stdio::null()).current_dir(&self.dir);
        command
    }

    /// Returns a command for a program that runs as the user `nobody`.
    #[must_use]
    pub fn command_as_nobody(&self, program: &Path) -> Command {
        let mut command = self.command("setpriv");
        command
            .args([
                format!("--reuid={NOBODY}"),
                format!("--regid={NOBODY}"),
                "--clear-groups".to_owned(),
            ])
            .arg(program);
        command
    }

    /// Runs a command to its end and returns its output. Fails the test if the command fails.
    pub fn run(&self, command: &mut Command) -> String {
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?} failed, {}: {stderr}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }
}
