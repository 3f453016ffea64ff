//! Limits on what one guest may have, and on how much memory a reply takes.
//!
//! A JSON object takes a few bytes in a message, but as much as a disk in memory: twelve bytes of a
//! hostile reply become a thousand. So the memory for a reply is estimated before it is parsed.

use memchr::memchr_iter;

use crate::driver::qemu::monitor::query::replies::{
    BalloonSize, BlockGraph, BlockNode, BlockStats, Cpu, Device, DirtyRate, FdOfSet, FdSet,
    GraphEdge, GuestStats, Iothread, MemorySize, Name, PossibleCpu, Stat, StatSchema, StatsOf,
    StatsSchema, Status, UuidReply,
};

/// The most disks of one guest: those of a hundred controllers; other hypervisors allow 256.
pub(crate) const DISKS: usize = 2048;

/// The most images of all its disks, and their files: a chain of four for each disk.
const NODES: usize = 8 * DISKS;

/// The most vCPUs of one guest: as many as any QEMU machine takes.
const VCPUS: usize = 4096;

/// The most iothreads of one guest: more than hosts have CPUs.
const IOTHREADS: usize = 1024;

/// The most devices in one folder of QEMU's object tree, NICs included.
const DEVICES: usize = 16_384;

/// The most statistics of one object; KVM has a hundredth of that.
const STATISTICS: usize = 4096;

/// The bytes that a number takes in a growing list.
const NUMBER: usize = 16;

/// A reply.
pub(super) trait Reply: Sized {
    /// The most memory that a JSON object in it takes, in bytes.
    const OBJECT: usize = size_of::<Self>();

    /// Returns what is wrong if there are more items than a guest may have.
    fn excess(&self) -> Option<String> {
        None
    }
}

/// An item of a reply that is a list.
pub(super) trait Item: Sized {
    /// The most memory that an item takes, in bytes. A growing list has up to twice the capacity it
    /// needs.
    const OBJECT: usize = 2 * size_of::<Self>();
    /// How many there may be, and what they are called.
    const MOST: (usize, &str);
}

impl<T: Item> Reply for Vec<T> {
    const OBJECT: usize = T::OBJECT;

    fn excess(&self) -> Option<String> {
        let ((most, what), count) = (T::MOST, self.len());
        (count > most)
            .then(|| format!("the guest has {count} {what}, more than the limit of {most}"))
    }
}

/// Returns the most memory that a reply takes, in bytes.
pub(super) fn weight<T: Reply>(json: &str) -> u64 {
    let count = |byte| memchr_iter(byte, json.as_bytes()).count();
    (json.len() + count(b'{') * T::OBJECT + count(b',') * NUMBER) as u64
}

impl Reply for Status {}
impl Reply for Name {}
impl Reply for UuidReply {}
impl Reply for BalloonSize {}
impl Reply for GuestStats {}
impl Reply for MemorySize {}
impl Reply for DirtyRate {}
impl Reply for String {}

impl Reply for BlockGraph {
    const OBJECT: usize = 2 * size_of::<GraphEdge>();
}

impl Item for BlockStats {
    // Each contains one.
    const OBJECT: usize = size_of::<Self>();
    const MOST: (usize, &str) = (NODES, "block nodes");
}

impl Item for BlockNode {
    const MOST: (usize, &str) = (NODES, "block nodes");
}

impl Item for Cpu {
    const MOST: (usize, &str) = (VCPUS, "vCPUs");
}

impl Item for PossibleCpu {
    const MOST: (usize, &str) = (VCPUS, "possible vCPUs");
}

impl Item for Iothread {
    const MOST: (usize, &str) = (IOTHREADS, "iothreads");
}

impl Item for Device {
    const MOST: (usize, &str) = (DEVICES, "devices in a folder");
}

impl Item for FdSet {
    const OBJECT: usize = 2 * (size_of::<Self>() + size_of::<FdOfSet>());
    const MOST: (usize, &str) = (NODES, "sets of descriptors");
}

impl Item for StatsSchema {
    const OBJECT: usize = 2 * (size_of::<Self>() + size_of::<StatSchema>());
    const MOST: (usize, &str) = (STATISTICS, "kinds of statistics");
}

impl Item for StatsOf {
    const OBJECT: usize = 2 * size_of::<Stat>();
    const MOST: (usize, &str) = (VCPUS, "vCPUs");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_the_memory_of_small_objects() {
        let json = format!("[{}]", vec![r#"{"stats":{}}"#; 100_000].join(","));
        let weight = weight::<Vec<BlockStats>>(&json);
        let disks: Vec<BlockStats> = serde_json::from_str(&json).unwrap();
        let taken = disks.capacity() * size_of::<BlockStats>();
        assert!(weight >= taken as u64 && weight < 4 * taken as u64, "{weight}, {taken}");
        let json = format!(
            r#"[{{"qom-path":"a","stats":[{{"name":"b","value":[1{}]}}]}}]"#,
            ",1".repeat(100_000)
        );
        let weight = crate::driver::qemu::monitor::query::bounds::weight::<Vec<StatsOf>>(&json);
        assert!(weight > 100_000 * 16 && weight < 100_000 * 20, "{weight}");
    }

    #[test]
    fn names_what_exceeds_a_limit() {
        let cpu = || serde_json::json!({ "cpu-index": 0, "thread-id": 1 });
        let cpus = |count: usize| -> Vec<Cpu> {
            (0..count).map(|_| serde_json::from_value(cpu()).unwrap()).collect()
        };
        assert_eq!(cpus(4096).excess(), None);
        let excess = cpus(4097).excess();
        assert_eq!(
            excess.as_deref(),
            Some("the guest has 4097 vCPUs, more than the limit of 4096")
        );
    }
}
