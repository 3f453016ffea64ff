//! The Python module as its users install it: its own tests, a libvirt-python script with another
//! import, the documentation pages.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use domstats_live::{
    alone,
    compare::wrong_values,
    guest::Spec,
    lab::lab,
    libvirt::Libvirt,
    oracle::Params,
    python::{python, script},
};
use serde_json::Value;

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

#[test]
fn the_tests_of_the_module_pass() {
    let _ = python();
    alone!();
    let mut pytest = lab().command_at(python());
    pytest.args(["-m", "pytest", "-q", "-p", "no:cacheprovider"]);
    let output = pytest.arg(repository("crates/domstats-python/tests")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn the_stubs_are_those_of_the_module() {
    let _ = python();
    alone!();
    for check in [["mypy.stubtest", "domstats"].as_slice(), &["mypy", "--strict", "-p", "domstats"]]
    {
        let mut mypy = lab().command_at(python());
        let output = mypy.arg("-m").args(check).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    // The scripts of the page, and this one that uses more of the module.
    for text in scripts("docs/python.md").into_iter().chain([TYPED.to_owned()]) {
        let mut mypy = lab().command_at(python());
        let mypy = mypy.args(["-m", "mypy", "--strict", "--allow-untyped-defs"]);
        let output = mypy.args(["--allow-untyped-calls", "-c", &text]).output().unwrap();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stdout));
    }
}

/// A typed program that states the expected types: a wrong one is a mypy error.
const TYPED: &str = r#"
from typing import Any, Optional
import domstats
import domstats as libvirt

def handler(seen: list[int], error: tuple[Any, ...]) -> None:
    seen.append(error[0])

seen: list[int] = []
libvirt.registerErrorHandler(handler, seen)
with libvirt.open("test:///default") as connection:
    some: list[tuple[libvirt.virDomain, dict[str, Any]]]
    some = connection.domainListGetStats({d for d in connection.listAllDomains()}, ~libvirt.VIR_DOMAIN_STATS_PERF)
    report: domstats.StatsReport = connection.stats({"cpu"}, domains=iter(connection.listAllDomains()))
for record in report.domains:
    if record.block and record.state and record.state.state == "running":
        read: Optional[int] = record.block.blocks[0].rd_bytes
    if record.vm:
        bins: Optional[tuple[int, ...]] = record.vm.histograms[0].log2
try:
    connection.close()
except libvirt.libvirtError as error:
    code: Optional[int] = error.get_error_code()
"#;

/// The one script, and what it needs to run here.
const SCRIPT: &str = include_str!("python_habits.py");

fn libvirt_says(uri: &str) -> Value {
    serde_json::from_str(&lab().run(script(SCRIPT).arg(uri))).unwrap()
}

fn domstats_says(uri: &str) -> Value {
    let ported = SCRIPT.replace("import libvirt\n", "import domstats as libvirt\n");
    assert_ne!(ported, SCRIPT);
    serde_json::from_str(&lab().run(script(&ported).arg(uri))).unwrap()
}

#[test]
fn a_libvirt_script_gives_the_same_with_another_import() {
    let _ = python();
    alone!();
    let libvirt = Libvirt::start();
    let working = libvirt.create("working", true);
    working.qmp().ask("cont");
    let _paused = libvirt.create("paused", false);
    let _persistent = libvirt.boot(&libvirt.define("persistent"));
    let _off = libvirt.define("off");

    // On a busy machine we can miss the default timeout.
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let before = libvirt_says(&libvirt.uri());
        let ours = domstats_says(&libvirt.uri());
        let after = libvirt_says(&libvirt.uri());
        for part in ["errors", "told", "identities"] {
            assert_eq!(ours[part], before[part], "{part}");
        }
        assert_constants(&ours["constants"], &before["constants"]);
        let differences = differences(&before["answers"], &ours["answers"], &after["answers"]);
        if differences.is_empty() {
            break;
        }
        assert!(Instant::now() < deadline, "{}", differences.join("\n"));
        thread::sleep(Duration::from_secs(1));
    }
}

/// Checks that our constants have the same values as libvirt's, and that none of its kinds is
/// missing.
fn assert_constants(ours: &Value, libvirt: &Value) {
    let [ours, libvirt] = [ours, libvirt].map(|constants| constants.as_object().unwrap());
    for (name, number) in ours {
        assert!(libvirt.get(name).is_none_or(|theirs| theirs == number), "{name}");
    }
    for prefix in [
        "VIR_DOMAIN_STATS_",
        "VIR_CONNECT_GET_ALL_DOMAINS_STATS_",
        "VIR_CONNECT_LIST_DOMAINS_",
        "VIR_DOMAIN_RUNNING",
        "VIR_DOMAIN_PAUSED",
        "VIR_DOMAIN_SHUTOFF",
        "VIR_DOMAIN_CRASHED",
        "VIR_ERR_",
        "VIR_FROM_",
    ] {
        let names: Vec<_> = libvirt.keys().filter(|name| name.starts_with(prefix)).collect();
        assert!(names.len() > 1, "{prefix}");
        for name in names {
            assert!(ours.contains_key(name), "{name}");
        }
    }
}

