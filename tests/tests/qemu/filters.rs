//! What lies between a disk and its file: filters, slices of a file, several files at once.

use std::{
    fs,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
};

use domstats::{Connect, StatsGroups, StatsOptions, StatsRequest, stats::Block};
use domstats_live::{
    alone,
    guest::{Guest, Spec},
    image::{self, CAPACITY},
    lab::lab,
    patience::PATIENCE,
};
use serde_json::{Value, json};

const POLICIES: [&str; 2] = ["qemu+qmp:///system", "qemu+qmp:///system?monitor_policy=hold"];

/// The disks of a guest, with or without all their images.
fn blocks(policy: &str, guest: &Guest, options: StatsOptions) -> Vec<Block> {
    let request = StatsRequest::new().groups(StatsGroups::BLOCK).options(options).timeout(PATIENCE);
    let report = Connect::open(policy).unwrap().all_domain_stats(&request).unwrap();
    let record = report.domain(guest.name()).unwrap();
    assert_eq!(record.missing, []);
    record.block.clone().unwrap().blocks
}

fn blockdev(node: Value) -> [String; 2] {
    ["-blockdev".to_owned(), node.to_string()]
}

fn virtio(id: &str) -> [String; 2] {
    ["-device".to_owned(), format!("virtio-blk-pci,id={id},drive={id}")]
}

