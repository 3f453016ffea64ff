//! The disks of a real libvirtd's guest, with chains, filters and running jobs: the same as in
//! `virsh domstats --block`, and their images as in `--backing`.

use std::{
    os::unix::fs::{FileExt, chown},
    path::{Path, PathBuf},
};

use domstats::{Connect, StatsGroups, StatsOptions, StatsRequest};
use domstats_live::{
    alone,
    compare::params,
    image,
    lab::{NOBODY, lab},
    libvirt::{Libvirt, LibvirtGuest},
    oracle::Params,
    patience::PATIENCE,
};
use serde_json::Value;

use crate::guests::is_invented;

/// Gives an image to the user `nobody`, who runs the guests.
fn owned(path: PathBuf) -> PathBuf {
    chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
    path
}

/// Creates a chain of three images, each with data that the one above it lacks.
fn chain(dir: &Path) -> PathBuf {
    let base = owned(image::raw(dir, "chain-base"));
    let middle = owned(image::qcow2_above(&base, "raw", dir, "chain-middle"));
    let top = owned(image::qcow2_above(&middle, "qcow2", dir, "chain-top"));
    for (path, write) in [(&middle, "write 0 4M"), (&top, "write 0 2M")] {
        let mut command = lab().command("qemu-io");
        lab().run(command.args(["-f", "qcow2", "-c", write]).arg(path));
    }
    top
}

/// A disk that is a slice of a file.
fn part(target: &str, format: &str, path: &Path) -> String {
    format!(
        "<disk type='file' device='disk'>
           <driver name='qemu' type='{format}'/>
           <source file='{}'>
             <slices><slice type='storage' offset='1048576' size='2097152'/></slices>
           </source>
           <target dev='{target}' bus='virtio'/>
         </disk>",
        path.display()
    )
}

/// Puts a qcow2 image into a file at an offset of one MiB.
fn within(dir: &Path) -> PathBuf {
    let base = owned(image::raw(dir, "within-base"));
    let image = std::fs::read(image::qcow2_above(&base, "raw", dir, "within")).unwrap();
    let path = dir.join("container");
    let file = std::fs::File::create(&path).unwrap();
    file.write_all_at(&image, 1 << 20).unwrap();
    file.set_len(8 << 20).unwrap();
    owned(path)
}

/// A guest with a disk on every bus that libvirt supports without USB, and two that are slices of
/// files; `vdc` has the chain.
fn guest(libvirt: &Libvirt) -> LibvirtGuest {
    let disk = |device: &str, bus: &str, target: &str, format: &str, path: &Path, more: &str| {
        format!(
            "<disk type='file' device='{device}'>
               <driver name='qemu' type='{format}' {more}/>
               <source file='{}'/>
               <target dev='{target}' bus='{bus}'/>
               <iotune><total_iops_sec>1000</total_iops_sec></iotune>
             </disk>",
            path.display()
        )
    };
    let raw = |name: &str| owned(image::raw(&libvirt.dir, name));
    let devices = [
        disk(
            "disk",
            "virtio",
            "vdc",
            "qcow2",
            &chain(&libvirt.dir),
            "copy_on_read='on' cache='none'",
        ),
        disk("disk", "ide", "hdc", "raw", &raw("ide"), ""),
        disk("disk", "scsi", "sdb", "raw", &raw("scsi"), ""),
        disk("floppy", "fdc", "fda", "raw", &raw("floppy"), ""),
        part("vdd", "raw", &owned(image::raw(&libvirt.dir, "part"))),
        part("vde", "qcow2", &within(&libvirt.dir)),
        "<controller type='scsi' model='virtio-scsi'/>".to_owned(),
        "<disk type='file' device='cdrom'>
           <target dev='sda' bus='sata'/>
           <readonly/>
         </disk>"
            .to_owned(),
    ];
    libvirt.create_with("disks", &devices.concat())
}

/// Returns the entries of the block group, each with its fields.
fn entries(params: &Params) -> Vec<Params> {
    let count = params["block.count"].as_u64().unwrap();
    let entry = |number| {
        let prefix = format!("block.{number}.");
        let fields = params.iter();
        let fields =
            fields.filter_map(|(key, value)| Some((key.strip_prefix(&prefix)?, value.clone())));
        fields.map(|(key, value)| (key.to_owned(), value)).collect()
    };
    (0..count).map(entry).collect()
}

