//! Invalid input from clients of libvirt's protocol: the daemon answers it as libvirtd does, or
//! closes that connection, and no other.

use std::{
    fs::File,
    io::IoSlice,
    os::{fd::AsFd, unix::net::UnixStream},
    path::Path,
    sync::LazyLock,
    time::Duration,
};

use domstats_live::{
    alone,
    domstatsd::Domstatsd,
    fake_daemon::procedure::{self, AUTH_LIST, CLOSE, LOOKUP_BY_NAME, OPEN, STATS, TYPE},
    lab::lab,
    libvirt::Libvirt,
    patience::{PATIENCE, wait_until},
    pki::Pki,
    process::held,
    random::Random,
    rpc_client::{Heard, RpcClient, call, keepalive},
    wire::{Bytes, KEEPALIVE, PING, PONG, Packet, kind},
};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

/// libvirtd, and the daemon that uses it, over both transports.
struct Both {
    libvirt: Libvirt,
    daemon: Domstatsd,
    pki: Pki,
    port: u16,
}

static BOTH: LazyLock<Both> = LazyLock::new(|| {
    let (libvirt, pki, port) = (Libvirt::start(), Pki::new(), lab().port());
    let lines = format!("[rpc]\npki = \"{}\"\n", pki.server.display());
    let (uri, address) = (libvirt.uri(), format!("127.0.0.1:{port}"));
    let daemon = Domstatsd::start_with(&["-c", &uri, "--rpc-tls", &address], &lines);
    Both { libvirt, daemon, pki, port }
});

/// What a client sends, and whether it has opened the hypervisor before.
struct Saying {
    what: String,
    bytes: Vec<u8>,
    is_open: bool,
}

fn said(what: &str, bytes: Vec<u8>) -> Saying {
    Saying { what: what.to_owned(), bytes, is_open: true }
}

fn args(words: &[u32]) -> Bytes {
    words.iter().fold(Bytes::default(), |bytes, word| bytes.u32(*word))
}

fn good() -> Packet {
    call(TYPE, 9, Bytes::default())
}

/// A correct call with another length word.
fn length(length: u32) -> Vec<u8> {
    let mut bytes = good().encode();
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    bytes
}

