//! Clients that query domain by domain cost libvirtd the same as without the daemon, and a stuck
//! guest does not delay their queries of other guests.

use std::{thread, time::Duration};

use domstats_live::{
    alone,
    domstatsd::Domstatsd,
    exporter::Exporter,
    http::Http,
    lab::lab,
    libvirt::{Libvirt, LibvirtGuest, virsh},
    patience::{PATIENCE, Stopwatch, wait_until},
    relay::Relay,
    tools::python_with_libvirt,
};

const GUESTS: usize = 20;
/// The daemon's timeout, and the test's.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Reads every description this many times, and prints those that differ from the first.
const DESCRIPTIONS: &str = r#"
import sys, libvirt
libvirt.registerErrorHandler(lambda *_: None, None)
domains = libvirt.openReadOnly(sys.argv[1]).listAllDomains()
texts = {}
for _ in range(int(sys.argv[2])):
    for domain in domains:
        try:
            text = domain.XMLDesc(0)
        except libvirt.libvirtError as error:
            text = str(error)
        if texts.setdefault(domain.name(), text) != text:
            print(domain.name(), "changed to", text)
print(sorted(texts.items()))
"#;

fn start() -> (Libvirt, Vec<LibvirtGuest>) {
    let libvirt = Libvirt::start();
    let guests = libvirt.create_many("calls", GUESTS, false);
    (libvirt, guests)
}

/// Scrapes, and returns the number of disk counters.
fn scrape(http: Http) -> usize {
    let text = String::from_utf8(http.get("/metrics").body).unwrap();
    text.matches("\nlibvirt_domain_block_stats_read_bytes_total{").count()
}

#[test]
fn domain_by_domain_queries() {
    alone!();
    let (libvirt, guests) = start();
    let relay = Relay::start(&libvirt.socket());
    let uri = format!("qemu+tcp://localhost:{}/session", relay.port);
    let daemon = Domstatsd::start(&["-c", &uri, "--timeout", "3s"]);

    exporters_make_as_many_calls(&libvirt, &daemon, &relay);
    all_at_once_read_every_description(&libvirt, &daemon);
    stuck_guests_hold_up_nobody(&daemon, &guests);
}

/// Debian's exporter, with libvirtd and with the daemon.
fn exporters_make_as_many_calls(libvirt: &Libvirt, daemon: &Domstatsd, relay: &Relay) {
    let exporters = [libvirt.uri(), daemon.uri()].map(|uri| Exporter::start(&uri));
    let [of_itself, of_ours] = exporters.map(|exporter| {
        assert_eq!(scrape(exporter.http()), 2 * GUESTS, "and connections are open then");
        let _ = relay.take_calls();
        let calls = libvirt.count_calls(|| assert_eq!(scrape(exporter.http()), 2 * GUESTS));
        (calls, relay.take_calls())
    });
    assert!(of_itself.1.is_empty());
    // Without the calls that open a connection.
    assert!(of_ours.0 <= of_itself.0, "{of_ours:?}, {of_itself:?}");
    assert_eq!(of_ours.0, of_ours.1.len());
}

/// Three clients at once.
fn all_at_once_read_every_description(libvirt: &Libvirt, daemon: &Domstatsd) {
    let read = |uri: &str, times: &str| {
        let mut command = lab().command_at(python_with_libvirt());
        lab().run(command.args(["-c", DESCRIPTIONS, uri, times]))
    };
    let real = read(&libvirt.uri(), "1");
    assert_eq!(real.matches("<domain type=").count(), GUESTS, "{real}");
    thread::scope(|scope| {
        let clients = [(); 3].map(|()| scope.spawn(|| read(&daemon.uri(), "5")));
        for client in clients {
            assert_eq!(client.join().unwrap(), real);
        }
    });
}

/// More guests are stuck than the daemon may forward calls for.
fn stuck_guests_hold_up_nobody(daemon: &Domstatsd, guests: &[LibvirtGuest]) {
    let (stuck, others) = guests.split_at(6);
    let ask = |arguments: &[&str]| {
        let stopwatch = Stopwatch::start();
        let output = virsh(&daemon.uri(), arguments).output().unwrap();
        let text = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        (output.status.success(), text.concat(), stopwatch.time())
    };
    let counters = |guest: &LibvirtGuest| ask(&["domblkstat", &guest.name, "vda"]);
    stuck.iter().for_each(LibvirtGuest::freeze);
    thread::scope(|scope| {
        let waiting: Vec<_> =
            stuck.iter().map(|guest| scope.spawn(move || counters(guest))).collect();
        thread::sleep(Duration::from_millis(300));
        let answer = counters(&others[0]);
        assert!(!waiting.iter().all(|thread| thread.is_finished()), "a call waits: {answer:?}");
        assert!(answer.0, "{answer:?}");
        for thread in waiting {
            let (ok, text, took) = thread.join().unwrap();
            assert!(!ok, "{text}");
            // virsh makes two calls, if the first one succeeds.
            took.assert_within(TIMEOUT * 2 + Duration::from_millis(1500));
        }
    });
    // They are known to be stuck: no call waits for them.
    for guest in stuck {
        let (ok, text, took) = counters(guest);
        assert!(!ok, "{text}");
        took.assert_within(TIMEOUT / 2);
    }
    for guest in others {
        let (ok, text, took) = counters(guest);
        assert!(ok && text.contains("rd_req"), "{took:?}: {text}");
    }
    stuck.iter().for_each(LibvirtGuest::thaw);
    wait_until(PATIENCE, "they go on, and are not asked", || {
        stuck.iter().all(|guest| counters(guest).0)
    });
}
