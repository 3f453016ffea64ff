//! A QEMU's identity and values, with the command lines that people use.

use domstats::{Connect, DomainStats, StatsGroups, StatsRequest};
use domstats_live::{
    alone,
    guest::{Guest, Spec},
    lab::lab,
    patience::{PATIENCE, wait_until},
    qmp::Qmp,
};
use serde_json::json;

const POLICIES: [&str; 2] = ["qemu+qmp:///system", "qemu+qmp:///system?monitor_policy=hold"];

fn ask(connect: &Connect, guest: &Guest, groups: StatsGroups) -> DomainStats {
    let request = StatsRequest::new().groups(groups).timeout(PATIENCE);
    connect.all_domain_stats(&request).unwrap().domain(guest.name()).unwrap().clone()
}

fn names(record: &DomainStats) -> Vec<String> {
    let blocks = record.block.as_ref().unwrap();
    blocks.blocks.iter().map(|block| block.name.as_deref().unwrap().to_owned()).collect()
}

#[test]
fn a_uuid_comes_from_qemu_if_the_command_line_has_none() {
    alone!();
    let uuid = "6f0e9e3c-0d3b-4b5e-8a55-0123456789ab";
    let smbios = Spec::new("smbios")
        .without_uuid()
        .options(["-smbios".to_owned(), format!("type=1,uuid={uuid}")])
        .boot();
    let none = Spec::new("none").without_uuid().boot();
    for policy in POLICIES {
        let connect = Connect::open(policy).unwrap();
        for call in 0..2 {
            let record = ask(&connect, &smbios, StatsGroups::STATE);
            let told = record.domain.uuid.map(|uuid| uuid.to_string());
            assert_eq!(told.as_deref(), Some(uuid), "{policy} {call}");
            assert_eq!(ask(&connect, &none, StatsGroups::STATE).domain.uuid, None);
        }
        let listed = connect.domain_by_name(smbios.name()).unwrap();
        assert_eq!(listed.uuid().unwrap().to_string(), uuid);
        assert_eq!(connect.domain_by_uuid(uuid.parse().unwrap()).unwrap().name(), smbios.name());
    }
}

#[test]
fn a_plugged_in_balloon_is_read() {
    alone!();
    for policy in POLICIES {
        let guest = Spec::new("balloon")
            .machine("q35")
            .options(["-device", "pcie-root-port,id=rp1"])
            // Otherwise the port itself unplugs what its guest has not powered on.
            .options(["-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off"])
            .boot();
        let connect = Connect::open(policy).unwrap();
        let check = |is_there: bool, what: &str| {
            let record = ask(&connect, &guest, StatsGroups::BALLOON);
            assert_eq!(record.missing, [], "{policy}: {what}");
            let balloon = record.balloon.unwrap();
            assert_eq!(balloon.actual.is_some(), is_there, "{policy}: {what}");
            assert_eq!(balloon.last_update.is_some(), is_there, "{policy}: {what}");
        };
        check(false, "as it was started");
        for id in ["first", "second"] {
            let mut side = guest.side();
            let device = json!({ "driver": "virtio-balloon-pci", "id": id, "bus": "rp1" });
            side.ask_with("device_add", device);
            check(true, id);
            side.ask_with("device_del", json!({ "id": id }));
            side.wait_for("DEVICE_DELETED");
            check(false, "unplugged");
        }
        guest
            .side()
            .ask_with("device_add", json!({ "driver": "virtio-balloon-pci", "bus": "rp1" }));
        check(true, "without an id");
    }
}

