//! URIs and the addresses they resolve to.

#![allow(clippy::unwrap_used, reason = "a failed test")]

use std::{
    env, fs,
    os::unix::fs::symlink,
    path::PathBuf,
    process::{self, Command},
    sync::atomic::{AtomicU32, Ordering},
};

use proptest::prelude::*;

use super::*;
use crate::model::error::ErrorKind;

fn options() -> ConnectOptions {
    ConnectOptions::new().runtime_dir("/r")
}

fn address_of_user(uri: &str) -> Result<Address> {
    Address::seen_by(false, &uri.parse()?, &options())
}

fn arguments(uri: &str) -> Vec<String> {
    match address_of_user(uri).unwrap().transport {
        Transport::Program { arguments, .. } => {
            arguments.iter().map(|word| word.to_str().unwrap().to_owned()).collect()
        }
        other => panic!("{uri}: {other:?}"),
    }
}

/// Returns a transport on one line.
fn line(transport: &Transport) -> String {
    match transport {
        Transport::Unix { sockets } => {
            let sockets: Vec<_> = sockets.iter().map(|path| path.to_str().unwrap()).collect();
            format!("unix {}", sockets.join(" "))
        }
        Transport::Tcp { host, port } => format!("tcp {host} {port}"),
        Transport::Tls { host, port, verify, .. } => {
            format!("tls {host} {port}{}", if *verify { "" } else { " unverified" })
        }
        Transport::Program { program, arguments } => {
            format!("{} with {} arguments", program.to_str().unwrap(), arguments.len())
        }
    }
}

/// Returns a new directory.
fn directory() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let directory = env::temp_dir().join(format!("domstats-address-{}-{number}", process::id()));
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    directory
}

// Every name is the one that virsh 9.0 sent to a recording server, reached by socket=, command= or
// tcp. Two names are spelled differently from virsh's: it does not encode the & in a parameter's
// name, so that the daemon reads a different name.
#[test]
fn the_daemon_opens_the_rest_of_the_uri() {
    for (uri, name) in [
        ("qemu:///system", "qemu:///system"),
        ("qemu+unix:///system?socket=/s", "qemu:///system"),
        ("QEMU:///system", "QEMU:///system"),
        ("QEMU+SSH://h/system", "QEMU:///system"),
        ("qemu+ssh://u@h:2222/system?keyfile=/k&no_tty=1", "qemu:///system"),
        ("qemu+ssh://[::1]/system?foo=it%27s", "qemu:///system?foo=it%27s"),
        ("xen+ssh://h", "xen://"),
        ("xen", "xen:///system"),
        ("xen://", "xen:///system"),
        ("xen:///", "xen:///"),
        ("test+unix:///default", "test:///default"),
        ("remote:///system", ""),
        ("remote+unix:///?foo=1", ""),
        ("REMOTE+unix:///?foo=1", "REMOTE:///?foo=1"),
        ("qemu:///?name=", ""),
        ("qemu:///system?a=1&name&B=2", ""),
        ("qemu:///a%3Fb?NAME=lxc:///#f", "lxc:///"),
        ("qemu:///session?foo=b%20r&Socket=/s", "qemu:///session?foo=b%20r"),
        ("qemu:///system?A=1&a=2&&flag&mode=auto", "qemu:///system?A=1&a=2&flag="),
        ("qemu:///system?=x&y=1#fr%20ag", "qemu:///system?y=1#fr%20ag"),
        ("qemu:///system?socket=/s#", "qemu:///system#"),
        ("qemu:///s%c3%a9%0a", "qemu:///s%C3%A9%0A"),
        (
            "qemu:///s-_.~!*'()ion$,:@&=+;%2f%3b%3f%25%22%5b%7e",
            "qemu:///s-_.~!*'()ion$,%3A@&=+;/;%3F%25%22%5B~",
        ),
        (
            "qemu:///?x=/a-b_c.d~e!*'()%22+%2b$,:@&n%26=%c3%a9",
            "qemu:///?x=%2Fa-b_c.d~e%21%2A%27%28%29%22%2B%2B%24%2C%3A%40&n%26=%C3%A9",
        ),
        (
            "qemu+ssh://h/s?auth=sasl&authfile=/a&command=c&keyfile=k&known_hosts=f\
             &known_hosts_verify=auto&mode=auto&netcat=nc&no_sanity=1&no_tty=1&no_verify=1\
             &pkipath=/p&proxy=auto&socket=/s&sshauth=agent&tls_priority=&z=1",
            "qemu:///s?z=1",
        ),
    ] {
        assert_eq!(address_of_user(uri).unwrap().name, name, "{uri}");
    }
}

