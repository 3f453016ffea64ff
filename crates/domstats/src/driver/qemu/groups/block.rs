//! The disks of a guest and their images.
//!
//! A disk of vhost-user is none of them: QEMU does not see its requests.

use std::{collections::HashMap, iter::successors};

use crate::driver::qemu::{
    groups::copies::copies,
    host::open_files::{OpenFiles, is_inner_name},
    monitor::query::{
        BlockGraph, BlockNode, BlockStats, FdSet, Histogram, ImageLimits, TimedStats,
    },
};
use crate::model::stats::{Block, Blocks, LatencyBin, LatencyHistogram, TimedGroup};

/// What is known of the images of all disks.
#[derive(Debug)]
pub(crate) struct Images<'a> {
    nodes: HashMap<&'a str, &'a BlockNode>,
    /// The files that the guest has open.
    files: Option<&'a OpenFiles>,
    /// Descriptors that the guest was handed.
    sets: &'a [FdSet],
}

impl<'a> Images<'a> {
    pub(crate) fn new(
        nodes: &'a [BlockNode],
        files: Option<&'a OpenFiles>,
        sets: &'a [FdSet],
    ) -> Self {
        let by_name = |node: &'a BlockNode| Some((node.node_name.as_deref()?, node));
        Self { nodes: nodes.iter().filter_map(by_name).collect(), files, sets }
    }
}

/// The images below the first one of each disk.
#[derive(Debug)]
pub(crate) struct Chains<'a> {
    /// How jobs are joined with the disks that they copy, and with what they copy to.
    pub(crate) graph: Option<&'a BlockGraph>,
    /// The counters of the images that are copied to, among those of all.
    pub(crate) stats: &'a [BlockStats],
}

/// Returns the disks, and with `chains` every other image of theirs: those below, then those that a
/// job copies the disk to.
pub(crate) fn blocks(
    counters: &[BlockStats],
    images: &Images<'_>,
    chains: Option<&Chains<'_>>,
) -> Blocks {
    // A drive that no device of the guest uses is no disk, nor is the firmware's flash.
    let disks: Vec<&BlockStats> = counters
        .iter()
        .filter(|disk| disk.qdev.as_deref().is_some_and(|qdev| !qdev.is_empty()))
        .filter(|disk| !is_flash(disk))
        .collect();
    let tops: Vec<&str> =
        disks.iter().filter_map(|disk| below_filters(disk).node_name.as_deref()).collect();
    let copies = chains.and_then(|chains| chains.graph).map(|graph| copies(graph, &tops));
    let copies = copies.unwrap_or_default();
    let mut blocks = Blocks::default();
    for (disk, name) in disks.iter().zip(names(&disks)) {
        let mut chain = vec![below_filters(disk)];
        while let Some(chains) = chains {
            let last = chain[chain.len() - 1];
            match &last.backing {
                Some(backing) => chain.push(below_filters(backing)),
                None => {
                    chain.extend(copies_of(&chain, &copies, chains.stats));
                    break;
                }
            }
        }
        for (stats, depth) in chain.into_iter().zip(0..) {
            let mut block = image_of(stats, images, depth);
            block.index = u32::try_from(blocks.blocks.len()).unwrap_or(u32::MAX);
            block.name = Some(name.as_str().into());
            if depth == 0 {
                count(&mut block, disk);
            }
            blocks.blocks.push(block);
        }
    }
    blocks.count = u32::try_from(blocks.blocks.len()).ok();
    blocks
}

/// Returns the images that a chain is copied to, but those that are in the chain.
fn copies_of<'a>(
    chain: &[&BlockStats],
    copies: &HashMap<&str, Vec<&str>>,
    stats: &'a [BlockStats],
) -> Vec<&'a BlockStats> {
    let top = chain.first().and_then(|top| top.node_name.as_deref());
    let targets = top.and_then(|top| copies.get(top)).map_or(&[][..], Vec::as_slice);
    let is_in_chain =
        |target: &str| chain.iter().any(|image| image.node_name.as_deref() == Some(target));
    let of_target = |target: &&str| {
        stats.iter().find(|node| node.node_name.as_deref() == Some(*target)).map(below_filters)
    };
    targets.iter().filter(|target| !is_in_chain(target)).filter_map(of_target).collect()
}

