//! Roots of other Debian releases: a live test runs in them with that release's QEMU, libvirtd and
//! virsh, and with the programs of this tree.
//!
//! `scripts/roots` creates them, once; `scripts/test` starts it while everything is built.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{alone::run_in_place, command::built, tools::tool};

/// Tells the inner program in which release it runs.
pub const RELEASE: &str = "DOMSTATS_RELEASE";

/// Returns the release in whose root this program runs, if any.
#[must_use]
pub fn release() -> Option<String> {
    env::var(RELEASE).ok()
}

/// Returns the path of a release's root, and creates it if it does not exist.
///
/// # Panics
///
/// With the output of `scripts/roots`, if that failed.
#[must_use]
pub fn root(release: &str) -> PathBuf {
    let script = tree().join("scripts/roots");
    let mut command = Command::new(tool("sh"));
    command.arg(script).arg(release).stdin(Stdio::null());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "there is no root of {release}: {said}");
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
}

/// Runs a live test of this program, `module::name`, in a release's root, and fails if it fails.
/// The programs that it uses must be built before: there is no cargo in the root.
pub fn run(release: &str, test: &str) {
    let root = root(release);
    run_in_place(test, release, |place| enter(place, &root));
}

/// Returns a command that enters a root, and then runs the program that follows.
fn enter(place: &Path, root: &Path) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec![tool("sh").into()];
    words.extend(["-euc", ENTER, "enter"].map(OsString::from));
    words.extend([place, root].map(OsString::from));
    let seen = [&env::temp_dir(), &tree(), &built()];
    words.extend(seen.map(OsString::from));
    words
}

/// Makes a test for each newer release from each of these live tests: it runs there again.
#[macro_export]
macro_rules! again_in_newer_releases {
    ($($module:ident::$test:ident,)*) => {
        $crate::again_in_newer_releases! { @ [cfg(all())] trixie $($module $test)* }
        $crate::again_in_newer_releases! { @ [cfg(all())] sid $($module $test)* }
    };
    (@ $about:tt $release:ident $($module:ident $test:ident)*) => {
        mod $release {
            $(#[test]
            #$about
            fn $test() {
                let test = concat!(stringify!($module), "::", stringify!($test));
                $crate::roots::run(stringify!($release), test);
            })*
        }
    };
}

/// The same for Debian 11, with `scripts/test --all`.
#[macro_export]
macro_rules! again_in_an_older_release {
    ($($module:ident::$test:ident,)*) => {
        $crate::again_in_newer_releases! {
            @ [ignore = "on request: scripts/test --all"] bullseye $($module $test)*
        }
    };
}

fn tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// `$1` is the test's directory, `$2` the root; the next three are directories that are also
/// visible inside. Writes stay in memory: the root is shared by all tests.
const ENTER: &str = r#"
place=$1 root=$2 here=$PWD
mkdir "$place/root"
mount -t tmpfs tmpfs "$place/root"
cd "$place/root"
mkdir written work new
mount -t overlay overlay -o "lowerdir=$root,upperdir=$PWD/written,workdir=$PWD/work" new
for dir in /dev /proc /run /sys; do
    mount --rbind "$dir" "new$dir"
done
for dir in "$3" "$4" "$5"; do
    mkdir -p "new$dir"
    mount --bind "$dir" "new$dir"
done
echo 127.0.0.1 localhost >new/etc/hosts
mkdir new/old
cd new
pivot_root . old
umount --lazy /old
cd "$here"
shift 5
exec "$@"
"#;