// What virsh 9.0 does, judging by its access() and connect() calls as root and as the user nobody.
// It tries only the system's read-only socket; the read-write one is for systems that lack it.
#[test]
fn sockets_are_looked_up_where_libvirt_puts_them() {
    let system = "/var/run/libvirt/virtqemud-sock-ro /var/run/libvirt/virtqemud-sock \
                  /var/run/libvirt/libvirt-sock-ro /var/run/libvirt/libvirt-sock";
    let session = "/r/libvirt/virtqemud-sock /r/libvirt/libvirt-sock";
    for (uri, root, user) in [
        ("qemu:///system", system, system),
        ("qemu+unix:///system?mode=auto", system, system),
        ("qemu:///", system, system),
        ("qemu:///session", system, session),
        ("qemu:///session/", system, system),
        (
            "qemu:///session?mode=direct",
            "/var/run/libvirt/virtqemud-sock-ro /var/run/libvirt/virtqemud-sock",
            "/r/libvirt/virtqemud-sock",
        ),
        (
            "qemu:///session?MODE=legacy",
            "/var/run/libvirt/libvirt-sock-ro /var/run/libvirt/libvirt-sock",
            "/r/libvirt/libvirt-sock",
        ),
        (
            "test+unix:///default?mode=direct",
            "/var/run/libvirt/virttestd-sock-ro /var/run/libvirt/virttestd-sock",
            "/r/libvirt/virttestd-sock",
        ),
        (
            "QEMU:///system?mode=direct",
            "/var/run/libvirt/virtQEMUd-sock-ro /var/run/libvirt/virtQEMUd-sock",
            "/var/run/libvirt/virtQEMUd-sock-ro /var/run/libvirt/virtQEMUd-sock",
        ),
        ("qemu:///session?socket=/a&socket=/b", "/b", "/b"),
        ("vbox+unix:///system?mode=direct&Socket=/a%20b", "/a b", "/a b"),
    ] {
        for (is_root, sockets) in [(true, root), (false, user)] {
            let address = Address::seen_by(is_root, &uri.parse().unwrap(), &options()).unwrap();
            assert_eq!(line(&address.transport), format!("unix {sockets}"), "{uri}, {is_root}");
        }
    }
}

// Where virsh 9.0 connected.
#[test]
fn the_transport_and_the_host_are_taken_from_the_uri() {
    for (uri, transport) in [
        ("qemu://localhost/system", "tls localhost 16514"),
        ("qemu+tls:///system", "tls localhost 16514"),
        ("qemu+TLS://h:1234/system?no_verify=1", "tls h 1234 unverified"),
        ("qemu+tls://h/?no_verify=0&no_sanity=1&tls_priority=", "tls h 16514"),
        ("qemu+tcp://u@127.0.0.1/system", "tcp 127.0.0.1 16509"),
        ("qemu+tcp:///system", "tcp localhost 16509"),
        ("qemu+tcp://[::1]:16510/system", "tcp ::1 16510"),
        ("qemu+tcp://[fe80::1%25lo]/system", "tcp fe80::1%lo 16509"),
        ("qemu+ext:///system?command=/bin/to", "/bin/to with 0 arguments"),
        ("qemu+ssh://h/system", "ssh with 6 arguments"),
        ("qemu+ssh://h/system?command=/bin/to", "/bin/to with 6 arguments"),
    ] {
        assert_eq!(line(&address_of_user(uri).unwrap().transport), transport, "{uri}");
    }
    let address = address_of_user("qemu+tcp://a%40b@h/system").unwrap();
    assert_eq!((address.user.as_deref(), address.host.as_str()), (Some("a@b"), "h"));
    assert_eq!(address_of_user("qemu:///system").unwrap().host, "localhost");
}

