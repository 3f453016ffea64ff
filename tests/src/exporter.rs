//! Debian's `prometheus-libvirt-exporter`.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    process::Child,
    thread,
    time::{Duration, Instant},
};

use crate::{http::Http, lab::lab, patience::PATIENCE};

/// An exporter that reads a hypervisor at each scrape. Killed on drop.
#[derive(Debug)]
pub struct Exporter {
    process: Child,
    http: Http,
}

impl Exporter {
    /// Starts it for the hypervisor at a libvirt URI, and returns when it listens.
    #[must_use]
    pub fn start(uri: &str) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, lab().port()));
        let log = fs::File::create(lab().path(lab().name("exporter"))).unwrap();
        let mut command = lab().command("prometheus-libvirt-exporter");
        command.args(["--web.listen-address", &address.to_string(), "--libvirt.uri", uri]);
        let process = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "the exporter does not start");
            thread::sleep(Duration::from_millis(20));
        }
        Self { process, http: Http::new(address) }
    }

    /// Returns a client for it.
    #[must_use]
    pub fn http(&self) -> Http {
        self.http
    }

    /// Returns its pid.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
