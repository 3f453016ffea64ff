//! Runs tests of this program with the libvirt and virsh of newer Debian releases.

use domstats_live::{
    again_in_an_older_release, again_in_newer_releases, alone,
    domstatsd::Domstatsd,
    libvirt::{Libvirt, virsh},
};

again_in_newer_releases! {
    rpc_clients::virsh_prints_the_same,
}

again_in_an_older_release! {
    rpc_clients::virsh_prints_the_same,
}

/// Procedures that libvirt got since the release that this daemon knows best.
#[test]
fn changing_procedures_of_newer_libvirts_are_refused() {
    alone!(in "sid");
    let libvirt = Libvirt::start();
    let guest = libvirt.create("changes", false);
    let daemon = Domstatsd::start(&["-c", &libvirt.uri(), "--timeout", "5s"]);
    for (arguments, function) in [
        (&["autostart", &guest.name, "--once"][..], "virDomainSetAutostartOnce"),
        (&["domdisplay-reload", &guest.name], "virDomainGraphicsReload"),
        (
            &["domthrottlegroupset", &guest.name, "slow", "--total-bytes-sec", "1"],
            "virDomainSetThrottleGroup",
        ),
        (&["domthrottlegroupdel", &guest.name, "slow"], "virDomainDelThrottleGroup"),
    ] {
        let output = virsh(&daemon.uri(), arguments).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        let expected = format!("operation forbidden: read only access prevents {function}");
        assert!(!output.status.success() && error.contains(&expected), "{arguments:?}: {error}");
    }
}
