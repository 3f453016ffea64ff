//! One domain's resources and statistics, device by device.

use std::borrow::Cow;

use super::{Domain, TypedParam, node::Opaque};
use crate::{
    limits,
    xdr::{Chars, List, xdr_struct},
};

xdr_struct! {
    /// Result of [`DomainGetInfo`](crate::procedure::DomainGetInfo).
    #[doc(alias = "virDomainInfo")]
    #[doc(alias = "remote_domain_get_info_ret")]
    #[derive(Eq)]
    DomainSummary {
        /// The state, as in [`StateReply`](super::StateReply).
        state: i32,
        /// Its maximum memory, in KiB.
        #[doc(alias = "maxMem")]
        maximum: u64,
        /// Its current memory, in KiB.
        memory: u64,
        /// The number of its vCPUs.
        #[doc(alias = "nrVirtCpu")]
        vcpus: i32,
        /// The CPU time that it used, in nanoseconds.
        #[doc(alias = "cpuTime")]
        cpu_time: u64,
    }
}

xdr_struct! {
    /// A domain and flags.
    #[derive(Eq)]
    DomainFlags<'a> {
        /// The domain.
        #[doc(alias = "dom")]
        domain: Domain<'a>,
        /// The flags; their meaning depends on the procedure.
        flags: u32,
    }
}

xdr_struct! {
    /// A device of a domain, by the name of its disk (`vda`) or of its network device on the host.
    #[derive(Eq)]
    Device<'a> {
        /// The domain.
        #[doc(alias = "dom")]
        domain: Domain<'a>,
        /// The device.
        #[doc(alias = "path")]
        #[doc(alias = "device")]
        name: Cow<'a, str>,
    }
}

xdr_struct! {
    /// A device of a domain and flags.
    #[derive(Eq)]
    DeviceFlags<'a> {
        /// The device.
        device: Device<'a>,
        /// No flags are defined: 0.
        flags: u32,
    }
}

xdr_struct! {
    /// Result of [`DomainBlockStats`](crate::procedure::DomainBlockStats): -1 for what is unknown.
    #[doc(alias = "virDomainBlockStatsStruct")]
    #[doc(alias = "remote_domain_block_stats_ret")]
    #[derive(Eq)]
    BlockStats {
        /// Reads.
        #[doc(alias = "rd_req")]
        rd_reqs: i64,
        /// Bytes read.
        rd_bytes: i64,
        /// Writes.
        #[doc(alias = "wr_req")]
        wr_reqs: i64,
        /// Bytes written.
        wr_bytes: i64,
        /// Errors.
        #[doc(alias = "errs")]
        errors: i64,
    }
}

xdr_struct! {
    /// Result of [`DomainInterfaceStats`](crate::procedure::DomainInterfaceStats), as the guest
    /// sees it: -1 for what is unknown.
    #[doc(alias = "virDomainInterfaceStatsStruct")]
    #[doc(alias = "remote_domain_interface_stats_ret")]
    #[derive(Eq)]
    InterfaceStats {
        /// Bytes received.
        rx_bytes: i64,
        /// Packets received.
        #[doc(alias = "rx_packets")]
        rx_pkts: i64,
        /// Receive errors.
        rx_errs: i64,
        /// Received packets that were dropped.
        rx_drop: i64,
        /// Bytes sent.
        tx_bytes: i64,
        /// Packets sent.
        #[doc(alias = "tx_packets")]
        tx_pkts: i64,
        /// Send errors.
        tx_errs: i64,
        /// Packets that were dropped instead of sent.
        tx_drop: i64,
    }
}

xdr_struct! {
    /// Arguments of [`DomainBlockStatsFlags`](crate::procedure::DomainBlockStatsFlags).
    #[doc(alias = "remote_domain_block_stats_flags_args")]
    #[derive(Eq)]
    BlockParamsArgs<'a> {
        /// The disk.
        device: Device<'a>,
        /// How many values to return; 0 requests their number.
        #[doc(alias = "nparams")]
        count: i32,
        /// No flags matter: 0.
        flags: u32,
    }
}

xdr_struct! {
    /// Result of [`DomainBlockStatsFlags`](crate::procedure::DomainBlockStatsFlags).
    #[doc(alias = "remote_domain_block_stats_flags_ret")]
    BlockParams<'a> {
        /// The values; none if their number was requested.
        params: List<TypedParam<'a>, { limits::BLOCK_PARAMS }>,
        /// Their number.
        #[doc(alias = "nparams")]
        count: i32,
    }
}

