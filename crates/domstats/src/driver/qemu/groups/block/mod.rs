//! The group `block`: each disk of the guest, and its images.
//!
//! vhost-user disks are not included: QEMU does not see their requests.

mod counters;
mod images;
mod names;

use std::collections::HashMap;

use crate::{
    driver::qemu::{
        groups::{GroupReader, QueryList, Sources, pressure},
        host::accounts::Account,
        monitor::{
            copies::copies,
            query::{BlockGraph, BlockStats, DISKS, Query},
        },
        reasons::lacks_time,
    },
    host::{
        pressure::DeviceIo,
        process::open_files::{OpenFiles, is_confined},
    },
    model::{
        report::{DomainStats, Missing, MissingReason},
        request::{StatsGroups, StatsOptions},
        stats::{BlockDevice, Blocks},
    },
};
use counters::count;
use images::{Images, image_of, needs_files};
use names::{is_flash, names};

pub(super) const READER: GroupReader = GroupReader { group: StatsGroups::BLOCK, ask, fill };

fn ask(queries: &mut QueryList<'_>) {
    queries.ask(Query::BlockStats);
    if queries.request.wants_whole(StatsGroups::BLOCK) {
        queries.ask(Query::BlockNodes);
    }
}

fn fill(sources: &Sources<'_>, stats: &mut DomainStats) -> Option<Missing> {
    let storage = storage(&sources.host.account);
    let mut lacks_files = None;
    let counters = sources.replies.block_stats.got();
    let number = counters.map_or(0, Vec::len);
    if number > DISKS {
        stats.block = storage;
        let text = format!("the guest has {number} disks, more than the limit of {DISKS}");
        return Some(Missing::new(MissingReason::Failed, text));
    }
    if let Some(counters) = counters {
        // A cached reply of a held session may be older than a fresh one: the query was not sent.
        let is_whole = sources.request.wants_whole(StatsGroups::BLOCK);
        let nodes = sources.replies.block_nodes.got().filter(|_| is_whole);
        let nodes = nodes.map_or(&[][..], Vec::as_slice);
        let pid = sources.guest.pid();
        let needs_files = || nodes.iter().any(needs_files) || is_confined(sources.proc, pid);
        let process = sources.guest.process;
        let files = (!nodes.is_empty() && needs_files()).then(|| {
            OpenFiles::of(sources.proc, process)
                .inspect_err(|error| lacks_files = lacks_time(process, error))
        });
        let files = files.and_then(Result::ok);
        let sets = sources.replies.fd_sets.got().map_or(&[][..], Vec::as_slice);
        let images = Images::new(nodes, files.as_ref(), sets);
        let chains = Chains {
            graph: sources.replies.block_graph.got(),
            stats: sources.replies.node_stats.got().map_or(&[][..], Vec::as_slice),
        };
        let wants_chains = sources.request.options.contains(StatsOptions::BACKING);
        let Blocks { count, blocks, .. } =
            blocks(counters, &images, wants_chains.then_some(&chains));
        stats.block = Some(Blocks { count, blocks, ..storage.unwrap_or_default() });
    } else {
        stats.block = storage;
    }
    let lacks_copies = || {
        let (graph, stats) = (&sources.replies.block_graph, &sources.replies.node_stats);
        graph.missing().or_else(|| stats.missing()).cloned()
    };
    sources
        .lacks(&sources.replies.block_stats)
        .or_else(|| sources.lacks(&sources.replies.block_nodes))
        .or_else(lacks_copies)
        .or(lacks_files)
}

/// Returns what the host counts of the guest's storage; `None` if the guest has no cgroup of its
/// own.
fn storage(account: &Account) -> Option<Blocks> {
    let devices = account.devices.as_ref();
    let storage = Blocks {
        pressure: account.io_waits.map(pressure),
        device_count: devices.and_then(|all| u32::try_from(all.len()).ok()),
        devices: (0..).zip(devices.into_iter().flatten()).map(device).collect(),
        ..Blocks::default()
    };
    (storage != Blocks::default()).then_some(storage)
}

fn device((index, io): (u32, &DeviceIo)) -> BlockDevice {
    BlockDevice {
        index,
        number: Some(io.number.clone()),
        rd_reqs: io.rd_reqs,
        rd_bytes: io.rd_bytes,
        wr_reqs: io.wr_reqs,
        wr_bytes: io.wr_bytes,
        unmap_reqs: io.unmap_reqs,
        unmap_bytes: io.unmap_bytes,
        ..BlockDevice::default()
    }
}

/// The images below each disk's first one.
#[derive(Debug)]
struct Chains<'a> {
    /// How jobs are connected with the disks that they copy, and with their targets.
    graph: Option<&'a BlockGraph>,
    /// The counters of all nodes, including the images that are copied to.
    stats: &'a [BlockStats],
}

/// Returns the disks, and with `chains` all of their other images: those below, then those that a
/// job copies the disk to.
fn blocks(counters: &[BlockStats], images: &Images<'_>, chains: Option<&Chains<'_>>) -> Blocks {
    // A drive that no guest device uses is not a disk, nor is the firmware's flash.
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

/// Returns the images that a chain is copied to, except those in the chain itself.
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

/// Returns the first node below filters, which only see what passes through them: a throttle,
/// copy-on-read, or what a running job inserts. QEMU reports the node below those both as their
/// file and as their backing image.
fn below_filters(mut node: &BlockStats) -> &BlockStats {
    while let (Some(file), Some(backing)) = (&node.parent, &node.backing)
        && file.node_name.is_some()
        && file.node_name == backing.node_name
    {
        node = backing;
    }
    node
}
