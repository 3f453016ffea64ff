//! The host: its processors, its memory, its storage.

use std::borrow::Cow;

use crate::{
    limits,
    xdr::{Chars, Decoder, Encoder, Fault, List, Xdr, decode_chars, encode_chars, xdr_struct},
};

/// The machine's name, such as `x86_64`: 32 C `char`s, padded with zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model(pub [u8; 32]);

impl Model {
    /// Returns the model with this name, truncated if it does not fit.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut chars = [0; 32];
        // The last one stays zero, to terminate the C string.
        chars.iter_mut().take(31).zip(name.bytes()).for_each(|(char, byte)| *char = byte);
        Self(chars)
    }
}

impl Xdr<'_> for Model {
    const MIN_SIZE: usize = 4 * 32;

    fn encode(&self, out: &mut Encoder) {
        encode_chars(&self.0, out);
    }

    fn decode(input: &mut Decoder<'_>) -> Result<Self, Fault> {
        let chars = decode_chars(32, input)?;
        let mut model = Self([0; 32]);
        model.0.iter_mut().zip(chars).for_each(|(char, byte)| *char = byte);
        Ok(model)
    }
}

xdr_struct! {
    /// Result of [`NodeGetInfo`](crate::procedure::NodeGetInfo).
    #[doc(alias = "virNodeInfo")]
    #[doc(alias = "remote_node_get_info_ret")]
    #[derive(Eq)]
    NodeInfo {
        /// The machine's name.
        model: Model,
        /// Its memory, in KiB.
        memory: u64,
        /// The number of online processors.
        cpus: i32,
        /// Their speed in MHz; 0 if unknown.
        mhz: i32,
        /// The NUMA nodes.
        nodes: i32,
        /// The sockets of each node.
        sockets: i32,
        /// The cores of each socket.
        cores: i32,
        /// The threads of each core.
        threads: i32,
    }
}

xdr_struct! {
    /// Arguments of [`NodeGetCpuMap`](crate::procedure::NodeGetCpuMap).
    #[doc(alias = "remote_node_get_cpu_map_args")]
    #[derive(Eq)]
    CpuMapArgs {
        /// Whether to return the map.
        need_map: bool,
        /// Whether to return the number of online processors.
        need_online: bool,
        /// No flags are defined: 0.
        flags: u32,
    }
}

xdr_struct! {
    /// Result of [`NodeGetCpuMap`](crate::procedure::NodeGetCpuMap).
    #[doc(alias = "remote_node_get_cpu_map_ret")]
    #[derive(Eq)]
    CpuMap {
        /// A bit for each processor, set if it is online; the lowest bit of the first byte is
        /// processor 0.
        map: Opaque<{ limits::CPU_MAP }>,
        /// The number of online processors.
        online: u32,
        /// The number of all processors.
        #[doc(alias = "ret")]
        cpus: i32,
    }
}

/// Opaque data of at most `MAX` bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Opaque<const MAX: usize>(pub Vec<u8>);

impl<const MAX: usize> Xdr<'_> for Opaque<MAX> {
    const MIN_SIZE: usize = 4;

    fn encode(&self, out: &mut Encoder) {
        out.length(self.0.len(), MAX);
        out.fixed(&self.0);
    }

    fn decode(input: &mut Decoder<'_>) -> Result<Self, Fault> {
        let length = input.length(MAX)?;
        Ok(Self(input.fixed(length)?.to_vec()))
    }
}

xdr_struct! {
    /// Arguments of [`NodeGetCpuStats`](crate::procedure::NodeGetCpuStats).
    #[doc(alias = "remote_node_get_cpu_stats_args")]
    #[derive(Eq)]
    NodeCpuStatsArgs {
        /// The processor, from 0; -1 for the total.
        #[doc(alias = "cpuNum")]
        cpu: i32,
        /// How many values to return; 0 requests their number.
        #[doc(alias = "nparams")]
        count: i32,
        /// No flags are defined: 0.
        flags: u32,
    }
}

xdr_struct! {
    /// Arguments of [`NodeGetMemoryStats`](crate::procedure::NodeGetMemoryStats).
    #[doc(alias = "remote_node_get_memory_stats_args")]
    #[derive(Eq)]
    NodeMemoryStatsArgs {
        /// How many values to return; 0 requests their number.
        #[doc(alias = "nparams")]
        count: i32,
        /// The NUMA node, from 0; -1 for the total.
        #[doc(alias = "cellNum")]
        node: i32,
        /// No flags are defined: 0.
        flags: u32,
    }
}

xdr_struct! {
    /// One value about the host: nanoseconds of a processor, KiB of memory.
    #[doc(alias = "virNodeCPUStats")]
    #[doc(alias = "virNodeMemoryStats")]
    #[derive(Eq)]
    NodeStat<'a> {
        /// The name of the value: `kernel`, `total`.
        field: Cow<'a, str>,
        /// The value.
        value: u64,
    }
}

xdr_struct! {
    /// Result of [`NodeGetCpuStats`](crate::procedure::NodeGetCpuStats) and of
    /// [`NodeGetMemoryStats`](crate::procedure::NodeGetMemoryStats).
    #[doc(alias = "remote_node_get_cpu_stats_ret")]
    #[doc(alias = "remote_node_get_memory_stats_ret")]
    #[derive(Eq)]
    NodeStats<'a> {
        /// The values; none if their number was requested.
        #[doc(alias = "params")]
        stats: List<NodeStat<'a>, { limits::NODE_STATS }>,
        /// Their number.
        #[doc(alias = "nparams")]
        count: i32,
    }
}

xdr_struct! {
    /// Result of [`NodeGetSecurityModel`](crate::procedure::NodeGetSecurityModel).
    #[doc(alias = "virSecurityModel")]
    #[doc(alias = "remote_node_get_security_model_ret")]
    #[derive(Eq)]
    SecurityModel {
        /// Its name, such as `selinux`; empty if there is none.
        model: Chars<{ limits::SECURITY_MODEL }>,
        /// Its domain of interpretation.
        doi: Chars<{ limits::SECURITY_MODEL }>,
    }
}

xdr_struct! {
    /// Arguments of
    /// [`ConnectListAllStoragePools`](crate::procedure::ConnectListAllStoragePools).
    #[doc(alias = "remote_connect_list_all_storage_pools_args")]
    #[derive(Eq)]
    ListPoolsArgs {
        /// Whether to return the pools, not only their number.
        need_results: bool,
        /// Which pools; 0 for all.
        #[doc(alias = "virConnectListAllStoragePoolsFlags")]
        flags: u32,
    }
}

xdr_struct! {
    /// A storage pool.
    #[doc(alias = "remote_nonnull_storage_pool")]
    #[derive(Eq)]
    StoragePool<'a> {
        /// Its name.
        name: Cow<'a, str>,
        /// Its UUID.
        uuid: [u8; 16],
    }
}

xdr_struct! {
    /// Result of [`ConnectListAllStoragePools`](crate::procedure::ConnectListAllStoragePools).
    #[doc(alias = "remote_connect_list_all_storage_pools_ret")]
    #[derive(Eq)]
    ListedPools<'a> {
        /// The pools.
        pools: List<StoragePool<'a>, { limits::POOLS }>,
        /// Their number.
        #[doc(alias = "ret")]
        count: u32,
    }
}