xdr_struct! {
    /// Result of [`DomainGetBlockInfo`](crate::procedure::DomainGetBlockInfo), in bytes.
    #[doc(alias = "virDomainBlockInfo")]
    #[doc(alias = "remote_domain_get_block_info_ret")]
    #[derive(Eq)]
    BlockInfo {
        /// The space that the disk uses on the host.
        allocation: u64,
        /// The size that the guest sees.
        capacity: u64,
        /// The size of the image file or device on the host.
        physical: u64,
    }
}

xdr_struct! {
    /// Arguments of [`DomainMemoryStats`](crate::procedure::DomainMemoryStats).
    #[doc(alias = "remote_domain_memory_stats_args")]
    #[derive(Eq)]
    MemoryStatsArgs<'a> {
        /// The domain.
        #[doc(alias = "dom")]
        domain: Domain<'a>,
        /// The most values to return.
        #[doc(alias = "maxStats")]
        most: u32,
        /// No flags are defined: 0.
        flags: u32,
    }
}

/// Result of [`DomainMemoryStats`](crate::procedure::DomainMemoryStats).
#[doc(alias = "remote_domain_memory_stats_ret")]
pub type MemoryStats = List<MemoryStat, { limits::MEMORY_STATS }>;

xdr_struct! {
    /// One value about a domain's memory.
    #[doc(alias = "virDomainMemoryStatStruct")]
    #[derive(Eq)]
    MemoryStat {
        /// The kind of value, from 0.
        #[doc(alias = "virDomainMemoryStatTags")]
        tag: i32,
        /// The value.
        #[doc(alias = "val")]
        value: u64,
    }
}

xdr_struct! {
    /// Arguments of [`DomainGetVcpus`](crate::procedure::DomainGetVcpus).
    #[doc(alias = "remote_domain_get_vcpus_args")]
    #[derive(Eq)]
    VcpusArgs<'a> {
        /// The domain.
        #[doc(alias = "dom")]
        domain: Domain<'a>,
        /// The most vCPUs to return.
        #[doc(alias = "maxinfo")]
        most: i32,
        /// The size of one vCPU's map, in bytes; 0 for no maps.
        #[doc(alias = "maplen")]
        map_length: i32,
    }
}

xdr_struct! {
    /// A vCPU.
    #[doc(alias = "virVcpuInfo")]
    #[derive(Eq)]
    VcpuInfo {
        /// Its number, from 0.
        number: u32,
        /// 0 for offline, 1 for running, 2 for waiting.
        state: i32,
        /// The CPU time that it used, in nanoseconds.
        cpu_time: u64,
        /// The host's processor that it runs on; -2 if unknown.
        cpu: i32,
    }
}

xdr_struct! {
    /// Result of [`DomainGetVcpus`](crate::procedure::DomainGetVcpus).
    #[doc(alias = "remote_domain_get_vcpus_ret")]
    #[derive(Eq)]
    VcpusReply {
        /// The vCPUs.
        #[doc(alias = "info")]
        vcpus: List<VcpuInfo, { limits::VCPUS }>,
        /// The maps of all vCPUs in turn: a bit for each processor that the vCPU may run on.
        #[doc(alias = "cpumaps")]
        maps: Opaque<{ limits::CPU_MAPS }>,
    }
}

xdr_struct! {
    /// Arguments of [`DomainGetVcpuPinInfo`](crate::procedure::DomainGetVcpuPinInfo).
    #[doc(alias = "remote_domain_get_vcpu_pin_info_args")]
    #[derive(Eq)]
    VcpuPinsArgs<'a> {
        /// The domain.
        #[doc(alias = "dom")]
        domain: Domain<'a>,
        /// The most vCPUs to return.
        #[doc(alias = "ncpumaps")]
        most: i32,
        /// The size of one vCPU's map, in bytes.
        #[doc(alias = "maplen")]
        map_length: i32,
        /// 1 for the running domain, 2 for its configuration.
        flags: u32,
    }
}

xdr_struct! {
    /// Result of [`DomainGetVcpuPinInfo`](crate::procedure::DomainGetVcpuPinInfo).
    #[doc(alias = "remote_domain_get_vcpu_pin_info_ret")]
    #[derive(Eq)]
    VcpuPins {
        /// The maps of all vCPUs, as in [`VcpusReply`].
        #[doc(alias = "cpumaps")]
        maps: Opaque<{ limits::CPU_MAPS }>,
        /// How many vCPUs there are.
        #[doc(alias = "num")]
        count: i32,
    }
}