fn sayings() -> Vec<Saying> {
    let mut all = vec![said("a call", good().encode())];
    for number in [0, 3, 4, 27, 33_554_437, 1 << 31, u32::MAX] {
        all.push(said(&format!("length {number}"), length(number)));
    }
    all.push(said("HTTP", b"GET /metrics HTTP/1.1\r\nhost: here\r\n\r\n".to_vec()));
    all.push(said("QMP", b"{\"execute\": \"qmp_capabilities\"}\r\n".to_vec()));
    all.push(said("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".repeat(9)));
    // Not procedures: events, too large, negative.
    for number in [0, 107, 318, 444, 9999, i32::MAX as u32, 1 << 31, u32::MAX] {
        let packet = Packet { procedure: number, ..good() };
        all.push(said(&format!("procedure {number}"), packet.encode()));
    }
    for program in [0, 1, u32::MAX, 0x1234_5678, 0x0690_0690, KEEPALIVE] {
        let packet = Packet { program, ..good() };
        all.push(said(&format!("program {program:#x}"), packet.encode()));
    }
    for kind in [1, 2, 3, 5, 6, 7, u32::MAX] {
        let packet = Packet { kind, program: 0x1234_5678, ..good() };
        all.push(said(&format!("another program, kind {kind}"), packet.encode()));
    }
    for version in [0, 2, u32::MAX] {
        all.push(said(&format!("version {version}"), Packet { version, ..good() }.encode()));
    }
    for kind in [1, 2, 3, 5, 6, 7, u32::MAX] {
        all.push(said(&format!("kind {kind}"), Packet { kind, ..good() }.encode()));
    }
    for status in [1, 2, 3, u32::MAX] {
        all.push(said(&format!("status {status}"), Packet { status, ..good() }.encode()));
        let nowhere = Packet { status, procedure: 9999, ..good() };
        all.push(said(&format!("status {status} of no procedure"), nowhere.encode()));
    }
    for serial in [0, u32::MAX] {
        all.push(said(&format!("serial {serial}"), Packet { serial, ..good() }.encode()));
    }
    // Bytes after the arguments, and missing ones.
    for surplus in [1, 12, 13, 70_000] {
        let packet = Packet { payload: vec![b'x'; surplus], ..good() };
        all.push(said(&format!("{surplus} bytes too many"), packet.encode()));
    }
    for (number, payload) in [
        (procedure::STATE, args(&[0, 0])),
        (procedure::SUPPORTS_FEATURE, Bytes::default().raw(b"\0\0\0")),
        (LOOKUP_BY_NAME, Bytes::default()),
        (LOOKUP_BY_NAME, args(&[4_194_305, 0])),
        (LOOKUP_BY_NAME, args(&[u32::MAX, 0])),
        (LOOKUP_BY_NAME, Bytes::default().u32(5).raw(b"abcd")),
        (LOOKUP_BY_NAME, Bytes::default().u32(1).raw(b"aBCD")),
        (procedure::LOOKUP_BY_UUID, Bytes::default().raw(&[7; 15])),
        (STATS, args(&[16_385, 0, 0])),
        (STATS, args(&[u32::MAX, 0, 0])),
        (STATS, args(&[1, 0, 0])),
        (OPEN, args(&[1, u32::MAX])),
    ] {
        let what = format!("arguments of {number}: {payload:?}");
        all.push(said(&what, call(number, 9, payload).encode()));
    }
    // Before the hypervisor is open, and failed attempts to open it.
    let uri = |uri: &str| Bytes::default().some_string(uri).u32(0);
    for (number, payload) in [
        (TYPE, Bytes::default()),
        (9999, Bytes::default()),
        (33, Bytes::default().string("vm").raw(&[7; 20])),
        (procedure::SUPPORTS_FEATURE, args(&[9])),
        (procedure::SUPPORTS_FEATURE, args(&[10])),
        (OPEN, args(&[0, 0])),
        (CLOSE, Bytes::default()),
    ] {
        let bytes = call(number, 9, payload).encode();
        all.push(Saying { what: format!("{number} before open"), bytes, is_open: false });
    }
    all.push(said("a second open", call(OPEN, 9, uri("")).encode()));
    all.push(said("close", call(CLOSE, 9, Bytes::default()).encode()));
    // Keepalive packets.
    all.push(said("ping", keepalive(PING).encode()));
    all.push(said("pong", keepalive(PONG).encode()));
    all.push(said("neither", keepalive(3).encode()));
    for packet in [
        Packet { version: 2, ..keepalive(PING) },
        Packet { kind: kind::CALL, ..keepalive(PING) },
        Packet { status: 1, serial: 5, ..keepalive(PING) },
        Packet { payload: b"more".to_vec(), ..keepalive(PING) },
    ] {
        all.push(said(&format!("{packet:?}"), packet.encode()));
    }
    // File descriptors that are announced, and sent or not.
    let announced = |number: u32| Packet {
        kind: kind::CALL_WITH_FDS,
        payload: number.to_be_bytes().to_vec(),
        ..good()
    };
    for number in [0, 33, u32::MAX] {
        all.push(said(&format!("{number} descriptors"), announced(number).encode()));
    }
    let none = Packet { payload: Vec::new(), ..announced(0) };
    all.push(said("descriptors without a number", none.encode()));
    // Events that exist, that do not, and that were not requested.
    for event in [0, 26, 27, u32::MAX] {
        all.push(said(&format!("event {event} by 167"), call(167, 9, args(&[event])).encode()));
    }
    all.push(said("event 16 by 167", call(167, 9, args(&[16])).encode()));
    for event in [27, u32::MAX] {
        all.push(said(&format!("event {event} by 316"), call(316, 9, args(&[event, 0])).encode()));
    }
    for number in [105, 106, 360, 361] {
        all.push(said(&format!("only {number}"), call(number, 9, Bytes::default()).encode()));
    }
    all.push(said("no such callback", call(317, 9, args(&[5000])).encode()));
    all.push(said("no such event", call(168, 9, args(&[3])).encode()));
    all
}

