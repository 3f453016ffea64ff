//! The procedures: number, arguments, result.

use std::borrow::Cow;

use crate::{
    limits,
    message::{
        AddressesArgs, AuthTypes, BlockInfo, BlockLimits, BlockLimitsArgs, BlockParams,
        BlockParamsArgs, BlockStats, ControlInfo, CpuMap, CpuMapArgs, CpuParams, CpuParamsArgs,
        Device, DeviceFlags, DiskErrors, DiskErrorsArgs, Domain, DomainFlags, DomainStatsArgs,
        DomainSummary, EventArgs, InterfaceAddresses, InterfaceStats, Iothreads, JobInfo, JobStats,
        ListDomainsArgs, ListPoolsArgs, ListedDomains, ListedPools, MemoryStats, MemoryStatsArgs,
        MetadataArgs, NodeCpuStatsArgs, NodeInfo, NodeMemoryStatsArgs, NodeStats, OpenArgs,
        RemoteError, SaslReply, SaslStartArgs, SaslStepArgs, SecurityLabel, SecurityModel,
        StateArgs, StateReply, StatsRecords, VcpuPins, VcpuPinsArgs, VcpusArgs, VcpusReply,
    },
    packet::{Header, Kind, Program, Status, VERSION},
    xdr::{Fault, List, Xdr},
};

/// A procedure of the program [`Remote`](Program::Remote). Only those of this module exist, and
/// none changes anything, so that no change can be requested.
#[doc(alias = "remote_procedure")]
pub trait Procedure: sealed::Sealed {
    /// Its number, from 1.
    const NUMBER: i32;
    /// What a call carries.
    type Args<'a>: Xdr<'a>;
    /// What a reply carries.
    type Reply<'a>: Xdr<'a>;
}

mod sealed {
    pub trait Sealed {}
}

/// The number of a procedure of this module, and of no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProcedureId(i32);

impl ProcedureId {
    /// Returns the id of a procedure.
    #[must_use]
    pub fn of<P: Procedure>() -> Self {
        Self(P::NUMBER)
    }

    /// Returns the procedure's number.
    #[must_use]
    pub fn number(self) -> i32 {
        self.0
    }
}

