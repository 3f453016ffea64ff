//! Disks of every kind: chains of images, filters, running jobs, drives without a medium.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use domstats::{
    Connect, StatsGroups, StatsOptions, StatsRequest,
    stats::{Block, Blocks, LatencyHistogram},
};
use domstats_live::{
    alone,
    guest::{Guest, Spec},
    image::{self, CAPACITY},
    lab::lab,
    patience::{PATIENCE, wait_until},
    qmp::Qmp,
};
use serde_json::{Value, json};

const POLICIES: [&str; 2] = ["qemu+qmp:///system", "qemu+qmp:///system?monitor_policy=hold"];

fn ask(connect: &Connect, guest: &Guest, options: StatsOptions) -> Blocks {
    let request = StatsRequest::new().groups(StatsGroups::BLOCK).options(options).timeout(PATIENCE);
    let report = connect.all_domain_stats(&request).unwrap();
    let record = report.domain(guest.name()).unwrap();
    assert_eq!(record.missing, []);
    let blocks = record.block.clone().unwrap();
    assert_eq!(blocks.count, Some(u32::try_from(blocks.blocks.len()).unwrap()));
    blocks
}

fn disks(guest: &Guest) -> Vec<Block> {
    let connect = Connect::open(POLICIES[0]).unwrap();
    ask(&connect, guest, StatsOptions::empty()).blocks
}

fn images(guest: &Guest) -> Vec<Block> {
    let connect = Connect::open(POLICIES[0]).unwrap();
    ask(&connect, guest, StatsOptions::BACKING).blocks
}

fn disk<'a>(disks: &'a [Block], name: &str) -> &'a Block {
    let names: Vec<_> = disks.iter().map(|disk| &disk.name).collect();
    let mut found = disks.iter().filter(|disk| disk.name.as_deref() == Some(name));
    let disk = found.next().unwrap_or_else(|| panic!("no {name} in {names:?}"));
    assert!(found.next().is_none(), "two of {name} in {names:?}");
    disk
}

/// An image's disk name, path, and number in the chain.
type Place = (String, Option<String>, Option<u32>);

fn places(blocks: &[Block]) -> Vec<Place> {
    let place = |block: &Block| {
        (block.name.clone().unwrap().into(), block.path.clone(), block.backing_index)
    };
    blocks.iter().map(place).collect()
}