// The arguments that virsh 9.0 passed to a stand-in for ssh; `root` in `-l root` is the user that
// it sent to a real sshd when it spoke ssh itself.
#[test]
fn ssh_gets_the_arguments_that_libvirt_passes() {
    for (uri, expected) in [
        ("qemu+ssh://h/system", "-T -e none -- h"),
        ("qemu+ssh:///system", "-T -e none -- localhost"),
        ("qemu+ssh://[::1]/system?no_tty=0&no_verify=0", "-T -e none -- ::1"),
        (
            "qemu+ssh://u@h:2222/system?keyfile=/k&no_tty=1&no_verify=1",
            "-p 2222 -l u -i /k -T -e none -o BatchMode=yes -o StrictHostKeyChecking=no -- h",
        ),
        ("qemu+ssh://-oX@-oY/system?keyfile=-oZ", "-l -oX -i -oZ -T -e none -- -oY"),
        ("qemu+libssh://h/system?sshauth=agent", "-l root -T -e none -- h"),
        (
            "qemu+libssh2://u@h/system?known_hosts=/f&known_hosts_verify=ignore",
            "-l u -T -e none -o StrictHostKeyChecking=no -o UserKnownHostsFile=\"/f\" -- h",
        ),
    ] {
        let mut words = arguments(uri);
        assert!(words.pop().unwrap().starts_with("sh -c '"), "{uri}");
        assert_eq!(words.join(" "), expected, "{uri}");
    }
}

/// Runs the last argument as sshd would, on a host that has these programs. Each prints its name
/// and its arguments, then its input; the text after a program's name is its output for `-h`.
fn run_remotely(uri: &str, programs: &[&str]) -> String {
    let host = directory();
    for program in programs {
        let (name, usage) = program.split_once(' ').unwrap_or((program, ""));
        let script = format!(
            "#!/bin/sh\nif [ \"$1\" = -h ]; then echo '{usage}' >&2; exit 1; fi\n\
             printf '%s' '{name}'; printf '|%s' \"$@\"; cat\n"
        );
        let file = host.join(name);
        // Written by another process: if this one opened the file for writing, a child that another
        // test starts at that moment could inherit it, and the file could not be executed.
        let write = "printf %s \"$1\" > \"$2\" && chmod +x \"$2\"";
        let mut shell = Command::new("/bin/sh");
        let written = shell.args(["-c", write, "sh", &script]).arg(file).status().unwrap();
        assert!(written.success());
    }
    for tool in ["sh", "grep", "cat"] {
        let found = ["/bin", "/usr/bin"].map(|dir| PathBuf::from(dir).join(tool));
        let found = found.iter().find(|path| path.exists()).unwrap();
        symlink(found, host.join(tool)).unwrap();
    }
    let command = arguments(uri).pop().unwrap();
    // Only the program that connects to the daemon may read the first input.
    let script = format!("printf '|input' | {command}");
    let output = Command::new("/bin/sh").args(["-c", &script]).env("PATH", &host).output().unwrap();
    fs::remove_dir_all(host).unwrap();
    String::from_utf8(output.stdout).unwrap()
}

// Which program virsh 9.0 would run, judging by the shell command that it passed to a stand-in for
// ssh. It treats netcat= with /session as an error.
#[test]
fn the_remote_command_connects_to_the_daemon() {
    let both = ["virt-ssh-helper", "nc -q secs"];
    let ro = "/var/run/libvirt/libvirt-sock-ro";
    for (uri, programs, expected) in [
        ("qemu+ssh://h/system", &both[..], "virt-ssh-helper|-r|qemu:///system|input".to_owned()),
        ("qemu+ssh://h/system", &both[1..], format!("nc|-q0|-U|{ro}|input")),
        ("qemu+ssh://h/system", &["nc -U"], format!("nc|-U|{ro}|input")),
        ("qemu+ssh://h/system?proxy=native", &both[1..], String::new()),
        ("qemu+ssh://h/system?proxy=netcat", &both[..], format!("nc|-q0|-U|{ro}|input")),
        ("qemu+ssh://h/system?netcat=other", &["nc", "other"], format!("other|-U|{ro}|input")),
        ("qemu+ssh://h/system?socket=/s", &both[..], "nc|-q0|-U|/s|input".to_owned()),
        (
            "qemu+ssh://h/system?socket=/s&proxy=auto",
            &both[..],
            "virt-ssh-helper|-r|qemu:///system|input".to_owned(),
        ),
        ("qemu+ssh://h/session", &both[..], "virt-ssh-helper|-r|qemu:///session|input".to_owned()),
        ("qemu+ssh://h/session", &both[1..], String::new()),
        (
            "qemu+ssh://h/session?proxy=netcat",
            &both[1..],
            "nc|-q0|-U|/r/libvirt/libvirt-sock|input".to_owned(),
        ),
        ("remote+ssh://h/", &both[..], "virt-ssh-helper|-r||input".to_owned()),
        (
            "qemu+libssh://h/system?name=lxc:///",
            &both[..],
            "virt-ssh-helper|-r|lxc:///|input".to_owned(),
        ),
    ] {
        assert_eq!(run_remotely(uri, programs), expected, "{uri} with {programs:?}");
    }
}