macro_rules! procedures {
    ($($(#[$about:meta])* $number:literal $name:ident($args:ty) -> $reply:ty;)*) => {
        $(
            $(#[$about])*
            #[derive(Debug, Clone, Copy)]
            pub struct $name;

            impl sealed::Sealed for $name {}

            impl Procedure for $name {
                const NUMBER: i32 = $number;
                type Args<'a> = $args;
                type Reply<'a> = $reply;
            }
        )*
    };
}

procedures! {
    /// Opens the hypervisor of a URI: once per connection, after authentication.
    #[doc(alias = "REMOTE_PROC_CONNECT_OPEN")]
    1 ConnectOpen(OpenArgs<'a>) -> ();
    /// Closes the hypervisor; the server then closes the connection.
    #[doc(alias = "REMOTE_PROC_CONNECT_CLOSE")]
    2 ConnectClose(()) -> ();
    /// Returns the name of the hypervisor's driver, such as `QEMU`.
    #[doc(alias = "REMOTE_PROC_CONNECT_GET_TYPE")]
    3 ConnectGetType(()) -> Cow<'a, str>;
    /// Returns the version of the hypervisor, 0 if unknown: 7,002,022 is 7.2.22.
    #[doc(alias = "REMOTE_PROC_CONNECT_GET_VERSION")]
    4 ConnectGetVersion(()) -> u64;
    /// Returns the maximum number of vCPUs for a domain type.
    #[doc(alias = "REMOTE_PROC_CONNECT_GET_MAX_VCPUS")]
    5 ConnectGetMaxVcpus(Option<Cow<'a, str>>) -> i32;
    /// Returns the host's hardware: processors, memory, topology.
    #[doc(alias = "REMOTE_PROC_NODE_GET_INFO")]
    6 NodeGetInfo(()) -> NodeInfo;
    /// Returns the capabilities of the hypervisor on its host, an XML document.
    #[doc(alias = "REMOTE_PROC_CONNECT_GET_CAPABILITIES")]
    7 ConnectGetCapabilities(()) -> Cow<'a, str>;
    /// Returns the description of a domain, an XML document.
    #[doc(alias = "REMOTE_PROC_DOMAIN_GET_XML_DESC")]
    14 DomainGetXmlDesc(DomainFlags<'a>) -> Cow<'a, str>;
    /// Returns whether a domain starts with its host.
    #[doc(alias = "REMOTE_PROC_DOMAIN_GET_AUTOSTART")]
    15 DomainGetAutostart(Domain<'a>) -> bool;
    /// Returns the state of a domain, and the resources that it has and uses.
    #[doc(alias = "REMOTE_PROC_DOMAIN_GET_INFO")]
    16 DomainGetInfo(Domain<'a>) -> DomainSummary;
    /// Returns the maximum memory of a domain, in KiB.
    #[doc(alias = "REMOTE_PROC_DOMAIN_GET_MAX_MEMORY")]
    17 DomainGetMaxMemory(Domain<'a>) -> u64;
    /// Returns the maximum number of a domain's vCPUs.
    #[doc(alias = "REMOTE_PROC_DOMAIN_GET_MAX_VCPUS")]
    18 DomainGetMaxVcpus(Domain<'a>) -> i32;
    /// Returns how a domain is virtualized: `hvm` for full virtualization.
    #[doc(alias = "REMOTE_PROC_DOMAIN_GET_OS_TYPE")]
    19 DomainGetOsType(Domain<'a>) -> Cow<'a, str>;
    /// Returns the vCPUs of a domain.
    #[doc(alias = "REMOTE_PROC_DOMAIN_GET_VCPUS")]
    20 DomainGetVcpus(VcpusArgs<'a>) -> VcpusReply;
    /// Returns the names of inactive domains, at most the given number.
    #[doc(alias = "REMOTE_PROC_CONNECT_LIST_DEFINED_DOMAINS")]
    21 ConnectListDefinedDomains(i32) -> List<Cow<'a, str>, { limits::DOMAINS }>;
    /// Returns the active domain with an id, from 1.
    #[doc(alias = "REMOTE_PROC_DOMAIN_LOOKUP_BY_ID")]
    22 DomainLookupById(i32) -> Domain<'a>;
    /// Returns the domain with a name.
    #[doc(alias = "REMOTE_PROC_DOMAIN_LOOKUP_BY_NAME")]
    23 DomainLookupByName(Cow<'a, str>) -> Domain<'a>;
    /// Returns the domain with a UUID.
    #[doc(alias = "REMOTE_PROC_DOMAIN_LOOKUP_BY_UUID")]
    24 DomainLookupByUuid([u8; 16]) -> Domain<'a>;
    /// Returns the number of inactive domains.
    #[doc(alias = "REMOTE_PROC_CONNECT_NUM_OF_DEFINED_DOMAINS")]
    25 ConnectNumOfDefinedDomains(()) -> i32;
    /// Returns the ids of active domains, at most the given number.
    #[doc(alias = "REMOTE_PROC_CONNECT_LIST_DOMAINS")]
    37 ConnectListDomains(i32) -> List<i32, { limits::DOMAINS }>;
    /// Returns the number of active domains.
    #[doc(alias = "REMOTE_PROC_CONNECT_NUM_OF_DOMAINS")]
    51 ConnectNumOfDomains(()) -> i32;
    /// Returns the name of the host.
    #[doc(alias = "REMOTE_PROC_CONNECT_GET_HOSTNAME")]
    59 ConnectGetHostname(()) -> Cow<'a, str>;
    /// Returns whether the server has a feature. Clients give up if this call fails.
    #[doc(alias = "REMOTE_PROC_CONNECT_SUPPORTS_FEATURE")]
    60 ConnectSupportsFeature(i32) -> bool;
    /// Returns the counters of a disk.
    #[doc(alias = "REMOTE_PROC_DOMAIN_BLOCK_STATS")]
    64 DomainBlockStats(Device<'a>) -> BlockStats;
    /// Returns the counters of a network interface.
    #[doc(alias = "REMOTE_PROC_DOMAIN_INTERFACE_STATS")]
    65 DomainInterfaceStats(Device<'a>) -> InterfaceStats;
    /// Returns the ways in which a client may authenticate. Must be the first call: a server may
    /// refuse all others before it.
    #[doc(alias = "REMOTE_PROC_AUTH_LIST")]
    66 AuthList(()) -> AuthTypes;
    /// Returns the names of the SASL mechanisms, separated by commas.
    #[doc(alias = "REMOTE_PROC_AUTH_SASL_INIT")]
    67 AuthSaslInit(()) -> Cow<'a, str>;
    /// Takes the first step of SASL.
    #[doc(alias = "REMOTE_PROC_AUTH_SASL_START")]
    68 AuthSaslStart(SaslStartArgs<'a>) -> SaslReply;
    /// Takes another step of SASL.
    #[doc(alias = "REMOTE_PROC_AUTH_SASL_STEP")]
    69 AuthSaslStep(SaslStepArgs) -> SaslReply;
    /// Authorizes the client with polkit; returns 1 if polkit allows it.
    #[doc(alias = "REMOTE_PROC_AUTH_POLKIT")]
    70 AuthPolkit(()) -> i32;
    /// Returns the host's free memory, in bytes.
    #[doc(alias = "REMOTE_PROC_NODE_GET_FREE_MEMORY")]
    102 NodeGetFreeMemory(()) -> u64;
    /// Subscribes to lifecycle events; returns the number of subscriptions.
    #[doc(alias = "REMOTE_PROC_CONNECT_DOMAIN_EVENT_REGISTER")]
    105 ConnectDomainEventRegister(()) -> i32;
    /// Cancels that subscription.
    #[doc(alias = "REMOTE_PROC_CONNECT_DOMAIN_EVENT_DEREGISTER")]
    106 ConnectDomainEventDeregister(()) -> i32;
    /// Returns the URI of the open hypervisor.
    #[doc(alias = "REMOTE_PROC_CONNECT_GET_URI")]
    110 ConnectGetUri(()) -> Cow<'a, str>;
    /// Returns the security label of a domain's process.
    #[doc(alias = "REMOTE_PROC_DOMAIN_GET_SECURITY_LABEL")]
    121 DomainGetSecurityLabel(Domain<'a>) -> SecurityLabel;
    /// Returns the security model of the host.
    #[doc(alias = "REMOTE_PROC_NODE_GET_SECURITY_MODEL")]
    122 NodeGetSecurityModel(()) -> SecurityModel;
    /// Returns whether the connection is safe from eavesdropping.
    #[doc(alias = "REMOTE_PROC_CONNECT_IS_SECURE")]
    149 ConnectIsSecure(()) -> bool;
    /// Returns whether a domain is active.
    #[doc(alias = "REMOTE_PROC_DOMAIN_IS_ACTIVE")]
    150 DomainIsActive(Domain<'a>) -> bool;
    /// Returns whether a domain remains defined when it stops.
    #[doc(alias = "REMOTE_PROC_DOMAIN_IS_PERSISTENT")]
    151 DomainIsPersistent(Domain<'a>) -> bool;
    /// Returns the version of libvirt on the far side: 9,001,002 is 9.1.2.
    #[doc(alias = "REMOTE_PROC_CONNECT_GET_LIB_VERSION")]
    157 ConnectGetLibVersion(()) -> u64;
    /// Returns values about a domain's memory.
    #[doc(alias = "REMOTE_PROC_DOMAIN_MEMORY_STATS")]
    159 DomainMemoryStats(MemoryStatsArgs<'a>) -> MemoryStats;
    /// Returns the progress of a domain's job, such as a migration.
    #[doc(alias = "REMOTE_PROC_DOMAIN_GET_JOB_INFO")]
    163 DomainGetJobInfo(Domain<'a>) -> JobInfo;
    /// Subscribes to a kind of event.
    #[doc(alias = "REMOTE_PROC_CONNECT_DOMAIN_EVENT_REGISTER_ANY")]
    167 ConnectDomainEventRegisterAny(i32) -> ();
    /// Cancels that subscription.
    #[doc(alias = "REMOTE_PROC_CONNECT_DOMAIN_EVENT_DEREGISTER_ANY")]
    168 ConnectDomainEventDeregisterAny(i32) -> ();
    /// Returns whether a domain has a saved image, from which it resumes when it starts.
    #[doc(alias = "REMOTE_PROC_DOMAIN_HAS_MANAGED_SAVE_IMAGE")]
    183 DomainHasManagedSaveImage(DomainFlags<'a>) -> bool;
    /// Returns the sizes of a disk.
    #[doc(alias = "REMOTE_PROC_DOMAIN_GET_BLOCK_INFO")]
    194 DomainGetBlockInfo(DeviceFlags<'a>) -> BlockInfo;
    /// Returns the number of a domain's vCPUs.
    #[doc(alias = "REMOTE_PROC_DOMAIN_GET_VCPUS_FLAGS")]
    200 DomainGetVcpusFlags(DomainFlags<'a>) -> i32;
    /// Returns the state of a domain.
    #[doc(alias = "REMOTE_PROC_DOMAIN_GET_STATE")]
    212 DomainGetState(StateArgs<'a>) -> StateReply;
    /// Returns how the host's processors spent their time since it started, in nanoseconds.
    #[doc(alias = "REMOTE_PROC_NODE_GET_CPU_STATS")]
    227 NodeGetCpuStats(NodeCpuStatsArgs) -> NodeStats<'a>;
    /// Returns how the host's memory is used, in KiB.
    #[doc(alias = "REMOTE_PROC_NODE_GET_MEMORY_STATS")]
    228 NodeGetMemoryStats(NodeMemoryStatsArgs) -> NodeStats<'a>;
    /// Returns whether a domain's monitor is free.
    #[doc(alias = "REMOTE_PROC_DOMAIN_GET_CONTROL_INFO")]
    229 DomainGetControlInfo(DomainFlags<'a>) -> ControlInfo;
    /// Returns the host's processors that a domain's vCPUs may run on.
    #[doc(alias = "REMOTE_PROC_DOMAIN_GET_VCPU_PIN_INFO")]
    230 DomainGetVcpuPinInfo(VcpuPinsArgs<'a>) -> VcpuPins;
    /// Returns more counters of a disk.
    #[doc(alias = "REMOTE_PROC_DOMAIN_BLOCK_STATS_FLAGS")]
    243 DomainBlockStatsFlags(BlockParamsArgs<'a>) -> BlockParams<'a>;
    /// Returns the limits of a disk.
    #[doc(alias = "REMOTE_PROC_DOMAIN_GET_BLOCK_IO_TUNE")]
    253 DomainGetBlockIoTune(BlockLimitsArgs<'a>) -> BlockLimits<'a>;
    /// Returns the CPU times of a domain, per host processor or in total.
    #[doc(alias = "REMOTE_PROC_DOMAIN_GET_CPU_STATS")]
    262 DomainGetCpuStats(CpuParamsArgs<'a>) -> CpuParams<'a>;
    /// Returns the disks of a domain that have errors.
    #[doc(alias = "REMOTE_PROC_DOMAIN_GET_DISK_ERRORS")]
    263 DomainGetDiskErrors(DiskErrorsArgs<'a>) -> DiskErrors<'a>;
    /// Returns a domain's title, its description or an element of its metadata.
    #[doc(alias = "REMOTE_PROC_DOMAIN_GET_METADATA")]
    265 DomainGetMetadata(MetadataArgs<'a>) -> Cow<'a, str>;
    /// Returns the domains that match.
    #[doc(alias = "REMOTE_PROC_CONNECT_LIST_ALL_DOMAINS")]
    273 ConnectListAllDomains(ListDomainsArgs) -> ListedDomains<'a>;
    /// Returns the storage pools.
    #[doc(alias = "REMOTE_PROC_CONNECT_LIST_ALL_STORAGE_POOLS")]
    281 ConnectListAllStoragePools(ListPoolsArgs) -> ListedPools<'a>;
    /// Returns which of the host's processors are online.
    #[doc(alias = "REMOTE_PROC_NODE_GET_CPU_MAP")]
    293 NodeGetCpuMap(CpuMapArgs) -> CpuMap;
    /// Returns the progress of a domain's job, in more detail.
    #[doc(alias = "REMOTE_PROC_DOMAIN_GET_JOB_STATS")]
    298 DomainGetJobStats(DomainFlags<'a>) -> JobStats<'a>;
    /// Subscribes to a kind of event, and returns the number that identifies its events.
    #[doc(alias = "REMOTE_PROC_CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY")]
    316 ConnectDomainEventCallbackRegisterAny(EventArgs<'a>) -> i32;
    /// Cancels that subscription, by its number.
    #[doc(alias = "REMOTE_PROC_CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY")]
    317 ConnectDomainEventCallbackDeregisterAny(i32) -> ();
    /// Returns the statistics of domains.
    #[doc(alias = "REMOTE_PROC_CONNECT_GET_ALL_DOMAIN_STATS")]
    344 ConnectGetAllDomainStats(DomainStatsArgs<'a>) -> StatsRecords<'a>;
    /// Returns the I/O threads of a domain.
    #[doc(alias = "REMOTE_PROC_DOMAIN_GET_IOTHREAD_INFO")]
    351 DomainGetIothreadInfo(DomainFlags<'a>) -> Iothreads;
    /// Returns the addresses of a domain's network interfaces. The guest agent as a source does not
    /// count as read-only.
    #[doc(alias = "REMOTE_PROC_DOMAIN_INTERFACE_ADDRESSES")]
    353 DomainInterfaceAddresses(AddressesArgs<'a>)
        -> List<InterfaceAddresses<'a>, { limits::ADDRESSES }>;
    /// Subscribes to the event that the hypervisor closes the connection.
    #[doc(alias = "REMOTE_PROC_CONNECT_REGISTER_CLOSE_CALLBACK")]
    360 ConnectRegisterCloseCallback(()) -> ();
    /// Cancels that subscription.
    #[doc(alias = "REMOTE_PROC_CONNECT_UNREGISTER_CLOSE_CALLBACK")]
    361 ConnectUnregisterCloseCallback(()) -> ();
    /// Returns libvirt's warnings about a domain, for example that it is tainted.
    #[doc(alias = "REMOTE_PROC_DOMAIN_GET_MESSAGES")]
    426 DomainGetMessages(DomainFlags<'a>) -> List<Cow<'a, str>, { limits::MESSAGES }>;
    /// Returns whether a domain starts with its host the next time only; libvirt 11.2 and later.
    #[doc(alias = "REMOTE_PROC_DOMAIN_GET_AUTOSTART_ONCE")]
    449 DomainGetAutostartOnce(Domain<'a>) -> bool;
}

/// Returns the packet of a call. No other call in flight may have the same serial.
///
/// # Errors
///
/// [`Fault::TooLong`] if the arguments exceed a limit.
pub fn call<P: Procedure>(serial: u32, args: &P::Args<'_>) -> Result<Vec<u8>, Fault> {
    header(P::NUMBER, Kind::Call, serial).packet(args)
}

/// Returns the packet of a call whose arguments are encoded already, for relaying.
///
/// # Errors
///
/// [`Fault::TooLong`] if there are more than a packet holds.
pub fn call_of(procedure: ProcedureId, serial: u32, args: &[u8]) -> Result<Vec<u8>, Fault> {
    header(procedure.number(), Kind::Call, serial).packet_of(args)
}

/// Returns the packet of a reply, with the serial of the call.
///
/// # Errors
///
/// [`Fault::TooLong`] if the result exceeds a limit.
pub fn reply<P: Procedure>(serial: u32, result: &P::Reply<'_>) -> Result<Vec<u8>, Fault> {
    header(P::NUMBER, Kind::Reply, serial).packet(result)
}

/// Returns the packet of a reply whose result is encoded already, for relaying.
///
/// # Errors
///
/// [`Fault::TooLong`] if there are more than a packet holds.
pub fn reply_of(procedure: ProcedureId, serial: u32, result: &[u8]) -> Result<Vec<u8>, Fault> {
    header(procedure.number(), Kind::Reply, serial).packet_of(result)
}

/// Returns the packet that refuses a call, with the call's own program, procedure and serial.
///
/// # Errors
///
/// [`Fault::TooLong`] if the error exceeds a limit.
pub fn error_reply(call: &Header, error: &RemoteError<'_>) -> Result<Vec<u8>, Fault> {
    Header { kind: Kind::Reply, status: Status::Error, ..*call }.packet(error)
}

fn header(procedure: i32, kind: Kind, serial: u32) -> Header {
    Header {
        program: Program::Remote,
        version: VERSION,
        procedure,
        kind,
        serial,
        status: Status::Ok,
    }
}