#[test]
fn the_maximum_of_vcpus_comes_from_qemu_if_necessary() {
    alone!();
    let dir = lab().path(lab().name("smp"));
    std::fs::create_dir_all(&dir).unwrap();
    let socket = dir.join("qmp");
    let mut command = lab().command("qemu-system-x86_64");
    let name = lab().name("without-smp");
    command.args(["-name", &name, "-S", "-accel", "tcg", "-m", "32", "-nodefaults"]);
    command.args(["-display", "none", "-qmp"]);
    command.arg(format!("unix:{},server=on,wait=off", socket.display()));
    let mut process = command.spawn().unwrap();
    wait_until(PATIENCE, "the monitor listens", || Qmp::connect(&socket).is_ok());
    for policy in POLICIES {
        let connect = Connect::open(policy).unwrap();
        let request = StatsRequest::new().groups(StatsGroups::VCPU);
        let report = connect.all_domain_stats(&request.timeout(PATIENCE)).unwrap();
        let record = report.domain(&name).unwrap();
        assert_eq!(record.missing, []);
        let vcpu = record.vcpu.as_ref().unwrap();
        assert_eq!((vcpu.current, vcpu.maximum), (Some(1), Some(1)), "{policy}");
    }
    process.kill().unwrap();
    process.wait().unwrap();
}

#[test]
fn disks_have_qemus_ids_and_flash_is_not_a_disk() {
    alone!();
    let null =
        |id: &str| ["-drive".to_owned(), format!("file=null-co://,format=raw,if=none,id={id}")];
    let dir = lab().path(lab().name("flash"));
    std::fs::write(&dir, vec![0; 128 * 1024]).unwrap();
    let guest = Spec::new("ids")
        .options(["-device", "virtio-scsi-pci,id=scsihw0", "-device", "ahci,id=ahci0"])
        .options(null("drive-scsi1"))
        .options(["-device", "scsi-hd,bus=scsihw0.0,scsi-id=1,drive=drive-scsi1,id=scsi1"])
        .options(null("drive-sata0"))
        .options(["-device", "ide-hd,bus=ahci0.0,drive=drive-sata0,id=sata0"])
        .options(null("drive-virtio0"))
        .options(["-device", "virtio-blk-pci,drive=drive-virtio0,id=virtio0"])
        .options(null("l"))
        .options(["-device", "scsi-hd,bus=scsihw0.0,scsi-id=2,drive=l,id=scsi0-0-0-2"])
        .options([
            "-drive".to_owned(),
            format!("if=pflash,format=raw,readonly=on,file={}", dir.display()),
        ])
        .boot();
    for policy in POLICIES {
        let connect = Connect::open(policy).unwrap();
        let mut names = names(&ask(&connect, &guest, StatsGroups::BLOCK));
        names.sort();
        assert_eq!(names, ["sata0", "scsi1", "sdc", "virtio0"], "{policy}");
    }
}

#[test]
fn a_sparse_image_with_a_relative_name_has_its_path_and_size() {
    alone!();
    let path = lab().path(lab().name("sparse"));
    std::fs::File::create(&path).unwrap().set_len(8 << 20).unwrap();
    // However deep the folder of the tests is, this leads to the root.
    let name = format!("{}{}", "../".repeat(30), path.strip_prefix("/").unwrap().display());
    let guest = Spec::new("sparse")
        .options(["-drive".to_owned(), format!("file={name},format=raw,if=virtio")])
        .boot();
    for policy in POLICIES {
        let connect = Connect::open(policy).unwrap();
        let record = ask(&connect, &guest, StatsGroups::BLOCK);
        let block = &record.block.unwrap().blocks[0];
        assert_eq!(block.path.as_deref(), path.to_str(), "{policy}");
        assert_eq!(
            block.physical,
            Some(8 << 20),
            "as in libvirt: the size, since there are no blocks"
        );
    }
}