/// Returns the node below those that only look at what goes through them: a throttle, copy-on-read,
/// or what a running job puts there. QEMU shows what is below those as both their file and their
/// backing image.
fn below_filters(mut node: &BlockStats) -> &BlockStats {
    while let (Some(file), Some(backing)) = (&node.parent, &node.backing)
        && file.node_name.is_some()
        && file.node_name == backing.node_name
    {
        node = backing;
    }
    node
}

/// Returns whether a disk is the firmware's flash: the machine has it as `system.flash0` (x86),
/// `virt.flash1` (Arm, RISC-V, LoongArch) and the like, and `if=pflash` names its drive.
fn is_flash(disk: &BlockStats) -> bool {
    let is_numbered = |text: &str, word: &str| {
        let number = text.strip_prefix(word);
        number.is_some_and(|it| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let part = disk.qdev.as_deref().and_then(|qdev| qdev.strip_prefix("/machine/"));
    let part = part.filter(|part| !part.contains('/')).and_then(|part| part.split_once('.'));
    let is_part = part.is_some_and(|(_, name)| is_numbered(name, "flash"));
    let is_drive = disk.device.as_deref().is_some_and(|drive| is_numbered(drive, "pflash"));
    is_part || (is_drive && device_id(disk).is_none())
}

/// Returns the names of the disks: libvirt's where its ids tell, else what QEMU calls them. A name
/// that is guessed from an address gives way to one that the id holds.
fn names(disks: &[&BlockStats]) -> Vec<String> {
    let targets: Vec<Option<Target>> = disks.iter().map(|disk| target(disk)).collect();
    let mut times: HashMap<&str, usize> = HashMap::new();
    targets.iter().flatten().for_each(|target| *times.entry(&target.name).or_default() += 1);
    disks
        .iter()
        .zip(&targets)
        .map(|(disk, target)| match target {
            Some(target) if target.is_certain || times.get(&*target.name) == Some(&1) => {
                target.name.clone()
            }
            _ => qemu_name(disk),
        })
        .collect()
}

/// Returns the id of the device: `virtio-disk0` of `/machine/peripheral/virtio-disk0/virtio-backend`.
fn device_id(disk: &BlockStats) -> Option<&str> {
    let qdev = disk.qdev.as_deref()?;
    match qdev.strip_prefix("/machine/") {
        Some(path) => path.strip_prefix("peripheral/")?.split('/').next(),
        // Old versions give the id alone.
        None => Some(qdev),
    }
}

/// libvirt's name of a disk.
struct Target {
    name: String,
    /// Whether the id holds the name's number, and not only an address.
    is_certain: bool,
}

/// Returns the target of a disk whose id libvirt chose: `virtio-disk0`, `usb-disk0` and `sd-disk0` by
/// the target's number, others by the address: `ide0-1-0`, `scsi0-0-0-2`. The ids of others look
/// alike (`scsi1`, `sata0`, `ide2`) and are names of their own.
fn target(disk: &BlockStats) -> Option<Target> {
    let id = device_id(disk)?;
    let target = |bus: &str, number, is_certain| {
        Some(Target { name: format!("{bus}{}", letters(number)), is_certain })
    };
    if let Some((bus, number)) = id.split_once("-disk") {
        let bus = match bus {
            "virtio" => "vd",
            "usb" | "sd" => "sd",
            "xen" => "xvd",
            _ => return None,
        };
        return target(bus, number.parse().ok()?, true);
    }
    let (kind, numbers) = id.split_at(id.find(|c: char| c.is_ascii_digit())?);
    let numbers: Vec<u32> = numbers.split('-').map(str::parse).collect::<Result<_, _>>().ok()?;
    match (kind, numbers.as_slice()) {
        // Controller, bus, unit: two units a bus.
        ("ide", [_, bus, unit]) => target("hd", bus.checked_mul(2)?.checked_add(*unit)?, false),
        ("sata", [0, 0, unit]) | ("scsi", [0, _, unit] | [0, _, _, unit]) => {
            target("sd", *unit, false)
        }
        ("fdc", [0, _, unit]) => target("fd", *unit, false),
        _ => None,
    }
}

/// Returns 0 as `a`, 25 as `z`, 26 as `aa`.
fn letters(mut number: u32) -> String {
    let mut letters = Vec::new();
    loop {
        letters.push(char::from(b'a' + (number % 26) as u8));
        match (number / 26).checked_sub(1) {
            Some(rest) => number = rest,
            None => return letters.into_iter().rev().collect(),
        }
    }
}

fn qemu_name(disk: &BlockStats) -> String {
    let text = |name: &Option<String>| name.clone().filter(|name| !name.is_empty());
    device_id(disk)
        .map(str::to_owned)
        .or_else(|| text(&disk.device))
        .or_else(|| text(&disk.node_name))
        .or_else(|| text(&disk.qdev))
        .unwrap_or_default()
}

/// Returns where an image is and how large.
fn image_of(stats: &BlockStats, images: &Images<'_>, depth: u32) -> Block {
    let node_of = |stats: &BlockStats| images.nodes.get(stats.node_name.as_deref()?).copied();
    let node = node_of(stats);
    let image = node.map(|node| &node.image);
    // A disk may use a file as it is, without a format above it.
    let file = stats.parent.as_deref().map_or(stats, below_filters);
    let file_node = node_of(file);
    // A part of a file, and what a filter is between, have no name of their own, nor all a size.
    let below = successors(Some(stats), |it| it.parent.as_deref().map(below_filters));
    let below = below.filter_map(node_of);
    let mut paths = below.clone().filter_map(|node| node.image.filename.as_deref());
    let path = paths.find(|path| is_path(path));
    let open = path.zip(images.files).and_then(|(path, files)| files.find(path, images.sets));
    let is_confined = images.files.is_some_and(|files| files.is_confined);
    let is_inner = is_confined || path.is_some_and(is_inner_name);
    let path = match open.filter(|_| is_inner) {
        Some(open) => open.path.to_str(),
        None => path,
    };
    let path = path.map(str::to_owned);
    // QEMU counts the blocks that a file has, of which a device and a wholly sparse file have
    // none: then libvirt gives the size.
    let actual = below.clone().find_map(|node| node.image.actual_size);
    let physical = match actual {
        Some(0) => open.and_then(|open| open.look.size()),
        actual => actual,
    };
    let mut block = Block {
        path,
        backing_index: stats
            .node_name
            .as_deref()
            .and_then(libvirt_image_id)
            .or((depth > 0).then_some(depth)),
        allocation: file_node.and(file.stats.wr_highest_offset),
        capacity: image.and_then(|image| image.virtual_size).filter(|size| *size > 0),
        physical,
        threshold: file_node.and_then(|node| node.write_threshold).filter(|offset| *offset > 0),
        ..Block::default()
    };
    if let Some(counters) = &file.driver_specific {
        block.discard_reqs = counters.discard_nb_ok;
        block.discard_bytes = counters.discard_bytes_ok;
        block.discard_failed = counters.discard_nb_failed;
    }
    // Those of what stores the data, as libvirt gives them: a format above it knows less.
    if let Some(limits) = file_node.or(node).and_then(|node| node.image.limits.as_ref()) {
        limit(&mut block, limits);
    }
    block
}

/// Returns whether the files that the guest has open tell more of an image than QEMU does.
pub(crate) fn needs_files(node: &BlockNode) -> bool {
    let name = node.image.filename.as_deref().filter(|name| is_path(name));
    name.is_some_and(|name| is_inner_name(name) || node.image.actual_size == Some(0))
}

/// Returns whether an image's name is that of a file or device: those of the network and of nested
/// images are URLs or JSON.
fn is_path(name: &str) -> bool {
    name.find([':', '/']).is_none_or(|end| name[end..].starts_with('/'))
}

/// Returns libvirt's number of an image: 2 of `libvirt-2-format`.
fn libvirt_image_id(node: &str) -> Option<u32> {
    node.strip_prefix("libvirt-")?.split('-').next()?.parse().ok()
}

fn limit(block: &mut Block, limits: &ImageLimits) {
    block.limits_request_alignment = limits.request_alignment;
    block.limits_discard_max = limits.max_discard;
    block.limits_discard_alignment = limits.discard_alignment;
    block.limits_write_zeroes_max = limits.max_write_zeroes;
    block.limits_write_zeroes_alignment = limits.write_zeroes_alignment;
    block.limits_transfer_optimal = limits.opt_transfer;
    block.limits_transfer_max = limits.max_transfer;
    block.limits_transfer_hw_max = limits.max_hw_transfer;
    block.limits_iov_max = limits.max_iov;
    block.limits_iov_hw_max = limits.max_hw_iov;
    block.limits_memory_alignment_minimal = limits.min_mem_alignment;
    block.limits_memory_alignment_optimal = limits.opt_mem_alignment;
}

fn count(block: &mut Block, disk: &BlockStats) {
    let stats = &disk.stats;
    block.rd_reqs = stats.rd_operations;
    block.rd_bytes = stats.rd_bytes;
    block.rd_times = stats.rd_total_time_ns;
    block.rd_failed = stats.failed_rd_operations;
    block.rd_invalid = stats.invalid_rd_operations;
    block.rd_merged = stats.rd_merged;
    block.wr_reqs = stats.wr_operations;
    block.wr_bytes = stats.wr_bytes;
    block.wr_times = stats.wr_total_time_ns;
    block.wr_failed = stats.failed_wr_operations;
    block.wr_invalid = stats.invalid_wr_operations;
    block.wr_merged = stats.wr_merged;
    block.fl_reqs = stats.flush_operations;
    block.fl_times = stats.flush_total_time_ns;
    block.fl_failed = stats.failed_flush_operations;
    block.fl_invalid = stats.invalid_flush_operations;
    block.unmap_reqs = stats.unmap_operations;
    block.unmap_bytes = stats.unmap_bytes;
    block.unmap_times = stats.unmap_total_time_ns;
    block.unmap_failed = stats.failed_unmap_operations;
    block.unmap_invalid = stats.invalid_unmap_operations;
    block.unmap_merged = stats.unmap_merged;
    block.zone_append_reqs = stats.zone_append_operations;
    block.zone_append_bytes = stats.zone_append_bytes;
    block.zone_append_times = stats.zone_append_total_time_ns;
    block.zone_append_failed = stats.failed_zone_append_operations;
    block.zone_append_invalid = stats.invalid_zone_append_operations;
    block.zone_append_merged = stats.zone_append_merged;
    block.idle_time = stats.idle_time_ns;
    let timed = &stats.timed_stats;
    block.timed_group_count = (!timed.is_empty()).then_some(timed.len() as u64);
    block.timed_groups = timed.iter().zip(0..).map(timed_group).collect();
    block.read_histogram = stats.rd_latency_histogram.as_ref().map(histogram);
    block.write_histogram = stats.wr_latency_histogram.as_ref().map(histogram);
    block.zone_append_histogram = stats.zone_append_latency_histogram.as_ref().map(histogram);
    block.flush_histogram = stats.flush_latency_histogram.as_ref().map(histogram);
}

fn timed_group((stats, index): (&TimedStats, u32)) -> TimedGroup {
    TimedGroup {
        index,
        interval: Some(stats.interval_length),
        rd_latency_min: stats.min_rd_latency_ns,
        rd_latency_max: stats.max_rd_latency_ns,
        rd_latency_avg: stats.avg_rd_latency_ns,
        wr_latency_min: stats.min_wr_latency_ns,
        wr_latency_max: stats.max_wr_latency_ns,
        wr_latency_avg: stats.avg_wr_latency_ns,
        zone_append_latency_min: stats.min_zone_append_latency_ns,
        zone_append_latency_max: stats.max_zone_append_latency_ns,
        zone_append_latency_avg: stats.avg_zone_append_latency_ns,
        flush_latency_min: stats.min_flush_latency_ns,
        flush_latency_max: stats.max_flush_latency_ns,
        flush_latency_avg: stats.avg_flush_latency_ns,
        rd_queue_depth_avg: stats.avg_rd_queue_depth,
        wr_queue_depth_avg: stats.avg_wr_queue_depth,
        zone_append_queue_depth_avg: stats.avg_zone_append_queue_depth,
        ..TimedGroup::default()
    }
}

fn histogram(reply: &Histogram) -> LatencyHistogram {
    let starts = std::iter::once(0).chain(reply.boundaries.iter().copied());
    let bins = reply.bins.iter().zip(starts).zip(0..).map(|((value, start), index)| LatencyBin {
        index,
        start: Some(start),
        value: Some(*value),
        ..LatencyBin::default()
    });
    LatencyHistogram {
        bin_count: Some(reply.bins.len() as u64),
        bins: bins.collect(),
        ..LatencyHistogram::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(qdev: &str, device: &str) -> BlockStats {
        let json = serde_json::json!({ "qdev": qdev, "device": device, "stats": {} });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn names_are_the_guests_where_libvirt_chose_the_id() {
        let name = |id: &str| {
            let disk = disk(&format!("/machine/peripheral/{id}/virtio-backend"), "");
            names(&[&disk]).remove(0)
        };
        assert_eq!(name("virtio-disk0"), "vda");
        assert_eq!(name("virtio-disk27"), "vdab");
        assert_eq!(name("ide0-1-0"), "hdc");
        assert_eq!(name("sata0-0-1"), "sdb");
        assert_eq!(name("scsi0-0-0-2"), "sdc");
        assert_eq!(name("scsi0-0-2"), "sdc", "an LSI controller has no targets");
        assert_eq!(name("fdc0-0-1"), "fdb");
        assert_eq!(name("usb-disk1"), "sdb");
        for own in ["scsi1", "sata0", "ide2", "virtio0", "efidisk0", "ua-data", "fdc0"] {
            assert_eq!(name(own), own);
        }
        assert_eq!(name("scsi1-0-0-2"), "scsi1-0-0-2", "a second controller says nothing");
        assert_eq!(name("my-disk"), "my-disk");
        let anonymous = disk("/machine/peripheral-anon/device[1]/virtio-backend", "virtio0");
        assert_eq!(names(&[&anonymous]), ["virtio0"]);
    }

    #[test]
    fn no_two_disks_share_a_guessed_name() {
        let (sata, usb) = (disk("/machine/peripheral/sata0-0-0", ""), disk("usb-disk0", ""));
        assert_eq!(names(&[&sata, &usb]), ["sata0-0-0", "sda"], "libvirt's number is certain");
        let scsi = disk("scsi0-0-0-0", "");
        assert_eq!(names(&[&sata, &scsi]), ["sata0-0-0", "scsi0-0-0-0"]);
    }

    #[test]
    fn flash_of_any_machine_is_no_disk() {
        for (qdev, drive) in [
            ("/machine/system.flash0", ""),
            ("/machine/virt.flash1", ""),
            ("/machine/sbsa.flash0", ""),
            ("/machine/unattached/device[3]", "pflash0"),
        ] {
            assert!(is_flash(&disk(qdev, drive)), "{qdev} {drive}");
        }
        for (qdev, drive) in [
            ("/machine/peripheral/flash0/virtio-backend", ""),
            ("/machine/peripheral/my.flash0/virtio-backend", "pflash0"),
            ("/machine/unattached/device[3]", "sd0"),
        ] {
            assert!(!is_flash(&disk(qdev, drive)), "{qdev} {drive}");
        }
    }

    #[test]
    fn a_path_may_have_colons() {
        for path in ["/a.img", "a.img", "/dev/disk/by-path/pci-0000:00:1f.2-ata-1", "./a:b"] {
            assert!(is_path(path), "{path}");
        }
        for name in ["nbd://host:10809/a", "json:{\"driver\": \"raw\"}", "rbd:pool/image"] {
            assert!(!is_path(name), "{name}");
        }
    }

    #[test]
    fn a_histogram_starts_at_zero() {
        let reply: Histogram =
            serde_json::from_str(r#"{"boundaries": [10, 50], "bins": [3, 2, 1]}"#).unwrap();
        let starts: Vec<_> = histogram(&reply).bins.iter().map(|bin| bin.start).collect();
        assert_eq!(starts, [Some(0), Some(10), Some(50)]);
    }
}
