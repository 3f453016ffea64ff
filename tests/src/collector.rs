//! An OpenTelemetry collector: receives what is pushed to it, and parses it with the definitions
//! that the OpenTelemetry project publishes for Python.

use std::{
    io::{BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::{Arc, LazyLock, Mutex},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{alone::is_inside, command::built, lab::lab, patience::PATIENCE};

/// Answers each request with the next of the given answers, and all later ones with success. An
/// answer is a status, optionally with `:` and the value of `Retry-After`; `partial:N` for success
/// without N points; or `hang` for none. Prints each request as a line of JSON.
const SCRIPT: &str = r#"
import gzip, http.server, json, ssl, sys, time
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as service

port, party, *answers = sys.argv[1:]

def number(point):
    return getattr(point, point.WhichOneof("value"))

def words(attributes):
    return {one.key: one.value.string_value for one in attributes}

def points(message):
    for resource in message.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                kind = metric.WhichOneof("data")
                data = getattr(metric, kind)
                for point in data.data_points:
                    yield {
                        "resource": words(resource.resource.attributes),
                        "scope": [scope.scope.name, scope.scope.version],
                        "name": metric.name, "unit": metric.unit, "help": metric.description,
                        "kind": kind,
                        "monotonic": kind == "sum" and data.is_monotonic,
                        "cumulative": kind == "sum" and data.aggregation_temporality == 2,
                        "attributes": words(point.attributes),
                        "start": point.start_time_unix_nano, "time": point.time_unix_nano,
                        "value": number(point),
                    }

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *_):
        pass
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        message = service.ExportMetricsServiceRequest.FromString(gzip.decompress(body))
        headers = {name.lower(): value for name, value in self.headers.items()}
        print(json.dumps({
            "at": time.time(), "path": self.path, "headers": headers, "points": list(points(message)),
        }), flush=True)
        answer, _, more = (answers.pop(0) if answers else "200").partition(":")
        if answer == "hang":
            return time.sleep(600)
        response = service.ExportMetricsServiceResponse()
        if answer == "partial":
            response.partial_success.rejected_data_points = int(more)
            response.partial_success.error_message = "too old"
            answer, more = "200", ""
        text = response.SerializeToString() if answer == "200" else b"not now"
        self.send_response(int(answer))
        if more:
            self.send_header("retry-after", more)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

server = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Handler)
if party:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(party + "/servercert.pem", party + "/serverkey.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"#;

/// A running collector. Killed on drop.
#[derive(Debug)]
pub struct Collector {
    process: Child,
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Value>>>,
}

impl Collector {
    /// Starts one with these answers.
    #[must_use]
    pub fn start(answers: &[&str]) -> Self {
        Self::start_with(answers, Path::new(""))
    }

    /// Starts one that speaks TLS with the certificate in a directory.
    #[must_use]
    pub fn start_with(answers: &[&str], party: &Path) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, lab().port()));
        let mut command = lab().command_at(python());
        command.args(["-c", SCRIPT, &address.port().to_string()]).arg(party).args(answers);
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let requests: Arc<Mutex<Vec<Value>>> = Arc::default();
        let its = Arc::clone(&requests);
        thread::spawn(move || {
            lines.for_each(|line| its.lock().unwrap().push(serde_json::from_str(&line).unwrap()));
        });
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "the collector does not start");
            thread::sleep(Duration::from_millis(50));
        }
        Self { process, address, requests }
    }

    /// Returns its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Returns the requests so far: `at` in seconds, `path`, `headers`, and the parsed `points`.
    #[must_use]
    pub fn requests(&self) -> Vec<Value> {
        self.requests.lock().unwrap().clone()
    }

    /// Waits for this many requests, and returns them.
    ///
    /// # Panics
    ///
    /// If they do not come.
    #[must_use]
    pub fn wait_for(&self, count: usize) -> Vec<Value> {
        let deadline = Instant::now() + PATIENCE;
        while self.requests.lock().unwrap().len() < count {
            assert!(Instant::now() < deadline, "{} of {count} requests", self.requests().len());
            thread::sleep(Duration::from_millis(20));
        }
        self.requests()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns a Python that has OpenTelemetry's definitions. It is installed once, next to cargo's
/// build output: before [`alone!`](crate::alone!), since that removes the network.
#[must_use]
pub fn python() -> &'static Path {
    static PYTHON: LazyLock<PathBuf> = LazyLock::new(|| {
        let environment = built().parent().unwrap().join("opentelemetry");
        let python = environment.join("bin/python");
        let has_it = |python: &Path| {
            let mut command = lab().command_at(python);
            command.args(["-c", "import opentelemetry.proto"]).stderr(Stdio::null());
            python.exists() && command.status().unwrap().success()
        };
        if !is_inside() && !has_it(&python) {
            lab().run(lab().command("python3").args(["-m", "venv", "--clear"]).arg(&environment));
            let mut pip = lab().command_at(&python);
            pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
            lab().run(pip.arg("opentelemetry-proto"));
        }
        python
    });
    &PYTHON
}
