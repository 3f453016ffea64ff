//! How much one guest may have, and how much memory an answer takes.
//!
//! An object of JSON takes a few bytes on its way, and as much as a disk in memory: twelve bytes of a hostile answer
//! become a thousand. So what an answer takes is reckoned before it is read.

use memchr::memchr_iter;

use crate::driver::qemu::monitor::query::replies::{
    BalloonSize, BlockGraph, BlockNode, BlockStats, Cpu, Device, DirtyRate, FdOfSet, FdSet,
    GraphEdge, GuestStats, Iothread, MemorySize, Name, PossibleCpu, Stat, StatSchema, StatsOf,
    StatsSchema, Status, UuidReply,
};

/// The disks of one guest. Those of a hundred controllers; other hypervisors end at 256.
pub(crate) const DISKS: usize = 2048;

/// The images of all its disks, and their files: each disk with a chain of four.
const NODES: usize = 8 * DISKS;

/// The vCPUs of one guest: as many as any machine of QEMU takes.
const VCPUS: usize = 4096;

/// The iothreads of one guest: more than hosts have CPUs.
const IOTHREADS: usize = 1024;

/// The devices in one folder of QEMU's tree, NICs among them.
const DEVICES: usize = 16_384;

/// What KVM counts of one object is a hundredth of that.
const STATISTICS: usize = 4096;

/// The bytes that a number of a list takes while the list grows, and its place in it.
const NUMBER: usize = 16;

/// An answer.
pub(crate) trait Reply: Sized {
    /// The most that an object of its JSON takes, in bytes.
    const OBJECT: usize = size_of::<Self>();

    /// Returns what is wrong if there is more than a guest may have.
    fn excess(&self) -> Option<String> {
        None
    }
}

/// What an answer is a list of.
pub(crate) trait Item: Sized {
    /// The most that an object of it takes, in bytes. A list that grows has twice the places that it needs.
    const OBJECT: usize = 2 * size_of::<Self>();
    /// How many there may be, and what they are.
    const MOST: (usize, &str);
}

impl<T: Item> Reply for Vec<T> {
    const OBJECT: usize = T::OBJECT;

    fn excess(&self) -> Option<String> {
        let ((most, what), count) = (T::MOST, self.len());
        (count > most)
            .then(|| format!("the guest has {count} {what}, more than the {most} that are read"))
    }
}

/// Returns how much memory an answer takes at most, in bytes.
pub(crate) fn weight<T: Reply>(json: &str) -> u64 {
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
    // Each has one within.
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
    const MOST: (usize, &str) = (VCPUS, "vCPUs that can be");
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
    fn what_small_objects_become_is_reckoned() {
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
    fn what_is_too_much_is_said() {
        let cpu = || serde_json::json!({ "cpu-index": 0, "thread-id": 1 });
        let cpus = |count: usize| -> Vec<Cpu> {
            (0..count).map(|_| serde_json::from_value(cpu()).unwrap()).collect()
        };
        assert_eq!(cpus(4096).excess(), None);
        let excess = cpus(4097).excess();
        assert_eq!(
            excess.as_deref(),
            Some("the guest has 4097 vCPUs, more than the 4096 that are read")
        );
    }
}
