//! A real Prometheus that scrapes once a second, and its data.

use std::{
    fmt::Write as _,
    fs,
    net::{Ipv4Addr, SocketAddr},
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{http::Http, lab::lab, patience::PATIENCE};

/// A Prometheus with an empty database. Killed on drop.
#[derive(Debug)]
pub struct Prometheus {
    process: Child,
    http: Http,
}

impl Prometheus {
    /// Starts it with a job for each of these: a name, and the lines that define what it scrapes.
    #[must_use]
    pub fn start(jobs: &[(&str, String)]) -> Self {
        let dir = lab().path(lab().name("prometheus"));
        fs::create_dir_all(&dir).unwrap();
        let mut text =
            "global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n".to_owned();
        for (name, lines) in jobs {
            let _ = writeln!(text, "- job_name: {name}");
            for line in lines.lines() {
                let _ = writeln!(text, "  {line}");
            }
        }
        let config = dir.join("prometheus.yml");
        fs::write(&config, text).unwrap();
        let port = lab().port();
        let mut command = lab().command("prometheus");
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", dir.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(fs::File::create(dir.join("log")).unwrap());
        let process = command.spawn().unwrap();
        let http = Http::new(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        Self { process, http }
    }

    /// Returns the address on which it serves.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.http.address()
    }

    /// Repeats a query until the result is as wanted, and returns that.
    ///
    /// # Panics
    ///
    /// If that does not happen in time.
    pub fn wait_for(&self, query: &str, is_wanted: impl Fn(&[Sample]) -> bool) -> Vec<Sample> {
        let deadline = Instant::now() + PATIENCE;
        let mut last = Vec::new();
        while Instant::now() < deadline {
            if let Some(samples) = self.query(query) {
                if is_wanted(&samples) {
                    return samples;
                }
                last = samples;
            }
            thread::sleep(Duration::from_millis(200));
        }
        panic!("{query} is still {last:?}; targets: {}", self.http.get("/api/v1/targets").text());
    }

    /// Returns the result of a query; `None` while Prometheus starts.
    #[must_use]
    pub fn query(&self, query: &str) -> Option<Vec<Sample>> {
        std::net::TcpStream::connect(self.http.address()).ok()?;
        let escaped: String = query.bytes().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "%{byte:02x}");
            text
        });
        let answer = self.http.get(&format!("/api/v1/query?query={escaped}"));
        if answer.status == 503 {
            return None;
        }
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        let json: Value = serde_json::from_slice(&answer.body).unwrap();
        let samples = json["data"]["result"].as_array().unwrap().iter().map(|one| Sample {
            labels: one["metric"].clone(),
            value: one["value"][1].as_str().unwrap().parse().unwrap(),
        });
        Some(samples.collect())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A value and its labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// A JSON object of strings.
    pub labels: Value,
    /// The value.
    pub value: f64,
}