#[test]
fn the_remote_shell_interprets_nothing_in_a_uri() {
    for text in
        ["a b", "it's", "$(touch x)", "`id`", "\"", "\\", "'; id; '", "-x", "a\nb", "*", "é!"]
    {
        let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let by_socket = format!("qemu+ssh://h/system?socket=/{encoded}");
        assert_eq!(run_remotely(&by_socket, &["nc"]), format!("nc|-U|/{text}|input"));
        let by_name = format!("qemu+ssh://h/system?name={encoded}");
        let expected = format!("virt-ssh-helper|-r|{text}|input");
        assert_eq!(run_remotely(&by_name, &["virt-ssh-helper"]), expected);
    }
    let spaced = run_remotely("qemu+ssh://h/system?netcat=no%20such;id", &["nc"]);
    assert_eq!(spaced, "");
}

#[test]
fn credentials_come_from_the_named_file_or_the_first_that_exists() {
    let config = directory();
    let user = options().config_dir(&config);
    let file = |uri: &str, options: &ConnectOptions| {
        Address::seen_by(false, &uri.parse().unwrap(), options).unwrap().auth_file
    };
    let of_system = PathBuf::from("/etc/libvirt/auth.conf");
    let of_system = of_system.exists().then_some(of_system);
    assert_eq!(file("qemu:///system", &user), of_system);
    fs::create_dir(config.join("libvirt")).unwrap();
    let own = config.join("libvirt/auth.conf");
    fs::write(&own, "").unwrap();
    assert_eq!(file("qemu:///system", &user), Some(own));
    let named = user.auth_file("/nosuch/file");
    assert_eq!(file("qemu:///system", &named), Some("/nosuch/file".into()));
    assert_eq!(file("qemu:///system?AuthFile=/f", &named), Some("/f".into()));
    fs::remove_dir_all(config).unwrap();
}

// Which files virsh 9.0 looked for as the user nobody. As root, it ignores the home directory.
#[test]
fn certificates_come_from_the_home_directory_then_from_the_system() {
    let home = directory();
    let own = home.join(".pki/libvirt");
    fs::create_dir_all(&own).unwrap();
    let options = options().home(&home);
    let pki = |root, uri: &str| match Address::seen_by(root, &uri.parse().unwrap(), &options)
        .unwrap()
        .transport
    {
        Transport::Tls { pki, .. } => pki,
        other => panic!("{other:?}"),
    };
    let of_system = pki(true, "qemu+tls://h/");
    assert_eq!(of_system.ca, PathBuf::from("/etc/pki/CA/cacert.pem"));
    assert_eq!(pki(false, "qemu+tls://h/"), of_system);
    let write = |name: &str| fs::write(own.join(name), "").unwrap();
    // Half a pair counts as none.
    write("clientcert.pem");
    assert_eq!(pki(false, "qemu+tls://h/"), of_system);
    write("cacert.pem");
    let with_ca = Pki { ca: own.join("cacert.pem"), ..of_system.clone() };
    assert_eq!(pki(false, "qemu+tls://h/"), with_ca);
    write("clientkey.pem");
    write("cacrl.pem");
    let complete = Pki {
        ca: own.join("cacert.pem"),
        crl: Some(own.join("cacrl.pem")),
        client: Some((own.join("clientcert.pem"), own.join("clientkey.pem"))),
    };
    assert_eq!(pki(false, "qemu+tls://h/"), complete);
    assert_eq!(pki(true, "qemu+tls://h/"), of_system);
    let named = format!("qemu+tls://h/?pkipath={}", own.display());
    assert_eq!(pki(true, &named), complete);
    let empty = Pki { ca: "/nosuch/cacert.pem".into(), crl: None, client: None };
    assert_eq!(pki(false, "qemu+tls://h/?pkipath=/nosuch"), empty);
    fs::remove_dir_all(home).unwrap();
}

