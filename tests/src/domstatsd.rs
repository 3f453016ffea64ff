//! The daemon `domstatsd`, built from this tree.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::LazyLock,
    thread,
};

use crate::{command::build, http::Http, lab::lab};

/// A running daemon. Killed when dropped.
#[derive(Debug)]
pub struct Domstatsd {
    process: Child,
    http: SocketAddr,
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
    /// Starts it with these options, and returns when HTTP is served, at a port of its own.
    #[must_use]
    pub fn start(options: &[&str]) -> Self {
        Self::start_with(options, "")
    }

    /// Starts it with these options and these lines of its configuration's section `[http]`.
    #[must_use]
    pub fn start_with(options: &[&str], http: &str) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, lab().port()));
        let path = lab().path(lab().name("domstatsd.toml"));
        fs::write(&path, format!("[http]\nlisten = \"{address}\"\n{http}")).unwrap();
        let mut command = lab().command_at(program());
        command.arg("--config").arg(&path).args(options).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
        let mut said = Vec::new();
        let is_up = log.by_ref().any(|line| {
            said.push(line);
            said.last().is_some_and(|line| line.contains("serving HTTP"))
        });
        assert!(is_up, "domstatsd did not start: {}", said.join("\n"));
        // Somebody has to read what it says.
        thread::spawn(move || log.for_each(drop));
        Self { process, http: address }
    }

    /// Returns a client of its HTTP.
    #[must_use]
    pub fn http(&self) -> Http {
        Http::new(self.http)
    }

    /// Returns where it serves HTTP.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.http
    }

    /// Returns its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Domstatsd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