fn directory() -> PathBuf {
    let dir = lab().path(lab().name("images"));
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// Puts a qcow2 image above a raw one into a file, at an offset of one MiB.
fn within(dir: &Path) -> PathBuf {
    let base = image::raw(dir, "within-base");
    let image = fs::read(image::qcow2_above(&base, "raw", dir, "within")).unwrap();
    let path = dir.join("container");
    let file = fs::File::create(&path).unwrap();
    file.write_all_at(&image, 1 << 20).unwrap();
    file.set_len(8 << 20).unwrap();
    path
}

#[test]
fn nodes_between_a_disk_and_its_file_are_not_images() {
    alone!();
    let dir = directory();
    let raw = |name: &str| image::raw(&dir, name);
    let qcow2 = |name: &str| image::qcow2_above(&raw(&format!("{name}-base")), "raw", &dir, name);
    let file = |path: &Path| json!({ "driver": "file", "filename": path });
    let [part, watched, verified, copy] = ["part", "watched", "verified", "copy"].map(raw);
    let [debugged, grown, packed, logged, slow] =
        ["debugged", "grown", "packed", "logged", "slow"].map(qcow2);
    let container = within(&dir);
    let log = dir.join("log");
    fs::File::create(&log).unwrap().set_len(8 << 20).unwrap();
    let slice = |path: &Path, size: u64| json!({ "driver": "raw", "offset": 1 << 20, "size": size, "file": file(path) });
    let format = |below: Value| json!({ "driver": "qcow2", "file": below });
    // Each disk, its file, the size that the guest sees, and its number of images.
    let disks = [
        ("part", &part, 2 << 20, 1, slice(&part, 2 << 20)),
        ("within", &container, CAPACITY, 2, format(slice(&container, 5 << 20))),
        (
            "watched",
            &watched,
            CAPACITY,
            1,
            json!({ "driver": "raw", "file": { "driver": "blkdebug", "image": file(&watched) } }),
        ),
        (
            "debugged",
            &debugged,
            CAPACITY,
            2,
            format(json!({ "driver": "blkdebug", "image": file(&debugged) })),
        ),
        (
            "verified",
            &verified,
            CAPACITY,
            1,
            json!({ "driver": "blkverify", "raw": file(&verified), "test": file(&copy) }),
        ),
        (
            "grown",
            &grown,
            CAPACITY,
            2,
            format(json!({ "driver": "preallocate", "file": file(&grown) })),
        ),
        (
            "packed",
            &packed,
            CAPACITY,
            2,
            json!({ "driver": "compress", "file": format(file(&packed)) }),
        ),
        (
            "logged",
            &logged,
            CAPACITY,
            2,
            json!({ "driver": "blklogwrites", "file": format(file(&logged)), "log": file(&log) }),
        ),
        (
            "slow",
            &slow,
            CAPACITY,
            2,
            json!({ "driver": "copy-on-read", "file": { "driver": "throttle", "throttle-group": "group",
                "file": format(json!({ "driver": "throttle", "throttle-group": "group",
                    "file": file(&slow) })) } }),
        ),
    ];
    let mut spec = Spec::new("between").options(["-object", "throttle-group,id=group"]);
    for (name, .., node) in &disks {
        let mut node = node.clone();
        node["node-name"] = json!(name);
        spec = spec.options(blockdev(node)).options(virtio(name));
    }
    let guest = spec.boot();
    for policy in POLICIES {
        let found = blocks(policy, &guest, StatsOptions::empty());
        assert_eq!(found.len(), disks.len(), "{policy}");
        for (block, (name, path, capacity, ..)) in found.iter().zip(&disks) {
            let what = format!("{policy}, {name}");
            assert_eq!(block.name.as_deref(), Some(*name), "{what}");
            assert_eq!(block.path.as_deref(), path.to_str(), "{what}");
            assert_eq!(block.capacity, Some(*capacity), "{what}");
            let physical = fs::metadata(path).unwrap().blocks() * 512;
            assert_eq!(block.physical, Some(physical), "{what}");
            assert!(block.rd_reqs.is_some() && block.allocation.is_some(), "{what}");
        }
        let images = blocks(policy, &guest, StatsOptions::BACKING);
        let count =
            |name: &str| images.iter().filter(|image| image.name.as_deref() == Some(name)).count();
        for (name, _, _, expected, _) in &disks {
            assert_eq!(count(name), *expected, "{policy}, {name}");
        }
        for (image, path) in images
            .iter()
            .filter(|image| image.backing_index == Some(1))
            .zip(["within", "debugged", "grown", "packed", "logged", "slow"])
        {
            let base = dir.join(format!("{path}-base.img"));
            assert_eq!(image.path.as_deref(), base.to_str(), "{policy}, {path}");
        }
    }
}

#[test]
fn a_quorum_is_one_image_without_a_path() {
    alone!();
    let dir = directory();
    let names = ["one", "two", "three"];
    let paths = names.map(|name| image::qcow2_above(&image::raw(&dir, name), "raw", &dir, name));
    let child = |path: &PathBuf| json!({ "driver": "qcow2", "file": { "driver": "file", "filename": path } });
    let children: Vec<Value> = paths.iter().map(child).collect();
    let quorum = json!({ "driver": "quorum", "node-name": "quorum", "vote-threshold": 2,
        "children": children });
    let guest = Spec::new("quorum").options(blockdev(quorum)).options(virtio("quorum")).boot();
    // QEMU reports nothing below it: which of the three is the disk's is unknown.
    let truth = guest.side().ask("query-blockstats");
    assert!(truth[0].get("parent").is_none() && truth[0].get("backing").is_none(), "{truth}");
    let physical: u64 = paths.iter().map(|path| fs::metadata(path).unwrap().blocks() * 512).sum();
    for policy in POLICIES {
        for options in [StatsOptions::empty(), StatsOptions::BACKING] {
            let found = blocks(policy, &guest, options);
            let [disk] = &found[..] else { panic!("{policy}: {found:?}") };
            assert_eq!(disk.name.as_deref(), Some("quorum"), "{policy}");
            assert_eq!(disk.path, None, "{policy}");
            assert_eq!(disk.capacity, Some(CAPACITY), "{policy}");
            assert_eq!(disk.physical, Some(physical), "{policy}");
            assert_eq!(disk.rd_reqs, truth[0]["stats"]["rd_operations"].as_u64(), "{policy}");
        }
    }
}