fn differences(before: &Value, ours: &Value, after: &Value) -> Vec<String> {
    let answers: BTreeMap<String, Value> = serde_json::from_value(before.clone()).unwrap();
    assert!(answers.len() > 20 && answers.len() <= ours.as_object().unwrap().len());
    let mut lines = Vec::new();
    for (call, before) in answers {
        let records = |answer: &Value| answer.as_array().unwrap().clone();
        let (ours, after) = (records(&ours[&call]), records(&after[&call]));
        let before = records(&before);
        if before.len() != ours.len() {
            lines.push(format!("{call}: {} records, not {}", ours.len(), before.len()));
        }
        for ((before, ours), after) in before.into_iter().zip(ours).zip(after) {
            let before = without_inventions(before);
            let of_record = compare(&before, &ours, &without_inventions(after));
            lines.extend(of_record.into_iter().map(|line| format!("{call}: {line}")));
        }
    }
    lines
}

fn compare(before: &Value, ours: &Value, after: &Value) -> Vec<String> {
    let params =
        |record: &Value| -> Params { serde_json::from_value(record["stats"].clone()).unwrap() };
    let mut lines = wrong_values(&params(before), &params(ours), &params(after));
    for same in ["who", "same connection", "keys", "types"] {
        if ours[same] != before[same] {
            lines.push(format!("{same}: {} instead of {}", ours[same], before[same]));
        }
    }
    lines
}

/// libvirt reports the daemon's own CPU times for an inactive domain: these must not be repeated.
fn without_inventions(mut record: Value) -> Value {
    if record["who"][3] == -1 {
        record["keys"]
            .as_array_mut()
            .unwrap()
            .retain(|key| !key.as_str().unwrap().starts_with("cpu."));
        for part in ["stats", "types"] {
            record[part].as_object_mut().unwrap().retain(|key, _| !key.starts_with("cpu."));
        }
    }
    record
}

/// Returns the scripts of a page.
fn scripts(page: &str) -> Vec<String> {
    let text = fs::read_to_string(repository(page)).unwrap();
    let blocks = text.split("```python\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn the_scripts_of_the_page_read_guests() {
    let _ = python();
    alone!();
    let libvirt = Libvirt::start();
    let of_libvirt = libvirt.create("page", false);
    let of_nobody = Spec::full("page").without_uuid().running().boot();
    let scripts = scripts("docs/python.md");
    assert!(scripts.len() > 2);
    for text in scripts {
        for (uri, name) in [
            (libvirt.uri().as_str(), of_libvirt.name.as_str()),
            ("qemu+qmp:///system", of_nobody.name()),
        ] {
            let printed = lab().run(script(&text).arg(uri));
            assert!(printed.contains(name), "{text}\n{printed}");
        }
    }
}

/// Counts the progress of another thread while a call waits for a stuck guest.
const TICKS: &str = r#"
import sys, threading, time
import domstats

connection = domstats.open(sys.argv[1])
ticks = 0

def tick():
    global ticks
    while True:
        ticks += 1
        time.sleep(0.005)

threading.Thread(target=tick, daemon=True).start()
before, start = ticks, time.monotonic()
report = connection.stats(["block"], timeout=1.0)
print(int((time.monotonic() - start) * 1000), ticks - before)
(stuck,) = (domain for domain in report.domains if domain.name == sys.argv[2])
assert [missing.reason for missing in stuck.missing] == ["timeout"], stuck
"#;

#[test]
fn other_threads_run_while_a_guest_is_stuck() {
    let _ = python();
    alone!();
    let guest = Spec::full("stuck").boot();
    let _wedge = guest.wedge();
    let printed = lab().run(script(TICKS).args(["qemu+qmp:///system", guest.name()]));
    let [milliseconds, ticks]: [u64; 2] =
        [0, 1].map(|word| printed.split_whitespace().nth(word).unwrap().parse().unwrap());
    assert!((900..3000).contains(&milliseconds), "{printed}");
    assert!(ticks > 50, "the other thread stood still: {printed}");
}

#[test]
fn the_script_of_the_readme_runs() {
    let _ = python();
    alone!();
    let scripts = scripts("README.md");
    assert_eq!(scripts.len(), 1);
    assert!(lab().run(&mut script(&scripts[0])).contains("vm1"));
}
