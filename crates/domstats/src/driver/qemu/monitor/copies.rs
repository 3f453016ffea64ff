//! The images that running jobs copy disks to: the target of a mirror, the scratch image of a
//! backup.
//!
//! QEMU lists them below no disk, but its block graph shows where they belong: a job, or the filter
//! that it inserted above the disk, has the image as its child `target`. A commit writes to an
//! image of the chain itself.

use std::collections::HashMap;

use crate::driver::qemu::monitor::query::{BlockGraph, BlockNode, GraphEdge};

/// The maximum number of nodes between a job and its disk.
const DEPTH: usize = 64;

/// Returns whether a job may copy a disk to an image that QEMU lists below none.
pub(crate) fn may_copy(nodes: &[BlockNode]) -> bool {
    // `backup-top` up to QEMU 6.0.
    let filters = ["mirror_top", "copy-before-write", "backup-top"];
    nodes.iter().any(|node| node.drv.as_deref().is_some_and(|drv| filters.contains(&drv)))
}

/// Returns the nodes that each node of `tops` is copied to, where `tops` are the disks' top images.
pub(crate) fn copies<'a>(
    graph: &'a BlockGraph,
    tops: &[&'a str],
) -> HashMap<&'a str, Vec<&'a str>> {
    let names: HashMap<u64, &str> =
        graph.nodes.iter().map(|node| (node.id, node.name.as_str())).collect();
    let mut below: HashMap<u64, Vec<&GraphEdge>> = HashMap::new();
    for edge in &graph.edges {
        below.entry(edge.parent).or_default().push(edge);
    }
    let child = |parent: u64, words: &[&str]| {
        let edges = below.get(&parent)?;
        let edge = edges.iter().find(|edge| words.contains(&edge.name.as_str()))?;
        Some(edge.child)
    };
    let mut copies: HashMap<&str, Vec<&str>> = HashMap::new();
    for edge in graph.edges.iter().filter(|edge| edge.name == "target") {
        let mut node = child(edge.parent, &["main node"]).or(Some(edge.parent));
        for _ in 0..DEPTH {
            let Some(id) = node else { break };
            let top = names.get(&id).filter(|name| tops.contains(name));
            if let (Some(top), Some(target)) = (top, names.get(&edge.child)) {
                let targets = copies.entry(*top).or_default();
                if !targets.contains(target) {
                    targets.push(target);
                }
                break;
            }
            node = child(id, &["file", "backing"]);
        }
    }
    copies
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_and_its_filter_lead_to_one_copy() {
        let graph: BlockGraph = serde_json::from_value(serde_json::json!({
            "nodes": [
                { "id": 1, "name": "job" }, { "id": 2, "name": "#block1" },
                { "id": 3, "name": "top" }, { "id": 4, "name": "scratch" },
                { "id": 5, "name": "loop" },
            ],
            "edges": [
                { "parent": 1, "child": 2, "name": "main node" },
                { "parent": 1, "child": 4, "name": "target" },
                { "parent": 2, "child": 3, "name": "file" },
                { "parent": 2, "child": 4, "name": "target" },
                { "parent": 4, "child": 3, "name": "backing" },
                { "parent": 5, "child": 5, "name": "file" },
                { "parent": 5, "child": 4, "name": "target" },
            ],
        }))
        .unwrap();
        assert_eq!(copies(&graph, &["top"]), HashMap::from([("top", vec!["scratch"])]));
        assert_eq!(copies(&graph, &["other"]), HashMap::new());
    }
}
