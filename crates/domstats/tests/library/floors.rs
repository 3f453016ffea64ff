//! The floors of the library: what a file uses is of its own floor or of one below.

use std::{fs, path::Path};

use crate::rust_files;

/// What each floor may use besides itself. `host` uses no other floor, and no driver another driver.
const FLOORS: [(&str, &[&str]); 8] = [
    ("host", &[]),
    ("model", &[]),
    ("format", &["model"]),
    ("driver", &["host", "model", "format"]),
    ("driver::qemu", &["driver", "host", "model", "format"]),
    ("driver::libvirt", &["driver", "host", "model", "format"]),
    ("driver::test", &["driver", "host", "model", "format"]),
    ("connect", &["driver", "driver::libvirt", "driver::qemu", "driver::test", "host", "model"]),
];

/// The folders of the QEMU driver, each with those below it only.
const QEMU: [&str; 7] = ["reasons", "discovery", "monitor", "guest", "pass", "host", "groups"];

/// Returns the floor of a path below `crate`, and within the QEMU driver the folder.
fn place(path: &str) -> (Option<usize>, Option<usize>) {
    let is_in = |floor: &str| {
        path.strip_prefix(floor).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    let floors = (0..FLOORS.len()).filter(|floor| is_in(FLOORS[*floor].0));
    let floor = floors.max_by_key(|floor| FLOORS[*floor].0.len());
    let folder = path.strip_prefix("driver::qemu::").map(|rest| rest.split("::").next());
    (floor, folder.and_then(|folder| QEMU.iter().position(|known| Some(*known) == folder)))
}

/// Returns why a file of one place may not use another.
fn fault(from: &str, to: &str) -> Option<String> {
    let ((floor, folder), (target, part)) = (place(from), place(to));
    let (floor, target) = (floor?, target?);
    if floor != target && !FLOORS[floor].1.contains(&FLOORS[target].0) {
        return Some(format!("{} uses {}", FLOORS[floor].0, FLOORS[target].0));
    }
    let is_up = folder.zip(part).is_some_and(|(folder, part)| part > folder);
    is_up.then(|| format!("driver::qemu::{} uses {to}", QEMU[folder.unwrap_or_default()]))
}

/// Appends the paths that begin at `text`, those of a `{…}` one by one, and returns what follows.
fn paths<'a>(mut text: &'a str, before: &str, found: &mut Vec<String>) -> &'a str {
    let mut path = before.to_owned();
    loop {
        text = text.trim_start();
        if let Some(mut rest) = text.strip_prefix('{') {
            loop {
                rest = paths(rest, &path, found).trim_start();
                rest = rest.find([',', '}']).map_or("", |end| &rest[end..]);
                match rest.strip_prefix(',') {
                    Some(next) if !next.trim_start().starts_with('}') => rest = next,
                    _ => return rest.find('}').map_or("", |end| &rest[end + 1..]),
                }
            }
        }
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        path = match &text[..end] {
            "super" => parent(&path).to_owned(),
            name => format!("{path}::{name}"),
        };
        match text[end..].strip_prefix("::") {
            Some(rest) if end > 0 => text = rest,
            _ => break,
        }
    }
    found.push(path.trim_start_matches("::").to_owned());
    text
}

/// Returns the module around one.
fn parent(module: &str) -> &str {
    module.rsplit_once("::").map_or("", |(parent, _)| parent)
}

/// Returns what a file uses above its floor, with the lines.
fn faults_of(module: &str, path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let mut faults = Vec::new();
    for (word, base) in [("crate::", ""), ("super::", parent(module))] {
        for (start, _) in text.match_indices(word) {
            let (line, mut used) = (text[..start].lines().count(), Vec::new());
            paths(&text[start + word.len()..], base, &mut used);
            let found = used.iter().filter_map(|to| fault(module, to));
            faults.extend(found.map(|fault| format!("{}:{line}: {fault}", path.display())));
        }
    }
    faults
}

#[test]
fn no_arrow_runs_up() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut faults = Vec::new();
    for path in rust_files(&source) {
        let module = path.strip_prefix(&source).unwrap().with_extension("");
        let module = module.display().to_string().replace('/', "::");
        let module = module.trim_end_matches("::mod");
        if !module.ends_with("fuzz") {
            faults.extend(faults_of(module, &path));
        }
    }
    assert!(faults.is_empty(), "a floor uses one above it:\n{}", faults.join("\n"));
}

#[test]
fn arrows_are_seen_wherever_they_stand() {
    let mut used = Vec::new();
    let rest = paths("{\n  a::{self, b as c, d::{e},\n  },\n f,\n}; g", "", &mut used);
    assert_eq!((used.join(" "), rest), ("a::self a::b a::d::e f".to_owned(), "; g"));
    assert_eq!(fault("model::name", "format::json"), Some("model uses format".to_owned()));
    assert_eq!(fault("host::perf", "model::stats").as_deref(), Some("host uses model"));
    assert!(fault("driver::qemu::monitor::query", "driver::qemu::groups::block").is_some());
    assert!(fault("driver::libvirt::pass", "driver::qemu").is_some());
    assert!(fault("driver::qemu::groups::block", "driver::qemu::monitor::query").is_none());
    assert!(fault("connect", "driver::qemu::open").is_none());
}