/// Checks that we have every field of libvirt's entries, and that the entries are the same ones in
/// the same order. `moving` are fields that a job changes. Returns the number of entries.
fn compare(libvirt: &Libvirt, guest: &LibvirtGuest, backing: bool, moving: &[&str]) -> usize {
    let options: &[&str] = if backing { &["--block", "--backing"] } else { &["--block"] };
    let theirs = entries(&libvirt.domstats(guest, options));
    let flag = if backing { StatsOptions::BACKING } else { StatsOptions::empty() };
    let request = StatsRequest::new().groups(StatsGroups::BLOCK).options(flag).timeout(PATIENCE);
    let report = Connect::open("qemu+qmp:///system").unwrap().all_domain_stats(&request).unwrap();
    let record = report.domain(&guest.name).unwrap();
    assert_eq!(record.missing, []);
    let ours = entries(&params(record));
    let places = |entries: &[Params]| {
        let place = |entry: &Params| {
            // libvirt 12 gives a drive without a medium a number that it does not report, and
            // neither does QEMU.
            let index = entry.get("path").and(entry.get("backingIndex"));
            [entry.get("name"), entry.get("path"), index].map(Option::<&Value>::cloned)
        };
        entries.iter().map(place).collect::<Vec<_>>()
    };
    assert_eq!(places(&ours), places(&theirs), "{backing}");
    for (ours, theirs) in ours.iter().zip(&theirs) {
        for (key, value) in theirs {
            let is_without_medium = key == "backingIndex" && !theirs.contains_key("path");
            let is_excused =
                moving.contains(&key.as_str()) || is_without_medium || is_invented(key, value);
            assert!(is_excused || ours.get(key) == Some(value), "{key}: {theirs:?} {ours:?}");
        }
    }
    ours.len()
}

fn virsh(libvirt: &Libvirt, command: &str) {
    lab().run(&mut libvirt.virsh(&command.split(' ').collect::<Vec<_>>()));
}

#[test]
fn disks_chains_and_running_jobs_are_those_of_virsh() {
    alone!();
    let libvirt = Libvirt::start();
    let guest = guest(&libvirt);
    let name = &guest.name;
    virsh(&libvirt, &format!("domblkthreshold {name} vdc 3145728"));
    compare(&libvirt, &guest, false, &[]);
    let images = compare(&libvirt, &guest, true, &[]);

    let [copy, scratch] = ["copy", "scratch"].map(|name| libvirt.dir.join(name));
    let slowly = "--bandwidth 65536 --bytes";
    let moving = ["allocation", "physical"];

    virsh(
        &libvirt,
        &format!("blockcopy {name} vdc --format qcow2 {slowly} --dest {}", copy.display()),
    );
    compare(&libvirt, &guest, false, &moving);
    assert_eq!(compare(&libvirt, &guest, true, &moving), images + 1);
    virsh(&libvirt, &format!("blockjob {name} vdc --abort"));

    virsh(&libvirt, &format!("blockcommit {name} vdc --active {slowly}"));
    for backing in [false, true] {
        compare(&libvirt, &guest, backing, &moving);
    }
    virsh(&libvirt, &format!("blockjob {name} vdc --abort"));

    let backup = format!(
        "<domainbackup mode='pull'>
           <server transport='unix' socket='{}'/>
           <disks><disk name='vdc' backup='yes' type='file'><scratch file='{}'/></disk></disks>
         </domainbackup>",
        libvirt.dir.join("nbd").display(),
        scratch.display()
    );
    let file = libvirt.dir.join("backup.xml");
    std::fs::write(&file, backup).unwrap();
    virsh(&libvirt, &format!("backup-begin {name} {}", file.display()));
    compare(&libvirt, &guest, false, &[]);
    assert_eq!(compare(&libvirt, &guest, true, &[]), images + 1);
    virsh(&libvirt, &format!("domjobabort {name}"));
    assert_eq!(compare(&libvirt, &guest, true, &[]), images);

    // Into one image.
    virsh(&libvirt, &format!("blockpull {name} vdc --wait"));
    assert!(compare(&libvirt, &guest, true, &[]) < images);
}
