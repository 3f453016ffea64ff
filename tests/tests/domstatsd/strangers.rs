//! Attacks on the daemon's HTTP and TLS by web pages and by an unprivileged user: others are served
//! meanwhile.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use domstats_live::{
    alone,
    domstatsd::Domstatsd,
    fake_daemon::procedure::{STATS, TYPE},
    lab::{NOBODY, lab},
    libvirt::virsh,
    pki::Pki,
    process::memory,
    rpc_client::RpcClient,
    wire::Bytes,
};

#[test]
fn pages_of_other_sites_read_nothing() {
    alone!();
    let daemon =
        Domstatsd::start_with(&["-c", "test:///default"], "hosts = [\"metrics.example\"]\n");
    let ask = |path: &str, headers: &[&str]| {
        let mut command = lab().command("curl");
        command.args(["--silent", "--output", "/dev/null", "--write-out", "%{http_code}"]);
        for header in headers {
            command.args(["--header", header]);
        }
        lab().run(command.arg(format!("http://{}{path}", daemon.address())))
    };
    for path in ["/metrics", "/v1/domains", "/v1/openapi.json", "/healthz", "/"] {
        assert_eq!(ask(path, &[]), "200");
        assert_eq!(ask(path, &["Host: localhost"]), "200");
        assert_eq!(ask(path, &["Host: metrics.example:8443"]), "200");
        assert_eq!(ask(path, &["Host: evil:9177"]), "421");
        assert_eq!(ask(path, &["Host: evil:9177", "Host: localhost"]), "421");
        assert_eq!(ask(path, &["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"]), "403");
        assert_eq!(ask(path, &["Origin: http://evil"]), "403");
    }
    let refused = daemon.http().get_with("/metrics", &["sec-fetch-site: cross-site"]);
    assert!(refused.error().starts_with("a web page of another site"), "{}", refused.error());
}

/// An attacking process; told to stop on drop.
struct Attack(Child);

