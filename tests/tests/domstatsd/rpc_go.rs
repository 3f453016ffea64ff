//! Clients in Go, with both libraries: they print the same as with a real libvirtd.

use std::path::{Path, PathBuf};

use domstats_live::{alone, domstatsd::Domstatsd, lab::lab, libvirt::Libvirt};

/// Builds a program with the distribution's libraries.
fn build(name: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs").join(name);
    let program = lab().path(lab().name(name));
    let mut go = lab().command("go");
    go.envs([("GO111MODULE", "off"), ("GOPATH", "/usr/share/gocode")]);
    go.env("GOCACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("go"));
    lab().run(go.arg("build").arg("-o").arg(&program).arg(source));
    program
}

/// The output of a program, sorted, since libvirtd lists domains in no order, and without what
/// changes between two readings: CPU times, for which libvirtd reports its own for an inactive
/// domain.
fn printed(program: &Path, arguments: &[&str]) -> Vec<String> {
    let text = lab().run(lab().command_at(program).args(arguments));
    let moves =
        [" cpu.", ".time=", ".delay=", ".wait=", "balloon.rss=", " Cpu", ".Time=", "Balloon.Rss="];
    let stays = |line: &&str| !moves.iter().any(|word| line.contains(word));
    let mut lines: Vec<String> = text.lines().filter(stays).map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn go_clients_print_the_same() {
    alone!();
    let (by_protocol, by_library) = (build("go_libvirt.go"), build("libvirt_go.go"));
    let libvirt = Libvirt::start();
    let paused = libvirt.create("go", false);
    let _ = libvirt.define("go-off");
    let daemon = Domstatsd::start(&["-c", &libvirt.uri(), "--timeout", "30s"]);

    let sockets = [libvirt.socket(), daemon.socket.clone()].map(|path| path.display().to_string());
    let [real, ours] = [(&sockets[0], "qemu:///session"), (&sockets[1], "qemu:///system")]
        .map(|(socket, uri)| printed(&by_protocol, &[socket, uri]));
    assert_eq!(real, ours);
    for line in ["domains 2 2".to_owned(), format!("{} block.count=2", paused.name)] {
        assert!(ours.contains(&line), "{line} in {ours:?}");
    }

    let [real, ours] = [libvirt.uri(), daemon.uri()].map(|uri| printed(&by_library, &[&uri]));
    assert_eq!(real, ours);
    let count = format!("{} Vcpu.1.State=1", paused.name);
    assert!(ours.contains(&count), "{count} in {ours:?}");
}
