//! What other projects' tools say of our formats: xmllint and jsonschema of the documents,
//! promtool and the Python client's parser of the metrics. The documents are the snapshots, which
//! the library's own tests keep fresh.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn snapshot(format: &str) -> PathBuf {
    repository("crates/domstats/tests/snapshots").join(format!("canonical.{format}"))
}

/// Runs a tool of this Debian package on an input; returns whether it was content, and what it
/// said.
fn run(package: &str, command: &mut Command, input: &str) -> (bool, String) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("{command:?} does not start ({error}): run `apt-get install {package}`")
        });
    // A tool that ends before it has read everything says why on standard error.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(
        !said.contains("ModuleNotFoundError"),
        "Python lacks a module: run `apt-get install {package}`\n{said}"
    );
    (output.status.success(), said)
}

fn xmllint(document: &str) -> (bool, String) {
    let schema = repository("schemas/domainstats.rng");
    let mut command = Command::new("xmllint");
    command.args(["--noout", "--relaxng"]).arg(schema).arg("-");
    run("libxml2-utils", &mut command, document)
}

// Debian's Python, whatever other ones are in the path.
const PYTHON: &str = "/usr/bin/python3";

fn jsonschema(document: &str) -> (bool, String) {
    const SCRIPT: &str = "
import json, sys, jsonschema
schema = json.load(open(sys.argv[1]))
jsonschema.Draft202012Validator.check_schema(schema)
jsonschema.validate(json.load(sys.stdin), schema, jsonschema.Draft202012Validator)
";
    let mut command = Command::new(PYTHON);
    command.args(["-c", SCRIPT]).arg(repository("schemas/domainstats.schema.json"));
    run("python3-jsonschema", &mut command, document)
}

fn read(format: &str) -> String {
    std::fs::read_to_string(snapshot(format)).unwrap()
}

#[test]
fn xml_is_valid() {
    let xml = read("xml");
    let (valid, said) = xmllint(&xml);
    assert!(valid, "{said}");
    for (what, instead) in [
        ("<time>", "<time unit='s'>"),
        ("<state>running</state>", "<state>walking</state>"),
        ("<cpus current", "<cpus hue='red' current"),
        ("<user>", "<user>minus "),
        ("<balloon>", "<cpu/><balloon>"),
    ] {
        assert!(xml.contains(what), "{what}");
        let (valid, _) = xmllint(&xml.replacen(what, instead, 1));
        // Attributes of a newer version are welcome on sections; nothing else here is.
        assert_eq!(valid, instead.contains("hue"), "{instead}");
    }
}

#[test]
fn the_document_of_the_rfc_is_valid() {
    let xml = "<domainstats><domain name='vm1'><state>running</state><cpus><cpu id='1'>\
               <state>running</state><time>10001231231</time></cpu></cpus></domain></domainstats>";
    let (valid, said) = xmllint(xml);
    assert!(valid, "{said}");
}

#[test]
fn json_is_valid() {
    let json = read("json");
    let (valid, said) = jsonschema(&json);
    assert!(valid, "{said}");
    for (what, instead) in [
        ("\"elapsed\": ", "\"elapsed\": -"),
        ("\"state\": \"running\"", "\"state\": \"walking\""),
        ("\"name\": \"vm1\"", "\"label\": \"vm1\""),
    ] {
        assert!(json.contains(what), "{what}");
        let (valid, _) = jsonschema(&json.replacen(what, instead, 1));
        assert!(!valid, "{instead}");
    }
}

#[test]
fn promtool_accepts_the_metrics() {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]);
    let (valid, said) = run("prometheus", &mut command, &read("prometheus"));
    assert!(valid && said.is_empty(), "{said}");
}

#[test]
fn the_metrics_are_openmetrics() {
    const SCRIPT: &str = "
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
text = sys.stdin.read()
series = [(s.name, tuple(sorted(s.labels.items()))) for f in parse(text) for s in f.samples]
lines = [line for line in text.splitlines() if not line.startswith('#')]
assert len(series) == len(set(series)) == len(lines), (len(series), len(set(series)), len(lines))
kinds = {f.name: f.type for f in parse(text)}
assert kinds['libvirt_domain_info_cpu_time_seconds'] == 'counter', kinds
names = {dict(labels).get('domain') for _, labels in series}
odd = '<\"\u{dc}n\u{ef}code\" & \\'S\u{f6}hne\\'>\\\\{a=\"b\"}'
assert '1000/' + odd + '\u{fffd}\u{fffd}two \u{65e5}\u{672c}' in names, names
paths = {dict(labels).get('source_file') for _, labels in series}
assert odd + '\\n\u{fffd}two \u{fffd}\u{65e5}\u{672c}' in paths, paths
";
    let mut command = Command::new(PYTHON);
    command.args(["-c", SCRIPT]);
    let (valid, said) = run("python3-prometheus-client", &mut command, &read("openmetrics"));
    assert!(valid, "{said}");
}