#[test]
fn only_events_say_why_a_guest_runs() {
    alone!();
    let reason = |record: DomainStats| {
        let state = record.state.unwrap();
        (state.state.unwrap().word().unwrap(), state.reason.and_then(|reason| reason.word()))
    };
    let guest = Spec::new("resumed").running().boot();
    let [shared, held] = POLICIES.map(|policy| Connect::open(policy).unwrap());
    let mut side = guest.side();
    assert_eq!(reason(ask(&shared, &guest, StatsGroups::STATE)), ("running", None));
    assert_eq!(reason(ask(&held, &guest, StatsGroups::STATE)), ("running", None));
    for _ in 0..2 {
        side.ask("stop");
        assert_eq!(reason(ask(&held, &guest, StatsGroups::STATE)), ("paused", Some("user")));
        side.ask("cont");
        let again = reason(ask(&held, &guest, StatsGroups::STATE));
        assert_eq!(again, ("running", Some("unpaused")));
    }
    side.ask("stop");
    side.ask("cont");
    let at_once = reason(ask(&held, &guest, StatsGroups::STATE));
    assert_eq!(at_once, ("running", Some("unpaused")));
    held.close();
    assert_eq!(reason(ask(&shared, &guest, StatsGroups::STATE)), ("running", None));
    // Its first start: libvirt reports booted or unpaused, depending on what its user requested.
    let first = Spec::new("first").boot();
    let held = Connect::open(POLICIES[1]).unwrap();
    assert_eq!(reason(ask(&held, &first, StatsGroups::STATE)), ("paused", Some("user")));
    first.side().ask("cont");
    assert_eq!(reason(ask(&held, &first, StatsGroups::STATE)), ("running", None));
}

#[test]
fn discards_of_the_storage_and_batches_of_iothreads_are_read() {
    alone!();
    let dir = lab().path(lab().name("discard"));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("disk");
    std::fs::write(&path, vec![1; 8 << 20]).unwrap();
    let node = format!(
        "driver=raw,node-name=n,discard=unmap,file.driver=file,file.filename={}",
        path.display()
    );
    let guest = Spec::new("discard")
        .options(["-object", "iothread,id=iothread1,aio-max-batch=7"])
        .options(["-blockdev", &format!("{node},file.discard=unmap")])
        .options(["-device", "virtio-blk-pci,id=d,drive=n,share-rw=on"])
        .boot();
    let discard = json!({ "command-line": "qemu-io n \"discard 1M 2M\"" });
    guest.side().ask_with("human-monitor-command", discard);
    for policy in POLICIES {
        let connect = Connect::open(policy).unwrap();
        let record = ask(&connect, &guest, StatsGroups::BLOCK | StatsGroups::IOTHREAD);
        let block = &record.block.unwrap().blocks[0];
        // A file system without holes refuses it.
        let done = match block.discard_failed {
            Some(0) => [Some(1), Some(2 << 20)],
            _ => [Some(0), Some(0)],
        };
        assert_eq!([block.discard_reqs, block.discard_bytes], done, "{policy}");
        assert_eq!(record.iothread.unwrap().iothreads[0].aio_max_batch, Some(7), "{policy}");
    }
}

#[test]
fn a_pretty_printing_monitor_gives_the_same() {
    alone!();
    let dir = lab().path("pretty");
    std::fs::create_dir_all(&dir).unwrap();
    let [short, chardev] = ["short", "chardev"].map(|name| dir.join(name).display().to_string());
    let guest = Spec::full("pretty")
        .options(["-qmp-pretty".to_owned(), format!("unix:{short},server=on,wait=off")])
        .options([
            "-chardev".to_owned(),
            format!("socket,id=pretty,path={chardev},server=on,wait=off"),
            "-mon".to_owned(),
            "chardev=pretty,mode=control,pretty=on".to_owned(),
        ])
        .boot();
    let all = StatsGroups::all_known();
    let plain = ask(&Connect::open("qemu+qmp:///system").unwrap(), &guest, all);
    for path in [&short, &chardev] {
        for policy in ["shared", "hold"] {
            let uri = format!("qemu+qmp:///system?monitor={path}&monitor_policy={policy}");
            let connect = Connect::open(&uri).unwrap();
            for _ in 0..2 {
                let pretty = ask(&connect, &guest, all);
                assert_eq!(pretty.missing, plain.missing, "{uri}");
                assert_eq!(pretty.state, plain.state);
                assert_eq!(pretty.block, plain.block);
                assert_eq!(pretty.dirtyrate, plain.dirtyrate);
                assert_eq!(pretty.interface, plain.interface);
                let used = connect.domain(pretty.domain.clone()).monitors().unwrap();
                let used = used.into_iter().find(|monitor| monitor.is_used).unwrap();
                assert_eq!(&used.address, path);
            }
        }
    }
}