/// Creates a directory for the images of a test.
fn directory() -> PathBuf {
    let dir = lab().path(lab().name("images"));
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// A raw image, and two qcow2 images above it; a guest uses the last one.
fn chain(dir: &Path) -> [PathBuf; 3] {
    let base = image::raw(dir, "base");
    let middle = image::qcow2_above(&base, "raw", dir, "middle");
    let top = image::qcow2_above(&middle, "qcow2", dir, "top");
    [top, middle, base]
}

fn qcow2(path: &Path, node: &str) -> [String; 2] {
    let path = path.display();
    let driver = format!("driver=qcow2,node-name={node},file.driver=file,file.filename={path}");
    ["-blockdev".to_owned(), driver]
}

fn virtio(id: &str, node: &str) -> [String; 2] {
    ["-device".to_owned(), format!("virtio-blk-pci,id={id},drive={node}")]
}

fn text(path: &Path) -> Option<String> {
    Some(path.display().to_string())
}

#[test]
fn a_chain_of_three_images_is_one_disk_or_three_images() {
    alone!();
    let chain = chain(&directory());
    let guest =
        Spec::new("chain").options(qcow2(&chain[0], "top")).options(virtio("data", "top")).boot();
    for uri in POLICIES {
        let connect = Connect::open(uri).unwrap();
        let disks = ask(&connect, &guest, StatsOptions::empty()).blocks;
        assert_eq!(places(&disks), [("data".to_owned(), text(&chain[0]), None)]);

        let images = ask(&connect, &guest, StatsOptions::BACKING).blocks;
        assert_eq!(
            places(&images),
            [
                ("data".to_owned(), text(&chain[0]), None),
                ("data".to_owned(), text(&chain[1]), Some(1)),
                ("data".to_owned(), text(&chain[2]), Some(2)),
            ]
        );
        assert_eq!(images[0], disks[0]);
        for (image, path) in images.iter().zip(&chain) {
            assert_eq!(image.capacity, Some(CAPACITY));
            assert_eq!(image.physical, Some(fs::metadata(path).unwrap().blocks() * 512));
            assert_eq!(image.allocation, Some(0));
        }
        // Only what the guest uses has requests.
        assert!(images[0].rd_reqs.is_some() && images[0].fl_times.is_some());
        assert!(images[1..].iter().all(|image| image.rd_reqs.is_none() && image.errors.is_none()));
    }
}

#[test]
fn filters_are_not_images() {
    alone!();
    let dir = directory();
    let [copied, throttled, slow] = ["copied", "throttled", "slow"].map(|name| {
        let base = image::raw(&dir, &format!("{name}-base"));
        image::qcow2_above(&base, "raw", &dir, name)
    });
    let slow_file = format!("driver=file,node-name=file,filename={}", slow.display());
    let guest = Spec::new("filters")
        .options(["-object", "throttle-group,id=group,x-iops-total=1000"])
        .options(qcow2(&copied, "copied"))
        .options(["-blockdev", "driver=copy-on-read,node-name=copy,file=copied"])
        .options(virtio("copied", "copy"))
        .options(qcow2(&throttled, "throttled"))
        .options([
            "-blockdev",
            "driver=throttle,node-name=above,throttle-group=group,file=throttled",
        ])
        .options(["-blockdev", "driver=copy-on-read,node-name=both,file=above"])
        .options(virtio("throttled", "both"))
        // Between the format and the file.
        .options(["-blockdev", &slow_file])
        .options(["-blockdev", "driver=throttle,node-name=below,throttle-group=group,file=file"])
        .options(["-blockdev", "driver=qcow2,node-name=slow,file=below"])
        .options(virtio("slow", "slow"))
        .boot();
    let mut expected = Vec::new();
    for (name, path) in [("copied", &copied), ("throttled", &throttled), ("slow", &slow)] {
        let base = dir.join(format!("{name}-base.img"));
        expected.push((name.to_owned(), text(path), None));
        expected.push((name.to_owned(), text(&base), Some(1)));
    }
    let images = images(&guest);
    assert_eq!(places(&images), expected);
    // Opening an image for copy-on-read writes to it: compares with what QEMU reports about the
    // node.
    let nodes = guest.side().ask_with("query-blockstats", json!({ "query-nodes": true }));
    let nodes = nodes.as_array().unwrap();
    for (disk, node) in [(&images[0], "copied"), (&images[2], "throttled"), (&images[4], "slow")] {
        let node = nodes.iter().find(|found| found["node-name"] == node).unwrap();
        let mut file = &node["parent"];
        if file["node-name"] == "below" {
            file = &file["parent"];
        }
        assert_eq!(Some(&json!(disk.allocation)), file["stats"].get("wr_highest_offset"));
        assert_eq!(disk.capacity, Some(CAPACITY));
    }
    assert_eq!(places(&disks(&guest)).len(), 3);
}

/// Starts a slow job of QEMU on the node `top`; `scratch` is for it to write to.
fn start(side: &mut Qmp, job: &str, scratch: &Path) {
    if matches!(job, "blockdev-mirror" | "blockdev-backup") {
        let file = json!({ "driver": "file", "filename": scratch });
        let node = json!({ "driver": "qcow2", "node-name": "scratch", "file": file });
        side.ask_with("blockdev-add", node);
    }
    let mut arguments = json!({ "device": "top", "job-id": "job", "speed": 1 << 16 });
    let more = match job {
        "blockdev-mirror" | "blockdev-backup" => json!({ "target": "scratch", "sync": "full" }),
        "drive-mirror" => json!({ "target": scratch, "sync": "full", "mode": "existing" }),
        // Of the image that the guest uses, and of the one below it.
        "block-commit" => json!({ "base-node": "middle" }),
        "block-commit of the middle" => json!({ "top-node": "middle", "base-node": "base" }),
        "block-stream" => json!({}),
        other => panic!("no job {other}"),
    };
    arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    // libvirt names a job's filter: QEMU does not hide it then.
    if !matches!(job, "drive-mirror") {
        arguments["filter-node-name"] = "filter".into();
    }
    side.ask_with(job.split(' ').next().unwrap(), arguments);
    let deadline = Instant::now() + PATIENCE;
    while side.ask("query-block-jobs").as_array().unwrap().is_empty() {
        assert!(Instant::now() < deadline, "{job} does not run");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_running_job_changes_no_disk_and_no_chain() {
    alone!();
    for job in [
        "blockdev-mirror",
        "drive-mirror",
        "blockdev-backup",
        "block-commit",
        "block-commit of the middle",
        "block-stream",
    ] {
        let dir = directory();
        let chain = chain(&dir);
        // Every image has data that the one above it lacks.
        for (path, write) in chain.iter().zip(["write 0 2M", "write 0 4M"]) {
            let mut command = lab().command("qemu-io");
            lab().run(command.args(["-f", "qcow2", "-c", write]).arg(path));
        }
        let scratch = image::qcow2_above(&chain[2], "raw", &dir, "scratch");
        let mut nodes = format!(
            "driver=qcow2,node-name=top,file.driver=file,file.filename={}",
            chain[0].display()
        );
        nodes.push_str(",backing.node-name=middle,backing.backing.node-name=base");
        nodes.push_str(",backing.driver=qcow2,backing.file.driver=file,backing.backing.driver=raw");
        nodes.push_str(",backing.backing.file.driver=file");
        nodes.push_str(&format!(",backing.file.filename={}", chain[1].display()));
        nodes.push_str(&format!(",backing.backing.file.filename={}", chain[2].display()));
        let guest = Spec::new("job")
            .options(["-blockdev", &nodes])
            .options(virtio("data", "top"))
            .raw_disks(1)
            .boot();
        let before = [disks(&guest), images(&guest)];
        assert_eq!(before[1].len(), 4);
        let mut side = guest.side();
        start(&mut side, job, &scratch);
        let during = [disks(&guest), images(&guest)];
        let jobs = side.ask("query-block-jobs");
        assert_eq!(jobs.as_array().unwrap().len(), 1, "{job} still runs");
        // A job's target comes after the chain.
        let is_copy = matches!(job, "blockdev-mirror" | "drive-mirror" | "blockdev-backup");
        let copies: Vec<_> = during[1][before[1].len()..].iter().map(|copy| &copy.path).collect();
        let expected = text(&scratch);
        assert_eq!(copies, if is_copy { vec![&expected] } else { vec![] }, "{job}");
        for (before, during) in before.iter().zip(&during) {
            let during = &during[..before.len()];
            assert_eq!(places(during), places(before), "{job}");
            for (before, during) in before.iter().zip(during) {
                assert_eq!(during.capacity, before.capacity, "{job}");
                assert_eq!(during.rd_reqs, before.rd_reqs, "{job} is not the guest");
                assert!(during.allocation >= before.allocation, "{job}");
            }
        }
    }
}

#[test]
fn a_drive_without_a_medium_has_no_sizes() {
    alone!();
    let guest = Spec::new("cd")
        .options(["-device", "ide-cd,id=sata0-0-0,bus=ide.0,unit=0"])
        .options(["-drive", "if=none,id=backend,media=cdrom"])
        .options(["-device", "ide-cd,id=cd,drive=backend,bus=ide.0,unit=1"])
        .boot();
    let empty = |disks: &[Block], name| {
        let disk = disk(disks, name);
        assert_eq!([disk.rd_reqs, disk.wr_bytes, disk.fl_times], [Some(0); 3]);
        assert_eq!((&disk.path, disk.backing_index), (&None, None));
        assert_eq!([disk.allocation, disk.capacity, disk.physical], [None; 3]);
    };
    for disks in [disks(&guest), images(&guest)] {
        assert_eq!(disks.len(), 2);
        // The first one has an id as from libvirt, and so gets libvirt's name.
        empty(&disks, "sda");
        empty(&disks, "cd");
    }

    let medium = image::raw(&guest.dir, "medium");
    let insert = json!({ "id": "cd", "filename": medium, "format": "raw" });
    guest.side().ask_with("blockdev-change-medium", insert);
    let inserted = disks(&guest);
    let cd = disk(&inserted, "cd");
    assert_eq!((&cd.path, cd.capacity), (&text(&medium), Some(CAPACITY)));
    empty(&inserted, "sda");

    guest.side().ask_with("eject", json!({ "id": "cd", "force": true }));
    empty(&disks(&guest), "cd");
}

#[test]
fn disks_on_every_bus() {
    alone!();
    let dir = directory();
    let mut spec = Spec::new("buses")
        .options(["-device", "virtio-scsi-pci,id=scsi"])
        .options(["-device", "nec-usb-xhci,id=usb"]);
    let devices = [
        ("hd", "ide-hd,id=hd"),
        ("lun", "scsi-hd,id=lun,bus=scsi.0"),
        ("stick", "usb-storage,id=stick,bus=usb.0"),
        ("flash", "nvme,id=flash,serial=1"),
        ("fd", "floppy,id=fd"),
        ("virtio", "virtio-blk-pci,id=virtio"),
    ];
    for (name, device) in devices {
        let path = image::raw(&dir, name);
        // A file used directly, without the format `raw` above it: as in new versions of libvirt.
        let node = format!("driver=file,node-name={name},filename={}", path.display());
        let device = format!("{device},drive={name}");
        spec = spec.options(["-blockdev", &node, "-device", &device]);
    }
    let guest = spec.boot();
    let disks = disks(&guest);
    assert_eq!(disks.len(), devices.len());
    for (name, _) in devices {
        let disk = disk(&disks, name);
        let path = dir.join(format!("{name}.img"));
        assert_eq!(disk.path, text(&path));
        assert_eq!(disk.physical, Some(fs::metadata(path).unwrap().blocks() * 512));
        // QEMU rounds a floppy up to an existing format; this one is larger than any.
        assert_eq!((disk.capacity, disk.allocation), (Some(CAPACITY), Some(0)), "{name}");
        assert_eq!(disk.rd_reqs, Some(0));
    }
}

#[test]
fn a_network_image_has_no_path() {
    alone!();
    let dir = directory();
    let (path, socket) = (image::raw(&dir, "served"), dir.join("nbd"));
    let mut server = lab().command("qemu-nbd");
    server.args(["--persistent", "--format=raw", "--socket"]).args([&socket, &path]);
    let mut server = server.spawn().unwrap();
    wait_until(PATIENCE, "qemu-nbd does not serve", || socket.exists());
    let node = format!(
        "driver=raw,node-name=net,file.driver=nbd,file.server.type=unix,file.server.path={}",
        socket.display()
    );
    let guest = Spec::new("nbd").options(["-blockdev", &node]).options(virtio("net", "net")).boot();
    let disks = disks(&guest);
    drop(guest);
    server.kill().unwrap();
    server.wait().unwrap();
    let disk = disk(&disks, "net");
    assert_eq!((&disk.path, disk.capacity), (&None, Some(CAPACITY)));
    // How much it takes on the other host is unknown here.
    assert_eq!(disk.physical, None);
}

#[test]
fn the_threshold_is_the_files() {
    alone!();
    let guest = Spec::new("threshold").raw_disks(2).boot();
    let set = json!({ "node-name": "file1", "write-threshold": 3 << 20 });
    guest.side().ask_with("block-set-write-threshold", set);
    let disks = disks(&guest);
    assert_eq!([disks[0].threshold, disks[1].threshold], [None, Some(3 << 20)]);
}

/// Returns the counters of a disk of a guest that does not run, as its monitor reports them.
fn told(guest: &Guest, qdev: &str) -> Value {
    let disks = guest.side().ask("query-blockstats");
    let mut disks = disks.as_array().unwrap().iter();
    disks.find(|disk| disk["qdev"].as_str().unwrap().contains(qdev)).unwrap()["stats"].clone()
}

fn bins(histogram: Option<&LatencyHistogram>) -> (Vec<u64>, Vec<u64>) {
    let bins = &histogram.unwrap().bins;
    bins.iter().map(|bin| (bin.start.unwrap(), bin.value.unwrap())).unzip()
}

#[test]
fn latencies_are_counted_in_bins_once_qemu_counts_them() {
    alone!();
    let guest = Spec::new("latency").raw_disks(2).running().boot();
    let none = disks(&guest);
    assert!(none.iter().all(|disk| disk.read_histogram.is_none()));
    let disk = "/machine/peripheral/disk0/virtio-backend";
    let set = json!({ "id": disk, "boundaries": [1_000, 50_000, 1_000_000] });
    guest.side().ask_with("block-latency-histogram-set", set);
    wait_until(PATIENCE, "the guest does not use its disk", || {
        told(&guest, "disk0")["wr_operations"].as_u64() > Some(0)
    });
    guest.side().ask("stop");
    let disks = disks(&guest);
    let told = told(&guest, "disk0");
    let mut requests = 0;
    for (histogram, key) in [
        (&disks[0].read_histogram, "rd_latency_histogram"),
        (&disks[0].write_histogram, "wr_latency_histogram"),
        (&disks[0].flush_histogram, "flush_latency_histogram"),
    ] {
        let (starts, values) = bins(histogram.as_ref());
        assert_eq!(starts, [0, 1_000, 50_000, 1_000_000]);
        assert_eq!(json!(values), told[key]["bins"], "{key}");
        requests += values.iter().sum::<u64>();
    }
    assert!(requests > 0, "{told}");
    // An older QEMU has no zones.
    let zones = told.get("zone_append_latency_histogram");
    assert_eq!(disks[0].zone_append_histogram.is_some(), zones.is_some());
    assert!(disks[1].read_histogram.is_none());
}

#[test]
fn drives_with_intervals_have_timed_groups() {
    alone!();
    let dir = directory();
    let path = image::raw(&dir, "timed");
    // Devices can have intervals since QEMU 10.2; legacy drives always could.
    let drive = format!(
        "file={},format=raw,if=none,id=timed,stats-intervals.0=1,stats-intervals.1=60",
        path.display()
    );
    let guest = Spec::new("timed")
        .options(["-drive", &drive])
        .options(["-device", "virtio-blk-pci,id=timed,drive=timed,bootindex=0"])
        .running()
        .boot();
    wait_until(PATIENCE, "the guest does not use its disk", || {
        told(&guest, "timed")["wr_operations"].as_u64() > Some(0)
    });
    guest.side().ask("stop");
    let disks = disks(&guest);
    let told = told(&guest, "timed");
    let disk = disk(&disks, "timed");
    assert_eq!(disk.timed_group_count, Some(2));
    assert_eq!(disk.timed_groups.len(), 2);
    for (group, told) in disk.timed_groups.iter().zip(told["timed_stats"].as_array().unwrap()) {
        assert_eq!(json!(group.interval), told["interval_length"]);
        assert_eq!(json!(group.zone_append_latency_max), told["max_zone_append_latency_ns"]);
    }
    // The minute is not over: its numbers stay the same while the guest is stopped.
    let (group, told) = (&disk.timed_groups[1], &told["timed_stats"][1]);
    for (value, key) in [
        (group.rd_latency_min, "min_rd_latency_ns"),
        (group.rd_latency_max, "max_rd_latency_ns"),
        (group.rd_latency_avg, "avg_rd_latency_ns"),
        (group.wr_latency_min, "min_wr_latency_ns"),
        (group.wr_latency_max, "max_wr_latency_ns"),
        (group.wr_latency_avg, "avg_wr_latency_ns"),
        (group.flush_latency_max, "max_flush_latency_ns"),
    ] {
        assert_eq!(json!(value), told[key], "{key}");
    }
    assert!(group.wr_latency_max > Some(0), "{told}");
    assert!(group.wr_queue_depth_avg.is_some() && group.rd_queue_depth_avg.is_some());
}
