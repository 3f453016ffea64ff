//! The place where a test program's guests live; it vanishes with the program.
//!
//! Every process that the kit starts joins the process group of a janitor, a shell that waits for
//! the end of its standard input. The pipe closes when the test program ends, by returning, a panic
//! or `SIGKILL`; then the janitor kills the group and removes the directory.

use std::{
    env, fs, iter,
    net::TcpListener,
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
};

use crate::{
    alone::{PLACE, is_inside},
    tools::tool,
};

/// A user without privileges, and its group.
pub const NOBODY: u32 = 65534;

/// Waits, then cleans up from a session of its own, since it kills its first one. Processes that
/// leave the group, as libvirt's guests do, die with the namespaces of their test.
const JANITOR: &str = r#"
cat >/dev/null
exec setsid sh -c '
    kill -KILL "-$1"
    tac "$2/cgroups" | while read -r group; do
        # A process that was killed takes a moment to leave.
        for try in 1 2 3 4 5; do
            [ -d "$group" ] && ! find "$group" -depth -type d -exec rmdir {} + && sleep 0.1
        done
    done
    rm -rf "$2"
' cleanup $$ "$1" 2>/dev/null
"#;

/// Opens taps as a guest's QEMU does (`TUNSETIFF`, `IFF_TAP | IFF_NO_PI`), writes three frames and
/// reads one that the host sent.
const SEND_FRAMES: &str = r#"
import fcntl, os, socket, struct, sys, time
for name in sys.argv[1:]:
    tap = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tap, 0x400454CA, struct.pack("16sH", name.encode(), 0x1002))
    for _ in range(3):
        os.write(tap, b"\xff" * 12 + b"\x88\xb5" + bytes(46))
    frame = b"\xff" * 12 + b"\x88\xb6" + bytes(100)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as host:
        host.bind((name, 0))
        os.set_blocking(tap, False)
        # A device that was just opened takes a moment to take frames.
        for _ in range(500):
            host.send(frame)
            time.sleep(0.01)
            try:
                if os.read(tap, 2000) == frame:
                    break
            except BlockingIOError:
                pass
        else:
            sys.exit("the host's frames do not come through " + name)
    os.close(tap)
"#;

static LAB: LazyLock<Lab> = LazyLock::new(Lab::open);

/// Returns the lab of this test program.
pub fn lab() -> &'static Lab {
    &LAB
}

/// Lets one benchmark run at a time on this host, for as long as the guard lives.
pub fn benchmark() -> fs::File {
    let file = fs::File::create(env::temp_dir().join("domstats-bench.lock")).unwrap();
    file.lock().unwrap();
    file
}

/// Returns the common part of a lab's names: `1234x5` in `/tmp/domstats-1234/5`, `1234` outside of
/// namespaces, since processes in different namespaces may have the same numbers.
fn token(dir: &Path) -> String {
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let own = |name: String| name.strip_prefix("domstats-").map(str::to_owned);
    own(name(dir)).unwrap_or_else(|| {
        let outer = own(name(dir.parent().unwrap())).unwrap();
        format!("{outer}x{}", name(dir))
    })
}

/// A directory, a process group, and names that no other test program uses.
#[derive(Debug)]
pub struct Lab {
    dir: PathBuf,
    /// A part of names that no other test on this host uses.
    token: String,
    /// Held for its standard input: the janitor starts its work when that closes.
    janitor: Child,
    counter: AtomicU32,
}

impl Lab {
    fn open() -> Self {
        // A test in namespaces has a part of the outer lab, which is its own.
        let dir = env::var_os(PLACE).map_or_else(
            || {
                // A dead process may have had this number, and so may one in another namespace.
                let first = env::temp_dir().join(format!("domstats-{}", process::id()));
                let others = (2..).map(|number| format!("{}n{number}", first.display()).into());
                let mut dirs = iter::once(first.clone()).chain(others);
                dirs.find(|dir: &PathBuf| fs::create_dir(dir).is_ok() || !dir.exists()).unwrap()
            },
            PathBuf::from,
        );
        let token = token(&dir);
        fs::create_dir_all(&dir).expect("the directory for temporary files must be writable");
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        let janitor = Command::new(tool("sh"))
            .args(["-c", JANITOR, "janitor"])
            .arg(&dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        Self { dir, token, janitor, counter: AtomicU32::new(0) }
    }

    /// Returns the list of cgroups to remove. These belong to no namespace, so a test in namespaces
    /// uses the list of the outer lab, whose janitor outlives it.
    pub(crate) fn cgroups(&self) -> PathBuf {
        let outer = self.dir.parent().filter(|_| is_inside());
        outer.unwrap_or(&self.dir).join("cgroups")
    }

    /// Returns the path of a file in the lab.
    #[must_use]
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.join(name)
    }

    /// Creates a directory in the lab that the user `nobody` owns.
    #[must_use]
    pub fn directory_of_nobody(&self, name: &str) -> PathBuf {
        let dir = self.path(name);
        fs::create_dir_all(&dir).unwrap();
        chown(&dir, Some(NOBODY), Some(NOBODY)).expect("these tests must run as root");
        dir
    }

    /// Returns a number that this test program uses only once.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.counter.fetch_add(1, Ordering::Relaxed)
    }

    /// Returns a domain name that is unique in this lab. All names with one label sort together.
    #[must_use]
    pub fn name(&self, label: &str) -> String {
        format!("{label}-{:03}", self.number())
    }

    /// Returns a name that is unique on this host, for what belongs to no namespace.
    #[must_use]
    pub fn name_on_host(&self, label: &str) -> String {
        self.name(&format!("{label}-{}", self.token))
    }

    /// Returns a network device name that no other test uses.
    #[must_use]
    pub fn tap_name(&self) -> String {
        format!("d{:x}t{}", process::id(), self.number())
    }

    /// Creates taps that the user `nobody` may open, and sends frames from both sides: the numbers
    /// sent and received differ.
    #[must_use]
    pub fn taps_of_nobody(&self, count: usize) -> Vec<String> {
        let names: Vec<_> = (0..count).map(|_| self.tap_name()).collect();
        let owner = NOBODY.to_string();
        for name in &names {
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
