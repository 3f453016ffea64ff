//! The life of a client of libvirt's protocol: how it connects, what it receives, how it ends.

use std::{
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::Path,
    process::{Output, Stdio},
    thread,
    time::Duration,
};

use domstats_live::{
    alone,
    domstatsd::{Domstatsd, program},
    fake_daemon::procedure::{LIST, SUPPORTS_FEATURE, TYPE},
    lab::{NOBODY, lab},
    libvirt::{Libvirt, virsh},
    patience::{PATIENCE, Stopwatch, wait_until},
    process,
    rpc_client::{Heard, RpcClient, keepalive},
    tools::{python_with_libvirt, tool},
    wire::{Bytes, KEEPALIVE, PING, PONG},
};

fn clients(daemon: &Domstatsd) -> usize {
    let metrics = daemon.http().get("/metrics").text();
    let line = metrics.lines().find_map(|line| line.strip_prefix("domstatsd_rpc_clients "));
    line.unwrap().parse().unwrap()
}

fn said(output: &Output) -> (bool, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn dead_clients_are_disconnected_and_living_ones_stay() {
    alone!();
    let lines = "[rpc]\nkeepalive = \"300ms\"\n";
    let daemon = Domstatsd::start_with(&["-c", "test:///default"], lines);
    let mut dead = RpcClient::connect(&daemon.socket).opened();
    let mut quiet = RpcClient::connect(&daemon.socket).opened();
    let negotiate = |client: &mut RpcClient| {
        assert_eq!(client.call(SUPPORTS_FEATURE, Bytes::default().u32(10)).payload, [0, 0, 0, 1]);
    };
    // virsh answers pings by itself, unless it is stopped.
    let waits = |uri: &str| {
        let mut virsh = virsh(uri, &["event", "--event", "lifecycle", "--loop"]);
        virsh.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let (mut stopped, mut goes_on) = (waits(&daemon.uri()), waits(&daemon.uri()));
    wait_until(PATIENCE, "virsh connects", || clients(&daemon) == 4);
    process::freeze(stopped.id());
    negotiate(&mut dead);
    let stopwatch = Stopwatch::start();
    let mut pings = 0;
    while let Heard::Packet(packet) = dead.hear(PATIENCE) {
        assert_eq!((packet.program, packet.procedure, packet.kind), (KEEPALIVE, PING, 2));
        pings += 1;
    }
    assert_eq!(pings, 5);
    stopwatch.assert_within(Duration::from_secs(4));
    wait_until(PATIENCE, "the virsh that is stopped is let go", || clients(&daemon) == 2);
    let mut alive = RpcClient::connect(&daemon.socket).opened();
    negotiate(&mut alive);
    for _ in 0..10 {
        match alive.hear(PATIENCE) {
            Heard::Packet(packet) => assert_eq!(packet.program, KEEPALIVE),
            other => panic!("{other:?} in place of a ping"),
        }
        alive.send(&keepalive(PONG).encode()).unwrap();
    }
    assert_eq!(quiet.hear(Duration::from_millis(10)), Heard::Nothing, "it did not ask for pings");
    assert_eq!(quiet.call(TYPE, Bytes::default()).status, 0);
    assert_eq!(clients(&daemon), 3);
    assert!(goes_on.try_wait().unwrap().is_none());
    for virsh in [&mut stopped, &mut goes_on] {
        virsh.kill().unwrap();
        virsh.wait().unwrap();
    }
}

const EVENTS: &str = r#"
import libvirt, sys, threading, time
libvirt.registerErrorHandler(lambda *_: None, None)
libvirt.virEventRegisterDefaultImpl()
def run():
    while True:
        libvirt.virEventRunDefaultImpl()
threading.Thread(target=run, daemon=True).start()
conn = libvirt.openReadOnly(sys.argv[1])
conn.setKeepAlive(1, 3)
conn.registerCloseCallback(lambda *_: None, None)
def seen(*_):
    pass
numbers = [conn.domainEventRegisterAny(None, event, seen, None)
           for event in range(27)]
print(len(set(numbers)), [event for event in numbers if event < 0])
domain = conn.listAllDomains()[0]
one = conn.domainEventRegisterAny(domain, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, seen, None)
conn.domainEventRegister(seen, None)
conn.domainEventDeregister(seen)
conn.domainEventDeregisterAny(one)
try:
    print(conn.domainEventDeregisterAny(one))
except libvirt.libvirtError as error:
    print(error.get_error_code(), error.get_error_domain())
for number in numbers:
    conn.domainEventDeregisterAny(number)
time.sleep(2.5)
print(conn.isAlive(), conn.getType(), len(conn.getAllDomainStats()))
conn.unregisterCloseCallback()
print(conn.close())
"#;

#[test]
fn events_are_accepted_as_by_libvirtd() {
    alone!();
    let libvirt = Libvirt::start();
    let _off = libvirt.define("events");
    let daemon = Domstatsd::start(&["-c", &libvirt.uri()]);
    let [real, ours] = [libvirt.uri(), daemon.uri()].map(|uri| {
        let mut python = lab().command_at(python_with_libvirt());
        lab().run(python.args(["-c", EVENTS, &uri]))
    });
    assert_eq!(ours, real);
    for arguments in [
        &["event", "--event", "lifecycle", "--timeout", "1"][..],
        &["event", "--all", "--timeout", "1"],
        &["event", "--all", "--loop", "--timeout", "1", "--timestamp"],
        &["event", "--event", "no-such-event", "--timeout", "1"],
    ] {
        let [real, ours] = [libvirt.uri(), daemon.uri()]
            .map(|uri| said(&virsh(&uri, arguments).output().unwrap()));
        assert_eq!(ours, real, "{arguments:?}");
    }
}

#[test]
fn a_client_stays_when_the_configuration_is_read_again() {
    alone!();
    let daemon = Domstatsd::start(&[]);
    let conf = fs::read_to_string(&daemon.conf).unwrap();
    let write = |lines: &str| {
        fs::write(&daemon.conf, format!("{lines}\n{conf}")).unwrap();
        process::hang_up(daemon.pid());
    };
    let domains = |client: &mut RpcClient| {
        let list = client.call(LIST, Bytes::default().u32(1).u32(0));
        (list.status, u32::from_be_bytes(*list.payload.first_chunk().unwrap()))
    };
    let mut client = RpcClient::connect(&daemon.socket).opened();
    for lines in ["test:///default?domains=7", "test:///default?domains=9"] {
        write(&format!("connect = [\"{lines}\"]"));
        let expected = lines.rsplit('=').next().unwrap().parse().unwrap();
        wait_until(PATIENCE, "the client hears of the new domains", || {
            domains(&mut client) == (0, expected)
        });
    }
    // An invalid configuration changes nothing, and neither do settings that need a restart.
    for lines in
        ["connect = 7", "connect = [\"test:///default?domains=9\"]\n[rpc]\nmax_clients = 1"]
    {
        write(lines);
        thread::sleep(Duration::from_millis(200));
        assert_eq!(domains(&mut client), (0, 9));
        assert_eq!(domains(&mut RpcClient::connect(&daemon.socket).opened()), (0, 9));
    }
    assert!(daemon.stop());
    assert_eq!(client.hear(PATIENCE), Heard::End);
}

/// virsh's output as an unprivileged user.
fn as_nobody(uri: &str) -> (bool, String, String) {
    let mut command = lab().command_as_nobody(&tool("virsh"));
    command.env("LC_ALL", "C").env("HOME", "/nonexistent").args(["-c", uri, "list", "--name"]);
    said(&command.output().unwrap())
}

#[test]
fn the_socket_is_for_its_group() {
    alone!();
    let rights = |path: &Path| {
        let found = fs::metadata(path).unwrap();
        assert!(found.file_type().is_socket());
        (found.mode() & 0o7777, found.gid())
    };
    let daemon = Domstatsd::start(&["-c", "test:///default"]);
    assert_eq!(rights(&daemon.socket), (0o660, 0));
    let (ok, _, error) = as_nobody(&daemon.uri());
    assert!(!ok && error.contains("Permission denied"), "{error}");
    for group in ["nogroup", "65534"] {
        let lines = format!("[rpc]\ngroup = \"{group}\"\n");
        let daemon = Domstatsd::start_with(&["-c", "test:///default"], &lines);
        assert_eq!(rights(&daemon.socket), (0o660, NOBODY));
        assert_eq!(as_nobody(&daemon.uri()), (true, "vm1\nvm2\nvm3\n\n".into(), String::new()));
    }
}

#[test]
fn a_served_socket_is_kept_and_a_stale_one_is_replaced() {
    alone!();
    let daemon = Domstatsd::start(&["-c", "test:///default"]);
    let socket = daemon.socket.clone();
    let mut client = RpcClient::connect(&socket).opened();
    let start = || {
        let mut command = lab().command_at(program());
        let http = format!("127.0.0.1:{}", lab().port());
        command.args(["-c", "test:///default", "--http", &http, "--rpc-socket"]).arg(&socket);
        said(&command.output().unwrap())
    };
    // Even while it does not answer.
    for is_stopped in [false, true] {
        if is_stopped {
            process::freeze(daemon.pid());
        }
        let (ok, _, error) = start();
        let expected = format!("cannot serve the socket {}: another daemon", socket.display());
        assert!(!ok && error.contains(&expected), "{error}");
    }
    process::thaw(daemon.pid());
    assert_eq!(client.call(TYPE, Bytes::default()).status, 0);
    assert_eq!(RpcClient::connect(&socket).opened().call(TYPE, Bytes::default()).status, 0);
    // It is killed: its socket stays behind.
    drop(daemon);
    assert!(socket.exists());
    let path = socket.display().to_string();
    let next = Domstatsd::start(&["-c", "test:///default", "--rpc-socket", &path]);
    assert_eq!(RpcClient::connect(&socket).opened().call(TYPE, Bytes::default()).status, 0);
    assert!(next.stop() && !socket.exists());
    // Anything else with that name stays.
    fs::write(&socket, "mine").unwrap();
    let (ok, _, error) = start();
    assert!(!ok && error.contains("there is something else of that name"), "{error}");
    assert_eq!(fs::read_to_string(&socket).unwrap(), "mine");
}
