//! The structures of arguments and results.

mod connect;
mod device;
mod domain;
mod error;
mod job;
mod node;
mod stats;

pub use connect::{
    AUTH_NONE, AUTH_POLKIT, AUTH_SASL, AuthTypes, OPEN_READ_ONLY, OpenArgs, SaslData, SaslReply,
    SaslStartArgs, SaslStepArgs,
};
pub use device::{
    AddressesArgs, BlockInfo, BlockParams, BlockParamsArgs, BlockStats, CpuParams, CpuParamsArgs,
    Device, DeviceFlags, DomainFlags, DomainSummary, EventArgs, InterfaceAddresses, InterfaceStats,
    IpAddress, MemoryStat, MemoryStats, MemoryStatsArgs, MetadataArgs, SecurityLabel, VcpuInfo,
    VcpuPins, VcpuPinsArgs, VcpusArgs, VcpusReply,
};
pub use domain::{Domain, ListDomainsArgs, ListedDomains, StateArgs, StateReply};
pub use error::{Network, RemoteError, code};
pub use job::{
    BlockLimits, BlockLimitsArgs, ControlInfo, DiskError, DiskErrors, DiskErrorsArgs, IothreadInfo,
    Iothreads, JobInfo, JobStats,
};
pub use node::{
    CpuMap, CpuMapArgs, ListPoolsArgs, ListedPools, Model, NodeCpuStatsArgs, NodeInfo,
    NodeMemoryStatsArgs, NodeStat, NodeStats, Opaque, SecurityModel, StoragePool,
};
pub use stats::{DomainStatsArgs, ParamValue, StatsRecord, StatsRecords, TypedParam};