xdr_struct! {
    /// Arguments of [`DomainGetCpuStats`](crate::procedure::DomainGetCpuStats).
    #[doc(alias = "remote_domain_get_cpu_stats_args")]
    #[derive(Eq)]
    CpuParamsArgs<'a> {
        /// The domain.
        #[doc(alias = "dom")]
        domain: Domain<'a>,
        /// How many values of each processor to return; 0 requests their number.
        #[doc(alias = "nparams")]
        count: u32,
        /// The first of the host's processors; -1 for the total.
        #[doc(alias = "start_cpu")]
        start: i32,
        /// How many of the host's processors; 0 requests their number.
        #[doc(alias = "ncpus")]
        cpus: u32,
        /// No flags matter: 0.
        flags: u32,
    }
}

xdr_struct! {
    /// Result of [`DomainGetCpuStats`](crate::procedure::DomainGetCpuStats).
    #[doc(alias = "remote_domain_get_cpu_stats_ret")]
    CpuParams<'a> {
        /// The values; none if a number was requested.
        params: List<TypedParam<'a>, { limits::CPU_PARAMS }>,
        /// The number of values or of processors.
        #[doc(alias = "nparams")]
        count: i32,
    }
}

xdr_struct! {
    /// Result of [`DomainGetSecurityLabel`](crate::procedure::DomainGetSecurityLabel).
    #[doc(alias = "virSecurityLabel")]
    #[doc(alias = "remote_domain_get_security_label_ret")]
    #[derive(Eq)]
    SecurityLabel {
        /// The label.
        label: Chars<{ limits::SECURITY_LABEL }>,
        /// Whether the host enforces it.
        enforcing: bool,
    }
}

xdr_struct! {
    /// Arguments of [`DomainGetMetadata`](crate::procedure::DomainGetMetadata).
    #[doc(alias = "remote_domain_get_metadata_args")]
    #[derive(Eq)]
    MetadataArgs<'a> {
        /// The domain.
        #[doc(alias = "dom")]
        domain: Domain<'a>,
        /// 0 for the description, 1 for the title, 2 for an element.
        #[doc(alias = "virDomainMetadataType")]
        kind: i32,
        /// The namespace of the element.
        uri: Option<Cow<'a, str>>,
        /// 1 for the running domain, 2 for its configuration.
        flags: u32,
    }
}

xdr_struct! {
    /// Arguments of [`ConnectDomainEventCallbackRegisterAny`]: which events, from which domain.
    ///
    /// [`ConnectDomainEventCallbackRegisterAny`]: crate::procedure::ConnectDomainEventCallbackRegisterAny
    #[doc(alias = "remote_connect_domain_event_callback_register_any_args")]
    #[derive(Eq)]
    EventArgs<'a> {
        /// The kind of event, from 0.
        #[doc(alias = "virDomainEventID")]
        event: i32,
        /// The domain; none for all.
        #[doc(alias = "dom")]
        domain: Option<Domain<'a>>,
    }
}

xdr_struct! {
    /// Arguments of [`DomainInterfaceAddresses`](crate::procedure::DomainInterfaceAddresses).
    #[doc(alias = "remote_domain_interface_addresses_args")]
    #[derive(Eq)]
    AddressesArgs<'a> {
        /// The domain.
        #[doc(alias = "dom")]
        domain: Domain<'a>,
        /// The source: 0 for DHCP leases of libvirt's own networks, 1 for the guest agent, 2 for
        /// the host's neighbour table.
        #[doc(alias = "virDomainInterfaceAddressesSource")]
        source: u32,
        /// 0.
        flags: u32,
    }
}

xdr_struct! {
    /// An address of a network interface.
    #[doc(alias = "virDomainIPAddress")]
    #[doc(alias = "remote_domain_ip_addr")]
    #[derive(Eq)]
    IpAddress<'a> {
        /// 0 for IPv4, 1 for IPv6.
        #[doc(alias = "virIPAddrType")]
        kind: i32,
        /// The address.
        #[doc(alias = "addr")]
        address: Cow<'a, str>,
        /// The length of the network prefix.
        prefix: u32,
    }
}

xdr_struct! {
    /// The addresses of a network interface.
    #[doc(alias = "virDomainInterface")]
    #[doc(alias = "remote_domain_interface")]
    #[derive(Eq)]
    InterfaceAddresses<'a> {
        /// The interface's name.
        name: Cow<'a, str>,
        /// Its MAC address.
        #[doc(alias = "hwaddr")]
        mac: Option<Cow<'a, str>>,
        /// Its addresses.
        #[doc(alias = "addrs")]
        addresses: List<IpAddress<'a>, { limits::ADDRESSES }>,
    }
}
