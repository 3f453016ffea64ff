//! The daemon `domstatsd`, built from this tree.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::{Arc, LazyLock, Mutex},
    thread,
};

use crate::{
    command::build,
    http::{Answer, Http},
    lab::lab,
    patience::{PATIENCE, wait_until},
    process,
};

/// A running daemon. Killed on drop.
#[derive(Debug)]
pub struct Domstatsd {
    /// The socket on which it serves libvirt's protocol.
    pub socket: PathBuf,
    /// Its configuration.
    pub conf: PathBuf,
    process: Child,
    http: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
}

/// Returns the path of the program.
#[must_use]
pub fn program() -> &'static Path {
    static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
        let program = lab().path("domstatsd");
        fs::copy(build("domstatsd").join("domstatsd"), &program).unwrap();
        program
    });
    &PROGRAM
}

impl Domstatsd {
    /// Starts it with these options, and returns when it serves HTTP, on a port of its own.
    #[must_use]
    pub fn start(options: &[&str]) -> Self {
        Self::start_with(options, "")
    }

    /// Starts it with these options and configuration lines, the first of which belong to the
    /// section `[http]`.
    #[must_use]
    pub fn start_with(options: &[&str], lines: &str) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, lab().port()));
        let conf = lab().path(lab().name("domstatsd.toml"));
        fs::write(&conf, format!("[http]\nlisten = \"{address}\"\n{lines}")).unwrap();
        let socket = lab().path(lab().name("domstatsd"));
        let mut command = lab().command_at(program());
        command.arg("--config").arg(&conf).arg("--rpc-socket").arg(&socket);
        command.args(options).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
        let mut said = Vec::new();
        let is_up = log.by_ref().any(|line| {
            said.push(line);
            said.last().is_some_and(|line| line.contains("serving HTTP"))
        });
        assert!(is_up, "domstatsd did not start: {}", said.join("\n"));
        let said = Arc::new(Mutex::new(said));
        let its = Arc::clone(&said);
        thread::spawn(move || log.for_each(|line| its.lock().unwrap().push(line)));
        Self { socket, conf, process, http: address, log: said }
    }

    /// Returns the lines of its log so far.
    #[must_use]
    pub fn said(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// Returns the URI for libvirt's programs.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("qemu+unix:///system?socket={}", self.socket.display())
    }

    /// Returns an HTTP client for it.
    #[must_use]
    pub fn http(&self) -> Http {
        Http::new(self.http)
    }

    /// Returns its metrics with this many domains of `test:///default`. On a busy machine the first
    /// scrape comes before it has a connection.
    #[must_use]
    pub fn metrics_of(&self, domains: u32) -> Answer {
        let last = format!("\"vm{domains}\"");
        let mut answer = None;
        wait_until(PATIENCE, "there are no metrics of all domains", || {
            answer.insert(self.http().get("/metrics")).text().contains(&last)
        });
        answer.unwrap()
    }

    /// Returns the address on which it serves HTTP.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.http
    }

    /// Returns its pid.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Asks it to end, and returns whether it ended successfully.
    #[must_use]
    pub fn stop(mut self) -> bool {
        process::terminate(self.pid());
        self.process.wait().unwrap().success()
    }
}

impl Drop for Domstatsd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
