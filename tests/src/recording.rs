//! A QEMU's replies to every query that the library sends, in files.
//!
//! ```text
//! recorded/qemu-7.2.22/conversation.jsonl   the greeting, then one line per query
//!                      domain.xml           the library's record
//! ```

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    guest::{Guest, Spec},
    image,
    lab::lab,
    patience::PATIENCE,
    qmp::Qmp,
};

/// Where the recordings are.
#[must_use]
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("recorded")
}

/// The directory of the images in a recording.
const IMAGES: &str = "/var/lib/images";

/// The replies of a QEMU.
#[derive(Debug)]
pub struct Recording {
    /// Its greeting.
    pub greeting: Value,
    /// Each query with its reply: `execute`, `arguments`, and `return` or `error`.
    queries: Vec<Value>,
}

/// The queries, with their arguments.
fn queries() -> Vec<Value> {
    let halt_polls = json!(["halt_poll_success_ns", "halt_poll_fail_ns"]);
    let of_halt_polls =
        json!({ "target": "vcpu", "providers": [{ "provider": "kvm", "names": halt_polls }] });
    let stats = json!({ "path": "/machine/peripheral/balloon0", "property": "guest-stats" });
    [
        ("query-status", json!({})),
        ("query-name", json!({})),
        ("query-uuid", json!({})),
        ("query-balloon", json!({})),
        ("qom-list", json!({ "path": "/machine/peripheral" })),
        ("qom-list", json!({ "path": "/machine/peripheral-anon" })),
        ("qom-get", stats),
        ("query-memory-size-summary", json!({})),
        ("query-cpus-fast", json!({})),
        ("query-blockstats", json!({})),
        ("query-named-block-nodes", json!({ "flat": true })),
        ("query-iothreads", json!({})),
        ("query-dirty-rate", json!({})),
        ("query-stats-schemas", json!({})),
        ("query-stats", json!({ "target": "vm" })),
        ("query-stats", json!({ "target": "vcpu" })),
        ("query-stats", of_halt_polls),
        ("query-stats", json!({ "target": "cryptodev" })),
    ]
    .into_iter()
    .map(|(command, arguments)| json!({ "execute": command, "arguments": arguments }))
    .collect()
}

impl Recording {
    /// Boots a guest that has one of everything, with this QEMU, and queries it.
    #[must_use]
    pub fn of(qemu: &Path) -> Self {
        let guest = boot(qemu);
        let mut side = guest.side();
        let greeting = side.greeting.clone();
        let queries = queries().into_iter().map(|mut query| {
            let command = query["execute"].as_str().unwrap().to_owned();
            let answer = side.try_ask(&command, query["arguments"].clone()).unwrap();
            let (word, answer) = match answer {
                Ok(answer) => ("return", answer),
                Err(error) => ("error", error),
            };
            query[word] = answer;
            let dir = guest.dir.display().to_string();
            let text = query.to_string().replace(&dir, IMAGES).replace(guest.name(), "recorded");
            serde_json::from_str(&text).unwrap()
        });
        Self { greeting, queries: queries.collect() }
    }

    /// Reads a recording.
    #[must_use]
    pub fn read(dir: &Path) -> Self {
        let text = fs::read_to_string(dir.join("conversation.jsonl")).unwrap();
        let mut lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        Self { greeting: lines.next().unwrap(), queries: lines.collect() }
    }

    /// Writes the recording to its place, and returns its directory.
    #[must_use]
    pub fn write(&self) -> PathBuf {
        let version = &self.greeting["QMP"]["version"]["qemu"];
        let [major, minor, micro] = ["major", "minor", "micro"].map(|part| &version[part]);
        let dir = directory().join(format!("qemu-{major}.{minor}.{micro}"));
        fs::create_dir_all(&dir).unwrap();
        let lines = std::iter::once(&self.greeting).chain(&self.queries);
        let text: String = lines.map(|line| format!("{line}\n")).collect();
        fs::write(dir.join("conversation.jsonl"), text).unwrap();
        dir
    }

    /// Returns the reply to a command; for one that was not recorded, an error with a class of its
    /// own.
    #[must_use]
    pub fn answer(&self, command: &Value) -> String {
        let arguments = command.get("arguments").cloned().unwrap_or_else(|| json!({}));
        let is_it = |query: &&Value| {
            query["execute"] == command["execute"] && query["arguments"] == arguments
        };
        let Some(query) = self.queries.iter().find(is_it) else {
            let text = format!("{command} was not recorded");
            return json!({ "error": { "class": "NotRecorded", "desc": text } }).to_string();
        };
        match query.get("return") {
            Some(answer) => json!({ "return": answer }).to_string(),
            None => json!({ "error": query["error"] }).to_string(),
        }
    }
}

fn boot(qemu: &Path) -> Guest {
    let spec = Spec::new("recorded").program(qemu).kvm().vcpus(2, 4).iothreads(2).balloon();
    let dir = lab().path(spec.name());
    fs::create_dir_all(&dir).unwrap();
    let mut chain = image::raw(&dir, "base");
    for (name, format) in [("middle", "raw"), ("top", "qcow2")] {
        chain = image::qcow2_above(&chain, format, &dir, name);
    }
    let node =
        format!("driver=qcow2,node-name=top,file.driver=file,file.filename={}", chain.display());
    let timed = image::raw(&dir, "timed");
    let drive = format!(
        "file={},format=raw,if=none,id=timed,stats-intervals.0=60,stats-intervals.1=3600",
        timed.display()
    );
    let guest = spec
        .raw_disks(1)
        .overlay_disks(1)
        .running()
        .options(["-blockdev", &node, "-blockdev", "driver=copy-on-read,node-name=copy,file=top"])
        .options(["-device", "virtio-blk-pci,id=chain,drive=copy"])
        .options(["-drive", &drive, "-device", "virtio-blk-pci,id=virtio-disk4,drive=timed"])
        .options(["-device", "ide-cd,id=sata0-0-0"])
        .boot();
    let mut side = guest.side();
    let disk = "/machine/peripheral/disk0/virtio-backend";
    let boundaries = json!({ "id": disk, "boundaries": [10_000, 100_000, 1_000_000] });
    side.ask_with("block-latency-histogram-set", boundaries);
    let threshold = json!({ "node-name": "file1", "write-threshold": 3 << 20 });
    side.ask_with("block-set-write-threshold", threshold);
    measure_dirty_rate(&mut side);
    wait_until_busy(&mut side);
    side.ask("stop");
    drop(side);
    guest
}

/// Waits until the boot sector uses its disk.
fn wait_until_busy(side: &mut Qmp) {
    let deadline = Instant::now() + PATIENCE;
    let mut written = || {
        let disks = side.ask("query-blockstats");
        let disks = disks.as_array().unwrap().iter();
        disks.map(|disk| disk["stats"]["wr_operations"].as_u64().unwrap()).max()
    };
    while written() < Some(100) {
        assert!(Instant::now() < deadline, "the guest wrote nothing");
        thread::sleep(Duration::from_millis(10));
    }
}

fn measure_dirty_rate(side: &mut Qmp) {
    side.ask_with("calc-dirty-rate", json!({ "calc-time": 1 }));
    while side.ask("query-dirty-rate")["status"] != "measured" {
        thread::sleep(Duration::from_millis(100));
    }
}
