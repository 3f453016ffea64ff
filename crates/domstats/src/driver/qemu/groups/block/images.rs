//! The path and size of a disk's images, from `query-named-block-nodes` and the files that the
//! guest has open.

use std::{collections::HashMap, iter::successors};

use crate::{
    driver::qemu::{
        groups::block::below_filters,
        monitor::{
            image_files::{find_open, is_inner_name},
            query::{BlockNode, BlockStats, FdSet, ImageLimits},
        },
    },
    host::process::open_files::OpenFiles,
    model::stats::Block,
};

/// What is known of the images of all disks.
#[derive(Debug)]
pub(super) struct Images<'a> {
    nodes: HashMap<&'a str, &'a BlockNode>,
    /// The files that the guest has open.
    files: Option<&'a OpenFiles>,
    /// The descriptor sets that were passed to the guest.
    sets: &'a [FdSet],
}

impl<'a> Images<'a> {
    pub(super) fn new(
        nodes: &'a [BlockNode],
        files: Option<&'a OpenFiles>,
        sets: &'a [FdSet],
    ) -> Self {
        let by_name = |node: &'a BlockNode| Some((node.node_name.as_deref()?, node));
        Self { nodes: nodes.iter().filter_map(by_name).collect(), files, sets }
    }
}

/// Returns an image's path and size.
pub(super) fn image_of(stats: &BlockStats, images: &Images<'_>, depth: u32) -> Block {
    let node_of = |stats: &BlockStats| images.nodes.get(stats.node_name.as_deref()?).copied();
    let node = node_of(stats);
    let image = node.map(|node| &node.image);
    // A disk may use a file directly, without a format above it.
    let file = stats.parent.as_deref().map_or(stats, below_filters);
    let file_node = node_of(file);
    // A slice of a file and a filter have no name of their own, and not all have a size.
    let below = successors(Some(stats), |it| it.parent.as_deref().map(below_filters));
    let below = below.filter_map(node_of);
    let mut paths = below.clone().filter_map(|node| node.image.filename.as_deref());
    let path = paths.find(|path| is_path(path));
    let open = path.zip(images.files).and_then(|(path, files)| find_open(files, path, images.sets));
    let is_confined = images.files.is_some_and(|files| files.is_confined);
    let is_inner = is_confined || path.is_some_and(is_inner_name);
    let path = match open.filter(|_| is_inner) {
        Some(open) => open.path.to_str(),
        None => path,
    };
    let path = path.map(str::to_owned);
    // QEMU reports a file's allocated blocks; a device and a fully sparse file have none, and then
    // libvirt reports the size.
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
    // The limits of the node that stores the data, as in libvirt: a format above it knows less.
    if let Some(limits) = file_node.or(node).and_then(|node| node.image.limits.as_ref()) {
        limit(&mut block, limits);
    }
    block
}

/// Returns whether the files that the guest has open say more about an image than QEMU does.
pub(super) fn needs_files(node: &BlockNode) -> bool {
    let name = node.image.filename.as_deref().filter(|name| is_path(name));
    name.is_some_and(|name| is_inner_name(name) || node.image.actual_size == Some(0))
}

/// Returns whether an image's name is that of a file or device: names of network and nested images
/// are URLs or JSON.
fn is_path(name: &str) -> bool {
    name.find([':', '/']).is_none_or(|end| name[end..].starts_with('/'))
}

/// Returns libvirt's number for an image: 2 of `libvirt-2-format`.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_may_have_colons() {
        for path in ["/a.img", "a.img", "/dev/disk/by-path/pci-0000:00:1f.2-ata-1", "./a:b"] {
            assert!(is_path(path), "{path}");
        }
        for name in ["nbd://host:10809/a", "json:{\"driver\": \"raw\"}", "rbd:pool/image"] {
            assert!(!is_path(name), "{name}");
        }
    }
}