#[test]
fn auth_is_sasl_or_polkit() {
    let sasl = |mechanism: Option<&str>| Auth::Sasl { mechanism: mechanism.map(str::to_owned) };
    for (query, auth) in [
        ("", None),
        ("?auth=sasl", Some(sasl(None))),
        ("?AUTH=SASL.SCRAM-SHA-256", Some(sasl(Some("SCRAM-SHA-256")))),
        ("?auth=sasl.", Some(sasl(None))),
        ("?auth=Polkit", Some(Auth::Polkit)),
    ] {
        assert_eq!(address_of_user(&format!("qemu:///system{query}")).unwrap().auth, auth);
    }
}

// virsh 9.0 refuses all of these too, except tls_priority.
#[test]
fn invalid_uris_are_refused_with_a_reason() {
    for (uri, words) in [
        ("qemu+unix://h/system", "leave out the host"),
        ("qemu+ext:///system", "command=PROGRAM"),
        ("qemu+foo:///system", "unknown transport 'foo'"),
        ("qemu:///system?mode=DIRECT", "mode is 'DIRECT', use auto, direct or legacy"),
        ("qemu+ssh://h/system?mode=direct", "mode=direct does not work over ssh"),
        ("qemu+ssh://h/system?proxy=x", "proxy is 'x', use auto, native or netcat"),
        (
            "qemu+ssh://h/system?proxy=native&netcat=nc",
            "netcat cannot be combined with proxy=native",
        ),
        ("qemu+ssh://h/system?no_tty=", "no_tty must be 1 or 0"),
        ("qemu+tls://h/system?no_verify=yes", "no_verify must be 1 or 0"),
        ("qemu+tls://h/system?tls_priority=NORMAL", "tls_priority is for GnuTLS"),
        ("qemu+libssh://h/?known_hosts_verify=no", "use normal, auto or ignore"),
        ("qemu:///system?auth=none", "auth is 'none', use sasl"),
        ("qemu:///system?auth=polkit.x", "auth is 'polkit.x'"),
        ("qemu:///system?auth=", "auth is ''"),
    ] {
        let error = address_of_user(uri).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{uri}");
        assert_eq!(error.origin(), ErrorOrigin::Remote, "{uri}");
        assert!(error.to_string().starts_with(&format!("connection URI '{uri}': ")), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn schemes_of_daemons_are_recognized() {
    for scheme in ["qemu", "lxc+tls", "xen", "remote", "remote+ssh", "test+unix", "qemu+libssh2"] {
        assert!(serves(scheme), "{scheme}");
    }
    for scheme in ["test", "qemu+qmp", "openvz", "esx", "qemu+", "+ssh", "qemu+ssh+ssh", ""] {
        assert!(!serves(scheme), "{scheme}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_causes_a_panic(
        text in prop_oneof![
            "\\PC{0,40}",
            "(qemu|TEST|remote)(\\+(tls|unix|ssh|libssh|tcp|ext|x))?://[a@:%0-9/?&=#\\[\\]]{0,20}\
             (\\?((Name|mode|socket|proxy|auth|no_tty|netcat|a)=\\PC{0,4}&){0,3})?",
        ],
        root: bool,
    ) {
        if let Ok(uri) = text.parse() {
            let _ = Address::seen_by(root, &uri, &options());
        }
    }

    #[test]
    fn the_daemon_reads_the_same_path_and_parameters(
        path in "\\PC{0,8}",
        parameters in proptest::collection::vec(("x\\PC{0,4}", "\\PC{0,4}"), 0..3),
    ) {
        let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
        let mut text = format!("qemu:///{}?mode=auto", encode(&path));
        for (key, value) in &parameters {
            text += &format!("&{}={}", encode(key), encode(value));
        }
        let name: Uri = address_of_user(&text).unwrap().name.parse().unwrap();
        prop_assert_eq!(name.path, format!("/{path}"));
        prop_assert_eq!(name.query, parameters);
    }
}