/// Sends the same to two servers, and asserts that the replies are the same. On a busy machine a
/// reply takes longer, and so does the certainty that there is none.
#[track_caller]
fn assert_same(clients: [&dyn Fn() -> RpcClient; 2], saying: &Saying) {
    for silence in [300, 3_000, 30_000].map(Duration::from_millis) {
        let [real, ours] = clients.map(|client| conversation(client(), saying, silence));
        if ours == real {
            return;
        }
        assert!(silence < Duration::from_secs(30), "{}: {ours:?}, not {real:?}", saying.what);
    }
}

/// Sends it, then a valid call, and returns everything received. If nothing arrives for `silence`,
/// there is no reply.
fn conversation(mut client: RpcClient, saying: &Saying, silence: Duration) -> Vec<Heard> {
    const LAST: u32 = 77;
    if saying.is_open {
        client = client.opened();
    } else {
        client.authenticate();
    }
    let mut heard = Vec::new();
    // A client that was disconnected may already notice it here.
    let _ = client.send(&saying.bytes);
    // libvirtd works on calls concurrently: the expected reply comes before the other call is made.
    match client.hear(silence) {
        Heard::Nothing => {}
        other => heard.push(other),
    }
    let _ = client.send(&call(AUTH_LIST, LAST, Bytes::default()).encode());
    while heard.last() != Some(&Heard::End) {
        heard.push(client.hear(PATIENCE));
        match heard.last().unwrap() {
            Heard::Packet(packet) if packet.serial == LAST => break,
            Heard::Nothing => panic!("no answer and no end after {}", saying.what),
            _ => {}
        }
    }
    heard
}

#[test]
fn the_reply_is_libvirts_byte_for_byte() {
    alone!();
    let both = &*BOTH;
    let of_libvirt = || RpcClient::connect(&both.libvirt.socket());
    let of_ours = || RpcClient::connect(&both.daemon.socket);
    let mut bystander = of_ours().opened();
    for saying in sayings() {
        assert_same([&of_libvirt, &of_ours], &saying);
        assert_eq!(bystander.call(TYPE, Bytes::default()).status, 0, "{}", saying.what);
    }
}

#[test]
fn the_reply_is_the_same_over_tls() {
    alone!();
    let both = &*BOTH;
    let by_tls = || RpcClient::connect_tls(both.port, &both.pki.client).unwrap();
    let mut bystander = by_tls().opened();
    for saying in sayings() {
        assert_same([&|| RpcClient::connect(&both.daemon.socket), &by_tls], &saying);
        assert_eq!(bystander.call(TYPE, Bytes::default()).status, 0, "{}", saying.what);
    }
}

/// The QEMU program can make changes: it is refused as on a read-only connection.
#[test]
fn the_qemu_program_is_refused() {
    alone!();
    let both = &*BOTH;
    let domain = || Bytes::default().string("vm").raw(&[7; 16]).u32(1);
    for (number, payload) in [
        (1, domain().string("{}").u32(0)),
        (2, args(&[99, 0])),
        (3, domain().string("{}").u32(0).u32(0)),
        (4, args(&[0, 0, 0, 0])),
        (6, Bytes::default()),
        (7, domain().string("{}").u32(0).u32(0)),
        (8, Bytes::default()),
    ] {
        let packet = Packet { program: 0x2000_8087, ..call(number, 9, payload) };
        let saying = said(&format!("QEMU's {number}"), packet.encode());
        let of_libvirt = || RpcClient::connect(&both.libvirt.socket());
        assert_same([&of_libvirt, &|| RpcClient::connect(&both.daemon.socket)], &saying);
    }
}