impl Attack {
    /// Starts a Python script as an unprivileged user, and waits for its first line.
    fn start(script: &str, arguments: &[&str]) -> Self {
        let mut command = lab().command_as_nobody(Path::new("/usr/bin/python3"));
        let mut child =
            command.args(["-c", script]).args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Self(child)
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Opens connections to libvirt's socket, and the hypervisor if the third word says so, sends the
/// fourth word's packets on each, and reads nothing.
const RPC: &str = "
import socket, struct, sys, time
def packet(procedure, payload, length=None):
    head = struct.pack('>IIiIIi', 0x20008086, 1, procedure, 0, 1, 0)
    return struct.pack('>I', length or 28 + len(payload)) + head + payload
held = []
for number in range(int(sys.argv[2])):
    one = socket.socket(socket.AF_UNIX)
    one.connect(sys.argv[1])
    one.settimeout(10)
    try:
        if sys.argv[3] == 'open':
            one.sendall(packet(1, struct.pack('>IIII', 1, 0, 1, 0)[:12]))
            one.recv(100)
        if sys.argv[4] == 'half':
            one.sendall(packet(344, bytes((5 << 20) - 38), 5 << 20))
        else:
            one.sendall(packet(344, struct.pack('>III', 0, 0, 0)) * 5)
    except OSError: pass
    held.append(one)
print('ready', flush=True)
time.sleep(600)
";

#[test]
fn packets_of_one_user_leave_memory_to_others() {
    alone!();
    let group = format!("[rpc]\ngroup = \"{NOBODY}\"\n");
    for (domains, clients, opens, sends) in
        [(10, 200, "not", "half"), (10, 200, "open", "half"), (2000, 60, "open", "questions")]
    {
        let source = format!("test:///default?domains={domains}");
        let daemon = Domstatsd::start_with(&["-c", &source, "--timeout", "30s"], &group);
        let mut other = RpcClient::connect(&daemon.socket).opened();
        // What a pass takes does not count for a client.
        assert_eq!(other.call(STATS, Bytes::default().u32(0).u32(0).u32(0)).status, 0);
        let before = memory(daemon.pid());
        let socket = daemon.socket.display().to_string();
        let _attack = Attack::start(RPC, &[&socket, &clients.to_string(), opens, sends]);
        let mut most = 0;
        let end = Instant::now() + Duration::from_secs(10);
        while Instant::now() < end {
            most = most.max(memory(daemon.pid()).saturating_sub(before) >> 10);
            assert_eq!(other.call(TYPE, Bytes::default()).status, 0);
            thread::sleep(Duration::from_millis(20));
        }
        eprintln!("{clients} clients, {opens}, {sends}: {most} MiB");
        // Those that wait are half of the total, and two are generated at a time.
        assert!(most < 350, "{most} MiB");
    }
}

#[test]
fn requests_of_one_user_leave_places_to_others() {
    alone!();
    // Each loop repeats a different request, and each takes seconds.
    const SCRIPT: &str = "
import http.client, sys, threading
def loop(number):
    while True:
        client = http.client.HTTPConnection('127.0.0.1', int(sys.argv[1]))
        client.request('GET', '/v1/domains?' + sys.argv[2] % number)
        client.getresponse().read()
for number in range(9):
    threading.Thread(target=loop, args=[number], daemon=True).start()
import time; time.sleep(1)
print('ready', flush=True)
time.sleep(600)
";
    let daemon = Domstatsd::start(&["-c", "test:///default?hang=vm1"]);
    let http = daemon.http();
    let port = daemon.address().port().to_string();
    for question in ["timeout=5%d00ms", "timeout=%d001ms&stats=block", "max_age=0s&timeout=%d500ms"]
    {
        let _attack = Attack::start(SCRIPT, &[&port, question]);
        for _ in 0..3 {
            assert_eq!(http.get("/metrics").status, 200, "{question}");
            assert_eq!(http.get("/readyz").status, 200, "{question}");
            // Another user's request, which no other client makes.
            let others = http.get("/v1/domains?stats=vcpu,block&timeout=700ms");
            assert_eq!(others.status, 200, "{question}: {}", others.text());
        }
    }
}

/// Repeatedly opens connections that send the first half of a TLS greeting.
const HALF_OPEN: &str = "
import socket, sys, time, resource
resource.setrlimit(resource.RLIMIT_NOFILE, resource.getrlimit(resource.RLIMIT_NOFILE)[1:] * 2)
def connect():
    one = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
    one.send(bytes.fromhex('16030102000100'))
    one.setblocking(False)
    return one
held = [connect() for _ in range(1000)]
print('ready', flush=True)
while True:
    for place, one in enumerate(held):
        try:
            if one.recv(100) == b'': held[place] = connect()
        except BlockingIOError: pass
        except OSError: held[place] = connect()
    time.sleep(0.05)
";

#[test]
fn half_open_connections_keep_no_client_with_a_certificate_out() {
    alone!();
    let pki = Pki::new();
    let port = lab().port();
    let server = pki.server.display();
    let lines = format!(
        "certificate = \"{server}/servercert.pem\"\nkey = \"{server}/serverkey.pem\"\n\
         client_ca = \"{server}/cacert.pem\"\n[rpc]\npki = \"{server}\"\n"
    );
    let options = ["-c", "test:///default", "--rpc-tls", &format!("127.0.0.1:{port}")];
    let daemon = Domstatsd::start_with(&options, &lines);
    let scrape = |party: &Path| {
        let file = |name: &str| party.join(name).display().to_string();
        let mut curl = lab().command("curl");
        curl.args([
            "--silent",
            "--show-error",
            "--max-time",
            "30",
            "--cacert",
            &file("cacert.pem"),
        ]);
        curl.args(["--cert", &file("clientcert.pem"), "--key", &file("clientkey.pem")]);
        lab().run(curl.arg(format!("https://localhost:{}/metrics", daemon.address().port())))
    };
    let uri = format!("qemu+tls://localhost:{port}/system?pkipath={}", pki.client.display());
    let _attacks =
        [daemon.address().port(), port].map(|port| Attack::start(HALF_OPEN, &[&port.to_string()]));
    for _ in 0..5 {
        assert!(scrape(&pki.client).contains("libvirt_up 1"));
        assert_eq!(lab().run(&mut virsh(&uri, &["list", "--name"])).trim(), "vm1\nvm2\nvm3");
    }
    let said = daemon.said();
    let failures = said.iter().filter(|line| line.contains("TLS failed")).count();
    // One for each listener and ten seconds.
    assert!(failures > 0 && failures < 40, "{failures} of {} lines", said.len());
}
