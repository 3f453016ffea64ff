//! The choice of the hypervisor.

#![allow(clippy::unwrap_used, reason = "a failed test")]

use std::{env, fs, path::PathBuf, process};

use crate::kit::{Finished, domstats, finish, shell};

#[test]
fn the_uri_comes_from_the_option_then_from_the_variables() {
    let names = |domstats: &str, libvirt: &str, option: &[&str]| {
        let mut command = domstats_list();
        command.env("DOMSTATS_DEFAULT_URI", domstats);
        command.env("LIBVIRT_DEFAULT_URI", libvirt);
        finish(command.args(option))
    };
    let [one, two, three] = [1, 2, 3].map(|count| format!("test:///default?domains={count}"));
    let count = |run: Finished| run.out.lines().count();
    assert_eq!(count(names(&one, &two, &["-c", &three])), 3);
    assert_eq!(count(names(&one, &two, &[])), 1);
    assert_eq!(count(names("", &two, &[])), 2);
    let foreign = names("", "vbox:///session", &[]);
    assert_eq!(foreign.code, Some(1));
    assert!(foreign.err.contains("LIBVIRT_DEFAULT_URI is 'vbox:///session'"), "{foreign:?}");
}

fn domstats_list() -> std::process::Command {
    let mut command = domstats();
    command.args(["list", "--name"]);
    command
}

/// A directory with `libvirt/libvirt.conf`.
struct Config(PathBuf);

impl Config {
    fn new(test: &str, text: &str) -> Self {
        let directory = env::temp_dir().join(format!("domstats-conf-{}-{test}", process::id()));
        fs::create_dir_all(directory.join("libvirt")).unwrap();
        fs::write(directory.join("libvirt/libvirt.conf"), text).unwrap();
        Self(directory)
    }

    /// Runs a shell command as a user other than root with this configuration.
    fn run(&self, line: &str) -> Finished {
        let mut command = shell(&format!("unshare --user bash -c {line:?}"));
        finish(command.env("XDG_CONFIG_HOME", &self.0))
    }
}

impl Drop for Config {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const CONF: &str = "# what an administrator wrote
uri_aliases = [
  'two=test:///default?domains=2',
  'three=test:///default?domains=3',
]
uri_default = 'two'
";

#[test]
fn libvirt_conf_has_the_last_word_and_names_uris() {
    let config = Config::new("user", CONF);
    let count = |line| {
        let run: Finished = config.run(line);
        assert_eq!(run.code, Some(0), "{line}: {run:?}");
        run.out.lines().count()
    };
    assert_eq!(count("domstats list --name"), 2);
    assert_eq!(count("domstats list --name -c three"), 3);
    assert_eq!(count("LIBVIRT_DEFAULT_URI=three domstats list --name"), 3);
    assert_eq!(count("domstats list --name -c test:///default?domains=5"), 5);
    let doctor = config.run("domstats doctor -c two");
    assert!(doctor.out.starts_with("test:///default?domains=2: 2 domains on "), "{doctor:?}");
    let all = config.run("domstats doctor");
    assert!(all.out.starts_with("test:///default?domains=2: 2 domains on "), "{all:?}");
    for uri in ["qemu:///system: ", "qemu:///session: ", "qemu+qmp:///system: "] {
        assert!(all.out.contains(&format!("\n{uri}")), "{uri} is not in {all:?}");
    }
}

#[test]
fn root_has_the_libvirt_conf_of_the_system() {
    let config = Config::new("root", CONF);
    let file = config.0.join("libvirt/libvirt.conf");
    let line = format!(
        "unshare --user --map-root-user --mount bash -c \
         'mount -t tmpfs none /etc/libvirt && cp {} /etc/libvirt && domstats list --name'",
        file.display()
    );
    let run = finish(shell(&line).env("XDG_CONFIG_HOME", "/nonexistent"));
    assert_eq!((run.code, run.out.lines().count()), (Some(0), 2), "{run:?}");
}

#[test]
fn a_mistake_in_libvirt_conf_is_reported_with_file_and_line() {
    let config = Config::new("wrong", "\nuri_default = qemu:///system\n");
    let run = config.run("domstats list");
    assert_eq!(run.code, Some(1), "{run:?}");
    let place = format!("{}/libvirt/libvirt.conf, line 2: ", config.0.display());
    assert!(run.err.starts_with(&format!("domstats: {place}")), "{run:?}");
    // A given URI does not need the file.
    assert_eq!(config.run("domstats list -c test:///default").code, Some(0));

    let config = Config::new("foreign", "uri_default = 'esx://host/'");
    let run = config.run("domstats list");
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.err.contains("libvirt.conf is 'esx://host/': no driver serves"), "{run:?}");
}

#[test]
fn without_a_hypervisor_the_error_lists_what_was_tried() {
    // Its own namespaces have no other process, so no QEMU, and no daemon's socket.
    let alone = |user: &str, command: &str| {
        finish(&mut shell(&format!(
            "unshare --user --map-root-user --pid --fork --mount-proc \
             bash -c 'mount -t tmpfs none /run && exec {user} {command}'"
        )))
    };
    for command in ["domstats", "domstats list", "domstats vm1"] {
        for user in ["", "unshare --user"] {
            let run = alone(user, command);
            assert_eq!((run.code, run.out.as_str()), (Some(1), ""), "{run:?}");
            assert!(run.err.contains("no hypervisor found: tried qemu:///system ("), "{run:?}");
            assert!(run.err.contains(", qemu+qmp:///system (no QEMU process"), "{run:?}");
            assert!(run.err.contains("`domstats -c test:///default`"), "{run:?}");
            // Root has no session daemon.
            assert_eq!(run.err.contains("qemu:///session ("), !user.is_empty(), "{run:?}");
        }
    }
}