/// Sends a packet followed by this many file descriptors, in the way of libvirt's client.
fn with_descriptors(socket: &Path, packet: &Packet, descriptors: usize) -> Heard {
    let stream = UnixStream::connect(socket).unwrap();
    let mut client = RpcClient::of(stream.try_clone().unwrap()).opened();
    client.send(&packet.encode()).unwrap();
    let file = File::open("/dev/null").unwrap();
    for _ in 0..descriptors {
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors = [file.as_fd()];
        assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
        sendmsg(&stream, &[IoSlice::new(&[0])], &mut control, SendFlags::empty()).unwrap();
    }
    let answer = client.hear(PATIENCE);
    let next = client.call(AUTH_LIST, Bytes::default());
    assert_eq!(next.status, 0);
    answer
}

#[test]
fn file_descriptors_are_ignored_and_closed() {
    alone!();
    let both = &*BOTH;
    let before = held(both.daemon.pid()).1;
    for number in [1_usize, 2, 32] {
        let payload = u32::try_from(number).unwrap().to_be_bytes().to_vec();
        let packet = Packet { kind: kind::CALL_WITH_FDS, payload, ..good() };
        let real = with_descriptors(&both.libvirt.socket(), &packet, number);
        let ours = with_descriptors(&both.daemon.socket, &packet, number);
        assert_eq!(ours, real, "{number}");
        assert!(matches!(ours, Heard::Packet(answer) if answer.status == 0));
    }
    // These were not announced; what they come with is not a packet.
    let stream = UnixStream::connect(&both.daemon.socket).unwrap();
    let file = File::open("/dev/null").unwrap();
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [file.as_fd()];
    assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
    sendmsg(&stream, &[IoSlice::new(&[0; 4])], &mut control, SendFlags::empty()).unwrap();
    assert_eq!(RpcClient::of(stream).hear(PATIENCE), Heard::End);
    wait_until(PATIENCE, "a descriptor that nobody announced is kept", || {
        held(both.daemon.pid()).1 <= before
    });
}

#[test]
fn random_bytes_end_their_own_connection_and_leave_nothing() {
    alone!();
    let daemon = Domstatsd::start(&["-c", "test:///default"]);
    let mut bystander = RpcClient::connect(&daemon.socket).opened();
    let mut random = Random::new(20);
    let mut say = |round: u32| {
        let mut client = RpcClient::connect(&daemon.socket);
        let mut bytes: Vec<u8> = (0..random.below(2000)).map(|_| random.below(256) as u8).collect();
        if round.is_multiple_of(2) {
            // A partly correct header, followed by what it announces.
            client = client.opened();
            let procedure = [1, 14, 16, 23, 60, 64, 159, 243, 273, 316, 344][random.index(11)];
            let packet = Packet { payload: bytes, ..call(procedure, round, Bytes::default()) };
            bytes = packet.encode();
            let place = random.index(bytes.len() as u64);
            bytes[place] ^= 1 << random.below(8);
        }
        let _ = client.send(&bytes);
        // Half of the clients close at once, in the middle of it.
        if round % 4 < 2 {
            let _ = client.hear(Duration::from_millis(5));
        }
    };
    (0..300).for_each(&mut say);
    let before = held(daemon.pid());
    (0..1500).for_each(&mut say);
    assert_eq!(bystander.call(TYPE, Bytes::default()).status, 0);
    wait_until(PATIENCE, "its connections are not closed", || held(daemon.pid()).1 <= before.1);
    let after = held(daemon.pid());
    eprintln!("{before:?} then {after:?} KiB and files");
    assert!(after.0 < before.0 + 8192, "{before:?} then {after:?}");
}
